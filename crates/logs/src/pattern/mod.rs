//! The filter pattern language of CloudWatch Logs.
//!
//! Three kinds: terms (`ERROR -debug ?warn "two words" %regex%`), JSON selectors
//! (`{ $.action = "REJECT" && $.bytes > 1000 }`) and space-delimited events
//! (`[version, account, ..., action = "REJECT", status]`).

mod condition;
mod delimited;
mod json;
mod scan;
mod terms;

use std::collections::BTreeMap;

use self::{delimited::Delimited, json::Selector, terms::Terms};

/// A pattern, ready to match.
#[derive(Clone, Debug)]
pub struct Pattern(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Everything,
    Terms(Terms),
    Json(Selector),
    Delimited(Delimited),
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(pub String);

/// What a pattern picks out of an event that matches: the fields it names, with their values.
pub type Extracted = BTreeMap<String, String>;

impl Pattern {
    /// Reads a pattern; an empty one matches everything.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.trim();
        let kind = match text.chars().next() {
            None => Kind::Everything,
            Some('{') => Kind::Json(Selector::parse(text)?),
            Some('[') => Kind::Delimited(Delimited::parse(text)?),
            Some(_) => Kind::Terms(Terms::parse(text)?),
        };
        Ok(Self(kind))
    }

    /// Whether an event matches.
    pub fn matches(&self, message: &str) -> bool {
        match &self.0 {
            Kind::Everything => true,
            Kind::Terms(terms) => terms.matches(message),
            Kind::Json(selector) => selector.matches(message),
            Kind::Delimited(delimited) => delimited.matches(message),
        }
    }

    /// The fields of an event that matches.
    pub fn extract(&self, message: &str) -> Option<Extracted> {
        if !self.matches(message) {
            return None;
        }
        Some(match &self.0 {
            Kind::Everything | Kind::Terms(_) => Extracted::new(),
            Kind::Json(selector) => selector.extract(message),
            Kind::Delimited(delimited) => delimited.extract(message),
        })
    }
}

#[cfg(test)]
mod tests;
