//! What a failed command leaves: a folder that tells what it asked the cloud and what became of its
//! packets. No keys, no secrets.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
    time::{SystemTime, UNIX_EPOCH},
};

use gureum_engine::Direction;
use gureum_types::Timestamp;
use serde_json::{Value, json};

use crate::{
    admin::{FlowsArgs, InstanceRow, Reply, Request, TraceArgs},
    cli::{
        client::{Daemon, unexpected},
        flows,
        pcapng::{self, Way},
        scratch::Scratch,
        stream::{self, Until},
    },
    failure::Failure,
    paths::{self, Person},
};

/// The capture is not larger than this.
const CAPTURE_LIMIT: u64 = 64 << 20;
/// How many kinds of rejected packets are told.
const REJECTS: usize = 10_000;
/// For how long the cloud remembers rejected packets, in milliseconds.
const REMEMBERED: u64 = 30 * 60 * 1000;
/// How many folders of the same second are told apart.
const SAME_SECOND: u32 = 1000;

/// A command that has ended, and its cloud that has not.
pub(super) struct Artifacts<'a> {
    /// The program; its arguments may be secrets.
    pub program: &'a OsStr,
    /// Its exit status.
    pub status: u8,
    /// When the run began.
    pub began: SystemTime,
    /// The cloud.
    pub scratch: &'a Scratch,
}

impl Artifacts<'_> {
    /// Writes all there is into a new folder, or into the one that was named, and returns it. What
    /// cannot be had is said and is no reason to lose the rest.
    pub(super) fn keep(&self, named: Option<&Path>) -> Result<PathBuf, Failure> {
        let owner = Person::current();
        let folder = match named {
            Some(folder) => {
                owner.create_dir(folder, 0o700).map_err(|e| Failure::file("create", folder, &e))?;
                folder.to_owned()
            }
            None => new_folder(&owner, self.began)?,
        };
        let daemon = self.scratch.daemon();
        let data_dir = self.scratch.data_dir();
        let mut missing = Vec::new();
        let mut note = |what: &str, done: Result<(), Failure>| {
            if let Err(error) = done {
                missing.push(format!("{what}: {}", error.message));
            }
        };
        for path in [paths::calls_file(data_dir), paths::log_file(data_dir)] {
            note("a log", copy(&path, &folder));
        }
        note("instances", instances(&daemon, &folder, self.scratch.status().instances_enabled));
        if self.scratch.status().instances_enabled {
            note("rejected packets", rejects(&daemon, &folder));
            note("the capture", copy(&paths::capture_file(data_dir), &folder));
        }
        let run = json!({
            "program": super::name_of(self.program),
            "exit_status": self.status,
            "began": time(self.began),
            "ended": time(SystemTime::now()),
            "instances": self.scratch.status().instances_enabled,
            "version": self.scratch.status().version,
            "missing": missing,
        });
        write(&folder.join("run.json"), &pretty(&run))?;
        give(&folder, &owner);
        Ok(folder)
    }
}

/// A folder with the time in its name, which nobody else has made.
fn new_folder(owner: &Person, began: SystemTime) -> Result<PathBuf, Failure> {
    let seconds = began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let text = Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)).to_string();
    let text = text.split('.').next().unwrap_or_default();
    let stamp: String = text.chars().filter(|it| it.is_ascii_alphanumeric()).collect();
    let mut number = 1;
    loop {
        let name = match number {
            1 => format!("gureum-run-{stamp}"),
            _ => format!("gureum-run-{stamp}-{number}"),
        };
        let folder = PathBuf::from(name);
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => {
                owner.give(&folder).map_err(|e| Failure::file("give away", &folder, &e))?;
                return Ok(folder);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < SAME_SECOND => {
                number += 1;
            }
            Err(error) => return Err(Failure::file("create", &folder, &error)),
        }
    }
}

fn copy(from: &Path, folder: &Path) -> Result<(), Failure> {
    let Some(name) = from.file_name() else { return Ok(()) };
    let failed = |error: io::Error| Failure::file("copy", from, &error);
    let mut source = File::open(from).map_err(failed)?;
    let mut target = create(&folder.join(name)).map_err(failed)?;
    io::copy(&mut source, &mut target).map(drop).map_err(failed)
}

/// The instances, and what each wrote to its console.
fn instances(daemon: &Daemon, folder: &Path, with_consoles: bool) -> Result<(), Failure> {
    let rows: Vec<InstanceRow> = match daemon.ask(&Request::Instances)? {
        Reply::Instances(rows) => rows,
        other => return Err(unexpected(&other)),
    };
    let value = serde_json::to_value(&rows).unwrap_or_default();
    write(&folder.join("instances.json"), &pretty(&value))?;
    for row in rows.iter().filter(|_| with_consoles) {
        // One that never began to boot has no console.
        let asked = daemon.ask(&Request::Console { id: row.id.clone(), from: 0 });
        if let Ok(Reply::Console { text, .. }) = asked {
            let consoles = folder.join("console");
            fs::create_dir_all(&consoles).map_err(|e| Failure::file("create", &consoles, &e))?;
            write(&consoles.join(format!("{}.txt", row.id)), &text)?;
        }
    }
    Ok(())
}

/// What was rejected, and why.
fn rejects(daemon: &Daemon, folder: &Path) -> Result<(), Failure> {
    let wanted = FlowsArgs { interface: None, flows: false, since: REMEMBERED, limit: REJECTS };
    let report = match daemon.ask(&Request::Flows(wanted))? {
        Reply::Flows(report) => report,
        other => return Err(unexpected(&other)),
    };
    write(&folder.join("rejects.txt"), &flows::text(&report, None))?;
    let value = serde_json::to_value(&report).unwrap_or_default();
    write(&folder.join("rejects.json"), &pretty(&value))
}

/// Writes all packets of a cloud with hosts to a file, from now on until its daemon ends. It is no
/// reason not to run the command where that cannot be.
pub(super) fn capture(scratch: &Scratch) -> Option<JoinHandle<()>> {
    let daemon = scratch.daemon();
    let path = paths::capture_file(scratch.data_dir());
    let mut file = create(&path).ok()?;
    file.write_all(&pcapng::head("all interfaces")).ok()?;
    let mut room = CAPTURE_LIMIT;
    let work = move || {
        let wanted = TraceArgs { frames: true, ..TraceArgs::default() };
        // It ends with the daemon, which is how a stream breaks off.
        let _ = stream::follow(&daemon, wanted, Until::default(), |packet, frames| {
            let to = packet.to.as_deref().unwrap_or("nobody");
            for (head, frame) in packet.frames.iter().zip(&frames) {
                let way = match head.direction {
                    Direction::Egress => Way::Outbound,
                    Direction::Ingress => Way::Inbound,
                };
                let dropped = head.dropped.as_ref().map(|reason| format!(", dropped: {reason}"));
                let comment =
                    format!("from {} to {to}{}", packet.from, dropped.unwrap_or_default());
                let bytes = pcapng::packet(packet.at, frame, way, Some(&comment));
                room = room.saturating_sub(bytes.len() as u64);
                if room > 0 {
                    file.write_all(&bytes).map_err(|e| Failure::file("write", &path, &e))?;
                }
            }
            Ok(1)
        });
    };
    thread::Builder::new().name("gureum-capture".into()).spawn(work).ok()
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    create(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::file("write", path, &error))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn time(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)).to_string()
}

/// Gives everything to the person who called sudo, as far as that can be.
fn give(folder: &Path, owner: &Person) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if owner.give(&path).is_ok() && path.is_dir() {
            give(&path, owner);
        }
    }
}
