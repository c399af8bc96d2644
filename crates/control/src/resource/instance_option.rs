//! Options of instances that are recorded: monitoring, maintenance, placement; and calls about an
//! instance's console that a container has no answer to.

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{Instance, InstanceState};

use crate::{
    call::{Answer, Call, given},
    resource::{instance, placement_group},
};

fn set_monitoring(
    call: &Call,
    tx: &mut Transaction,
    ids: &[String],
    on: bool,
    state: &str,
) -> Answer<Vec<ec2::InstanceMonitoring>> {
    if ids.is_empty() {
        return Err(ApiError::missing_parameter("InstanceId"));
    }
    let found = instance::named(call, tx, ids)?;
    let over = |state| matches!(state, InstanceState::ShuttingDown | InstanceState::Terminated);
    if let Some(bad) = found.iter().find(|it| over(it.state)) {
        return Err(ApiError::incorrect_instance_state(format!(
            "The instance '{}' is not in a state from which its monitoring can be changed.",
            bad.id
        )));
    }
    let mut answers = Vec::new();
    for instance in found {
        tx.update::<Instance>(&call.scope, instance.id.as_str(), |it| it.monitoring = on);
        answers.push(ec2::InstanceMonitoring {
            instance_id: Some(instance.id.to_string()),
            monitoring: Some(ec2::Monitoring { state: Some(state.to_owned()) }),
        });
    }
    Ok(answers)
}

pub(crate) fn monitor(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::MonitorInstancesRequest,
) -> Answer<ec2::MonitorInstancesResult> {
    let instance_monitorings = set_monitoring(call, tx, &r.instance_ids, true, "pending")?;
    Ok(ec2::MonitorInstancesResult { instance_monitorings })
}

pub(crate) fn unmonitor(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::UnmonitorInstancesRequest,
) -> Answer<ec2::UnmonitorInstancesResult> {
    let instance_monitorings = set_monitoring(call, tx, &r.instance_ids, false, "disabling")?;
    Ok(ec2::UnmonitorInstancesResult { instance_monitorings })
}

pub(crate) fn modify_maintenance(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyInstanceMaintenanceOptionsRequest,
) -> Answer<ec2::ModifyInstanceMaintenanceOptionsResult> {
    let present = instance::for_console(call, tx, &r.instance_id)?;
    let disabled = |value: &Option<String>, present: bool| match given(value) {
        None => present,
        Some(value) => value == "disabled",
    };
    let mut changed = (*present).clone();
    changed.auto_recovery_disabled = disabled(&r.auto_recovery, present.auto_recovery_disabled);
    changed.reboot_migration_disabled =
        disabled(&r.reboot_migration, present.reboot_migration_disabled);
    let shown = instance::shown_maintenance(&changed);
    tx.put(&call.scope, changed);
    Ok(ec2::ModifyInstanceMaintenanceOptionsResult {
        instance_id: Some(present.id.to_string()),
        auto_recovery: shown.auto_recovery,
        reboot_migration: shown.reboot_migration,
    })
}

/// Only while it is stopped. An empty group name takes it out of its group.
pub(crate) fn modify_placement(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyInstancePlacementRequest,
) -> Answer<ec2::ModifyInstancePlacementResult> {
    let present = instance::for_console(call, tx, &r.instance_id)?;
    if present.state != InstanceState::Stopped {
        return Err(ApiError::incorrect_instance_state(format!(
            "The instance '{}' is not in the 'stopped' state. Its placement can be modified only \
             then.",
            present.id
        )));
    }
    let mut changed = (*present).clone();
    let names_group = given(&r.group_name).is_some() || given(&r.group_id).is_some();
    if !names_group && r.partition_number.is_none() && given(&r.tenancy).is_none() {
        // An empty name is no name once it is decoded, and all that such a request can say.
        changed.placed = None;
    } else if names_group || r.partition_number.is_some() {
        let name = match (names_group, &present.placed) {
            (false, Some(placed)) => Some(placed.group_name.clone()),
            _ => r.group_name.clone(),
        };
        changed.placed = placement_group::placed(call, tx, &name, &r.group_id, r.partition_number)?;
    }
    if let Some(tenancy) = given(&r.tenancy) {
        check_tenancy(tenancy)?;
        tenancy.clone_into(&mut changed.tenancy);
    }
    tx.put(&call.scope, changed);
    Ok(ec2::ModifyInstancePlacementResult { r#return: Some(true) })
}

/// There are no dedicated hosts to be placed on.
pub(crate) fn check_tenancy(tenancy: &str) -> Answer<()> {
    match tenancy {
        "default" | "dedicated" => Ok(()),
        "host" => Err(ApiError::unsupported_operation(
            "The tenancy host is not supported: there are no dedicated hosts.",
        )),
        other => {
            let reason = "Supported values are default, dedicated and host.";
            Err(ApiError::invalid_value(other, "tenancy", reason))
        }
    }
}

/// Instances have a text console and no screen.
pub(crate) fn console_screenshot(
    call: &Call,
    records: &Snapshot,
    r: &ec2::GetConsoleScreenshotRequest,
) -> Answer<ec2::GetConsoleScreenshotResult> {
    let instance = instance::for_console(call, records, &r.instance_id)?;
    Err(ApiError::unsupported_operation(format!(
        "The instance '{}' has a text console only: use GetConsoleOutput.",
        instance.id
    )))
}

/// Linux has no administrator's password: the answer is empty, as on AWS.
pub(crate) fn password_data(
    call: &Call,
    records: &Snapshot,
    r: &ec2::GetPasswordDataRequest,
) -> Answer<ec2::GetPasswordDataResult> {
    let instance = instance::for_console(call, records, &r.instance_id)?;
    Ok(ec2::GetPasswordDataResult {
        instance_id: Some(instance.id.to_string()),
        timestamp: Some(instance.launch_time),
        password_data: Some(String::new()),
    })
}

/// Instances share the machine's kernel, which must not be interrupted for one of them.
pub(crate) fn diagnostic_interrupt(
    call: &Call,
    records: &Snapshot,
    r: &ec2::SendDiagnosticInterruptRequest,
) -> Answer<()> {
    let instance = instance::for_console(call, records, &r.instance_id)?;
    Err(ApiError::unsupported_operation(format!(
        "The instance '{}' has no kernel of its own to interrupt.",
        instance.id
    )))
}
