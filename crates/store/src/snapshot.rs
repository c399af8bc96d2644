//! All records at one moment, and how to find them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use gureum_types::{
    AccountId, PortIndex, Region, VpcId,
    record::{Address, KeyPair, NetworkInterface, Scope},
};
use imbl::{OrdMap, OrdSet};

use crate::{
    StoreError,
    backend::Row,
    kind::{
        Place, Stored, key_name_reference, port_reference, private_reference, public_reference,
    },
};

pub(crate) use crate::kind::Tables;

/// The records of one kind.
pub(crate) type Table<T> = OrdMap<Key, Arc<T>>;

/// Who refers to what: the thing referred to, the kind of the record, its key.
pub(crate) type References = OrdSet<(Arc<str>, &'static str, Key)>;

/// Where a record is and which it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The account and region; `None` for what belongs to the machine.
    pub scope: Option<Scope>,
    /// The id.
    pub id: Arc<str>,
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
        let first = Key { scope: Some(scope.clone()), id: "".into() };
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

    /// The records of a kind that refer to something, wherever they are.
    pub fn referrers<'a, T: Stored>(&'a self, to: &str) -> impl Iterator<Item = &'a Arc<T>> {
        self.referrer_keys(to, T::KIND).filter_map(|key| T::table(&self.tables).get(key))
    }

    /// As [`Self::referrers`], with the keys, which tell the account and region.
    pub fn referrers_with_keys<'a, T: Stored>(
        &'a self,
        to: &str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<T>)> {
        let table = T::table(&self.tables);
        self.referrer_keys(to, T::KIND).filter_map(|key| table.get(key).map(|found| (key, found)))
    }

    fn referrer_keys<'a>(&'a self, to: &str, kind: &'static str) -> impl Iterator<Item = &'a Key> {
        let to: Arc<str> = to.into();
        let first = (to.clone(), kind, Key { scope: None, id: "".into() });
        self.references
            .range(first..)
            .take_while(move |(target, found, _)| *target == to && *found == kind)
            .map(|(_, _, key)| key)
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

    pub(crate) fn refer<T: Stored>(&mut self, key: &Key, record: &T) {
        record.references(&mut |to| {
            self.references.insert((to.into(), T::KIND, key.clone()));
        });
    }

    pub(crate) fn unrefer<T: Stored>(&mut self, key: &Key, record: &T) {
        record.references(&mut |to| {
            self.references.remove(&(to.into(), T::KIND, key.clone()));
        });
    }
}

pub(crate) fn load<T: Stored>(
    tables: &mut Tables,
    row: &Row,
    index: &mut References,
) -> Result<(), StoreError> {
    let damaged = |what: &dyn fmt::Display| {
        StoreError::Damaged(format!("record {} {}: {what}", row.kind, row.key))
    };
    let key = Key::parse(&row.key).ok_or_else(|| damaged(&"its key cannot be read"))?;
    let record: T = serde_json::from_slice(&row.value).map_err(|error| damaged(&error))?;
    record.references(&mut |to| {
        index.insert((to.into(), T::KIND, key.clone()));
    });
    T::table_mut(tables).insert(key, Arc::new(record));
    Ok(())
}

pub(crate) fn dump<T: Stored>(tables: &Tables, rows: &mut Vec<Row>) -> Result<(), StoreError> {
    for (key, record) in T::table(tables) {
        rows.push(row(key, record.as_ref())?);
    }
    Ok(())
}

pub(crate) fn row<T: Stored>(key: &Key, record: &T) -> Result<Row, StoreError> {
    let value = serde_json::to_vec(record).map_err(|error| StoreError::Io(error.to_string()))?;
    Ok(Row { kind: T::KIND.to_owned(), key: key.to_string(), value })
}
