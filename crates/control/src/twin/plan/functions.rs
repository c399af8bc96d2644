//! Terraform's functions on lists, maps, texts, numbers and blocks of addresses. A function that is not
//! here has an unknown value, by name.

use std::{collections::BTreeMap, rc::Rc};

use ipnet::IpNet;

use super::val::{Evaluated, Val, unknown};

/// How many elements `range` has at most.
const RANGE: usize = 1024;
/// How many digits a number is written with, at most.
const WIDEST: usize = 100;

/// Calls a function.
pub(super) fn call(name: &str, args: &[Val]) -> Evaluated {
    // What is handed in must be known as a whole, though not all that is in it.
    if name != "coalesce"
        && let Some(Val::Unknown(because)) = args.iter().find(|it| matches!(it, Val::Unknown(_)))
    {
        return Ok(Val::Unknown(because.clone()));
    }
    let done = match args {
        [one] => of_one(name, one)?,
        _ => None,
    };
    let done = match done {
        None => of_collections(name, args)?,
        done => done,
    };
    let done = done.or_else(|| of_texts(name, args)).or_else(|| of_addresses(name, args));
    let done = done.or_else(|| of_numbers(name, args));
    Ok(done.unwrap_or_else(|| match args.iter().find_map(Val::because) {
        Some(because) => Val::Unknown(because),
        None => unknown(format!("the function {name} is not known here")),
    }))
}

/// `None` where it is no function of one argument, or not one of what it is given.
fn of_one(name: &str, it: &Val) -> Result<Option<Val>, String> {
    Ok(match (name, it) {
        ("nonsensitive" | "sensitive", it) => Some(it.clone()),
        ("tolist", Val::List(_) | Val::Set(_)) => {
            let (all, is_ordered) = it.elements().unwrap_or((&[], true));
            Some(Val::listed(all.to_vec(), is_ordered))
        }
        ("toset", Val::List(all) | Val::Set(all)) => Some(Val::set(all.to_vec())),
        ("tomap", Val::Map(_)) => Some(it.clone()),
        ("tolist" | "toset" | "tomap" | "tostring" | "tonumber" | "tobool", Val::Null) => {
            Some(Val::Null)
        }
        ("tostring", Val::Id(_)) => Some(it.clone()),
        ("tostring", it) => it.as_text().map(Val::text),
        ("tonumber", Val::Text(text)) if it.as_number().is_none() => {
            return Err(format!("{text} is no number"));
        }
        ("tonumber", it) => it.as_number().map(Val::Number),
        ("tobool", Val::Text(text)) if it.as_bool().is_none() => {
            return Err(format!("{text} is no bool"));
        }
        ("tobool", it) => it.as_bool().map(Val::Bool),
        ("length", Val::Map(map)) => count(map.len()),
        ("length", Val::List(all)) => count(all.len()),
        // Two elements that are not known may be the same.
        ("length", Val::Set(all)) if it.because().is_none() => count(all.len()),
        ("length", Val::Text(text)) => count(text.chars().count()),
        ("keys", Val::Map(map)) => Some(Val::list(map.keys().map(Val::text).collect())),
        ("values", Val::Map(map)) => Some(Val::list(map.values().cloned().collect())),
        ("one", Val::List(all) | Val::Set(all)) => match all.as_slice() {
            [] => Some(Val::Null),
            [one] => Some(one.clone()),
            _ if matches!(it, Val::Set(_)) && it.because().is_some() => None,
            _ => return Err("one of several".to_owned()),
        },
        ("flatten", Val::List(_) | Val::Set(_)) => {
            let mut flat = (Vec::new(), true);
            flatten(it, &mut flat).then(|| Val::listed(flat.0, flat.1))
        }
        ("compact", Val::List(_) | Val::Set(_)) => {
            let (all, is_ordered) = it.elements().unwrap_or((&[], true));
            let is_there = |it: &&Val| **it != Val::Null && **it != Val::text("");
            let kept = all.iter().filter(is_there).cloned().collect();
            it.because().is_none().then(|| Val::listed(kept, is_ordered))
        }
        ("distinct", Val::List(_) | Val::Set(_)) if it.because().is_none() => {
            let (all, is_ordered) = it.elements().unwrap_or((&[], true));
            let mut once: Vec<Val> = Vec::new();
            for it in all {
                if !once.contains(it) {
                    once.push(it.clone());
                }
            }
            Some(Val::listed(once, is_ordered))
        }
        ("reverse", it) => it.in_order().map(|all| Val::list(all.iter().rev().cloned().collect())),
        ("sort", it) if it.is_plain() => match it.elements() {
            Some((all, _)) => {
                let texts: Option<Vec<_>> = all.iter().map(Val::as_text).collect();
                texts.map(|mut texts| {
                    texts.sort();
                    Val::list(texts.iter().map(Val::text).collect())
                })
            }
            None => None,
        },
        ("alltrue" | "anytrue", Val::List(all) | Val::Set(all)) => {
            let all: Option<Vec<_>> = all.iter().map(Val::as_bool).collect();
            all.map(|all| {
                Val::Bool(if name == "alltrue" {
                    !all.contains(&false)
                } else {
                    all.contains(&true)
                })
            })
        }
        ("sum", Val::List(all) | Val::Set(all)) => {
            let all: Option<Vec<_>> = all.iter().map(Val::as_number).collect();
            all.map(|all| Val::Number(all.iter().sum()))
        }
        ("jsondecode", Val::Text(text)) => match serde_json::from_str(text) {
            Ok(value) => Some(Val::of(&value, &serde_json::Value::Null, "")),
            Err(error) => return Err(error.to_string()),
        },
        _ => None,
    })
}

fn count(length: usize) -> Option<Val> {
    u32::try_from(length).ok().map(|it| Val::Number(it.into()))
}

/// Whether all of it is known well enough to know what is in it.
fn flatten(it: &Val, (flat, is_ordered): &mut (Vec<Val>, bool)) -> bool {
    match it.elements() {
        Some((all, has_order)) => {
            *is_ordered &= has_order;
            let mut rest = (std::mem::take(flat), *is_ordered);
            let done = all.iter().all(|it| flatten(it, &mut rest));
            (*flat, *is_ordered) = rest;
            done
        }
        // It might be a list as well.
        None if matches!(it, Val::Unknown(_)) => false,
        None => {
            flat.push(it.clone());
            true
        }
    }
}

fn of_collections(name: &str, args: &[Val]) -> Result<Option<Val>, String> {
    Ok(match (name, args) {
        ("merge", args) => {
            let mut merged = BTreeMap::new();
            for arg in args {
                match arg {
                    Val::Map(map) => {
                        merged.extend(map.iter().map(|(key, it)| (key.clone(), it.clone())));
                    }
                    Val::Null => {}
                    _ => return Ok(None),
                }
            }
            Some(Val::map(merged))
        }
        ("concat", args) => {
            let (mut all, mut is_ordered) = (Vec::new(), true);
            for arg in args {
                let Some((more, has_order)) = arg.elements() else { return Ok(None) };
                all.extend(more.iter().cloned());
                is_ordered &= has_order;
            }
            Some(Val::listed(all, is_ordered))
        }
        ("lookup", [Val::Map(map), key, rest @ ..]) => {
            let Some(key) = key.as_text() else { return Ok(None) };
            match (map.get(&key), rest) {
                (Some(found), _) => Some(found.clone()),
                (None, [default]) => Some(default.clone()),
                (None, _) => return Err(format!("there is no key {key}")),
            }
        }
        ("element", [list, place]) => match (list.in_order(), place.as_place()) {
            (Some([]), _) => return Err("element of an empty list".to_owned()),
            (Some(all), Some(place)) => {
                let length = i64::try_from(all.len()).unwrap_or(i64::MAX);
                let place = usize::try_from(place.rem_euclid(length)).unwrap_or(0);
                // Older versions know no places before the first.
                all.get(place).cloned()
            }
            _ => None,
        },
        ("index", [list, wanted]) => {
            let Some(all) = list.in_order() else { return Ok(None) };
            for (place, it) in all.iter().enumerate() {
                match it.equals(wanted) {
                    Some(true) => return Ok(count(place)),
                    Some(false) => {}
                    None => return Ok(None),
                }
            }
            return Err("it is not in the list".to_owned());
        }
        ("contains", [list, wanted]) => {
            let Some((all, _)) = list.elements() else { return Ok(None) };
            let same: Vec<_> = all.iter().map(|it| it.equals(wanted)).collect();
            match same.contains(&Some(true)) {
                true => Some(Val::Bool(true)),
                false if same.contains(&None) => None,
                false => Some(Val::Bool(false)),
            }
        }
        ("slice", [list, from, to]) => {
            let (Some(from), Some(to)) = (from.as_place(), to.as_place()) else { return Ok(None) };
            let ends = usize::try_from(from).ok().zip(usize::try_from(to).ok());
            let found = list.in_order().zip(ends).and_then(|(all, (from, to))| all.get(from..to));
            found.map(|it| Val::list(it.to_vec()))
        }
        ("zipmap", [keys, values]) => {
            let (Some(keys), Some(values)) = (keys.in_order(), values.in_order()) else {
                return Ok(None);
            };
            let keys: Option<Vec<_>> = keys.iter().map(Val::as_text).collect();
            let Some(keys) = keys.filter(|it| it.len() == values.len()) else { return Ok(None) };
            Some(Val::map(keys.into_iter().zip(values.iter().cloned()).collect()))
        }
        ("matchkeys", [values, keys, wanted]) => {
            let (Some(values), Some(keys)) = (values.in_order(), keys.in_order()) else {
                return Ok(None);
            };
            let Some((wanted, _)) = wanted.elements() else { return Ok(None) };
            let mut found = Vec::new();
            for (value, key) in values.iter().zip(keys) {
                let same: Option<Vec<_>> = wanted.iter().map(|it| it.equals(key)).collect();
                let Some(same) = same else { return Ok(None) };
                if same.contains(&true) {
                    found.push(value.clone());
                }
            }
            Some(Val::list(found))
        }
        ("chunklist", [list, size]) => {
            let size = size.as_place().and_then(|it| usize::try_from(it).ok()).filter(|it| *it > 0);
            let chunks = list
                .in_order()
                .zip(size)
                .map(|(all, size)| all.chunks(size).map(|it| Val::list(it.to_vec())).collect());
            chunks.map(Val::list)
        }
        ("setunion" | "setintersection" | "setsubtract", [first, rest @ ..]) => {
            if args.iter().any(|it| it.because().is_some()) {
                return Ok(None);
            }
            let Some((first, _)) = first.elements() else { return Ok(None) };
            let mut all = first.to_vec();
            for other in rest {
                let Some((other, _)) = other.elements() else { return Ok(None) };
                match name {
                    "setunion" => all.extend(other.iter().cloned()),
                    "setintersection" => all.retain(|it| other.contains(it)),
                    _ => all.retain(|it| !other.contains(it)),
                }
            }
            Some(Val::set(all))
        }
        ("setproduct", [_, _, ..]) => {
            let (mut product, mut is_list) = (vec![Vec::new()], true);
            for arg in args {
                let Some((all, has_order)) = arg.elements() else { return Ok(None) };
                is_list &= has_order && matches!(arg, Val::List(_));
                product = product
                    .into_iter()
                    .flat_map(|head: Vec<Val>| {
                        all.iter().map(move |it| head.iter().cloned().chain([it.clone()]).collect())
                    })
                    .collect();
            }
            Some(Val::listed(product.into_iter().map(Val::list).collect(), is_list))
        }
        ("coalesce", args) => {
            for arg in args {
                match arg {
                    Val::Null => {}
                    Val::Text(text) if text.is_empty() => {}
                    found => return Ok(Some(found.clone())),
                }
            }
            return Err("coalesce has no value".to_owned());
        }
        ("coalescelist", args) => {
            for arg in args {
                match arg.elements() {
                    Some(([], _)) => {}
                    Some(_) => return Ok(Some(arg.clone())),
                    None => return Ok(None),
                }
            }
            return Err("coalescelist has no list".to_owned());
        }
        ("range", args) => {
            let all: Option<Vec<f64>> = args.iter().map(Val::as_number).collect();
            let (from, to, step) = match all.as_deref() {
                Some([to]) => (0.0, *to, if *to < 0.0 { -1.0 } else { 1.0 }),
                Some([from, to]) => (*from, *to, if to < from { -1.0 } else { 1.0 }),
                Some([from, to, step]) => (*from, *to, *step),
                _ => return Ok(None),
            };
            let (mut next, mut found) = (from, Vec::new());
            while (step > 0.0 && next < to) || (step < 0.0 && next > to) {
                if found.len() >= RANGE {
                    return Ok(None);
                }
                found.push(Val::Number(next));
                next += step;
            }
            Some(Val::list(found))
        }
        _ => None,
    })
}

fn of_texts(name: &str, args: &[Val]) -> Option<Val> {
    match (name, args) {
        ("format", [pattern, rest @ ..]) => format(&pattern.as_text()?, rest).map(Val::text),
        ("join", [between, rest @ ..]) => {
            let mut all = Vec::new();
            for arg in rest {
                let texts: Option<Vec<_>> = arg.in_order()?.iter().map(Val::as_text).collect();
                all.extend(texts?);
            }
            Some(Val::text(all.join(&between.as_text()?)))
        }
        _ => {
            let texts: Option<Vec<_>> = args.iter().map(Val::as_text).collect();
            let texts = texts?;
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            of_texts_alone(name, &texts)
        }
    }
}

fn of_texts_alone(name: &str, texts: &[&str]) -> Option<Val> {
    Some(match (name, texts) {
        ("lower", [it]) => Val::text(it.to_lowercase()),
        ("upper", [it]) => Val::text(it.to_uppercase()),
        ("trimspace", [it]) => Val::text(it.trim()),
        ("chomp", [it]) => Val::text(it.trim_end_matches(['\r', '\n'])),
        ("trimprefix", [it, by]) => Val::text(it.strip_prefix(by).unwrap_or(it)),
        ("trimsuffix", [it, by]) => Val::text(it.strip_suffix(by).unwrap_or(it)),
        ("startswith", [it, by]) => Val::Bool(it.starts_with(by)),
        ("endswith", [it, by]) => Val::Bool(it.ends_with(by)),
        ("strcontains", [it, by]) => Val::Bool(it.contains(by)),
        ("split", [by, it]) if !by.is_empty() && !it.is_empty() => {
            Val::list(it.split(by).map(Val::text).collect())
        }
        // What stands between slashes is a regular expression.
        ("replace", [it, from, to]) if !from.is_empty() && !from.starts_with('/') => {
            Val::text(it.replace(from, to))
        }
        ("substr", [it, from, length]) if it.is_ascii() => {
            let from: usize = from.parse().ok()?;
            let rest = it.get(from..)?;
            match length.parse::<usize>() {
                Ok(length) => Val::text(rest.get(..length.min(rest.len()))?),
                Err(_) if *length == "-1" => Val::text(rest),
                Err(_) => return None,
            }
        }
        _ => return None,
    })
}

/// `format`, with `%s`, `%d` and `%v` (and widths of `%d`).
fn format(pattern: &str, args: &[Val]) -> Option<String> {
    let (mut text, mut args) = (String::new(), args.iter());
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('%') {
        text += before;
        let end = after.find(|c: char| !c.is_ascii_digit())?;
        let (width, verb) = (&after[..end], after[end..].chars().next()?);
        rest = &after[end + verb.len_utf8()..];
        match (verb, width) {
            ('%', "") => text.push('%'),
            ('s' | 'v', "") => text += &args.next()?.as_text()?,
            ('d', width) => {
                let number = args.next()?.as_place()?;
                let digits = match width.trim_start_matches('0') {
                    "" => 0,
                    digits => digits.parse().ok().filter(|it| *it <= WIDEST)?,
                };
                match width.starts_with('0') {
                    true => text += &format!("{number:0digits$}"),
                    false => text += &format!("{number:digits$}"),
                }
            }
            _ => return None,
        }
    }
    args.next().is_none().then(|| text + rest)
}

fn of_addresses(name: &str, args: &[Val]) -> Option<Val> {
    let block: IpNet = match args.first()? {
        Val::Text(it) => it.parse::<IpNet>().ok()?.trunc(),
        _ => return None,
    };
    let number = |place: usize| args.get(place)?.as_place();
    Some(match (name, args.len()) {
        ("cidrsubnet", 3) => Val::text(part(&block, number(1)?, number(2)?)?.to_string()),
        ("cidrsubnets", _) => {
            // Each begins behind the one before, where its size lets it.
            let (mut next, mut found) = (first_of(&block), Vec::new());
            for place in 1..args.len() {
                let length = length_of(&block, number(place)?)?;
                let size = 1_u128.checked_shl(u32::from(width_of(&block) - length))?;
                next = next.div_ceil(size).checked_mul(size)?;
                let it = IpNet::new(address(&block, next)?, length).ok()?;
                if !block.contains(&it) {
                    return None;
                }
                found.push(Val::text(it.to_string()));
                next = next.checked_add(size)?;
            }
            Val::List(Rc::new(found))
        }
        ("cidrhost", 2) => {
            let hosts = 1_u128.checked_shl(u32::from(width_of(&block) - block.prefix_len()))?;
            let host = number(1)?;
            let host = match host < 0 {
                true => hosts.checked_sub(u128::from(host.unsigned_abs()))?,
                false => u128::from(host.unsigned_abs()),
            };
            let found = address(&block, first_of(&block).checked_add(host)?)?;
            if host >= hosts {
                return None;
            }
            Val::text(found.to_string())
        }
        ("cidrnetmask", 1) => match block {
            IpNet::V4(it) => Val::text(it.netmask().to_string()),
            IpNet::V6(_) => return None,
        },
        _ => return None,
    })
}

fn width_of(block: &IpNet) -> u8 {
    block.max_prefix_len()
}

fn first_of(block: &IpNet) -> u128 {
    match block {
        IpNet::V4(it) => u128::from(u32::from(it.network())),
        IpNet::V6(it) => u128::from(it.network()),
    }
}

fn address(like: &IpNet, number: u128) -> Option<std::net::IpAddr> {
    Some(match like {
        IpNet::V4(_) => std::net::Ipv4Addr::from(u32::try_from(number).ok()?).into(),
        IpNet::V6(_) => std::net::Ipv6Addr::from(number).into(),
    })
}

fn length_of(block: &IpNet, more: i64) -> Option<u8> {
    let length = block.prefix_len().checked_add(u8::try_from(more).ok()?)?;
    (length <= width_of(block)).then_some(length)
}

fn part(block: &IpNet, more: i64, which: i64) -> Option<IpNet> {
    let length = length_of(block, more)?;
    let which = u128::try_from(which).ok()?;
    let size = 1_u128.checked_shl(u32::from(width_of(block) - length))?;
    let at = first_of(block).checked_add(size.checked_mul(which)?)?;
    let found = IpNet::new(address(block, at)?, length).ok()?;
    block.contains(&found).then_some(found)
}

fn of_numbers(name: &str, args: &[Val]) -> Option<Val> {
    let numbers: Option<Vec<f64>> = args.iter().map(Val::as_number).collect();
    Some(Val::Number(match (name, numbers?.as_slice()) {
        ("abs", [it]) => it.abs(),
        ("ceil", [it]) => it.ceil(),
        ("floor", [it]) => it.floor(),
        ("max", all @ [_, ..]) => all.iter().copied().fold(f64::MIN, f64::max),
        ("min", all @ [_, ..]) => all.iter().copied().fold(f64::MAX, f64::min),
        ("pow", [a, b]) => a.powf(*b),
        ("parseint", [it, base]) if *base == 10.0 => *it,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[&str]) -> Val {
        Val::list(all.iter().map(Val::text).collect())
    }

    fn done(name: &str, args: &[Val]) -> Val {
        call(name, args).expect("no error")
    }

    /// The examples of Terraform's documentation of each function, where it has some.
    #[test]
    fn functions_do_what_terraform_documents() {
        let number = Val::Number;
        for (name, args, wanted) in [
            (
                "cidrsubnet",
                vec![Val::text("172.16.0.0/12"), number(4.0), number(2.0)],
                Val::text("172.18.0.0/16"),
            ),
            (
                "cidrsubnet",
                vec![Val::text("10.1.2.0/24"), number(4.0), number(15.0)],
                Val::text("10.1.2.240/28"),
            ),
            (
                "cidrsubnet",
                vec![Val::text("fd00:fd12:3456:7890::/56"), number(16.0), number(162.0)],
                Val::text("fd00:fd12:3456:7800:a200::/72"),
            ),
            (
                "cidrsubnets",
                vec![Val::text("10.1.0.0/16"), number(4.0), number(4.0), number(8.0), number(4.0)],
                texts(&["10.1.0.0/20", "10.1.16.0/20", "10.1.32.0/24", "10.1.48.0/20"]),
            ),
            (
                "cidrhost",
                vec![Val::text("10.12.112.0/20"), number(16.0)],
                Val::text("10.12.112.16"),
            ),
            (
                "cidrhost",
                vec![Val::text("10.12.112.0/20"), number(268.0)],
                Val::text("10.12.113.12"),
            ),
            ("cidrnetmask", vec![Val::text("172.16.0.0/12")], Val::text("255.240.0.0")),
            ("element", vec![texts(&["a", "b", "c"]), number(3.0)], Val::text("a")),
            (
                "slice",
                vec![texts(&["a", "b", "c", "d"]), number(1.0), number(3.0)],
                texts(&["b", "c"]),
            ),
            (
                "format",
                vec![Val::text("Hello, %s-%02d%%!"), Val::text("x"), number(7.0)],
                Val::text("Hello, x-07%!"),
            ),
            ("join", vec![Val::text(", "), texts(&["foo", "bar"])], Val::text("foo, bar")),
            (
                "range",
                vec![number(1.0), number(4.0)],
                Val::list(vec![number(1.0), number(2.0), number(3.0)]),
            ),
            (
                "range",
                vec![number(3.0), number(0.0)],
                Val::list(vec![number(3.0), number(2.0), number(1.0)]),
            ),
            ("coalesce", vec![Val::text(""), Val::Null, Val::text("b")], Val::text("b")),
            ("one", vec![Val::list(Vec::new())], Val::Null),
            ("contains", vec![texts(&["a", "b"]), Val::text("a")], Val::Bool(true)),
            (
                "flatten",
                vec![Val::list(vec![
                    texts(&["a"]),
                    Val::list(vec![texts(&["b"])]),
                    Val::text("c"),
                ])],
                texts(&["a", "b", "c"]),
            ),
            (
                "setproduct",
                vec![texts(&["a", "b"]), texts(&["x"])],
                Val::list(vec![texts(&["a", "x"]), texts(&["b", "x"])]),
            ),
            (
                "setsubtract",
                vec![texts(&["a", "b", "c"]), texts(&["a", "c"])],
                Val::set(vec![Val::text("b")]),
            ),
            (
                "zipmap",
                vec![texts(&["a", "b"]), texts(&["x", "y"])],
                Val::map([("a".into(), Val::text("x")), ("b".into(), Val::text("y"))].into()),
            ),
            ("substr", vec![Val::text("hello world"), number(1.0), number(4.0)], Val::text("ello")),
            ("split", vec![Val::text(","), Val::text("foo,bar")], texts(&["foo", "bar"])),
        ] {
            assert_eq!(done(name, &args), wanted, "{name} {args:?}");
        }
    }

    #[test]
    fn what_depends_on_how_an_id_is_spelled_is_unknown() {
        let ids = ["subnet-2", "subnet-1"].map(|it| Val::Id(it.into())).to_vec();
        let (list, set) = (Val::list(ids.clone()), Val::set(ids));
        assert_eq!(done("length", std::slice::from_ref(&set)), Val::Number(2.0));
        for (name, args) in [
            ("sort", vec![list.clone()]),
            ("element", vec![set.clone(), Val::Number(0.0)]),
            ("reverse", vec![done("tolist", &[set])]),
            ("join", vec![Val::text(","), list.clone()]),
            ("zipmap", vec![list.clone(), list]),
            ("uuid", vec![]),
            ("file", vec![Val::text("key.pub")]),
        ] {
            assert!(matches!(done(name, &args), Val::Unknown(_)), "{name}");
        }
        let Val::Unknown(because) = done("sha1", &[Val::text("a")]) else { panic!("known") };
        assert!(because.contains("sha1"), "{because}");
    }

    /// As large numbers as somebody may write: no panic, and no value that is wrong.
    #[test]
    fn what_has_no_room_is_not_known() {
        let number = Val::Number;
        for (name, args) in [
            ("format", vec![Val::text("%70000d"), number(1.0)]),
            ("format", vec![Val::text("%099999999999999999999999d"), number(1.0)]),
            ("cidrsubnets", vec![Val::text("::/0"), number(1.0), number(8.0), number(1.0)]),
            ("cidrsubnet", vec![Val::text("10.0.0.0/8"), number(25.0), number(1.0)]),
        ] {
            assert!(matches!(call(name, &args), Err(_) | Ok(Val::Unknown(_))), "{name} {args:?}");
        }
        assert_eq!(done("tobool", &[Val::text("1")]), Val::Bool(true));
    }

    #[test]
    fn what_terraform_fails_with_is_an_error() {
        for (name, args) in [
            ("one", vec![texts(&["a", "b"])]),
            ("element", vec![Val::list(Vec::new()), Val::Number(0.0)]),
            ("lookup", vec![Val::map(BTreeMap::new()), Val::text("a")]),
            ("tonumber", vec![Val::text("x")]),
            ("coalesce", vec![Val::Null]),
        ] {
            assert!(call(name, &args).is_err(), "{name}");
        }
    }
}
