//! Words of a query.

use std::ops::Range;

use super::parser::QueryError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name, possibly with dots: `@timestamp`, `a.b`, or anything in backticks.
    Name(String),
    Text(String),
    Number(f64),
    /// A number with a unit: `5m`, in milliseconds.
    Period(i64),
    /// `/…/`
    Regex(String),
    Sign(&'static str),
}

const SIGNS: [&str; 21] = [
    "==", "!=", "<=", ">=", "=~", "&&", "||", "|", "!", "=", "<", ">", "+", "-", "*", "/", "%",
    "^", "(", ")", ",",
];

/// The words with where they stand in the text.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, QueryError> {
    let mut found = Vec::new();
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = text;
    let mut start = 0;
    loop {
        if found.len() < tokens.len() {
            found.extend(tokens.last().map(|it| (it.clone(), start..text.len() - rest.len())));
        }
        rest = rest.trim_start();
        start = text.len() - rest.len();
        let Some(first) = rest.chars().next() else { return Ok(found) };
        if first == '#' {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
            continue;
        }
        if matches!(first, '"' | '\'' | '`') {
            let (inside, after) = quoted(rest, first)?;
            tokens.push(if first == '`' { Token::Name(inside) } else { Token::Text(inside) });
            rest = after;
            continue;
        }
        if first == '/' && begins_regex(&tokens) {
            let (inside, after) = regex(rest)?;
            tokens.push(Token::Regex(inside));
            rest = after;
            continue;
        }
        if first.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (digits, after) = rest.split_at(end);
            let number = digits.parse::<f64>();
            let number = number.map_err(|_| QueryError::new(format!("'{digits}' is no number")))?;
            let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            rest = after;
            if unit.is_empty() {
                tokens.push(Token::Number(number));
                continue;
            }
            let unit = unit_ms(unit)
                .ok_or_else(|| QueryError::new(format!("'{unit}' is no unit of time")))?;
            tokens.push(Token::Period((number * unit as f64) as i64));
            continue;
        }
        if first.is_alphabetic() || matches!(first, '@' | '_' | '$') {
            let inside = |c: char| c.is_alphanumeric() || matches!(c, '@' | '_' | '.' | '$');
            let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            tokens.push(Token::Name(name.to_owned()));
            rest = after;
            continue;
        }
        if matches!(first, '[' | ']') {
            tokens.push(Token::Sign(if first == '[' { "[" } else { "]" }));
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
        let Some(sign) = sign else {
            return Err(QueryError::new(format!("unexpected symbol found {first}")));
        };
        tokens.push(Token::Sign(sign));
        rest = rest.get(sign.len()..).unwrap_or_default();
    }
}

/// Whether a slash begins a regex here and divides nothing.
fn begins_regex(before: &[Token]) -> bool {
    match before.last() {
        None => true,
        Some(Token::Sign(sign)) => !matches!(*sign, ")" | "]"),
        Some(Token::Name(name)) => {
            let name = name.to_ascii_lowercase();
            matches!(name.as_str(), "like" | "parse")
                || matches!(before.get(before.len().wrapping_sub(2)), Some(Token::Name(word)) if word.eq_ignore_ascii_case("parse"))
        }
        Some(_) => false,
    }
}

fn quoted(text: &str, quote: char) -> Result<(String, &str), QueryError> {
    let mut inside = String::new();
    let mut chars = text.chars();
    chars.next();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c) if c == quote || c == '\\' => inside.push(c),
                Some(c) => inside.extend(['\\', c]),
                None => break,
            },
            c if c == quote => return Ok((inside, chars.as_str())),
            c => inside.push(c),
        }
    }
    Err(QueryError::new("a quote is not closed"))
}

fn regex(text: &str) -> Result<(String, &str), QueryError> {
    let mut inside = String::new();
    let mut chars = text.chars();
    chars.next();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('/') => inside.push('/'),
                Some(c) => inside.extend(['\\', c]),
                None => break,
            },
            '/' => return Ok((inside, chars.as_str())),
            c => inside.push(c),
        }
    }
    Err(QueryError::new("a regex is not closed"))
}

fn unit_ms(unit: &str) -> Option<i64> {
    Some(match unit {
        "ms" | "msec" => 1,
        "s" | "sec" => 1000,
        "m" | "min" => 60_000,
        "h" | "hr" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        "mo" | "mon" => 30 * 86_400_000,
        "q" | "qtr" => 91 * 86_400_000,
        "y" | "yr" => 365 * 86_400_000,
        _ => return None,
    })
}
