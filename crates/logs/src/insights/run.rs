//! Running a query over log data.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    ops::{Range, RangeInclusive},
    sync::atomic::{self, AtomicBool, AtomicU64},
};

use super::{
    parser::{Aggregate, Command, Expression, Operator, Parsed, QueryError, Slot, parse},
    record::{Origin, Record},
    stats::{Groups, Kept},
    value::Value,
};
use crate::{Event, LogError, LogStore};

/// How many rows an answer has at most.
const LIMIT: usize = 10_000;
/// The name under which rows of events tell which event they are.
const POINTER: &str = "@ptr";

/// A query, ready to run.
#[derive(Clone, Debug)]
pub struct Query {
    parsed: Parsed,
    /// Where the slots come from in an event.
    origins: Vec<Origin>,
    /// How many commands are done event by event.
    streamed: usize,
    limit: usize,
}

/// What is asked: groups, and the names of their streams.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The numbers of the groups.
    pub groups: Vec<u64>,
    /// By the number of a stream: `@log` and `@logStream`.
    pub streams: BTreeMap<u64, (String, String)>,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryOutcome {
    /// Rows of names and values.
    pub rows: Vec<Vec<(String, String)>>,
    /// How many events passed the filters.
    pub matched: u64,
    /// How many events were looked at.
    pub scanned: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A row that is no event any more.
#[derive(Clone, Debug)]
struct Row {
    values: Vec<Value<'static>>,
    time: i64,
    pointer: Option<String>,
}

/// Rows in the order in which they are wanted; no more than are.
struct Best<'q> {
    query: &'q Query,
    keys: &'q [(Expression, bool)],
    cap: usize,
    rows: Vec<(Vec<Value<'static>>, Row)>,
    full: bool,
}

enum Sink<'q> {
    Groups(&'q [Aggregate], &'q [(Expression, Slot)], Groups, Vec<u8>),
    Best(Best<'q>),
}

struct Values<'s, 'a> {
    record: Option<&'s Record<'a>>,
    computed: Vec<Value<'a>>,
}

impl Query {
    /// Reads a query; `limit` is that of the request.
    pub fn parse(text: &str, limit: Option<usize>) -> Result<Self, QueryError> {
        let mut parsed = parse(text)?;
        let per_event = |command: &Command| {
            matches!(command, Command::Compute(_) | Command::Filter(_) | Command::Parse { .. })
        };
        let streamed = parsed.commands.iter().take_while(|it| per_event(it)).count();
        if parsed.shown.is_empty() {
            for name in ["@timestamp", "@message"] {
                let known = parsed.names.iter().position(|it| it == name);
                let slot = known.unwrap_or_else(|| {
                    parsed.names.push(name.to_owned());
                    parsed.names.len() - 1
                });
                parsed.shown.push(slot);
            }
        }
        let origins = parsed.names.iter().map(|name| Origin::of(name)).collect();
        Ok(Self { parsed, origins, streamed, limit: limit.unwrap_or(LIMIT).clamp(1, LIMIT) })
    }

    /// Runs the query. Ends early, with what there is, once `stop` is set.
    pub fn run(
        &self,
        store: &LogStore,
        source: &Source,
        range: &Range<i64>,
        stop: &AtomicBool,
    ) -> Result<QueryOutcome, LogError> {
        let (scanned, matched, bytes) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let count = |counter: &AtomicU64, by: u64| counter.fetch_add(by, atomic::Ordering::Relaxed);
        let sinks = store.scan(
            &source.groups,
            range,
            || (self.sink(), [0_u64; 3]),
            |(sink, counts), event| {
                counts[0] += 1;
                counts[2] += event.message.len() as u64;
                counts[1] += u64::from(self.take(sink, event, source));
            },
            || stop.load(atomic::Ordering::Relaxed),
        )?;
        let mut all: Option<Sink<'_>> = None;
        for (sink, counts) in sinks {
            count(&scanned, counts[0]);
            count(&matched, counts[1]);
            count(&bytes, counts[2]);
            match &mut all {
                None => all = Some(sink),
                Some(all) => all.join(sink),
            }
        }
        let (mut rows, mut rest) = (Vec::new(), self.streamed);
        match all {
            Some(Sink::Groups(aggregates, by, groups, _)) => {
                rows = self.grouped(aggregates, by, groups);
                rest += 1;
            }
            Some(Sink::Best(best)) => {
                // Its order is the one that a `sort` right there asks for.
                rest += usize::from(!best.keys.is_empty());
                rows = best.end();
            }
            None => {}
        }
        for command in self.parsed.commands.get(rest..).unwrap_or_default() {
            self.apply(command, &mut rows);
        }
        rows.truncate(self.limit);
        let counted = |it: AtomicU64| it.into_inner();
        Ok(QueryOutcome {
            rows: rows.into_iter().map(|row| self.shown(row)).collect(),
            matched: counted(matched),
            scanned: counted(scanned),
            bytes: counted(bytes),
        })
    }

    fn sink(&self) -> Sink<'_> {
        let mut rest = self.parsed.commands.iter().skip(self.streamed);
        match rest.next() {
            Some(Command::Stats { aggregates, by }) => {
                Sink::Groups(aggregates, by, Groups::default(), Vec::new())
            }
            Some(Command::Sort(keys)) => {
                let cap = match rest.next() {
                    Some(Command::Limit(limit)) => *limit,
                    _ => LIMIT,
                };
                Sink::Best(Best { query: self, keys, cap, rows: Vec::new(), full: false })
            }
            Some(Command::Limit(limit)) => Sink::Best(Best {
                query: self,
                keys: &[],
                cap: *limit,
                rows: Vec::new(),
                full: false,
            }),
            // To find what is double, all must be seen.
            Some(Command::Dedup(_)) => Sink::Best(Best {
                query: self,
                keys: &[],
                cap: usize::MAX,
                rows: Vec::new(),
                full: false,
            }),
            _ => Sink::Best(Best {
                query: self,
                keys: &[],
                cap: LIMIT,
                rows: Vec::new(),
                full: false,
            }),
        }
    }

    /// Takes an event in; whether it passed the filters.
    fn take(&self, sink: &mut Sink<'_>, event: &Event<'_>, source: &Source) -> bool {
        let record = Record::new(*event, source);
        let mut values = Values { record: Some(&record), computed: Vec::new() };
        for command in self.parsed.commands.get(..self.streamed).unwrap_or_default() {
            if !self.step(command, &mut values) {
                return false;
            }
        }
        let time = event.mark.time;
        match sink {
            Sink::Groups(aggregates, by, groups, key) => {
                self.group(aggregates, by, groups, key, &values, time);
            }
            Sink::Best(best) => best.take(&values, event),
        }
        true
    }

    fn group<'a>(
        &'a self,
        aggregates: &'a [Aggregate],
        by: &'a [(Expression, Slot)],
        groups: &mut Groups,
        key: &mut Vec<u8>,
        values: &Values<'_, 'a>,
        time: i64,
    ) {
        key.clear();
        for (expression, _) in by {
            match self.value(expression, values) {
                Value::Time(time) => key.extend_from_slice(&time.to_le_bytes()),
                value => key.extend_from_slice(value.text().as_bytes()),
            }
            key.push(0);
        }
        let tally = |kept: &mut [Kept]| {
            for (aggregate, kept) in aggregates.iter().zip(kept) {
                let value = match &aggregate.of {
                    Some(of) => self.value(of, values),
                    None => Value::Bool(true),
                };
                aggregate.function.take(kept, &value, time);
            }
        };
        if let Some((_, kept)) = groups.get_mut(key.as_slice()) {
            tally(kept);
            return;
        }
        let owned = by.iter().map(|(it, _)| self.value(it, values).into_owned()).collect();
        let mut begun: Vec<_> = aggregates.iter().map(|it| it.function.begin()).collect();
        tally(&mut begun);
        groups.insert(key.clone(), (owned, begun));
    }

    fn grouped(
        &self,
        aggregates: &[Aggregate],
        by: &[(Expression, Slot)],
        groups: Groups,
    ) -> Vec<Row> {
        let mut rows: Vec<_> = groups
            .into_values()
            .map(|(keys, kept)| {
                let mut row = self.empty_row(None);
                for ((_, slot), key) in by.iter().zip(keys) {
                    set(&mut row.values, *slot, key);
                }
                for (aggregate, kept) in aggregates.iter().zip(kept) {
                    set(&mut row.values, aggregate.slot, aggregate.function.end(kept));
                }
                row
            })
            .collect();
        // Without a `sort` some order that stays the same.
        rows.sort_by(|one, two| {
            let order = |slot: &Slot| {
                one.values.get(*slot).zip(two.values.get(*slot)).map(|(a, b)| a.order(b))
            };
            by.iter()
                .filter_map(|(_, slot)| order(slot))
                .find(|it| it.is_ne())
                .unwrap_or(Ordering::Equal)
        });
        rows
    }

    fn empty_row(&self, event: Option<&Event<'_>>) -> Row {
        Row {
            values: vec![Value::Missing; self.parsed.names.len()],
            time: event.map_or(0, |event| event.mark.time),
            pointer: event.map(|event| event.mark.pointer(event.stream)),
        }
    }

    /// Does one command for one row; whether the row stays.
    fn step<'a>(&'a self, command: &'a Command, values: &mut Values<'_, 'a>) -> bool {
        match command {
            Command::Compute(list) => {
                for (expression, slot) in list {
                    if !matches!(expression, Expression::Slot(it) if it == slot) {
                        let value = self.value(expression, values);
                        self.compute(values, *slot, value);
                    }
                }
                true
            }
            Command::Filter(expression) => self.value(expression, values).is_true(),
            Command::Parse { source, extraction, slots } => {
                let text = match self.value(source, values) {
                    Value::Text(text) => text,
                    other => Cow::Owned(other.text().into_owned()),
                };
                // What is not found is missing, and so is all where the whole does not match.
                let forget = |values: &mut Values<'_, 'a>| {
                    slots.iter().for_each(|(_, it)| self.compute(values, *it, Value::Missing));
                };
                forget(values);
                let matches = extraction.find(&text, |number, range| {
                    for (_, slot) in slots.iter().filter(|(at, _)| *at == number) {
                        let piece = match &text {
                            Cow::Borrowed(text) => {
                                Cow::Borrowed(text.get(range.clone()).unwrap_or_default())
                            }
                            Cow::Owned(text) => {
                                Cow::Owned(text.get(range.clone()).unwrap_or_default().to_owned())
                            }
                        };
                        self.compute(values, *slot, Value::Text(piece));
                    }
                });
                if !matches {
                    forget(values);
                }
                true
            }
            Command::Stats { .. } | Command::Sort(_) | Command::Limit(_) | Command::Dedup(_) => {
                true
            }
        }
    }

    fn compute<'a>(&self, values: &mut Values<'_, 'a>, slot: Slot, value: Value<'a>) {
        if values.computed.is_empty() {
            values.computed = vec![Value::Missing; self.parsed.names.len()];
        }
        set(&mut values.computed, slot, value);
    }

    /// Does one command for all rows.
    fn apply(&self, command: &Command, rows: &mut Vec<Row>) {
        match command {
            Command::Compute(_) | Command::Filter(_) | Command::Parse { .. } => {
                rows.retain_mut(|row| {
                    let computed = std::mem::take(&mut row.values);
                    let mut values = Values { record: None, computed };
                    let stays = self.step(command, &mut values);
                    row.values = values.computed.into_iter().map(Value::into_owned).collect();
                    stays
                });
            }
            Command::Stats { aggregates, by } => {
                let (mut groups, mut key) = (Groups::default(), Vec::new());
                for row in rows.drain(..) {
                    let values = Values { record: None, computed: row.values };
                    self.group(aggregates, by, &mut groups, &mut key, &values, row.time);
                }
                *rows = self.grouped(aggregates, by, groups);
            }
            Command::Sort(keys) => {
                let mut keyed: Vec<_> = rows
                    .drain(..)
                    .map(|row| (self.keys(keys.iter().map(|it| &it.0), &row), row))
                    .collect();
                keyed.sort_by(|one, two| compare(keys, &one.0, &two.0));
                rows.extend(keyed.into_iter().map(|(_, row)| row));
            }
            Command::Limit(limit) => rows.truncate(*limit),
            Command::Dedup(keys) => {
                let mut seen = HashSet::new();
                rows.retain(|row| {
                    let values = self.keys(keys.iter(), row);
                    // What lacks one of the fields is never double.
                    values.iter().any(Value::is_missing)
                        || seen.insert(
                            values.iter().map(|it| it.text().into_owned()).collect::<Vec<_>>(),
                        )
                });
            }
        }
    }

    fn keys<'k>(
        &self,
        keys: impl Iterator<Item = &'k Expression>,
        row: &Row,
    ) -> Vec<Value<'static>> {
        let values = Values { record: None, computed: row.values.clone() };
        keys.map(|key| self.value(key, &values).into_owned()).collect()
    }

    fn shown(&self, row: Row) -> Vec<(String, String)> {
        let value = |slot: &Slot| {
            let name = self.parsed.names.get(*slot)?;
            let value = row.values.get(*slot).filter(|it| !it.is_missing())?;
            Some((name.clone(), value.text().into_owned()))
        };
        let mut shown: Vec<_> = self.parsed.shown.iter().filter_map(value).collect();
        shown.extend(row.pointer.clone().map(|pointer| (POINTER.to_owned(), pointer)));
        shown
    }

    fn slot<'a>(&self, slot: Slot, values: &Values<'_, 'a>) -> Value<'a> {
        match values.computed.get(slot) {
            Some(value) if !value.is_missing() => return value.clone(),
            _ => {}
        }
        let origin = self.origins.get(slot).zip(self.parsed.names.get(slot));
        match (values.record, origin) {
            (Some(record), Some((origin, name))) => record.get(origin, name),
            _ => Value::Missing,
        }
    }

    fn value<'a>(&'a self, expression: &'a Expression, values: &Values<'_, 'a>) -> Value<'a> {
        match expression {
            Expression::Slot(slot) => self.slot(*slot, values),
            // Not copied for every event.
            Expression::Literal(Value::Text(text)) => Value::Text(Cow::Borrowed(text)),
            Expression::Literal(value) => value.clone(),
            Expression::Not(inner) => Value::Bool(!self.value(inner, values).is_true()),
            Expression::In(what, list) => {
                let what = self.value(what, values);
                Value::Bool(list.iter().any(|it| what.equals(&self.value(it, values))))
            }
            Expression::Contains(what, part) => {
                Value::Bool(self.value(what, values).text().contains(part.as_str()))
            }
            Expression::Matches(what, regex) => {
                Value::Bool(regex.is_match(&self.value(what, values).text()))
            }
            Expression::Binary(operator, left, right) => {
                let left = self.value(left, values);
                match operator {
                    Operator::And if !left.is_true() => return Value::Bool(false),
                    Operator::Or if left.is_true() => return Value::Bool(true),
                    _ => {}
                }
                binary(*operator, &left, &self.value(right, values))
            }
            Expression::Call(name, arguments) => {
                let arguments: Vec<_> = arguments.iter().map(|it| self.value(it, values)).collect();
                call(name, &arguments)
            }
        }
    }
}

impl<'q> Best<'q> {
    fn take<'a>(&mut self, values: &Values<'_, 'a>, event: &Event<'_>)
    where
        'q: 'a,
    {
        let mut keys: Vec<_> =
            self.keys.iter().map(|(key, _)| self.query.value(key, values).into_owned()).collect();
        // Then, or without a `sort`, the newest comes first.
        keys.push(Value::Time(event.mark.time));
        keys.push(Value::Number(event.mark.position as f64));
        if self.full
            && self.rows.get(self.cap - 1).is_some_and(|it| self.order(&keys, &it.0).is_ge())
        {
            return;
        }
        let mut row = self.query.empty_row(Some(event));
        for slot in 0..row.values.len() {
            let value = self.query.slot(slot, values).into_owned();
            set(&mut row.values, slot, value);
        }
        self.rows.push((keys, row));
        if self.rows.len() >= self.cap.saturating_mul(2).max(1024) {
            self.tidy();
        }
    }

    fn order(&self, one: &[Value<'_>], two: &[Value<'_>]) -> Ordering {
        let asked = compare(self.keys, one, two);
        let newest = || {
            let rest = one.iter().zip(two).skip(self.keys.len());
            rest.map(|(one, two)| two.order(one)).find(|it| it.is_ne()).unwrap_or(Ordering::Equal)
        };
        asked.then_with(newest)
    }

    fn tidy(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by(|one, two| self.order(&one.0, &two.0));
        rows.truncate(self.cap);
        self.full = rows.len() == self.cap;
        self.rows = rows;
    }

    fn end(mut self) -> Vec<Row> {
        self.tidy();
        self.rows.into_iter().map(|(_, row)| row).collect()
    }
}

impl Sink<'_> {
    fn join(&mut self, other: Self) {
        match (self, other) {
            (Self::Groups(aggregates, _, groups, _), Self::Groups(_, _, others, _)) => {
                for (key, (values, kept)) in others {
                    match groups.get_mut(&key) {
                        None => {
                            groups.insert(key, (values, kept));
                        }
                        Some((_, known)) => {
                            for ((aggregate, known), kept) in aggregates.iter().zip(known).zip(kept)
                            {
                                aggregate.function.join(known, kept);
                            }
                        }
                    }
                }
            }
            (Self::Best(best), Self::Best(other)) => best.rows.extend(other.rows),
            _ => {}
        }
    }
}

fn set<'a>(values: &mut [Value<'a>], slot: Slot, value: Value<'a>) {
    if let Some(place) = values.get_mut(slot) {
        *place = value;
    }
}

fn compare(keys: &[(Expression, bool)], one: &[Value<'_>], two: &[Value<'_>]) -> Ordering {
    let mut orders = keys.iter().zip(one.iter().zip(two)).map(|((_, descending), (one, two))| {
        let order = one.order(two);
        if *descending { order.reverse() } else { order }
    });
    orders.find(|it| it.is_ne()).unwrap_or(Ordering::Equal)
}

fn binary(operator: Operator, left: &Value<'_>, right: &Value<'_>) -> Value<'static> {
    let order = || match left.is_missing() || right.is_missing() {
        true => None,
        false => Some(left.order(right)),
    };
    let numbers = || left.number().zip(right.number());
    let calculated = |how: fn(f64, f64) -> f64| {
        let result = numbers().map(|(one, two)| how(one, two)).filter(|it| it.is_finite());
        result.map_or(Value::Missing, Value::Number)
    };
    match operator {
        Operator::And => Value::Bool(left.is_true() && right.is_true()),
        Operator::Or => Value::Bool(left.is_true() || right.is_true()),
        Operator::Equal => Value::Bool(left.equals(right)),
        Operator::NotEqual => Value::Bool(!left.is_missing() && !left.equals(right)),
        Operator::Less => Value::Bool(order().is_some_and(Ordering::is_lt)),
        Operator::LessOrEqual => Value::Bool(order().is_some_and(Ordering::is_le)),
        Operator::Greater => Value::Bool(order().is_some_and(Ordering::is_gt)),
        Operator::GreaterOrEqual => Value::Bool(order().is_some_and(Ordering::is_ge)),
        Operator::Add => calculated(|one, two| one + two),
        Operator::Subtract => calculated(|one, two| one - two),
        Operator::Multiply => calculated(|one, two| one * two),
        Operator::Divide => calculated(|one, two| one / two),
        Operator::Remainder => calculated(|one, two| one % two),
        Operator::Power => calculated(f64::powf),
    }
}

/// How many arguments a function has; of unknown functions nothing.
pub(super) fn arity(name: &str) -> Option<RangeInclusive<usize>> {
    Some(match name {
        "abs" | "ceil" | "floor" | "log" | "sqrt" | "frommillis" | "tomillis" | "isempty"
        | "isblank" | "strlen" | "toupper" | "tolower" | "ispresent" | "isvalidip"
        | "isvalidipv4" | "isvalidipv6" => 1..=1,
        "trim" | "ltrim" | "rtrim" => 1..=2,
        "datefloor" | "dateceil" | "strcontains" | "startswith" | "endswith" | "isipinsubnet"
        | "isipv4insubnet" | "isipv6insubnet" => 2..=2,
        "substr" => 2..=3,
        "replace" => 3..=3,
        "concat" | "coalesce" | "greatest" | "least" => 1..=usize::MAX,
        "now" => 0..=0,
        _ => return None,
    })
}

fn call(name: &str, arguments: &[Value<'_>]) -> Value<'static> {
    let argument = |at: usize| arguments.get(at).unwrap_or(&Value::Missing);
    let number = |at: usize| argument(at).number();
    let text = |at: usize| argument(at).text();
    let owned = |text: String| Value::Text(Cow::Owned(text));
    let calculated = |value: Option<f64>| {
        value.filter(|it| it.is_finite()).map_or(Value::Missing, Value::Number)
    };
    let rounded = |up: bool| match (number(0), number(1)) {
        (Some(time), Some(period)) if period >= 1.0 => {
            let (time, period) = (time as i64, period as i64);
            let floor = time.div_euclid(period) * period;
            Value::Time(if up && floor < time { floor + period } else { floor })
        }
        _ => Value::Missing,
    };
    let address = |at: usize| text(at).parse::<IpAddr>().ok();
    let best = |wanted: Ordering| {
        let present = arguments.iter().filter(|it| !it.is_missing());
        let found = present.reduce(|one, two| if two.order(one) == wanted { two } else { one });
        found.map_or(Value::Missing, |it| it.clone().into_owned())
    };
    match name {
        "abs" => calculated(number(0).map(f64::abs)),
        "ceil" => calculated(number(0).map(f64::ceil)),
        "floor" => calculated(number(0).map(f64::floor)),
        "log" => calculated(number(0).map(f64::ln)),
        "sqrt" => calculated(number(0).map(f64::sqrt)),
        "greatest" => best(Ordering::Greater),
        "least" => best(Ordering::Less),
        "frommillis" => number(0).map_or(Value::Missing, |ms| Value::Time(ms as i64)),
        "tomillis" => calculated(number(0)),
        "datefloor" => rounded(false),
        "dateceil" => rounded(true),
        "ispresent" => Value::Bool(!argument(0).is_missing()),
        "isempty" => Value::Bool(text(0).is_empty()),
        "isblank" => Value::Bool(text(0).trim().is_empty()),
        "strlen" => Value::Number(text(0).chars().count() as f64),
        "toupper" => owned(text(0).to_uppercase()),
        "tolower" => owned(text(0).to_lowercase()),
        "trim" | "ltrim" | "rtrim" => {
            let cut: Vec<char> = match arguments.len() {
                2 => text(1).chars().collect(),
                _ => vec![' ', '\t', '\n', '\r'],
            };
            let whole = text(0);
            let cut = cut.as_slice();
            owned(match name {
                "trim" => whole.trim_matches(cut).to_owned(),
                "ltrim" => whole.trim_start_matches(cut).to_owned(),
                _ => whole.trim_end_matches(cut).to_owned(),
            })
        }
        "substr" => {
            let skip = number(1).unwrap_or(0.0).max(0.0) as usize;
            let take = number(2).map_or(usize::MAX, |it| it.max(0.0) as usize);
            owned(text(0).chars().skip(skip).take(take).collect())
        }
        "replace" => owned(text(0).replace(text(1).as_ref(), text(2).as_ref())),
        "concat" => owned(arguments.iter().map(|it| it.text()).collect()),
        "strcontains" => Value::Bool(text(0).contains(text(1).as_ref())),
        "startswith" => Value::Bool(text(0).starts_with(text(1).as_ref())),
        "endswith" => Value::Bool(text(0).ends_with(text(1).as_ref())),
        "coalesce" => {
            let found = arguments.iter().find(|it| !it.is_missing());
            found.map_or(Value::Missing, |it| it.clone().into_owned())
        }
        "isvalidip" => Value::Bool(address(0).is_some()),
        "isvalidipv4" => Value::Bool(address(0).is_some_and(|it| it.is_ipv4())),
        "isvalidipv6" => Value::Bool(address(0).is_some_and(|it| it.is_ipv6())),
        "isipinsubnet" | "isipv4insubnet" | "isipv6insubnet" => {
            Value::Bool(address(0).is_some_and(|address| is_in(address, &text(1))))
        }
        _ => Value::Missing,
    }
}

/// Whether an address is in a block as `10.0.0.0/8`.
fn is_in(address: IpAddr, block: &str) -> bool {
    let Some((base, length)) = block.split_once('/') else { return false };
    let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    let bits = |address: IpAddr| match address {
        IpAddr::V4(it) => (u128::from(u32::from(it)) << 96, 32),
        IpAddr::V6(it) => (u128::from(it), 128),
    };
    let ((one, width), (two, other)) = (bits(address), bits(base));
    width == other && length <= width && (length == 0 || (one ^ two) >> (128 - length) == 0)
}
