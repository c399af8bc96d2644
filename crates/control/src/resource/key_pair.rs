//! Key pairs (EC2-12 to EC2-15). The private half is answered once and kept nowhere.

use std::sync::Arc;

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{KeyPairId, Tags, record::KeyPair};

use crate::{
    call::{Answer, Call, find, given, text},
    filter::{Fields, select, some},
    key::{self, KeyError, KeyFormat, KeyType, Made, Public},
    tags,
};

/// How many key pairs an account may have in a region (EC2-12).
const QUOTA: usize = 5000;

fn shown(pair: &KeyPair, with_public_key: bool) -> ec2::KeyPairInfo {
    ec2::KeyPairInfo {
        key_pair_id: Some(pair.id.to_string()),
        key_type: Some(pair.key_type.clone()),
        tags: tags::shown(&pair.tags),
        public_key: with_public_key.then(|| pair.public_key.clone()),
        create_time: Some(pair.created),
        key_name: Some(pair.name.clone()),
        key_fingerprint: Some(pair.fingerprint.clone()),
    }
}

const FIELDS: &Fields<ec2::KeyPairInfo> = &[
    ("fingerprint", |it| some(&it.key_fingerprint)),
    ("key-name", |it| some(&it.key_name)),
    ("key-pair-id", |it| some(&it.key_pair_id)),
];

/// The key pair with a name.
pub(crate) fn named(call: &Call, records: &Snapshot, name: &str) -> Answer<Arc<KeyPair>> {
    let found = records.key_pair_named(&call.scope, name).cloned();
    found.ok_or_else(|| ApiError::not_found(Resource::KeyPair, name))
}

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeKeyPairsRequest,
) -> Answer<ec2::DescribeKeyPairsResult> {
    let mut found = Vec::new();
    for name in &r.key_names {
        found.push(named(call, records, name)?);
    }
    for id in &r.key_pair_ids {
        found.push(find::<KeyPair>(records, &call.scope, id)?);
    }
    if r.key_names.is_empty() && r.key_pair_ids.is_empty() {
        found.extend(records.all::<KeyPair>(&call.scope).cloned());
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    let with_public_key = r.include_public_key == Some(true);
    let pairs = found.iter().map(|pair| shown(pair, with_public_key)).collect();
    let key_pairs = select(pairs, &r.filters, FIELDS, Some(|it| &it.tags))?;
    Ok(ec2::DescribeKeyPairsResult { key_pairs })
}

fn check_name(name: &Option<String>) -> Answer<&str> {
    let name = text(name, "KeyName")?;
    match name.len() <= 255 && name.chars().all(|c| c.is_ascii() && !c.is_control()) {
        true => Ok(name),
        false => Err(ApiError::invalid_value(
            name,
            "keyName",
            "Key names may have at most 255 ASCII characters.",
        )),
    }
}

fn put(
    call: &Call,
    tx: &mut Transaction,
    name: &str,
    public: &Public,
    tags: Tags,
) -> Answer<Arc<KeyPair>> {
    if tx.key_pair_named(&call.scope, name).is_some() {
        return Err(ApiError::duplicate_key_pair(name));
    }
    if call.config.aws_quotas && tx.all::<KeyPair>(&call.scope).count() >= QUOTA {
        return Err(ApiError::limit_exceeded(
            "KeyPairLimitExceeded",
            "The maximum number of key pairs has been reached.",
        ));
    }
    let pair = KeyPair {
        id: KeyPairId::new(call.random()),
        name: name.to_owned(),
        key_type: public.key_type.name().to_owned(),
        fingerprint: public.fingerprint.clone(),
        public_key: format!("{} {name}", public.line),
        created: call.now,
        tags,
    };
    Ok(tx.put(&call.scope, pair))
}

fn wanted(r: &ec2::CreateKeyPairRequest) -> Answer<(KeyType, KeyFormat)> {
    let key_type = match given(&r.key_type).unwrap_or("rsa") {
        "rsa" => KeyType::Rsa,
        "ed25519" => KeyType::Ed25519,
        other => {
            let reason = "Supported values are rsa and ed25519.";
            return Err(ApiError::invalid_value(other, "keyType", reason));
        }
    };
    let format = match given(&r.key_format).unwrap_or("pem") {
        "pem" => KeyFormat::Pem,
        "ppk" => KeyFormat::Ppk,
        other => {
            let reason = "Supported values are pem and ppk.";
            return Err(ApiError::invalid_value(other, "keyFormat", reason));
        }
    };
    Ok((key_type, format))
}

/// Refuses what cannot be made, before the making.
pub(crate) fn check(call: &Call, records: &Snapshot, r: &ec2::CreateKeyPairRequest) -> Answer<()> {
    let name = check_name(&r.key_name)?;
    wanted(r)?;
    tags::on_creation::<KeyPair>(&r.tag_specifications)?;
    match records.key_pair_named(&call.scope, name) {
        Some(_) => Err(ApiError::duplicate_key_pair(name)),
        None => Ok(()),
    }
}

/// Makes the key before the transaction: it takes far longer than any other change.
pub(crate) fn prepare(_: &Call, _: &Snapshot, r: &ec2::CreateKeyPairRequest) -> Answer<Made> {
    let (key_type, format) = wanted(r)?;
    key::make(key_type, format, check_name(&r.key_name)?).map_err(ApiError::internal_error)
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateKeyPairRequest,
    made: &Made,
) -> Answer<ec2::KeyPair> {
    let name = check_name(&r.key_name)?;
    let tags = tags::on_creation::<KeyPair>(&r.tag_specifications)?;
    let pair = put(call, tx, name, &made.public, tags)?;
    Ok(ec2::KeyPair {
        key_pair_id: Some(pair.id.to_string()),
        tags: tags::shown(&pair.tags),
        key_name: Some(pair.name.clone()),
        key_fingerprint: Some(pair.fingerprint.clone()),
        key_material: Some(made.private.clone()),
    })
}

pub(crate) fn import(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ImportKeyPairRequest,
) -> Answer<ec2::ImportKeyPairResult> {
    let name = check_name(&r.key_name)?;
    let Some(material) = r.public_key_material.as_deref() else {
        return Err(ApiError::missing_parameter("PublicKeyMaterial"));
    };
    let public = key::import(material).map_err(|error| match error {
        KeyError::NotAKey | KeyError::Unsupported | KeyError::Failed(_) => {
            ApiError::invalid_key_format()
        }
    })?;
    let tags = tags::on_creation::<KeyPair>(&r.tag_specifications)?;
    let pair = put(call, tx, name, &public, tags)?;
    Ok(ec2::ImportKeyPairResult {
        key_fingerprint: Some(pair.fingerprint.clone()),
        key_name: Some(pair.name.clone()),
        key_pair_id: Some(pair.id.to_string()),
        tags: tags::shown(&pair.tags),
    })
}

/// One that is not there counts as deleted (EC2-14).
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteKeyPairRequest,
) -> Answer<ec2::DeleteKeyPairResult> {
    let pair = match (given(&r.key_name), given(&r.key_pair_id)) {
        (Some(name), None) => tx.key_pair_named(&call.scope, name).cloned(),
        (None, Some(id)) => {
            crate::call::parse_id::<KeyPair>(id)?;
            tx.find::<KeyPair>(&call.scope, id).cloned()
        }
        (None, None) => return Err(ApiError::missing_parameter("KeyName")),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid_parameter_combination(
                "The parameters keyName and keyPairId cannot be used together.",
            ));
        }
    };
    if let Some(pair) = &pair {
        tx.remove::<KeyPair>(&call.scope, pair.id.as_str());
    }
    let key_pair_id = pair.map(|pair| pair.id.to_string());
    Ok(ec2::DeleteKeyPairResult { r#return: Some(true), key_pair_id })
}
