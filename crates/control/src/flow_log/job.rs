//! One delivery: one part of one or more windows, to one flow log.

use std::{collections::HashSet, io, sync::Arc};

use gureum_store::{Snapshot, Store};
use gureum_types::{
    NetworkInterfaceId, Timestamp, Window,
    record::{FlowLog, FlowLogDelivery, FlowLogDestination, LogStream, Scope},
};
use tokio::runtime::Handle;

use super::{
    access,
    group::{self, streams},
    interface::{Facts, covered},
    line::{Format, Services, Told},
    notes::{Notes, Part},
    traffic::{Sorted, Traffic},
};
use crate::{call::Call, config::Config};

/// Why something was not delivered.
pub(crate) enum Failure {
    /// The destination does not take it.
    Destination(FlowLogDelivery),
    /// A window cannot be read.
    Window(io::Error),
}

impl From<access::Refused> for Failure {
    fn from(_: access::Refused) -> Self {
        Self::Destination(FlowLogDelivery::AccessError)
    }
}

/// A window of a delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a> {
    /// From when until when.
    pub(crate) span: (Timestamp, Timestamp),
    /// What is noted of it.
    pub(crate) notes: &'a Notes,
}

/// A delivery.
pub(crate) struct Job<'a> {
    pub(crate) store: &'a Store,
    pub(crate) config: &'a Arc<Config>,
    /// What waits for the buckets.
    pub(crate) runtime: &'a Handle,
    pub(crate) records: &'a Snapshot,
    pub(crate) scope: &'a Scope,
    pub(crate) log: &'a FlowLog,
    pub(crate) part: Part,
    /// From the beginning of the first window to the end of the last.
    pub(crate) span: (Timestamp, Timestamp),
}

/// What was counted in the time that one record tells of.
struct Interval<'a> {
    span: (Timestamp, Timestamp),
    sorted: Sorted,
    /// Those whose traffic of some window was told before.
    partial: HashSet<&'a NetworkInterfaceId>,
}

/// What is told of an interface, in the order of time.
pub(super) type ToldOf<'a> = (&'a Facts, Vec<Told<'a>>);

impl Job<'_> {
    /// Delivers what windows have for the flow log. Whose traffic was in it.
    pub(crate) fn deliver(
        &self,
        members: &[Member<'_>],
        mut read: impl FnMut(usize) -> io::Result<Arc<Window>>,
    ) -> Result<Vec<NetworkInterfaceId>, Failure> {
        let covered = covered(self.records, self.scope, self.log, self.span.0);
        let apart: Vec<_> = match (self.part, has_long_part(self.log)) {
            (Part::Short, true) => {
                covered.iter().filter(|it| it.is_nitro).map(|it| it.id.clone()).collect()
            }
            _ => Vec::new(),
        };
        if covered.is_empty() {
            return Ok(apart);
        }
        // Where it would be refused windows need not be read.
        self.check(covered.iter().filter(|it| it.was_in_use(self.span.0, self.span.1)))?;
        // A record is about one window, or about all of the longer interval (FL-12).
        let length = if self.part == Part::Long { members.len().max(1) } else { 1 };
        let mut intervals = Vec::new();
        let mut numbers = 0..;
        for members in members.chunks(length) {
            let mut traffic = Traffic::new(self.log.traffic_type, &covered);
            let mut partial = HashSet::new();
            let (first, last) = (members.first(), members.last());
            let (Some(first), Some(last)) = (first, last) else { continue };
            for (member, number) in members.iter().zip(&mut numbers) {
                let window = read(number).map_err(Failure::Window)?;
                let is_wanted = |place: u32| {
                    let facts = usize::try_from(place).ok().and_then(|it| covered.get(it));
                    facts.is_some_and(|it| self.is_wanted(member.notes, it))
                };
                traffic.add(&window, is_wanted);
                let not = covered.iter().filter(|it| !self.is_wanted(member.notes, it));
                partial.extend(not.map(|it| &it.id));
            }
            let span = (first.span.0, last.span.1);
            intervals.push(Interval { span, sorted: traffic.sorted(), partial });
        }
        let told = self.told(&covered, &intervals);
        match &self.log.destination {
            FlowLogDestination::LogGroup(name) => self.to_group(name, told)?,
            FlowLogDestination::Bucket { arn, .. } => self.to_bucket(arn, &told)?,
        }
        Ok(apart)
    }

    fn is_wanted(&self, notes: &Notes, facts: &Facts) -> bool {
        match self.part {
            Part::Short => facts.is_nitro || !has_long_part(self.log),
            Part::Long => !notes.is_apart(&self.log.id, &facts.id),
        }
    }

    /// Records of the interfaces that have some.
    fn told<'a>(&self, covered: &'a [Facts], intervals: &'a [Interval<'_>]) -> Vec<ToldOf<'a>> {
        let dropped = self.log.dropped.filter(|_| self.part == Part::Short);
        let mut found = Vec::new();
        for (facts, place) in covered.iter().zip(0..) {
            let mut told = Vec::new();
            if let Some((from, to)) = dropped.filter(|(from, to)| facts.was_in_use(*from, *to)) {
                told.push(Told::SkipData(from, to));
            }
            for Interval { span, sorted, partial } in intervals {
                let (flows, skipped) = (sorted.of(place), sorted.skipped(place));
                told.extend(skipped.iter().map(|(_, from, to)| Told::SkipData(*from, *to)));
                told.extend(flows.iter().map(Told::Flow));
                let is_quiet = flows.is_empty() && skipped.is_empty();
                if is_quiet && !partial.contains(&facts.id) && facts.was_in_use(span.0, span.1) {
                    told.push(Told::NoData(span.0, span.1));
                }
            }
            if !told.is_empty() {
                told.sort_by_key(Told::start);
                found.push((facts, told));
            }
        }
        found
    }

    /// Whether the flow log may deliver what it has of some interfaces.
    fn check<'a>(&self, facts: impl Iterator<Item = &'a Facts>) -> Result<Option<Call>, Failure> {
        let facts: Vec<_> = facts.cloned().collect();
        let FlowLogDestination::LogGroup(name) = &self.log.destination else { return Ok(None) };
        if facts.is_empty() {
            return Ok(None);
        }
        let streams = streams(self.records, self.scope, name, self.log, &facts);
        let now = (self.config.clock)();
        let call =
            access::to_group(self.config, self.records, self.scope, self.log, name, &streams, now)?;
        Ok(Some(call))
    }

    fn to_group(&self, name: &str, mut told: Vec<ToldOf<'_>>) -> Result<(), Failure> {
        // That there is no traffic is told where there was some before: it alone makes no stream
        // and no group (FL-8).
        told.retain(|(facts, told)| {
            told.iter().any(|it| !matches!(it, Told::NoData(..))) || self.has_stream(name, facts)
        });
        let call = self.check(told.iter().map(|(facts, _)| *facts))?;
        let Some(call) = call else { return Ok(()) };
        self.config.uses.note(&call.caller, call.now, &self.scope.region, "logs");
        let names = told.iter().map(|(facts, _)| (*facts).clone()).collect::<Vec<_>>();
        let names = streams(self.records, self.scope, name, self.log, &names);
        let (format, services) = (Format::of(&self.log.format), self.services());
        let told: Vec<_> = told
            .iter()
            .zip(&names)
            .map(|((facts, told), name)| (*facts, name.as_str(), told.as_slice()))
            .collect();
        let put = group::put(&call, self.store, name, &format, &services, &told);
        put.map_err(|error| self.unknown(error))
    }

    fn has_stream(&self, group: &str, facts: &Facts) -> bool {
        let facts = std::slice::from_ref(facts);
        let names = streams(self.records, self.scope, group, self.log, facts);
        let known = |name: &String| {
            self.records.find::<LogStream>(self.scope, &format!("{group}:{name}")).is_some()
        };
        names.iter().all(known)
    }

    pub(super) fn services(&self) -> Services {
        Services { public_pool: self.config.public_pool, amazon: self.config.aws_addresses.clone() }
    }

    /// A failure for which nobody who is a user is to blame.
    pub(super) fn unknown(&self, error: impl std::fmt::Display) -> Failure {
        tracing::warn!(flow_log = %self.log.id, %error, "a flow log could not be delivered");
        Failure::Destination(FlowLogDelivery::UnknownError)
    }
}

/// Whether a flow log gathers the traffic of some interfaces for longer than a window (FL-12).
pub(crate) fn has_long_part(log: &FlowLog) -> bool {
    log.interval_seconds > 60
}
