//! Space-delimited patterns: `[version, account, ..., action = "REJECT", status]`.

use memchr::memmem::Finder;

use super::{
    Extracted, PatternError,
    condition::{Condition, Tree},
    scan::Scan,
};

#[derive(Clone, Debug)]
struct Field {
    name: String,
    tree: Option<Tree<Condition>>,
}

#[derive(Clone, Debug)]
pub(super) struct Delimited {
    /// Fields before `...`, or all of them.
    head: Vec<Field>,
    /// Fields after `...`, where there is one.
    tail: Option<Vec<Field>>,
    /// What events have that match: where it is not in one, its fields need not be looked at.
    literal: Option<Box<Finder<'static>>>,
}

impl Delimited {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let invalid = |what: &str| PatternError(format!("Invalid filter pattern: {what}"));
        let mut scan = Scan::new(text);
        scan.take("[");
        let (mut head, mut tail): (Vec<Field>, Option<Vec<Field>>) = (Vec::new(), None);
        loop {
            scan.skip_space();
            if scan.take("...") {
                if tail.is_some() {
                    return Err(invalid("'...' stands for fields once only"));
                }
                tail = Some(Vec::new());
            } else {
                let number = head.len() + tail.as_ref().map_or(0, Vec::len) + 1;
                let field = field(&mut scan, number)?;
                tail.as_mut().unwrap_or(&mut head).push(field);
            }
            scan.skip_space();
            if scan.take("]") {
                break;
            }
            if !scan.take(",") {
                return Err(invalid("fields are separated by ','"));
            }
        }
        match scan.rest().trim().is_empty() {
            true => {
                let fields = head.iter().chain(tail.iter().flatten());
                let literals = fields.filter_map(|it| it.tree.as_ref()?.literal());
                let literal = literals.max_by_key(|it| it.len()).filter(|it| !it.is_empty());
                let literal = literal.map(|it| Box::new(Finder::new(it).into_owned()));
                Ok(Self { head, tail, literal })
            }
            false => Err(invalid("something follows the ']'")),
        }
    }

    pub(super) fn matches(&self, message: &str) -> bool {
        if self.literal.as_ref().is_some_and(|it| it.find(message.as_bytes()).is_none()) {
            return false;
        }
        let words = words(message);
        let holds = |(field, word): (&Field, &&str)| {
            field.tree.as_ref().is_none_or(|tree| tree.holds(&|it| it.holds_for(word)))
        };
        self.has_room(words.len()) && self.pairs(&words).all(holds)
    }

    pub(super) fn extract(&self, message: &str) -> Extracted {
        let words = words(message);
        self.pairs(&words)
            .map(|(field, word)| (format!("${}", field.name), (*word).to_owned()))
            .collect()
    }

    fn has_room(&self, count: usize) -> bool {
        match &self.tail {
            Some(tail) => count >= self.head.len() + tail.len(),
            None => count == self.head.len(),
        }
    }

    /// Fields with the words they stand for.
    fn pairs<'s, 'w, 'm>(
        &'s self,
        words: &'w [&'m str],
    ) -> impl Iterator<Item = (&'s Field, &'w &'m str)> {
        let tail = self.tail.as_deref().unwrap_or_default();
        let last = words.get(words.len().saturating_sub(tail.len())..).unwrap_or_default();
        self.head.iter().zip(words).chain(tail.iter().zip(last))
    }
}

fn field(scan: &mut Scan<'_>, number: usize) -> Result<Field, PatternError> {
    let ends = |c: char| c.is_whitespace() || ",]=!<>()&|".contains(c);
    scan.skip_space();
    let mut name = None;
    let mut parenthesised = *scan;
    let is_condition = parenthesised.take("(") || {
        parenthesised.take_until(ends);
        parenthesised.skip_space();
        parenthesised.peek().is_some_and(|c| "=!<>".contains(c))
    };
    if !is_condition {
        let text = scan.take_until(ends);
        let name = if text.is_empty() { number.to_string() } else { text.to_owned() };
        return Ok(Field { name, tree: None });
    }
    let tree = Tree::parse(scan, 0, &mut |scan| {
        scan.skip_space();
        let text = scan.take_until(ends);
        let known = name.get_or_insert_with(|| text.to_owned());
        if known != text {
            let message =
                format!("Invalid filter pattern: '{text}' is compared in the field '{known}'");
            return Err(PatternError(message));
        }
        Condition::parse(scan, &[',', ']', ')', '&', '|'])?.ok_or_else(|| {
            PatternError(format!("Invalid filter pattern: '{text}' lacks its comparison"))
        })
    })?;
    Ok(Field { name: name.unwrap_or_default(), tree: Some(tree) })
}

/// The fields of an event: what is between spaces, in quotes or in brackets.
fn words(message: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = message.trim();
    while let Some(first) = rest.chars().next() {
        let close = match first {
            '"' => Some('"'),
            '[' => Some(']'),
            _ => None,
        };
        let quoted = close.and_then(|close| {
            let inside = rest.get(1..)?;
            let end = inside.find(close)?;
            Some((inside.get(..end)?, inside.get(end + 1..)?))
        });
        let (word, after) = match quoted {
            Some(found) => found,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word);
        rest = after.trim_start();
    }
    words
}
