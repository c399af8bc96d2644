//! JSON selectors: `{ ($.action = "REJECT") && ($.packets[0].bytes > 1000) }`.

use serde_json::Value;

use super::{
    Extracted, PatternError,
    condition::{Condition, Tree},
    scan::Scan,
};

#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

#[derive(Clone, Debug)]
enum Test {
    Compares(Condition),
    Is(Option<bool>),
    NotExists,
}

#[derive(Clone, Debug)]
struct Property {
    /// As the pattern writes it: `$.a.b`.
    name: String,
    path: Vec<Step>,
    test: Test,
}

#[derive(Clone, Debug)]
pub(super) struct Selector(Tree<Property>);

impl Selector {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut scan = Scan::new(text);
        scan.take("{");
        let tree = Tree::parse(&mut scan, 0, &mut property)?;
        scan.skip_space();
        if !scan.take("}") || !scan.rest().trim().is_empty() {
            return Err(PatternError("Invalid filter pattern: '}' is missing".to_owned()));
        }
        Ok(Self(tree))
    }

    pub(super) fn matches(&self, message: &str) -> bool {
        let Some(value) = read(message) else { return false };
        self.0.holds(&|property| property.holds(&value))
    }

    pub(super) fn extract(&self, message: &str) -> Extracted {
        let mut found = Extracted::new();
        let Some(value) = read(message) else { return found };
        self.0.each(&mut |property| {
            if let Some(value) = at(&value, &property.path) {
                found.insert(property.name.clone(), text(value));
            }
        });
        found
    }
}

fn read(message: &str) -> Option<Value> {
    let message = message.trim();
    message.starts_with('{').then(|| serde_json::from_str(message).ok())?
}

fn at<'a>(value: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Property {
    fn holds(&self, value: &Value) -> bool {
        let found = at(value, &self.path);
        match (&self.test, found) {
            (Test::NotExists, found) => found.is_none(),
            (_, None) => false,
            (Test::Is(wanted), Some(found)) => match wanted {
                Some(wanted) => found.as_bool() == Some(*wanted),
                None => found.is_null(),
            },
            (Test::Compares(_), Some(Value::Object(_) | Value::Array(_) | Value::Null)) => false,
            (Test::Compares(condition), Some(Value::String(text))) => condition.holds_for(text),
            (Test::Compares(condition), Some(other)) => condition.holds_for(&other.to_string()),
        }
    }
}

fn property(scan: &mut Scan<'_>) -> Result<Property, PatternError> {
    let invalid = |what: &str| PatternError(format!("Invalid filter pattern: {what}"));
    scan.skip_space();
    let start = scan.rest();
    if !scan.take("$") {
        return Err(invalid("a property begins with '$'"));
    }
    let mut path = Vec::new();
    loop {
        if scan.take("[") {
            let inside = match scan.peek() {
                Some('"' | '\'') => Step::Key(scan.quoted()?),
                _ => {
                    let text = scan.take_until(|c| c == ']');
                    Step::Index(text.trim().parse().map_err(|_| invalid("an index is no number"))?)
                }
            };
            path.push(inside);
            if !scan.take("]") {
                return Err(invalid("']' is missing"));
            }
        } else if scan.take(".") {
            let key = scan.take_until(|c| c.is_whitespace() || ".[=!<>)&|}".contains(c));
            if key.is_empty() {
                return Err(invalid("a property lacks its name"));
            }
            path.push(Step::Key(key.to_owned()));
        } else {
            break;
        }
    }
    if path.is_empty() {
        return Err(invalid("a property lacks its name"));
    }
    let name = start.get(..start.len() - scan.rest().len()).unwrap_or_default().to_owned();
    scan.skip_space();
    let test = if scan.take_word("IS") {
        scan.skip_space();
        if scan.take_word("NULL") {
            Test::Is(None)
        } else if scan.take_word("TRUE") {
            Test::Is(Some(true))
        } else if scan.take_word("FALSE") {
            Test::Is(Some(false))
        } else {
            return Err(invalid("IS is followed by NULL, TRUE or FALSE"));
        }
    } else if scan.take_word("NOT") {
        scan.skip_space();
        if !scan.take_word("EXISTS") {
            return Err(invalid("NOT is followed by EXISTS"));
        }
        Test::NotExists
    } else {
        let condition = Condition::parse(scan, &[')', '}', '&', '|'])?;
        Test::Compares(condition.ok_or_else(|| invalid("a property lacks its comparison"))?)
    };
    Ok(Property { name, path, test })
}
