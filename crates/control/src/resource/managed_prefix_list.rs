//! Managed prefix lists of callers, and those of services to look at (PL-1): versioned blocks of one family under one id, to which
//! rules of security groups (SG-10) and routes (RT-16) refer.

use std::sync::Arc;

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    PrefixListId, SecurityGroupId,
    record::{PrefixList, PrefixListEntry, RouteTable, SecurityGroupRule},
};
use ipnet::IpNet;

use crate::{
    call::{Answer, Call, text},
    filter::{Fields, select, some},
    page::page,
    resource::{cidr, idempotency, prefix_list, security_group},
    tags,
};

/// How many lists an account may have in a region, entries a list, versions are kept of one.
const LIST_QUOTA: usize = 100;
const MOST_ENTRIES: u32 = 1000;
const VERSIONS: usize = 1000;
/// The longest name and description.
const LONGEST: usize = 255;

fn shown(call: &Call, list: &PrefixList) -> ec2::ManagedPrefixList {
    ec2::ManagedPrefixList {
        prefix_list_id: Some(list.id.to_string()),
        address_family: Some(if list.ipv6 { "IPv6" } else { "IPv4" }.into()),
        state: Some(list.state.clone()),
        prefix_list_arn: Some(call.arn("prefix-list", &list.id)),
        prefix_list_name: Some(list.name.clone()),
        max_entries: i32::try_from(list.max_entries).ok(),
        version: Some(list.version),
        tags: tags::shown(&list.tags),
        owner_id: Some(call.account().to_string()),
        ..Default::default()
    }
}

/// A list of a service, which has neither size nor versions.
fn shown_of_service(call: &Call, list: &PrefixList) -> ec2::ManagedPrefixList {
    ec2::ManagedPrefixList {
        prefix_list_arn: Some(format!("arn:aws:ec2:{}:aws:prefix-list/{}", call.region(), list.id)),
        max_entries: None,
        version: None,
        owner_id: Some("AWS".to_owned()),
        ..shown(call, list)
    }
}

/// The list as the answer to a change shows it: the change is under way.
fn shown_under_way(call: &Call, list: &PrefixList, state: &str) -> Option<ec2::ManagedPrefixList> {
    Some(ec2::ManagedPrefixList { state: Some(state.to_owned()), ..shown(call, list) })
}

fn check_name(name: &str) -> Answer<String> {
    let reserved = name.to_ascii_lowercase().starts_with("com.amazonaws");
    if reserved || name.chars().count() > LONGEST {
        let reason = "It may have at most 255 characters and not begin with com.amazonaws.";
        return Err(ApiError::invalid_value(name, "PrefixListName", reason));
    }
    Ok(name.to_owned())
}

fn check_size(size: Option<i32>) -> Answer<u32> {
    let size = size.ok_or_else(|| ApiError::missing_parameter("MaxEntries"))?;
    let checked = u32::try_from(size).ok().filter(|it| (1..=MOST_ENTRIES).contains(it));
    checked.ok_or_else(|| {
        let reason = "Expecting a value between 1 and 1000.";
        ApiError::invalid_value(size, "MaxEntries", reason)
    })
}

/// A block of the family of a list.
fn block(ipv6: bool, text: &str) -> Answer<IpNet> {
    match ipv6 {
        true => Ok(cidr::ipv6(text, "Cidr")?.into()),
        false => Ok(cidr::ipv4(text, "Cidr")?.into()),
    }
}

/// The blocks to add, none of them twice or there already.
fn added(
    ipv6: bool,
    present: &[PrefixListEntry],
    wanted: &[ec2::AddPrefixListEntry],
) -> Answer<Vec<PrefixListEntry>> {
    let mut entries: Vec<PrefixListEntry> = Vec::new();
    for it in wanted {
        let cidr = block(ipv6, text(&it.cidr, "Cidr")?)?;
        let description = it.description.clone().filter(|it| !it.is_empty());
        if description.as_ref().is_some_and(|it| it.chars().count() > LONGEST) {
            let reason = "It may have at most 255 characters.";
            let value = it.description.as_deref().unwrap_or_default();
            return Err(ApiError::invalid_value(value, "Description", reason));
        }
        if entries.iter().chain(present).any(|it| it.cidr == cidr) {
            return Err(ApiError::prefix_list_entry_exists());
        }
        entries.push(PrefixListEntry { cidr, description });
    }
    Ok(entries)
}

fn check_fits(list: &PrefixList) -> Answer<()> {
    match u32::try_from(list.entries.len()).is_ok_and(|it| it <= list.max_entries) {
        true => Ok(()),
        false => Err(ApiError::prefix_list_full(&list.id, list.max_entries)),
    }
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateManagedPrefixListRequest,
) -> Answer<ec2::CreateManagedPrefixListResult> {
    let answer = |list: &PrefixList| ec2::CreateManagedPrefixListResult {
        prefix_list: shown_under_way(call, list, "create-in-progress"),
    };
    let make = |tx: &mut Transaction| {
        let ipv6 = match text(&r.address_family, "AddressFamily")? {
            "IPv4" => false,
            "IPv6" => true,
            other => {
                let reason = "Expecting IPv4 or IPv6.";
                return Err(ApiError::invalid_value(other, "AddressFamily", reason));
            }
        };
        let count = tx.all::<PrefixList>(&call.scope).count();
        if call.config.aws_quotas && count >= LIST_QUOTA {
            return Err(ApiError::limit_exceeded(
                "PrefixListLimitExceeded",
                "The maximum number of prefix lists has been reached.",
            ));
        }
        let list = PrefixList {
            id: PrefixListId::new(call.random()),
            name: check_name(text(&r.prefix_list_name, "PrefixListName")?)?,
            ipv6,
            max_entries: check_size(r.max_entries)?,
            entries: added(ipv6, &[], &r.entries)?,
            version: 1,
            earlier: Vec::new(),
            state: "create-complete".into(),
            created: call.now,
            tags: tags::on_creation::<PrefixList>(&r.tag_specifications)?,
        };
        check_fits(&list)?;
        let list = tx.put(&call.scope, list);
        Ok((vec![list.id.to_string()], answer(&list)))
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let list = made.first().and_then(|id| tx.find::<PrefixList>(&call.scope, id));
        Ok(list.map(|list| answer(list)))
    };
    idempotency::once(call, tx, "CreateManagedPrefixList", &r.client_token, r, make, again)
}

fn named(call: &Call, records: &Snapshot, id: &Option<String>) -> Answer<Arc<PrefixList>> {
    prefix_list::required(call, records, id, "PrefixListId")
}

/// A list that the caller may change.
fn own(call: &Call, records: &Snapshot, id: &Option<String>) -> Answer<Arc<PrefixList>> {
    let list = named(call, records, id)?;
    match prefix_list::is_of_service(&list) {
        true => Err(ApiError::operation_not_permitted(format!(
            "The prefix list {} is managed by AWS and cannot be changed.",
            list.id
        ))),
        false => Ok(list),
    }
}

/// What a caller knows of must be what is there.
fn check_version(list: &PrefixList, known: i64) -> Answer<()> {
    match known == list.version {
        true => Ok(()),
        false => Err(ApiError::prefix_list_version_mismatch()),
    }
}

/// Puts other entries into a list: its next version.
fn advance(list: &mut PrefixList, entries: Vec<PrefixListEntry>) {
    let before = std::mem::replace(&mut list.entries, entries);
    list.earlier.push((list.version, before));
    if list.earlier.len() > VERSIONS {
        list.earlier.remove(0);
    }
    list.version += 1;
}

/// Entries, which make a new version, or the size, or the name.
pub(crate) fn modify(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyManagedPrefixListRequest,
) -> Answer<ec2::ModifyManagedPrefixListResult> {
    let present = own(call, tx, &r.prefix_list_id)?;
    let mut list = (*present).clone();
    let changes_entries = !r.add_entries.is_empty() || !r.remove_entries.is_empty();
    if changes_entries && r.max_entries.is_some() {
        return Err(ApiError::prefix_list_entries_and_size());
    }
    if let Some(known) = r.current_version {
        check_version(&list, known)?;
    }
    if changes_entries {
        if r.current_version.is_none() {
            return Err(ApiError::missing_parameter("CurrentVersion"));
        }
        let mut entries = list.entries.clone();
        let mut removed = Vec::new();
        for it in &r.remove_entries {
            let cidr = block(list.ipv6, text(&it.cidr, "Cidr")?)?;
            let place = entries.iter().position(|it| it.cidr == cidr);
            let place = place.ok_or_else(|| ApiError::prefix_list_entry_not_found(cidr))?;
            entries.remove(place);
            removed.push(cidr);
        }
        let more = added(list.ipv6, &entries, &r.add_entries)?;
        if let Some(both) = more.iter().find(|it| removed.contains(&it.cidr)) {
            return Err(ApiError::invalid_parameter_value(format!(
                "Request cannot contain Cidr {} in both AddPrefixListEntries and \
                 RemovePrefixListEntries",
                both.cidr
            )));
        }
        entries.extend(more);
        advance(&mut list, entries);
    }
    if r.max_entries.is_some() {
        list.max_entries = check_size(r.max_entries)?;
    }
    if let Some(name) = r.prefix_list_name.as_deref().filter(|it| !it.is_empty()) {
        list.name = check_name(name)?;
    }
    check_fits(&list)?;
    list.state = "modify-complete".into();
    let grown = list.max_entries > present.max_entries;
    let list = tx.put(&call.scope, list);
    if grown {
        check_referrers(call, tx, &list)?;
    }
    Ok(ec2::ModifyManagedPrefixListResult {
        prefix_list: shown_under_way(call, &list, "modify-in-progress"),
    })
}

/// A list counts by its size in the quotas of what refers to it (SG-22).
fn check_referrers(call: &Call, records: &Snapshot, list: &PrefixList) -> Answer<()> {
    let rules = records.referrers::<SecurityGroupRule>(list.id.as_str());
    let mut groups: Vec<&SecurityGroupId> = rules.map(|it| &it.group_id).collect();
    groups.sort();
    groups.dedup();
    groups.into_iter().try_for_each(|group| security_group::check_counts(call, records, group))
}

pub(crate) fn restore(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::RestoreManagedPrefixListVersionRequest,
) -> Answer<ec2::RestoreManagedPrefixListVersionResult> {
    let mut list = (*own(call, tx, &r.prefix_list_id)?).clone();
    let missing = |name| move || ApiError::missing_parameter(name);
    let wanted = r.previous_version.ok_or_else(missing("PreviousVersion"))?;
    check_version(&list, r.current_version.ok_or_else(missing("CurrentVersion"))?)?;
    let entries = version(&list, wanted, "PreviousVersion")?.to_vec();
    advance(&mut list, entries);
    check_fits(&list)?;
    list.state = "restore-complete".into();
    let list = tx.put(&call.scope, list);
    Ok(ec2::RestoreManagedPrefixListVersionResult {
        prefix_list: shown_under_way(call, &list, "restore-in-progress"),
    })
}

/// The entries that a list had in a version.
fn version<'a>(list: &'a PrefixList, wanted: i64, name: &str) -> Answer<&'a [PrefixListEntry]> {
    if wanted == list.version {
        return Ok(&list.entries);
    }
    let found = list.earlier.iter().find(|(version, _)| *version == wanted);
    found.map(|(_, entries)| entries.as_slice()).ok_or_else(|| {
        let reason = format!("The prefix list {} has no such version.", list.id);
        ApiError::invalid_value(wanted, name, &reason)
    })
}

/// Not while a rule or a route refers to it.
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteManagedPrefixListRequest,
) -> Answer<ec2::DeleteManagedPrefixListResult> {
    let list = own(call, tx, &r.prefix_list_id)?;
    if !referrers(tx, &list).is_empty() {
        return Err(ApiError::has_dependencies(Resource::PrefixList, &list.id));
    }
    tx.remove::<PrefixList>(&call.scope, list.id.as_str());
    Ok(ec2::DeleteManagedPrefixListResult {
        prefix_list: shown_under_way(call, &list, "delete-in-progress"),
    })
}

/// The groups and route tables that refer to a list, by id.
fn referrers(records: &Snapshot, list: &PrefixList) -> Vec<String> {
    let id = list.id.as_str();
    let groups = records.referrers::<SecurityGroupRule>(id).map(|it| it.group_id.to_string());
    let tables = records.referrers::<RouteTable>(id).map(|it| it.id.to_string());
    let mut found: Vec<_> = groups.chain(tables).collect();
    found.sort();
    found.dedup();
    found
}

const FIELDS: &Fields<ec2::ManagedPrefixList> = &[
    ("owner-id", |it| some(&it.owner_id)),
    ("prefix-list-id", |it| some(&it.prefix_list_id)),
    ("prefix-list-name", |it| some(&it.prefix_list_name)),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeManagedPrefixListsRequest,
) -> Answer<ec2::DescribeManagedPrefixListsResult> {
    let mut found: Vec<_> = match r.prefix_list_ids.as_slice() {
        [] => {
            let own = records.all::<PrefixList>(&call.scope);
            own.cloned().chain(prefix_list::of_region(call.region()).cloned()).collect()
        }
        ids => ids.iter().map(|id| prefix_list::named(call, records, id)).collect::<Answer<_>>()?,
    };
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    let lists = found.iter().map(|list| match prefix_list::is_of_service(list) {
        true => shown_of_service(call, list),
        false => shown(call, list),
    });
    let lists = lists.collect();
    let lists = select(lists, &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (prefix_lists, next_token) =
        page(lists, r.max_results, &r.next_token, |it| it.prefix_list_id.as_deref())?;
    Ok(ec2::DescribeManagedPrefixListsResult { next_token, prefix_lists })
}

pub(crate) fn entries(
    call: &Call,
    records: &Snapshot,
    r: &ec2::GetManagedPrefixListEntriesRequest,
) -> Answer<ec2::GetManagedPrefixListEntriesResult> {
    let list = named(call, records, &r.prefix_list_id)?;
    let wanted = r.target_version.unwrap_or(list.version);
    let shown = version(&list, wanted, "TargetVersion")?.iter().map(|it| ec2::PrefixListEntry {
        cidr: Some(it.cidr.to_string()),
        description: it.description.clone(),
    });
    let mut entries: Vec<_> = shown.collect();
    // Pages go by the block.
    entries.sort_by(|a, b| a.cidr.cmp(&b.cidr));
    let (entries, next_token) =
        page(entries, r.max_results, &r.next_token, |it| it.cidr.as_deref())?;
    Ok(ec2::GetManagedPrefixListEntriesResult { entries, next_token })
}

pub(crate) fn associations(
    call: &Call,
    records: &Snapshot,
    r: &ec2::GetManagedPrefixListAssociationsRequest,
) -> Answer<ec2::GetManagedPrefixListAssociationsResult> {
    let list = named(call, records, &r.prefix_list_id)?;
    let shown = referrers(records, &list).into_iter().map(|id| ec2::PrefixListAssociation {
        resource_id: Some(id),
        resource_owner: Some(call.account().to_string()),
    });
    let (prefix_list_associations, next_token) =
        page(shown.collect(), r.max_results, &r.next_token, |it: &ec2::PrefixListAssociation| {
            it.resource_id.as_deref()
        })?;
    Ok(ec2::GetManagedPrefixListAssociationsResult { prefix_list_associations, next_token })
}
