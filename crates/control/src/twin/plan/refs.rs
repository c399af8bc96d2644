//! What the references of an expression lead to: through modules' inputs and outputs, by the same
//! index or key, to resources whose ids they are.

use serde_json::Value;

use super::tree::{Got, Plan, Planned, key_of, list, made_up, names_of, parent, text};

/// How deep references lead at most.
const DEPTH: usize = 24;

impl Plan {
    /// What references lead to. More than one id where one is meant is not known.
    pub(super) fn follow(
        &self,
        module: &str,
        key: Option<&Value>,
        references: &[String],
        prefix: &str,
        many: bool,
        depth: usize,
    ) -> Result<Vec<String>, String> {
        if depth > DEPTH {
            return Err("its references lead too far".to_owned());
        }
        let (mut ids, mut blind, mut sources) = (Vec::new(), None, 0);
        let by_count = references.iter().any(|it| it.starts_with("count."));
        let by_each = references.iter().any(|it| it.starts_with("each."));
        for reference in references {
            let found =
                self.one(module, key, reference, (by_count, by_each), prefix, many, depth)?;
            match found {
                Lead::To(found) => {
                    sources += usize::from(!found.is_empty());
                    ids.extend(found);
                }
                Lead::Nowhere(because) => blind = Some(because),
                Lead::Aside => {}
            }
        }
        ids.sort();
        ids.dedup();
        match (ids.len(), blind) {
            (0, Some(because)) => Err(because),
            (0, None) => Err("nothing in the plan says what it will be".to_owned()),
            (1, _) => Ok(ids),
            // Several things and something else that decides among them.
            (_, Some(because)) if sources > 1 => Err(because),
            (_, _) if many => Ok(ids),
            (count, _) => Err(format!(
                "which of {count} it is, is decided by an expression that the plan does not show"
            )),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "where the reference stands is part of the question"
    )]
    fn one(
        &self,
        module: &str,
        key: Option<&Value>,
        reference: &str,
        (by_count, by_each): (bool, bool),
        prefix: &str,
        many: bool,
        depth: usize,
    ) -> Result<Lead, String> {
        let mut parts = reference.splitn(2, '.');
        let (head, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match head {
            "count" | "path" | "terraform" | "self" => return Ok(Lead::Aside),
            "local" => {
                let because = format!("{reference}: plans do not show locals");
                return Ok(Lead::Nowhere(because));
            }
            "data" => return Ok(Lead::Nowhere(format!("{reference} is read during apply"))),
            "var" => {
                let by = key.filter(|_| by_count || by_each);
                return self.variable(module, rest, by, prefix, many, depth);
            }
            "module" => {
                let by = key.filter(|_| by_count || by_each);
                return self.output(module, rest, by, prefix, many, depth);
            }
            "each" => {
                // What for_each goes over is looked at where nothing else leads anywhere.
                return Ok(match reference.starts_with("each.value") {
                    true => Lead::Nowhere(format!("{reference}: plans do not show its values")),
                    false => Lead::Aside,
                });
            }
            _ => {}
        }
        let (name, path) = match rest.find(['.', '[']) {
            Some(end) => (&rest[..end], &rest[end..]),
            None => (rest, ""),
        };
        let place = format!("{module}|{head}.{name}");
        let Some(all) = self.places.get(&place) else { return Ok(Lead::Aside) };
        let wanted = path.starts_with('[').then(|| key_of(path)).flatten();
        let path = match path.starts_with('[') {
            true => path.split_once(']').map_or("", |it| it.1),
            false => path,
        };
        let attribute = path.trim_start_matches('.').split(['.', '[']).next().unwrap_or_default();
        let index = |it: &&usize| self.resources[**it].index.clone();
        let of_key = |key: &Value| all.iter().find(|it| index(it).as_ref() == Some(key));
        let chosen: Vec<usize> = match (&wanted, key) {
            (Some(wanted), _) => of_key(wanted).into_iter().copied().collect(),
            (None, Some(key)) if all.len() > 1 && by_count && key.is_u64() => {
                // `element` begins anew behind the last.
                let length = all.len() as u64;
                let round = key.as_u64().unwrap_or_default() % length;
                of_key(&Value::from(round)).into_iter().copied().collect()
            }
            (None, Some(key)) if all.len() > 1 && by_each && of_key(key).is_some() => {
                of_key(key).into_iter().copied().collect()
            }
            _ => all.clone(),
        };
        let mut ids = Vec::new();
        for place in chosen {
            ids.extend(self.attribute(&self.resources[place], attribute, prefix, many, depth)?);
        }
        Ok(Lead::To(ids))
    }

    /// The ids with a prefix that an attribute of a resource is, or its own.
    fn attribute(
        &self,
        of: &Planned,
        attribute: &str,
        prefix: &str,
        many: bool,
        depth: usize,
    ) -> Result<Vec<String>, String> {
        let fits = |id: &String| id.strip_prefix(prefix).is_some_and(|it| it.starts_with('-'));
        // What is adopted has the id of what a VPC begins with.
        let attribute = match (of.kind.as_str(), attribute) {
            ("aws_default_route_table", "" | "id") => "default_route_table_id",
            ("aws_default_network_acl", "" | "id") => "default_network_acl_id",
            ("aws_vpc_peering_connection_accepter", "" | "id") => "vpc_peering_connection_id",
            ("aws_default_security_group", "" | "id") => {
                return Ok(self.default_group(of).value().into_iter().filter(fits).collect());
            }
            (_, attribute) => attribute,
        };
        let derived = match attribute {
            _ if of.kind != "aws_vpc" && attribute.starts_with("default_") => None,
            "default_route_table_id" | "main_route_table_id" => {
                Some(made_up("rtb", &format!("{} main", of.id)))
            }
            "default_network_acl_id" => Some(made_up("acl", &format!("{} default", of.id))),
            "default_security_group_id" => Some(made_up("sg", &format!("{} default", of.id))),
            "primary_network_interface_id" => Some(made_up("eni", &of.address)),
            "" | "id" | "allocation_id" | "arn" => Some(of.id.clone()),
            _ => None,
        };
        if let Some(id) = derived {
            return Ok([id].into_iter().filter(fits).collect());
        }
        match self.ids_at(of, attribute, prefix, many, depth + 1) {
            Got::Is(ids) => Ok(ids.into_iter().filter(fits).collect()),
            Got::Absent => Ok(Vec::new()),
            Got::Unknown(because) => Err(because),
        }
    }

    /// The default group of the VPC of a resource.
    pub(super) fn default_group(&self, of: &Planned) -> Got<String> {
        match self.id(of, "vpc_id", "vpc") {
            Got::Is(vpc) => Got::Is(made_up("sg", &format!("{vpc} default"))),
            Got::Absent => Got::Unknown(format!("{}: its VPC is the default one", of.address)),
            Got::Unknown(because) => Got::Unknown(because),
        }
    }

    fn variable(
        &self,
        module: &str,
        rest: &str,
        by: Option<&Value>,
        prefix: &str,
        many: bool,
        depth: usize,
    ) -> Result<Lead, String> {
        if module.is_empty() {
            return Ok(Lead::Aside);
        }
        let name = rest.split(['.', '[']).next().unwrap_or_default();
        let (outer, of_call) = parent(module);
        let call = names_of(module).pop().unwrap_or_default();
        let expression = &self.module(&outer)["module_calls"][call.as_str()]["expressions"][name];
        let references = references(expression);
        if references.is_empty() {
            return Ok(Lead::Aside);
        }
        // An element of a list or map that is handed in, or whatever the call itself goes by.
        let element = element_of(rest, name).or_else(|| by.cloned());
        let (key, references) = match &element {
            Some(element) => (Some(element), by_element(references, element)),
            None => (of_call.as_ref(), references),
        };
        match self.follow(&outer, key, &references, prefix, many, depth + 1) {
            Ok(ids) => Ok(Lead::To(ids)),
            // A variable that leads to nothing of the kind is one that only helps to decide.
            Err(because) => Ok(Lead::Nowhere(because)),
        }
    }

    fn output(
        &self,
        module: &str,
        rest: &str,
        by: Option<&Value>,
        prefix: &str,
        many: bool,
        depth: usize,
    ) -> Result<Lead, String> {
        // `vpc.vpc_id`, `vpc[0].vpc_id`, `vpc["a"].subnets[0]`
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, mut path) = (&rest[..end], &rest[end..]);
        let mut call = format!("module.{name}");
        if let Some(inner) = path.strip_prefix('[') {
            let close = inner.find(']').unwrap_or(inner.len());
            call += &format!("[{}]", &inner[..close]);
            path = inner.get(close + 1..).unwrap_or_default();
        }
        let output = path.trim_start_matches('.').split(['.', '[']).next().unwrap_or_default();
        if output.is_empty() {
            return Ok(Lead::Aside);
        }
        let inner = if module.is_empty() { call } else { format!("{module}.{call}") };
        let expression = &self.module(&inner)["outputs"][output]["expression"];
        let references = references(expression);
        if references.is_empty() {
            return Ok(Lead::Aside);
        }
        // An element of a list or map that an output is.
        let rest = path.trim_start_matches('.');
        let element = element_of(rest, output).or_else(|| by.cloned());
        let references = match &element {
            Some(element) => by_element(references, element),
            None => references,
        };
        let found = self.follow(&inner, element.as_ref(), &references, prefix, many, depth + 1);
        Ok(found.map_or_else(Lead::Nowhere, Lead::To))
    }
}

/// The key in brackets right behind a name.
fn element_of(text: &str, name: &str) -> Option<Value> {
    let rest = text.strip_prefix(name)?;
    rest.starts_with('[').then(|| key_of(rest)).flatten()
}

/// References that stand for the element of a list or map with a key.
fn by_element(mut references: Vec<String>, element: &Value) -> Vec<String> {
    references.push(if element.is_u64() { "count.index" } else { "each.key" }.to_owned());
    references
}

/// Where a reference leads.
enum Lead {
    To(Vec<String>),
    /// To something that plans do not show.
    Nowhere(String),
    /// To nothing that could be meant.
    Aside,
}

/// The references of an expression, without those that only lead on to another of them.
pub(super) fn references(expression: &Value) -> Vec<String> {
    let all: Vec<String> = list(&expression["references"]).iter().map(text).collect();
    let leads_on = |it: &String| {
        all.iter().any(|other| {
            other.strip_prefix(it.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']))
        })
    };
    all.iter().filter(|it| !leads_on(it)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_that_only_lead_on_are_left_out() {
        let expression = serde_json::json!({"references": [
            "aws_subnet.public[0].id", "aws_subnet.public[0]", "aws_subnet.public", "var.x"]});
        assert_eq!(references(&expression), ["aws_subnet.public[0].id", "var.x"]);
    }
}
