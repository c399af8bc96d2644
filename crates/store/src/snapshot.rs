//! All records at one moment, and how to find them.

use std::{
    cmp::Ordering,
    fmt,
    hash::{BuildHasher as _, RandomState},
    iter,
    net::{IpAddr, Ipv4Addr},
    ops::Bound,
    sync::{Arc, LazyLock},
};

use equivalent::{Comparable, Equivalent};
use gureum_types::{
    AccountId, PortIndex, Region, SubnetId, VpcId,
    record::{
        AccessKey, Address, Bucket, InstanceProfile, KeyPair, NetworkInterface, PlacementGroup,
        Scope, SessionCredential, User, VpcEndpoint,
    },
};
use imbl::{OrdMap, OrdSet, ordmap::DiffItem};
use smol_str::SmolStr;

use crate::{
    StoreError,
    backend::Row,
    kind::{
        Place, Stored, bucket_reference, iam_name_reference, key_name_reference,
        log_group_reference, placement_group_reference, port_reference, private_reference,
        public_reference,
    },
};

pub(crate) use crate::kind::Tables;

/// The records of one kind.
pub(crate) type Table<T> = OrdMap<Key, Arc<T>>;

/// Who refers to what.
pub(crate) type References = OrdSet<Reference>;

/// That a record is found by something. There are more of these than of anything else, so all of a
/// record share its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    target: Target,
    key: Arc<Key>,
}

/// What records of a kind are found by, as 64 bits that nobody outside can foresee: two things of
/// the same kind are as good as never the same (one chance in 37 million among a million of them).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Target(u64);

impl Target {
    fn new(to: &str, kind: &'static str) -> Self {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(HASHER.hash_one((to, kind)))
    }
}

/// Before all references to it.
impl Comparable<Reference> for Target {
    fn compare(&self, reference: &Reference) -> Ordering {
        self.cmp(&reference.target).then(Ordering::Less)
    }
}

impl Equivalent<Reference> for Target {
    fn equivalent(&self, _: &Reference) -> bool {
        false
    }
}

/// Right behind a reference.
struct Behind<'a>(&'a Reference);

impl Comparable<Reference> for Behind<'_> {
    fn compare(&self, reference: &Reference) -> Ordering {
        self.0.cmp(reference).then(Ordering::Greater)
    }
}

impl Equivalent<Reference> for Behind<'_> {
    fn equivalent(&self, _: &Reference) -> bool {
        false
    }
}

/// How many referrers are looked up one by one: most things have one or none, and to begin to walk
/// costs as much as some look-ups.
const LOOKED_UP: u32 = 3;

/// Where a record is and which it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The account and region; `None` for what belongs to the machine.
    pub scope: Option<Scope>,
    /// The id.
    pub id: SmolStr,
}

impl Key {
    pub(crate) fn new<T: Stored>(scope: Option<&Scope>, id: &str) -> Self {
        let scope = match T::PLACE {
            Place::Scope => scope.cloned(),
            Place::Machine => None,
        };
        Self { scope, id: id.into() }
    }

    fn parse(text: &str) -> Option<Self> {
        let (account, rest) = text.split_once(' ')?;
        let (region, id) = rest.split_once(' ')?;
        let scope = match (account, region) {
            ("", "") => None,
            _ => Some(Scope {
                account: AccountId::parse(account)?,
                region: region.parse::<Region>().ok()?,
            }),
        };
        Some(Self { scope, id: id.into() })
    }
}

/// As on disk: account, region, id.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Some(scope) => write!(f, "{} {} {}", scope.account, scope.region, self.id),
            None => write!(f, "  {}", self.id),
        }
    }
}

/// All records at one moment. A clone costs nothing, and nothing changes it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) revision: u64,
    pub(crate) tables: Tables,
    pub(crate) references: References,
    /// How many private IPv4 addresses interfaces hold in a subnet, by its id: whoever counted
    /// them would look at all interfaces.
    held: OrdMap<SmolStr, u32>,
}

impl Snapshot {
    /// The number of the transaction that made it what it is.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The record with an id.
    pub fn find<T: Stored>(&self, scope: &Scope, id: &str) -> Option<&Arc<T>> {
        T::table(&self.tables).get(&Key::new::<T>(Some(scope), id))
    }

    /// The record of the machine with an id.
    pub fn machine<T: Stored>(&self, id: &str) -> Option<&Arc<T>> {
        T::table(&self.tables).get(&Key::new::<T>(None, id))
    }

    /// All records of a kind of an account in a region, by id.
    pub fn all<'a, T: Stored>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Arc<T>> {
        let first = Key { scope: Some(scope.clone()), id: SmolStr::default() };
        T::table(&self.tables)
            .range(first..)
            .take_while(move |(key, _)| key.scope.as_ref() == Some(scope))
            .map(|(_, record)| record)
    }

    /// All records of a kind, of all accounts and regions.
    pub fn everywhere<T: Stored>(&self) -> impl Iterator<Item = (&Key, &Arc<T>)> {
        T::table(&self.tables).iter()
    }

    /// Whether no record of a kind differs, told without looking at any.
    pub fn same<T: Stored>(&self, other: &Self) -> bool {
        T::table(&self.tables).ptr_eq(T::table(&other.tables))
    }

    /// The records of a kind that are there now and not, or not the same, in an earlier snapshot;
    /// and the keys of those that are gone. What both share is skipped.
    pub fn changed<'a, T: Stored>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = (&'a Key, Option<&'a Arc<T>>)> {
        T::table(&before.tables).diff(T::table(&self.tables)).map(|item| match item {
            DiffItem::Add(key, record) => (key, Some(record)),
            DiffItem::Update { new: (key, record), .. } => (key, Some(record)),
            DiffItem::Remove(key, _) => (key, None),
        })
    }

    /// The records of a kind that refer to something, wherever they are.
    pub fn referrers<'a, T: Stored>(&'a self, to: &str) -> impl Iterator<Item = &'a Arc<T>> {
        self.referrer_keys(to, T::KIND).filter_map(|key| T::table(&self.tables).get(key))
    }

    /// As [`Self::referrers`], with the keys, which tell the account and region.
    pub fn referrers_with_keys<'a, T: Stored>(
        &'a self,
        to: &str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<T>)> + use<'a, T> {
        let table = T::table(&self.tables);
        self.referrer_keys(to, T::KIND).filter_map(|key| table.get(key).map(|found| (key, found)))
    }

    fn referrer_keys<'a>(
        &'a self,
        to: &str,
        kind: &'static str,
    ) -> impl Iterator<Item = &'a Key> + use<'a> {
        let target = Target::new(to, kind);
        let references = &self.references;
        let (mut last, mut looked_up, mut walk) = (None, 0, None);
        let found = iter::from_fn(move || {
            let found = match last {
                None => references.get_next(&target),
                Some(last) if looked_up < LOOKED_UP => references.get_next(&Behind(last)),
                Some(last) => {
                    let rest = (Bound::Excluded(last), Bound::Unbounded);
                    walk.get_or_insert_with(|| references.range::<_, Reference>(rest)).next()
                }
            };
            looked_up += 1;
            last = found.filter(|found| found.target == target);
            last
        });
        found.fuse().map(|found| &*found.key)
    }

    /// How many private IPv4 addresses interfaces hold in a subnet.
    pub fn addresses_held(&self, subnet: &SubnetId) -> u32 {
        self.held_in(subnet.as_str())
    }

    fn held_in(&self, subnet: &str) -> u32 {
        self.held.get(subnet).copied().unwrap_or_default()
    }

    /// The interface that has a private address of a VPC.
    pub fn interface_at(
        &self,
        vpc: &VpcId,
        address: impl Into<IpAddr>,
    ) -> Option<&Arc<NetworkInterface>> {
        self.referrers(&private_reference(vpc, address.into())).next()
    }

    /// The interface behind a port of the fabric.
    pub fn interface_behind(&self, port: PortIndex) -> Option<&Arc<NetworkInterface>> {
        self.referrers(&port_reference(port)).next()
    }

    /// Whether a number is the port of an interface or the number of a gateway endpoint.
    pub fn is_port_taken(&self, port: PortIndex) -> bool {
        let endpoint = || self.referrers::<VpcEndpoint>(&port_reference(port)).next();
        self.interface_behind(port).is_some() || endpoint().is_some()
    }

    /// The Elastic IP address that is this public address.
    pub fn elastic_ip(&self, address: Ipv4Addr) -> Option<(&Key, &Arc<Address>)> {
        self.referrers_with_keys(&public_reference(address)).next()
    }

    /// The key pair with a name.
    pub fn key_pair_named(&self, scope: &Scope, name: &str) -> Option<&Arc<KeyPair>> {
        self.referrers_with_keys::<KeyPair>(&key_name_reference(name))
            .find(|(key, _)| key.scope.as_ref() == Some(scope))
            .map(|(_, pair)| pair)
    }

    /// The users of a group.
    pub fn users_in<'a>(&'a self, scope: &Scope, group: &str) -> Vec<&'a Arc<User>> {
        self.named_by_iam(scope, "group", group)
    }

    /// The access keys of a user.
    pub fn access_keys_of<'a>(&'a self, scope: &Scope, user: &str) -> Vec<&'a Arc<AccessKey>> {
        self.named_by_iam(scope, "user", user)
    }

    /// The sessions of a role, those included that are over or of a former role of the same name.
    pub fn sessions_of<'a>(&'a self, scope: &Scope, role: &str) -> Vec<&'a Arc<SessionCredential>> {
        self.named_by_iam(scope, "role", role)
    }

    /// The instance profiles that hold a role.
    pub fn profiles_with<'a>(&'a self, scope: &Scope, role: &str) -> Vec<&'a Arc<InstanceProfile>> {
        self.named_by_iam(scope, "role", role)
    }

    fn named_by_iam<'a, T: Stored>(
        &'a self,
        scope: &Scope,
        kind: &str,
        name: &str,
    ) -> Vec<&'a Arc<T>> {
        self.referrers_with_keys::<T>(&iam_name_reference(kind, name))
            .filter(|(key, _)| key.scope.as_ref() == Some(scope))
            .map(|(_, record)| record)
            .collect()
    }

    /// The placement group with a name.
    pub fn placement_group_named(&self, scope: &Scope, name: &str) -> Option<&Arc<PlacementGroup>> {
        self.referrers_with_keys::<PlacementGroup>(&placement_group_reference(name))
            .find(|(key, _)| key.scope.as_ref() == Some(scope))
            .map(|(_, group)| group)
    }

    /// The bucket with a name, whosever it is.
    pub fn bucket(&self, name: &str) -> Option<(&Key, &Arc<Bucket>)> {
        self.referrers_with_keys(&bucket_reference(name)).next()
    }

    /// What of a kind belongs to the log group with a name: its streams, its metric filters.
    pub fn of_log_group<'a, T: Stored>(
        &'a self,
        scope: &'a Scope,
        group: &str,
    ) -> impl Iterator<Item = &'a Arc<T>> + use<'a, T> {
        self.referrers_with_keys::<T>(&log_group_reference(group))
            .filter(move |(key, _)| key.scope.as_ref() == Some(scope))
            .map(|(_, record)| record)
    }

    /// Lets a record be found by what it refers to, and no more by what it referred to before. What
    /// stays the same is not touched: most changes of records change nothing here.
    pub(crate) fn refer<T: Stored>(&mut self, key: &Key, before: Option<&T>, after: Option<&T>) {
        let (old, new) = (targets(before), targets(after));
        if old != new {
            let reference =
                |target: &Target, key: &Arc<Key>| Reference { target: *target, key: key.clone() };
            let mut shared = Arc::new(key.clone());
            if let Some(kept) =
                old.first().and_then(|it| self.references.get(&reference(it, &shared)))
            {
                shared = kept.key.clone();
            }
            for target in old.iter().filter(|target| !new.contains(target)) {
                self.references.remove(&reference(target, &shared));
            }
            for target in new.iter().filter(|target| !old.contains(target)) {
                self.references.insert(reference(target, &shared));
            }
        }
        let (old, new) = (before.and_then(T::addresses_held), after.and_then(T::addresses_held));
        if old == new {
            return;
        }
        if let Some((subnet, count)) = old {
            match self.held_in(subnet).saturating_sub(count) {
                0 => self.held.remove(subnet),
                left => self.held.insert(subnet.into(), left),
            };
        }
        if let Some((subnet, count)) = new {
            *self.held.entry(subnet.into()).or_default() += count;
        }
    }

    /// Takes in a record that a backend holds.
    pub(crate) fn load_one<T: Stored>(
        &mut self,
        key: &str,
        value: &[u8],
    ) -> Result<(), StoreError> {
        let damaged = |what: &dyn fmt::Display| {
            StoreError::Damaged(format!("record {} {key}: {what}", T::KIND))
        };
        let place = Key::parse(key).ok_or_else(|| damaged(&"its key cannot be read"))?;
        let record: T = serde_json::from_slice(value).map_err(|error| damaged(&error))?;
        self.refer(&place, None, Some(&record));
        T::table_mut(&mut self.tables).insert(place, Arc::new(record));
        Ok(())
    }

    /// Gives out all records as a backend keeps them.
    pub fn each_row(
        &self,
        take: &mut dyn FnMut(Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.tables.each_row(take)
    }
}

/// What a record is found by.
fn targets<T: Stored>(record: Option<&T>) -> Vec<Target> {
    let mut targets = Vec::new();
    if let Some(record) = record {
        record.references(&mut |to| targets.push(Target::new(to, T::KIND)));
    }
    targets
}

pub(crate) fn dump<T: Stored>(
    tables: &Tables,
    take: &mut dyn FnMut(Row) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    T::table(tables).iter().try_for_each(|(key, record)| take(row(key, record.as_ref())?))
}

pub(crate) fn row<T: Stored>(key: &Key, record: &T) -> Result<Row, StoreError> {
    let value = serde_json::to_vec(record).map_err(|error| StoreError::Io(error.to_string()))?;
    Ok(Row { kind: T::KIND, key: key.to_string(), value })
}
