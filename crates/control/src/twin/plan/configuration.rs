//! The `.tf` files that a plan was made of: what each module declares, as expressions.
//!
//! Nothing is read from disk here, and nothing is evaluated (`evaluate.rs`).

use std::collections::{BTreeMap, BTreeSet};

use hcl::{Body, Structure, expr::Expression};
use serde_json::Value;

use super::tree::{list, text};

/// The text of a module's files.
#[derive(Clone, Debug, Default)]
pub struct ModuleFiles {
    /// The names of the calls that lead to it, joined by dots; empty for the root module.
    pub path: String,
    /// Names and texts.
    pub files: Vec<(String, String)>,
}

/// A configuration: what its modules declare.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    modules: BTreeMap<String, Module>,
}

/// What a module declares.
#[derive(Clone, Debug, Default)]
pub(super) struct Module {
    /// By address: `aws_vpc.a`, `data.aws_ami.b`.
    pub(super) resources: BTreeMap<String, Body>,
    pub(super) locals: BTreeMap<String, Expression>,
    pub(super) variables: BTreeMap<String, Body>,
    pub(super) outputs: BTreeMap<String, Body>,
    pub(super) calls: BTreeMap<String, Body>,
}

/// The expression of an attribute.
pub(super) fn attribute<'b>(body: &'b Body, name: &str) -> Option<&'b Expression> {
    body.attributes().find(|it| it.key() == name).map(hcl::Attribute::expr)
}

/// Whether a body has an attribute, a block, or a dynamic block of a name.
pub(super) fn has(body: &Body, name: &str) -> bool {
    body.iter().any(|it| match it {
        Structure::Attribute(it) => it.key() == name,
        Structure::Block(it) => {
            it.identifier() == name
                || it.identifier() == "dynamic" && it.labels().iter().any(|it| it.as_str() == name)
        }
    })
}

/// What an override file says in the place of what other files say.
fn overridden(base: &Body, by: Body) -> Body {
    let name = |it: &Structure| match it {
        Structure::Attribute(it) => it.key().to_owned(),
        Structure::Block(it) if it.identifier() == "dynamic" => {
            it.labels().first().map(|it| it.as_str().to_owned()).unwrap_or_default()
        }
        Structure::Block(it) => it.identifier().to_owned(),
    };
    let names: BTreeSet<String> = by.iter().map(name).collect();
    let kept = base.iter().filter(|it| !names.contains(&name(it))).cloned();
    kept.collect::<Vec<_>>().into_iter().chain(by).collect()
}

fn is_override(name: &str) -> bool {
    name == "override.tf" || name.ends_with("_override.tf")
}

impl Module {
    fn read(files: &[(String, String)]) -> Result<Self, String> {
        let mut module = Self::default();
        let (over, own): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| is_override(name));
        for (name, text) in own.into_iter().chain(over) {
            if !name.ends_with(".tf") {
                return Err(format!("{name}: only *.tf files are read"));
            }
            let body = hcl::parse(text).map_err(|error| format!("{name}: {error}"))?;
            for block in body.into_blocks() {
                module.take(&block);
            }
        }
        Ok(module)
    }

    fn take(&mut self, block: &hcl::Block) {
        let labels: Vec<_> = block.labels().iter().map(hcl::BlockLabel::as_str).collect();
        let (all, name) = match (block.identifier(), labels.as_slice()) {
            ("locals", _) => {
                let found = block.body().attributes();
                self.locals.extend(found.map(|it| (it.key().to_owned(), it.expr().clone())));
                return;
            }
            ("resource", [kind, name]) => (&mut self.resources, format!("{kind}.{name}")),
            ("data", [kind, name]) => (&mut self.resources, format!("data.{kind}.{name}")),
            ("variable", [name]) => (&mut self.variables, (*name).to_owned()),
            ("output", [name]) => (&mut self.outputs, (*name).to_owned()),
            ("module", [name]) => (&mut self.calls, (*name).to_owned()),
            _ => return,
        };
        let body = match all.get(&name) {
            Some(before) => overridden(before, block.body().clone()),
            None => block.body().clone(),
        };
        all.insert(name, body);
    }

    /// Whether it declares what the plan says of the module.
    fn fits(&self, planned: &Value) -> bool {
        let resources = list(&planned["resources"]);
        // What is there during a run only is no part of what is planned.
        let lasting = resources.iter().filter(|it| it["mode"] != "ephemeral");
        let resources: BTreeSet<String> = lasting.map(|it| text(&it["address"])).collect();
        let calls = planned["module_calls"].as_object();
        let calls: BTreeSet<&String> = calls.into_iter().flatten().map(|it| it.0).collect();
        resources.iter().eq(self.resources.keys()) && calls.into_iter().eq(self.calls.keys())
    }
}

impl Configuration {
    /// Reads the files of modules.
    ///
    /// # Errors
    /// Where a file is none of Terraform's, or the files are not those of the plan.
    pub fn read(modules: &[ModuleFiles], plan: &Value) -> Result<Self, String> {
        let mut read = Self::default();
        for files in modules {
            let mut planned = &plan["configuration"]["root_module"];
            for name in files.path.split('.').filter(|it| !it.is_empty()) {
                planned = &planned["module_calls"][name]["module"];
            }
            let place = match files.path.as_str() {
                "" => String::new(),
                path => format!("module {path}: "),
            };
            let module = Module::read(&files.files).map_err(|why| format!("{place}{why}"))?;
            if !module.fits(planned) {
                return Err(format!("{place}the files declare other resources than the plan has"));
            }
            read.modules.insert(files.path.clone(), module);
        }
        Ok(read)
    }

    /// The module that calls lead to.
    pub(super) fn module(&self, names: &[String]) -> Option<&Module> {
        self.modules.get(&names.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn override_files_take_the_place_of_what_is_written() {
        let module = Module::read(&files(&[
            ("a_override.tf", "resource \"aws_eip\" \"a\" {\n  domain = \"x\"\n  n {\n    c = 3\n  }\n}\n"),
            ("a.tf", "resource \"aws_eip\" \"a\" {\n  domain = \"vpc\"\n  n {\n    c = 1\n  }\n  n {\n    c = 2\n  }\n  k = 1\n}\n"),
        ]))
        .expect("read");
        let body = &module.resources["aws_eip.a"];
        assert_eq!(attribute(body, "domain"), Some(&Expression::from("x")));
        assert!(has(body, "k") && has(body, "n") && !has(body, "m"));
        assert_eq!(body.blocks().count(), 1);
    }

    #[test]
    fn files_that_are_not_those_of_the_plan_are_refused() {
        let plan = serde_json::json!({"configuration": {"root_module": {
            "resources": [{"address": "aws_eip.a"}],
            "module_calls": {"m": {"module": {"resources": []}}},
        }}});
        let read = |text: &str| {
            let files = files(&[("main.tf", text)]);
            Configuration::read(&[ModuleFiles { path: String::new(), files }], &plan)
        };
        let own = "resource \"aws_eip\" \"a\" {}\nmodule \"m\" {}\n";
        assert!(read(own).is_ok());
        for other in
            ["", "resource \"aws_eip\" \"a\" {}", &format!("{own}data \"aws_ami\" \"a\" {{}}")]
        {
            assert!(read(other).expect_err("others").contains("other resources"), "{other}");
        }
        assert!(read("resource {").expect_err("no HCL").starts_with("main.tf: "));
    }
}
