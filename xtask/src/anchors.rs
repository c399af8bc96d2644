//! Which facts about AWS (`models/anchors.toml`) a test shows.
//!
//! A test cites an anchor inside the test function, in its attributes or in the comments right
//! above it; a check of a lab in its list of `anchors`. A citation in a fixture, in the head of a
//! file or in the code itself counts for nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// A line of the list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Supported(String),
    Other { text: String, reason: Option<String>, by: Option<String> },
}

/// An anchor with what is known about it.
#[derive(Debug, PartialEq, Serialize)]
struct Anchor {
    anchor: String,
    text: String,
    /// `shown`, `missing`, `elsewhere`, or `not-supported`.
    state: &'static str,
    /// Why no test is needed.
    reason: Option<String>,
    /// `file:line` of what shows it.
    tests: Vec<String>,
}

/// How the answer is printed.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Prints the list; with `check`, fails where a supported anchor has no test or a cited one is
/// not in the list.
pub(crate) fn run(root: &Path, check: bool, output: Output) -> Result<(), String> {
    let path = root.join("models/anchors.toml");
    let lines = parse(&read(&path)?).map_err(|e| format!("{}: {e}", path.display()))?;
    let citations = citations(root)?;
    let families: BTreeSet<&str> = lines.iter().map(|(anchor, _)| family(anchor)).collect();
    let known: BTreeSet<&str> = lines.iter().map(|(anchor, _)| anchor.as_str()).collect();
    // Anchors of the other chapters (operations, records) are cited too; they are not this list's.
    let everything = numbers(&read(&root.join("models/anchors-elsewhere.txt"))?);
    let unknown: Vec<String> = citations
        .iter()
        .filter(|(anchor, _)| families.contains(family(anchor)))
        .filter(|(anchor, _)| !known.contains(anchor.as_str()) && !everything.contains(*anchor))
        .map(|(anchor, places)| format!("{anchor} is cited, and no such anchor: {}", places[0]))
        .collect();
    let anchors: Vec<Anchor> =
        lines.into_iter().map(|(at, line)| judge(at, line, &citations)).collect();
    match output {
        Output::Table => print_table(&anchors),
        Output::Json => {
            println!("{}", serde_json::to_string_pretty(&anchors).map_err(|e| e.to_string())?);
        }
    }
    let mut problems = unknown;
    problems.extend(
        anchors
            .iter()
            .filter(|anchor| anchor.state == "missing")
            .map(|anchor| format!("{} has no test: {}", anchor.anchor, anchor.text)),
    );
    let idle: Vec<String> = anchors
        .iter()
        .filter(|anchor| anchor.state == "not-supported" && !anchor.tests.is_empty())
        .map(|anchor| {
            format!("{} is not supported, and has a test: {}", anchor.anchor, anchor.tests[0])
        })
        .collect();
    problems.extend(idle);
    if check && !problems.is_empty() {
        return Err(format!("anchors:\n  {}", problems.join("\n  ")));
    }
    if !check {
        for problem in &problems {
            eprintln!("anchors: {problem}");
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn family(anchor: &str) -> &str {
    anchor.split('-').next().unwrap_or(anchor)
}

/// The number of an anchor, for the order.
fn number(anchor: &str) -> u32 {
    anchor.split('-').nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn parse(text: &str) -> Result<Vec<(String, Line)>, String> {
    let families: BTreeMap<String, BTreeMap<String, Line>> =
        toml::from_str(text).map_err(|e| e.to_string())?;
    let mut lines: Vec<(String, Line)> = families
        .into_iter()
        .flat_map(|(family, lines)| {
            lines.into_iter().map(move |(number, line)| (format!("{family}-{number}"), line))
        })
        .collect();
    lines.sort_by(|(a, _), (b, _)| (family(a), number(a)).cmp(&(family(b), number(b))));
    Ok(lines)
}

/// Anchors of a list like `CIDR 1-14`, a chapter a line.
fn numbers(text: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let Some(family) = words.next() else { continue };
        for range in words {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
                all.extend((first..=last).map(|number| format!("{family}-{number}")));
            }
        }
    }
    all
}

fn judge(anchor: String, line: Line, citations: &BTreeMap<String, Vec<String>>) -> Anchor {
    let tests = citations.get(&anchor).cloned().unwrap_or_default();
    let (text, reason, elsewhere) = match line {
        Line::Supported(text) => (text, None, None),
        Line::Other { text, reason, by } => (text, reason, by),
    };
    let state = match (&reason, &elsewhere) {
        (Some(_), _) => "not-supported",
        (None, _) if !tests.is_empty() => "shown",
        (None, Some(_)) => "elsewhere",
        (None, None) => "missing",
    };
    Anchor { anchor, text, state, reason: reason.or(elsewhere), tests }
}

fn print_table(anchors: &[Anchor]) {
    for Anchor { anchor, text, state, reason, tests } in anchors {
        println!("{anchor:<9} {state:<14} {text}");
        match (tests.as_slice(), reason) {
            (_, Some(reason)) => println!("{:25}{reason}", ""),
            ([], None) => {}
            ([first], None) => println!("{:25}{first}", ""),
            ([first, rest @ ..], None) => println!("{:25}{first} and {} more", "", rest.len()),
        }
    }
    let count = |state| anchors.iter().filter(|anchor| anchor.state == state).count();
    println!(
        "{} anchors: {} shown by tests, {} without a test, {} follow from others, {} not supported",
        anchors.len(),
        count("shown"),
        count("missing"),
        count("elsewhere"),
        count("not-supported"),
    );
}

/// What is cited, and where.
fn citations(root: &Path) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut files = Vec::new();
    for folder in ["crates", "tests", "labs"] {
        walk(&root.join(folder), &mut files)?;
    }
    files.sort();
    for path in files {
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let text = read(&path)?;
        let places = match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => in_tests(&text),
            _ => in_lab(&text),
        };
        for (anchor, line) in places {
            let place = format!("{shown}:{line}");
            let known = found.entry(anchor).or_default();
            if !known.contains(&place) {
                known.push(place);
            }
        }
    }
    Ok(found)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if matches!(path.extension().and_then(|e| e.to_str()), Some("rs" | "yaml" | "toml"))
            && path.file_name().is_none_or(|name| name != "Cargo.toml")
        {
            files.push(path);
        }
    }
    Ok(())
}

/// The anchors in the lists of a lab's checks.
fn in_lab(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim_start().trim_start_matches("- ");
        if line.starts_with("anchors:") || line.starts_with("anchors =") {
            found.extend(anchors_of(line).map(|anchor| (anchor, number)));
        }
    }
    found
}

/// The anchors that the test functions of a Rust file cite.
fn in_tests(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    // Comments and attributes since the last line that was neither: they belong to what follows.
    let mut above: Vec<(String, usize)> = Vec::new();
    let (mut is_test, mut until) = (false, None::<String>);
    for (line, number) in text.lines().zip(1..) {
        let trimmed = line.trim_start();
        let cited = anchors_of(line).map(|anchor| (anchor, number));
        if let Some(end) = &until {
            found.extend(cited);
            // Formatted code closes a function at the column where it began.
            if line == end {
                until = None;
            }
            continue;
        }
        if trimmed.starts_with("//") || trimmed.starts_with("#[") {
            is_test |= trimmed.starts_with("#[test]") || trimmed.starts_with("#[tokio::test");
            above.extend(cited);
        } else if is_test && is_function(trimmed) {
            found.append(&mut above);
            found.extend(cited);
            is_test = false;
            let indent = &line[..line.len() - trimmed.len()];
            until = (!line.trim_end().ends_with('}')).then(|| format!("{indent}}}"));
        } else if !(is_test && continues_attribute(trimmed)) {
            above.clear();
            is_test = false;
        }
    }
    found
}

fn is_function(line: &str) -> bool {
    ["fn ", "async fn ", "pub fn ", "pub(crate) fn "].iter().any(|start| line.starts_with(start))
}

/// Lines of an attribute that takes several, as rustfmt lays it out.
fn continues_attribute(line: &str) -> bool {
    line.starts_with(')') || line.starts_with(']') || line.ends_with(',')
}

/// The anchors in a line: `NAT-12`, also `nat_12` in the name of a function.
fn anchors_of(line: &str) -> impl Iterator<Item = String> {
    const FAMILIES: [&str; 33] = [
        "PIPE", "SG", "SGT", "NACL", "CIDR", "SUB", "RT", "IGW", "PUB", "EIP", "EIGW", "NAT",
        "ENI", "SDC", "L2", "MTU", "DNS", "DHCP", "IMDS", "PEER", "TGW", "NFW", "GWLB", "TM", "PL",
        "LAB", "FL", "VPCE", "EC2", "API", "SSM", "RA", "SHR",
    ];
    let mut found = Vec::new();
    for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
        let Some((family, number)) = word.split_once('-') else { continue };
        let digits = number.trim_end_matches(|c: char| c.is_ascii_lowercase());
        if FAMILIES.contains(&family) && is_number(digits) {
            found.push(format!("{family}-{digits}"));
        }
    }
    if line.contains("fn ") {
        let upper = line.to_ascii_uppercase();
        let words: Vec<&str> = upper.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let pairs = words.windows(2);
        let cited = pairs.filter(|two| FAMILIES.contains(&two[0]) && is_number(two[1]));
        found.extend(cited.map(|two| two.join("-")));
    }
    found.into_iter()
}

fn is_number(text: &str) -> bool {
    (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: Vec<(String, usize)>) -> Vec<String> {
        found.into_iter().map(|(anchor, line)| format!("{anchor}@{line}")).collect()
    }

    #[test]
    fn only_tests_and_what_stands_right_above_them_cite() {
        let text = "//! A file about SG-1.\n\
                    \n\
                    /// A fixture for SG-2.\n\
                    fn fixture() {\n\
                    \x20   // SG-3\n\
                    }\n\
                    \n\
                    /// What NAT-12 says.\n\
                    #[test]\n\
                    fn a_test_of_rt_12() {\n\
                    \x20   // (SGT-5, IMDS-11a)\n\
                    }\n\
                    // SG-4\n\
                    const A: u8 = 1;\n";
        assert_eq!(names(in_tests(text)), ["NAT-12@8", "RT-12@10", "SGT-5@11", "IMDS-11@11"]);
    }

    #[test]
    fn what_looks_like_an_anchor_is_none() {
        let text = "#[test]\nfn a() {\n    // UTF-8, 10.1.1.0-24, PUBLIC-01, EC2-198\n}\n";
        assert_eq!(names(in_tests(text)), [""; 0]);
    }

    #[test]
    fn labs_cite_in_their_lists() {
        let text = "title: about SG-1\n  anchors: [LAB-6, NAT-10]\n  - anchors: [RT-2]\n";
        assert_eq!(names(in_lab(text)), ["LAB-6@2", "NAT-10@2", "RT-2@3"]);
    }

    #[test]
    fn an_anchor_is_shown_missing_or_explained() {
        let lines = parse(
            "[NAT]\n2 = { text = 'b', reason = 'why' }\n1 = 'a'\n\
             [SG]\n9 = { text = 'c', by = 'SG-8' }\n10 = 'd'\n",
        );
        let citations = BTreeMap::from([("SG-10".to_owned(), vec!["x.rs:1".to_owned()])]);
        let judged: Vec<_> = lines
            .expect("lines")
            .into_iter()
            .map(|(at, line)| judge(at, line, &citations))
            .map(|anchor| (anchor.anchor, anchor.state))
            .collect();
        let expected = [
            ("NAT-1", "missing"),
            ("NAT-2", "not-supported"),
            ("SG-9", "elsewhere"),
            ("SG-10", "shown"),
        ];
        assert_eq!(judged, expected.map(|(anchor, state)| (anchor.to_owned(), state)));
    }

    #[test]
    fn lists_of_numbers_are_ranges() {
        let all = numbers("# about\nSG 1-3 7\nRT 5\n");
        assert_eq!(Vec::from_iter(all), ["RT-5", "SG-1", "SG-2", "SG-3", "SG-7"]);
    }
}
