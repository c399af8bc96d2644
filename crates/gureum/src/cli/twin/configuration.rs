//! The `.tf` files that a plan was made of, found as Terraform finds them: a folder a module.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use gureum_control::plan::{Configuration, ModuleFiles};
use serde_json::Value;

use crate::failure::Failure;

/// Where `terraform init` notes which module is in which folder.
const INSTALLED: &str = ".terraform/modules/modules.json";
/// What files with configuration are called, whether they can be read here or not.
const ENDINGS: &[&str] = &[".tf", ".tf.json", ".tofu", ".tofu.json"];

/// The configuration of a plan, from the folder of its root module. Without a folder the current one is
/// tried: files that are not those of the plan, or not all of them, are none then.
///
/// # Errors
/// Where the files of a named folder cannot be read, or are not those of the plan.
pub(super) fn read(plan: &Value, folder: Option<&Path>) -> Result<Option<Configuration>, Failure> {
    let root = folder.unwrap_or_else(|| Path::new("."));
    let mut found = Found { root, installed: installed(root), modules: Vec::new(), missing: false };
    let done = found
        .take(root, &plan["configuration"]["root_module"], "")
        .map_err(|error| Failure::file("read", root, &error))
        .and_then(|()| {
            Configuration::read(&found.modules, plan)
                .map_err(|error| Failure::new(format!("{}: {error}", root.display())))
        });
    match folder {
        Some(_) => done.map(Some),
        None => Ok(done.ok().filter(|_| !found.missing)),
    }
}

struct Found<'a> {
    root: &'a Path,
    installed: BTreeMap<String, PathBuf>,
    modules: Vec<ModuleFiles>,
    /// Whether the folder of a module is not known.
    missing: bool,
}

impl Found<'_> {
    fn take(&mut self, folder: &Path, planned: &Value, path: &str) -> io::Result<()> {
        self.modules.push(ModuleFiles { path: path.to_owned(), files: files(folder)? });
        for (name, call) in planned["module_calls"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let source = call["source"].as_str().unwrap_or_default();
            let is_local = source.starts_with("./") || source.starts_with("../");
            let inner = match self.installed.get(&path) {
                Some(inner) => Some(self.root.join(inner)),
                None => is_local.then(|| folder.join(source)),
            };
            match inner.filter(|it| it.is_dir()) {
                Some(inner) => self.take(&inner, &call["module"], &path)?,
                None => self.missing = true,
            }
        }
        Ok(())
    }
}

fn installed(root: &Path) -> BTreeMap<String, PathBuf> {
    let text = fs::read_to_string(root.join(INSTALLED)).unwrap_or_default();
    let noted: Value = serde_json::from_str(&text).unwrap_or_default();
    let all = noted["Modules"].as_array().into_iter().flatten();
    all.filter_map(|it| Some((it["Key"].as_str()?.to_owned(), it["Dir"].as_str()?.into())))
        .collect()
}

fn files(folder: &Path) -> io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if ENDINGS.iter().any(|it| name.ends_with(it)) && !name.starts_with('.') {
            found.push((name, fs::read_to_string(entry.path())?));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_folder_is_that_of_the_plan_or_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        };
        let inner = json!({"resources": [{"address": "aws_eip.b"}]});
        let plan = json!({"configuration": {"root_module": {
            "resources": [{"address": "aws_eip.a"}],
            "module_calls": {
                "local": {"source": "./inner", "module": inner},
                "registry": {"source": "some/where/aws", "module": inner},
            },
        }}});
        let own = "resource \"aws_eip\" \"a\" {}\nmodule \"local\" {}\nmodule \"registry\" {}\n";
        write("main.tf", own);
        write("inner/main.tf", "resource \"aws_eip\" \"b\" {}\n");
        // A module that was not installed is not there; what is, is read.
        assert!(read(&plan, Some(folder.path())).expect("read").is_some());
        write(
            ".terraform/modules/modules.json",
            r#"{"Modules": [{"Key": "registry", "Dir": "elsewhere"}]}"#,
        );
        write("elsewhere/main.tf", "resource \"aws_eip\" \"c\" {}\n");
        let error = read(&plan, Some(folder.path())).expect_err("others");
        assert!(error.message.contains("module registry: the files declare other"), "{error}");
        write("elsewhere/main.tf", "resource \"aws_eip\" \"b\" {}\n");
        assert!(read(&plan, Some(folder.path())).expect("read").is_some());
        write("more.tf.json", "{}");
        let error = read(&plan, Some(folder.path())).expect_err("not read");
        assert!(error.message.contains("more.tf.json: only *.tf files are read"), "{error}");
        // The tests' own folder is no module at all.
        assert!(read(&plan, None).expect("none").is_none());
    }
}
