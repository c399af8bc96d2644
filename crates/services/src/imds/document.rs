//! The instance identity document (IMDS-32).

use gureum_types::{
    Timestamp,
    view::{InstanceView, InterfaceView},
};
use serde_json::Value;

/// The document as AWS lays it out: one key a line, in order, unset ones null.
pub(super) fn identity(instance: &InstanceView, primary: Option<&InterfaceView>) -> String {
    let address = primary.and_then(|interface| interface.private_addresses.first());
    let keys = [
        ("accountId", Value::from(instance.account.as_str())),
        ("architecture", architecture().into()),
        ("availabilityZone", instance.availability_zone.as_str().into()),
        ("billingProducts", Value::Null),
        ("devpayProductCodes", Value::Null),
        ("marketplaceProductCodes", Value::Null),
        ("imageId", instance.image_id.as_str().into()),
        ("instanceId", instance.instance_id.as_str().into()),
        ("instanceType", instance.instance_type.as_str().into()),
        ("kernelId", Value::Null),
        ("pendingTime", seconds(instance.pending_time).into()),
        ("privateIp", address.map(ToString::to_string).into()),
        ("ramdiskId", Value::Null),
        ("region", instance.region.as_str().into()),
        ("version", "2017-09-30".into()),
    ];
    let lines: Vec<_> = keys.iter().map(|(key, value)| format!("  \"{key}\" : {value}")).collect();
    format!("{{\n{}\n}}", lines.join(",\n"))
}

/// Instances run on the processor of this machine, whatever their type is called.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}

/// `2021-09-03T01:02:03Z`
fn seconds(time: Timestamp) -> String {
    let whole = Timestamp::from_seconds(time.seconds()).to_string();
    whole.replace(".000Z", "Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_no_fraction() {
        assert_eq!(seconds(Timestamp(1_630_630_923_045)), "2021-09-03T01:02:03Z");
    }
}
