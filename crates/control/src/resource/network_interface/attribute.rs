//! Attributes of interfaces: one a call.

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{ConnectionTracking, NetworkInterface, Subnet};

use super::{check_own, groups, shown, shown_groups};
use crate::{
    call::{Answer, Call, find, required, text},
    resource::public_ip,
};

/// Idle timeouts as a request wants them, over those that are there; each has its range (SGT-9).
pub(crate) fn tracking(
    wanted: Option<&ec2::ConnectionTrackingSpecificationRequest>,
    present: ConnectionTracking,
) -> Answer<ConnectionTracking> {
    let Some(wanted) = wanted else { return Ok(present) };
    let checked = |value: Option<i32>, name: &str, (least, most), present| match value {
        None => Ok(present),
        Some(seconds) => match u32::try_from(seconds) {
            Ok(seconds) if (least..=most).contains(&seconds) => Ok(Some(seconds)),
            _ => {
                let reason = format!("Expecting a value between {least} and {most}.");
                Err(ApiError::invalid_value(seconds, name, &reason))
            }
        },
    };
    Ok(ConnectionTracking {
        tcp_established: checked(
            wanted.tcp_established_timeout,
            "tcpEstablishedTimeout",
            (60, 432_000),
            present.tcp_established,
        )?,
        udp: checked(wanted.udp_timeout, "udpTimeout", (30, 60), present.udp)?,
        udp_stream: checked(
            wanted.udp_stream_timeout,
            "udpStreamTimeout",
            (60, 180),
            present.udp_stream,
        )?,
    })
}

fn seconds(value: Option<u32>) -> Option<i32> {
    value.and_then(|it| i32::try_from(it).ok())
}

/// Timeouts as answers about interfaces show them: only where some are set.
pub(super) fn shown_tracking(
    interface: &NetworkInterface,
) -> Option<ec2::ConnectionTrackingConfiguration> {
    let it = interface.connection_tracking;
    (it != ConnectionTracking::default()).then(|| ec2::ConnectionTrackingConfiguration {
        tcp_established_timeout: seconds(it.tcp_established),
        udp_stream_timeout: seconds(it.udp_stream),
        udp_timeout: seconds(it.udp),
    })
}

/// The same as answers about instances show them.
pub(crate) fn shown_tracking_of_instance(
    interface: &NetworkInterface,
) -> Option<ec2::ConnectionTrackingSpecificationResponse> {
    shown_tracking(interface).map(|it| ec2::ConnectionTrackingSpecificationResponse {
        tcp_established_timeout: it.tcp_established_timeout,
        udp_stream_timeout: it.udp_stream_timeout,
        udp_timeout: it.udp_timeout,
    })
}

/// What is switched on stays so until the interface is detached.
fn primary_ipv6(interface: &NetworkInterface, value: bool) -> Answer<bool> {
    if value && interface.ipv6_addresses.is_empty() {
        return Err(ApiError::invalid_parameter_value(format!(
            "The network interface '{}' has no IPv6 address that could be its primary one.",
            interface.id
        )));
    }
    if !value && interface.primary_ipv6 {
        return Err(ApiError::invalid_parameter_value(format!(
            "The primary IPv6 address of the network interface '{}' cannot be disabled.",
            interface.id
        )));
    }
    Ok(value)
}

/// Shows one attribute.
pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeNetworkInterfaceAttributeRequest,
) -> Answer<ec2::DescribeNetworkInterfaceAttributeResult> {
    let id = &r.network_interface_id;
    let interface = required::<NetworkInterface>(records, &call.scope, id, "NetworkInterfaceId")?;
    let mut answer = ec2::DescribeNetworkInterfaceAttributeResult {
        network_interface_id: Some(interface.id.to_string()),
        ..Default::default()
    };
    match text(&r.attribute, "Attribute")? {
        "attachment" => answer.attachment = shown(call, records, &interface).attachment,
        "description" => {
            let value = Some(interface.description.clone());
            answer.description = Some(ec2::AttributeValue { value });
        }
        "groupSet" => answer.groups = shown_groups(call, records, &interface.groups),
        "sourceDestCheck" => {
            let value = Some(interface.source_dest_check);
            answer.source_dest_check = Some(ec2::AttributeBooleanValue { value });
        }
        "associatePublicIpAddress" => {
            answer.associate_public_ip_address = Some(interface.associate_public_ip);
        }
        other => return Err(ApiError::invalid_value(other, "attribute", "Unknown attribute.")),
    }
    Ok(answer)
}

/// The only attribute that has something to go back to is the check of source and destination
/// (SDC-1).
pub(crate) fn reset(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ResetNetworkInterfaceAttributeRequest,
) -> Answer<()> {
    let id = &r.network_interface_id;
    let interface = required::<NetworkInterface>(tx, &call.scope, id, "NetworkInterfaceId")?;
    check_own(&interface)?;
    text(&r.source_dest_check, "SourceDestCheck")?;
    tx.update::<NetworkInterface>(&call.scope, interface.id.as_str(), |it| {
        it.source_dest_check = true;
    });
    Ok(())
}

/// One attribute a call.
pub(crate) fn modify(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyNetworkInterfaceAttributeRequest,
) -> Answer<()> {
    let id = &r.network_interface_id;
    let interface = required::<NetworkInterface>(tx, &call.scope, id, "NetworkInterfaceId")?;
    check_own(&interface)?;
    let mut changed = (*interface).clone();
    let mut named = Vec::new();
    if let Some(value) = r.description.as_ref().and_then(|it| it.value.clone()) {
        named.push("description");
        changed.description = value;
    }
    if let Some(value) = r.source_dest_check.as_ref().and_then(|it| it.value) {
        named.push("sourceDestCheck");
        changed.source_dest_check = value;
    }
    if !r.groups.is_empty() {
        named.push("groupSet");
        let subnet = find::<Subnet>(tx, &call.scope, interface.subnet_id.as_str())?;
        let too_many = ApiError::groups_per_interface_exceeded;
        changed.groups = groups(call, tx, &subnet, &r.groups, too_many)?;
    }
    if let Some(attachment) = &r.attachment {
        named.push("attachment");
        let Some(present) = &mut changed.attachment else {
            return Err(ApiError::incorrect_state(format!(
                "The network interface '{}' is not attached.",
                interface.id
            )));
        };
        let id = text(&attachment.attachment_id, "Attachment.AttachmentId")?;
        if present.id.as_str() != id {
            return Err(ApiError::not_found(Resource::Attachment, id));
        }
        let Some(value) = attachment.delete_on_termination else {
            return Err(ApiError::missing_parameter("Attachment.DeleteOnTermination"));
        };
        present.delete_on_termination = value;
    }
    if let Some(value) = r.associate_public_ip_address {
        named.push("associatePublicIpAddress");
        changed.associate_public_ip = value;
    }
    if let Some(specification) = &r.connection_tracking_specification {
        named.push("connectionTrackingSpecification");
        changed.connection_tracking = tracking(Some(specification), changed.connection_tracking)?;
    }
    if let Some(value) = r.enable_primary_ipv6 {
        named.push("enablePrimaryIpv6");
        changed.primary_ipv6 = primary_ipv6(&interface, value)?;
    }
    match named.as_slice() {
        [] => return Err(ApiError::missing_parameter("Attribute")),
        [_] => {}
        several => {
            return Err(ApiError::invalid_parameter_combination(format!(
                "Fields for multiple attribute types specified: {}",
                several.join(", ")
            )));
        }
    }
    let changed = tx.put(&call.scope, changed);
    match r.associate_public_ip_address {
        Some(true) => public_ip::assign(call, tx, &changed).map(|_| ()),
        Some(false) => {
            public_ip::release(call, tx, &changed);
            Ok(())
        }
        None => Ok(()),
    }
}
