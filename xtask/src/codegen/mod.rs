//! Rust types of the AWS API, from the service models that the `botocore` package ships.
//!
//! `models/operations.toml` names the operations; every shape they reach becomes a type in
//! `crates/api/src/generated/<service>.rs`. Only names, types and constraints are taken over,
//! none of the models' documentation text. The output depends on nothing but its two inputs, so
//! `--check` can prove that the checked-in files are what the inputs say.

mod emit;
mod model;
mod names;

use std::{fs, path::Path};

use model::{Config, Library};

/// Writes the generated files, or with `check` compares them.
pub(crate) fn run(root: &Path, check: bool) -> Result<(), String> {
    let config = Config::read(&root.join("models/operations.toml"))?;
    let library = Library::find(&config)?;
    let folder = root.join("crates/api/src/generated");
    let mut stale = Vec::new();
    for (service, wanted) in &config.services {
        let model = library.service(service, &wanted.version)?;
        let text = emit::service(service, wanted, &model)?;
        let path = folder.join(format!("{service}.rs"));
        let current = fs::read_to_string(&path).unwrap_or_default();
        if current == text {
            continue;
        }
        if check {
            stale.push(path.display().to_string());
        } else {
            fs::write(&path, &text).map_err(|e| format!("{}: {e}", path.display()))?;
            println!("wrote {}", path.display());
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!("not as generated (run `cargo xtask codegen`):\n  {}", stale.join("\n  ")))
}
