//! Patterns with `*` and `?`, and the variables in them.

/// One place of a pattern whose variables are filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// Any number of characters.
    Star,
    /// One character.
    Any,
    Char(char),
}

/// Tells the value of a policy variable, by its key in lower case.
pub(crate) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A pattern as it holds for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Token>);

impl Pattern {
    /// Fills in the variables, if the document's version has any; none when one of them is not known. What they are filled with is
    /// taken literally, its asterisks too.
    pub(crate) fn filled(text: &str, variables: Option<Variables<'_>>) -> Option<Self> {
        let mut tokens = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if let Some(variables) = variables
                && let Some((name, after)) =
                    rest.strip_prefix("${").and_then(|it| it.split_once('}'))
            {
                match name {
                    "*" | "?" | "$" => tokens.extend(name.chars().map(Token::Char)),
                    name => tokens.extend(value(name, variables)?.chars().map(Token::Char)),
                }
                rest = after;
                continue;
            }
            tokens.push(match character {
                '*' => Token::Star,
                '?' => Token::Any,
                other => Token::Char(other),
            });
            rest = &rest[character.len_utf8()..];
        }
        Some(Self(tokens))
    }

    /// The same with every asterisk and question mark as a plain character.
    pub(crate) fn literal(self) -> Self {
        let plain = |token| match token {
            Token::Star => Token::Char('*'),
            Token::Any => Token::Char('?'),
            other => other,
        };
        Self(self.0.into_iter().map(plain).collect())
    }

    /// Whether the whole text is as the pattern says.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        matches(&self.0, &text, |a, b| a == b)
    }

    /// The same, whatever the case of letters.
    pub(crate) fn matches_any_case(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        matches(&self.0, &text, |a, b| a.to_lowercase().eq(b.to_lowercase()))
    }

    /// Whether an ARN is as the pattern says, part by part: no asterisk reaches over a colon but in
    /// the last of the six parts.
    pub(crate) fn matches_arn(&self, text: &str) -> bool {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let patterns: Vec<&[Token]> =
            self.0.splitn(6, |token| *token == Token::Char(':')).collect();
        if patterns.len() == 1 && patterns[0] == [Token::Star] {
            return true;
        }
        parts.len() == 6
            && patterns.len() == 6
            && parts.iter().zip(patterns).all(|(part, pattern)| {
                let part: Vec<char> = part.chars().collect();
                matches(pattern, &part, |a, b| a == b)
            })
    }
}

/// `key`, or `key, 'default'`.
fn value(name: &str, variables: Variables<'_>) -> Option<String> {
    let (key, default) = match name.split_once(',') {
        Some((key, default)) => (key, Some(default.trim().trim_matches('\''))),
        None => (name, None),
    };
    variables(&key.trim().to_ascii_lowercase()).or_else(|| default.map(str::to_owned))
}

/// In time that is the product of both lengths at most: a star that turns out too short grows by
/// one, and only the last star is ever asked to.
fn matches(pattern: &[Token], text: &[char], same: fn(char, char) -> bool) -> bool {
    let (mut at, mut place) = (0, 0);
    let mut star = None;
    while place < text.len() {
        match pattern.get(at) {
            Some(Token::Star) => {
                star = Some((at, place));
                at += 1;
            }
            Some(Token::Any) => (at, place) = (at + 1, place + 1),
            Some(Token::Char(character)) if same(*character, text[place]) => {
                (at, place) = (at + 1, place + 1);
            }
            _ => match &mut star {
                Some((behind, from)) => {
                    *from += 1;
                    (at, place) = (*behind + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|token| *token == Token::Star)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(pattern: &str) -> Pattern {
        Pattern::filled(pattern, None).expect("no variables")
    }

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abbbc", true),
            ("a*c", "abbbcd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*ab*ab", "abxabab", true),
            ("ec2:Describe*", "ec2:DescribeVpcs", true),
            ("한*", "한글", true),
        ] {
            assert_eq!(plain(pattern).matches(text), expected, "{pattern} {text}");
        }
        assert!(plain("EC2:*").matches_any_case("ec2:CreateVpc"));
        assert!(!plain("EC2:*").matches("ec2:CreateVpc"));
        let hostile = "*a".repeat(500);
        assert!(!plain(&hostile).matches(&"a".repeat(5000).replace("aaaa", "aaab")[..499]));
    }

    #[test]
    fn variables_are_literal_text() {
        let known = |key: &str| (key == "aws:username").then(|| "a*b".to_owned());
        let filled = |text| Pattern::filled(text, Some(&known));
        let pattern = filled("home/${aws:username}/*").expect("it is known");
        assert!(pattern.matches("home/a*b/x"));
        assert!(!pattern.matches("home/axb/x"));
        assert_eq!(filled("${aws:other}"), None);
        assert!(filled("${aws:other, 'x'}").expect("a default").matches("x"));
        assert!(filled("a${*}").expect("a star").matches("a*"));
        assert!(!filled("a${*}").expect("a star").matches("ab"));
        assert!(plain("${aws:username}").matches("${aws:username}"), "of the old version");
        assert!(filled("${open").expect("no variable").matches("${open"));
    }

    #[test]
    fn an_arn_is_compared_part_by_part() {
        let arn = "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-1";
        assert!(plain("arn:aws:ec2:*:*:vpc/*").matches_arn(arn));
        assert!(plain("*").matches_arn(arn));
        assert!(!plain("arn:*").matches_arn(arn));
        assert!(!plain("arn:aws:ec2:*:vpc/*").matches_arn(arn));
        assert!(
            plain("arn:aws:logs:*:*:log-group:*").matches_arn("arn:aws:logs:r:1:log-group:a:b")
        );
    }
}
