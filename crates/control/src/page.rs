//! Pages of the Describe operations (API-7): a token names the last item shown.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gureum_api::ApiError;

use crate::call::Answer;

/// What tells our tokens from others.
const MARK: &str = "1:";

/// The id that a token names: the next page comes after it.
pub(crate) fn after(next_token: &Option<String>) -> Answer<Option<String>> {
    match next_token.as_deref().filter(|token| !token.is_empty()) {
        Some(token) => read(token).map(Some).ok_or_else(ApiError::invalid_next_token),
        None => Ok(None),
    }
}

/// How many items a page has.
pub(crate) fn size(max_results: i32) -> usize {
    usize::try_from(max_results).unwrap_or(0).max(1)
}

/// The token of the page after the item with an id.
pub(crate) fn token(id: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{MARK}{id}"))
}

/// One page of `items`, which come in the order of their `id`, and the token of the next.
/// Without `max_results` a page is everything that is left.
pub(crate) fn page<T>(
    items: Vec<T>,
    max_results: Option<i32>,
    next_token: &Option<String>,
    id: impl Fn(&T) -> Option<&str>,
) -> Answer<(Vec<T>, Option<String>)> {
    let mut rest: Vec<T> = match after(next_token)? {
        Some(after) => items.into_iter().filter(|item| id(item) > Some(after.as_str())).collect(),
        None => items,
    };
    let size = match max_results {
        None => return Ok((rest, None)),
        Some(max_results) => size(max_results),
    };
    if rest.len() <= size {
        return Ok((rest, None));
    }
    rest.truncate(size);
    let next = rest.last().and_then(&id).map(token);
    Ok((rest, next))
}

/// As [`page`] for items in any order: the token finds the last one shown by its name.
pub(crate) fn page_behind<T>(
    items: Vec<T>,
    size: usize,
    next_token: &Option<String>,
    id: impl Fn(&T) -> &str,
) -> Answer<(Vec<T>, Option<String>)> {
    let begin = match after(next_token)? {
        Some(last) => {
            let found = items.iter().position(|item| id(item) == last);
            found.ok_or_else(ApiError::invalid_next_token)? + 1
        }
        None => 0,
    };
    let more = items.len() > begin.saturating_add(size);
    let shown: Vec<T> = items.into_iter().skip(begin).take(size).collect();
    let next = shown.last().filter(|_| more).map(|item| token(id(item)));
    Ok((shown, next))
}

fn read(token: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    text.strip_prefix(MARK).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_everything_once() {
        let all: Vec<String> = (0..23).map(|number| format!("{number:02}")).collect();
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let (items, next) =
                page(all.clone(), Some(5), &token, |item| Some(item.as_str())).expect("a page");
            assert!(items.len() <= 5);
            seen.extend(items);
            if next.is_none() {
                break;
            }
            token = next;
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn a_token_of_someone_else_is_refused() {
        let token = Some("bm90IG91cnM".to_owned());
        let error = page(vec!["a".to_owned()], None, &token, |_| Some("a")).expect_err("not ours");
        assert_eq!(error.code, "InvalidNextToken");
    }
}
