//! Policy documents as they come in; what they mean is read in [`crate::iam::policy`].

/// A document's length as quotas count it: without white space.
pub(crate) fn size(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_not_counted() {
        assert_eq!(size("{ \"a\" :\n\t1 }"), 7);
    }
}
