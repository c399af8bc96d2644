//! `gureum logs`: what a daemon in the background wrote.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::Path,
    process::ExitCode,
    thread,
    time::Duration,
};

use clap::Args;

use super::{client::Daemon, output};
use crate::{failure::Failure, paths};

/// How often a followed log is looked at.
const PAUSE: Duration = Duration::from_millis(200);

/// How far back from its end a log is searched for the last lines.
const TAIL_LIMIT: u64 = 8 << 20;

/// The arguments of `gureum logs`.
#[derive(Clone, Debug, Args)]
pub(crate) struct LogsArgs {
    /// Go on printing what is written
    #[arg(long, short)]
    follow: bool,
    /// How many of the last lines to print first
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 200)]
    lines: usize,
}

/// Runs `gureum logs`.
pub(crate) fn run(args: &LogsArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let path = paths::log_file(daemon.data_dir());
    let mut file = open(&path)?;
    let last = tail(&mut file, args.lines);
    output::print(&last.map_err(|error| Failure::file("read", &path, &error))?)?;
    if args.follow {
        follow(file, &path)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what is written from now on, until nobody reads it any more.
fn follow(mut file: File, path: &Path) -> Result<(), Failure> {
    loop {
        thread::sleep(PAUSE);
        let mut bytes = Vec::new();
        file.by_ref()
            .take(1 << 20)
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::file("read", path, &error))?;
        if !bytes.is_empty() {
            output::print(&String::from_utf8_lossy(&bytes))?;
            continue;
        }
        // Put aside and begun anew: the name means another file now.
        if let (Ok(named), Ok(open_one)) = (std::fs::metadata(path), file.metadata())
            && named.ino() != open_one.ino()
        {
            file = open(path)?;
        }
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::new(format!("there is no log {}", path.display()))
            .help("a daemon writes one when it is started by `gureum up --detach`"),
        _ => Failure::file("read", path, &error),
    })
}

/// The last lines; leaves the file at its end.
fn tail(file: &mut File, lines: usize) -> io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_LIMIT)))?;
    let mut bytes = Vec::new();
    file.by_ref().take(TAIL_LIMIT).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let skip = text.lines().count().saturating_sub(lines);
    Ok(text.split_inclusive('\n').skip(skip).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_last_lines_come_first_and_the_rest_follows() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"one\ntwo\nthree\n").expect("written");
        assert_eq!(tail(&mut file, 2).expect("read"), "two\nthree\n");
        assert_eq!(tail(&mut file, 9).expect("read"), "one\ntwo\nthree\n");
        assert_eq!(tail(&mut file, 0).expect("read"), "");
        assert_eq!(file.stream_position().expect("a position"), 14);
    }
}
