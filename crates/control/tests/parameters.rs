//! What the operations' tables say of a parameter, held against the handlers' sources: whoever names a
//! parameter as obeyed or recorded must at least look at it. A value that is accepted and then
//! forgotten shows as endless drift in Terraform.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Looked at by nobody, and why that is what AWS does.
const VACUOUS: &[(&str, &str)] = &[
    ("AllAvailabilityZones", "there are no zones that are not opted into"),
    ("AllRegions", "there are no regions that are not opted into"),
    ("AvailabilityZone of UpdateInstanceInformation", "the service knows it better than an agent"),
    ("AvailabilityZoneId of UpdateInstanceInformation", "as the zone's name"),
    ("AgentStatus", "an agent that speaks is active"),
    ("SSMConnectionChannel", "there is one"),
    ("DestinationRegion", "for the signature of a presigned URL, which is where the request goes"),
    (
        "PresignedUrl",
        "only for encrypted snapshots of other regions, which AWS asks the caller for",
    ),
    ("ExternalId", "a condition of the role's trust policy: the authoriser compares it"),
    ("Force of DeleteNetworkInterfacePermission", "a permission is never in use here"),
    ("Force of DetachVolume", "no device that could be busy appears in an instance"),
    ("IncludeDeprecated", "no image is deprecated"),
    ("IncludeDisabled", "no image is disabled"),
    ("IncludeManagedResources", "no resource is managed by another service"),
    ("IncludeUnsupportedInRegion", "all types are in all regions"),
    ("Interleaved", "ignored by AWS: events are always interleaved"),
    ("MaxDrainDurationSeconds", "no connection outlives its address: none is waited for"),
    ("SkipTunnelReplacement", "no tunnel is up that a replacement would interrupt"),
    ("WakeUp", "an instance without a screen has none to wake"),
    ("ActivationCode", "no activation exists: whoever names one is refused"),
    ("IamRole", "of an activation"),
    ("PublicKey", "an agent signs with its role's credentials, not with its own key"),
    ("PublicKeyType", "every key that an agent makes is of RSA"),
];

/// One line of a table.
struct Entry {
    operation: String,
    /// Where its handler is, as the table calls it.
    module: String,
    parameters: Vec<String>,
}

fn entries(table: &str) -> Vec<Entry> {
    let body = table.split_once("operations! {").expect("a table").1;
    let body = body.split_once("\n}").expect("its end").0;
    let entry = |text: &str| {
        let (operation, rest) = text.split_once(": ")?;
        let (_how, rest) = rest.split_once(' ')?;
        let (handler, lists) = rest.split_once(", obeyed")?;
        let module = handler.split("::").next()?;
        let parameters = lists.split('"').skip(1).step_by(2);
        Some(Entry {
            operation: operation.split_whitespace().last()?.to_owned(),
            module: module.to_owned(),
            parameters: parameters.map(str::to_owned).collect(),
        })
    };
    body.split(';').filter_map(entry).collect()
}

/// `CidrBlock` as `cidr_block`.
fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut made = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(at + 1);
        let begins = before.is_some_and(|it| !it.is_uppercase())
            || before.is_some() && after.is_some_and(|it| it.is_lowercase());
        if letter.is_uppercase() && begins {
            made.push('_');
        }
        made.extend(letter.to_lowercase());
    }
    made
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

fn words(files: &[&PathBuf]) -> BTreeSet<String> {
    let texts = files.iter().map(|file| fs::read_to_string(file).expect("a source"));
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut all = BTreeSet::new();
    for text in texts {
        all.extend(text.split(|c| !word(c)).map(str::to_owned));
    }
    all
}

#[test]
fn whatever_a_table_names_is_looked_at_by_the_handler() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    sources(&root, &mut all);
    all.retain(|path| !path.starts_with(root.join("operation")));
    let everywhere = words(&all.iter().collect::<Vec<_>>());
    // Of all operations, and done by what they share.
    let shared = ["client_token", "filters", "filter", "max_results", "next_token", "max_items"];
    let mut looked_at = 0;
    let mut forgotten = Vec::new();
    let mut excused = BTreeSet::new();
    for service in ["ec2", "iam", "logs", "ssm", "sts"] {
        let table = root.join(format!("operation/{service}.rs"));
        let table = fs::read_to_string(table).expect("a table");
        let entries = entries(&table);
        assert!(entries.len() > 5, "{service}: {} entries", entries.len());
        for entry in entries {
            let renamed = table.split(&format!(" as {}", entry.module)).next();
            let renamed = renamed
                .filter(|it| it.len() < table.len())
                .and_then(|it| it.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next());
            let module = renamed.unwrap_or(&entry.module);
            let own: Vec<_> = (all.iter())
                .filter(|path| {
                    let path = path.strip_prefix(&root).expect("below").with_extension("");
                    path.iter().any(|part| part == module)
                })
                .collect();
            let own = if own.is_empty() { None } else { Some(words(&own)) };
            let own = own.as_ref().unwrap_or(&everywhere);
            for part in entry.parameters.iter().flat_map(|it| it.split('.')) {
                let name = snake(part);
                let capital = part[..1].to_uppercase() + &part[1..];
                let here = format!("{capital} of {}", entry.operation);
                let why = VACUOUS.iter().find(|it| it.0 == capital || it.0 == here);
                if own.contains(&name) || shared.contains(&&*name) {
                    looked_at += 1;
                } else if let Some(why) = why {
                    excused.insert(why.0);
                } else {
                    forgotten.push(format!("{here} ({module})"));
                }
            }
        }
    }
    assert!(forgotten.is_empty(), "named by a table, read by no handler: {forgotten:#?}");
    assert!(
        looked_at > 900,
        "only {looked_at} parameters were found: the sources are not read right"
    );
    let idle: Vec<_> = VACUOUS.iter().filter(|it| !excused.contains(it.0)).collect();
    assert!(idle.is_empty(), "excused without need: {idle:?}");
}
