//! A daemon in the background: started, waited for, and where it is one's own, tied to who started
//! it.

use std::{
    env,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;

use super::{
    client::Daemon,
    up::{UpArgs, check},
};
use crate::{
    admin::Status,
    daemon::Options,
    failure::Failure,
    paths::{self, Person},
};

/// How long a daemon in the background may take until its API answers.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A log larger than this is put aside when the daemon starts.
const LOG_LIMIT: u64 = 16 << 20;

/// The words of [`UpArgs`] alone.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Words {
    #[command(flatten)]
    args: UpArgs,
}

/// A daemon in the background that is this process's own, and goes when it goes.
#[derive(Debug)]
pub(super) struct Own {
    /// Its process.
    pub(super) child: Child,
    /// How it was when it answered first.
    pub(super) status: Status,
}

/// Starts a daemon of one's own on a new data directory and a free port, with options of `gureum
/// up`, and waits until it answers. It must be called by the main thread, with which it ends.
pub(super) fn own(data_dir: &Path, words: &[OsString]) -> Result<Own, Failure> {
    let usual = ["--listen", "127.0.0.1:0", "--socks", "off", "--tied"].map(OsString::from);
    let words = usual.iter().chain(words);
    let args = Words::try_parse_from(words).map_err(|e| Failure::new(e.to_string()))?.args;
    let options = args.options(Some(data_dir))?;
    check(&options)?;
    let (child, status) = start(&args, &options)?;
    Ok(Own { child, status })
}

/// Has the kernel tell us when the process that started us ends.
pub(super) fn tie() -> Result<(), Failure> {
    let signal = rustix::process::Signal::TERM;
    rustix::process::set_parent_process_death_signal(Some(signal))
        .map_err(|e| Failure::new(format!("prctl: {e}")))?;
    match nobody_waits() {
        true => Err(Failure::new("the process that started this one is gone")),
        false => Ok(()),
    }
}

/// Whether the process that started us is gone: somebody else has taken us over, who started
/// nothing like us.
pub(super) fn nobody_waits() -> bool {
    let program = |path: &str| fs::read_link(path).ok();
    let parent = rustix::process::getppid().map(|it| it.as_raw_nonzero().get());
    parent.is_none_or(|parent| program(&format!("/proc/{parent}/exe")) != program("/proc/self/exe"))
}

/// Starts ourselves in the background and waits until the API answers.
pub(super) fn start(args: &UpArgs, options: &Options) -> Result<(Child, Status), Failure> {
    let log = paths::log_file(&options.data_dir);
    let file = open_log(&log, &options.owner).map_err(|e| Failure::file("write", &log, &e))?;
    let start = file.metadata().map_or(0, |found| found.len());
    let errors = file.try_clone().map_err(|e| Failure::file("write", &log, &e))?;
    let program = env::current_exe().map_err(|e| Failure::new(format!("who am I: {e}")))?;
    let mut child = Command::new(program)
        .args(background_args(args, options))
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .map_err(|e| Failure::new(format!("cannot start in the background: {e}")))?;
    let status = wait_until_up(&mut child, options, &log, start)?;
    Ok((child, status))
}

/// The same daemon again, every default spelled out.
fn background_args(args: &UpArgs, options: &Options) -> Vec<OsString> {
    let mut list: Vec<OsString> = vec![
        "up".into(),
        "--background".into(),
        "--data-dir".into(),
        options.data_dir.clone().into(),
        "--images-dir".into(),
        options.images_dir.clone().into(),
        "--listen".into(),
        options.listen.to_string().into(),
        "--account-id".into(),
        options.account.to_string().into(),
        "--public-pool".into(),
        options.public_pool.to_string().into(),
        "--socks".into(),
        options.socks.map_or("off".to_owned(), |address| address.to_string()).into(),
    ];
    if options.uplink {
        list.push("--uplink".into());
    }
    if !options.instances {
        list.push("--no-instances".into());
    }
    if options.light {
        list.extend(["--instances".into(), "light".into()]);
    }
    if args.aws_quotas {
        list.push("--aws-quotas".into());
    }
    if args.aws_timing {
        list.push("--aws-timing".into());
    }
    if args.strict_auth {
        list.push("--strict-auth".into());
    }
    if options.tied {
        list.push("--tied".into());
    }
    if let Some(path) = &options.call_log {
        list.extend(["--call-log".into(), path.clone().into()]);
    }
    list
}

fn open_log(path: &Path, owner: &Person) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|found| found.len() > LOG_LIMIT) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    owner.give(path)?;
    Ok(file)
}

fn wait_until_up(
    child: &mut Child,
    options: &Options,
    log: &Path,
    start: u64,
) -> Result<Status, Failure> {
    let daemon = Daemon::at(&options.data_dir);
    let deadline = Instant::now() + START_LIMIT;
    loop {
        if let Some(status) = daemon.status_if_running()
            && super::client::health(&status.endpoint).is_ok()
        {
            return Ok(status);
        }
        let ended = child.try_wait().map_err(|e| Failure::new(format!("wait: {e}")))?;
        if ended.is_some() {
            return Err(failed_start(log, start));
        }
        if Instant::now() > deadline {
            return Err(Failure::new(format!(
                "the API does not answer after {} seconds (process {})",
                START_LIMIT.as_secs(),
                child.id()
            ))
            .help(format!("see {}, or stop it with `gureum down`", log.display())));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// What a daemon that died said last: its own error if it had one, else the end of its log.
fn failed_start(log: &Path, start: u64) -> Failure {
    let said = read_from(log, start).unwrap_or_default();
    let mut lines = said.lines().rev();
    let mut help = None;
    for line in lines.by_ref().take(20) {
        if let Some(text) = line.strip_prefix("help: ") {
            help = Some(text.to_owned());
        } else if let Some(message) = line.strip_prefix("error: ") {
            return Failure { message: message.to_owned(), help, status: 1 };
        }
    }
    let last: Vec<_> = said.lines().rev().take(15).collect();
    let last: Vec<_> = last.into_iter().rev().map(|line| format!("\n  {line}")).collect();
    Failure::new(format!("the daemon ended before its API answered{}", last.concat()))
        .help(format!("all it said is in {}", log.display()))
}

fn read_from(path: &Path, offset: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(1 << 20).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_died_is_quoted() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        fs::write(&log, "old\nINFO starting\nerror: no disk\nhelp: buy one\n").expect("a file");
        let error = failed_start(&log, 4);
        assert_eq!(error.to_string(), "error: no disk\nhelp: buy one");
        fs::write(&log, "old\none\ntwo\n").expect("a file");
        let error = failed_start(&log, 4);
        assert!(error.message.ends_with("answered\n  one\n  two"), "{error}");
    }
}
