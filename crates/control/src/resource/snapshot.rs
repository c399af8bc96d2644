//! Snapshots of volumes: kept and shown. No data is copied.

use std::sync::Arc;

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    AccountId, Region, SnapshotId, Tags,
    record::{OwnImage, Scope, Volume, VolumeSnapshot},
};

use crate::{
    call::{Answer, Call, find, given, required, text},
    catalogue::{IMAGES, ROOT_GIB},
    filter::{Fields, flag, select, some},
    page::page,
    resource::{image, region_settings, volume},
    tags,
};

/// The volume of a snapshot that is a copy, as AWS shows it.
const NO_VOLUME: &str = "vol-ffffffff";

fn shown(owner: &AccountId, snapshot: &VolumeSnapshot, done: bool) -> ec2::Snapshot {
    let volume = snapshot.volume_id.as_ref().map_or(NO_VOLUME.to_owned(), ToString::to_string);
    ec2::Snapshot {
        tags: tags::shown(&snapshot.tags),
        storage_tier: Some("standard".into()),
        completion_time: done.then_some(snapshot.created),
        snapshot_id: Some(snapshot.id.to_string()),
        volume_id: Some(volume),
        state: Some(if done { "completed" } else { "pending" }.into()),
        start_time: Some(snapshot.created),
        progress: Some(if done { "100%" } else { "" }.into()),
        owner_id: Some(owner.to_string()),
        description: Some(snapshot.description.clone()),
        volume_size: Some(volume::number(snapshot.size)),
        encrypted: Some(snapshot.encrypted),
        kms_key_id: snapshot.kms_key_id.clone(),
        ..Default::default()
    }
}

/// The snapshots behind the images of the catalogue, which are everybody's.
fn of_catalogue(call: &Call) -> impl Iterator<Item = ec2::Snapshot> {
    IMAGES.iter().map(|it| ec2::Snapshot {
        owner_alias: Some("amazon".into()),
        storage_tier: Some("standard".into()),
        snapshot_id: Some(image::snapshot_id(call.region(), it).to_string()),
        volume_id: Some(NO_VOLUME.into()),
        state: Some("completed".into()),
        progress: Some("100%".into()),
        owner_id: Some(it.owner.into()),
        description: Some(it.name.into()),
        volume_size: i32::try_from(ROOT_GIB).ok(),
        encrypted: Some(false),
        ..Default::default()
    })
}

const FIELDS: &Fields<ec2::Snapshot> = &[
    ("description", |it| some(&it.description)),
    ("encrypted", |it| flag(it.encrypted)),
    ("owner-alias", |it| some(&it.owner_alias)),
    ("owner-id", |it| some(&it.owner_id)),
    ("progress", |it| some(&it.progress)),
    ("snapshot-id", |it| some(&it.snapshot_id)),
    ("start-time", |it| it.start_time.iter().map(ToString::to_string).collect()),
    ("status", |it| some(&it.state)),
    ("storage-tier", |it| some(&it.storage_tier)),
    ("volume-id", |it| some(&it.volume_id)),
    ("volume-size", |it| it.volume_size.iter().map(ToString::to_string).collect()),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeSnapshotsRequest,
) -> Answer<ec2::DescribeSnapshotsResult> {
    let everywhere = records.everywhere::<VolumeSnapshot>();
    let seen = everywhere.filter_map(|(key, it)| {
        let scope = key.scope.as_ref().filter(|scope| scope.region == *call.region())?;
        let shared = it.public || it.shared_with.contains(call.account());
        (scope.account == *call.account() || shared).then_some((&scope.account, it))
    });
    let restorable = |user: &String, owner: &AccountId, it: &VolumeSnapshot| match user.as_str() {
        "all" => it.public,
        "self" => owner == call.account() || it.shared_with.contains(call.account()),
        user => it.shared_with.iter().any(|it| it.as_str() == user),
    };
    let users = &r.restorable_by_user_ids;
    let seen = seen.filter(|(owner, it)| {
        users.is_empty() || users.iter().any(|user| restorable(user, owner, it))
    });
    let mut found: Vec<_> = seen.map(|(owner, it)| shown(owner, it, true)).collect();
    if users.is_empty() || users.iter().any(|user| user == "all") {
        found.extend(of_catalogue(call));
    }
    let owned = |it: &ec2::Snapshot, owner: &String| match owner.as_str() {
        "self" => it.owner_id.as_deref() == Some(call.account().as_str()),
        owner => it.owner_id.as_deref() == Some(owner) || it.owner_alias.as_deref() == Some(owner),
    };
    found.retain(|it| r.owner_ids.is_empty() || r.owner_ids.iter().any(|owner| owned(it, owner)));
    for id in &r.snapshot_ids {
        let resource = Resource::Snapshot;
        id.parse::<SnapshotId>().map_err(|error| ApiError::malformed_id(resource, &error))?;
        if !found.iter().any(|it| it.snapshot_id.as_ref() == Some(id)) {
            return Err(ApiError::not_found(resource, id));
        }
    }
    found.retain(|it| {
        r.snapshot_ids.is_empty()
            || it.snapshot_id.as_ref().is_some_and(|id| r.snapshot_ids.contains(id))
    });
    found.sort_by(|a, b| a.snapshot_id.cmp(&b.snapshot_id));
    let found = select(found, &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (snapshots, next_token) =
        page(found, r.max_results, &r.next_token, |it| it.snapshot_id.as_deref())?;
    Ok(ec2::DescribeSnapshotsResult { next_token, snapshots })
}

/// Puts a snapshot of a volume.
pub(crate) fn make(
    call: &Call,
    tx: &mut Transaction,
    volume: &Volume,
    description: String,
    tags: Tags,
) -> Arc<VolumeSnapshot> {
    let snapshot = VolumeSnapshot {
        id: SnapshotId::new(call.random()),
        volume_id: Some(volume.id.clone()),
        size: volume.size,
        encrypted: volume.encrypted,
        kms_key_id: volume.kms_key_id.clone(),
        description,
        shared_with: Vec::new(),
        public: false,
        created: call.now,
        tags,
    };
    tx.put(&call.scope, snapshot)
}

/// A copy that is yet to be described and put.
pub(crate) fn copied(call: &Call, size: u32, encrypted: bool) -> VolumeSnapshot {
    VolumeSnapshot {
        id: SnapshotId::new(call.random()),
        volume_id: None,
        size,
        encrypted,
        kms_key_id: None,
        description: String::new(),
        shared_with: Vec::new(),
        public: false,
        created: call.now,
        tags: Tags::new(),
    }
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateSnapshotRequest,
) -> Answer<ec2::Snapshot> {
    let volume = required::<Volume>(tx, &call.scope, &r.volume_id, "VolumeId")?;
    let tags = tags::on_creation::<VolumeSnapshot>(&r.tag_specifications)?;
    let description = r.description.clone().unwrap_or_default();
    let snapshot = make(call, tx, &volume, description, tags);
    Ok(shown(call.account(), &snapshot, false))
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteSnapshotRequest,
) -> Answer<()> {
    let snapshot = required::<VolumeSnapshot>(tx, &call.scope, &r.snapshot_id, "SnapshotId")?;
    if let Some(image) = tx.referrers::<OwnImage>(snapshot.id.as_str()).next() {
        return Err(ApiError::new(
            "InvalidSnapshot.InUse",
            format!("The snapshot {} is currently in use by {}", snapshot.id, image.id),
        ));
    }
    tx.remove::<VolumeSnapshot>(&call.scope, snapshot.id.as_str());
    Ok(())
}

/// A region that a request names.
pub(crate) fn region(wanted: &Option<String>) -> Answer<Region> {
    let wanted = text(wanted, "SourceRegion")?;
    wanted
        .parse()
        .map_err(|_| ApiError::invalid_value(wanted, "sourceRegion", "There is no such region."))
}

/// What a volume can be made from: a snapshot of the caller's, one that is shared, or one of the
/// catalogue.
pub(crate) fn source(call: &Call, records: &Snapshot, id: &str) -> Answer<VolumeSnapshot> {
    let resource = Resource::Snapshot;
    let parsed: SnapshotId =
        id.parse().map_err(|error| ApiError::malformed_id(resource, &error))?;
    if let Some(own) = records.find::<VolumeSnapshot>(&call.scope, id) {
        return Ok((**own).clone());
    }
    let shared = records.everywhere::<VolumeSnapshot>().find(|(key, it)| {
        let here = key.scope.as_ref().is_some_and(|scope| scope.region == *call.region());
        here && it.id == parsed && (it.public || it.shared_with.contains(call.account()))
    });
    if let Some((_, shared)) = shared {
        return Ok((**shared).clone());
    }
    let known = IMAGES.iter().any(|it| image::snapshot_id(call.region(), it) == parsed);
    match known {
        true => Ok(VolumeSnapshot { id: parsed, ..copied(call, ROOT_GIB, false) }),
        false => Err(ApiError::not_found(resource, id)),
    }
}

/// Into the caller's region, maybe from another one.
pub(crate) fn copy(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CopySnapshotRequest,
) -> Answer<ec2::CopySnapshotResult> {
    let region = region(&r.source_region)?;
    let there = Call { scope: Scope { region, ..call.scope.clone() }, ..call.clone() };
    let source = source(&there, tx, text(&r.source_snapshot_id, "SourceSnapshotId")?)?;
    let wanted = Some(source.encrypted || r.encrypted == Some(true));
    let (encrypted, kms_key_id) = region_settings::encryption(call, tx, wanted, &r.kms_key_id)?;
    let copy = VolumeSnapshot {
        kms_key_id,
        description: r.description.clone().unwrap_or(source.description),
        tags: tags::on_creation::<VolumeSnapshot>(&r.tag_specifications)?,
        ..copied(call, source.size, encrypted)
    };
    let copy = tx.put(&call.scope, copy);
    Ok(ec2::CopySnapshotResult {
        tags: tags::shown(&copy.tags),
        snapshot_id: Some(copy.id.to_string()),
    })
}

/// Who shall see something more, and who shall not any more: accounts and everybody.
#[derive(Default)]
pub(crate) struct Permissions {
    add: Vec<AccountId>,
    remove: Vec<AccountId>,
    public: Option<bool>,
}

impl Permissions {
    /// From accounts or groups to add and to remove.
    pub(crate) fn of(
        add: &[(Option<String>, Option<String>)],
        remove: &[(Option<String>, Option<String>)],
    ) -> Answer<Self> {
        let mut wanted = Self::default();
        for (list, adding) in [(add, true), (remove, false)] {
            for (user, group) in list {
                wanted.note(given(user), given(group), adding)?;
            }
        }
        Ok(wanted)
    }

    /// From lists of accounts and groups with what to do with them.
    pub(crate) fn by_list(
        operation: &Option<String>,
        users: &[String],
        groups: &[String],
    ) -> Answer<Self> {
        let mut wanted = Self::default();
        if users.is_empty() && groups.is_empty() {
            return Ok(wanted);
        }
        let adding = text(operation, "OperationType")? == "add";
        for user in users {
            wanted.note(Some(user), None, adding)?;
        }
        for group in groups {
            wanted.note(None, Some(group), adding)?;
        }
        Ok(wanted)
    }

    fn note(&mut self, user: Option<&str>, group: Option<&str>, adding: bool) -> Answer<()> {
        if let Some(group) = group {
            if group != "all" {
                return Err(ApiError::invalid_value(group, "group", "The only group is 'all'."));
            }
            self.public = Some(adding);
        }
        if let Some(user) = user {
            let account = AccountId::parse(user).ok_or_else(|| {
                ApiError::new(
                    "InvalidAMIAttributeItemValue",
                    format!("Invalid attribute item value \"{user}\" for userId item type."),
                )
            })?;
            if adding { &mut self.add } else { &mut self.remove }.push(account);
        }
        Ok(())
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.add.extend(other.add);
        self.remove.extend(other.remove);
        self.public = other.public.or(self.public);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && self.public.is_none()
    }

    pub(crate) fn apply(&self, shared_with: &mut Vec<AccountId>, public: &mut bool) {
        shared_with.retain(|account| !self.remove.contains(account));
        for account in &self.add {
            if !shared_with.contains(account) {
                shared_with.push(account.clone());
            }
        }
        *public = self.public.unwrap_or(*public);
    }
}

pub(crate) fn describe_attribute(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeSnapshotAttributeRequest,
) -> Answer<ec2::DescribeSnapshotAttributeResult> {
    let id = text(&r.snapshot_id, "SnapshotId")?;
    let snapshot = find::<VolumeSnapshot>(records, &call.scope, id)?;
    let mut answer = ec2::DescribeSnapshotAttributeResult {
        snapshot_id: Some(snapshot.id.to_string()),
        ..Default::default()
    };
    if text(&r.attribute, "Attribute")? == "createVolumePermission" {
        let everybody = snapshot.public.then(|| ec2::CreateVolumePermission {
            group: Some("all".into()),
            ..Default::default()
        });
        let accounts = snapshot.shared_with.iter().map(|it| ec2::CreateVolumePermission {
            user_id: Some(it.to_string()),
            ..Default::default()
        });
        answer.create_volume_permissions = everybody.into_iter().chain(accounts).collect();
    }
    Ok(answer)
}

pub(crate) fn modify_attribute(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifySnapshotAttributeRequest,
) -> Answer<()> {
    let snapshot = required::<VolumeSnapshot>(tx, &call.scope, &r.snapshot_id, "SnapshotId")?;
    let pairs = |list: &[ec2::CreateVolumePermission]| {
        list.iter().map(|it| (it.user_id.clone(), it.group.clone())).collect::<Vec<_>>()
    };
    let mut wanted = Permissions::by_list(&r.operation_type, &r.user_ids, &r.group_names)?;
    if let Some(changes) = &r.create_volume_permission {
        wanted.join(Permissions::of(&pairs(&changes.add), &pairs(&changes.remove))?);
    }
    if wanted.is_empty() {
        return Err(ApiError::missing_parameter("CreateVolumePermission"));
    }
    tx.update::<VolumeSnapshot>(&call.scope, snapshot.id.as_str(), |it| {
        wanted.apply(&mut it.shared_with, &mut it.public);
    });
    Ok(())
}

pub(crate) fn reset_attribute(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ResetSnapshotAttributeRequest,
) -> Answer<()> {
    let snapshot = required::<VolumeSnapshot>(tx, &call.scope, &r.snapshot_id, "SnapshotId")?;
    match text(&r.attribute, "Attribute")? {
        "createVolumePermission" => {}
        other => {
            return Err(ApiError::unsupported_operation(format!(
                "The attribute {other} cannot be reset."
            )));
        }
    }
    tx.update::<VolumeSnapshot>(&call.scope, snapshot.id.as_str(), |it| {
        it.shared_with.clear();
        it.public = false;
    });
    Ok(())
}
