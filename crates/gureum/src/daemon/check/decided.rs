//! What decided about a packet and its answer, in a few words, and whether it is what an expectation
//! names.

use gureum_control::Directory;
use gureum_engine::{Component, DropReason, Stage, WhyReport, print, why::WhyStep};

use super::ends::Unknown;
use crate::admin::{Decided, WhyFinding};

/// What routes lead to besides what a directory lists.
const NOT_LISTED: [&str; 8] = ["vpce-", "pcx-", "eni-", "pl-", "eigw-", "vgw-", "tgw-", "local"];

/// What stands before what decided about the answer to a packet that arrived.
pub(super) const ANSWER: &str = "the answer: ";

/// What decided.
pub(super) fn decided(directory: &Directory, report: &WhyReport) -> Decided {
    let dropped = [Some(&report.forward), report.reply.as_ref()]
        .into_iter()
        .flatten()
        .find(|leg| leg.drop.is_some());
    let Some(leg) = dropped else {
        return match report.reachable {
            true => passed(directory, report),
            false => Decided { text: "answered on the way".to_owned(), ..Decided::default() },
        };
    };
    let reason = leg.drop.map_or("", DropReason::name);
    let back = if std::ptr::eq(leg, &report.forward) { "" } else { ANSWER };
    let step = leg.steps.last();
    let mut components = vec![reason.to_owned()];
    let mut text = format!("{back}{reason}");
    if let Some(step) = step {
        if let Some(component) = &step.component {
            components.extend(names(component));
            text += &format!(", {}", describe(directory, component));
        } else if let Some((who, groups)) = closed(directory, step) {
            text += &format!(" at {who}");
            components.extend(groups);
        }
    }
    let at = step.map(|step| step.interface.clone());
    Decided { text, reason: Some(reason.to_owned()), at, components }
}

/// What let a packet and its answer pass: the rule at the receiver, else that of the sender, else
/// the route.
fn passed(directory: &Directory, report: &WhyReport) -> Decided {
    let legs = [Some(&report.forward), report.reply.as_ref()];
    let steps = || legs.into_iter().flatten().flat_map(|leg| &leg.steps);
    let mut components = Vec::new();
    for component in steps().filter_map(|step| step.component.as_ref()) {
        for name in names(component) {
            if !components.contains(&name) {
                components.push(name);
            }
        }
    }
    let there = || report.forward.steps.iter().filter(|step| step.component.is_some());
    let rule = there()
        .rev()
        .find(|step| matches!(step.component, Some(Component::SecurityGroupRule { .. })));
    let route = || there().rev().find(|step| step.stage == Stage::Route);
    let Some(step) = rule.or_else(route).or_else(|| there().next_back()) else {
        return Decided {
            text: "nothing is in the way".to_owned(),
            components,
            ..Decided::default()
        };
    };
    let text = step.component.as_ref().map(|it| describe(directory, it)).unwrap_or_default();
    Decided { text, reason: None, at: Some(step.interface.clone()), components }
}

/// What besides packets is in the way to a service.
pub(super) fn obstacle(finding: &WhyFinding) -> Decided {
    Decided {
        text: finding.text.clone(),
        reason: Some(finding.name.clone()),
        at: None,
        components: vec![finding.name.clone()],
    }
}

/// The interface and the groups none of whose rules admits a packet.
fn closed(directory: &Directory, step: &WhyStep) -> Option<(String, Vec<String>)> {
    let interface = directory.interface(&step.interface)?;
    let groups = &interface.record.groups;
    let mut text = directory.label(interface);
    if step.stage == Stage::SecurityGroup && !groups.is_empty() {
        let names: Vec<_> = groups.iter().map(|group| directory.group_label(group)).collect();
        text += &format!(" ({})", names.join(", "));
    }
    Some((text, groups.iter().map(ToString::to_string).collect()))
}

/// A rule, entry or route for people.
fn describe(directory: &Directory, component: &Component) -> String {
    match component {
        Component::SecurityGroupRule { group, rule } => {
            let group = directory.group_label(group);
            match directory.rule(rule.as_str()) {
                Some(text) => format!("{rule} of {group}: {text}"),
                None => format!("{rule} of {group}"),
            }
        }
        Component::NetworkAclEntry { .. } | Component::Route { .. } => print::component(component),
    }
}

/// The names of a rule, entry or route by which an expectation may mean it.
fn names(component: &Component) -> Vec<String> {
    let mut names = vec![print::component(component)];
    match component {
        Component::SecurityGroupRule { group, rule } => {
            names.extend([rule.to_string(), group.to_string()]);
        }
        Component::NetworkAclEntry { acl, .. } => names.push(acl.to_string()),
        Component::Route { table, destination, prefix_list, .. } => {
            names.extend([table.to_string(), format!("{table} {destination}")]);
            names.extend(prefix_list.as_ref().map(ToString::to_string));
            // What is behind the arrow.
            let target = names.first().and_then(|text| text.rsplit_once(" -> "));
            names.extend(target.map(|(_, target)| target.to_owned()));
        }
    }
    names
}

/// What an expectation says that decides.
pub(super) struct Wanted {
    /// As it is written.
    text: String,
    /// A name that a decision may have among its components.
    component: String,
}

impl Wanted {
    /// What is meant by `by`: a reason, an id, a name, or an id or name with what follows it in
    /// descriptions of entries and routes (`acl-… ingress 100`, `TABLE 0.0.0.0/0`).
    pub(super) fn of(directory: &Directory, text: &str) -> Result<Self, Unknown> {
        let text = text.trim();
        let wanted = |component: String| Self { text: text.to_owned(), component };
        if DropReason::NAMES.contains(&text) || super::FINDINGS.contains(&text) {
            return Ok(wanted(text.to_owned()));
        }
        let (name, rest) = match directory.deciding(text).is_empty() {
            false => (text, ""),
            true => text.split_once(' ').unwrap_or((text, "")),
        };
        match directory.deciding(name)[..] {
            [id] if rest.is_empty() => Ok(wanted(id.to_owned())),
            [id] => Ok(wanted(format!("{id} {rest}"))),
            [] if NOT_LISTED.iter().any(|prefix| name.starts_with(prefix)) => {
                Ok(wanted(text.to_owned()))
            }
            [] => Err(format!(
                "by: nothing that decides is called \"{text}\"; it is a rule, a group, a network ACL \
                 or an entry of one (acl-… ingress 100), a route table or a route of one \
                 (rtb-… 0.0.0.0/0), a gateway, or a reason of `gureum why`"
            )),
            ref several => Err(format!(
                "by: \"{name}\" is the name of {} things: {}; say which by its id",
                several.len(),
                several.join(", ")
            )),
        }
    }

    /// Whether this decided.
    pub(super) fn is(&self, decided: &Decided) -> bool {
        decided.components.contains(&self.component)
    }

    /// As it is written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}
