//! `gureum purge`: `down`, and then no data directory either. Machine images, which all data
//! directories share, stay.

use std::{fs, io, path::Path, process::ExitCode};

use clap::Args;

use super::{client::Daemon, down, output, ssh_config};
use crate::{
    failure::Failure,
    paths::{self, Person},
};

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
    ssh_config::exclude(&Person::current(), folder)?;
    let others = delete(folder)?;
    if others.is_empty() {
        output::print(&format!("deleted {}\n", folder.display()))?;
    } else {
        let (folder, others) = (folder.display(), others.join(", "));
        output::print(&format!("deleted the cloud in {folder}; not ours and kept: {others}\n"))?;
    }
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

/// Deletes what is ours in the folder, and the folder if nothing else is in it. Returns what else
/// is.
pub(super) fn delete(folder: &Path) -> Result<Vec<String>, Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Failure::new(format!("may not delete all of {}", folder.display()))
                .help("the disks of instances belong to other users: run `sudo gureum purge`")
        }
        _ => Failure::file("delete", folder, &error),
    };
    // The marker goes last: what is cut short can be done again.
    for name in paths::CONTENTS.iter().chain([&paths::MARKER]) {
        let path = folder.join(name);
        let removed = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    let mut others = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        others.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    if others.is_empty() {
        fs::remove_dir(folder).map_err(failed)?;
    }
    others.sort();
    Ok(others)
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
        assert_eq!(delete(&data).expect("it goes"), [""; 0]);
        assert!(!data.exists());
    }

    #[test]
    fn what_is_not_ours_stays_whatever_the_marker_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        for ours in ["store", "instances"] {
            fs::create_dir(data.join(ours)).expect("a folder");
        }
        for file in [paths::MARKER, "passwd", "store/records.log", "gureum.log"] {
            fs::write(data.join(file), "").expect("a file");
        }
        fs::create_dir(data.join("ssl")).expect("a folder");
        assert_eq!(delete(data).expect("ours goes"), ["passwd", "ssl"]);
        let mut left: Vec<_> = fs::read_dir(data)
            .expect("it is there")
            .map(|it| it.expect("read").file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["passwd", "ssl"]);
    }
}
