//! Patterns of terms: all required ones, none of the excluded ones, or any of the optional ones.

use memchr::memmem::Finder;
use regex::Regex;

use super::{PatternError, scan::Scan};

#[derive(Clone, Debug)]
enum Term {
    Text(Box<Finder<'static>>),
    Regex(Regex),
}

impl Term {
    fn is_in(&self, message: &str) -> bool {
        match self {
            Self::Text(finder) => finder.find(message.as_bytes()).is_some(),
            Self::Regex(regex) => regex.is_match(message),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    required: Vec<Term>,
    /// Count only where nothing is required or excluded, as in AWS.
    optional: Vec<Term>,
    excluded: Vec<Term>,
}

impl Terms {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut scan = Scan::new(text);
        let mut terms = Self::default();
        loop {
            scan.skip_space();
            if scan.peek().is_none() {
                return Ok(terms);
            }
            let kind = if scan.take("?") {
                &mut terms.optional
            } else if scan.take("-") {
                &mut terms.excluded
            } else {
                &mut terms.required
            };
            kind.push(term(&mut scan)?);
        }
    }

    pub(super) fn matches(&self, message: &str) -> bool {
        let is_in = |term: &Term| term.is_in(message);
        if self.required.is_empty() && self.excluded.is_empty() {
            return self.optional.iter().any(is_in);
        }
        self.required.iter().all(is_in) && !self.excluded.iter().any(is_in)
    }
}

fn term(scan: &mut Scan<'_>) -> Result<Term, PatternError> {
    let text = match scan.peek() {
        Some('"') => scan.quoted()?,
        Some('%') => return Ok(Term::Regex(scan.regex()?)),
        _ => {
            let text = scan.take_until(char::is_whitespace);
            if text.is_empty() || !text.chars().all(|c| c.is_alphanumeric() || c == '_') {
                return Err(PatternError(format!("Invalid character(s) in term '{text}'")));
            }
            text.to_owned()
        }
    };
    Ok(Term::Text(Box::new(Finder::new(text.as_bytes()).into_owned())))
}
