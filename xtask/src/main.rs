//! Developer tasks: generated API types, the order in which crates may depend on each other, and
//! which facts about AWS have a test.

#![forbid(unsafe_code)]

mod anchors;
mod codegen;
mod crate_order;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// Developer tasks of the workspace.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write crates/api/src/generated/ from models/operations.toml and the service models.
    Codegen {
        /// Change nothing; fail when the files in the tree are not what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Check that crates depend on each other only in the agreed order.
    CrateOrder,
    /// List the facts about AWS that decide about packets, with the tests that show them.
    Anchors {
        /// Fail where a supported one has no test, or a test cites one that there is not.
        #[arg(long)]
        check: bool,
        /// How to print the list.
        #[arg(long, value_enum, default_value = "table")]
        output: anchors::Output,
    },
}

fn main() -> ExitCode {
    let root = workspace_root();
    let result = match Cli::parse().task {
        Task::Codegen { check } => codegen::run(&root, check),
        Task::CrateOrder => crate_order::run(&root),
        Task::Anchors { check, output } => anchors::run(&root, check, output),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}
