//! When access keys and roles were last used, and where.
//!
//! Requests only take note in memory; the reconciler writes down what is news, so that no call waits
//! for it. As on AWS it may be a moment until a use is shown.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use gureum_store::{Snapshot, StoreError, Transaction};
use gureum_types::{
    AccountId, Region, Timestamp,
    record::{AccessKey, Role, Scope},
};

use super::caller::{Caller, Principal};

/// A use is written down when the last one that was is as old as this, or was elsewhere.
const NEWS_AFTER_MS: i64 = 60_000;

/// What was used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Used {
    Key(AccountId, String),
    Role(AccountId, String),
}

/// A use: when, in which region, of which service.
type Use = (Timestamp, Region, &'static str);

/// The uses that are not written down yet.
#[derive(Debug, Default)]
pub struct Uses(Mutex<BTreeMap<Used, Use>>);

impl Uses {
    /// Takes note of a call.
    pub(crate) fn note(
        &self,
        caller: &Caller,
        now: Timestamp,
        region: &Region,
        service: &'static str,
    ) {
        let account = || caller.account.clone();
        let used = match (&caller.principal, &caller.session) {
            (Principal::Role { role, .. }, _) => {
                Used::Role(account(), role.name.to_ascii_lowercase())
            }
            (Principal::User(_), None) => Used::Key(account(), caller.access_key_id.clone()),
            _ => return,
        };
        let now = Timestamp::from_seconds(now.seconds());
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.insert(used, (now, region.clone(), service));
    }

    /// Takes what is news out of the notes. What is not may become it later, and stays.
    pub(crate) fn take_news(&self, records: &Snapshot) -> News {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut news, mut later) = (Vec::new(), BTreeMap::new());
        for (used, it) in std::mem::take(&mut *noted) {
            match standing(records, &used) {
                // It was deleted meanwhile.
                None => {}
                Some(known) if known.as_ref().is_none_or(|known| is_news(&it, known)) => {
                    news.push((used, it));
                }
                Some(Some(known)) if known.0 < it.0 => {
                    later.insert(used, it);
                }
                Some(_) => {}
            }
        }
        *noted = later;
        News(news)
    }
}

/// What is to be written down.
#[derive(Debug)]
pub(crate) struct News(Vec<(Used, Use)>);

impl News {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes it down.
    pub(crate) fn write(&self, tx: &mut Transaction) -> Result<(), StoreError> {
        for (used, (when, region, service)) in &self.0 {
            match used {
                Used::Key(account, id) => {
                    let scope = Scope::global(account.clone());
                    tx.update::<AccessKey>(&scope, id, |key| {
                        key.last_used = Some((*when, region.clone(), (*service).to_owned()));
                    });
                }
                Used::Role(account, name) => {
                    let scope = Scope::global(account.clone());
                    tx.update::<Role>(&scope, name, |role| {
                        role.last_used = Some((*when, region.clone()));
                    });
                }
            }
        }
        Ok(())
    }
}

/// The last use that was written down, of what is there: when, where, of which service if that is
/// kept.
type Known = (Timestamp, Region, Option<String>);

fn standing(records: &Snapshot, used: &Used) -> Option<Option<Known>> {
    match used {
        Used::Key(account, id) => {
            let key = records.find::<AccessKey>(&Scope::global(account.clone()), id)?;
            let known = key.last_used.clone();
            Some(known.map(|(when, region, service)| (when, region, Some(service))))
        }
        Used::Role(account, name) => {
            let role = records.find::<Role>(&Scope::global(account.clone()), name)?;
            Some(role.last_used.clone().map(|(when, region)| (when, region, None)))
        }
    }
}

fn is_news((when, region, service): &Use, (before, where_before, of_before): &Known) -> bool {
    when.0.saturating_sub(before.0) >= NEWS_AFTER_MS
        || region != where_before
        || of_before.as_ref().is_some_and(|it| it != service)
}
