//! `gureum check`: whether the network lets through what a file expects, decided by the engine itself
//! on the present state. Reading and printing are here; who is meant, what is asked and what is
//! decided is the daemon's.

mod file;
mod packets;
mod report;
mod suggest;

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};

use self::{
    file::Written,
    report::{Checked, Detail, Report},
};
use super::{
    client::{Daemon, unexpected},
    output::{self, Format},
    scratch::Scratch,
    twin,
};
use crate::{
    admin::{CheckArgs, Outcome, Reply, Request, Verdict},
    failure::Failure,
};

/// The file that is meant where none is named.
const FILE: &str = "expectations.yaml";
/// The exit status when some expectation does not hold.
const FAILS: u8 = 1;
/// The exit status when something is unknown.
const UNKNOWN: u8 = 2;

/// The arguments of `gureum check`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "A file of expectations is a list in YAML:

  - from: internet            an end: a Name tag, an id, an address, a subnet or a security group
    to: [WEB-01, WEB-02]      (all its interfaces), \"internet\"; as `to` also a service (ssm, s3) or
    protocol: tcp             a host name; or a list of them. tcp (default), udp, icmp, a number
    port: [80, 443]           a port, a range as 8000-8010, a list of them, or any
    expect: allow             allow: it arrives and its answer comes back; or deny
  - from: internet
    to: db-subnet
    port: any
    expect: deny
    by: no-route              optional: the rule, entry, route, group, gateway or reason that decides
    name: databases are private       optional, for reports
    ipv6: false               optional: asks about IPv6 where no address says so

Where ends are several interfaces, it is expected of every pair, protocol and port. The engine of the
cloud answers, as `gureum why` does; no packet is sent, and neither root nor hosts are needed. TCP and
UDP are asked about from all ports that Linux's clients connect from (32768 to 60999): where answers
get back to some of them only, the answer is \"unknown, because\". --plan evaluates what a plan leaves
open from its .tf files. With
--packets hosts send them as well, one for each pair, protocol and stretch of ports that is decided
alike; any host will do, best `gureum up --instances light`, where every port answers. A name
that nothing has, or two things, is never guessed: the answer is \"unknown, because\".

Exit status: 0 all hold, 1 some do not, 2 something is unknown (a wrong name, a file that cannot be
read, no daemon).

Examples:
  gureum check
  gureum check network/expectations.yaml --verbose
  gureum check --junit report.xml --annotations github
  gureum check --output json
  gureum check --packets
  gureum check --suggest -o expectations.yaml
  terraform plan -out=p && terraform show -json p > plan.json && gureum check --plan plan.json
  gureum check --plan plan.json --config network/
  gureum run -- sh -c 'terraform apply -auto-approve && gureum check'")]
pub(crate) struct CheckCommand {
    /// The file of expectations
    #[arg(value_name = "FILE", default_value = FILE)]
    file: PathBuf,
    /// Print for people, or for programs
    #[arg(long, value_enum, value_name = "FORM", default_value = "table")]
    output: Format,
    /// Write the results in JUnit's form to this file as well
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print commands that show what does not hold at its line of the file
    #[arg(long, value_enum, value_name = "SYSTEM")]
    annotations: Option<Annotations>,
    /// Print only what does not hold
    #[arg(long, short)]
    quiet: bool,
    /// Print every pair, protocol and port, with what decides
    #[arg(long, short, conflicts_with = "quiet")]
    verbose: bool,
    /// Hold what this plan of Terraform plans, as `terraform show -json` prints it, to the file, in a
    /// cloud of its own
    #[arg(long, value_name = "PLAN")]
    plan: Option<PathBuf>,
    /// The folder with the plan's .tf files [default: this one, where they are the plan's]
    #[arg(long, value_name = "DIR", requires = "plan")]
    config: Option<PathBuf>,
    /// Send real packets as well, between hosts that are up, and compare
    #[arg(long, conflicts_with_all = ["plan", "suggest"])]
    packets: bool,
    /// Leave out what is not known before `apply`, and what nothing here is like
    #[arg(long, requires = "plan")]
    without_unknown: bool,
    /// Write a file of expectations that describes the network as it is now
    #[arg(long, conflicts_with_all = ["file", "output", "junit", "annotations", "quiet", "verbose", "plan"])]
    suggest: bool,
    /// Where to write it [default: print it]
    #[arg(short = 'o', long, value_name = "FILE", requires = "suggest")]
    write: Option<PathBuf>,
}

/// Who reads annotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Annotations {
    /// GitHub Actions
    Github,
}

/// Runs `gureum check`.
pub(crate) fn run(args: &CheckCommand, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let done = match &args.plan {
        Some(plan) => planned(args, plan),
        None if args.suggest => suggest(args, daemon),
        None => check(args, daemon),
    };
    done.map_err(|error| if error.is_closed_pipe() { error } else { error.status(UNKNOWN) })
}

/// Holds what is planned to the file. What of the plan is not there comes first.
fn planned(args: &CheckCommand, plan: &Path) -> Result<ExitCode, Failure> {
    let scratch = Scratch::start(&["--no-instances".into()])?;
    let imported =
        twin::import_plan(plan, args.config.as_deref(), &scratch.daemon(), args.without_unknown)?;
    for missing in &imported.unsupported {
        eprintln!("warning: not in what is checked: {missing}");
    }
    let done = check(args, &scratch.daemon())?;
    scratch.end()?;
    Ok(done)
}

fn check(args: &CheckCommand, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let text = file::text(&args.file)?;
    let written = match file::parse(&text) {
        Ok(written) => written,
        Err(mistake) => {
            if args.annotations.is_some() {
                annotate(args, &report::annotated(&mistake, &args.file))?;
            }
            return Err(mistake.failure(&args.file));
        }
    };
    let mut verdicts = verdicts(daemon, &written, args.verbose || args.packets)?;
    let sent = match args.packets {
        true => Some(packets::hold(daemon, &mut verdicts)?),
        false => None,
    };
    let checked = written.iter().zip(&verdicts);
    let checked = checked.map(|(written, verdict)| Checked { written, verdict }).collect();
    let report = Report { file: &args.file, checked, sent };
    if let Some(path) = &args.junit {
        fs::write(path, report.junit()).map_err(|error| Failure::file("write", path, &error))?;
    }
    match args.output {
        Format::Json => output::print_json(&report.json())?,
        Format::Table => output::print(&report.text(args.detail()))?,
    }
    if args.annotations.is_some() {
        annotate(args, &report.annotations())?;
    }
    Ok(exit_code(&report))
}

impl CheckCommand {
    fn detail(&self) -> Detail {
        match (self.quiet, self.verbose) {
            (true, _) => Detail::Quiet,
            (_, true) => Detail::Verbose,
            _ => Detail::Usual,
        }
    }
}

/// What a daemon says of expectations, in their order.
fn verdicts(
    daemon: &Daemon,
    written: &[Written],
    every_decision: bool,
) -> Result<Vec<Verdict>, Failure> {
    let expectations = written.iter().map(|it| it.expectation.clone()).collect();
    match daemon.ask(&Request::Check(CheckArgs { expectations, every_decision }))? {
        Reply::Check(verdicts) if verdicts.len() == written.len() => Ok(verdicts),
        other => Err(unexpected(&other)),
    }
}

fn exit_code(report: &Report<'_>) -> ExitCode {
    if report.count(Outcome::Unknown) > 0 {
        ExitCode::from(UNKNOWN)
    } else if report.count(Outcome::Fails) > 0 {
        ExitCode::from(FAILS)
    } else {
        ExitCode::SUCCESS
    }
}

/// Prints commands for who runs us, beside what programs read.
fn annotate(args: &CheckCommand, lines: &str) -> Result<(), Failure> {
    if args.output == Format::Table {
        return output::print(lines);
    }
    let written = io::stderr().lock().write_all(lines.as_bytes());
    written.map_err(|error| Failure::new(format!("cannot write to standard error: {error}")))
}

fn suggest(args: &CheckCommand, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let suggestions = match daemon.ask(&Request::Suggest)? {
        Reply::Suggestions(suggestions) => suggestions,
        other => return Err(unexpected(&other)),
    };
    if suggestions.is_empty() {
        return Err(Failure::new("no instance is on: there is nothing to expect of packets")
            .help("launch instances, or build the network, before"));
    }
    let text = suggest::text(&suggestions);
    match &args.write {
        None => output::print(&text)?,
        Some(path) => {
            write_new(path, &text)?;
            let count = suggestions.len();
            output::print(&format!("{}: {count} expectations\n", path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What people wrote and changed is not written over.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::new(format!("{} is there already", path.display()))
                .help("name another file; without -o the expectations are printed")
        }
        _ => Failure::file("write", path, &error),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        check: CheckCommand,
    }

    fn refusal(words: &[&str]) -> Failure {
        let line = Line::try_parse_from(["check"].iter().chain(words)).expect("it parses");
        let folder = tempfile::tempdir().expect("a folder");
        run(&line.check, &Daemon::at(folder.path())).expect_err("refused")
    }

    #[test]
    fn nothing_is_guessed_where_there_is_no_file_or_no_daemon() {
        let missing = refusal(&["/no/such/file.yaml"]);
        assert_eq!(missing.status, UNKNOWN, "{missing}");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("e.yaml");
        fs::write(&file, "- {from: internet, to: A, port: 80, expect: allow}\n").expect("written");
        let nobody = refusal(&[&file.to_string_lossy()]);
        assert_eq!(nobody.status, UNKNOWN);
        assert!(nobody.message.starts_with("no daemon runs on"), "{nobody}");
        fs::write(&file, "- {from: internet, to: A, port: 80}\n").expect("written");
        let wrong = refusal(&[&file.to_string_lossy()]);
        let place = format!("{}:1:3: missing field `expect`", file.display());
        assert_eq!((wrong.status, wrong.message), (UNKNOWN, place));
    }

    #[test]
    fn a_file_that_is_there_is_not_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("e.yaml");
        write_new(&file, "one").expect("written");
        let error = write_new(&file, "two").expect_err("it is there");
        assert!(error.message.ends_with("is there already"), "{error}");
        assert_eq!(fs::read_to_string(&file).expect("read"), "one");
    }

    #[test]
    fn a_suggestion_takes_no_file_of_expectations() {
        for line in ["check a.yaml --suggest", "check -o x.yaml", "check --suggest --quiet"] {
            assert!(Line::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
        assert!(Line::try_parse_from(["check", "--suggest", "-o", "x.yaml"]).is_ok());
    }
}
