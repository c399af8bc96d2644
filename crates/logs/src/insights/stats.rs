//! The functions of `stats`: what each keeps of the rows of a group.

use std::collections::HashSet;

use super::value::Value;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Function {
    Count,
    CountDistinct,
    Sum,
    Average,
    Minimum,
    Maximum,
    Deviation,
    Percentile(f64),
    Earliest,
    Latest,
    SortsFirst,
    SortsLast,
}

/// What is kept for one function of one group.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    Count(u64),
    Distinct(HashSet<String>),
    /// Number, sum, sum of squares.
    Sums(u64, f64, f64),
    Extreme(Option<Value<'static>>),
    Numbers(Vec<f64>),
    At(Option<(i64, Value<'static>)>),
}

impl Function {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "count" => Self::Count,
            "count_distinct" => Self::CountDistinct,
            "sum" => Self::Sum,
            "avg" => Self::Average,
            "min" => Self::Minimum,
            "max" => Self::Maximum,
            "stddev" => Self::Deviation,
            "pct" | "percentile" => Self::Percentile(f64::NAN),
            "median" => Self::Percentile(50.0),
            "earliest" => Self::Earliest,
            "latest" => Self::Latest,
            "sortsfirst" => Self::SortsFirst,
            "sortslast" => Self::SortsLast,
            _ => return None,
        })
    }

    pub(super) fn begin(&self) -> Kept {
        match self {
            Self::Count => Kept::Count(0),
            Self::CountDistinct => Kept::Distinct(HashSet::new()),
            Self::Sum | Self::Average | Self::Deviation => Kept::Sums(0, 0.0, 0.0),
            Self::Minimum | Self::Maximum | Self::SortsFirst | Self::SortsLast => {
                Kept::Extreme(None)
            }
            Self::Percentile(_) => Kept::Numbers(Vec::new()),
            Self::Earliest | Self::Latest => Kept::At(None),
        }
    }

    /// Takes the value of a row in, whose time may decide.
    pub(super) fn take(&self, kept: &mut Kept, value: &Value<'_>, time: i64) {
        if value.is_missing() {
            return;
        }
        match kept {
            Kept::Count(count) => *count += 1,
            Kept::Distinct(seen) => {
                let text = value.text();
                if !seen.contains(text.as_ref()) {
                    seen.insert(text.into_owned());
                }
            }
            Kept::Sums(count, sum, squares) => {
                if let Some(number) = value.number() {
                    (*count, *sum, *squares) =
                        (*count + 1, *sum + number, *squares + number * number);
                }
            }
            Kept::Extreme(extreme) => {
                if extreme.as_ref().is_none_or(|it| self.is_better(value, it)) {
                    *extreme = Some(value.clone().into_owned());
                }
            }
            Kept::Numbers(numbers) => numbers.extend(value.number()),
            Kept::At(at) => {
                if at.as_ref().is_none_or(|(known, _)| self.is_closer(time, *known)) {
                    *at = Some((time, value.clone().into_owned()));
                }
            }
        }
    }

    /// Brings together what two readers kept.
    pub(super) fn join(&self, kept: &mut Kept, other: Kept) {
        match (kept, other) {
            (Kept::Count(count), Kept::Count(more)) => *count += more,
            (Kept::Distinct(seen), Kept::Distinct(more)) => seen.extend(more),
            (Kept::Sums(count, sum, squares), Kept::Sums(more, other, others)) => {
                (*count, *sum, *squares) = (*count + more, *sum + other, *squares + others);
            }
            (Kept::Extreme(extreme), Kept::Extreme(Some(other)))
                if extreme.as_ref().is_none_or(|it| self.is_better(&other, it)) =>
            {
                *extreme = Some(other);
            }
            (Kept::Numbers(numbers), Kept::Numbers(more)) => numbers.extend(more),
            (Kept::At(at), Kept::At(Some((time, value))))
                if at.as_ref().is_none_or(|(known, _)| self.is_closer(time, *known)) =>
            {
                *at = Some((time, value));
            }
            _ => {}
        }
    }

    fn is_better(&self, value: &Value<'_>, known: &Value<'_>) -> bool {
        match self {
            Self::Minimum | Self::SortsFirst => value.order(known).is_lt(),
            _ => value.order(known).is_gt(),
        }
    }

    fn is_closer(&self, time: i64, known: i64) -> bool {
        match self {
            Self::Earliest => time < known,
            _ => time >= known,
        }
    }

    pub(super) fn end(&self, kept: Kept) -> Value<'static> {
        match (self, kept) {
            (_, Kept::Count(count)) => Value::Number(count as f64),
            (_, Kept::Distinct(seen)) => Value::Number(seen.len() as f64),
            (Self::Sum, Kept::Sums(count, sum, _)) if count > 0 => Value::Number(sum),
            (Self::Average, Kept::Sums(count, sum, _)) if count > 0 => {
                Value::Number(sum / count as f64)
            }
            (Self::Deviation, Kept::Sums(count, sum, squares)) if count > 0 => {
                let mean = sum / count as f64;
                Value::Number((squares / count as f64 - mean * mean).max(0.0).sqrt())
            }
            // Extremes of numbers are numbers, also where they were written in a text.
            (_, Kept::Extreme(Some(value))) => value
                .number()
                .filter(|_| !matches!(value, Value::Time(_)))
                .map_or(value, Value::Number),
            (_, Kept::Extreme(None)) => Value::Missing,
            (Self::Percentile(percent), Kept::Numbers(mut numbers)) if !numbers.is_empty() => {
                numbers.sort_by(f64::total_cmp);
                let rank = (percent / 100.0 * numbers.len() as f64).ceil().max(1.0) as usize;
                numbers
                    .get(rank.min(numbers.len()) - 1)
                    .map_or(Value::Missing, |it| Value::Number(*it))
            }
            (_, Kept::At(Some((_, value)))) => value,
            _ => Value::Missing,
        }
    }
}

/// The groups of a `stats`, by a text that tells their values apart.
pub(super) type Groups =
    hashbrown::HashMap<Vec<u8>, (Vec<Value<'static>>, Vec<Kept>), foldhash::fast::RandomState>;
