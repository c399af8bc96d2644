//! Options of the metadata service and user data, at launch and later (IMDS-8, EC2-10).

use gureum_api::{ApiError, ec2};
use gureum_store::Snapshot;
use gureum_types::{Tags, record::MetadataOptions};

use crate::{
    call::{Answer, Call, given},
    catalogue::Image,
    resource::region_settings,
};

/// Bytes of user data (EC2-10).
const USER_DATA: usize = 16 * 1024;

/// IMDS-8: what the request says, else what the account wants, else what the image wants.
pub(crate) fn metadata_options(
    call: &Call,
    records: &Snapshot,
    image: &Image,
    wanted: Option<&ec2::InstanceMetadataOptionsRequest>,
) -> Answer<MetadataOptions> {
    let defaults = region_settings::of(call, records).metadata_defaults;
    let mut options = MetadataOptions {
        tokens_required: defaults.tokens_required.unwrap_or(image.imds_v2),
        hop_limit: defaults.hop_limit.unwrap_or(if image.imds_v2 { 2 } else { 1 }),
        enabled: defaults.enabled.unwrap_or(true),
        ipv6: false,
        tags: defaults.tags.unwrap_or(false),
    };
    if let Some(it) = wanted {
        change_metadata_options(
            &mut options,
            &it.http_tokens,
            it.http_put_response_hop_limit,
            &it.http_endpoint,
            &it.http_protocol_ipv6,
            &it.instance_metadata_tags,
        )?;
    }
    Ok(options)
}

/// Changes options of the metadata service by what a request says of them.
pub(crate) fn change_metadata_options(
    options: &mut MetadataOptions,
    tokens: &Option<String>,
    hop_limit: Option<i32>,
    endpoint: &Option<String>,
    ipv6: &Option<String>,
    tags: &Option<String>,
) -> Answer<()> {
    let choice =
        |value: &Option<String>, name: &str, off: &str, on: &str, field: &mut bool| match given(
            value,
        ) {
            None => Ok(()),
            Some(value) if value == off || value == on => {
                *field = value == on;
                Ok(())
            }
            Some(value) => {
                let reason = format!("Supported values are {off} and {on}.");
                Err(ApiError::invalid_value(value, name, &reason))
            }
        };
    choice(tokens, "httpTokens", "optional", "required", &mut options.tokens_required)?;
    choice(endpoint, "httpEndpoint", "disabled", "enabled", &mut options.enabled)?;
    choice(ipv6, "httpProtocolIpv6", "disabled", "enabled", &mut options.ipv6)?;
    choice(tags, "instanceMetadataTags", "disabled", "enabled", &mut options.tags)?;
    if let Some(limit) = hop_limit {
        options.hop_limit = match u8::try_from(limit) {
            Ok(limit) if (1..=64).contains(&limit) => limit,
            _ => {
                let reason = "It must be between 1 and 64.";
                return Err(ApiError::invalid_value(limit, "httpPutResponseHopLimit", reason));
            }
        };
    }
    Ok(())
}

/// Keys that would be no names of items of the metadata service (IMDS-29).
pub(crate) fn check_metadata_tags(options: &MetadataOptions, tags: &Tags) -> Answer<()> {
    let bad =
        |key: &&String| key.contains([' ', '/']) || matches!(key.as_str(), "." | ".." | "_index");
    match tags.keys().find(bad) {
        Some(key) if options.tags => Err(ApiError::invalid_parameter_value(format!(
            "'{key}' is not a valid tag key. Tag keys must match pattern \
             ([0-9a-zA-Z\\-_+=,.@:]{{1,255}}), and must not be a reserved name ('.', '..', \
             '_index')"
        ))),
        _ => Ok(()),
    }
}

/// User data as the metadata service shows them (EC2-10).
pub(crate) fn user_data(bytes: Vec<u8>) -> Answer<Option<Vec<u8>>> {
    match bytes.len() {
        0 => Ok(None),
        length if length > USER_DATA => {
            Err(ApiError::invalid_parameter_value("User data is limited to 16384 bytes"))
        }
        _ => Ok(Some(bytes)),
    }
}
