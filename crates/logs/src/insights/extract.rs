//! What `parse` takes out of a text.

use std::ops::Range;

use memchr::memmem::Finder;
use regex::Regex;

/// How the pieces are found that `parse` names. They count from 1, as groups of a regex do.
#[derive(Clone, Debug)]
pub(super) enum Extraction {
    /// What stands between these texts, one after the other: `user=* status=*`.
    Glob(Vec<Finder<'static>>),
    /// What the groups of a regex match.
    Regex(Regex),
}

impl Extraction {
    /// Of a text in which each `*` is a piece.
    pub(super) fn glob(text: &str) -> Self {
        Self::Glob(text.split('*').map(|it| Finder::new(it).into_owned()).collect())
    }

    /// Tells all pieces of a text, some perhaps also where it does not match as a whole. Whether it
    /// does.
    pub(super) fn find(&self, text: &str, mut tell: impl FnMut(usize, Range<usize>)) -> bool {
        match self {
            // Every piece is as short as can be: a longer one would leave less to the others.
            Self::Glob(parts) => {
                let Some((first, parts)) = parts.split_first() else { return true };
                let Some(at) = first.find(text.as_bytes()) else { return false };
                let mut place = at + first.needle().len();
                for (number, part) in (1..).zip(parts) {
                    let is_last = number == parts.len();
                    let rest = text.as_bytes().get(place..).unwrap_or_default();
                    let length = match part.needle() {
                        // What is behind the last star goes to the end.
                        [] if is_last => rest.len(),
                        needle => match find(needle, part, rest) {
                            Some(at) => at,
                            None => return false,
                        },
                    };
                    tell(number, place..place + length);
                    place += length + part.needle().len();
                }
                true
            }
            Self::Regex(regex) => {
                let Some(found) = regex.captures(text) else { return false };
                for (number, group) in found.iter().enumerate().skip(1) {
                    if let Some(group) = group {
                        tell(number, group.range());
                    }
                }
                true
            }
        }
    }
}

/// Most parts are one space, and what is before it short.
fn find(needle: &[u8], finder: &Finder<'_>, text: &[u8]) -> Option<usize> {
    match needle {
        [byte] => memchr::memchr(*byte, text),
        _ => finder.find(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(extraction: &Extraction, text: &str) -> Option<Vec<String>> {
        let mut found = Vec::new();
        let matches = extraction.find(text, |number, range| {
            assert_eq!(number, found.len() + 1);
            found.push(text[range].to_owned());
        });
        matches.then_some(found)
    }

    /// What a glob means: the same as a regex.
    fn twin(glob: &str) -> Extraction {
        let parts: Vec<_> = glob.split('*').map(regex::escape).collect();
        let end = if glob.ends_with('*') { "$" } else { "" };
        Extraction::Regex(Regex::new(&format!("(?s){}{end}", parts.join("(.*?)"))).expect("valid"))
    }

    #[test]
    fn a_glob_finds_what_is_between_its_parts() {
        for (glob, text, expected) in [
            ("* *", "a b c", Some(&["a", "b c"][..])),
            ("user=* status=* ", "x user=kim status=404 y", Some(&["kim", "404"])),
            ("[*] *", "2024 [INFO] hi [x]", Some(&["INFO", "hi [x]"])),
            ("a*", "no", None),
            ("*x", "no", None),
            ("**b", "ab", Some(&["", "a"])),
            ("*", "가\n나", Some(&["가\n나"])),
        ] {
            let found = pieces(&Extraction::glob(glob), text);
            let expected: Option<Vec<_>> =
                expected.map(|it| it.iter().map(|it| (*it).to_owned()).collect());
            assert_eq!(found, expected, "{glob}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_glob_is_a_regex(glob in "[ab *가]{1,8}", text in "[ab 가\n]{0,12}") {
            proptest::prop_assert_eq!(
                pieces(&Extraction::glob(&glob), &text),
                pieces(&twin(&glob), &text)
            );
        }
    }
}
