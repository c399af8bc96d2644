//! Rust types of the AWS API, from the service models that the `botocore` package ships.
//!
//! `models/operations.toml` names the operations; every shape they reach becomes a type in
//! `crates/api/src/generated/<service>.rs`. `models/<service>.json` adds what botocore lacks. Only names, types and constraints are taken over,
//! none of the models' documentation text. The output depends on nothing but its inputs, so
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
        let mut model = library.service(service, &wanted.version)?;
        model.extend(&root.join(format!("models/{service}.json")))?;
        let text = emit::service(service, wanted, &model)?;
        let path = folder.join(format!("{}.rs", names::module(service)));
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
