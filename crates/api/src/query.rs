//! Decoding requests of the query protocols, EC2's and the general one.
//!
//! Both name parameters by dotted paths. EC2 numbers list elements directly (`InstanceId.1`); the
//! others put a level between (`Names.member.1`). Nothing is dropped: a parameter that no member
//! of the shape takes is refused.

use crate::{
    error::ApiError,
    form::Node,
    problem::{Problem, Step, error},
    scalar,
    service::Protocol,
    shape::{Cardinality, Field, Member, Slot, Structure},
};

/// Fills `target` from the parameters.
pub(crate) fn decode(
    protocol: Protocol,
    target: &mut dyn Structure,
    parameters: &Node,
) -> Result<(), ApiError> {
    Decoder { protocol }.structure(target, parameters, &mut Vec::new())
}

struct Decoder {
    protocol: Protocol,
}

impl Decoder {
    fn structure<'n>(
        &self,
        target: &mut dyn Structure,
        node: &'n Node,
        path: &mut Vec<Step<'n>>,
    ) -> Result<(), ApiError> {
        if let Some(value) = node.value.as_deref().filter(|value| !value.is_empty()) {
            return Err(self.error(path, Problem::NotA("a structure", value)));
        }
        let members = target.members();
        for (name, child) in &node.children {
            if !members.iter().any(|member| member.query == name) {
                let rest = format!(".{name}{}", child.first_leaf());
                return Err(self.error(path, Problem::Unknown(&rest)));
            }
        }
        for (member, field) in members.iter().zip(target.fields_mut()) {
            path.push(Step::Member(member));
            match node.children.get(member.query).filter(|child| !self.is_absent(member, child)) {
                Some(child) => self.field(field, member, child, path)?,
                None if member.required => return Err(self.error(path, Problem::Missing)),
                None => {}
            }
            path.pop();
        }
        Ok(())
    }

    /// EC2 takes `Name=` as if it were not there (clients send it for what they leave unset).
    /// The exceptions are texts that may well be empty: the value of a tag or an attribute.
    fn is_absent(&self, member: &Member, node: &Node) -> bool {
        self.protocol == Protocol::Ec2Query && member.query != "Value" && node.is_blank()
    }

    fn field<'n>(
        &self,
        field: &mut dyn Field,
        member: &'static Member,
        node: &'n Node,
        path: &mut Vec<Step<'n>>,
    ) -> Result<(), ApiError> {
        match field.cardinality() {
            Cardinality::One => self.value(field.add(""), member, node, path),
            Cardinality::Many => self.list(field, member, node, path),
            Cardinality::Map => self.map(field, member, node, path),
        }
    }

    fn value<'n>(
        &self,
        slot: Slot<'_>,
        member: &'static Member,
        node: &'n Node,
        path: &mut Vec<Step<'n>>,
    ) -> Result<(), ApiError> {
        match slot {
            Slot::Structure(structure) => self.structure(structure, node, path),
            Slot::Nested(field) => self.field(field, member, node, path),
            scalar => {
                if !node.children.is_empty() {
                    let rest = Node { value: None, children: node.children.clone() }.first_leaf();
                    return Err(self.error(path, Problem::Unknown(&rest)));
                }
                let text = node.value.as_deref().unwrap_or_default();
                scalar::fill(scalar, text, member.check).map_err(|p| self.error(path, p))
            }
        }
    }

    fn list<'n>(
        &self,
        field: &mut dyn Field,
        member: &'static Member,
        node: &'n Node,
        path: &mut Vec<Step<'n>>,
    ) -> Result<(), ApiError> {
        let mut count = 0;
        if let Some(value) = node.value.as_deref().filter(|value| !value.is_empty()) {
            // `InstanceId=i-1` for a list of one, as old clients write it.
            scalar::fill(field.add(""), value, member.check).map_err(|p| self.error(path, p))?;
            count += 1;
        }
        for (index, element) in self.elements(member, node, path)? {
            path.push(Step::Index(index));
            self.value(field.add(""), member, element, path)?;
            path.pop();
            count += 1;
        }
        self.verify_count(count, member, path)
    }

    fn map<'n>(
        &self,
        field: &mut dyn Field,
        member: &'static Member,
        node: &'n Node,
        path: &mut Vec<Step<'n>>,
    ) -> Result<(), ApiError> {
        if let Some(value) = node.value.as_deref().filter(|value| !value.is_empty()) {
            return Err(self.error(path, Problem::NotA("a map", value)));
        }
        let mut count = 0;
        for (index, entry) in self.numbered(node, "entry", member.flattened, path)? {
            path.push(Step::Index(index));
            let key = entry.children.get("key").and_then(|key| key.value.as_deref());
            let (Some(key), Some(value)) = (key, entry.children.get("value")) else {
                return Err(self.error(path, Problem::Missing));
            };
            if let Some(name) =
                entry.children.keys().find(|k| !matches!(k.as_str(), "key" | "value"))
            {
                return Err(self.error(path, Problem::Unknown(&format!(".{name}"))));
            }
            path.push(Step::Key(key));
            self.value(field.add(key), member, value, path)?;
            path.truncate(path.len() - 2);
            count += 1;
        }
        self.verify_count(count, member, path)
    }

    fn verify_count(
        &self,
        count: usize,
        member: &Member,
        path: &[Step<'_>],
    ) -> Result<(), ApiError> {
        let (min, max) = member.count;
        let fits = u32::try_from(count).is_ok_and(|count| (min..=max).contains(&count));
        if count == 0 && member.required {
            return Err(self.error(path, Problem::Missing));
        }
        if fits { Ok(()) } else { Err(self.error(path, Problem::Count(count, member.count))) }
    }

    fn elements<'n>(
        &self,
        member: &Member,
        node: &'n Node,
        path: &[Step<'_>],
    ) -> Result<Vec<(&'n str, &'n Node)>, ApiError> {
        self.numbered(node, member.item, member.flattened, path)
    }

    /// The numbered children in the order of their numbers; gaps do not matter.
    fn numbered<'n>(
        &self,
        node: &'n Node,
        level: &str,
        flattened: bool,
        path: &[Step<'_>],
    ) -> Result<Vec<(&'n str, &'n Node)>, ApiError> {
        let mut found = Vec::new();
        for (name, child) in &node.children {
            if flattened {
                found.push((name.as_str(), child, name.parse::<u32>().ok()));
            } else if name == level {
                let below = child.children.iter();
                found.extend(below.map(|(n, c)| (n.as_str(), c, n.parse::<u32>().ok())));
            } else {
                found.push((name.as_str(), child, None));
            }
        }
        if let Some((name, child, _)) = found.iter().find(|(_, _, number)| number.is_none()) {
            let rest = format!(".{name}{}", child.first_leaf());
            return Err(self.error(path, Problem::Unknown(&rest)));
        }
        found.sort_by_key(|(_, _, number)| *number);
        Ok(found.into_iter().map(|(name, child, _)| (name, child)).collect())
    }

    fn error(&self, path: &[Step<'_>], problem: Problem<'_>) -> ApiError {
        error(self.protocol, path, problem)
    }
}
