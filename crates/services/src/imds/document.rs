//! Documents in JSON: the instance's identity (IMDS-32), what it has of a role (IMDS-26 to IMDS-28).

use gureum_types::{
    Timestamp,
    record::SessionCredential,
    view::{InstanceProfileView, InstanceView, InterfaceView, ProfileGives},
};
use serde_json::Value;

/// A document as AWS lays it out: one key a line, in order.
fn laid_out(keys: &[(&str, Value)]) -> String {
    let lines: Vec<_> = keys.iter().map(|(key, value)| format!("  \"{key}\" : {value}")).collect();
    format!("{{\n{}\n}}", lines.join(",\n"))
}

/// The identity document; what is unset is null.
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
    laid_out(&keys)
}

/// Where AWS explains what is wrong.
const HELP: &str = "Please see documentation at https://docs.aws.amazon.com/IAM/latest/UserGuide/\
                    troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc.";

fn failure(code: &str, message: &str, since: Timestamp) -> String {
    laid_out(&[
        ("Code", code.into()),
        ("Message", format!("{message} {HELP}").into()),
        ("LastUpdated", seconds(since).into()),
    ])
}

/// `iam/info` (IMDS-26).
pub(super) fn instance_profile(profile: &InstanceProfileView) -> String {
    let updated = match &profile.gives {
        ProfileGives::Deleted => {
            let message =
                format!("Instance Profile with InstanceProfileId {} cannot be found.", profile.id);
            return failure("InstanceProfileNotFound", &message, profile.associated);
        }
        ProfileGives::Unauthorized(role) => return unauthorized(profile, role),
        ProfileGives::Role(_, session) => session.issued,
        ProfileGives::NoRole | ProfileGives::Pending => profile.associated,
    };
    laid_out(&[
        ("Code", "Success".into()),
        ("LastUpdated", seconds(updated).into()),
        ("InstanceProfileArn", profile.arn.as_str().into()),
        ("InstanceProfileId", profile.id.as_str().into()),
    ])
}

/// What there is instead of credentials of a role that does not trust EC2 (IMDS-28).
pub(super) fn unauthorized(profile: &InstanceProfileView, role: &str) -> String {
    let message = format!("EC2 cannot assume the role {role}.");
    failure("AssumeRoleUnauthorizedAccess", &message, profile.associated)
}

/// `identity-credentials/ec2/info` (IMDS-30).
pub(super) fn identity_credentials(instance: &InstanceView, session: &SessionCredential) -> String {
    laid_out(&[
        ("Code", "Success".into()),
        ("LastUpdated", seconds(session.issued).into()),
        ("AccountId", instance.account.as_str().into()),
    ])
}

/// `iam/security-credentials/…` (IMDS-27) and those of the instance itself (IMDS-30).
pub(super) fn credentials(session: &SessionCredential) -> String {
    laid_out(&[
        ("Code", "Success".into()),
        ("LastUpdated", seconds(session.issued).into()),
        ("Type", "AWS-HMAC".into()),
        ("AccessKeyId", session.access_key_id.as_str().into()),
        ("SecretAccessKey", session.secret.as_str().into()),
        ("Token", session.token.as_str().into()),
        ("Expiration", seconds(session.expires).into()),
    ])
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
