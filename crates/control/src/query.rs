//! What a Describe operation asks for: filters and a page of what passes them (API-7, API-9).
//!
//! Records are narrowed by an index before any is shown, and shown one by one until the page is
//! full: what an answer costs depends on what is in it, not on what there is.

use std::{collections::BTreeMap, sync::Arc};

use gureum_api::ec2;
use gureum_store::{Snapshot, Stored};
use gureum_types::record::Scope;

use crate::{
    call::{Answer, Named, listed},
    filter::{self, Fields, TagsOf},
    page,
};

/// Finds all records that a filter may let pass when one of its values is this text; it may find
/// more.
pub(crate) type Lookup<T> = fn(&Snapshot, &Scope, &str) -> Vec<Arc<T>>;

/// The filters by which records are found without looking at all of them, besides those for
/// tags.
pub(crate) type Index<T> = [(&'static str, Lookup<T>)];

/// Filters, and which page of what passes them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) filters: &'a [ec2::Filter],
    pub(crate) max_results: Option<i32>,
    pub(crate) next_token: &'a Option<String>,
}

/// A kind of record as a Describe operation shows it.
pub(crate) struct View<T: 'static, S: 'static> {
    /// What can be filtered by.
    pub(crate) fields: &'static Fields<S>,
    /// Which of these are found by an index.
    pub(crate) index: &'static Index<T>,
    /// The tags, where there are any.
    pub(crate) tags: TagsOf<S>,
}

impl Query<'_> {
    /// The records that a list of ids names, or those that may pass the filters; by id.
    pub(crate) fn candidates<T: Named>(
        self,
        records: &Snapshot,
        scope: &Scope,
        ids: &[String],
        index: &Index<T>,
    ) -> Answer<Vec<Arc<T>>> {
        if !ids.is_empty() {
            return listed(records, scope, ids);
        }
        let found = self.filters.iter().find_map(|filter| narrowed(records, scope, filter, index));
        match found {
            Some(found) => Ok(found),
            None => listed(records, scope, ids),
        }
    }

    /// The page of what passes the filters, and the token of the next. `found` is in the order of
    /// ids.
    pub(crate) fn page<T: Stored, S>(
        self,
        found: &[Arc<T>],
        view: &View<T, S>,
        shown: impl Fn(&T) -> S,
    ) -> Answer<(Vec<S>, Option<String>)> {
        self.picked(found, view, &shown, |record, item| item.unwrap_or_else(|| shown(record)))
    }

    /// As [`Self::page`], but the records themselves.
    pub(crate) fn records<T: Stored, S>(
        self,
        found: &[Arc<T>],
        view: &View<T, S>,
        shown: impl Fn(&T) -> S,
    ) -> Answer<(Vec<Arc<T>>, Option<String>)> {
        self.picked(found, view, &shown, |record, _| record.clone())
    }

    /// Nothing is shown to whoever has no filter.
    fn picked<T: Stored, S, P>(
        self,
        found: &[Arc<T>],
        view: &View<T, S>,
        shown: impl Fn(&T) -> S,
        pick: impl Fn(&Arc<T>, Option<S>) -> P,
    ) -> Answer<(Vec<P>, Option<String>)> {
        filter::check(self.filters, view.fields, view.tags)?;
        let first = match page::after(self.next_token)? {
            Some(after) => found.partition_point(|record| *record.id() <= *after),
            None => 0,
        };
        let size = self.max_results.map_or(usize::MAX, page::size);
        let found = found.get(first..).unwrap_or_default();
        if self.filters.is_empty() {
            let (these, others) = found.split_at(size.min(found.len()));
            let last = these.last().filter(|_| !others.is_empty());
            let next = last.map(|record| page::token(&record.id()));
            return Ok((these.iter().map(|record| pick(record, None)).collect(), next));
        }
        let (mut picked, mut last) = (Vec::new(), None);
        for record in found {
            let item = shown(record);
            if !filter::passes(&item, self.filters, view.fields, view.tags) {
                continue;
            }
            if picked.len() == size {
                return Ok((picked, last.map(|id: String| page::token(&id))));
            }
            picked.push(pick(record, Some(item)));
            last = Some(record.id().into_owned());
        }
        Ok((picked, None))
    }

    /// Both at once: what a Describe operation usually does.
    pub(crate) fn answer<T: Named, S>(
        self,
        records: &Snapshot,
        scope: &Scope,
        ids: &[String],
        view: &View<T, S>,
        shown: impl Fn(&T) -> S,
    ) -> Answer<(Vec<S>, Option<String>)> {
        let found = self.candidates(records, scope, ids, view.index)?;
        self.page(&found, view, shown)
    }
}

/// The records that a filter may let pass, if an index tells.
fn narrowed<T: Named>(
    records: &Snapshot,
    scope: &Scope,
    filter: &ec2::Filter,
    index: &Index<T>,
) -> Option<Vec<Arc<T>>> {
    let values = filter::literals(filter)?;
    let name = filter.name.as_deref()?;
    let found: Vec<Arc<T>> = match name.strip_prefix("tag:") {
        Some(key) => {
            let tagged =
                |value| referrers(records, scope, &gureum_store::tag_reference(key, value));
            values.iter().flat_map(|value| tagged(value)).collect()
        }
        None => {
            let (_, lookup) = index.iter().find(|(field, _)| *field == name)?;
            values.iter().flat_map(|value| lookup(records, scope, value)).collect()
        }
    };
    let by_id: BTreeMap<String, Arc<T>> =
        found.into_iter().map(|it| (it.id().into_owned(), it)).collect();
    Some(by_id.into_values().collect())
}

/// The record with this id.
pub(crate) fn own<T: Stored>(records: &Snapshot, scope: &Scope, id: &str) -> Vec<Arc<T>> {
    records.find::<T>(scope, id).cloned().into_iter().collect()
}

/// The records of the scope that refer to this.
pub(crate) fn referrers<T: Stored>(records: &Snapshot, scope: &Scope, to: &str) -> Vec<Arc<T>> {
    let of_scope =
        records.referrers_with_keys::<T>(to).filter(|(key, _)| key.scope.as_ref() == Some(scope));
    of_scope.map(|(_, record)| record.clone()).collect()
}
