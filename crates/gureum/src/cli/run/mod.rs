//! `gureum run`: a command against a cloud of its own. The cloud begins before it, is found by every
//! client in it, and goes with it; what a failed command leaves is a folder that says why.

mod artifacts;
pub(super) mod child;

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::SystemTime,
};

use clap::{Args, ValueEnum};

use self::{artifacts::Artifacts, child::Signals};
use super::{
    env::{self as aws_env, Changes},
    exec::OUR_FAILURE,
    scratch::Scratch,
};
use crate::{failure::Failure, paths};

/// The arguments of `gureum run`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The command finds the cloud as after `eval \"$(gureum env)\"`: AWS_ENDPOINT_URL, a key that is
worthless on the real AWS, the region, certificates. Configuration files of AWS clients are not read.
GUREUM_DATA_DIR is set as well, and `gureum` is on the PATH, so that `gureum check` and `gureum why`
mean this cloud. Any number of runs go side by side.

When the command fails, a folder gureum-run-TIME is left with the API's calls, the daemon's log, and
where there were hosts rejected packets with their reasons, a capture and what instances wrote to
their consoles.

Exit status: the command's own (128 and the signal's number where one ended it), 127 where there is
no such command, 125 where the cloud did not start.

Examples:
  gureum run -- pytest -q
  gureum run -- go test ./...
  gureum run -- terraform test
  gureum run -- sh -c 'terraform apply -auto-approve && gureum check'
  sudo gureum run --instances light -- ./who-reaches-whom.sh
  sudo gureum run --instances full -- make integration-test
  gureum run --artifacts out/failed -- ./deploy.sh"
)]
pub(crate) struct RunCommand {
    /// Whether instances boot: not at all, which needs no root, or as light or real hosts
    #[arg(long, value_enum, value_name = "KIND", default_value = "none")]
    instances: Instances,
    /// Where to leave what tells about a failure [default: gureum-run-TIME, here]
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Leave it also when the command succeeds
    #[arg(long)]
    keep: bool,
    /// Let nobody in without a key that is known here; the command gets the root user's
    #[arg(long)]
    strict_auth: bool,
    /// Enforce the quotas that a new AWS account has
    #[arg(long)]
    aws_quotas: bool,
    /// The folder of machine images [default: in the cache folder of your home]
    #[arg(long, value_name = "DIR", env = "GUREUM_IMAGES_DIR", value_parser = paths::parser())]
    images_dir: Option<PathBuf>,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What instances are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Instances {
    /// Records whose states go by timers
    None,
    /// Network namespaces whose ports all answer who they are; needs root
    Light,
    /// Linux hosts; needs root and the machine image
    Full,
}

/// Runs `gureum run`.
pub(crate) fn run(args: &RunCommand) -> Result<ExitCode, Failure> {
    let ours = |error: Failure| error.status(OUR_FAILURE);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ours(Failure::new(format!("cannot start: {error}"))))?;
    // Whoever ends us from here on is heard, and what we made goes.
    let mut signals = runtime.block_on(async { Signals::listen() }).map_err(ours)?;
    let began = SystemTime::now();
    let scratch = Scratch::start(&args.words()).map_err(ours)?;
    let changes = changes(&scratch).map_err(ours)?;
    if let Some(status) = runtime.block_on(signals.early()) {
        return Ok(ExitCode::from(status));
    }
    let capture = match args.instances {
        Instances::None => None,
        Instances::Light | Instances::Full => artifacts::capture(&scratch),
    };
    let (program, rest) = args
        .command
        .split_first()
        .ok_or_else(|| Failure::new("there is no command to run").status(OUR_FAILURE))?;
    let mut command = Command::new(program);
    command.args(rest);
    aws_env::apply(&changes, &mut command);
    let outcome = runtime.block_on(child::wait(command, signals));
    let status = match &outcome {
        Ok(status) => *status,
        Err(error) => child::not_started(error),
    };
    if status != 0 || args.keep {
        let artifacts = Artifacts { program, status, began, scratch: &scratch };
        match artifacts.keep(args.artifacts.as_deref()) {
            Ok(folder) => eprintln!(
                "gureum run: exit status {status}; calls, drops and logs are in {}",
                folder.display()
            ),
            Err(error) => eprintln!("gureum run: exit status {status}; nothing was kept: {error}"),
        }
    }
    let ended = scratch.end();
    if let Some(capture) = capture {
        // It ended with the daemon.
        let _ = capture.join();
    }
    if let Err(error) = outcome {
        return Err(aws_env::not_run(&program.to_string_lossy(), &error));
    }
    if let Err(error) = ended {
        eprintln!("gureum run: {error}");
    }
    Ok(ExitCode::from(status))
}

impl RunCommand {
    /// The options of `gureum up`.
    fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        match self.instances {
            Instances::None => words.push("--no-instances".into()),
            Instances::Light => words.extend(["--instances".into(), "light".into()]),
            Instances::Full => {}
        }
        if self.strict_auth {
            words.push("--strict-auth".into());
        }
        if self.aws_quotas {
            words.push("--aws-quotas".into());
        }
        if let Some(folder) = &self.images_dir {
            words.extend(["--images-dir".into(), folder.clone().into()]);
        }
        words
    }
}

/// What the command's environment is changed by.
pub(super) fn changes(scratch: &Scratch) -> Result<Changes, Failure> {
    let mut changes = aws_env::changes(scratch.status(), &aws_env::variables())?;
    changes.extend(without_files(scratch.data_dir())?);
    // What says `gureum` means this one.
    let program = env::current_exe().ok();
    if let Some(folder) = program.as_deref().and_then(Path::parent).and_then(Path::to_str) {
        let given = changes.iter().rev().find(|(name, _)| name == "PATH");
        let path = match given {
            Some((_, path)) => path.clone(),
            None => env::var("PATH").ok(),
        };
        changes.push(("PATH".to_owned(), Some(with_first(folder, path.as_deref()))));
    }
    Ok(changes)
}

/// A path with a folder in front, unless it is there already.
fn with_first(folder: &str, path: Option<&str>) -> String {
    match path.filter(|path| !path.is_empty()) {
        Some(path) if path.split(':').next() == Some(folder) => path.to_owned(),
        Some(path) => format!("{folder}:{path}"),
        None => folder.to_owned(),
    }
}

/// Configuration files without anything in them: what a person has set up for the real AWS, or a
/// machine for its jobs, is not for this cloud.
fn without_files(data_dir: &Path) -> Result<Changes, Failure> {
    let folder = paths::aws_files(data_dir);
    fs::create_dir(&folder).map_err(|error| Failure::file("create", &folder, &error))?;
    let mut changes = Changes::new();
    for (name, file) in
        [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")]
    {
        let path = folder.join(file);
        fs::write(&path, "").map_err(|error| Failure::file("write", &path, &error))?;
        changes.push((name.to_owned(), Some(path.to_string_lossy().into_owned())));
    }
    Ok(changes)
}

/// The name of a program without its folder.
fn name_of(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or(program);
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_folder_comes_first_and_once() {
        assert_eq!(with_first("/opt/bin", Some("/usr/bin:/bin")), "/opt/bin:/usr/bin:/bin");
        assert_eq!(with_first("/opt/bin", Some("/opt/bin:/bin")), "/opt/bin:/bin");
        assert_eq!(with_first("/opt/bin", None), "/opt/bin");
        assert_eq!(with_first("/opt/bin", Some("")), "/opt/bin");
    }

    #[test]
    fn files_of_a_person_are_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let changes = without_files(folder.path()).expect("changes");
        for (_, value) in &changes {
            let path = value.as_deref().expect("a value");
            assert_eq!(fs::read_to_string(path).expect("a file"), "");
        }
        assert_eq!(changes.len(), 2);
    }
}
