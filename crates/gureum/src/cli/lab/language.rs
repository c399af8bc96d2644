//! The languages of labs: texts in each of them, and the few words of the runner itself.

use std::env;

use clap::ValueEnum;
use serde::Deserialize;

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// English
    En,
    /// 한국어
    Ko,
}

impl Language {
    /// What the caller's locale says; English where it says nothing we know.
    pub(super) fn of_caller() -> Self {
        let set = |name: &&str| env::var(name).ok().filter(|value| !value.is_empty());
        Self::of_locale(["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(set).as_deref())
    }

    fn of_locale(locale: Option<&str>) -> Self {
        match locale {
            Some(locale) if locale.starts_with("ko") => Self::Ko,
            _ => Self::En,
        }
    }
}

/// A text in each language.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    en: String,
    ko: String,
}

impl Text {
    /// The text in a language.
    pub(super) fn text(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Ko => &self.ko,
        }
    }

    /// Whether a language is missing.
    pub(super) fn is_incomplete(&self) -> bool {
        self.en.trim().is_empty() || self.ko.trim().is_empty()
    }
}

/// What the runner says by itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    Clean,
    Resume,
    NotBegun,
    Expected,
    MoreLines,
    Passed,
    Failed,
    NotDone,
    TryNext,
}

impl Word {
    /// The word in a language.
    pub(super) fn text(self, language: Language) -> &'static str {
        use Language::{En, Ko};
        match (self, language) {
            (Self::Clean, En) => "Deleting what a former run built",
            (Self::Clean, Ko) => "이전 실행이 만든 것을 지웁니다",
            (Self::Resume, En) => "Finding what earlier tasks built",
            (Self::Resume, Ko) => "앞선 과제가 만든 것을 찾습니다",
            (Self::NotBegun, En) => "The lab was not begun",
            (Self::NotBegun, Ko) => "랩을 시작하지 않았습니다",
            (Self::Expected, En) => "expected",
            (Self::Expected, Ko) => "기대한 결과",
            (Self::MoreLines, En) => "more lines",
            (Self::MoreLines, Ko) => "줄 더",
            (Self::Passed, En) => "passed",
            (Self::Passed, Ko) => "통과",
            (Self::Failed, En) => "failed",
            (Self::Failed, Ko) => "실패",
            (Self::NotDone, En) => "not done",
            (Self::NotDone, Ko) => "미실행",
            (Self::TryNext, En) => "Try next:",
            (Self::TryNext, Ko) => "다음으로 해 볼 것:",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn korean_locales_get_korean() {
        assert_eq!(Language::of_locale(Some("ko_KR.UTF-8")), Language::Ko);
        assert_eq!(Language::of_locale(Some("en_US.UTF-8")), Language::En);
        assert_eq!(Language::of_locale(Some("C")), Language::En);
        assert_eq!(Language::of_locale(None), Language::En);
    }
}
