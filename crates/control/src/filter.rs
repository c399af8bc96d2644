//! Filters of the Describe operations (API-9), applied to what would be answered.

use gureum_api::{ApiError, ec2};

use crate::call::Answer;

/// The values of an item under a filter's name.
type Values<T> = fn(&T) -> Vec<String>;

/// The filters that an operation has besides those for tags, which every kind has.
pub(crate) type Fields<T> = [(&'static str, Values<T>)];

/// How many values all filters of a request may have together.
const MAX_VALUES: usize = 200;

/// How an item's tags are read; none where a kind has no tags.
pub(crate) type TagsOf<T> = Option<fn(&T) -> &[ec2::Tag]>;

/// Refuses filters that the operation does not have, also when there is nothing to filter.
pub(crate) fn check<T>(filters: &[ec2::Filter], fields: &Fields<T>, tags: TagsOf<T>) -> Answer<()> {
    if filters.iter().map(|filter| filter.values.len()).sum::<usize>() > MAX_VALUES {
        return Err(ApiError::new(
            "FilterLimitExceeded",
            "The maximum number of filter values specified on a single call is 200.",
        ));
    }
    for (number, filter) in filters.iter().enumerate() {
        let number = number + 1;
        let name = filter.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            return Err(ApiError::missing_parameter(&format!("Filter.{number}.Name")));
        }
        if filter.values.is_empty() {
            return Err(ApiError::missing_parameter(&format!("Filter.{number}.Value")));
        }
        let of_tags = name.starts_with("tag:") || matches!(name, "tag-key" | "tag-value");
        let known = fields.iter().any(|(field, _)| *field == name);
        if !(known || of_tags && tags.is_some()) {
            return Err(ApiError::invalid_filter(name));
        }
    }
    Ok(())
}

/// Whether every filter has a value that matches the item. The filters are checked.
pub(crate) fn passes<T>(
    item: &T,
    filters: &[ec2::Filter],
    fields: &Fields<T>,
    tags: TagsOf<T>,
) -> bool {
    filters.iter().all(|filter| {
        let name = filter.name.as_deref().unwrap_or_default();
        let wanted = |value: &str| filter.values.iter().any(|pattern| matches(pattern, value));
        if let Some((_, values)) = fields.iter().find(|(field, _)| *field == name) {
            return values(item).iter().any(|value| wanted(value));
        }
        let Some(tags) = tags else { return false };
        let value = |tag: &ec2::Tag| tag.value.as_deref().is_some_and(wanted);
        match name.strip_prefix("tag:") {
            Some(key) => tags(item).iter().any(|it| it.key.as_deref() == Some(key) && value(it)),
            None if name == "tag-key" => {
                tags(item).iter().any(|tag| tag.key.as_deref().is_some_and(wanted))
            }
            None => tags(item).iter().any(value),
        }
    })
}

/// The items that pass all filters.
pub(crate) fn select<T>(
    mut items: Vec<T>,
    filters: &[ec2::Filter],
    fields: &Fields<T>,
    tags: TagsOf<T>,
) -> Answer<Vec<T>> {
    check(filters, fields, tags)?;
    items.retain(|item| passes(item, filters, fields, tags));
    Ok(items)
}

/// The texts that a filter asks for exactly; `None` where one of its values is a pattern.
pub(crate) fn literals(filter: &ec2::Filter) -> Option<&[String]> {
    let is_literal = |value: &String| !value.contains(['*', '?', '\\']);
    filter.values.iter().all(is_literal).then_some(&filter.values)
}

/// `*` is any text, `?` one character, `\` takes the meaning from the next.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on when the last `*` takes one character more.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match (pattern.get(p), text.get(t)) {
            (Some('*'), _) => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            (None, None) => return true,
            (Some('?'), Some(_)) => Some(1),
            (Some('\\'), Some(c)) => match pattern.get(p + 1) {
                Some(escaped) => (escaped == c).then_some(2),
                None => (*c == '\\').then_some(1),
            },
            (Some(literal), Some(c)) => (literal == c).then_some(1),
            _ => None,
        };
        match (step, retry) {
            (Some(width), _) => (p, t) = (p + width, t + 1),
            (None, Some((after, from))) if from < text.len() => {
                retry = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
            (None, _) => return false,
        }
    }
}

/// A value that may be absent, as a filter's values.
pub(crate) fn some(value: &Option<String>) -> Vec<String> {
    value.iter().cloned().collect()
}

/// A flag, as filters write it.
pub(crate) fn flag(value: Option<bool>) -> Vec<String> {
    value.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_match_as_documented() {
        for (pattern, text, expected) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a*c", "abbc", true),
            ("a*c", "ac", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("amzn2-ami-hvm-*-x86_64-gp2", "amzn2-ami-hvm-2.0.2021-x86_64-gp2", true),
            ("a\\*c", "a*c", true),
            ("a\\*c", "abc", false),
            ("*a*b*", "xxaxxbxx", true),
            ("ABC", "abc", false),
            ("가*", "가나다", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_matches_itself_and_its_own_gaps(text in "[a-z]{0,12}", cut in 0_usize..12) {
            prop_assert!(matches(&text, &text));
            let cut = cut.min(text.len());
            let pattern = format!("{}*{}", &text[..cut], &text[cut..]);
            prop_assert!(matches(&pattern, &text));
        }
    }
}
