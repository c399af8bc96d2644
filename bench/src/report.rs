//! Figures and their targets: as a table and as JSON.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

/// One figure.
#[derive(Clone, Debug, Serialize)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    /// Absent for what is only measured beside, to compare with.
    target: Option<String>,
    ok: bool,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// Not more than this.
    AtMost(f64),
    /// Not less than this.
    AtLeast(f64),
    /// Whatever it is.
    Measured,
}

/// The figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// Adds a figure, and says it at once.
    pub(crate) fn add(&mut self, name: &str, value: f64, unit: &'static str, target: Target) {
        let (text, ok) = match target {
            Target::AtMost(limit) => (Some(format!("<= {limit}")), value <= limit),
            Target::AtLeast(limit) => (Some(format!(">= {limit}")), value >= limit),
            Target::Measured => (None, true),
        };
        let value = (value * 1000.0).round() / 1000.0;
        let figure = Figure { name: name.to_owned(), value, unit, target: text, ok };
        println!("{}", line(&figure));
        self.figures.push(figure);
    }

    /// Adds the median of durations in milliseconds.
    pub(crate) fn add_median(&mut self, name: &str, times: &[Duration], limit: f64) {
        self.add(name, millis(median(times)), "ms", Target::AtMost(limit));
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        println!("\n{:<58} {:>10} {:<7} {:>9}", "figure", "value", "unit", "target");
        for figure in &self.figures {
            println!("{}", line(figure));
        }
        let missed = self.figures.iter().filter(|figure| !figure.ok).count();
        println!("{} figures, {missed} miss their target", self.figures.len());
    }

    /// Writes `latest.json`.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let file = folder.join("latest.json");
        fs::write(&file, serde_json::to_string_pretty(&self.figures)? + "\n")?;
        Ok(file)
    }
}

fn line(figure: &Figure) -> String {
    let Figure { name, value, unit, target, ok } = figure;
    let target = target.as_deref().unwrap_or("-");
    let verdict = if *ok { "" } else { "  MISSED" };
    format!("{name:<58} {value:>10} {unit:<7} {target:>9}{verdict}")
}

/// The middle one.
pub(crate) fn median<T: Copy + PartialOrd>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_by(|one, other| one.partial_cmp(other).expect("no NaN is measured"));
    sorted[sorted.len() / 2]
}

/// Milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
