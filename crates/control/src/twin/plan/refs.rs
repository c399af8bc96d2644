//! What the references of an expression lead to where its text is not at hand: through modules' inputs and
//! outputs, to resources whose ids they are. A plan does not say which of several, so then there
//! is no answer.

use serde_json::Value;

use super::tree::{Got, PREFIXES, Plan, Planned, key_of, list, made_up, names_of, parent, text};

/// How deep references lead at most.
const DEPTH: usize = 24;

/// What references lead to.
pub(super) struct Led {
    pub(super) ids: Vec<String>,
    /// Whether nothing decides among them: each is named by itself.
    is_sure: bool,
}

impl Plan<'_> {
    /// What references lead to. More than one id where one is meant is not known.
    pub(super) fn follow(
        &self,
        module: &str,
        references: &[String],
        prefix: &str,
        many: bool,
        depth: usize,
    ) -> Result<Led, String> {
        if depth > DEPTH {
            return Err("its references lead too far".to_owned());
        }
        let (mut ids, mut blind, mut is_sure, mut has_more) = (Vec::new(), None, true, false);
        for reference in references {
            match self.one(module, reference, prefix, many, depth)? {
                Lead::To(led) => {
                    is_sure &= led.is_sure;
                    ids.extend(led.ids);
                }
                Lead::Nowhere(because) => blind = Some(because),
                Lead::Known => has_more = true,
                Lead::Aside => is_sure = false,
            }
        }
        ids.sort();
        ids.dedup();
        let among = |count: usize| {
            format!(
                "which of {count} it is, is decided by an expression that the plan does not show"
            )
        };
        match (ids.len(), blind) {
            (_, Some(because)) => Err(because),
            (0, None) => Err("nothing in the plan says what it will be".to_owned()),
            // What is known besides may be in the list as well.
            (_, None) if many && has_more => {
                Err("what a list has besides is in an expression that the plan does not show"
                    .to_owned())
            }
            (1, None) => Ok(Led { ids, is_sure: is_sure && !has_more }),
            (_, None) if many && is_sure => Ok(Led { ids, is_sure }),
            (count, None) => Err(among(count)),
        }
    }

    fn one(
        &self,
        module: &str,
        reference: &str,
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
            "data" => {
                let name = rest.split('.').take(2).collect::<Vec<_>>().join(".");
                return Ok(
                    match self.is_read(module, name.split('[').next().unwrap_or_default()) {
                        true => Lead::Known,
                        false => Lead::Nowhere(format!("{reference} is read during apply")),
                    },
                );
            }
            "var" => return self.variable(module, rest, prefix, many, depth),
            "module" => return self.output(module, rest, prefix, many, depth),
            "each" => {
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
        let chosen: Vec<usize> = match &wanted {
            Some(wanted) => {
                let is_it = |it: &&usize| self.resources[**it].index.as_ref() == Some(wanted);
                all.iter().find(is_it).into_iter().copied().collect()
            }
            None => all.clone(),
        };
        let is_sure = chosen.len() < 2;
        let mut ids = Vec::new();
        for place in chosen {
            ids.extend(self.attribute(&self.resources[place], attribute, prefix, many, depth)?);
        }
        Ok(Lead::To(Led { ids, is_sure }))
    }

    /// The id that an attribute of a resource is by itself.
    pub(super) fn own_id(&self, of: &Planned, attribute: &str) -> Option<Got<String>> {
        // What is adopted has the id of what a VPC begins with.
        let adopted = match (of.kind.as_str(), attribute) {
            ("aws_default_route_table", "" | "id") => Some(("default_route_table_id", "rtb")),
            ("aws_default_network_acl", "" | "id") => Some(("default_network_acl_id", "acl")),
            ("aws_vpc_peering_connection_accepter", "" | "id") => {
                Some(("vpc_peering_connection_id", "pcx"))
            }
            ("aws_default_security_group", "" | "id") => return Some(self.default_group(of)),
            _ => None,
        };
        if let Some((attribute, prefix)) = adopted {
            return Some(self.id(of, attribute, prefix));
        }
        let of_vpc = |prefix: &str, what: &str| Some(made_up(prefix, &format!("{} {what}", of.id)));
        let has_id = PREFIXES.iter().any(|(kind, _)| *kind == of.kind) || of.is_id_known();
        match attribute {
            "default_route_table_id" | "main_route_table_id" if of.kind == "aws_vpc" => {
                of_vpc("rtb", "main")
            }
            "default_network_acl_id" if of.kind == "aws_vpc" => of_vpc("acl", "default"),
            "default_security_group_id" if of.kind == "aws_vpc" => of_vpc("sg", "default"),
            "primary_network_interface_id" => Some(made_up("eni", &of.address)),
            "" | "id" if has_id => Some(of.id.clone()),
            "allocation_id" if of.kind == "aws_eip" => Some(of.id.clone()),
            _ => None,
        }
        .map(Got::Is)
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
        let got = match self.own_id(of, attribute) {
            Some(Got::Is(id)) => Got::Is(vec![id]),
            Some(Got::Absent) => Got::Absent,
            Some(Got::Unknown(because)) => Got::Unknown(because),
            None if matches!(attribute, "" | "id" | "arn") => Got::Absent,
            None => match self.ids_at(of, attribute, prefix, many, depth + 1) {
                Got::Absent if self.is_unknown(of, attribute) => {
                    Got::Unknown(format!("{}.{attribute} is known after apply", of.address))
                }
                got => got,
            },
        };
        match got {
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
        prefix: &str,
        many: bool,
        depth: usize,
    ) -> Result<Lead, String> {
        if module.is_empty() {
            return Ok(Lead::Known);
        }
        let name = rest.split(['.', '[']).next().unwrap_or_default();
        let (outer, _) = parent(module);
        let call = names_of(module).pop().unwrap_or_default();
        let expression = &self.module(&outer)["module_calls"][call.as_str()]["expressions"][name];
        let references = references(expression);
        if references.is_empty() {
            return Ok(Lead::Known);
        }
        let found = self.follow(&outer, &references, prefix, many, depth + 1);
        Ok(found.map_or_else(Lead::Nowhere, Lead::To))
    }

    fn output(
        &self,
        module: &str,
        rest: &str,
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
            return Ok(Lead::Known);
        }
        let found = self.follow(&inner, &references, prefix, many, depth + 1);
        Ok(found.map_or_else(Lead::Nowhere, Lead::To))
    }
}

/// Where a reference leads.
enum Lead {
    To(Led),
    /// To something that plans do not show.
    Nowhere(String),
    /// To something that was known: no id of the plan, though a list may have it.
    Known,
    /// To nothing that could be meant; it may decide what is.
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
