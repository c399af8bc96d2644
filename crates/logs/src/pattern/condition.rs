//! A comparison of a field with a value.

use regex::Regex;

use super::{PatternError, scan::Scan};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug)]
enum Wanted {
    Number(f64),
    /// Parts of a text between its `*`.
    Text(Vec<String>),
    Regex(Regex),
}

/// `= "REJECT"`, `> 1000`, `!= 4*`
#[derive(Clone, Debug)]
pub(super) struct Condition {
    comparison: Comparison,
    wanted: Wanted,
}

impl Condition {
    /// Reads a comparison and its value, if one comes next. An unquoted value ends at a space or
    /// at one of `ends`.
    pub(super) fn parse(scan: &mut Scan<'_>, ends: &[char]) -> Result<Option<Self>, PatternError> {
        scan.skip_space();
        let comparison = if scan.take("!=") {
            Comparison::NotEqual
        } else if scan.take("<=") {
            Comparison::LessOrEqual
        } else if scan.take(">=") {
            Comparison::GreaterOrEqual
        } else if scan.take("<") {
            Comparison::Less
        } else if scan.take(">") {
            Comparison::Greater
        } else if scan.take("=") {
            Comparison::Equal
        } else {
            return Ok(None);
        };
        scan.skip_space();
        let wanted = match scan.peek() {
            Some('"' | '\'') => Wanted::Text(parts(&scan.quoted()?)),
            Some('%') => Wanted::Regex(scan.regex()?),
            _ => {
                let text = scan.take_until(|c| c.is_whitespace() || ends.contains(&c));
                if text.is_empty() {
                    let message = "Invalid filter pattern: a comparison lacks its value";
                    return Err(PatternError(message.to_owned()));
                }
                match text.parse::<f64>() {
                    Ok(number) if number.is_finite() => Wanted::Number(number),
                    _ => Wanted::Text(parts(text)),
                }
            }
        };
        let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if !equality && !matches!(wanted, Wanted::Number(_)) {
            let message = "Invalid filter pattern: only numbers are greater or less";
            return Err(PatternError(message.to_owned()));
        }
        Ok(Some(Self { comparison, wanted }))
    }

    /// A text that everything has in it that this holds for.
    fn literal(&self) -> Option<&str> {
        match (&self.wanted, self.comparison) {
            (Wanted::Text(parts), Comparison::Equal) => {
                parts.iter().map(String::as_str).max_by_key(|it| it.len())
            }
            _ => None,
        }
    }

    pub(super) fn holds_for(&self, text: &str) -> bool {
        let order = |number: f64| text.trim().parse::<f64>().ok()?.partial_cmp(&number);
        let equal = match &self.wanted {
            Wanted::Number(number) => order(*number).is_some_and(|it| it.is_eq()),
            Wanted::Text(parts) => is_made_of(text, parts),
            Wanted::Regex(regex) => regex.is_match(text),
        };
        let ordered = match &self.wanted {
            Wanted::Number(number) => order(*number),
            Wanted::Text(_) | Wanted::Regex(_) => None,
        };
        match self.comparison {
            Comparison::Equal => equal,
            Comparison::NotEqual => !equal,
            Comparison::Less => ordered.is_some_and(|it| it.is_lt()),
            Comparison::LessOrEqual => ordered.is_some_and(|it| it.is_le()),
            Comparison::Greater => ordered.is_some_and(|it| it.is_gt()),
            Comparison::GreaterOrEqual => ordered.is_some_and(|it| it.is_ge()),
        }
    }
}

impl Tree<Condition> {
    /// A text that everything has in it that this holds for; the longest that is known.
    pub(super) fn literal(&self) -> Option<&str> {
        match self {
            Self::One(condition) => condition.literal(),
            Self::All(all) => all.iter().filter_map(Self::literal).max_by_key(|it| it.len()),
            Self::Any(_) => None,
        }
    }
}

fn parts(text: &str) -> Vec<String> {
    text.split('*').map(str::to_owned).collect()
}

/// Whether a text is these parts in this order, with anything between them.
fn is_made_of(text: &str, parts: &[String]) -> bool {
    let [first, middle @ .., last] = parts else {
        return parts.first().is_some_and(|only| only == text);
    };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for part in middle {
        match rest.find(part.as_str()) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last.as_str())
}

/// Conditions tied with `&&`, `||` and parentheses.
#[derive(Clone, Debug)]
pub(super) enum Tree<C> {
    One(C),
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// How deep parentheses may go.
const DEPTH: usize = 32;

impl<C> Tree<C> {
    pub(super) fn parse(
        scan: &mut Scan<'_>,
        depth: usize,
        one: &mut dyn FnMut(&mut Scan<'_>) -> Result<C, PatternError>,
    ) -> Result<Self, PatternError> {
        if depth > DEPTH {
            return Err(PatternError("Invalid filter pattern: too deep".to_owned()));
        }
        let mut any = vec![Self::all(scan, depth, one)?];
        loop {
            scan.skip_space();
            if !scan.take("||") {
                break;
            }
            any.push(Self::all(scan, depth, one)?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Self::Any(any) })
    }

    fn all(
        scan: &mut Scan<'_>,
        depth: usize,
        one: &mut dyn FnMut(&mut Scan<'_>) -> Result<C, PatternError>,
    ) -> Result<Self, PatternError> {
        let mut all = Vec::new();
        loop {
            scan.skip_space();
            if scan.take("(") {
                all.push(Self::parse(scan, depth + 1, one)?);
                scan.skip_space();
                if !scan.take(")") {
                    return Err(PatternError("Invalid filter pattern: ')' is missing".to_owned()));
                }
            } else {
                all.push(Self::One(one(scan)?));
            }
            scan.skip_space();
            if !scan.take("&&") {
                break;
            }
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Self::All(all) })
    }

    pub(super) fn holds(&self, one: &dyn Fn(&C) -> bool) -> bool {
        match self {
            Self::One(condition) => one(condition),
            Self::All(all) => all.iter().all(|it| it.holds(one)),
            Self::Any(any) => any.iter().any(|it| it.holds(one)),
        }
    }

    pub(super) fn each<'a>(&'a self, visit: &mut dyn FnMut(&'a C)) {
        match self {
            Self::One(condition) => visit(condition),
            Self::All(all) | Self::Any(all) => all.iter().for_each(|it| it.each(visit)),
        }
    }
}
