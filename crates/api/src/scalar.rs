//! Scalars as text: what query parameters hold, what XML elements hold.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use gureum_types::Timestamp;

use crate::{
    problem::Problem,
    shape::{Check, Slot},
};

/// Clients differ in padding; EC2 takes both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads `text` into a scalar slot. A slot that is no scalar is a problem too.
pub(crate) fn fill<'t>(slot: Slot<'_>, text: &'t str, check: Check) -> Result<(), Problem<'t>> {
    match slot {
        Slot::Text(slot) => text.clone_into(slot),
        Slot::Int32(slot) => *slot = parsed(text, "an integer")?,
        Slot::Int64(slot) => *slot = parsed(text, "an integer")?,
        Slot::Float32(slot) => *slot = finite(text)? as f32,
        Slot::Float64(slot) => *slot = finite(text)?,
        Slot::Bool(slot) => {
            *slot = match text {
                _ if text.eq_ignore_ascii_case("true") => true,
                _ if text.eq_ignore_ascii_case("false") => false,
                _ => return Err(Problem::NotA("true or false", text)),
            }
        }
        Slot::Time(slot) => {
            *slot = timestamp(text).ok_or(Problem::NotA("a timestamp", text))?;
        }
        Slot::Blob(slot) => {
            *slot = blob(text).ok_or(Problem::NotA("base64 encoded", text))?;
        }
        Slot::Structure(_) | Slot::Nested(_) => return Err(Problem::NotA("a structure", text)),
    }
    verify(text, check)
}

/// Holds a scalar, given as text, against its constraint.
pub(crate) fn verify(text: &str, check: Check) -> Result<(), Problem<'_>> {
    let satisfied = match check {
        Check::Any => true,
        Check::OneOf(values) => values.contains(&text),
        Check::Length(min, max) => {
            let count = text.chars().count() as u64;
            (u64::from(min)..=u64::from(max)).contains(&count)
        }
        Check::Range(min, max) => {
            text.parse::<i64>().is_ok_and(|number| (min..=max).contains(&number))
        }
    };
    if satisfied { Ok(()) } else { Err(Problem::Violates(check, text)) }
}

/// The bytes of a base64 text; line breaks are as good as none.
pub(crate) fn blob(text: &str) -> Option<Vec<u8>> {
    if text.contains(|c: char| c.is_ascii_whitespace()) {
        let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        return BASE64.decode(compact).ok();
    }
    BASE64.decode(text).ok()
}

/// The base64 text of some bytes.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// RFC 3339, or seconds since the epoch with or without a fraction.
fn timestamp(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(time.as_millisecond()));
    }
    seconds(text.parse().ok()?)
}

/// A point in time from seconds with a fraction, when it is one that calendars have.
pub(crate) fn seconds(seconds: f64) -> Option<Timestamp> {
    let millis = (seconds * 1000.0).round();
    let known = jiff::Timestamp::MIN.as_millisecond()..=jiff::Timestamp::MAX.as_millisecond();
    (millis.is_finite() && known.contains(&(millis as i64))).then_some(Timestamp(millis as i64))
}

fn parsed<'t, T: std::str::FromStr>(text: &'t str, kind: &'static str) -> Result<T, Problem<'t>> {
    text.parse().map_err(|_| Problem::NotA(kind, text))
}

fn finite(text: &str) -> Result<f64, Problem<'_>> {
    let number: f64 = parsed(text, "a number")?;
    if number.is_finite() { Ok(number) } else { Err(Problem::NotA("a number", text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_in_the_forms_clients_send() {
        let expected = Some(Timestamp(1_630_630_923_000));
        assert_eq!(timestamp("2021-09-03T01:02:03Z"), expected);
        assert_eq!(timestamp("2021-09-03T01:02:03.000Z"), expected);
        assert_eq!(timestamp("1630630923"), expected);
        assert_eq!(timestamp("yesterday"), None);
        assert_eq!(timestamp("1e300"), None);
        assert_eq!(timestamp("NaN"), None);
    }

    #[test]
    fn base64_with_line_breaks_and_without_padding() {
        assert_eq!(blob("aGVs\nbG8="), Some(b"hello".to_vec()));
        assert_eq!(blob("aGVsbG8"), Some(b"hello".to_vec()));
        assert_eq!(blob("a!"), None);
    }
}
