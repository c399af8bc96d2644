//! Types of variables: what a value becomes that is handed in.

use std::collections::BTreeMap;

use hcl::{Expression, expr::FuncCall, expr::ObjectKey};

use super::val::{Evaluated, Val, unknown};

/// How a member of a value is found.
pub(super) type Member<'m> = &'m dyn Fn(&Val, &str) -> Evaluated;

/// Converts a value to a type, as `type` of a variable has it.
pub(super) fn convert(value: Val, to: &Expression, member: Member<'_>) -> Evaluated {
    if matches!(value, Val::Null | Val::Unknown(_)) {
        return Ok(value);
    }
    let misfit = || Ok(unknown("a variable's value of another type"));
    match to {
        Expression::Variable(name) => match name.as_str() {
            "string" => match &value {
                Val::Text(_) | Val::Id(_) => Ok(value),
                other => other.as_text().map_or_else(misfit, |it| Ok(Val::text(it))),
            },
            "number" => value.as_number().map_or_else(misfit, |it| Ok(Val::Number(it))),
            "bool" => value.as_bool().map_or_else(misfit, |it| Ok(Val::Bool(it))),
            "any" | "list" | "map" => Ok(value),
            "set" => value.elements().map_or_else(misfit, |(all, _)| Ok(Val::set(all.to_vec()))),
            _ => misfit(),
        },
        Expression::FuncCall(it) => structural(value, it, member),
        _ => misfit(),
    }
}

fn structural(value: Val, to: &FuncCall, member: Member<'_>) -> Evaluated {
    let misfit = || Ok(unknown("a variable's value of another type"));
    let Some(of) = to.args.first() else { return misfit() };
    let every = |all: &[Val]| -> Result<Vec<Val>, String> {
        all.iter().map(|it| convert(it.clone(), of, member)).collect()
    };
    match (to.name.name.as_str(), &value) {
        ("list", Val::List(_) | Val::Set(_)) => {
            let Some((all, is_ordered)) = value.elements() else { return misfit() };
            Ok(Val::listed(every(all)?, is_ordered))
        }
        ("set", Val::List(all) | Val::Set(all)) => Ok(Val::set(every(all)?)),
        ("map", Val::Map(map)) => {
            let all =
                map.iter().map(|(key, it)| Ok((key.clone(), convert(it.clone(), of, member)?)));
            Ok(Val::map(all.collect::<Result<_, String>>()?))
        }
        ("tuple", Val::List(all)) => {
            let Expression::Array(types) = of else { return misfit() };
            if types.len() != all.len() {
                return misfit();
            }
            let all = all.iter().zip(types).map(|(it, to)| convert(it.clone(), to, member));
            Ok(Val::list(all.collect::<Result<_, _>>()?))
        }
        ("object", Val::Map(_) | Val::Resource(_) | Val::Module(_)) => {
            let Expression::Object(members) = of else { return misfit() };
            let mut map = BTreeMap::new();
            for (name, to) in members {
                let name = match name {
                    ObjectKey::Identifier(it) => it.as_str(),
                    ObjectKey::Expression(Expression::String(it)) => it.as_str(),
                    _ => return misfit(),
                };
                let (to, optional) = match to {
                    Expression::FuncCall(it) if it.name.name.as_str() == "optional" => {
                        (it.args.first(), Some(it.args.get(1)))
                    }
                    to => (Some(to), None),
                };
                let Some(to) = to else { return misfit() };
                let found = match (member(&value, name), optional) {
                    (Ok(Val::Null) | Err(_), Some(default)) => match default {
                        None => Val::Null,
                        Some(default) => match constant(default) {
                            Some(default) => default,
                            None => unknown("the default of an optional member"),
                        },
                    },
                    (Ok(found), _) => found,
                    (Err(_), None) => return misfit(),
                };
                map.insert(name.to_owned(), convert(found, to, member)?);
            }
            Ok(Val::map(map))
        }
        _ => misfit(),
    }
}

/// Defaults in types are constants.
fn constant(expression: &Expression) -> Option<Val> {
    Some(match expression {
        Expression::Null => Val::Null,
        Expression::Bool(it) => Val::Bool(*it),
        Expression::Number(it) => Val::Number(it.as_f64()?),
        Expression::String(it) => Val::text(it),
        Expression::Array(all) => Val::list(all.iter().map(constant).collect::<Option<_>>()?),
        Expression::Object(all) => {
            let all = all.iter().map(|(key, it)| {
                let key = match key {
                    ObjectKey::Identifier(it) => it.to_string(),
                    ObjectKey::Expression(Expression::String(it)) => it.clone(),
                    _ => return None,
                };
                Some((key, constant(it)?))
            });
            Val::map(all.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_what_variables_ask_for() {
        let member = |value: &Val, name: &str| match value {
            Val::Map(map) => map.get(name).cloned().ok_or_else(String::new),
            _ => Err(String::new()),
        };
        let to = |value: Val, to: &str| {
            let to: Expression = to.parse().expect("a type");
            convert(value, &to, &member).expect("converted")
        };
        assert_eq!(to(Val::text("true"), "bool"), Val::Bool(true));
        let numbers = Val::list(vec![Val::Number(443.0), Val::Number(80.0)]);
        let texts = Val::list(vec![Val::text("443"), Val::text("80")]);
        assert_eq!(to(numbers, "set(string)").in_order(), texts.in_order());
        let object = Val::map([("a".to_owned(), Val::Null), ("c".to_owned(), Val::Null)].into());
        let wanted = [("a", Val::Bool(true)), ("b", Val::Null)];
        let wanted = wanted.map(|(name, it)| (name.to_owned(), it)).into();
        let found = to(object, "object({a = optional(bool, true), b = optional(number)})");
        assert_eq!(found, Val::map(wanted));
        assert!(matches!(to(Val::text("x"), "number"), Val::Unknown(_)));
    }
}
