//! Does the steps of a lab in order, each until it does what is expected or its time is over.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    expect::{Done, replace},
    file::{Lab, Step},
    report::{Outcome, Reporter, Status, StepOutcome},
    shell::Shell,
};
use crate::failure::Failure;

/// The pause between two tries of a step that waits for a condition.
const PAUSE: Duration = Duration::from_millis(500);

/// How long guard, resume and finish may take.
const SIDE_LIMIT: Duration = Duration::from_secs(120);

/// What of a lab shall be done.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    /// This task alone.
    pub only: Option<String>,
    /// Go on after a step that others build upon failed.
    pub keep_going: bool,
    /// Delete first what a former run built.
    pub fresh: bool,
}

/// A lab at work.
pub(super) struct Run<'a> {
    lab: &'a Lab,
    options: &'a Options,
    reporter: Reporter,
    shell: &'a mut Shell,
    steps: Vec<StepOutcome>,
}

impl<'a> Run<'a> {
    /// A lab that has not begun.
    pub(super) fn new(
        lab: &'a Lab,
        options: &'a Options,
        reporter: Reporter,
        shell: &'a mut Shell,
    ) -> Self {
        Self { lab, options, reporter, shell, steps: Vec::new() }
    }

    /// Does the lab.
    pub(super) fn run(mut self) -> Result<Outcome, Failure> {
        let start = Instant::now();
        let lab = self.lab;
        let tasks = lab.tasks(self.options.only.as_deref())?;
        let total = tasks.iter().map(|task| task.steps.len()).sum();
        self.reporter.begin(lab, total)?;
        let ready = self.prepare()?;
        if let Err(reason) = ready {
            self.reporter.refused(&reason)?;
            return Ok(self.outcome(start, Some(reason)));
        }
        let mut stopped = false;
        for task in tasks {
            self.reporter.task(task)?;
            for step in &task.steps {
                if stopped {
                    self.steps.push(StepOutcome::not_done(&task.id, step));
                    continue;
                }
                self.reporter.step(self.steps.len() + 1, step)?;
                let outcome = self.step(&task.id, step)?;
                self.reporter.done(&outcome)?;
                stopped =
                    outcome.status == Status::Failed && !step.check && !self.options.keep_going;
                self.steps.push(outcome);
            }
        }
        if !stopped {
            self.finish()?;
        }
        let outcome = self.outcome(start, None);
        self.reporter.summary(&outcome)?;
        Ok(outcome)
    }

    /// What comes before the first task; the reason where the lab may not begin.
    fn prepare(&mut self) -> Result<Result<(), String>, Failure> {
        let lab = self.lab;
        if self.options.only.is_some() {
            if let Some(text) = &lab.resume {
                self.reporter.resume()?;
                let done = self.shell.run(text, SIDE_LIMIT)?;
                if done.exit != Some(0) {
                    return Ok(Err(format!("resume: {}", done.stderr.trim())));
                }
            }
            return Ok(Ok(()));
        }
        if self.options.fresh && !lab.clean.is_empty() {
            self.reporter.clean()?;
            for step in &lab.clean {
                let outcome = self.step("clean", step)?;
                if outcome.status == Status::Failed {
                    let reason = outcome.reason.unwrap_or_default();
                    return Ok(Err(format!(
                        "{}: {reason}\n{}",
                        step.run.trim(),
                        outcome.stderr.trim()
                    )));
                }
            }
        }
        if let Some(guard) = &lab.guard {
            let done = self.shell.run(&guard.run, SIDE_LIMIT)?;
            let variables = self.shell.variables(&guard.expect.variables())?;
            if guard.expect.judge(&done, &variables).is_err() {
                let said = done.stderr.trim();
                let refusal = guard.refusal.text(self.reporter.language()).trim();
                let reason =
                    if said.is_empty() { refusal.into() } else { format!("{refusal}\n{said}") };
                return Ok(Err(reason));
            }
        }
        Ok(Ok(()))
    }

    /// Does a step until it does what is expected, or its time is over.
    fn step(&mut self, task: &str, step: &Step) -> Result<StepOutcome, Failure> {
        let start = Instant::now();
        let deadline = start + Duration::from_secs(step.expect.within.into());
        let limit = Duration::from_secs(step.timeout.into());
        loop {
            let done = self.shell.run(&step.run, limit)?;
            let judged = self.judge(step, &done)?;
            if judged.is_ok() || Instant::now() + PAUSE > deadline {
                return Ok(StepOutcome::new(task, step, done, judged.err(), start.elapsed()));
            }
            thread::sleep(PAUSE);
        }
    }

    fn judge(&mut self, step: &Step, done: &Done) -> Result<Result<(), String>, Failure> {
        let names = step.expect.variables();
        let variables = if names.is_empty() || done.exit.is_none() {
            Default::default()
        } else {
            self.shell.variables(&names)?
        };
        Ok(step.expect.judge(done, &variables))
    }

    /// Shows what the lab leaves, and what to try next.
    fn finish(&mut self) -> Result<(), Failure> {
        let finish = &self.lab.finish;
        if let Some(text) = &finish.run {
            let done = self.shell.run(text, SIDE_LIMIT)?;
            self.reporter.finish(&(done.stdout + &done.stderr))?;
        }
        let mut next = Vec::new();
        for command in &finish.next {
            let variables = self.shell.variables(&super::expect::names(command))?;
            let text = replace(command, |name| {
                Ok(variables.get(name).cloned().flatten().unwrap_or_else(|| format!("${{{name}}}")))
            });
            next.push(text.unwrap_or_else(|_| command.clone()));
        }
        self.reporter.next(&next)
    }

    fn outcome(&mut self, start: Instant, refused: Option<String>) -> Outcome {
        Outcome::new(&self.lab.id, std::mem::take(&mut self.steps), start.elapsed(), refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::lab::language::Language;

    fn run(text: &str, options: &Options) -> Outcome {
        let lab = Lab::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let mut shell = Shell::start(&Vec::new()).expect("bash");
        let reporter = Reporter::silent(Language::En);
        Run::new(&lab, options, reporter, &mut shell).run().expect("it ran")
    }

    fn statuses(outcome: &Outcome) -> Vec<Status> {
        outcome.steps.iter().map(|step| step.status).collect()
    }

    const TITLES: &str = "title: {en: x, ko: x}";

    fn steps(list: &[&str]) -> String {
        let mut text = format!("id: x\n{TITLES}\ntasks:\n- id: t\n  {TITLES}\n  steps:\n");
        for (index, step) in list.iter().enumerate() {
            text += &format!("  - id: s{index}\n    {TITLES}\n");
            text += &step.lines().map(|line| format!("    {line}\n")).collect::<String>();
        }
        text
    }

    #[test]
    fn variables_go_from_step_to_step_and_into_patterns() {
        let text = steps(&[
            "run: ID=$(echo vpc-0a); echo $ID\nexpect: {stdout: '^vpc-[0-9a-f]+$'}",
            "run: echo \"the id is $ID.\"\nexpect: {stdout: 'is ${ID}\\.$'}",
        ]);
        let outcome = run(&text, &Options::default());
        assert_eq!(statuses(&outcome), [Status::Passed, Status::Passed]);
        assert!(outcome.passed_all());
    }

    #[test]
    fn a_failed_step_stops_and_a_failed_check_does_not() {
        let failed_check = steps(&["check: true\nrun: 'false'", "run: 'true'"]);
        let outcome = run(&failed_check, &Options::default());
        assert_eq!(statuses(&outcome), [Status::Failed, Status::Passed]);
        assert!(!outcome.passed_all());
        let failed_step = steps(&["run: 'false'", "run: 'true'"]);
        let outcome = run(&failed_step, &Options::default());
        assert_eq!(statuses(&outcome), [Status::Failed, Status::NotDone]);
        let going = Options { keep_going: true, ..Options::default() };
        assert_eq!(statuses(&run(&failed_step, &going)), [Status::Failed, Status::Passed]);
    }

    #[test]
    fn a_condition_is_waited_for() {
        let text =
            steps(&["run: N=0", "run: N=$((N + 1)); echo $N\nexpect: {stdout: '^3$', within: 20}"]);
        let outcome = run(&text, &Options::default());
        assert_eq!(outcome.steps[1].stdout, "3\n");
        assert!(outcome.passed_all());
    }

    #[test]
    fn a_condition_that_never_comes_fails_with_the_last_output() {
        let text = steps(&["run: echo no\nexpect: {stdout: yes!, within: 1}"]);
        let outcome = run(&text, &Options::default());
        assert_eq!(outcome.steps[0].reason.as_deref(), Some("output with yes!"));
        assert!(outcome.steps[0].seconds < 10.0);
    }

    #[test]
    fn a_guard_refuses_and_fresh_cleans_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("built");
        let text = steps(&[&format!("run: touch {}", file.display())])
            + &format!(
                "guard: {{run: test ! -e {0}, refusal: {{en: already there, ko: x}}}}\n\
                 clean: [{{id: c, {TITLES}, run: rm -f {0}}}]\n",
                file.display()
            );
        assert!(run(&text, &Options::default()).passed_all());
        let again = run(&text, &Options::default());
        assert_eq!(again.refused.as_deref(), Some("already there"));
        assert!(again.steps.is_empty() && !again.passed_all());
        let fresh = Options { fresh: true, ..Options::default() };
        assert!(run(&text, &fresh).passed_all());
    }

    #[test]
    fn one_task_alone_begins_with_resume() {
        let text = format!(
            "id: x\n{TITLES}\nresume: A=found\ntasks:\n\
             - {{id: one, {TITLES}, steps: [{{id: a, {TITLES}, run: A=made}}]}}\n\
             - {{id: two, {TITLES}, steps: [{{id: b, {TITLES}, run: echo $A}}]}}\n"
        );
        let only = Options { only: Some("two".into()), ..Options::default() };
        let outcome = run(&text, &only);
        assert_eq!(outcome.steps.len(), 1);
        assert_eq!(outcome.steps[0].stdout, "found\n");
    }
}
