//! The `Condition` of a statement.

use std::{collections::BTreeMap, net::IpAddr};

use gureum_types::Timestamp;
use ipnet::IpNet;

use super::pattern::{Pattern, Variables};

/// What is known of a request: the values of condition keys, whose names are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    /// Adds a value.
    pub(crate) fn add(&mut self, key: &str, value: impl Into<String>) {
        self.0.entry(key.to_ascii_lowercase()).or_default().push(value.into());
    }

    /// The values of a key in lower case; none when it is not known.
    fn get(&self, key: &str) -> &[String] {
        self.0.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The value of a variable: keys with several are none.
    pub(crate) fn variable(&self, key: &str) -> Option<String> {
        match self.get(key) {
            [value] => Some(value.clone()),
            _ => None,
        }
    }
}

/// How values of several are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// One of the request's must be right.
    Any,
    /// `ForAnyValue`: one of the request's must be right, and be there.
    ForAnyValue,
    /// `ForAllValues`: all of the request's must be right, if there are any.
    ForAllValues,
}

/// How a value of the request is compared with one of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    StringEquals,
    StringEqualsIgnoreCase,
    StringLike,
    Numeric(Order),
    Date(Order),
    Bool,
    Binary,
    IpAddress,
    Arn,
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equals,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Equals => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

/// An operator with its prefix and suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operator {
    set: Set,
    comparison: Comparison,
    negated: bool,
    if_exists: bool,
}

impl Operator {
    fn parse(text: &str) -> Option<Self> {
        let (set, rest) = match text.split_once(':') {
            Some(("ForAnyValue", rest)) => (Set::ForAnyValue, rest),
            Some(("ForAllValues", rest)) => (Set::ForAllValues, rest),
            Some(_) => return None,
            None => (Set::Any, text),
        };
        let (name, if_exists) = match rest.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (rest, false),
        };
        let (comparison, negated) = match name {
            "StringEquals" => (Comparison::StringEquals, false),
            "StringNotEquals" => (Comparison::StringEquals, true),
            "StringEqualsIgnoreCase" => (Comparison::StringEqualsIgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Comparison::StringEqualsIgnoreCase, true),
            "StringLike" => (Comparison::StringLike, false),
            "StringNotLike" => (Comparison::StringLike, true),
            "NumericEquals" => (Comparison::Numeric(Order::Equals), false),
            "NumericNotEquals" => (Comparison::Numeric(Order::Equals), true),
            "NumericLessThan" => (Comparison::Numeric(Order::Less), false),
            "NumericLessThanEquals" => (Comparison::Numeric(Order::LessOrEqual), false),
            "NumericGreaterThan" => (Comparison::Numeric(Order::Greater), false),
            "NumericGreaterThanEquals" => (Comparison::Numeric(Order::GreaterOrEqual), false),
            "DateEquals" => (Comparison::Date(Order::Equals), false),
            "DateNotEquals" => (Comparison::Date(Order::Equals), true),
            "DateLessThan" => (Comparison::Date(Order::Less), false),
            "DateLessThanEquals" => (Comparison::Date(Order::LessOrEqual), false),
            "DateGreaterThan" => (Comparison::Date(Order::Greater), false),
            "DateGreaterThanEquals" => (Comparison::Date(Order::GreaterOrEqual), false),
            "Bool" => (Comparison::Bool, false),
            "BinaryEquals" => (Comparison::Binary, false),
            "IpAddress" => (Comparison::IpAddress, false),
            "NotIpAddress" => (Comparison::IpAddress, true),
            "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
            "Null" if !if_exists => (Comparison::Null, false),
            _ => return None,
        };
        Some(Self { set, comparison, negated, if_exists })
    }

    fn holds(self, values: &[String], wanted: &[String], variables: Option<Variables<'_>>) -> bool {
        if self.comparison == Comparison::Null {
            let absent = values.is_empty();
            return wanted.iter().any(|it| it.eq_ignore_ascii_case(&absent.to_string()));
        }
        if values.is_empty() {
            return self.if_exists
                || match self.set {
                    Set::ForAllValues => true,
                    Set::ForAnyValue => false,
                    Set::Any => self.negated,
                };
        }
        let right = |value: &String| {
            let mut wanted = wanted.iter();
            wanted.any(|it| self.comparison.holds(value, it, variables)) != self.negated
        };
        match self.set {
            Set::ForAllValues => values.iter().all(right),
            Set::Any if self.negated => values.iter().all(right),
            Set::Any | Set::ForAnyValue => values.iter().any(right),
        }
    }
}

impl Comparison {
    /// Whether a value of the request is what the policy wants. What cannot be read is not.
    fn holds(self, value: &str, wanted: &str, variables: Option<Variables<'_>>) -> bool {
        let pattern = || Pattern::filled(wanted, variables);
        match self {
            Self::StringEquals => pattern().is_some_and(|it| it.literal().matches(value)),
            Self::StringEqualsIgnoreCase => {
                pattern().is_some_and(|it| it.literal().matches_any_case(value))
            }
            Self::StringLike => pattern().is_some_and(|it| it.matches(value)),
            Self::Arn => pattern().is_some_and(|it| it.matches_arn(value)),
            Self::Numeric(order) => match (value.parse::<f64>(), wanted.parse::<f64>()) {
                (Ok(value), Ok(wanted)) => order.holds(value, wanted),
                _ => false,
            },
            Self::Date(order) => match (date(value), date(wanted)) {
                (Some(value), Some(wanted)) => order.holds(value, wanted),
                _ => false,
            },
            Self::Bool => value.eq_ignore_ascii_case(wanted),
            Self::Binary => value == wanted,
            Self::IpAddress => match (value.parse::<IpAddr>(), network(wanted)) {
                (Ok(address), Some(network)) => network.contains(&address.to_canonical()),
                _ => false,
            },
            Self::Null => false,
        }
    }
}

/// RFC 3339, a day alone, or seconds since the epoch.
fn date(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(Timestamp::from_seconds(seconds));
    }
    text.parse().or_else(|_| format!("{text}T00:00:00Z").parse()).ok()
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()
}

/// One line of a `Condition`: an operator, a key, the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    operator: Operator,
    /// In lower case.
    key: String,
    values: Vec<String>,
}

impl Condition {
    /// A line; none when there is no such operator.
    pub(crate) fn new(operator: &str, key: &str, values: Vec<String>) -> Option<Self> {
        let operator = Operator::parse(operator)?;
        Some(Self { operator, key: key.to_ascii_lowercase(), values })
    }

    /// Whether the request is as it says.
    pub(crate) fn holds(&self, context: &Context, variables: Option<Variables<'_>>) -> bool {
        self.operator.holds(context.get(&self.key), &self.values, variables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(operator: &str, values: &[&str], wanted: &[&str]) -> bool {
        let mut context = Context::default();
        for value in values {
            context.add("aws:Key", *value);
        }
        let wanted = wanted.iter().map(|it| (*it).to_owned()).collect();
        let condition = Condition::new(operator, "AWS:key", wanted).expect("an operator");
        condition.holds(&context, Some(&|key| context.variable(key)))
    }

    #[test]
    fn each_operator_compares_in_its_way() {
        for (operator, value, wanted, expected) in [
            ("StringEquals", "a", "a", true),
            ("StringEquals", "a", "A", false),
            ("StringEquals", "ab", "a*", false),
            ("StringNotEquals", "a", "b", true),
            ("StringEqualsIgnoreCase", "a", "A", true),
            ("StringNotEqualsIgnoreCase", "a", "A", false),
            ("StringLike", "ab", "a*", true),
            ("StringNotLike", "ab", "a*", false),
            ("StringEquals", "x", "${aws:key}", true),
            ("NumericEquals", "10", "10.0", true),
            ("NumericNotEquals", "10", "10", false),
            ("NumericLessThan", "9", "10", true),
            ("NumericLessThanEquals", "10", "10", true),
            ("NumericGreaterThan", "10", "10", false),
            ("NumericGreaterThanEquals", "10", "10", true),
            ("NumericEquals", "ten", "10", false),
            ("DateEquals", "2026-01-01T00:00:00Z", "1767225600", true),
            ("DateLessThan", "2026-01-01T00:00:00Z", "2026-01-02", true),
            ("DateGreaterThan", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z", true),
            ("DateGreaterThanEquals", "1767225600", "2026-01-01T00:00:00Z", true),
            ("DateLessThanEquals", "x", "2026-01-01T00:00:00Z", false),
            ("DateNotEquals", "1767225600", "2026-01-01T00:00:00Z", false),
            ("Bool", "true", "True", true),
            ("Bool", "false", "true", false),
            ("BinaryEquals", "QQ==", "QQ==", true),
            ("IpAddress", "10.1.2.3", "10.1.0.0/16", true),
            ("IpAddress", "10.1.2.3", "10.1.2.3", true),
            ("IpAddress", "2001:db8::1", "2001:db8::/32", true),
            ("IpAddress", "10.1.2.3", "nonsense", false),
            ("NotIpAddress", "10.1.2.3", "10.1.0.0/16", false),
            ("ArnLike", "arn:aws:iam::1:role/a/b", "arn:aws:iam::*:role/*", true),
            ("ArnEquals", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/?", true),
            ("ArnNotLike", "arn:aws:iam::1:role/a", "arn:aws:iam::2:*", true),
            ("ArnNotEquals", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/a", false),
            ("Null", "a", "false", true),
            ("Null", "a", "true", false),
        ] {
            assert_eq!(
                holds(operator, &[value], &[wanted]),
                expected,
                "{operator} {value} {wanted}"
            );
        }
    }

    #[test]
    fn a_key_that_is_not_there_fails_all_but_negations_and_if_exists() {
        for (operator, expected) in [
            ("StringEquals", false),
            ("StringNotEquals", true),
            ("NotIpAddress", true),
            ("StringEqualsIfExists", true),
            ("ForAllValues:StringEquals", true),
            ("ForAnyValue:StringEquals", false),
            ("BoolIfExists", true),
        ] {
            assert_eq!(holds(operator, &[], &["a"]), expected, "{operator}");
        }
        assert!(holds("Null", &[], &["true"]));
    }

    #[test]
    fn several_values_are_all_or_any() {
        assert!(holds("ForAllValues:StringEquals", &["a", "b"], &["a", "b", "c"]));
        assert!(!holds("ForAllValues:StringEquals", &["a", "d"], &["a", "b", "c"]));
        assert!(holds("ForAnyValue:StringEquals", &["a", "d"], &["a", "b"]));
        assert!(!holds("ForAnyValue:StringEquals", &["d"], &["a", "b"]));
        assert!(holds("ForAnyValue:StringNotEquals", &["a", "d"], &["a"]));
        assert!(holds("StringEquals", &["b"], &["a", "b"]), "one of the policy's is enough");
        assert!(!holds("StringNotEquals", &["b"], &["a", "b"]), "none of the policy's may be");
    }

    #[test]
    fn what_is_no_operator_is_refused() {
        for text in ["StringIs", "NullIfExists", "ForSome:StringEquals", "stringequals", ""] {
            assert_eq!(Condition::new(text, "k", Vec::new()), None, "{text}");
        }
    }
}
