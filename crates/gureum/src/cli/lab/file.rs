//! A lab as it is written down: `lab.yaml`. What is wrong in it is found when it is read, before
//! its first step is done.

use std::{collections::BTreeSet, fs, path::Path};

use serde::Deserialize;

use super::{
    FILE,
    expect::Expect,
    language::{Language, Text},
};
use crate::failure::Failure;

/// A lab.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lab {
    /// Its short name.
    pub id: String,
    /// What it is called.
    pub title: Text,
    /// Decides whether it may begin.
    #[serde(default)]
    pub guard: Option<Guard>,
    /// Deletes what a former run built (`--fresh`).
    #[serde(default)]
    pub clean: Vec<Step>,
    /// Sets the variables that tasks set for later ones, from what is there (`--only`).
    #[serde(default)]
    pub resume: Option<String>,
    /// Its tasks, in order.
    pub tasks: Vec<Task>,
    /// What comes at the end.
    #[serde(default)]
    pub finish: Finish,
}

/// A condition for beginning.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Guard {
    /// Shell text; the lab begins where it does what is expected.
    pub run: String,
    /// What is expected.
    #[serde(default)]
    pub expect: Expect,
    /// Said where it does not.
    pub refusal: Text,
}

/// Steps that belong together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Task {
    /// Its short name, for `--only`.
    pub id: String,
    /// What it is called.
    pub title: Text,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

/// Something to do, and what it shall do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// Its short name, unique in the lab.
    pub id: String,
    /// What it does or shows.
    pub title: Text,
    /// Facts about AWS that it shows (SGT-6).
    #[serde(default)]
    pub anchors: Vec<String>,
    /// Whether it only looks: what comes after does not build upon it, and goes on when it fails.
    #[serde(default)]
    pub check: bool,
    /// Shell text, as a person would type it.
    pub run: String,
    /// What is expected.
    #[serde(default)]
    pub expect: Expect,
    /// Seconds that one try may take.
    #[serde(default = "default_timeout")]
    pub timeout: u32,
}

fn default_timeout() -> u32 {
    120
}

/// The end of a lab.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finish {
    /// Shell text whose output is shown.
    #[serde(default)]
    pub run: Option<String>,
    /// Commands to try; `${NAME}` stands for a variable of the lab's shell.
    #[serde(default)]
    pub next: Vec<String>,
}

impl Lab {
    /// Reads the lab of a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).map_err(|e| Failure::file("read", &path, &e))?;
        Self::parse(&text).map_err(|why| Failure::new(format!("{}: {why}", path.display())))
    }

    /// Reads a lab's text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lab: Self = serde_norway::from_str(text).map_err(|error| error.to_string())?;
        lab.check()?;
        Ok(lab)
    }

    fn check(&self) -> Result<(), String> {
        if self.tasks.is_empty() {
            return Err("there are no tasks".into());
        }
        let mut names = BTreeSet::new();
        let steps = self.tasks.iter().flat_map(|task| &task.steps);
        for step in self.clean.iter().chain(steps) {
            let wrong = |what: &str| Err(format!("step {}: {what}", step.id));
            if !names.insert(step.id.as_str()) {
                return wrong("the id is used twice");
            }
            if step.run.trim().is_empty() {
                return wrong("there is nothing to run");
            }
            if step.title.is_incomplete() {
                return wrong("the title is missing in a language");
            }
            step.expect.check().map_err(|why| format!("step {}: {why}", step.id))?;
        }
        let mut names = BTreeSet::new();
        for task in &self.tasks {
            if !names.insert(task.id.as_str()) {
                return Err(format!("task {}: the id is used twice", task.id));
            }
            if task.steps.is_empty() || task.title.is_incomplete() {
                return Err(format!("task {}: steps or titles are missing", task.id));
            }
        }
        if let Some(guard) = &self.guard {
            guard.expect.check().map_err(|why| format!("guard: {why}"))?;
        }
        Ok(())
    }

    /// The tasks to do: all, or the one of that name.
    pub(super) fn tasks(&self, only: Option<&str>) -> Result<Vec<&Task>, Failure> {
        let Some(only) = only else { return Ok(self.tasks.iter().collect()) };
        let found: Vec<_> = self.tasks.iter().filter(|task| task.id == only).collect();
        if found.is_empty() {
            let known: Vec<_> = self.tasks.iter().map(|task| task.id.as_str()).collect();
            let title = self.title.text(Language::of_caller());
            return Err(Failure::new(format!("\"{title}\" has no task {only}"))
                .help(format!("it has {}", known.join(", ")))
                .status(super::REFUSED));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab(step: &str) -> Result<Lab, String> {
        Lab::parse(&format!(
            "id: x\ntitle: {{en: x, ko: x}}\ntasks:\n- id: t\n  title: {{en: x, ko: x}}\n  steps:\n  - {step}\n"
        ))
    }

    #[test]
    fn a_small_lab_is_enough() {
        let lab = lab("{id: a, title: {en: x, ko: x}, run: 'true'}").expect("a lab");
        assert_eq!(lab.tasks[0].steps[0].timeout, 120);
        assert_eq!(lab.tasks(Some("t")).expect("the task").len(), 1);
        let error = lab.tasks(Some("u")).expect_err("no such task");
        assert_eq!(error.help.as_deref(), Some("it has t"));
    }

    #[test]
    fn mistakes_are_found_before_the_first_step() {
        for (step, why) in [
            ("{id: a, title: {en: x, ko: x}, run: ''}", "nothing to run"),
            ("{id: a, title: {en: x, ko: ''}, run: 'true'}", "missing in a language"),
            ("{id: a, title: {en: x}, run: 'true'}", "missing field `ko`"),
            ("{id: a, title: {en: x, ko: x}, runs: 'true'}", "unknown field `runs`"),
            (
                "{id: a, title: {en: x, ko: x}, run: 'true', expect: {stdout: '('}}",
                "step a: stdout:",
            ),
            ("{id: a, title: {en: x, ko: x}, run: 'true', expect: {exit: never}}", "exit"),
            (
                "{id: a, title: {en: x, ko: x}, run: 'true'}\n  - {id: a, title: {en: x, ko: x}, run: 'true'}",
                "used twice",
            ),
        ] {
            let error = lab(step).expect_err(step);
            assert!(error.contains(why), "{step}: {error}");
        }
    }
}
