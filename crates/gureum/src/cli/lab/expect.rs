//! What a step is expected to do, and whether it did.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;

/// What is expected of a step. Without any word: exit status 0.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// The exit status.
    #[serde(default)]
    exit: Exit,
    /// Regular expressions that each match somewhere in the output (`^` and `$` are a line's).
    /// `${NAME}` stands for the text in a variable of the lab's shell.
    #[serde(default)]
    stdout: Patterns,
    /// Regular expressions that match nowhere in it.
    #[serde(default)]
    absent: Patterns,
    /// How many lines the output has.
    #[serde(default)]
    lines: Option<usize>,
    /// Seconds for which the step is repeated until it does what is expected.
    #[serde(default)]
    pub within: u32,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "ExitForm")]
enum Exit {
    #[default]
    Zero,
    NonZero,
    OneOf(Vec<i32>),
}

/// How an exit status is written down.
#[derive(Deserialize)]
#[serde(untagged)]
enum ExitForm {
    Status(i32),
    OneOf(Vec<i32>),
    Word(String),
}

impl TryFrom<ExitForm> for Exit {
    type Error = String;

    fn try_from(form: ExitForm) -> Result<Self, String> {
        match form {
            ExitForm::Status(status) => Ok(Self::OneOf(vec![status])),
            ExitForm::OneOf(list) if !list.is_empty() => Ok(Self::OneOf(list)),
            ExitForm::Word(word) if word == "nonzero" => Ok(Self::NonZero),
            ExitForm::OneOf(_) | ExitForm::Word(_) => {
                Err("exit is a number, a list of numbers, or \"nonzero\"".into())
            }
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "PatternsForm")]
struct Patterns(Vec<String>);

/// How patterns are written down: one, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum PatternsForm {
    One(String),
    Many(Vec<String>),
}

impl From<PatternsForm> for Patterns {
    fn from(form: PatternsForm) -> Self {
        match form {
            PatternsForm::One(pattern) => Self(vec![pattern]),
            PatternsForm::Many(patterns) => Self(patterns),
        }
    }
}

/// What a step did.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    /// Its exit status; nothing where it did not end in time.
    pub exit: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it printed to standard error.
    pub stderr: String,
}

/// The shell's variables that patterns name.
pub(super) type Variables = BTreeMap<String, Option<String>>;

impl Expect {
    /// Whether the patterns are regular expressions.
    pub(super) fn check(&self) -> Result<(), String> {
        let named: Variables =
            self.variables().into_iter().map(|name| (name, Some("x".to_owned()))).collect();
        for (place, patterns) in [("stdout", &self.stdout), ("absent", &self.absent)] {
            for pattern in &patterns.0 {
                compile(pattern, &named).map_err(|why| format!("{place}: {why}"))?;
            }
        }
        Ok(())
    }

    /// The names of the shell's variables that the patterns need.
    pub(super) fn variables(&self) -> Vec<String> {
        let patterns = self.stdout.0.iter().chain(&self.absent.0);
        let mut names: Vec<_> = patterns.flat_map(|pattern| names(pattern)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Compares; the first thing that differs, in words.
    pub(super) fn judge(&self, done: &Done, variables: &Variables) -> Result<(), String> {
        let Some(exit) = done.exit else { return Err("it did not end in time".into()) };
        match &self.exit {
            Exit::Zero if exit != 0 => return Err(format!("exit 0, not {exit}")),
            Exit::NonZero if exit == 0 => return Err("another exit than 0".into()),
            Exit::OneOf(list) if !list.contains(&exit) => {
                let list: Vec<_> = list.iter().map(i32::to_string).collect();
                return Err(format!("exit {}, not {exit}", list.join(" or ")));
            }
            _ => {}
        }
        for pattern in &self.stdout.0 {
            if !compile(pattern, variables)?.is_match(&done.stdout) {
                return Err(format!("output with {}", expand(pattern, variables)?));
            }
        }
        for pattern in &self.absent.0 {
            if compile(pattern, variables)?.is_match(&done.stdout) {
                return Err(format!("output without {}", expand(pattern, variables)?));
            }
        }
        let lines = done.stdout.lines().count();
        match self.lines {
            Some(wanted) if wanted != lines => Err(format!("{wanted} lines, not {lines}")),
            _ => Ok(()),
        }
    }
}

fn compile(pattern: &str, variables: &Variables) -> Result<Regex, String> {
    let pattern = format!("(?m){}", expand(pattern, variables)?);
    Regex::new(&pattern).map_err(|error| error.to_string())
}

/// The pattern with the text of variables in place of their names.
fn expand(pattern: &str, variables: &Variables) -> Result<String, String> {
    replace(pattern, |name| match variables.get(name) {
        Some(Some(value)) if !value.is_empty() => Ok(regex::escape(value)),
        _ => Err(format!("a value in the variable {name}, which has none")),
    })
}

/// A text with something in place of each `${NAME}`.
pub(super) fn replace(
    text: &str,
    mut value: impl FnMut(&str) -> Result<String, String>,
) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or("${ without }")?;
        result.push_str(before);
        result.push_str(&value(name)?);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

/// The names in a text's `${NAME}`.
pub(super) fn names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    // Only the names are wanted here; a text that does not end is found by whoever replaces.
    let _ = replace(text, |name| {
        names.push(name.to_owned());
        Ok(String::new())
    });
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect(text: &str) -> Expect {
        serde_norway::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn done(exit: i32, stdout: &str) -> Done {
        Done { exit: Some(exit), stdout: stdout.into(), stderr: String::new() }
    }

    fn judge(text: &str, done: &Done) -> Result<(), String> {
        let known = [("IP", Some("10.1.1.5")), ("EMPTY", Some("")), ("UNSET", None)];
        let known = known.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        expect(text).judge(done, &known.into())
    }

    #[test]
    fn without_a_word_zero_is_expected() {
        assert_eq!(judge("{}", &done(0, "whatever")), Ok(()));
        assert_eq!(judge("{}", &done(3, "")), Err("exit 0, not 3".into()));
    }

    #[test]
    fn other_exits_can_be_expected() {
        assert_eq!(judge("exit: 1", &done(1, "")), Ok(()));
        assert_eq!(judge("exit: [1, 2]", &done(2, "")), Ok(()));
        assert_eq!(judge("exit: [1, 2]", &done(0, "")), Err("exit 1 or 2, not 0".into()));
        assert_eq!(judge("exit: nonzero", &done(9, "")), Ok(()));
        assert!(judge("exit: nonzero", &done(0, "")).is_err());
    }

    #[test]
    fn what_did_not_end_did_nothing_right() {
        let endless = Done { exit: None, stdout: "vpc-1".into(), stderr: String::new() };
        assert!(judge("exit: nonzero", &endless).is_err());
    }

    #[test]
    fn patterns_match_lines() {
        assert_eq!(judge("stdout: ^b$", &done(0, "a\nb\nc\n")), Ok(()));
        assert_eq!(judge("stdout: [^a$, ^c$]", &done(0, "a\nb\nc\n")), Ok(()));
        assert_eq!(judge("stdout: ^d$", &done(0, "a\n")), Err("output with ^d$".into()));
        assert_eq!(judge("absent: b", &done(0, "a\n")), Ok(()));
        assert_eq!(judge("absent: a", &done(0, "a\n")), Err("output without a".into()));
        assert_eq!(judge("lines: 2", &done(0, "a\nb\n")), Ok(()));
        assert_eq!(judge("lines: 2", &done(0, "a\n")), Err("2 lines, not 1".into()));
    }

    #[test]
    fn variables_are_texts_not_patterns() {
        assert_eq!(judge("stdout: ^${IP}$", &done(0, "10.1.1.5")), Ok(()));
        assert!(judge("stdout: ^${IP}$", &done(0, "10x1.1.5")).is_err());
    }

    #[test]
    fn a_variable_without_a_value_matches_nothing() {
        assert!(judge("stdout: ${EMPTY}", &done(0, "any")).is_err());
        assert!(judge("stdout: ${UNSET}", &done(0, "any")).is_err());
        assert!(judge("absent: ${UNSET}", &done(0, "any")).is_err());
    }
}
