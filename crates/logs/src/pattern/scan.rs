//! A cursor over the text of a pattern.

use super::PatternError;

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    /// Takes a text if it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes a word without regard to case if it comes next and ends there.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let Some((head, tail)) = self.rest.split_at_checked(word.len()) else { return false };
        let ends = tail.chars().next().is_none_or(|c| !c.is_alphanumeric());
        if !head.eq_ignore_ascii_case(word) || !ends {
            return false;
        }
        self.rest = tail;
        true
    }

    /// Takes what comes before the first character that `ends` says.
    pub(super) fn take_until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let at = self.rest.find(ends).unwrap_or(self.rest.len());
        let (head, tail) = self.rest.split_at(at);
        self.rest = tail;
        head
    }

    /// Takes a quoted text, whose opening quote comes next. A backslash takes the meaning of what
    /// follows.
    pub(super) fn quoted(&mut self) -> Result<String, PatternError> {
        let quote = self.next();
        let mut text = String::new();
        while let Some(c) = self.next() {
            match c {
                '\\' => text.extend(self.next()),
                c if Some(c) == quote => return Ok(text),
                c => text.push(c),
            }
        }
        Err(PatternError("Invalid filter pattern: a quote is not closed".to_owned()))
    }

    /// Takes `%regex%`, whose opening `%` comes next.
    pub(super) fn regex(&mut self) -> Result<regex::Regex, PatternError> {
        self.next();
        let text = self.take_until(|c| c == '%');
        if self.next().is_none() {
            return Err(PatternError("Invalid filter pattern: a regex is not closed".to_owned()));
        }
        regex::RegexBuilder::new(text)
            .size_limit(1 << 20)
            .build()
            .map_err(|_| PatternError(format!("Invalid regex in filter pattern: '{text}'")))
    }
}
