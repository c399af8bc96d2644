//! Values of expressions: what is known, ids that are made up, and what nobody knows before `apply`.

use std::{collections::BTreeMap, rc::Rc};

use serde_json::Value;

/// The value of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Val {
    Null,
    Bool(bool),
    Number(f64),
    Text(Rc<str>),
    /// An id that is made up. It stands for a thing; nothing depends on how it is spelled.
    Id(Rc<str>),
    List(Rc<Vec<Self>>),
    /// Elements whose order is not known, unless all of them are plain texts or numbers.
    Set(Rc<Vec<Self>>),
    /// A map or an object.
    Map(Rc<BTreeMap<String, Self>>),
    /// A resource of the plan, by its place.
    Resource(usize),
    /// A module, by its address.
    Module(Rc<str>),
    /// Not known, because.
    Unknown(Rc<str>),
}

/// A value, or why evaluating it is an error for Terraform as well, as `try` asks.
pub(super) type Evaluated = Result<Val, String>;

/// What is not known, because.
pub(super) fn unknown(because: impl AsRef<str>) -> Val {
    Val::Unknown(because.as_ref().into())
}

impl Val {
    pub(super) fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().into())
    }

    pub(super) fn list(list: Vec<Self>) -> Self {
        Self::List(Rc::new(list))
    }

    pub(super) fn map(map: BTreeMap<String, Self>) -> Self {
        Self::Map(Rc::new(map))
    }

    /// A set: each element once, in the order that Terraform goes through them where that is known.
    pub(super) fn set(elements: Vec<Self>) -> Self {
        let mut elements = elements;
        // Sets have elements of one type.
        if elements.iter().any(|it| matches!(it, Self::Text(_) | Self::Id(_))) {
            elements.iter_mut().for_each(|it| {
                if let (Self::Number(_) | Self::Bool(_), Some(text)) = (&*it, it.as_text()) {
                    *it = Self::text(text);
                }
            });
        }
        let mut once: Vec<Self> = Vec::new();
        for it in elements {
            if !once.contains(&it) {
                once.push(it);
            }
        }
        once.sort_by(|a, b| match (a, b) {
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            _ => std::cmp::Ordering::Equal,
        });
        Self::Set(Rc::new(once))
    }

    /// What JSON says, without what is not known of it.
    pub(super) fn of(value: &Value, unknown_parts: &Value, name: &str) -> Self {
        if *unknown_parts == true {
            return unknown(format!("{name} is known after apply"));
        }
        match value {
            Value::Null => Self::Null,
            Value::Bool(it) => Self::Bool(*it),
            Value::Number(it) => it.as_f64().map_or(Self::Null, Self::Number),
            Value::String(it) => Self::text(it),
            Value::Array(all) => {
                let all = all.iter().enumerate();
                let all = all.map(|(place, it)| Self::of(it, &unknown_parts[place], name));
                Self::list(all.collect())
            }
            Value::Object(all) => {
                let mut map: BTreeMap<_, _> = all
                    .iter()
                    .map(|(key, it)| (key.clone(), Self::of(it, &unknown_parts[key], name)))
                    .collect();
                // What is not known at all is not among the values.
                for (key, part) in unknown_parts.as_object().into_iter().flatten() {
                    if *part == true && !map.contains_key(key) {
                        map.insert(key.clone(), Self::of(&Value::Null, part, name));
                    }
                }
                Self::map(map)
            }
        }
    }

    /// The text that it is converted to. An id has none that anybody knows.
    pub(super) fn as_text(&self) -> Option<String> {
        match self {
            Self::Text(it) => Some(it.to_string()),
            Self::Bool(it) => Some(it.to_string()),
            // Terraform's numbers have more digits.
            Self::Number(it) => Some(it.to_string()).filter(|it| it.len() < 16),
            _ => None,
        }
    }

    pub(super) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(it) => Some(*it),
            Self::Text(it) => it.parse().ok().filter(|it: &f64| it.is_finite()),
            _ => None,
        }
    }

    /// A place in a list.
    pub(super) fn as_place(&self) -> Option<i64> {
        let number = self.as_number().filter(|it| it.fract() == 0.0 && it.abs() < 1e9)?;
        // It is a small whole number.
        Some(number as i64)
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(it) => Some(*it),
            Self::Text(it) => match &**it {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// Why it is not known, where it is not, or something in it is not.
    pub(super) fn because(&self) -> Option<Rc<str>> {
        match self {
            Self::Unknown(because) => Some(because.clone()),
            Self::List(all) | Self::Set(all) => all.iter().find_map(Self::because),
            Self::Map(all) => all.values().find_map(Self::because),
            _ => None,
        }
    }

    /// Whether nothing in it is made up, unknown, or to be looked up.
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => true,
            Self::Id(_) | Self::Resource(_) | Self::Module(_) | Self::Unknown(_) => false,
            Self::List(all) | Self::Set(all) => all.iter().all(Self::is_plain),
            Self::Map(all) => all.values().all(Self::is_plain),
        }
    }

    /// The elements in their order; `None` where it is no list, or the order is not known.
    pub(super) fn in_order(&self) -> Option<&[Self]> {
        match self {
            Self::List(all) => Some(all),
            Self::Set(all) if Self::is_order_known(all) => Some(all),
            _ => None,
        }
    }

    fn is_order_known(all: &[Self]) -> bool {
        all.len() < 2
            || all.iter().all(|it| matches!(it, Self::Text(_)))
            || all.iter().all(|it| matches!(it, Self::Number(_)))
    }

    /// The elements, and whether their order is known.
    pub(super) fn elements(&self) -> Option<(&[Self], bool)> {
        match self {
            Self::List(all) => Some((all, true)),
            Self::Set(all) => Some((all, Self::is_order_known(all))),
            _ => None,
        }
    }

    /// A list, or a set where the order is not known.
    pub(super) fn listed(all: Vec<Self>, is_ordered: bool) -> Self {
        match is_ordered || all.len() < 2 {
            true => Self::list(all),
            false => Self::Set(Rc::new(all)),
        }
    }

    /// Whether two are equal; `None` where nobody knows before `apply`.
    pub(super) fn equals(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Unknown(_), _) | (_, Self::Unknown(_)) => None,
            (Self::Null, Self::Null) => Some(true),
            (Self::Null, _) | (_, Self::Null) => Some(false),
            (Self::Id(a), Self::Id(b)) => Some(a == b),
            // An id is no empty text; whether it is another one, who knows.
            (Self::Id(_), Self::Text(it)) | (Self::Text(it), Self::Id(_)) => {
                it.is_empty().then_some(false)
            }
            (Self::Text(a), Self::Text(b)) => Some(a == b),
            (Self::Number(a), Self::Number(b)) => Some((a - b).abs() < f64::EPSILON),
            (Self::Bool(a), Self::Bool(b)) => Some(a == b),
            // Whether types are converted before depends on where they are compared.
            (a, b) if a.is_plain() && b.is_plain() && a == b => Some(true),
            (Self::List(a), Self::List(b)) if a.len() != b.len() => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_an_order_where_their_elements_have_one() {
        let set = Val::set(vec![Val::text("b"), Val::text("a"), Val::text("b")]);
        assert_eq!(set.in_order(), Some([Val::text("a"), Val::text("b")].as_slice()));
        let numbers = Val::set(vec![Val::Number(443.0), Val::Number(22.0)]);
        assert_eq!(numbers.in_order(), Some([Val::Number(22.0), Val::Number(443.0)].as_slice()));
        let ids = Val::set(vec![Val::Id("sg-2".into()), Val::Id("sg-1".into())]);
        assert_eq!(ids.in_order(), None);
    }

    #[test]
    fn an_id_is_not_compared_by_its_spelling() {
        let (a, b) = (Val::Id("sg-a".into()), Val::Id("sg-b".into()));
        assert_eq!((a.equals(&a), a.equals(&b)), (Some(true), Some(false)));
        assert_eq!(a.equals(&Val::text("")), Some(false));
        assert_eq!(a.equals(&Val::text("sg-a")), None);
        assert_eq!(a.as_text(), None);
    }
}
