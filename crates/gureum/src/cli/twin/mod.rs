//! `gureum export` and `gureum import`: networks as the answers of describe calls.

mod configuration;
mod plan;
mod report;

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use gureum_control::{ImportOptions, Imported};
use gureum_types::{AccountId, Region, record::Scope};
use serde_json::Value;

use super::{
    client::{Daemon, unexpected},
    output,
};
use crate::{
    admin::{Reply, Request, TwinReply, TwinRequest},
    failure::Failure,
};

/// What one request to the daemon holds.
const LARGEST: usize = 60 << 20;
/// Reasons that are printed before it is only said how many more there are.
const REASONS: usize = 20;

/// The arguments of `gureum export`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The document has the keys of the AWS CLI's answers (Vpcs, Subnets, RouteTables …), and in each what the
describe call prints. Two of its keys are of calls that ask for one thing at a time: VpcAttributes
(describe-vpc-attribute) and PrefixListEntries (get-managed-prefix-list-entries). What was deleted and
is only shown a while longer is not in it.

Examples:
  gureum export > network.json
  gureum export --vpc IMD-VPC -o lab.json
  gureum export --account 123456789012 --region ap-northeast-2"
)]
pub(crate) struct ExportArgs {
    /// Only this VPC, by its id or Name tag, with what belongs to it
    #[arg(long, value_name = "VPC")]
    vpc: Option<String>,
    /// Whose network, where several accounts have one
    #[arg(long, value_name = "ID", requires = "region")]
    account: Option<AccountId>,
    /// Which region's, where there are several
    #[arg(long, value_name = "REGION", requires = "account")]
    region: Option<Region>,
    /// The file to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The arguments of `gureum import`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Reads what `gureum export` wrote, or the outputs of the AWS CLI's describe calls, in any number of files,
and makes that network here, with the same ids, names, addresses, rules and associations: all of it, or
nothing where something refers to what is not there. docs/howto/twin-of-an-account.md lists the calls.

What is there and nothing here is like (routes to transit gateways, interfaces of load balancers …) is
told first. A route to it stays and leads nowhere, so that packets do not take another way. Instances
are started as hosts of this cloud, unless it was started with --no-instances.

With --plan the file is what `terraform show -json PLAN` prints. What is planned is made, with ids made up.
What is known after apply only is evaluated from the .tf files of the plan: those of this folder, or of the
one that --config names. Without them only references to one thing alone are followed. What nothing tells
(data sources that are read during apply, functions that are not known here) is unknown, because, and refused
unless --without-unknown leaves it out.

Exit status: 0 made, 1 refused or something went wrong, 2 something of a plan is unknown. Where it is not 0
nothing was changed.

Examples:
  gureum import lab.json
  gureum import --strict ~/dumps/production/
  gureum import vpcs.json subnets.json route-tables.json … --replace
  aws ec2 describe-vpcs | gureum import - subnets.json …
  terraform plan -out=p && terraform show -json p | gureum import --plan -"
)]
pub(crate) struct ImportArgs {
    /// Files with answers of describe calls, folders of such files (*.json), or - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Whose the twin is [default: the owner that the data name]
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Where it is [default: the region of the data]
    #[arg(long, value_name = "REGION")]
    region: Option<Region>,
    /// Take away what the account has in the region
    #[arg(long)]
    replace: bool,
    /// Refuse data with something that nothing here is like
    #[arg(long)]
    strict: bool,
    /// Give other public addresses, of this machine's pool, so that hosts of the internet reach them
    #[arg(long)]
    new_public_addresses: bool,
    /// The file is a plan, as `terraform show -json` prints it: make what is planned
    #[arg(long)]
    plan: bool,
    /// The folder with the plan's .tf files [default: this one, where they are the plan's]
    #[arg(long, value_name = "DIR", requires = "plan")]
    config: Option<PathBuf>,
    /// Leave out what is not known before `apply`, and what depends on it
    #[arg(long, requires = "plan")]
    without_unknown: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `gureum export`.
pub(crate) fn export(args: &ExportArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let scope = args.account.clone().zip(args.region.clone());
    let scope = scope.map(|(account, region)| Scope { account, region });
    let request = TwinRequest::Export { scope, vpc: args.vpc.clone() };
    let document = match ask(daemon, request)? {
        TwinReply::Document(document) => document,
        other => return Err(refused(&other, "nothing was exported")),
    };
    let Some(path) = &args.output else {
        output::print_json(&document)?;
        return Ok(ExitCode::SUCCESS);
    };
    let text = serde_json::to_string_pretty(&document)
        .map_err(|error| Failure::new(format!("cannot write JSON: {error}")))?;
    fs::write(path, text + "\n").map_err(|error| Failure::file("write", path, &error))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes what a plan plans in an empty cloud. The folder is that of its `.tf` files.
///
/// # Errors
/// Where the plan says too little: what is not known before `apply`, or a resource that decides about
/// packets and that nothing here is like; unless that is to be left out.
pub(super) fn import_plan(
    file: &Path,
    folder: Option<&Path>,
    daemon: &Daemon,
    without_unknown: bool,
) -> Result<Imported, Failure> {
    let mut answers = read_all(&[file.to_owned()])?;
    let planned = plan::take(&mut answers, folder, without_unknown, !without_unknown)?;
    let options = ImportOptions { replace: true, ..ImportOptions::default() };
    match ask(daemon, TwinRequest::Import { answers, options })? {
        TwinReply::Imported(imported) => Ok(plan::with(imported, planned)),
        other => Err(refused(&other, "what is planned cannot be made")),
    }
}

/// Runs `gureum import`.
pub(crate) fn import(args: &ImportArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let mut answers = read_all(&args.files)?;
    let planned = match args.plan {
        true => {
            let folder = args.config.as_deref();
            Some(plan::take(&mut answers, folder, args.without_unknown, args.strict)?)
        }
        false => None,
    };
    let options = ImportOptions {
        account: args.account.clone(),
        region: args.region.clone(),
        replace: args.replace,
        strict: args.strict,
        new_public_addresses: args.new_public_addresses,
    };
    let imported = match ask(daemon, TwinRequest::Import { answers, options })? {
        TwinReply::Imported(imported) => imported,
        other => return Err(refused(&other, "nothing was imported")),
    };
    let imported = match planned {
        Some(planned) => plan::with(imported, planned),
        None => imported,
    };
    match args.json {
        true => output::print_json(&imported)?,
        false => output::print(&report::text(&imported))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(daemon: &Daemon, request: TwinRequest) -> Result<TwinReply, Failure> {
    match daemon.ask(&Request::Twin(request))? {
        Reply::Twin(reply) => Ok(*reply),
        other => Err(unexpected(&other)),
    }
}

/// Why nothing was done, as an error.
fn refused(reply: &TwinReply, what: &str) -> Failure {
    let TwinReply::Refused(reasons) = reply else {
        return Failure::new("the daemon's answer is of another kind: it is of another version");
    };
    if let [reason] = reasons.as_slice() {
        return Failure::new(format!("{what}: {reason}"));
    }
    let mut text = format!("{what}, for {} reasons:", reasons.len());
    for reason in reasons.iter().take(REASONS) {
        text += &format!("\n  {reason}");
    }
    if reasons.len() > REASONS {
        text += &format!("\n  … and {} more", reasons.len() - REASONS);
    }
    Failure::new(text)
}

/// The files that are meant, folders opened, each with what it says.
pub(crate) fn read_all(paths: &[PathBuf]) -> Result<Vec<(String, Value)>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => files.extend(in_folder(path)?),
            false => files.push(path.clone()),
        }
    }
    let (mut answers, mut size) = (Vec::new(), 0);
    for path in files {
        let text = read(&path)?;
        size += text.len();
        if size > LARGEST {
            let most = LARGEST >> 20;
            return Err(Failure::new(format!("the files are larger than {most} MiB together"))
                .help("leave out what is not read, or export one VPC after the other"));
        }
        let name = path.display().to_string();
        // A call that has nothing to say may print nothing.
        if text.trim().is_empty() {
            continue;
        }
        let value = serde_json::from_str(&text)
            .map_err(|error| Failure::new(format!("{name} is not JSON: {error}")))?;
        answers.push((name, value));
    }
    Ok(answers)
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: &io::Error| Failure::file("read", folder, error);
    let entries = fs::read_dir(folder).map_err(|error| failed(&error))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(&error))?.path();
        if path.extension().is_some_and(|it| it == "json") {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(Failure::new(format!("there are no *.json in {}", folder.display())));
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String, Failure> {
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
        return Ok(text);
    }
    fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_by_name_and_what_is_no_json_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("written");
        };
        write("vpcs.json", r#"{"Vpcs": []}"#);
        write("empty.json", "\n");
        write("notes.txt", "x");
        let read = read_all(&[folder.path().to_owned()]).expect("read");
        assert_eq!(read.len(), 1);
        assert!(read[0].0.ends_with("vpcs.json"));
        write("broken.json", "{");
        let error = read_all(&[folder.path().to_owned()]).expect_err("no JSON");
        assert!(error.message.contains("broken.json is not JSON"), "{error}");
        let nothing = tempfile::tempdir().expect("a folder");
        assert!(read_all(&[nothing.path().to_owned()]).is_err());
    }

    #[test]
    fn many_reasons_are_counted() {
        let reasons = (0..30).map(|number| format!("reason {number}")).collect();
        let text = refused(&TwinReply::Refused(reasons), "nothing was imported").message;
        assert!(text.contains("for 30 reasons") && text.contains("and 10 more"), "{text}");
        let one = refused(&TwinReply::Refused(vec!["why".into()]), "nothing was imported");
        assert_eq!(one.message, "nothing was imported: why");
    }
}
