//! Tags: key and value pairs on every resource (EC2-27).

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

/// The tags of a resource, in the order of their keys.
///
/// Most resources have none or few, and there are many resources: a list takes a fraction of the
/// room of a map.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tags(Box<[(String, String)]>);

/// Keys and values, in the order of the keys.
pub type Iter<'a> = std::iter::Map<
    std::slice::Iter<'a, (String, String)>,
    fn(&(String, String)) -> (&String, &String),
>;

impl Tags {
    /// No tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(key))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&String> {
        let place = self.place(key).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// Whether a key is there.
    pub fn contains_key(&self, key: &str) -> bool {
        self.place(key).is_ok()
    }

    /// Keys and values.
    pub fn iter(&self) -> Iter<'_> {
        let pair: fn(&(String, String)) -> (&String, &String) = |(key, value)| (key, value);
        self.0.iter().map(pair)
    }

    /// The keys.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &String> {
        self.0.iter().map(|(key, _)| key)
    }

    /// Gives a key a value; the one that it had.
    pub fn insert(&mut self, key: String, value: String) -> Option<String> {
        match self.place(&key) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, value)),
            Err(place) => {
                let mut tags = std::mem::take(&mut self.0).into_vec();
                tags.reserve_exact(1);
                tags.insert(place, (key, value));
                self.0 = tags.into();
                None
            }
        }
    }

    /// Takes a key away.
    pub fn remove(&mut self, key: &str) {
        self.retain(|known, _| known != key);
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Keeps those that shall be kept.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&String, &String) -> bool) {
        let mut tags = std::mem::take(&mut self.0).into_vec();
        tags.retain(|(key, value)| is_kept(key, value));
        self.0 = tags.into();
    }
}

impl Extend<(String, String)> for Tags {
    fn extend<I: IntoIterator<Item = (String, String)>>(&mut self, tags: I) {
        for (key, value) in tags {
            self.insert(key, value);
        }
    }
}

impl FromIterator<(String, String)> for Tags {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(tags: I) -> Self {
        let mut made = Self::new();
        made.extend(tags);
        made
    }
}

impl<const N: usize> From<[(String, String); N]> for Tags {
    fn from(tags: [(String, String); N]) -> Self {
        tags.into_iter().collect()
    }
}

impl<'a> IntoIterator for &'a Tags {
    type Item = (&'a String, &'a String);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl IntoIterator for Tags {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<(String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_vec().into_iter()
    }
}

/// As a map.
impl Serialize for Tags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Tags;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tags")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tags, A::Error> {
                let mut tags = Tags::new();
                while let Some((key, value)) = map.next_entry()? {
                    tags.insert(key, value);
                }
                Ok(tags)
            }
        }

        deserializer.deserialize_map(Map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_in_the_order_of_their_keys_and_have_none_twice() {
        let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let mut tags = Tags::from([("b", "1"), ("a", "2"), ("b", "3")].map(pair));
        let pairs = |tags: &Tags| -> Vec<(String, String)> { tags.clone().into_iter().collect() };
        assert_eq!(pairs(&tags), [("a", "2"), ("b", "3")].map(pair));
        assert_eq!(tags.insert("c".into(), "4".into()), None);
        assert_eq!(tags.insert("c".into(), "5".into()).as_deref(), Some("4"));
        tags.remove("a");
        tags.retain(|_, value| value != "3");
        assert_eq!(tags.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["c"]);
        assert_eq!(tags.get("c").map(String::as_str), Some("5"));
        assert!(tags.contains_key("c") && !tags.contains_key("a"));
        assert_eq!((tags.len(), tags.is_empty()), (1, false));
        tags.clear();
        assert!(tags.is_empty());
    }
}
