//! What an import did, in words: what is not as in the original comes first.

use gureum_control::Imported;

/// Lines of a kind that are printed before it is only said how many more there are. What decides
/// about packets is always printed.
const SHOWN: usize = 12;

fn part(text: &mut String, head: &str, lines: &[String], most: usize) {
    if lines.is_empty() {
        return;
    }
    *text += &format!("{head} ({}):\n", lines.len());
    for line in lines.iter().take(most) {
        *text += &format!("  {line}\n");
    }
    if lines.len() > most {
        *text += &format!("  … and {} more (--json shows all)\n", lines.len() - most);
    }
    *text += "\n";
}

/// The report.
pub(super) fn text(imported: &Imported) -> String {
    let mut text = String::new();
    let head = "NOT AS IN THE ORIGINAL: packets may fare otherwise";
    part(&mut text, head, &imported.unsupported, usize::MAX);
    part(&mut text, "replaced", &imported.replaced, SHOWN);
    part(&mut text, "notes", &imported.notes, SHOWN);
    let differences: Vec<_> =
        imported.differences.iter().map(|(path, count)| format!("{path}: {count}")).collect();
    part(&mut text, "members that describe calls show otherwise here", &differences, SHOWN);
    text += &format!("made in account {} region {}:", imported.account, imported.region);
    let counts = imported.counts.iter().map(|(key, count)| format!(" {key} {count}"));
    text += &counts.collect::<Vec<_>>().join(",");
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_in_the_original_comes_first_and_whole() {
        let imported = Imported {
            region: "ap-northeast-2".into(),
            counts: vec![("Vpcs".into(), 1)],
            unsupported: (0..40).map(|number| format!("tgw-{number}")).collect(),
            notes: (0..40).map(|number| format!("note {number}")).collect(),
            ..Imported::default()
        };
        let text = text(&imported);
        assert!(text.starts_with("NOT AS IN THE ORIGINAL: packets may fare otherwise (40):\n"));
        assert!(text.contains("tgw-39"), "all of them");
        assert!(!text.contains("note 39") && text.contains("… and 28 more"));
        assert!(text.ends_with("region ap-northeast-2: Vpcs 1\n"), "{text}");
    }
}
