//! What this machine can do and what it lacks: the facts behind `gureum doctor`.

use std::{fs, path::Path};

use nix::{
    sched::{CloneFlags, unshare},
    sys::statvfs::statvfs,
    unistd::Uid,
};

use crate::{cgroup::Cgroups, fabric, light::steer::Steer, limits, tag::Tag};

/// One thing about this machine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fact {
    /// What it is about.
    pub name: String,
    /// Whether it is as a cloud needs it.
    pub ok: bool,
    /// How it is.
    pub detail: String,
    /// What to do when it is not.
    pub remedy: Option<String>,
}

/// A free disk below this is worth a word: an image and some instances fit.
const FREE_DISK: u64 = 4 << 30;
/// What one socket may queue without root's force (traps 1).
const RMEM: u64 = 4 << 20;

/// Looks at everything that a cloud with its data in `data_dir` depends on. It changes nothing.
pub fn probe(data_dir: &Path) -> Vec<Fact> {
    let mut facts = vec![root(), namespaces(), cgroups(data_dir), loop_devices(), overlay()];
    facts.push(program("mkfs.ext4", "e2fsprogs", "disks of instances"));
    facts.push(program("mmdebstrap", "mmdebstrap", "building the machine image"));
    for (name, package) in crate::uplink::PROGRAMS {
        facts.push(program(name, package, "`gureum up --uplink`"));
    }
    facts.push(disk(data_dir));
    facts.push(receive_buffers());
    facts.push(ipv6());
    facts.push(light_hosts());
    facts.push(subordinate_ids());
    facts.extend(kernel_limits());
    facts
}

fn fact(name: &str, ok: bool, detail: impl Into<String>, remedy: impl Into<String>) -> Fact {
    let remedy = (!ok).then(|| remedy.into());
    Fact { name: name.into(), ok, detail: detail.into(), remedy }
}

fn ipv6() -> Fact {
    let there = fabric::has_ipv6();
    let detail = if there { "instances may have it" } else { "instances have IPv4 alone" };
    fact("IPv6", there, detail, "boot the kernel without ipv6.disable=1")
}

/// Tries to give the kernel the program that opens all ports of a light host.
fn light_hosts() -> Fact {
    let name = "light hosts";
    if !Uid::effective().is_root() {
        return fact(name, true, "`up --instances light` needs root, which finds out more", "");
    }
    match Steer::load() {
        Ok(_) => fact(name, true, "the kernel takes their program of BPF", ""),
        Err(error) => fact(name, false, error.to_string(), "use full instances"),
    }
}

fn root() -> Fact {
    let uid = Uid::effective();
    fact("root", uid.is_root(), format!("effective user {uid}"), "run with sudo")
}

/// Tries on a thread whose namespaces nobody shares.
fn namespaces() -> Fact {
    let all = CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWCGROUP;
    let made = std::thread::spawn(move || unshare(all)).join();
    let users = read_number("/proc/sys/user/max_user_namespaces").unwrap_or(0);
    match made {
        Ok(Ok(())) if users > 0 => {
            fact("namespaces", true, "network, mount, uts, ipc, cgroup, user", "")
        }
        Ok(Ok(())) => fact(
            "namespaces",
            false,
            "user namespaces are switched off",
            "sysctl -w user.max_user_namespaces=65536",
        ),
        Ok(Err(errno)) => {
            fact("namespaces", false, errno.desc(), "run as root, outside a restricted container")
        }
        Err(_) => fact("namespaces", false, "the trial failed", "report it"),
    }
}

fn cgroups(data_dir: &Path) -> Fact {
    let any = || "00000000".parse::<Tag>();
    let Ok(tag) = Tag::of(data_dir).or_else(|_| any()) else {
        return fact("cgroups", false, "no tag", "report it");
    };
    match Cgroups::find(tag) {
        Err(error) => fact("cgroups", false, error.to_string(), "mount the cgroup2 file system"),
        Ok(cgroups) => {
            let missing = cgroups.missing_controllers();
            let remedy = format!(
                "boot with the controllers {} enabled; without them instances are not bounded",
                missing.join(", ")
            );
            fact("cgroups", missing.is_empty(), cgroups.mode(), remedy)
        }
    }
}

fn loop_devices() -> Fact {
    let there = Path::new("/dev/loop-control").exists();
    let detail = if there { "there" } else { "there is no /dev/loop-control" };
    fact("loop devices", there, detail, "modprobe loop")
}

fn overlay() -> Fact {
    let table = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let loaded = table.lines().any(|line| line.ends_with("\toverlay"));
    let detail = match loaded {
        true => "overlay is known to the kernel",
        // As after every boot, until the first instance is mounted.
        false if is_module("overlay") => "overlay is a module, which is loaded when it is needed",
        false => {
            return fact("file systems", false, "the kernel knows no overlay", "modprobe overlay");
        }
    };
    fact("file systems", true, detail, "")
}

/// Whether the running kernel has a module of that name to load.
fn is_module(name: &str) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let index = Path::new("/lib/modules").join(release.trim()).join("modules.dep");
    lists_module(&fs::read_to_string(index).unwrap_or_default(), name)
}

/// Whether a `modules.dep` has a module: lines of `kernel/fs/NAME.ko[.xz]: what it needs`.
fn lists_module(index: &str, name: &str) -> bool {
    let mut files = index.lines().filter_map(|line| line.split(':').next()?.rsplit('/').next());
    files.any(|file| {
        file.strip_prefix(name).is_some_and(|rest| rest == ".ko" || rest.starts_with(".ko."))
    })
}

fn program(name: &str, package: &str, purpose: &str) -> Fact {
    let mut folders: Vec<_> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    // What an ordinary user's path leaves out, root's has.
    folders.extend(["/usr/sbin", "/sbin"].map(Into::into));
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    let detail = match &found {
        Some(path) => path.display().to_string(),
        None => format!("not found; needed for {purpose}"),
    };
    fact(name, found.is_some(), detail, format!("apt-get install {package}"))
}

fn disk(data_dir: &Path) -> Fact {
    // The nearest folder that is there.
    let there = data_dir.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    match statvfs(there) {
        Err(errno) => fact("disk", false, errno.desc(), "choose another --data-dir"),
        Ok(stat) => {
            let free = stat.blocks_available() * stat.fragment_size();
            let detail = format!("{} MB free below {}", free >> 20, there.display());
            fact("disk", free >= FREE_DISK, detail, "free some space or choose another --data-dir")
        }
    }
}

fn receive_buffers() -> Fact {
    let name = "net.core.rmem_max";
    let have = read_number("/proc/sys/net/core/rmem_max").unwrap_or(0);
    // Root forces what it needs past this limit.
    let ok = have >= RMEM || Uid::effective().is_root();
    fact("receive buffers", ok, format!("{name} is {have}"), format!("sysctl -w {name}={RMEM}"))
}

fn subordinate_ids() -> Fact {
    // Root may map any id; the range of the machine image must only be nobody else's.
    let base = 1_879_048_192_u64;
    let end = base + 65_536;
    let clash = ["/etc/subuid", "/etc/subgid"].iter().find_map(|file| {
        let table = fs::read_to_string(file).unwrap_or_default();
        table.lines().find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let [owner, from, count] = fields.as_slice() else { return None };
            let (from, count): (u64, u64) = (from.parse().ok()?, count.parse().ok()?);
            (from < end && from + count > base)
                .then(|| format!("{file} gives {owner} {from}:{count}"))
        })
    });
    let detail = match &clash {
        None => format!("{base} to {} are nobody else's", end - 1),
        Some(clash) => format!("{clash}, which instances use too"),
    };
    fact("subordinate ids", clash.is_none(), detail, "move that range")
}

fn kernel_limits() -> Vec<Fact> {
    let low = limits::too_low();
    if low.is_empty() {
        return vec![fact("kernel limits", true, "high enough", "")];
    }
    // `up` raises them, so they are in order for whoever may.
    let able = Uid::effective().is_root();
    low.into_iter()
        .map(|limits::Raised { name, from, to, why, .. }| {
            let detail = format!("{from}, `up` raises it to {to}: {why}");
            fact(name, able, detail, format!("sysctl -w {name}={to}"))
        })
        .collect()
}

fn read_number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_known_by_its_file() {
        let index = "kernel/fs/overlayfs/overlay.ko:\nkernel/fs/fuse/virtiofs.ko.xz: \
                     kernel/fs/fuse/fuse.ko.xz\nkernel/drivers/overlay2.ko:\n";
        assert!(lists_module(index, "overlay") && lists_module(index, "virtiofs"));
        assert!(!lists_module(index, "fuse"), "named as what another one needs");
        assert!(!lists_module(index, "over") && !lists_module("", "overlay"));
    }

    #[test]
    fn every_fact_that_is_not_in_order_says_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let facts = probe(&dir.path().join("not/there/yet"));
        assert!(facts.len() > 8);
        for fact in facts {
            assert_eq!(fact.remedy.is_some(), !fact.ok, "{fact:?}");
            assert!(!fact.detail.is_empty() && fact.remedy.as_deref() != Some(""), "{fact:?}");
        }
    }
}
