//! Parameters of the query protocols: form text to a tree of names.
//!
//! `Filter.1.Value.2=x` becomes the path Filter → 1 → Value → 2. What the names mean is decided
//! later, by the shape that is read from the tree.

use std::{borrow::Cow, collections::BTreeMap};

use crate::error::ApiError;

/// Deeper names than any shape has; keeps hostile keys from growing the tree.
const MAX_DEPTH: usize = 16;

/// A parameter and the parameters below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) value: Option<String>,
    pub(crate) children: BTreeMap<String, Self>,
}

impl Node {
    /// The tree of some pairs; the same name twice is refused.
    pub(crate) fn from_pairs(pairs: Vec<(String, String)>) -> Result<Self, ApiError> {
        let mut root = Self::default();
        for (key, value) in pairs {
            if key.split('.').count() > MAX_DEPTH {
                return Err(ApiError::unknown_parameter(&key));
            }
            let mut node = &mut root;
            for part in key.split('.') {
                node = node.children.entry(part.to_owned()).or_default();
            }
            if node.value.replace(value).is_some() {
                return Err(malformed(format!("The parameter {key} is given more than once.")));
            }
        }
        Ok(root)
    }

    /// The parameters at and below this one with their whole names.
    pub(crate) fn leaves<'a>(&'a self, name: &str, found: &mut Vec<(String, Cow<'a, str>)>) {
        if let Some(value) = &self.value {
            found.push((name.to_owned(), Cow::Borrowed(value)));
        }
        for (part, child) in &self.children {
            match name {
                "" => child.leaves(part, found),
                name => child.leaves(&format!("{name}.{part}"), found),
            }
        }
    }

    /// Whether it is a name with nothing behind it, as in `Name=`.
    pub(crate) fn is_blank(&self) -> bool {
        self.children.is_empty() && self.value.as_deref().is_none_or(str::is_empty)
    }

    /// The rest of the name of the first parameter at or below this one.
    pub(crate) fn first_leaf(&self) -> String {
        let mut name = String::new();
        let mut node = self;
        while node.value.is_none()
            && let Some((part, child)) = node.children.first_key_value()
        {
            name.push('.');
            name.push_str(part);
            node = child;
        }
        name
    }
}

fn malformed(message: String) -> ApiError {
    ApiError::new("MalformedQueryString", message)
}

/// The pairs of an `application/x-www-form-urlencoded` text, in order.
pub(crate) fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    let parts = text.split(|&b| b == b'&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let end = part.iter().position(|&b| b == b'=').unwrap_or(part.len());
            let value = part.get(end + 1..).unwrap_or_default();
            Ok((decoded(&part[..end])?, decoded(value)?))
        })
        .collect()
}

fn decoded(text: &[u8]) -> Result<String, ApiError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: Option<&u8>| b.and_then(|&b| char::from(b).to_digit(16));
                match (digit(rest.next()), digit(rest.next())) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => {
                        return Err(malformed("The query string has a bad percent escape.".into()));
                    }
                }
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| malformed("The query string is not UTF-8.".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded() {
        let found = pairs(b"A=1+2&B%2E1=%ED%95%9C&C&D=a%3Db=c&&").expect("well formed");
        let expected = [("A", "1 2"), ("B.1", "한"), ("C", ""), ("D", "a=b=c")];
        assert_eq!(found, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for text in [&b"A=%"[..], b"A=%4", b"A=%zz", b"A=%ff", b"A=%+1"] {
            assert_eq!(pairs(text).expect_err("refused").code, "MalformedQueryString");
        }
    }

    #[test]
    fn a_parameter_given_twice_is_refused() {
        let twice = pairs(b"A.1=x&A.1=y").expect("well formed");
        let error = Node::from_pairs(twice).expect_err("refused");
        assert_eq!(error.message, "The parameter A.1 is given more than once.");
    }

    #[test]
    fn endless_names_are_refused() {
        let key = "A.".repeat(100_000);
        let error = Node::from_pairs(vec![(key, String::new())]).expect_err("refused");
        assert_eq!(error.code, "UnknownParameter");
    }
}
