//! A file of expectations: what is wrong in it is said with line and column, before anything is
//! asked.

use std::{
    fmt,
    fs::{self, File},
    io::Read as _,
    marker::PhantomData,
    path::Path,
    str::FromStr,
};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, EnumAccess, IgnoredAny, SeqAccess, Visitor},
};

use crate::{
    admin::{Expect, Expectation, PortRange, Protocol},
    failure::Failure,
};

/// What is said of an item of the list that stands for another one.
const ALIAS: &str = "an expectation that is an alias (*name) as a whole is not supported";
/// A file of expectations is not larger than this.
const LIMIT: u64 = 16 << 20;

/// An expectation with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Written {
    /// Its line, from 1 on.
    pub line: usize,
    /// Its column, from 1 on.
    pub column: usize,
    /// What the file calls it.
    pub name: Option<String>,
    /// What is expected.
    pub expectation: Expectation,
}

/// Something that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Mistake {
    /// The line, from 1 on, where it has one.
    pub line: Option<usize>,
    /// The column, from 1 on.
    pub column: Option<usize>,
    /// What.
    pub text: String,
}

impl Mistake {
    /// The error, with the file's name.
    pub(in crate::cli) fn failure(&self, file: &Path) -> Failure {
        let place = match (self.line, self.column) {
            (Some(line), Some(column)) => format!(":{line}:{column}"),
            _ => String::new(),
        };
        Failure::new(format!("{}{place}: {}", file.display(), self.text))
            .help("`gureum check --help` shows how a file of expectations is written")
    }
}

/// The text of a file.
pub(in crate::cli) fn text(file: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::file("read", file, &error);
    let length = fs::metadata(file).map_err(failed)?.len();
    let mut text = String::new();
    File::open(file).and_then(|it| it.take(LIMIT + 1).read_to_string(&mut text)).map_err(failed)?;
    if length > LIMIT || text.len() as u64 > LIMIT {
        return Err(Failure::new(format!(
            "{} is larger than {} MB, more than expectations are",
            file.display(),
            LIMIT >> 20
        )));
    }
    Ok(text)
}

/// Reads the text of a file.
pub(in crate::cli) fn parse(text: &str) -> Result<Vec<Written>, Mistake> {
    let Located(items) = serde_norway::from_str(text).map_err(|error| mistake(&error))?;
    // An alias is one item of the file, but two for who asks where it is.
    let count = serde_norway::from_str::<Vec<IgnoredAny>>(text).map_or(0, |all| all.len());
    if items.len() != count {
        return Err(Mistake { line: None, column: None, text: ALIAS.to_owned() });
    }
    if items.is_empty() {
        let text = "there are no expectations in it";
        return Err(Mistake { line: None, column: None, text: text.to_owned() });
    }
    items.into_iter().map(|(place, raw)| raw.written(place)).collect()
}

fn mistake(error: &serde_norway::Error) -> Mistake {
    let place = error.location();
    let text = error.to_string();
    let text = text.split_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    // The path in front of it counts other items than people do.
    let text = match text.split_once(": ") {
        Some((path, text)) if path.starts_with(['[', '.']) => text,
        _ => text,
    };
    Mistake {
        line: place.as_ref().map(serde_norway::Location::line),
        column: place.as_ref().map(serde_norway::Location::column),
        text: text.to_owned(),
    }
}

/// Where an item begins: line and column.
type Place = (usize, usize);

/// An expectation as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    name: Option<String>,
    from: OneOrMany<Name>,
    to: OneOrMany<Name>,
    #[serde(default)]
    protocol: Option<OneOrMany<Protocol>>,
    #[serde(default)]
    port: Option<OneOrMany<Ports>>,
    expect: Scalar<Expected>,
    #[serde(default)]
    by: Option<String>,
    #[serde(default)]
    ipv6: bool,
}

impl Raw {
    fn written(self, (line, column): Place) -> Result<Written, Mistake> {
        let wrong = |text: &str| {
            Err(Mistake { line: Some(line), column: Some(column), text: text.to_owned() })
        };
        let protocols = self.protocol.map_or_else(|| vec![Protocol::Tcp], |it| it.0);
        let ports = self.port.map(|ports| ports.0.into_iter().map(|it| it.0).collect::<Vec<_>>());
        if !protocols.iter().any(|it| it.has_ports()) && ports.is_some() {
            return wrong("its protocol has no ports");
        }
        let expectation = Expectation {
            from: self.from.0.into_iter().map(|it| it.0).collect(),
            to: self.to.0.into_iter().map(|it| it.0).collect(),
            protocols,
            ports,
            expect: self.expect.0.0,
            by: self.by,
            ipv6: self.ipv6,
        };
        let lists = [expectation.from.len(), expectation.to.len(), expectation.protocols.len()];
        if lists.contains(&0) || expectation.ports.as_ref().is_some_and(Vec::is_empty) {
            return wrong("a list in it is empty");
        }
        Ok(Written { line, column, name: self.name, expectation })
    }
}

/// The name of an end.
#[derive(Debug)]
struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.is_empty() {
            true => Err("an end has no name".to_owned()),
            false => Ok(Self(text.to_owned())),
        }
    }
}

/// Ports, or all of them.
#[derive(Debug)]
struct Ports(PortRange);

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self(PortRange::ALL)),
            other => other.parse().map(Self),
        }
    }
}

/// What is expected.
#[derive(Debug)]
struct Expected(Expect);

impl FromStr for Expected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "allow" => Ok(Self(Expect::Allow)),
            "deny" => Ok(Self(Expect::Deny)),
            other => Err(format!("expect is allow or deny, not \"{other}\"")),
        }
    }
}

/// A word or a number.
#[derive(Debug)]
struct Scalar<T>(T);

impl<'de, T: FromStr<Err = String>> Deserialize<'de> for Scalar<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor(PhantomData)).map(Self)
    }
}

/// One, or a list.
#[derive(Debug)]
struct OneOrMany<T>(Vec<T>);

impl<'de, T: FromStr<Err = String>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData)).map(Self)
    }
}

struct ScalarVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: FromStr<Err = String>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word, a number, or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        ScalarVisitor(PhantomData).visit_str(text).map(|one| vec![one])
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Vec<T>, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Vec<T>, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(Scalar(one)) = list.next_element()? {
            all.push(one);
        }
        Ok(all)
    }
}

/// Expectations with their places.
struct Located(Vec<(Place, Raw)>);

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(LocatedVisitor)
    }
}

struct LocatedVisitor;

impl<'de> Visitor<'de> for LocatedVisitor {
    type Value = Located;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of expectations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Located, A::Error> {
        let mut all = Vec::new();
        loop {
            // The library tells where something is only of what is wrong. To ask for an item as what
            // no item is leaves it where it is.
            let place = match list.next_element_seed(WhereIs) {
                Ok(None) => return Ok(Located(all)),
                Ok(Some(never)) => match never {},
                Err(error) => place(&error.to_string()),
            };
            let Some(raw) = list.next_element::<Raw>()? else {
                return Err(de::Error::custom(ALIAS));
            };
            all.push((place, raw));
        }
    }
}

/// The place that an error names.
fn place(error: &str) -> Place {
    let numbers = error.rsplit_once(" at line ").and_then(|(_, place)| {
        let (line, column) = place.split_once(" column ")?;
        Some((line.parse().ok()?, column.parse().ok()?))
    });
    numbers.unwrap_or((1, 1))
}

/// Nothing has this type.
enum Never {}

struct WhereIs;

impl<'de> DeserializeSeed<'de> for WhereIs {
    type Value = Never;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Never, D::Error> {
        deserializer.deserialize_enum("", &[], self)
    }
}

impl<'de> Visitor<'de> for WhereIs {
    type Value = Never;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an expectation")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Never, A::Error> {
        Err(de::Error::custom("not an expectation"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# The web servers.
- from: internet
  to: [WEB-01, WEB-02]
  port: [80, 8000-8010]
  expect: allow

- {from: internet, to: DB-01, port: any, expect: deny, by: security-group-ingress}
-
  name: pings within
  from: WEB-01
  to: WEB-02
  protocol: [icmp, 50]
  expect: allow
  ipv6: true
";

    #[test]
    fn expectations_are_read_with_their_places() {
        let read = parse(FILE).expect("it is right");
        let places: Vec<_> = read.iter().map(|it| (it.line, it.column)).collect();
        assert_eq!(places, [(2, 3), (7, 3), (9, 3)]);
        let [web, database, pings] = &read[..] else { panic!("{read:?}") };
        assert_eq!(web.expectation.to, ["WEB-01", "WEB-02"]);
        assert_eq!(web.expectation.protocols, [Protocol::Tcp]);
        let ports = [80.into(), PortRange { first: 8000, last: 8010 }];
        assert_eq!(web.expectation.ports.as_deref(), Some(&ports[..]));
        assert_eq!(database.expectation.ports.as_deref(), Some(&[PortRange::ALL][..]));
        assert_eq!(database.expectation.by.as_deref(), Some("security-group-ingress"));
        assert_eq!(database.expectation.expect, Expect::Deny);
        assert_eq!(pings.name.as_deref(), Some("pings within"));
        assert_eq!(pings.expectation.protocols, [Protocol::Icmp, Protocol::Number(50)]);
        assert!(pings.expectation.ipv6 && pings.expectation.ports.is_none());
    }

    #[test]
    fn a_long_file_is_read_at_once_and_every_place_is_right() {
        let item = "- from: internet\n  to: A\n  port: 80\n  expect: allow\n";
        let read = parse(&item.repeat(2000)).expect("it is right");
        for (at, written) in read.iter().enumerate() {
            assert_eq!((written.line, written.column), (4 * at + 1, 3));
        }
    }

    fn wrong(text: &str) -> (Option<usize>, Option<usize>, String) {
        let mistake = parse(text).expect_err(text);
        (mistake.line, mistake.column, mistake.text)
    }

    #[test]
    fn mistakes_are_said_with_line_and_column() {
        let item = |line: &str| format!("- from: a\n  to: b\n  {line}\n  expect: allow\n");
        let mut others = Vec::new();
        for (text, line, column, why) in [
            (item("prot: tcp"), 3, 3, "unknown field `prot`"),
            (item("port: http"), 3, 9, "\"http\" is no port"),
            (item("port: 70000"), 3, 9, "\"70000\" is no port"),
            (item("port: [80, 9-8]"), 3, 14, "ends before it begins"),
            (item("protocol: sctpx"), 3, 13, "is no protocol"),
            ("- from: a\n  to: b\n  expect: yes\n".into(), 3, 11, "allow or deny, not \"yes\""),
            ("- from: a\n  to: b\n  expect: drop\n".into(), 3, 11, "allow or deny, not \"drop\""),
            ("- from: a\n  expect: deny\n".into(), 1, 3, "missing field `to`"),
            (item("protocol: icmp\n  port: 8"), 1, 3, "has no ports"),
            (
                "\n- from: []\n  to: b\n  port: 1\n  expect: deny\n".into(),
                2,
                3,
                "a list in it is empty",
            ),
            (item("port: 80") + "- text\n", 5, 3, "invalid type: string"),
            ("from: a\n".into(), 1, 1, "expected a list of expectations"),
            ("- from: 'a\n".into(), 2, 1, "unexpected end of"),
        ] {
            let (found_line, found_column, found) = wrong(&text);
            let is_right = found.contains(why) && !found.contains(" at line ");
            if !is_right || (found_line, found_column) != (Some(line), Some(column)) {
                others.push(format!("{text}{found_line:?} {found_column:?} {found}"));
            }
        }
        assert!(others.is_empty(), "{}", others.join("\n"));
        for (text, why) in [
            ("", "there are no expectations"),
            ("[]", "there are no expectations"),
            ("- &a {from: a, to: b, port: 1, expect: deny}\n- *a\n", "is an alias"),
        ] {
            let (.., found) = wrong(text);
            assert!(found.contains(why), "{text}: {found}");
        }
    }
}
