//! What policies would say: which of their statements speak of an ask, where those stand in their
//! texts, and which condition keys they look at.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::{
    evaluate::{Ask, Asker, Verdict},
    policy::{self, Malformed, Policy},
};

/// A place in a document: line and column, both from 1.
pub(crate) type Position = (usize, usize);

/// A policy whose statements are told one by one.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// What it is called in answers.
    pub(crate) id: String,
    /// The kind of it in answers.
    pub(crate) kind: &'static str,
    /// What it says.
    pub(crate) policy: Arc<Policy>,
    /// Where each statement begins and ends.
    places: Vec<(Position, Position)>,
    /// The condition keys that it looks at.
    keys: BTreeSet<String>,
}

impl Told {
    /// Reads a policy.
    pub(crate) fn new(id: String, kind: &'static str, text: &str) -> Result<Self, Malformed> {
        let policy = Arc::new(policy::parse(text)?);
        Ok(Self { id, kind, policy, places: places(text), keys: context_keys(text) })
    }

    /// The places of the statements that decide as a whole policy does.
    pub(crate) fn matched(
        &self,
        ask: Ask<'_>,
        asker: Option<&Asker>,
        verdict: Verdict,
    ) -> Vec<(Position, Position)> {
        let said = self.policy.verdicts(ask, asker);
        let fits = |it: Verdict| match verdict {
            Verdict::Denied => it == Verdict::Denied,
            _ => matches!(it, Verdict::Allowed | Verdict::AllowedToAccount),
        };
        let found = said.into_iter().zip(&self.places).filter(|(it, _)| fits(*it));
        found.map(|(_, place)| *place).collect()
    }

    /// The condition keys that it looks at.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(String::as_str)
    }
}

/// The condition keys that a document looks at, in conditions and as variables, as it writes them.
pub(crate) fn context_keys(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    variables(&document, &mut found);
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(statement) => vec![statement],
        None => Vec::new(),
    };
    let conditions = statements.into_iter().filter_map(|it| it.get("Condition")?.as_object());
    for keys in conditions.flat_map(|it| it.values()).filter_map(Value::as_object) {
        found.extend(keys.keys().cloned());
    }
    found
}

/// The variables in all texts of a value.
fn variables(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            for part in text.split("${").skip(1) {
                let name = part.split('}').next().unwrap_or_default();
                let key = name.split(',').next().unwrap_or_default().trim();
                if key.contains(':') {
                    found.insert(key.to_owned());
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|it| variables(it, found)),
        Value::Object(values) => values.values().for_each(|it| variables(it, found)),
        _ => {}
    }
}

/// Where the statements of a well-formed document begin, and end.
fn places(text: &str) -> Vec<(Position, Position)> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let (mut line, mut column) = (1, 0);
    // The last text at the top level, which is the key of what comes after it.
    let (mut word, mut key) = (String::new(), String::new());
    let (mut places, mut begin) = (Vec::new(), None);
    let mut inner = 0;
    for character in text.chars() {
        match character {
            '\n' => (line, column) = (line + 1, 0),
            _ => column += 1,
        }
        if in_text {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_text = false,
                other => word.push(other),
            }
            continue;
        }
        match character {
            '"' => {
                in_text = true;
                word.clear();
            }
            ':' if depth == 1 => key.clone_from(&word),
            '{' | '[' => {
                depth += 1;
                if character == '{' && begin.is_none() && depth > 1 && key == "Statement" {
                    (begin, inner) = (Some((line, column)), depth);
                }
            }
            '}' | ']' => {
                if let Some(start) = begin.filter(|_| depth == inner) {
                    places.push((start, (line, column + 1)));
                    begin = None;
                }
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::condition::Context;

    const TWO: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "ec2:*", "Resource": "arn:aws:ec2:*:*:vpc/${aws:username}"},
    {
      "Effect": "Deny", "Action": "ec2:DeleteVpc", "Resource": "*",
      "Condition": {"StringEquals": {"aws:RequestedRegion": ["us-east-1"], "ec2:Vpc": "{"}}
    }
  ]
}"#;

    #[test]
    fn statements_are_where_they_stand() {
        assert_eq!(places(TWO), [((4, 5), (4, 94)), ((5, 5), (8, 6))]);
        let one = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        assert_eq!(places(one), [((1, 37), (1, 83))]);
    }

    #[test]
    fn keys_are_those_of_conditions_and_variables() {
        let found: Vec<_> = context_keys(TWO).into_iter().collect();
        assert_eq!(found, ["aws:RequestedRegion", "aws:username", "ec2:Vpc"]);
        assert!(context_keys("no JSON").is_empty());
    }

    #[test]
    fn the_statements_that_decide_are_told() {
        let told = Told::new("p".into(), "none", TWO).expect("a policy");
        let mut context = Context::default();
        for (key, value) in
            [("aws:username", "vpc-1"), ("aws:RequestedRegion", "us-east-1"), ("ec2:Vpc", "{")]
        {
            context.add(key, value);
        }
        let resource = "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-1";
        let ask = Ask { action: "ec2:DeleteVpc", resource, context: &context };
        assert_eq!(told.matched(ask, None, Verdict::Denied), [((5, 5), (8, 6))]);
        assert_eq!(told.matched(ask, None, Verdict::Allowed), [((4, 5), (4, 94))]);
    }
}
