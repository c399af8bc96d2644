//! Developer tasks: generated API types, and the order in which crates may depend on each other.

#![forbid(unsafe_code)]

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
}

fn main() -> ExitCode {
    let root = workspace_root();
    let result = match Cli::parse().task {
        Task::Codegen { check } => codegen::run(&root, check),
        Task::CrateOrder => crate_order::run(&root),
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
