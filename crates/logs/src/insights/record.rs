//! What an event gives to a query: its own fields and those discovered in its message.

use std::{borrow::Cow, cell::OnceCell};

use serde_json::Value as Json;

use super::{run::Source, value::Value};
use crate::Event;

/// Where the value of a name comes from in an event.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Origin {
    Timestamp,
    IngestionTime,
    Message,
    LogStream,
    Log,
    Pointer,
    /// The nth word of a flow log record in the default format (FL-20), or a key of JSON.
    Flow(usize),
    Json,
}

/// How Insights names the fields of the default format of flow logs (FL-20).
const FLOW_FIELDS: [&str; 14] = [
    "version",
    "accountId",
    "interfaceId",
    "srcAddr",
    "dstAddr",
    "srcPort",
    "dstPort",
    "protocol",
    "packets",
    "bytes",
    "startTime",
    "endTime",
    "action",
    "logStatus",
];

impl Origin {
    pub(super) fn of(name: &str) -> Self {
        let flow = || FLOW_FIELDS.iter().position(|field| field.eq_ignore_ascii_case(name));
        // Names that people write as the records' own: `srcaddr`, `start`.
        let raw = || match name {
            "start" => Some(10),
            "end" => Some(11),
            _ => None,
        };
        match name {
            "@timestamp" => Self::Timestamp,
            "@ingestionTime" => Self::IngestionTime,
            "@message" => Self::Message,
            "@logStream" => Self::LogStream,
            "@log" => Self::Log,
            "@ptr" => Self::Pointer,
            _ => flow().or_else(raw).map_or(Self::Json, Self::Flow),
        }
    }
}

/// An event and what was found in it.
pub(super) struct Record<'a> {
    pub(super) event: Event<'a>,
    source: &'a Source,
    words: OnceCell<Option<[&'a str; 14]>>,
    json: OnceCell<Option<Json>>,
}

impl<'a> Record<'a> {
    pub(super) fn new(event: Event<'a>, source: &'a Source) -> Self {
        Self { event, source, words: OnceCell::new(), json: OnceCell::new() }
    }

    pub(super) fn get(&self, origin: &Origin, name: &str) -> Value<'a> {
        match origin {
            Origin::Timestamp => Value::Time(self.event.mark.time),
            Origin::IngestionTime => Value::Time(self.event.ingested),
            Origin::Message => Value::Text(Cow::Borrowed(self.event.message)),
            Origin::LogStream => match self.source.streams.get(&self.event.stream) {
                Some((_, stream)) => Value::Text(Cow::Borrowed(stream)),
                None => Value::Missing,
            },
            Origin::Log => match self.source.streams.get(&self.event.stream) {
                Some((log, _)) => Value::Text(Cow::Borrowed(log)),
                None => Value::Missing,
            },
            Origin::Pointer => Value::Text(Cow::Owned(self.event.mark.pointer(self.event.stream))),
            Origin::Flow(index) => {
                match self.words.get_or_init(|| flow_words(self.event.message)) {
                    Some(words) => words
                        .get(*index)
                        .map_or(Value::Missing, |word| Value::Text(Cow::Borrowed(word))),
                    None => self.json(name),
                }
            }
            Origin::Json => self.json(name),
        }
    }

    fn json(&self, name: &str) -> Value<'a> {
        let json = self.json.get_or_init(|| {
            let text = self.event.message.trim();
            text.starts_with('{').then(|| serde_json::from_str(text).ok())?
        });
        let Some(json) = json else { return Value::Missing };
        let found = json.get(name).or_else(|| {
            name.split('.').try_fold(json, |value, key| match key.parse::<usize>() {
                Ok(index) if value.is_array() => value.get(index),
                _ => value.get(key),
            })
        });
        match found {
            None | Some(Json::Null) => Value::Missing,
            Some(Json::String(text)) => Value::Text(Cow::Owned(text.clone())),
            Some(Json::Number(number)) => number.as_f64().map_or(Value::Missing, Value::Number),
            Some(Json::Bool(value)) => Value::Bool(*value),
            Some(other) => Value::Text(Cow::Owned(other.to_string())),
        }
    }
}

/// The words of a flow log record in the default format; other messages have none.
fn flow_words(message: &str) -> Option<[&str; 14]> {
    let mut words = [""; 14];
    let (mut start, mut count) = (0, 0);
    let mut end = |at: usize| {
        *words.get_mut(count)? = message.get(start..at)?;
        (count, start) = (count + 1, at + 1);
        Some(())
    };
    // Words are short: eight bytes at a time find their ends sooner than a search for each.
    let (eights, rest) = message.as_bytes().as_chunks::<8>();
    for (number, bytes) in eights.iter().enumerate() {
        let mut spaces = spaces(u64::from_le_bytes(*bytes));
        while spaces != 0 {
            end(8 * number + spaces.trailing_zeros() as usize / 8)?;
            spaces &= spaces - 1;
        }
    }
    for (at, _) in rest.iter().enumerate().filter(|(_, byte)| **byte == b' ') {
        end(message.len() - rest.len() + at)?;
    }
    end(message.len())?;
    (count == 14 && words[2].starts_with("eni-")).then_some(words)
}

/// The highest bit of each byte that is a space.
fn spaces(bytes: u64) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let others = bytes ^ 0x2020_2020_2020_2020;
    !(((others & LOW) + LOW) | others | LOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str =
        "2 123456789012 eni-0a 10.1.2.7 10.1.1.5 40000 22 6 4 336 1700000000 1700000059 REJECT OK";

    /// FL-20
    #[test]
    fn a_record_of_a_flow_log_has_fourteen_words() {
        let words = flow_words(RECORD).expect("a record");
        assert_eq!(words.join(" "), RECORD);
        assert_eq!(flow_words(&format!("{RECORD} more")), None);
        assert_eq!(flow_words(&RECORD.replace(" OK", "")), None);
        assert_eq!(flow_words(&RECORD.replace("eni-", "vpc-")), None);
        assert_eq!(flow_words(""), None);
    }

    proptest::proptest! {
        #[test]
        fn words_are_what_is_between_spaces(words in proptest::collection::vec("[a\u{a0}가!]{0,5}", 12..17)) {
            let mut words = words;
            words[2].insert_str(0, "eni-");
            let message = words.join(" ");
            let expected = (words.len() == 14).then_some(words);
            let found = flow_words(&message).map(|it| it.map(str::to_owned).to_vec());
            proptest::prop_assert_eq!(found, expected);
        }
    }
}
