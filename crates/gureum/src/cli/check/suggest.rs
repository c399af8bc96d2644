//! A file of expectations as people would write it.

use std::fmt::Write as _;

use crate::admin::{Expect, Expectation, PortRange, Suggestion};

/// How many of the rules that decide are named above an expectation.
const DECIDING_SHOWN: usize = 3;

/// The file, with comments that say what decides.
pub(in crate::cli) fn text(suggestions: &[Suggestion]) -> String {
    let mut text = String::from(
        "# What the network let through when `gureum check --suggest` wrote this. Keep what is meant,\n\
         # change what is not, and hold the network to it: gureum check\n",
    );
    for expect in [Expect::Allow, Expect::Deny] {
        let what = match expect {
            Expect::Allow => "passes",
            Expect::Deny => "does not pass",
        };
        let is_meant = |it: &&Suggestion| it.is_certain && it.expectation.expect == expect;
        let of_kind: Vec<_> = suggestions.iter().filter(is_meant).collect();
        if !of_kind.is_empty() {
            let _ = writeln!(text, "\n# ---- What {what}");
        }
        for Suggestion { expectation, by, .. } in of_kind {
            text.push('\n');
            comment(&mut text, by);
            write(&mut text, expectation);
            let _ = writeln!(text, "  expect: {expect}");
        }
    }
    let uncertain: Vec<_> = suggestions.iter().filter(|it| !it.is_certain).collect();
    if !uncertain.is_empty() {
        text.push_str(
            "\n# ---- What depends on the port that a client connects from: no expectation\n",
        );
    }
    for Suggestion { expectation, by, .. } in uncertain {
        text.push('\n');
        comment(&mut text, by);
        let mut lines = String::new();
        write(&mut lines, expectation);
        for line in lines.lines() {
            let _ = writeln!(text, "#   {line}");
        }
    }
    text
}

/// What decides, above an expectation.
fn comment(text: &mut String, by: &[String]) {
    for decided in by.iter().take(DECIDING_SHOWN) {
        let _ = writeln!(text, "# {}", decided.replace(['\n', '\r'], " "));
    }
    if by.len() > DECIDING_SHOWN {
        let _ = writeln!(text, "# and {} more", by.len() - DECIDING_SHOWN);
    }
}

fn write(text: &mut String, it: &Expectation) {
    let words = |all: &[String]| list(all.iter().map(|name| scalar(name)));
    let _ = writeln!(text, "- from: {}", words(&it.from));
    let _ = writeln!(text, "  to: {}", words(&it.to));
    let _ = writeln!(text, "  protocol: {}", list(it.protocols.iter().map(ToString::to_string)));
    match it.ports.as_deref() {
        None => {}
        Some([PortRange::ALL]) => text.push_str("  port: any\n"),
        Some(ranges) => {
            let _ = writeln!(text, "  port: {}", list(ranges.iter().map(ToString::to_string)));
        }
    }
    if it.ipv6 {
        text.push_str("  ipv6: true\n");
    }
}

fn list(words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.collect();
    match &words[..] {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

/// A name so that YAML reads it as text.
fn scalar(name: &str) -> String {
    let is_plain = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.' | '/'))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&name.to_ascii_lowercase().as_str());
    match is_plain {
        true => name.to_owned(),
        // What JSON quotes, YAML reads.
        false => serde_json::Value::from(name).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{admin::Protocol, cli::check::file};

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let names = ["WEB-01", "yes", "a: b", "# no", "웹 서버", "1e5", "it's \"x\"", "-"];
        let expectation = |expect, ipv6, ports| Expectation {
            from: names.iter().map(|name| (*name).to_owned()).collect(),
            to: vec!["internet".into()],
            protocols: vec![Protocol::Tcp, Protocol::Number(50)],
            ports,
            expect,
            by: None,
            ipv6,
        };
        let ports = vec![22.into(), PortRange { first: 80, last: 90 }];
        let all = [
            expectation(Expect::Allow, false, Some(ports)),
            expectation(Expect::Deny, true, Some(vec![PortRange::ALL])),
        ];
        let by = vec!["sgr-1 of X: tcp 80\nfrom".into(), "b".into(), "c".into(), "d".into()];
        let suggestion =
            |expectation, is_certain| Suggestion { expectation, by: by.clone(), is_certain };
        let mut suggestions = all.clone().map(|it| suggestion(it, true)).to_vec();
        suggestions.push(suggestion(expectation(Expect::Deny, false, None), false));
        let text = text(&suggestions);
        let read = file::parse(&text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        let read: Vec<_> = read.into_iter().map(|it| it.expectation).collect();
        assert_eq!(read, all, "{text}");
        assert!(text.contains("# and 1 more"), "{text}");
    }
}
