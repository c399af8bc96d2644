//! `gureum lab`: hands-on labs whose steps and checks are data. The runner knows nothing of AWS:
//! it gives shell lines to a shell that lives as long as the lab, and compares what they print.

mod expect;
mod file;
mod language;
mod report;
mod runner;
mod shell;

use std::{
    env, fs,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use self::{
    file::Lab,
    language::Language,
    report::{Outcome, Reporter},
    runner::{Options, Run},
    shell::Shell,
};
use super::{
    client::{Daemon, health},
    env as aws_env,
    output::{self, Format},
};
use crate::failure::Failure;

/// The name of a lab's file in its folder.
const FILE: &str = "lab.yaml";

/// The status when a lab was not begun: it does not fit, or would disturb something.
const REFUSED: u8 = 2;

/// `gureum lab …`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// List the labs
    List,
    /// Do a lab's steps and check what they do
    Run(RunArgs),
}

/// The arguments of `gureum lab run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Exit status: 0 all checks passed, 1 not all, 2 the lab was not begun.

Examples:
  gureum lab run labs/vpc
  gureum lab run vpc --lang ko
  gureum lab run vpc --only packets --output json")]
pub(crate) struct RunArgs {
    /// The lab's folder, or its name among those of `gureum lab list`
    #[arg(value_name = "DIR")]
    lab: PathBuf,
    /// The language of titles [default: from LANG]
    #[arg(long, value_enum)]
    lang: Option<Language>,
    /// Do this task alone, on what earlier ones have built
    #[arg(long, value_name = "TASK")]
    only: Option<String>,
    /// Go on after a step that others build upon failed
    #[arg(long)]
    keep_going: bool,
    /// First delete what a former run of this lab built
    #[arg(long, conflicts_with = "only")]
    fresh: bool,
    /// Print the results for people as they come, or for programs at the end
    #[arg(long, short, value_enum, value_name = "FORM", default_value = "table")]
    output: Format,
    /// Write the results for programs to this file as well
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

/// Runs `gureum lab …`.
pub(crate) fn run(command: &LabCommand, daemon: &Daemon) -> Result<ExitCode, Failure> {
    match command {
        LabCommand::List => list(),
        LabCommand::Run(args) => run_lab(args, daemon),
    }
}

fn list() -> Result<ExitCode, Failure> {
    let mut rows = Vec::new();
    for folder in shelves().iter().filter_map(|shelf| fs::read_dir(shelf).ok()).flatten() {
        let Ok(folder) = folder.map(|entry| entry.path()) else { continue };
        if folder.join(FILE).is_file() {
            let lab = Lab::read(&folder)?;
            let title = lab.title.text(Language::of_caller());
            let steps = lab.tasks.iter().map(|task| task.steps.len()).sum::<usize>();
            rows.push(vec![
                lab.id.clone(),
                steps.to_string(),
                folder.display().to_string(),
                title.into(),
            ]);
        }
    }
    if rows.is_empty() {
        return Err(Failure::new("there are no labs here")
            .help("name a lab's folder: gureum lab run DIR; or set GUREUM_LABS_DIR"));
    }
    rows.sort();
    rows.dedup_by(|one, other| one[0] == other[0]);
    output::print(&output::table(&["NAME", "STEPS", "FOLDER", "TITLE"], rows))?;
    Ok(ExitCode::SUCCESS)
}

/// Folders that hold labs: those of the source tree one stands in, and those installed beside
/// the program.
fn shelves() -> Vec<PathBuf> {
    let mut shelves: Vec<_> =
        env::var_os("GUREUM_LABS_DIR").map(PathBuf::from).into_iter().collect();
    shelves.push("labs".into());
    if let Ok(program) = env::current_exe()
        && let Some(prefix) = program.parent().and_then(Path::parent)
    {
        shelves.push(prefix.join("share/gureum/labs"));
    }
    shelves
}

fn find(lab: &Path) -> Result<PathBuf, Failure> {
    let named = shelves().into_iter().map(|shelf| shelf.join(lab));
    let mut candidates = std::iter::once(lab.to_owned()).chain(named);
    let found = candidates.find(|folder| folder.join(FILE).is_file()).ok_or_else(|| {
        Failure::new(format!("there is no lab {} (a folder with a {FILE})", lab.display()))
            .help("`gureum lab list` lists them")
    })?;
    fs::canonicalize(&found).map_err(|error| Failure::file("read", &found, &error))
}

fn run_lab(args: &RunArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let refused = |error: Failure| error.status(REFUSED);
    let folder = find(&args.lab).map_err(refused)?;
    let lab = Lab::read(&folder).map_err(refused)?;
    let environment = environment(daemon, &folder).map_err(refused)?;
    let language = args.lang.unwrap_or_else(Language::of_caller);
    let options =
        Options { only: args.only.clone(), keep_going: args.keep_going, fresh: args.fresh };
    let reporter = match args.output {
        Format::Table => Reporter::people(language, std::io::stdout().is_terminal()),
        Format::Json => Reporter::silent(language),
    };
    let mut shell = Shell::start(&environment).map_err(refused)?;
    let outcome = Run::new(&lab, &options, reporter, &mut shell).run()?;
    if let Some(path) = &args.results {
        let text = serde_json::to_string_pretty(&outcome)
            .map_err(|error| Failure::new(format!("cannot write the results: {error}")))?;
        fs::write(path, text + "\n").map_err(|error| Failure::file("write", path, &error))?;
    }
    if args.output == Format::Json {
        output::print_json(&outcome)?;
    }
    Ok(exit_code(&outcome))
}

fn exit_code(outcome: &Outcome) -> ExitCode {
    if outcome.refused.is_some() {
        ExitCode::from(REFUSED)
    } else if outcome.passed_all() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The environment of the lab's shell: our own daemon and nothing else. A caller whose
/// environment points at another endpoint did not mean this cloud.
fn environment(daemon: &Daemon, folder: &Path) -> Result<aws_env::Changes, Failure> {
    let status = daemon.status()?;
    let answer = health(&status.endpoint)?;
    if answer.tag != status.tag {
        return Err(Failure::new(format!(
            "another daemon than that of {} answers at {}",
            status.data_dir.display(),
            status.endpoint
        )));
    }
    if let Some(endpoint) = env::var_os("AWS_ENDPOINT_URL").filter(|url| !url.is_empty()) {
        let endpoint = endpoint.to_string_lossy().into_owned();
        let theirs = health(&endpoint).map(|answer| answer.tag);
        if theirs.ok().as_ref() != Some(&status.tag) {
            return Err(Failure::new(format!(
                "AWS_ENDPOINT_URL is {endpoint}, which is not the cloud on {}: the lab touches \
                 nothing else",
                status.data_dir.display()
            ))
            .help("eval \"$(gureum env)\", or unset AWS_ENDPOINT_URL"));
        }
    }
    let mut changes = aws_env::changes(&status, &aws_env::variables())?;
    changes.push(("LAB".into(), Some(folder.to_string_lossy().into_owned())));
    // The steps say `gureum`, and mean this one.
    if let Some(program) = env::current_exe().ok().as_deref().and_then(Path::parent) {
        let given = changes.iter().rev().find(|(name, _)| name == "PATH");
        let given = given.and_then(|(_, path)| path.clone());
        let path = given.unwrap_or_else(|| env::var("PATH").unwrap_or_default());
        changes.push(("PATH".into(), Some(format!("{}:{path}", program.display()))));
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_that_is_not_there_is_an_error() {
        let error = find(Path::new("no-such-lab")).expect_err("not there");
        assert!(error.message.contains("there is no lab no-such-lab"), "{error}");
    }

    #[test]
    fn the_labs_of_this_source_tree_are_valid() {
        let labs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../labs");
        let mut count = 0;
        for entry in fs::read_dir(labs).expect("the labs").flatten() {
            if entry.path().join(FILE).is_file() {
                Lab::read(&entry.path()).unwrap_or_else(|error| panic!("{error}"));
                count += 1;
            }
        }
        assert!(count > 0, "there is a lab");
    }

    #[test]
    fn the_user_data_is_the_labs() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../labs/vpc/user-data.sh");
        let expected = "#!/bin/sh\nsudo yum -y update\nsudo yum -y install yum-utils \n\
            sudo yum -y install httpd php mysql php-mysql git\nsudo systemctl start httpd\n\
            sudo systemctl enable httpd\ncd /var/www/html/\n\
            sudo git clone https://github.com/whchoi98/ec2meta-webpage.git\n\
            sudo systemctl restart httpd\nexit\n";
        assert_eq!(fs::read_to_string(path).expect("user data"), expected);
    }
}
