//! Verdicts for people, for programs, and for the systems that run tests.

use std::{fmt::Write as _, path::Path};

use serde::Serialize;
use serde_json::{Value, json};

use super::file::{Mistake, Written};
use crate::{
    admin::{Decision, Expect, Expectation, Outcome, PortRange, Verdict},
    cli::output,
};

/// How many names of a list are shown in a table.
const NAMES_SHOWN: usize = 3;
/// How wide a list of ports may be in a table.
const PORTS_WIDTH: usize = 24;

/// An expectation with what is said of it.
pub(in crate::cli) struct Checked<'a> {
    /// As it is in the file.
    pub written: &'a Written,
    /// What is said of it.
    pub verdict: &'a Verdict,
}

/// All of a file.
pub(in crate::cli) struct Report<'a> {
    /// The file, as it was named.
    pub file: &'a Path,
    /// Its expectations, in their order.
    pub checked: Vec<Checked<'a>>,
    /// How many packets were sent, where they were.
    pub sent: Option<usize>,
}

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Detail {
    /// What does not hold.
    Quiet,
    /// All.
    Usual,
    /// All, with each decision.
    Verbose,
}

impl Report<'_> {
    /// How many have an outcome.
    pub(in crate::cli) fn count(&self, outcome: Outcome) -> usize {
        self.checked.iter().filter(|it| it.verdict.outcome == outcome).count()
    }

    /// For people.
    pub(in crate::cli) fn text(&self, detail: Detail) -> String {
        let shown = self
            .checked
            .iter()
            .filter(|it| detail != Detail::Quiet || it.verdict.outcome != Outcome::Holds);
        let mut rows = Vec::new();
        for checked in shown {
            rows.push(checked.row());
            if detail == Detail::Verbose {
                rows.extend(checked.verdict.decisions.iter().map(decision_row));
            }
        }
        let mut text = match rows.is_empty() {
            true => String::new(),
            false => {
                output::table(&["RESULT", "FROM", "TO", "TRAFFIC", "EXPECTED", "DECIDED BY"], rows)
            }
        };
        for checked in self.checked.iter().filter(|it| it.verdict.outcome != Outcome::Holds) {
            let (line, file) = (checked.written.line, self.file.display());
            let _ = writeln!(text, "{file}:{line}: {}", checked.sentence());
        }
        let counts = [Outcome::Holds, Outcome::Fails, Outcome::Unknown].map(|it| self.count(it));
        let [holds, fails, unknown] = counts;
        let _ = write!(text, "{holds} hold, {fails} fail, {unknown} unknown");
        if let Some(sent) = self.sent {
            let _ = write!(text, "; {sent} packets were sent");
        }
        text.push('\n');
        text
    }

    /// For programs.
    pub(in crate::cli) fn json(&self) -> Value {
        let expectations: Vec<_> = self.checked.iter().map(Checked::json).collect();
        json!({
            "file": self.file.display().to_string(),
            "holds": self.count(Outcome::Holds),
            "fails": self.count(Outcome::Fails),
            "unknown": self.count(Outcome::Unknown),
            "packets": self.sent,
            "expectations": expectations,
        })
    }

    /// In JUnit's form: what fails is a failure, what is unknown an error.
    pub(in crate::cli) fn junit(&self) -> String {
        let (fails, unknown) = (self.count(Outcome::Fails), self.count(Outcome::Unknown));
        let file = xml(&self.file.display().to_string());
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites>\n\
             <testsuite name=\"gureum check\" tests=\"{}\" failures=\"{fails}\" errors=\"{unknown}\">\n",
            self.checked.len(),
        );
        for checked in &self.checked {
            let (name, line) = (xml(&checked.name()), checked.written.line);
            let _ = write!(
                text,
                "<testcase classname=\"{file}\" name=\"{name}\" file=\"{file}\" line=\"{line}\""
            );
            let tag = match checked.verdict.outcome {
                Outcome::Holds => {
                    text.push_str("/>\n");
                    continue;
                }
                Outcome::Fails => "failure",
                Outcome::Unknown => "error",
            };
            let sentence = xml(&checked.sentence());
            let lines = checked.verdict.decisions.iter().map(|it| xml(&decision(it)) + "\n");
            let lines = lines.collect::<String>();
            let _ = writeln!(
                text,
                "><{tag} message=\"{sentence}\">{file}:{line}: {sentence}\n{lines}</{tag}></testcase>"
            );
        }
        text.push_str("</testsuite>\n</testsuites>\n");
        text
    }

    /// As commands of GitHub's workflows, which show them at the lines of the file.
    pub(in crate::cli) fn annotations(&self) -> String {
        let against = self.checked.iter().filter(|it| it.verdict.outcome != Outcome::Holds);
        against
            .map(|it| {
                let place = (Some(it.written.line), Some(it.written.column));
                annotation(self.file, place, &it.name(), &it.sentence())
            })
            .collect()
    }
}

/// A mistake in a file, as a command of GitHub's workflows.
pub(in crate::cli) fn annotated(mistake: &Mistake, file: &Path) -> String {
    annotation(file, (mistake.line, mistake.column), "gureum check", &mistake.text)
}

fn annotation(
    file: &Path,
    (line, column): (Option<usize>, Option<usize>),
    title: &str,
    text: &str,
) -> String {
    let mut properties = format!("file={}", property(&file.display().to_string()));
    if let (Some(line), Some(column)) = (line, column) {
        let _ = write!(properties, ",line={line},col={column}");
    }
    let _ = write!(properties, ",title={}", property(title));
    format!("::error {properties}::{}\n", message(text))
}

impl Checked<'_> {
    /// What the file calls it, or what it says.
    fn name(&self) -> String {
        self.written.name.clone().unwrap_or_else(|| {
            let it = &self.written.expectation;
            let (from, to) = (it.from.join(", "), it.to.join(", "));
            format!("{} {} from {from} to {to}", it.expect, traffic(it, usize::MAX))
        })
    }

    /// Why it does not hold, or why that is not known.
    fn sentence(&self) -> String {
        let because = self.verdict.because.as_deref().unwrap_or_default();
        match self.verdict.outcome {
            Outcome::Holds => "it holds".to_owned(),
            Outcome::Fails => because.to_owned(),
            Outcome::Unknown => format!("unknown, because {because}"),
        }
    }

    fn row(&self) -> Vec<String> {
        let it = &self.written.expectation;
        let result = match self.verdict.outcome {
            Outcome::Holds => "ok",
            Outcome::Fails => "FAILS",
            Outcome::Unknown => "UNKNOWN",
        };
        let by = match self.verdict.outcome {
            Outcome::Unknown => String::new(),
            _ => first_and_others(&self.verdict.decisions),
        };
        vec![
            result.to_owned(),
            names(&it.from),
            names(&it.to),
            traffic(it, PORTS_WIDTH),
            it.expect.to_string(),
            by,
        ]
    }

    fn json(&self) -> Value {
        let Written { line, column, name, expectation } = self.written;
        let mut value = json!({
            "line": line,
            "column": column,
            "expectation": Shown::of(expectation),
        });
        if let Some(name) = name {
            value["name"] = json!(name);
        }
        if let (Some(value), Ok(Value::Object(verdict))) =
            (value.as_object_mut(), serde_json::to_value(self.verdict))
        {
            value.extend(verdict);
        }
        value
    }
}

/// An expectation in the words of the file.
#[derive(Serialize)]
struct Shown<'a> {
    from: &'a [String],
    to: &'a [String],
    protocol: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<Vec<String>>,
    expect: Expect,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    ipv6: bool,
}

impl<'a> Shown<'a> {
    fn of(it: &'a Expectation) -> Self {
        Self {
            from: &it.from,
            to: &it.to,
            protocol: it.protocols.iter().map(ToString::to_string).collect(),
            port: it.ports.as_ref().map(|all| all.iter().map(ToString::to_string).collect()),
            expect: it.expect,
            by: it.by.as_deref(),
            ipv6: it.ipv6,
        }
    }
}

/// What decided first, and how many others decided besides.
fn first_and_others(decisions: &[Decision]) -> String {
    let Some(first) = decisions.first() else { return String::new() };
    let others = decisions.iter().filter(|it| it.by.text != first.by.text).count();
    match others {
        0 => first.by.text.clone(),
        _ => format!("{}, …", first.by.text),
    }
}

fn decision_row(it: &Decision) -> Vec<String> {
    let ports = it.ports.map(|ports| format!(" {ports}")).unwrap_or_default();
    vec![
        String::new(),
        it.from_name.clone(),
        it.to_name.clone(),
        format!("{}{ports}", it.protocol),
        if it.reachable { "passes".to_owned() } else { "does not".to_owned() },
        it.by.text.clone(),
    ]
}

/// A decision in a line.
fn decision(it: &Decision) -> String {
    let ports = it.ports.map(|ports| format!(" {ports}")).unwrap_or_default();
    let does = if it.reachable { "passes" } else { "does not pass" };
    format!("{}{ports} from {} to {} {does}: {}", it.protocol, it.from_name, it.to_name, it.by.text)
}

fn names(list: &[String]) -> String {
    let shown = list.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match list.len().checked_sub(NAMES_SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

fn traffic(it: &Expectation, width: usize) -> String {
    let protocols: Vec<_> = it.protocols.iter().map(ToString::to_string).collect();
    let ports = match it.ports.as_deref() {
        None => String::new(),
        Some([PortRange::ALL]) => " any".to_owned(),
        Some(ranges) => {
            let all = ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            match all.char_indices().nth(width) {
                Some((end, _)) => format!(" {}…", &all[..end]),
                None => format!(" {all}"),
            }
        }
    };
    let family = if it.ipv6 { " over IPv6" } else { "" };
    format!("{}{ports}{family}", protocols.join("+"))
}

/// Text in XML, where some characters cannot be at all.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            it if it.is_control() || matches!(it, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}')
            }
            it => escaped.push(it),
        }
    }
    escaped
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{admin::Decided, cli::check::file};

    fn verdict(outcome: Outcome, because: Option<&str>) -> Verdict {
        let by =
            Decided { text: "sgr-1 of <WEB>: tcp 80 from 0.0.0.0/0".into(), ..Decided::default() };
        let decision = Decision {
            from: "internet".into(),
            from_name: "internet".into(),
            source: None,
            to_name: "WEB-01".into(),
            destination: None,
            protocol: crate::admin::Protocol::Tcp,
            ports: Some(80.into()),
            reachable: true,
            by,
        };
        let decisions = if outcome == Outcome::Unknown { vec![] } else { vec![decision] };
        let because = because.map(str::to_owned);
        Verdict { outcome, because, asked: 1, against: 0, decisions }
    }

    fn with_report(run: impl FnOnce(&Report<'_>)) {
        let text = "- {from: internet, to: WEB-01, port: 80, expect: allow}\n\
                    - {from: internet, to: WEB-01, port: 80, expect: deny, name: \"a,b: 100%\"}\n\
                    - {from: internet, to: [A, B, C, D], port: any, expect: deny}\n";
        let written = file::parse(text).expect("it is right");
        let verdicts = [
            verdict(Outcome::Holds, None),
            verdict(Outcome::Fails, Some("tcp 80 passes: <x> & \"y\"")),
            verdict(Outcome::Unknown, Some("nothing is called \"A\"")),
        ];
        let checked = written.iter().zip(&verdicts);
        let checked = checked.map(|(written, verdict)| Checked { written, verdict }).collect();
        run(&Report { file: Path::new("expectations.yaml"), checked, sent: None });
    }

    #[test]
    fn people_see_results_and_then_why() {
        with_report(|report| {
            let text = report.text(Detail::Usual);
            let lines: Vec<_> = text.lines().collect();
            assert!(lines[0].starts_with("RESULT"), "{text}");
            assert!(lines[1].starts_with("ok") && lines[1].ends_with("from 0.0.0.0/0"), "{text}");
            assert!(lines[3].contains("A, B, C and 1 more"), "{text}");
            assert_eq!(lines[4], "expectations.yaml:2: tcp 80 passes: <x> & \"y\"");
            assert!(lines[5].starts_with("expectations.yaml:3: unknown, because nothing"));
            assert_eq!(lines[6], "1 hold, 1 fail, 1 unknown");
            let quiet = report.text(Detail::Quiet);
            assert_eq!(quiet.lines().count(), 6, "what holds is left out: {quiet}");
            assert!(report.text(Detail::Verbose).contains("passes"));
        });
    }

    #[test]
    fn junit_counts_failures_and_errors_apart() {
        with_report(|report| {
            let text = report.junit();
            assert!(text.contains("tests=\"3\" failures=\"1\" errors=\"1\""), "{text}");
            assert!(
                text.contains("<failure message=\"tcp 80 passes: &lt;x&gt; &amp; &quot;y&quot;\">")
            );
            assert!(text.contains("line=\"3\"><error message=\"unknown, because"), "{text}");
            assert!(text.contains("sgr-1 of &lt;WEB&gt;"), "{text}");
            assert_eq!(xml("a\u{1}b"), "a\u{fffd}b");
        });
    }

    #[test]
    fn annotations_are_escaped_as_github_reads_them() {
        with_report(|report| {
            let text = report.annotations();
            let first = text.lines().next().expect("a line");
            assert_eq!(
                first,
                "::error file=expectations.yaml,line=2,col=3,title=a%2Cb%3A 100%25::tcp 80 passes: <x> & \"y\""
            );
            assert_eq!(text.lines().count(), 2);
        });
    }

    #[test]
    fn programs_get_the_words_of_the_file_and_the_verdict() {
        with_report(|report| {
            let value = report.json();
            assert_eq!(value["fails"], 1);
            let first = &value["expectations"][0];
            assert_eq!(first["outcome"], "holds");
            assert_eq!(first["expectation"]["port"], json!(["80"]));
            assert_eq!(first["decisions"][0]["reachable"], true);
            assert_eq!(value["expectations"][1]["name"], "a,b: 100%");
        });
    }
}
