//! The ties of interfaces to instances (ENI-2 to ENI-4, ENI-8).

use std::sync::Arc;

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::Transaction;
use gureum_types::{
    AttachmentId, InstanceId, NetworkInterfaceId, Timestamp,
    record::{Attachment, AttachmentState, Instance, InstanceState, NetworkInterface, Scope},
};

use super::{check_own, of_instance};
use crate::{
    allocate,
    call::{Answer, Call, required, text},
    catalogue::instance_type,
};

/// Ties an interface to an instance.
pub(crate) fn tie(
    call: &Call,
    tx: &mut Transaction,
    interface: &NetworkInterfaceId,
    instance: &InstanceId,
    device_index: u32,
    delete_on_termination: bool,
    state: AttachmentState,
) -> AttachmentId {
    let attachment = Attachment {
        id: AttachmentId::new(call.random()),
        instance_id: instance.clone(),
        device_index,
        delete_on_termination,
        attach_time: call.now,
        state,
    };
    let id = attachment.id.clone();
    tx.update::<NetworkInterface>(&call.scope, interface.as_str(), |it| {
        it.attachment = Some(attachment);
        it.detached = None;
    });
    id
}

pub(crate) fn attach(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AttachNetworkInterfaceRequest,
) -> Answer<ec2::AttachNetworkInterfaceResult> {
    let id = &r.network_interface_id;
    let interface = required::<NetworkInterface>(tx, &call.scope, id, "NetworkInterfaceId")?;
    let instance = required::<Instance>(tx, &call.scope, &r.instance_id, "InstanceId")?;
    check_own(&interface)?;
    let Some(index) = r.device_index else {
        return Err(ApiError::missing_parameter("DeviceIndex"));
    };
    if r.network_card_index.unwrap_or(0) != 0 {
        let reason = "The instance has one network card, 0.";
        return Err(ApiError::invalid_value(
            r.network_card_index.unwrap_or(0),
            "networkCardIndex",
            reason,
        ));
    }
    if interface.attachment.is_some() {
        return Err(ApiError::new(
            "InvalidNetworkInterface.InUse",
            format!("Interface: [{}] in use.", interface.id),
        ));
    }
    if !matches!(instance.state, InstanceState::Running | InstanceState::Stopped) {
        return Err(ApiError::new(
            "IncorrectState",
            format!("Instance '{}' is not 'running' or 'stopped'.", instance.id),
        ));
    }
    if interface.availability_zone != instance.availability_zone {
        return Err(ApiError::invalid_parameter_combination(
            "You may not attach a network interface to an instance if they are not in the same \
             availability zone",
        ));
    }
    if interface.vpc_id != instance.vpc_id {
        return Err(ApiError::invalid_parameter_combination(
            "You may not attach a network interface to an instance if they are not in the same VPC",
        ));
    }
    let present = of_instance(tx, &instance.id);
    let index_of = |it: &Arc<NetworkInterface>| it.attachment.as_ref().map(|it| it.device_index);
    let Ok(device_index) = u32::try_from(index) else {
        return Err(ApiError::invalid_value(index, "deviceIndex", "It cannot be negative."));
    };
    if present.iter().any(|it| index_of(it) == Some(device_index)) {
        return Err(ApiError::device_index_in_use(&instance.id, index));
    }
    let limits = instance_type(&instance.instance_type);
    let (interfaces, addresses) = limits.map_or((2, 2), |it| (it.interfaces, it.addresses));
    if u32::try_from(present.len()).is_ok_and(|count| count >= interfaces) {
        return Err(ApiError::attachment_limit_exceeded(&instance.instance_type, interfaces));
    }
    allocate::check_address_count(interface.private_addresses.len(), addresses)?;
    allocate::check_address_count(interface.ipv6_addresses.len(), addresses)?;
    // A running instance gets it from the reconciler; a stopped one when it starts (ENI-4).
    let state = match instance.state {
        InstanceState::Running => AttachmentState::Attaching,
        _ => AttachmentState::Attached,
    };
    let id = tie(call, tx, &interface.id, &instance.id, device_index, false, state);
    Ok(ec2::AttachNetworkInterfaceResult {
        attachment_id: Some(id.to_string()),
        network_card_index: Some(0),
    })
}

pub(crate) fn detach(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DetachNetworkInterfaceRequest,
) -> Answer<()> {
    let id = text(&r.attachment_id, "AttachmentId")?;
    let resource = Resource::Attachment;
    id.parse::<AttachmentId>().map_err(|error| ApiError::malformed_id(resource, &error))?;
    let found = tx
        .referrers_with_keys::<NetworkInterface>(id)
        .find(|(key, _)| key.scope.as_ref() == Some(&call.scope));
    let Some((_, interface)) = found else { return Err(ApiError::not_found(resource, id)) };
    let interface = interface.clone();
    check_own(&interface)?;
    let Some(attachment) = &interface.attachment else {
        return Err(ApiError::not_found(resource, id));
    };
    if attachment.device_index == 0 {
        return Err(ApiError::primary_interface());
    }
    // What runs has it until the reconciler took it away; by force it is gone at once.
    let instance = tx.find::<Instance>(&call.scope, attachment.instance_id.as_str());
    let runs = instance.is_some_and(|it| it.state == InstanceState::Running);
    if !runs || r.force == Some(true) {
        untie(&call.scope, tx, &interface.id, call.now);
        return Ok(());
    }
    tx.update::<NetworkInterface>(&call.scope, interface.id.as_str(), |it| {
        if let Some(attachment) = &mut it.attachment {
            attachment.state = AttachmentState::Detaching;
        }
    });
    Ok(())
}

/// Ends the tie of an interface to an instance. Its primary IPv6 address is one no more.
pub(crate) fn untie(
    scope: &Scope,
    tx: &mut Transaction,
    interface: &NetworkInterfaceId,
    now: Timestamp,
) {
    tx.update::<NetworkInterface>(scope, interface.as_str(), |it| {
        it.detached = it.attachment.take().map(|attachment| (attachment, now));
        it.primary_ipv6 = false;
    });
}

/// Brings attachments that are under way to their end: those of an instance that is off now, or
/// the one that the instance was just given or lost.
pub(crate) fn settle(
    scope: &Scope,
    tx: &mut Transaction,
    instance: &InstanceId,
    only: Option<&NetworkInterfaceId>,
    now: Timestamp,
) {
    for interface in of_instance(tx, instance) {
        let state = interface.attachment.as_ref().map(|it| it.state);
        if only.is_some_and(|it| *it != interface.id) {
            continue;
        }
        match state {
            Some(AttachmentState::Attaching) => {
                tx.update::<NetworkInterface>(scope, interface.id.as_str(), |it| {
                    if let Some(attachment) = &mut it.attachment {
                        attachment.state = AttachmentState::Attached;
                    }
                });
            }
            Some(AttachmentState::Detaching) => untie(scope, tx, &interface.id, now),
            Some(AttachmentState::Attached) | None => {}
        }
    }
}
