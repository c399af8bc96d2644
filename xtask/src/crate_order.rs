//! The order of the rooms: what each crate of the workspace may depend on.
//!
//! Everything flows one way (types, then engine and the rooms beside it, then control, then the
//! binary). A dependency that is not in the table below is a decision, so it has to be made here.

use std::{collections::BTreeMap, fs, path::Path};

/// Crate folder → the workspace crates it may name in any of its dependency tables.
const ORDER: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("engine", &["types"]),
    ("fastpath", &["types", "engine"]),
    ("store", &["types"]),
    ("api", &["types"]),
    ("session", &[]),
    ("services", &["types", "session"]),
    ("host", &["types", "engine"]),
    ("guest", &["session"]),
    ("logs", &[]),
    ("s3", &["types", "store"]),
    ("control", &["types", "engine", "store", "api", "logs", "session"]),
    (
        "gureum",
        &[
            "types", "engine", "fastpath", "store", "api", "session", "services", "host", "logs",
            "s3", "control",
        ],
    ),
];

/// Checks every crate under `root/crates`.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let mut manifests = BTreeMap::new();
    let crates = root.join("crates");
    let entries = fs::read_dir(&crates).map_err(|e| format!("{}: {e}", crates.display()))?;
    for entry in entries {
        let path = entry.map_err(|e| e.to_string())?.path().join("Cargo.toml");
        if !path.is_file() {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let table = text.parse().map_err(|e| format!("{}: {e}", path.display()))?;
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        manifests.insert(folder.to_string_lossy().into_owned(), table);
    }
    let problems = violations(&manifests);
    if problems.is_empty() {
        println!("crate order: {} crates, all in order", manifests.len());
        return Ok(());
    }
    Err(format!("crates out of order:\n  {}", problems.join("\n  ")))
}

fn violations(manifests: &BTreeMap<String, toml::Table>) -> Vec<String> {
    let mut problems = Vec::new();
    for (folder, manifest) in manifests {
        let Some((_, allowed)) = ORDER.iter().find(|(name, _)| name == folder) else {
            problems.push(format!("crates/{folder} is not in the table of xtask's crate_order.rs"));
            continue;
        };
        for dependency in workspace_dependencies(manifest) {
            // A crate's tests may name the crate itself, to switch on its test features.
            if dependency != *folder && !allowed.contains(&dependency.as_str()) {
                problems.push(format!("{folder} must not depend on {dependency}"));
            }
        }
    }
    problems
}

/// The workspace crates named by a manifest, in any dependency table, also below `target`.
fn workspace_dependencies(manifest: &toml::Table) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in manifest {
        let Some(table) = value.as_table() else { continue };
        if matches!(key.as_str(), "dependencies" | "dev-dependencies" | "build-dependencies") {
            for (name, value) in table {
                let package = value.get("package").and_then(toml::Value::as_str).unwrap_or(name);
                found.extend(package.strip_prefix("gureum-").map(str::to_owned));
                if package == "gureum" {
                    found.push(package.to_owned());
                }
            }
        } else if key == "target" {
            for platform in table.values().filter_map(toml::Value::as_table) {
                found.extend(workspace_dependencies(platform));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(folder: &str, manifest: &str) -> Vec<String> {
        let table = manifest.parse().expect("the manifest is TOML");
        violations(&BTreeMap::from([(folder.to_owned(), table)]))
    }

    #[test]
    fn a_dependency_in_order_is_accepted() {
        let manifest = "[dependencies]\ngureum-types.workspace = true\nserde = '1'\n";
        assert_eq!(problems("engine", manifest), Vec::<String>::new());
    }

    #[test]
    fn control_must_not_reach_linux() {
        let manifest = "[dependencies]\ngureum-host.workspace = true\n";
        assert_eq!(problems("control", manifest), ["control must not depend on host"]);
    }

    #[test]
    fn tests_renamed_and_platform_dependencies_count_too() {
        let dev = "[dev-dependencies]\nx = { package = 'gureum-store', path = '../store' }\n";
        assert_eq!(problems("api", dev), ["api must not depend on store"]);
        let own = "[dev-dependencies]\ngureum-engine = { path = '.', features = ['oracle'] }\n";
        assert_eq!(problems("engine", own), Vec::<String>::new());
        let unix = "[target.'cfg(unix)'.dependencies]\ngureum-engine.workspace = true\n";
        assert_eq!(problems("types", unix), ["types must not depend on engine"]);
    }

    #[test]
    fn an_unknown_crate_is_reported() {
        assert_eq!(problems("surprise", "").len(), 1);
    }
}
