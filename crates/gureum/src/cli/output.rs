//! How answers are printed: plain tables for people, JSON for programs, and quiet ends when
//! nobody reads on.

use std::io::{self, Write};

use crate::failure::Failure;
use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use serde::Serialize;

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// `--output`, for commands that answer with data.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OutputArgs {
    /// The form of the answer
    #[arg(long, short, value_enum, value_name = "FORM", default_value = "table")]
    pub output: Format,
}

/// Writes to standard output. A reader that went away (`gureum logs | head`) ends the command
/// without a word.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new("").status(0),
        _ => Failure::new(format!("cannot write to standard output: {error}")),
    })
}

/// Prints data as JSON.
pub(crate) fn print_json(data: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(data)
        .map_err(|error| Failure::new(format!("cannot write JSON: {error}")))?;
    print(&(text + "\n"))
}

/// A table without lines, as `ps` and `docker` print them.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_end_where_the_text_ends() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long name".to_owned(), "2".into()]];
        let text = table(&["NAME", "N"], rows);
        assert_eq!(text, "NAME       N\na          1\nlong name  2\n");
    }
}
