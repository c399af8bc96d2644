//! `gureum purge`: `down`, and then no data directory either. Machine images, which all data
//! directories share, stay.

use std::{fs, io, path::Path, process::ExitCode};

use clap::Args;

use super::{client::Daemon, down, output};
use crate::{failure::Failure, paths};

/// The arguments of `gureum purge`.
#[derive(Clone, Debug, Args)]
pub(crate) struct PurgeArgs {
    /// Don't ask
    #[arg(long, short)]
    yes: bool,
}

/// Runs `gureum purge`.
pub(crate) fn run(args: &PurgeArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let folder = daemon.data_dir();
    if !folder.exists() {
        output::print(&format!("there is no data directory {}\n", folder.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    check(folder)?;
    let question =
        format!("Stop the cloud on {0} and delete {0} with all its data?", folder.display());
    if !args.yes && !super::confirm(&question, "--yes")? {
        return Ok(ExitCode::FAILURE);
    }
    if !down::stop(daemon, true)? {
        down::clean_up(folder)?;
    }
    delete(folder)?;
    output::print(&format!("deleted {}\n", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// A folder that is no data directory is never deleted, whatever `--data-dir` says.
fn check(folder: &Path) -> Result<(), Failure> {
    if folder.join(paths::MARKER).is_file() {
        return Ok(());
    }
    Err(Failure::new(format!("{} is not a data directory of Gureum", folder.display()))
        .help(format!("it would have a file {}; check --data-dir", paths::MARKER)))
}

fn delete(folder: &Path) -> Result<(), Failure> {
    fs::remove_dir_all(folder).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Failure::new(format!("may not delete all of {}", folder.display()))
                .help("the disks of instances belong to other users: run `sudo gureum purge`")
        }
        _ => Failure::file("delete", folder, &error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_data_directory_is_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("thesis.tex"), "").expect("a file");
        let daemon = Daemon::at(folder.path());
        let error = run(&PurgeArgs { yes: true }, &daemon).expect_err("not a data directory");
        assert!(error.message.ends_with("is not a data directory of Gureum"), "{error}");
        assert!(folder.path().join("thesis.tex").exists());
    }

    #[test]
    fn a_data_directory_goes_with_its_marker() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("a folder");
        fs::write(data.join(paths::MARKER), "").expect("a file");
        check(&data).expect("it is marked");
        delete(&data).expect("it goes");
        assert!(!data.exists());
    }
}
