//! Limits of the machine that a cloud meets sooner than others: raised, and told about (traps 15).

use std::{fs, path::PathBuf};

use crate::error::{HostError, Result};

/// A kernel parameter and what a cloud wants it to be at least.
struct Wanted {
    name: &'static str,
    at_least: u64,
    why: &'static str,
}

const WANTED: [Wanted; 5] = [
    Wanted {
        name: "fs.inotify.max_user_instances",
        at_least: 8192,
        why: "systemd in an instance uses about nine",
    },
    Wanted {
        name: "fs.inotify.max_user_watches",
        at_least: 1 << 19,
        why: "all instances count as one user",
    },
    Wanted {
        name: "kernel.keys.maxkeys",
        at_least: 20_000,
        why: "systemd makes a keyring for every service",
    },
    Wanted {
        name: "kernel.keys.maxbytes",
        at_least: 2_000_000,
        why: "systemd makes a keyring for every service",
    },
    Wanted {
        name: "kernel.pty.max",
        at_least: 16_384,
        why: "an instance's console and every login in it take one",
    },
];

/// Inotify instances that one instance takes while it boots.
const INOTIFY_PER_INSTANCE: u64 = 10;

/// A kernel parameter that was too low.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// Its name as sysctl(8) writes it.
    pub name: &'static str,
    /// What it was.
    pub from: u64,
    /// What a cloud wants.
    pub to: u64,
    /// Why.
    pub why: &'static str,
    /// Whether it now is what a cloud wants.
    pub done: bool,
}

/// The parameters that are too low, without touching them.
pub fn too_low() -> Vec<Raised> {
    let check = |wanted: &Wanted| {
        // Absent where the kernel was built without the feature: nothing to raise.
        let from = read(wanted.name)?;
        let Wanted { name, at_least: to, why } = *wanted;
        (from < to).then_some(Raised { name, from, to, why, done: false })
    };
    WANTED.iter().filter_map(check).collect()
}

/// Raises what is too low and returns what it found so.
pub fn raise() -> Vec<Raised> {
    let mut found = too_low();
    for raised in &mut found {
        raised.done = fs::write(path(raised.name), raised.to.to_string()).is_ok();
    }
    found
}

/// Whether one more instance beside `running` finds what it needs to boot.
pub(crate) fn check_room(running: usize) -> Result<()> {
    let name = "fs.inotify.max_user_instances";
    let needed = (running as u64 + 1) * INOTIFY_PER_INSTANCE;
    match read(name) {
        Some(have) if have < needed => Err(HostError::InsufficientCapacity(format!(
            "{running} instances run and {name} is {have}, too low for one more: run `sysctl -w \
             {name}=8192`"
        ))),
        _ => Ok(()),
    }
}

fn read(name: &str) -> Option<u64> {
    fs::read_to_string(path(name)).ok()?.trim().parse().ok()
}

fn path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(name.replace('.', "/"))
}
