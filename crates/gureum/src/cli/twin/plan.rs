//! `gureum import --plan`: a plan of Terraform in the place of answers of describe calls.

use std::path::Path;

use gureum_control::{
    Imported,
    plan::{self, Planned},
};
use serde_json::Value;

use super::{REASONS, configuration};
use crate::failure::Failure;

/// The exit status when something of a plan is unknown.
const UNKNOWN: u8 = 2;

/// Puts the document of a plan in the place of the plan. The folder is that of its `.tf` files.
pub(super) fn take(
    answers: &mut Vec<(String, Value)>,
    folder: Option<&Path>,
    without_unknown: bool,
    strict: bool,
) -> Result<Planned, Failure> {
    let [(name, value)] = answers.as_mut_slice() else {
        return Err(Failure::new(format!("a plan is one file, not {}", answers.len())));
    };
    let written = configuration::read(value, folder).map_err(|error| error.status(UNKNOWN))?;
    let mut planned = plan::read(value, written.as_ref())
        .map_err(|error| Failure::new(format!("{name}: {error}")))?;
    if strict && !planned.unsupported.is_empty() {
        let all = planned.unsupported.join("\n  ");
        return Err(Failure::new(format!("nothing was imported:\n  {all}")).status(UNKNOWN));
    }
    if !without_unknown && !planned.unknown.is_empty() {
        let mut text = "nothing was imported: it is unknown before apply, because".to_owned();
        for unknown in planned.unknown.iter().take(REASONS) {
            text += &format!("\n  {}", unknown.because);
        }
        if planned.unknown.len() > REASONS {
            text += &format!("\n  … and {} more", planned.unknown.len() - REASONS);
        }
        let rest = "--without-unknown makes the rest; what depends on it is then another network";
        let help = match written {
            Some(_) => rest.to_owned(),
            None => format!(
                "the plan's .tf files say more: run this in their folder, or --config DIR; {rest}"
            ),
        };
        return Err(Failure::new(text).help(help).status(UNKNOWN));
    }
    *value = std::mem::take(&mut planned.document);
    Ok(planned)
}

/// What was done, with what the plan has and the network has not.
pub(super) fn with(mut imported: Imported, planned: Planned) -> Imported {
    let unknown = planned.unknown.into_iter().map(|it| format!("unknown: {}", it.because));
    let own = std::mem::take(&mut imported.unsupported);
    imported.unsupported = planned.unsupported.into_iter().chain(unknown).chain(own).collect();
    let others = planned.others.iter().map(|(kind, count)| format!("{count} {kind} not read"));
    // Ids and images are made up, so that nothing of this says anything.
    imported.replaced.clear();
    imported.differences.clear();
    imported.notes = others.collect();
    imported
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(instance: Value) -> Vec<(String, Value)> {
        let plan = json!({
            "format_version": "1.2",
            "planned_values": {"root_module": {"resources": [
                {"address": "aws_instance.a", "mode": "managed", "type": "aws_instance", "name": "a",
                    "values": instance},
                {"address": "aws_lb.a", "mode": "managed", "type": "aws_lb", "name": "a", "values": {}},
            ]}},
            "resource_changes": [{"address": "aws_instance.a",
                "change": {"after_unknown": {"subnet_id": true}}}],
            "configuration": {"root_module": {"resources": [{"address": "aws_instance.a",
                "expressions": {"subnet_id": {"references": ["local.subnet"]}}}]}},
        });
        vec![("plan.json".to_owned(), plan)]
    }

    #[test]
    fn what_is_unknown_is_refused_with_a_status_of_its_own() {
        let instance = json!({"tags": {"Name": "A"}});
        let error = take(&mut plan(instance.clone()), None, false, false).expect_err("unknown");
        assert_eq!(error.status, UNKNOWN);
        assert!(error.message.contains("local.subnet: plans do not show locals"), "{error}");
        assert!(error.help.expect("a hint").contains("--config DIR"));
        let strict = take(&mut plan(instance.clone()), None, true, true).expect_err("strict");
        assert!(strict.message.contains("aws_lb.a"), "{strict}");
        let mut answers = plan(instance);
        let planned = take(&mut answers, None, true, false).expect("the rest");
        assert_eq!(answers[0].1["Reservations"], json!([]));
        let told = with(Imported::default(), planned).unsupported;
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(take(&mut vec![("x".into(), json!({}))], None, false, false).is_err(), "no plan");
    }
}
