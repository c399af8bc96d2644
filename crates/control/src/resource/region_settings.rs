//! What an account has set for a region: encryption of new volumes, options of the metadata service
//! where a launch says nothing (IMDS-8).

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{MetadataDefaults, RegionSettings};

use crate::call::{Answer, Call, given, text};

/// The key of the one record that there is in a region.
const KEY: &str = "settings";
/// The key that AWS has for volumes, by its alias.
const AWS_KEY: &str = "alias/aws/ebs";

/// The settings of the caller's region.
pub(crate) fn of(call: &Call, records: &Snapshot) -> RegionSettings {
    let found = records.find::<RegionSettings>(&call.scope, KEY);
    found.map(|it| (**it).clone()).unwrap_or_default()
}

fn change(call: &Call, tx: &mut Transaction, change: impl FnOnce(&mut RegionSettings)) {
    let mut settings = of(call, tx);
    change(&mut settings);
    tx.put(&call.scope, settings);
}

pub(crate) fn ebs_encryption(
    call: &Call,
    records: &Snapshot,
    _: &ec2::GetEbsEncryptionByDefaultRequest,
) -> Answer<ec2::GetEbsEncryptionByDefaultResult> {
    let on = of(call, records).ebs_encryption;
    Ok(ec2::GetEbsEncryptionByDefaultResult {
        ebs_encryption_by_default: Some(on),
        sse_type: Some(if on { "sse-kms" } else { "none" }.into()),
    })
}

pub(crate) fn enable_ebs_encryption(
    call: &Call,
    tx: &mut Transaction,
    _: &ec2::EnableEbsEncryptionByDefaultRequest,
) -> Answer<ec2::EnableEbsEncryptionByDefaultResult> {
    change(call, tx, |settings| settings.ebs_encryption = true);
    Ok(ec2::EnableEbsEncryptionByDefaultResult { ebs_encryption_by_default: Some(true) })
}

pub(crate) fn disable_ebs_encryption(
    call: &Call,
    tx: &mut Transaction,
    _: &ec2::DisableEbsEncryptionByDefaultRequest,
) -> Answer<ec2::DisableEbsEncryptionByDefaultResult> {
    change(call, tx, |settings| settings.ebs_encryption = false);
    Ok(ec2::DisableEbsEncryptionByDefaultResult { ebs_encryption_by_default: Some(false) })
}

fn key(settings: &RegionSettings) -> String {
    settings.ebs_kms_key_id.clone().unwrap_or_else(|| AWS_KEY.to_owned())
}

pub(crate) fn ebs_key(
    call: &Call,
    records: &Snapshot,
    _: &ec2::GetEbsDefaultKmsKeyIdRequest,
) -> Answer<ec2::GetEbsDefaultKmsKeyIdResult> {
    Ok(ec2::GetEbsDefaultKmsKeyIdResult { kms_key_id: Some(key(&of(call, records))) })
}

pub(crate) fn modify_ebs_key(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyEbsDefaultKmsKeyIdRequest,
) -> Answer<ec2::ModifyEbsDefaultKmsKeyIdResult> {
    let wanted = text(&r.kms_key_id, "KmsKeyId")?;
    // No keys are kept here; a key by its bare id is named in full, as AWS does.
    let name = match wanted {
        arn if arn.starts_with("arn:") => arn.to_owned(),
        alias if alias.starts_with("alias/") => {
            format!("arn:aws:kms:{}:{}:{alias}", call.region(), call.account())
        }
        id => format!("arn:aws:kms:{}:{}:key/{id}", call.region(), call.account()),
    };
    change(call, tx, |settings| settings.ebs_kms_key_id = Some(name.clone()));
    Ok(ec2::ModifyEbsDefaultKmsKeyIdResult { kms_key_id: Some(name) })
}

pub(crate) fn reset_ebs_key(
    call: &Call,
    tx: &mut Transaction,
    _: &ec2::ResetEbsDefaultKmsKeyIdRequest,
) -> Answer<ec2::ResetEbsDefaultKmsKeyIdResult> {
    change(call, tx, |settings| settings.ebs_kms_key_id = None);
    Ok(ec2::ResetEbsDefaultKmsKeyIdResult { kms_key_id: Some(AWS_KEY.to_owned()) })
}

/// Whether a new volume is encrypted, and by which key, where a request says that much.
pub(crate) fn encryption(
    call: &Call,
    records: &Snapshot,
    encrypted: Option<bool>,
    key_id: &Option<String>,
) -> Answer<(bool, Option<String>)> {
    let settings = of(call, records);
    let encrypted = encrypted == Some(true) || settings.ebs_encryption;
    match given(key_id) {
        Some(_) if !encrypted => Err(ApiError::new(
            "InvalidParameterDependency",
            "The parameter KmsKeyId requires the parameter Encrypted to be set.",
        )),
        Some(id) => Ok((true, Some(id.to_owned()))),
        None => Ok((encrypted, encrypted.then(|| key(&settings)))),
    }
}

pub(crate) fn metadata_defaults(
    call: &Call,
    records: &Snapshot,
    _: &ec2::GetInstanceMetadataDefaultsRequest,
) -> Answer<ec2::GetInstanceMetadataDefaultsResult> {
    let defaults = of(call, records).metadata_defaults;
    let word = |value: Option<bool>, off: &str, on: &str| {
        value.map(|value| if value { on } else { off }.to_owned())
    };
    let account_level = ec2::InstanceMetadataDefaultsResponse {
        http_tokens: word(defaults.tokens_required, "optional", "required"),
        http_put_response_hop_limit: defaults.hop_limit.map(Into::into),
        http_endpoint: word(defaults.enabled, "disabled", "enabled"),
        instance_metadata_tags: word(defaults.tags, "disabled", "enabled"),
        managed_by: Some("account".into()),
        ..Default::default()
    };
    Ok(ec2::GetInstanceMetadataDefaultsResult { account_level: Some(account_level) })
}

pub(crate) fn modify_metadata_defaults(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyInstanceMetadataDefaultsRequest,
) -> Answer<ec2::ModifyInstanceMetadataDefaultsResult> {
    let choice =
        |value: &Option<String>, name: &str, off: &str, on: &str, field: &mut Option<bool>| {
            *field = match given(value) {
                None => return Ok(()),
                Some("no-preference") => None,
                Some(value) if value == off => Some(false),
                Some(value) if value == on => Some(true),
                Some(value) => {
                    let reason = format!("Supported values are {off}, {on} and no-preference.");
                    return Err(ApiError::invalid_value(value, name, &reason));
                }
            };
            Ok(())
        };
    let mut defaults: MetadataDefaults = of(call, tx).metadata_defaults;
    let tokens = &mut defaults.tokens_required;
    choice(&r.http_tokens, "httpTokens", "optional", "required", tokens)?;
    choice(&r.http_endpoint, "httpEndpoint", "disabled", "enabled", &mut defaults.enabled)?;
    let tags = &mut defaults.tags;
    choice(&r.instance_metadata_tags, "instanceMetadataTags", "disabled", "enabled", tags)?;
    match r.http_put_response_hop_limit {
        None => {}
        Some(-1) => defaults.hop_limit = None,
        Some(limit) => match u8::try_from(limit) {
            Ok(limit) if (1..=64).contains(&limit) => defaults.hop_limit = Some(limit),
            _ => {
                let reason = "It must be between 1 and 64, or -1 for no preference.";
                return Err(ApiError::invalid_value(limit, "httpPutResponseHopLimit", reason));
            }
        },
    }
    change(call, tx, |settings| settings.metadata_defaults = defaults);
    Ok(ec2::ModifyInstanceMetadataDefaultsResult { r#return: Some(true) })
}
