//! The shell of a lab: one bash for all its steps, so that variables, functions and background
//! jobs live on from step to step as in a person's terminal.
//!
//! Each step is a file that bash sources with its output in files; what bash itself prints is
//! only the word that a step has ended. On its way out everything it still runs is ended.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::expect::{Done, Variables};
use crate::{cli::env as aws_env, failure::Failure};

/// How much of a step's output is kept.
const OUTPUT_LIMIT: u64 = 1 << 20;

/// How long the processes of a step may take to end after they were told to.
const END_LIMIT: Duration = Duration::from_secs(2);

/// A bash with its files.
pub(super) struct Shell {
    child: Child,
    stdin: ChildStdin,
    ended: Receiver<i32>,
    folder: PathBuf,
}

impl Shell {
    /// Starts it in the caller's folder, with the caller's environment and these changes.
    pub(super) fn start(environment: &aws_env::Changes) -> Result<Self, Failure> {
        let folder = make_folder()
            .map_err(|error| Failure::new(format!("cannot make a temporary folder: {error}")))?;
        let failed = |error: io::Error| aws_env::not_run("bash", &error);
        let log = File::create(folder.join("bash")).map_err(failed)?;
        let mut command = Command::new("bash");
        aws_env::apply(environment, &mut command);
        // A group of its own: so that all of it can be ended, and ^C comes to us first.
        command.args(["--noprofile", "--norc"]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().map_err(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both are pipes");
        };
        let group = child.id();
        end_with_us(group, folder.clone()).map_err(failed)?;
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let status = line.strip_prefix("ended ").and_then(|status| status.parse().ok());
                if status.is_some_and(|status| sender.send(status).is_err()) {
                    return;
                }
            }
        });
        Ok(Self { child, stdin, ended, folder })
    }

    /// Runs a step's text to its end, at most for `limit`.
    pub(super) fn run(&mut self, text: &str, limit: Duration) -> Result<Done, Failure> {
        let path = |name: &str| self.folder.join(name);
        let (step, out, err) = (path("step"), path("out"), path("err"));
        let before = descendants(self.child.id());
        let broken = |error: io::Error| Failure::new(format!("the lab's shell: {error}"));
        fs::write(&step, text).map_err(broken)?;
        // Background jobs of earlier steps may hold the old files: new ones each time.
        for file in [&out, &err] {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(broken(error)),
                _ => {}
            }
        }
        let (step, out, err) = (step.display(), out.display(), err.display());
        let line = format!("source '{step}' </dev/null >'{out}' 2>'{err}'; echo \"ended $?\"\n");
        self.stdin.write_all(line.as_bytes()).map_err(|_| self.gone())?;
        let exit = self.wait(Instant::now() + limit)?;
        if exit.is_none() {
            self.interrupt(&before)?;
        }
        Ok(Done { exit, stdout: self.read("out"), stderr: self.read("err") })
    }

    /// The texts in some of its variables; nothing for those that are not set.
    pub(super) fn variables(&mut self, names: &[String]) -> Result<Variables, Failure> {
        let mut text = String::new();
        for name in names {
            let plain =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !plain {
                return Err(Failure::new(format!("\"{name}\" is not a variable's name")));
            }
            text += &format!("[ -n \"${{{name}+set}}\" ] && printf '{name}=%s\\0' \"${name}\"\n");
        }
        let done = self.run(&(text + "true\n"), Duration::from_secs(10))?;
        let set: Variables = done
            .stdout
            .split('\0')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
            .collect();
        Ok(names.iter().map(|name| (name.clone(), set.get(name).cloned().flatten())).collect())
    }

    /// Waits for the word that a step ended; nothing when the time is over.
    fn wait(&mut self, deadline: Instant) -> Result<Option<i32>, Failure> {
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            match self.ended.recv_timeout(rest.min(Duration::from_millis(200))) {
                Ok(status) => return Ok(Some(status)),
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone()),
                Err(RecvTimeoutError::Timeout) if rest.is_zero() => return Ok(None),
                // A background job may hold the pipe open after bash itself is gone.
                Err(RecvTimeoutError::Timeout) => {
                    if !matches!(self.child.try_wait(), Ok(None)) {
                        return Err(self.gone());
                    }
                }
            }
        }
    }

    /// Ends what the present step runs, until bash comes back.
    fn interrupt(&mut self, before: &[Pid]) -> Result<(), Failure> {
        for signal in [Signal::TERM, Signal::KILL] {
            let deadline = Instant::now() + END_LIMIT;
            // A step that goes on to its next command is told again.
            while Instant::now() < deadline {
                for pid in descendants(self.child.id()) {
                    if !before.contains(&pid) {
                        // It may have ended by itself meanwhile.
                        let _ = kill_process(pid, signal);
                    }
                }
                if self.wait(Instant::now() + Duration::from_millis(100))?.is_some() {
                    return Ok(());
                }
            }
        }
        Err(Failure::new("a step does not end, and nothing of it can be ended"))
    }

    fn gone(&self) -> Failure {
        Failure::new("the lab's shell ended: a step of a lab must not `exit`")
    }

    fn read(&self, name: &str) -> String {
        let mut bytes = Vec::new();
        // A step that never ran has printed nothing.
        if let Ok(file) = File::open(self.folder.join(name)) {
            let _ = file.take(OUTPUT_LIMIT).read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some(group) = pid(self.child.id()) {
            let _ = kill_process_group(group, Signal::TERM);
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A folder for the files of one shell, readable by nobody else: outputs may hold keys.
fn make_folder() -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    for attempt in 0..100 {
        let name = format!("gureum-lab-{}-{attempt}", std::process::id());
        let path = std::env::temp_dir().join(name);
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Ends the group when we are interrupted: background jobs of bash ignore ^C.
fn end_with_us(group: u32, folder: PathBuf) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupted, mut ended) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::spawn(move || {
        let kind = runtime.block_on(async {
            tokio::select! {
                Some(()) = interrupted.recv() => SignalKind::interrupt(),
                Some(()) = ended.recv() => SignalKind::terminate(),
            }
        });
        if let Some(group) = pid(group) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = fs::remove_dir_all(&folder);
        std::process::exit(128 + kind.as_raw_value());
    });
    Ok(())
}

fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

/// All processes below one, as /proc shows them now.
fn descendants(root: u32) -> Vec<Pid> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.into_iter().skip(1).filter_map(pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn shell() -> Shell {
        Shell::start(&vec![("GREETING".into(), Some("hello".into()))]).expect("bash")
    }

    #[test]
    fn variables_and_functions_live_on() {
        let mut shell = shell();
        let done = shell.run("X='a b'\nf() { echo \"$GREETING $X\"; return 7; }", LIMIT);
        assert_eq!(done.expect("it ran").exit, Some(0));
        let done = shell.run("f; f >&2", LIMIT).expect("it ran");
        assert_eq!((done.exit, done.stdout.as_str()), (Some(7), "hello a b\n"));
        assert_eq!(done.stderr, "hello a b\n");
    }

    #[test]
    fn variables_can_be_read() {
        let mut shell = shell();
        shell.run("A='two\nlines'; EMPTY=", LIMIT).expect("it ran");
        let names = ["A", "EMPTY", "NONE"].map(str::to_owned);
        let values = shell.variables(&names).expect("values");
        assert_eq!(values["A"].as_deref(), Some("two\nlines"));
        assert_eq!(values["EMPTY"].as_deref(), Some(""));
        assert_eq!(values["NONE"], None);
        assert!(shell.variables(&["A}; rm -rf /".to_owned()]).is_err());
    }

    #[test]
    fn a_background_job_lives_on_and_ends_with_the_shell() {
        let mut shell = shell();
        let done = shell.run("sleep 1000 & JOB=$!; echo $JOB", LIMIT).expect("it ran");
        let job: i32 = done.stdout.trim().parse().expect("a process id");
        let done = shell.run("kill -0 $JOB", LIMIT).expect("it ran");
        assert_eq!(done.exit, Some(0));
        drop(shell);
        let deadline = Instant::now() + LIMIT;
        while alive(job) {
            assert!(Instant::now() < deadline, "the job lives on");
            thread::yield_now();
        }
    }

    fn alive(pid: i32) -> bool {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
    }

    #[test]
    fn what_takes_too_long_is_ended_and_the_shell_goes_on() {
        let mut shell = shell();
        shell.run("sleep 1000 & JOB=$!", LIMIT).expect("it ran");
        let done = shell.run("echo begun; sleep 1000", Duration::from_millis(300));
        let done = done.expect("it was ended");
        assert_eq!((done.exit, done.stdout.as_str()), (None, "begun\n"));
        let done = shell.run("kill -0 $JOB && echo still here", LIMIT).expect("it ran");
        assert_eq!(done.stdout, "still here\n", "jobs of earlier steps are left alone");
    }

    #[test]
    fn a_step_that_exits_is_an_error_not_a_hang() {
        let mut shell = shell();
        let error = shell.run("exit 3", LIMIT).expect_err("the shell is gone");
        assert!(error.message.contains("must not `exit`"), "{error}");
    }

    #[test]
    fn steps_read_nothing_from_us() {
        let mut shell = shell();
        let done = shell.run("cat; echo after", LIMIT).expect("it ran");
        assert_eq!(done.stdout, "after\n");
    }

    #[test]
    fn a_mistake_in_the_text_is_the_steps_own() {
        let mut shell = shell();
        let done = shell.run("if true; then", LIMIT).expect("it ran");
        assert_ne!(done.exit, Some(0));
        assert!(done.stderr.contains("syntax error"), "{done:?}");
        assert_eq!(shell.run("true", LIMIT).expect("it ran").exit, Some(0));
    }
}
