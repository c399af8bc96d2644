//! Leave for another account to use a network interface: kept and shown. Accounts of one machine
//! do not attach each other's interfaces.

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    AccountId, NetworkInterfacePermissionId,
    record::{NetworkInterface, NetworkInterfacePermission},
};

use crate::{
    call::{Answer, Call, required, text},
    filter::{Fields, select, some},
    page::page,
};

fn parse(id: &str) -> Answer<NetworkInterfacePermissionId> {
    let resource = Resource::NetworkInterfacePermission;
    id.parse().map_err(|error| ApiError::malformed_id(resource, &error))
}

fn not_found(id: &str) -> ApiError {
    ApiError::not_found(Resource::NetworkInterfacePermission, id)
}

fn shown(permission: &NetworkInterfacePermission) -> ec2::NetworkInterfacePermission {
    ec2::NetworkInterfacePermission {
        network_interface_permission_id: Some(permission.id.to_string()),
        network_interface_id: Some(permission.network_interface_id.to_string()),
        aws_account_id: Some(permission.account.to_string()),
        permission: Some(permission.permission.clone()),
        permission_state: Some(ec2::NetworkInterfacePermissionState {
            state: Some("granted".into()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

const FIELDS: &Fields<ec2::NetworkInterfacePermission> = &[
    ("network-interface-permission.aws-account-id", |it| some(&it.aws_account_id)),
    ("network-interface-permission.aws-service", |it| some(&it.aws_service)),
    ("network-interface-permission.network-interface-id", |it| some(&it.network_interface_id)),
    ("network-interface-permission.network-interface-permission-id", |it| {
        some(&it.network_interface_permission_id)
    }),
    ("network-interface-permission.permission", |it| some(&it.permission)),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeNetworkInterfacePermissionsRequest,
) -> Answer<ec2::DescribeNetworkInterfacePermissionsResult> {
    let ids = &r.network_interface_permission_ids;
    let find = |id: &String| {
        parse(id)?;
        let found = records.find::<NetworkInterfacePermission>(&call.scope, id);
        found.cloned().ok_or_else(|| not_found(id))
    };
    let found: Vec<_> = match ids.is_empty() {
        true => records.all::<NetworkInterfacePermission>(&call.scope).cloned().collect(),
        false => ids.iter().map(find).collect::<Answer<_>>()?,
    };
    let found = found.iter().map(|it| shown(it)).collect();
    let found = select(found, &r.filters, FIELDS, None)?;
    let (network_interface_permissions, next_token) =
        page(found, r.max_results, &r.next_token, |it| {
            it.network_interface_permission_id.as_deref()
        })?;
    Ok(ec2::DescribeNetworkInterfacePermissionsResult { network_interface_permissions, next_token })
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateNetworkInterfacePermissionRequest,
) -> Answer<ec2::CreateNetworkInterfacePermissionResult> {
    let id = &r.network_interface_id;
    let interface = required::<NetworkInterface>(tx, &call.scope, id, "NetworkInterfaceId")?;
    let account = text(&r.aws_account_id, "AwsAccountId")?;
    let account = AccountId::parse(account).ok_or_else(|| {
        ApiError::invalid_value(account, "awsAccountId", "This is not a valid account ID.")
    })?;
    let permission = text(&r.permission, "Permission")?;
    let mut known = tx.referrers::<NetworkInterfacePermission>(interface.id.as_str());
    if known.any(|it| it.account == account && it.permission == permission) {
        return Err(ApiError::new(
            "InvalidPermission.Duplicate",
            format!("{account} has the permission {permission} on {} already.", interface.id),
        ));
    }
    drop(known);
    let permission = NetworkInterfacePermission {
        id: NetworkInterfacePermissionId::new(call.random()),
        network_interface_id: interface.id.clone(),
        account,
        permission: permission.to_owned(),
    };
    let permission = tx.put(&call.scope, permission);
    Ok(ec2::CreateNetworkInterfacePermissionResult {
        interface_permission: Some(shown(&permission)),
    })
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteNetworkInterfacePermissionRequest,
) -> Answer<ec2::DeleteNetworkInterfacePermissionResult> {
    let id = text(&r.network_interface_permission_id, "NetworkInterfacePermissionId")?;
    parse(id)?;
    let removed = tx.remove::<NetworkInterfacePermission>(&call.scope, id);
    removed.ok_or_else(|| not_found(id))?;
    Ok(ec2::DeleteNetworkInterfacePermissionResult { r#return: Some(true) })
}

/// Removes the permissions on an interface that goes.
pub(crate) fn leave(call: &Call, tx: &mut Transaction, interface: &NetworkInterface) {
    let permissions = tx.referrers::<NetworkInterfacePermission>(interface.id.as_str());
    let ids: Vec<_> = permissions.map(|it| it.id.clone()).collect();
    for id in ids {
        tx.remove::<NetworkInterfacePermission>(&call.scope, id.as_str());
    }
}
