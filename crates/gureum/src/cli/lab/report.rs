//! What a lab did: shown to people as it happens, kept for programs.

use std::time::Duration;

use serde::Serialize;

use super::{
    expect::Done,
    file::{Lab, Step, Task},
    language::{Language, Word},
};
use crate::{cli::output, failure::Failure};

/// How many lines of a step's output are shown; all are kept for programs.
const SHOWN_LINES: usize = 16;

/// The end of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    /// It did what was expected.
    Passed,
    /// It did not.
    Failed,
    /// The lab stopped before it.
    NotDone,
}

/// What a step did.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StepOutcome {
    /// Its short name.
    pub id: String,
    /// Its task's.
    pub task: String,
    /// The anchors it shows.
    pub anchors: Vec<String>,
    /// How it ended.
    pub status: Status,
    /// How long it took, with repetitions.
    pub seconds: f64,
    /// The command.
    pub command: String,
    /// Its exit status.
    pub exit: Option<i32>,
    /// Its output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// What was expected and did not come.
    pub reason: Option<String>,
}

impl StepOutcome {
    /// A step that was done.
    pub(super) fn new(
        task: &str,
        step: &Step,
        done: Done,
        reason: Option<String>,
        took: Duration,
    ) -> Self {
        Self {
            status: if reason.is_some() { Status::Failed } else { Status::Passed },
            seconds: took.as_secs_f64(),
            exit: done.exit,
            stdout: done.stdout,
            stderr: done.stderr,
            reason,
            ..Self::not_done(task, step)
        }
    }

    /// A step that was not done.
    pub(super) fn not_done(task: &str, step: &Step) -> Self {
        Self {
            id: step.id.clone(),
            task: task.to_owned(),
            anchors: step.anchors.clone(),
            status: Status::NotDone,
            seconds: 0.0,
            command: step.run.clone(),
            exit: None,
            stdout: String::new(),
            stderr: String::new(),
            reason: None,
        }
    }
}

/// What a lab did.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    /// The lab.
    pub lab: String,
    /// Steps that did what was expected.
    pub passed: usize,
    /// Steps that did not.
    pub failed: usize,
    /// Steps that were not done.
    pub not_done: usize,
    /// How long it took.
    pub seconds: f64,
    /// Why it was not begun.
    pub refused: Option<String>,
    /// Its steps.
    pub steps: Vec<StepOutcome>,
}

impl Outcome {
    /// Counts.
    pub(super) fn new(
        lab: &str,
        steps: Vec<StepOutcome>,
        took: Duration,
        refused: Option<String>,
    ) -> Self {
        let count = |status| steps.iter().filter(|step| step.status == status).count();
        Self {
            lab: lab.to_owned(),
            passed: count(Status::Passed),
            failed: count(Status::Failed),
            not_done: count(Status::NotDone),
            seconds: took.as_secs_f64(),
            refused,
            steps,
        }
    }

    /// Whether it was begun and every step did what was expected.
    pub(super) fn passed_all(&self) -> bool {
        self.refused.is_none() && self.failed == 0 && self.not_done == 0
    }
}

/// Shows a lab at work, or keeps silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reporter {
    language: Language,
    shown: bool,
    colour: bool,
    total: usize,
}

impl Reporter {
    /// Shows everything on standard output.
    pub(super) fn people(language: Language, colour: bool) -> Self {
        let colour = colour && std::env::var_os("NO_COLOR").is_none();
        Self { language, shown: true, colour, total: 0 }
    }

    /// Shows nothing.
    pub(super) fn silent(language: Language) -> Self {
        Self { language, shown: false, colour: false, total: 0 }
    }

    /// The language of texts.
    pub(super) fn language(&self) -> Language {
        self.language
    }

    fn show(&self, text: &str) -> Result<(), Failure> {
        if self.shown { output::print(text) } else { Ok(()) }
    }

    fn word(&self, word: Word) -> &'static str {
        word.text(self.language)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The lab begins.
    pub(super) fn begin(&mut self, lab: &Lab, total: usize) -> Result<(), Failure> {
        self.total = total;
        self.show(&format!("{}\n", self.paint("1", lab.title.text(self.language))))
    }

    /// What a former run built is being deleted.
    pub(super) fn clean(&self) -> Result<(), Failure> {
        self.show(&format!("{} …\n", self.word(Word::Clean)))
    }

    /// What earlier tasks built is being found.
    pub(super) fn resume(&self) -> Result<(), Failure> {
        self.show(&format!("{} …\n", self.word(Word::Resume)))
    }

    /// The lab may not begin.
    pub(super) fn refused(&self, reason: &str) -> Result<(), Failure> {
        self.show(&format!("{}: {reason}\n", self.word(Word::NotBegun)))
    }

    /// A task begins.
    pub(super) fn task(&self, task: &Task) -> Result<(), Failure> {
        self.show(&format!(
            "\n{}\n",
            self.paint("1", &format!("== {}", task.title.text(self.language)))
        ))
    }

    /// A step begins.
    pub(super) fn step(&self, number: usize, step: &Step) -> Result<(), Failure> {
        let anchors = match step.anchors.as_slice() {
            [] => String::new(),
            list => format!("  ({})", list.join(", ")),
        };
        let title = self.paint("1", step.title.text(self.language));
        let mut text = format!("\n[{number}/{}] {title}{anchors}\n", self.total);
        for (index, line) in step.run.trim_end().lines().enumerate() {
            let mark = if index == 0 { "$" } else { " " };
            text += &format!("  {}\n", self.paint("36", &format!("{mark} {line}")));
        }
        self.show(&text)
    }

    /// A step ended.
    pub(super) fn done(&self, outcome: &StepOutcome) -> Result<(), Failure> {
        let mut text = self.shortened(&outcome.stdout);
        let seconds = format!("{:.1} s", outcome.seconds);
        if outcome.status == Status::Passed {
            text += &format!("  {}  {seconds}\n", self.paint("32", "PASS"));
        } else {
            text += &self.shortened(&outcome.stderr);
            let reason = outcome.reason.as_deref().unwrap_or_default();
            let failed = self.paint("31", "FAIL");
            text += &format!("  {failed}  {seconds}  {}: {reason}\n", self.word(Word::Expected));
        }
        self.show(&text)
    }

    /// The first and last lines of an output.
    fn shortened(&self, output: &str) -> String {
        let lines: Vec<_> = output.trim_end().lines().collect();
        let line = |line: &&str| format!("  | {line}\n");
        if lines.len() <= SHOWN_LINES {
            return lines.iter().map(line).collect();
        }
        let (head, tail) = (&lines[..SHOWN_LINES - 4], &lines[lines.len() - 3..]);
        let hidden = lines.len() - head.len() - tail.len();
        let between = format!("  | … {hidden} {}\n", self.word(Word::MoreLines));
        head.iter().map(line).chain([between]).chain(tail.iter().map(line)).collect()
    }

    /// What the lab leaves.
    pub(super) fn finish(&self, text: &str) -> Result<(), Failure> {
        self.show(&format!("\n{text}"))
    }

    /// What to try next.
    pub(super) fn next(&self, commands: &[String]) -> Result<(), Failure> {
        if commands.is_empty() {
            return Ok(());
        }
        let list: String = commands.iter().map(|command| format!("  {command}\n")).collect();
        self.show(&format!("\n{}\n{list}", self.word(Word::TryNext)))
    }

    /// The lab ended.
    pub(super) fn summary(&self, outcome: &Outcome) -> Result<(), Failure> {
        let mut text = format!("\n{} {}", outcome.passed, self.word(Word::Passed));
        if outcome.failed > 0 {
            text += &format!(", {} {}", outcome.failed, self.word(Word::Failed));
        }
        if outcome.not_done > 0 {
            text += &format!(", {} {}", outcome.not_done, self.word(Word::NotDone));
        }
        let failed = outcome.steps.iter().filter(|step| step.status == Status::Failed);
        let failed: String = failed.map(|step| format!("  {}/{}\n", step.task, step.id)).collect();
        let code = if outcome.passed_all() { "32" } else { "31" };
        let head = self.paint(code, &text);
        self.show(&format!("{head} ({:.0} s)\n{failed}", outcome.seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_outputs_are_shortened_in_the_middle() {
        let reporter = Reporter::people(Language::En, false);
        let lines: String = (1..=40).map(|n| format!("{n}\n")).collect();
        let text = reporter.shortened(&lines);
        assert_eq!(text.lines().count(), SHOWN_LINES);
        assert!(text.contains("… 25 more lines"), "{text}");
        assert!(text.starts_with("  | 1\n") && text.ends_with("  | 40\n"));
        assert_eq!(reporter.shortened("one\n"), "  | one\n");
    }

    #[test]
    fn nothing_done_is_not_all_passed() {
        let outcome = Outcome::new("x", vec![], Duration::ZERO, Some("busy".into()));
        assert!(!outcome.passed_all());
    }
}
