//! The reference of operations and parameters, read off the tables that requests go by.

use std::fmt::Write as _;

use gureum_api::{
    Operation,
    shape::{Slot, Structure},
};

use super::{Parameters, parameters};

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It is done as it says.
    Obeyed,
    /// It is stored and shown again, without the effect that it has on AWS.
    Recorded,
    /// A request with it is refused with a message that names it.
    Refused,
}

/// The parameters of an operation in the order of the service model, by their paths in it, each
/// with what becomes of it. What is the same for everything beneath a name is said once.
pub fn reference(operation: Operation) -> Vec<(String, Treatment)> {
    let mut found = Vec::new();
    let mut input = operation.input();
    walk(input.as_mut(), "", parameters(operation), &mut found);
    found
}

fn walk(
    structure: &mut dyn Structure,
    prefix: &str,
    parameters: Parameters,
    found: &mut Vec<(String, Treatment)>,
) {
    let members = structure.members();
    for (member, field) in members.iter().zip(structure.fields_mut()) {
        let path = format!("{prefix}{}", member.name);
        let is_in = |list: &[&str]| list.contains(&path.as_str());
        let below = format!("{path}.");
        let has_parts = |list: &[&str]| list.iter().any(|name| name.starts_with(&below));
        if path == "DryRun" || is_in(parameters.obeyed) {
            found.push((path, Treatment::Obeyed));
        } else if is_in(parameters.recorded) {
            found.push((path, Treatment::Recorded));
        } else if has_parts(parameters.obeyed) || has_parts(parameters.recorded) {
            if let Slot::Structure(inner) = field.add("") {
                walk(inner, &below, parameters, found);
            }
        } else {
            found.push((path, Treatment::Refused));
        }
    }
}

/// The page of the documentation.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Operations and parameters\n\nMade by `gureum api --markdown` from the tables that \
         requests go by. A parameter is *obeyed*, or *recorded*:\nstored and shown again, without \
         effect here. Any other is refused with an error that names it.\n",
    );
    let mut service = None;
    for operation in Operation::all() {
        if service != Some(operation.service()) {
            service = Some(operation.service());
            let name = operation.service().info().signing_name;
            let _ = write!(page, "\n## {name}\n\n| operation | obeyed | recorded | refused |\n");
            page.push_str("| --- | --- | --- | --- |\n");
        }
        let parameters = reference(operation);
        let of = |wanted| {
            let names = parameters.iter().filter(|(_, treatment)| *treatment == wanted);
            names.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            operation.name(),
            of(Treatment::Obeyed),
            of(Treatment::Recorded),
            of(Treatment::Refused)
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use gureum_api::ec2;

    use super::*;

    #[test]
    fn parameters_are_told_by_what_becomes_of_them() {
        let found = reference(Operation::Ec2(ec2::Operation::RunInstances));
        let treatment = |name: &str| found.iter().find(|it| it.0 == name).map(|it| it.1);
        assert_eq!(treatment("ImageId"), Some(Treatment::Obeyed));
        assert_eq!(treatment("Placement.HostId"), Some(Treatment::Refused));
        assert_eq!(treatment("DryRun"), Some(Treatment::Obeyed));
    }

    /// A name in a table that the model does not have would promise what nobody can ask for.
    #[test]
    fn the_tables_name_what_the_models_have() {
        for operation in Operation::all() {
            let found = reference(operation);
            let Parameters { obeyed, recorded } = parameters(operation);
            for name in obeyed.iter().chain(recorded) {
                let is_known = found.iter().any(|(path, _)| path == name);
                assert!(is_known, "{} has no {name}", operation.name());
                let twice = obeyed.iter().chain(recorded).filter(|it| *it == name).count();
                assert_eq!(twice, 1, "{} has {name} twice", operation.name());
            }
        }
    }

    #[test]
    fn the_page_of_the_documentation_is_true() {
        let page = include_str!("../../../../docs/operations.md");
        assert!(page == markdown(), "run: gureum api --markdown > docs/operations.md");
    }
}
