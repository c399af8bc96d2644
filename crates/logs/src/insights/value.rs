//! Values of a query: texts, numbers, points in time.

use std::{borrow::Cow, cmp::Ordering};

/// A value of a field or expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Missing,
    Bool(bool),
    Number(f64),
    /// Milliseconds since the Unix epoch.
    Time(i64),
    Text(Cow<'a, str>),
}

impl Value<'_> {
    pub(super) fn into_owned(self) -> Value<'static> {
        match self {
            Value::Missing => Value::Missing,
            Value::Bool(value) => Value::Bool(value),
            Value::Number(value) => Value::Number(value),
            Value::Time(value) => Value::Time(value),
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Value::Missing)
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Time(time) => Some(*time as f64),
            Value::Text(text) => number(text),
            Value::Missing | Value::Bool(_) => None,
        }
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Bool(value) => *value,
            Value::Number(number) => *number != 0.0,
            Value::Missing | Value::Time(_) | Value::Text(_) => false,
        }
    }

    /// As answers show it.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Value::Missing => Cow::Borrowed(""),
            Value::Bool(value) => Cow::Borrowed(if *value { "1" } else { "0" }),
            Value::Number(number) => Cow::Owned(shown(*number)),
            Value::Time(time) => Cow::Owned(shown_time(*time)),
            Value::Text(text) => Cow::Borrowed(text),
        }
    }

    /// Numbers by their size, where both are; else texts. What is missing comes first.
    pub(super) fn order(&self, other: &Value<'_>) -> Ordering {
        match (self.is_missing(), other.is_missing()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        match (self.number(), other.number()) {
            (Some(one), Some(two)) => one.total_cmp(&two),
            _ => self.text().cmp(&other.text()),
        }
    }

    pub(super) fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Missing, _) | (_, Value::Missing) => false,
            (Value::Text(one), Value::Text(two)) => one == two,
            (Value::Bool(one), Value::Bool(two)) => one == two,
            _ => match (self.number(), other.number()) {
                (Some(one), Some(two)) => one == two,
                _ => self.text() == other.text(),
            },
        }
    }
}

/// The number that a text is. Most are short and whole.
pub(super) fn number(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    if !bytes.is_empty() && bytes.len() <= 15 && bytes.iter().all(u8::is_ascii_digit) {
        let whole = bytes.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        return Some(whole as f64);
    }
    match bytes.first() {
        Some(b'0'..=b'9' | b'-' | b'+' | b'.') => {
            text.parse().ok().filter(|it: &f64| it.is_finite())
        }
        _ => None,
    }
}

fn shown(number: f64) -> String {
    if number == number.trunc() && number.abs() < 1e15 {
        return format!("{number:.0}");
    }
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn shown_time(time: i64) -> String {
    match jiff::Timestamp::from_millisecond(time) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
        Err(_) => time.to_string(),
    }
}
