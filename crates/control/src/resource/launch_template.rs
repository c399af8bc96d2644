//! Launch templates: what a launch says, kept in versions, and launches by them.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gureum_api::{ApiError, ec2, fill, keep, shape::Structure};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    LaunchTemplateId,
    record::{LaunchTemplate, LaunchTemplateVersion},
};
use serde_json::{Map, Value};

use crate::{
    call::{Answer, Call, find, given, text},
    filter::{Fields, flag, select, some},
    page::page,
    resource::{idempotency, instance, ssm},
    tags,
};

/// Tags of an instance that say which template it was launched by.
const ID_TAG: &str = "aws:ec2launchtemplate:id";
const VERSION_TAG: &str = "aws:ec2launchtemplate:version";

fn name_not_found(name: &str) -> ApiError {
    ApiError::new(
        "InvalidLaunchTemplateName.NotFoundException",
        format!("The specified launch template, with template name {name}, does not exist."),
    )
}

fn version_not_found(version: &str) -> ApiError {
    ApiError::new(
        "InvalidLaunchTemplateId.VersionNotFound",
        format!("Could not find the specified version {version} for the launch template."),
    )
}

fn by_name(call: &Call, records: &Snapshot, name: &str) -> Option<Arc<LaunchTemplate>> {
    records.all::<LaunchTemplate>(&call.scope).find(|it| it.name == name).cloned()
}

/// The template that a request names by its id or its name.
fn named(
    call: &Call,
    records: &Snapshot,
    id: &Option<String>,
    name: &Option<String>,
) -> Answer<Arc<LaunchTemplate>> {
    match (given(id), given(name)) {
        (Some(id), None) => find::<LaunchTemplate>(records, &call.scope, id),
        (None, Some(name)) => by_name(call, records, name).ok_or_else(|| name_not_found(name)),
        (None, None) => Err(ApiError::missing_parameter("LaunchTemplateId")),
        (Some(_), Some(_)) => Err(ApiError::invalid_parameter_combination(
            "Either launch template ID or launch template name must be specified, but not both.",
        )),
    }
}

/// A version by its number, or by `$Latest` or `$Default`.
fn version<'a>(template: &'a LaunchTemplate, wanted: &str) -> Answer<&'a LaunchTemplateVersion> {
    let number = match wanted {
        "$Latest" => Some(template.latest_version),
        "$Default" => Some(template.default_version),
        number => number.parse().ok(),
    };
    let number = number.ok_or_else(|| {
        let reason = "It must be a version number, $Latest or $Default.";
        ApiError::invalid_value(wanted, "launchTemplateVersion", reason)
    })?;
    // The latest may have been deleted; then it is the highest that is left.
    let versions = &template.versions;
    match wanted {
        "$Latest" => versions.last(),
        _ => versions.iter().find(|it| it.number == number),
    }
    .ok_or_else(|| version_not_found(wanted))
}

fn kept(version: &LaunchTemplateVersion) -> Map<String, Value> {
    serde_json::from_str(&version.data).unwrap_or_default()
}

fn shown(template: &LaunchTemplate) -> ec2::LaunchTemplate {
    ec2::LaunchTemplate {
        launch_template_id: Some(template.id.to_string()),
        launch_template_name: Some(template.name.clone()),
        create_time: Some(template.created),
        created_by: Some(template.created_by.clone()),
        default_version_number: Some(template.default_version),
        latest_version_number: Some(template.latest_version),
        tags: tags::shown(&template.tags),
        operator: Some(ec2::OperatorResponse { managed: Some(false), ..Default::default() }),
    }
}

fn shown_version(
    template: &LaunchTemplate,
    version: &LaunchTemplateVersion,
) -> ec2::LaunchTemplateVersion {
    let mut data = ec2::ResponseLaunchTemplateData::default();
    fill(&mut data, &kept(version));
    ec2::LaunchTemplateVersion {
        launch_template_id: Some(template.id.to_string()),
        launch_template_name: Some(template.name.clone()),
        version_number: Some(version.number),
        version_description: version.description.clone(),
        create_time: Some(version.created),
        created_by: Some(version.created_by.clone()),
        default_version: Some(version.number == template.default_version),
        launch_template_data: Some(data),
        operator: Some(ec2::OperatorResponse { managed: Some(false), ..Default::default() }),
    }
}

const FIELDS: &Fields<ec2::LaunchTemplate> = &[
    ("create-time", |it| it.create_time.iter().map(ToString::to_string).collect()),
    ("launch-template-id", |it| some(&it.launch_template_id)),
    ("launch-template-name", |it| some(&it.launch_template_name)),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeLaunchTemplatesRequest,
) -> Answer<ec2::DescribeLaunchTemplatesResult> {
    let mut found = Vec::new();
    for id in &r.launch_template_ids {
        found.push(find::<LaunchTemplate>(records, &call.scope, id)?);
    }
    for name in &r.launch_template_names {
        found.push(by_name(call, records, name).ok_or_else(|| name_not_found(name))?);
    }
    if r.launch_template_ids.is_empty() && r.launch_template_names.is_empty() {
        found.extend(records.all::<LaunchTemplate>(&call.scope).cloned());
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    let templates = found.iter().map(|template| shown(template)).collect();
    let templates = select(templates, &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (launch_templates, next_token) =
        page(templates, r.max_results, &r.next_token, |it| it.launch_template_id.as_deref())?;
    Ok(ec2::DescribeLaunchTemplatesResult { launch_templates, next_token })
}

macro_rules! of_data {
    ($($field:ident).+) => {
        |it| {
            let data = it.launch_template_data.iter();
            data.filter_map(|it| of_data!(@ it, $($field).+).map(|it| it.to_string())).collect()
        }
    };
    (@ $it:ident, $field:ident) => { $it.$field.as_ref() };
    (@ $it:ident, $outer:ident . $field:ident) => {
        $it.$outer.as_ref().and_then(|it| it.$field.as_ref())
    };
}

const VERSION_FIELDS: &Fields<ec2::LaunchTemplateVersion> = &[
    ("create-time", |it| it.create_time.iter().map(ToString::to_string).collect()),
    ("ebs-optimized", of_data!(ebs_optimized)),
    ("http-endpoint", of_data!(metadata_options.http_endpoint)),
    ("http-protocol-ipv4", |_| Vec::new()),
    ("http-tokens", of_data!(metadata_options.http_tokens)),
    ("host-resource-group-arn", of_data!(placement.host_resource_group_arn)),
    ("iam-instance-profile", of_data!(iam_instance_profile.arn)),
    ("image-id", of_data!(image_id)),
    ("instance-type", of_data!(instance_type)),
    ("is-default-version", |it| flag(it.default_version)),
    ("kernel-id", of_data!(kernel_id)),
    ("license-configuration-arn", |_| Vec::new()),
    ("network-card-index", |_| Vec::new()),
    ("ram-disk-id", of_data!(ram_disk_id)),
];

pub(crate) fn describe_versions(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeLaunchTemplateVersionsRequest,
) -> Answer<ec2::DescribeLaunchTemplateVersionsResult> {
    let number = |value: &Option<String>, name: &str, otherwise: i64| match given(value) {
        None => Ok(otherwise),
        Some(text) => text
            .parse::<i64>()
            .map_err(|_| ApiError::invalid_value(text, name, "It must be a version number.")),
    };
    let range =
        number(&r.min_version, "minVersion", 1)?..=number(&r.max_version, "maxVersion", i64::MAX)?;
    let bounded = given(&r.min_version).is_some() || given(&r.max_version).is_some();
    if bounded && !r.versions.is_empty() {
        return Err(ApiError::invalid_parameter_combination(
            "The parameters minVersion and maxVersion cannot be used with versions.",
        ));
    }
    let mut found = Vec::new();
    if given(&r.launch_template_id).is_none() && given(&r.launch_template_name).is_none() {
        // Of all templates only what each of them has.
        let general = |it: &String| matches!(it.as_str(), "$Latest" | "$Default");
        if r.versions.is_empty() || !r.versions.iter().all(general) {
            return Err(ApiError::missing_parameter("LaunchTemplateId"));
        }
        for template in records.all::<LaunchTemplate>(&call.scope) {
            for wanted in &r.versions {
                found.push(shown_version(template, version(template, wanted)?));
            }
        }
    } else {
        let template = named(call, records, &r.launch_template_id, &r.launch_template_name)?;
        for wanted in &r.versions {
            found.push(shown_version(&template, version(&template, wanted)?));
        }
        if r.versions.is_empty() {
            let all = template.versions.iter().filter(|it| range.contains(&it.number));
            found.extend(all.map(|it| shown_version(&template, it)));
        }
    }
    if r.resolve_alias == Some(true) {
        for it in found.iter_mut().filter_map(|it| it.launch_template_data.as_mut()) {
            let alias = it.image_id.as_deref().and_then(|id| id.strip_prefix("resolve:ssm:"));
            if let Some(alias) = alias {
                it.image_id = Some(ssm::aliased_image(call, records, alias)?);
            }
        }
    }
    let found = select(found, &r.filters, VERSION_FIELDS, None)?;
    // Newest first, as AWS lists them.
    let place = |it: &ec2::LaunchTemplateVersion| {
        let id = it.launch_template_id.clone().unwrap_or_default();
        format!("{id} {:019}", i64::MAX - it.version_number.unwrap_or_default())
    };
    let mut found: Vec<_> = found.into_iter().map(|it| (place(&it), it)).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|a, b| a.0 == b.0);
    let (found, next_token) =
        page(found, r.max_results, &r.next_token, |(place, _)| Some(place.as_str()))?;
    let launch_template_versions = found.into_iter().map(|(_, it)| it).collect();
    Ok(ec2::DescribeLaunchTemplateVersionsResult { launch_template_versions, next_token })
}

/// What a request wants kept, checked as far as AWS does before a launch.
fn data(wanted: &Option<ec2::RequestLaunchTemplateData>) -> Answer<Map<String, Value>> {
    let wanted = wanted.as_ref().map(|it| keep(it)).unwrap_or_default();
    if wanted.is_empty() {
        return Err(ApiError::missing_parameter("LaunchTemplateData"));
    }
    if let Some(Value::String(text)) = wanted.get("UserData") {
        let joined: String = text.split_ascii_whitespace().collect();
        STANDARD.decode(joined).map_err(|_| {
            ApiError::new("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
        })?;
    }
    Ok(wanted)
}

fn caller(call: &Call) -> String {
    format!("arn:aws:iam::{}:root", call.account())
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateLaunchTemplateRequest,
) -> Answer<ec2::CreateLaunchTemplateResult> {
    let answer = |template: &LaunchTemplate| ec2::CreateLaunchTemplateResult {
        launch_template: Some(shown(template)),
        ..Default::default()
    };
    let make = |tx: &mut Transaction| {
        let name = text(&r.launch_template_name, "LaunchTemplateName")?;
        let fits = |c: char| c.is_ascii_alphanumeric() || "().-/_".contains(c);
        if !(3..=128).contains(&name.len()) || !name.chars().all(fits) {
            return Err(ApiError::new(
                "InvalidLaunchTemplateName.MalformedException",
                "A launch template name must be between 3 and 128 characters, and may contain \
                 letters, numbers, and the following characters: - ( ) . / _",
            ));
        }
        let data = data(&r.launch_template_data)?;
        if by_name(call, tx, name).is_some() {
            return Err(ApiError::new(
                "InvalidLaunchTemplateName.AlreadyExistsException",
                "Launch template name already in use.",
            ));
        }
        let first = LaunchTemplateVersion {
            number: 1,
            description: given(&r.version_description).map(str::to_owned),
            created_by: caller(call),
            data: Value::Object(data).to_string(),
            created: call.now,
        };
        let template = LaunchTemplate {
            id: LaunchTemplateId::new(call.random()),
            name: name.to_owned(),
            created_by: caller(call),
            default_version: 1,
            latest_version: 1,
            versions: vec![first],
            created: call.now,
            tags: tags::on_creation::<LaunchTemplate>(&r.tag_specifications)?,
        };
        let template = tx.put(&call.scope, template);
        Ok((vec![template.id.to_string()], answer(&template)))
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let template = made.first().and_then(|id| tx.find::<LaunchTemplate>(&call.scope, id));
        Ok(template.map(|template| answer(template)))
    };
    idempotency::once(call, tx, "CreateLaunchTemplate", &r.client_token, r, make, again)
}

/// A source version gives what the request does not say.
pub(crate) fn create_version(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateLaunchTemplateVersionRequest,
) -> Answer<ec2::CreateLaunchTemplateVersionResult> {
    let shown = |template: &LaunchTemplate, number: i64| {
        let version = template.versions.iter().find(|it| it.number == number)?;
        Some(ec2::CreateLaunchTemplateVersionResult {
            launch_template_version: Some(shown_version(template, version)),
            ..Default::default()
        })
    };
    let make = |tx: &mut Transaction| {
        let template = named(call, tx, &r.launch_template_id, &r.launch_template_name)?;
        let mut data = data(&r.launch_template_data)?;
        if let Some(source) = given(&r.source_version) {
            let mut base = kept(version(&template, source)?);
            overlay(&mut base, data);
            data = base;
        }
        let number = template.latest_version + 1;
        let version = LaunchTemplateVersion {
            number,
            description: given(&r.version_description).map(str::to_owned),
            created_by: caller(call),
            data: Value::Object(data).to_string(),
            created: call.now,
        };
        let mut changed = (*template).clone();
        changed.latest_version = number;
        changed.versions.push(version);
        let template = tx.put(&call.scope, changed);
        let answer = shown(&template, number).ok_or_else(|| ApiError::internal_error("lost"))?;
        Ok((vec![template.id.to_string(), number.to_string()], answer))
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let [id, number] = made else { return Ok(None) };
        let template = tx.find::<LaunchTemplate>(&call.scope, id);
        Ok(template.zip(number.parse().ok()).and_then(|(it, number)| shown(it, number)))
    };
    idempotency::once(call, tx, "CreateLaunchTemplateVersion", &r.client_token, r, make, again)
}

/// Only which version is the default one can change.
pub(crate) fn modify(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyLaunchTemplateRequest,
) -> Answer<ec2::ModifyLaunchTemplateResult> {
    let template = named(call, tx, &r.launch_template_id, &r.launch_template_name)?;
    let mut changed = (*template).clone();
    if let Some(wanted) = given(&r.default_version) {
        changed.default_version = version(&template, wanted)?.number;
    }
    let template = tx.put(&call.scope, changed);
    Ok(ec2::ModifyLaunchTemplateResult { launch_template: Some(shown(&template)) })
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteLaunchTemplateRequest,
) -> Answer<ec2::DeleteLaunchTemplateResult> {
    let template = named(call, tx, &r.launch_template_id, &r.launch_template_name)?;
    tx.remove::<LaunchTemplate>(&call.scope, template.id.as_str());
    Ok(ec2::DeleteLaunchTemplateResult { launch_template: Some(shown(&template)) })
}

/// Each version has an outcome of its own; the default one stays.
pub(crate) fn delete_versions(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteLaunchTemplateVersionsRequest,
) -> Answer<ec2::DeleteLaunchTemplateVersionsResult> {
    let template = named(call, tx, &r.launch_template_id, &r.launch_template_name)?;
    if r.versions.is_empty() {
        return Err(ApiError::missing_parameter("Versions"));
    }
    let mut changed = (*template).clone();
    let mut answer = ec2::DeleteLaunchTemplateVersionsResult::default();
    let (id, name) = (Some(template.id.to_string()), Some(template.name.clone()));
    for wanted in &r.versions {
        let number = wanted.parse::<i64>().map_err(|_| {
            ApiError::invalid_value(wanted, "versions", "It must be a version number.")
        })?;
        let (code, message) = if number == template.default_version {
            ("unexpectedError", "The default version of a launch template cannot be deleted.")
        } else if changed.versions.iter().any(|it| it.number == number) {
            changed.versions.retain(|it| it.number != number);
            answer.successfully_deleted_launch_template_versions.push(
                ec2::DeleteLaunchTemplateVersionsResponseSuccessItem {
                    launch_template_id: id.clone(),
                    launch_template_name: name.clone(),
                    version_number: Some(number),
                },
            );
            continue;
        } else {
            ("launchTemplateVersionDoesNotExist", "Could not find the specified version.")
        };
        answer.unsuccessfully_deleted_launch_template_versions.push(
            ec2::DeleteLaunchTemplateVersionsResponseErrorItem {
                launch_template_id: id.clone(),
                launch_template_name: name.clone(),
                version_number: Some(number),
                response_error: Some(ec2::ResponseError {
                    code: Some(code.to_owned()),
                    message: Some(message.to_owned()),
                }),
            },
        );
    }
    tx.put(&call.scope, changed);
    Ok(answer)
}

/// What an instance could have been launched by.
pub(crate) fn of_instance(
    call: &Call,
    records: &Snapshot,
    r: &ec2::GetLaunchTemplateDataRequest,
) -> Answer<ec2::GetLaunchTemplateDataResult> {
    let instance = instance::for_console(call, records, &r.instance_id)?;
    let shown = instance::shown(call, records, &instance);
    let interfaces = shown.network_interfaces.iter().map(|it| {
        ec2::LaunchTemplateInstanceNetworkInterfaceSpecification {
            associate_public_ip_address: Some(it.association.is_some()),
            delete_on_termination: it.attachment.as_ref().and_then(|it| it.delete_on_termination),
            description: it.description.clone(),
            device_index: it.attachment.as_ref().and_then(|it| it.device_index),
            groups: it.groups.iter().filter_map(|it| it.group_id.clone()).collect(),
            interface_type: it.interface_type.clone(),
            network_card_index: Some(0),
            private_ip_addresses: it
                .private_ip_addresses
                .iter()
                .map(|it| ec2::PrivateIpAddressSpecification {
                    primary: it.primary,
                    private_ip_address: it.private_ip_address.clone(),
                })
                .collect(),
            subnet_id: it.subnet_id.clone(),
            ..Default::default()
        }
    });
    let volumes = instance::volumes(records, &instance);
    let mappings = volumes.iter().filter_map(|volume| {
        let attachment = volume.attachment.as_ref()?;
        Some(ec2::LaunchTemplateBlockDeviceMapping {
            device_name: Some(attachment.device.clone()),
            ebs: Some(ec2::LaunchTemplateEbsBlockDevice {
                encrypted: Some(volume.encrypted),
                delete_on_termination: Some(attachment.delete_on_termination),
                iops: volume.iops.and_then(|it| i32::try_from(it).ok()),
                snapshot_id: volume.snapshot_id.as_ref().map(ToString::to_string),
                volume_size: i32::try_from(volume.size).ok(),
                volume_type: Some(volume.volume_type.clone()),
                throughput: volume.throughput.and_then(|it| i32::try_from(it).ok()),
                ..Default::default()
            }),
            ..Default::default()
        })
    });
    let mut own_tags = instance.tags.clone();
    own_tags.retain(|key, _| !key.starts_with("aws:"));
    let specification = ec2::LaunchTemplateTagSpecification {
        resource_type: Some("instance".into()),
        tags: tags::shown(&own_tags),
    };
    let mut data = ec2::ResponseLaunchTemplateData {
        ebs_optimized: Some(instance.ebs_optimized),
        block_device_mappings: mappings.collect(),
        network_interfaces: interfaces.collect(),
        image_id: Some(instance.image_id.to_string()),
        instance_type: Some(instance.instance_type.clone()),
        key_name: instance.key_name.clone(),
        disable_api_termination: Some(instance.disable_api_termination),
        disable_api_stop: Some(instance.disable_api_stop),
        instance_initiated_shutdown_behavior: Some(
            instance.instance_initiated_shutdown_behavior.clone(),
        ),
        user_data: instance.user_data.as_ref().map(|bytes| STANDARD.encode(bytes)),
        tag_specifications: match own_tags.is_empty() {
            true => Vec::new(),
            false => vec![specification],
        },
        monitoring: Some(ec2::LaunchTemplatesMonitoring { enabled: Some(instance.monitoring) }),
        ..Default::default()
    };
    // Options whose structures have the same members here and there.
    let mut same = Map::new();
    let mut take = |name: &str, structure: Option<&dyn Structure>| {
        if let Some(structure) = structure {
            let mut kept = keep(structure);
            kept.remove("State");
            kept.remove("AvailabilityZoneId");
            kept.remove("RebootMigration");
            same.insert(name.to_owned(), Value::Object(kept));
        }
    };
    take("MetadataOptions", shown.metadata_options.as_ref().map(|it| it as &dyn Structure));
    take("Placement", shown.placement.as_ref().map(|it| it as &dyn Structure));
    take("HibernationOptions", shown.hibernation_options.as_ref().map(|it| it as &dyn Structure));
    take("MaintenanceOptions", shown.maintenance_options.as_ref().map(|it| it as &dyn Structure));
    let names = shown.private_dns_name_options.as_ref().map(|it| it as &dyn Structure);
    take("PrivateDnsNameOptions", names);
    fill(&mut data, &same);
    Ok(ec2::GetLaunchTemplateDataResult { launch_template_data: Some(data) })
}

/// Puts what a request says over what a template says: volumes by their device, tags by their key,
/// structures member by member, all else as a whole.
fn overlay(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (name, value) in over {
        match (base.get_mut(&name), value) {
            (Some(Value::Object(base)), Value::Object(over)) => overlay(base, over),
            (Some(Value::Array(base)), Value::Array(over)) => match name.as_str() {
                "BlockDeviceMappings" => overlay_list(base, over, "DeviceName"),
                "TagSpecifications" => overlay_list(base, over, "ResourceType"),
                "Tags" => overlay_list(base, over, "Key"),
                _ => *base = over,
            },
            (_, value) => {
                base.insert(name, value);
            }
        }
    }
}

fn overlay_list(base: &mut Vec<Value>, over: Vec<Value>, key: &str) {
    for value in over {
        let same = base.iter_mut().find(|it| it.get(key) == value.get(key));
        match (same, value) {
            (Some(Value::Object(base)), Value::Object(over)) => overlay(base, over),
            (_, value) => base.push(value),
        }
    }
}

/// A launch by a template: what it asks for, and its tags.
type TemplateLaunch = (ec2::RunInstancesRequest, [(String, String); 2]);

/// A launch by a template: the request over the template's version, and the tags that tell of it.
pub(crate) fn launch_request(
    call: &Call,
    records: &Snapshot,
    r: &ec2::RunInstancesRequest,
) -> Answer<Option<TemplateLaunch>> {
    let Some(wanted) = &r.launch_template else { return Ok(None) };
    let template = named(call, records, &wanted.launch_template_id, &wanted.launch_template_name)?;
    let version = version(&template, given(&wanted.version).unwrap_or("$Default"))?;
    let mut said = kept(version);
    let mut own = keep(r);
    own.remove("LaunchTemplate");
    overlay(&mut said, own);
    let mut request = ec2::RunInstancesRequest::default();
    if let Some(name) = fill(&mut request, &said).first() {
        return Err(ApiError::unsupported_operation(format!(
            "The parameter LaunchTemplateData.{name} of the launch template {} is not supported.",
            template.id
        )));
    }
    let tags = [
        (ID_TAG.to_owned(), template.id.to_string()),
        (VERSION_TAG.to_owned(), version.number.to_string()),
    ];
    Ok(Some((request, tags)))
}
