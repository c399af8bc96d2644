//! How fast instances run and let one in, and what an idle one costs.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use gureum_e2e::{Cloud, Done, Host, Stage, processes_of};

use crate::report::{Report, Target, median, millis};

/// How many single launches are measured.
const LAUNCHES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(120);
/// When an instance counts as idle.
const SETTLE: Duration = Duration::from_secs(15);

/// One instance at a time: to `running`, to the first login.
pub(crate) fn one(stage: &mut Stage<'_>, report: &mut Report) {
    let (mut running, mut logins) = (Vec::new(), Vec::new());
    for _ in 0..LAUNCHES {
        let start = Instant::now();
        let id = stage.run_instances("bench", 1).remove(0);
        while stage.state(&id) != "running" {
            assert!(start.elapsed() < PATIENCE, "{id} does not run");
            thread::sleep(Duration::from_millis(2));
        }
        running.push(start.elapsed());
        let host = stage.host(&id);
        logins.push(first_login(stage, &host, start));
        stage.ec2.call("TerminateInstances", &[("InstanceId.1", &id)]);
        stage.wait_state(&id, "terminated");
    }
    report.add_median("RunInstances to running", &running, 500.0);
    let login = median(&logins).as_secs_f64();
    report.add("RunInstances to the first SSH login", login, "s", Target::AtMost(8.0));
}

/// Tries OpenSSH until it gets in.
fn first_login(stage: &Stage<'_>, host: &Host, start: Instant) -> Duration {
    loop {
        let mut ssh = stage.ssh(&host.public);
        if Done::run(ssh.arg("true")).status == 0 {
            return start.elapsed();
        }
        assert!(start.elapsed() < PATIENCE, "{} lets nobody in", host.id);
        thread::sleep(Duration::from_millis(50));
    }
}

/// Five instances at once: until one is logged in to all of them.
pub(crate) fn five(stage: &mut Stage<'_>, report: &mut Report) -> Vec<Host> {
    let start = Instant::now();
    let ids = stage.run_instances("bench", 5);
    let hosts: Vec<Host> = ids.iter().map(|id| stage.host_when_running(id)).collect();
    let shown = &*stage;
    let commands: Vec<_> = hosts.iter().map(|host| shown.ssh(&host.public)).collect();
    let times = thread::scope(|scope| {
        let logins: Vec<_> = commands
            .into_iter()
            .map(|command| scope.spawn(move || repeat_until_in(&command, start)))
            .collect();
        logins.into_iter().map(|login| login.join().expect("a login")).collect::<Vec<_>>()
    });
    let last = times.into_iter().max().expect("five").as_secs_f64();
    report.add("five at once, to the last first SSH login", last, "s", Target::AtMost(15.0));
    for id in &ids {
        stage.wait_ready(id);
    }
    hosts
}

fn repeat_until_in(command: &Command, start: Instant) -> Duration {
    loop {
        let mut ssh = Command::new(command.get_program());
        if Done::run(ssh.args(command.get_args()).arg("true")).status == 0 {
            return start.elapsed();
        }
        assert!(start.elapsed() < PATIENCE, "{command:?} does not get in");
        thread::sleep(Duration::from_millis(100));
    }
}

/// What an idle instance takes of memory and of disk.
pub(crate) fn idle(cloud: &Cloud, hosts: &[Host], report: &mut Report) {
    thread::sleep(SETTLE);
    let memory: Vec<f64> = hosts.iter().map(|host| memory(&host.id)).collect();
    report.add("memory of an idle instance", median(&memory), "MB", Target::AtMost(60.0));
    let disk: Vec<f64> = hosts.iter().map(|host| disk(cloud, &host.id)).collect();
    report.add("disk of an idle instance", median(&disk), "MB", Target::AtMost(10.0));
    let daemon = u32::try_from(cloud.daemon_pid()).expect("a pid");
    let resident = crate::start::resident(daemon);
    report.add("resident with five instances", resident, "MB", Target::Measured);
    let mut ping = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        cloud.exec(&hosts[0].id, "true").ok();
        ping.push(start.elapsed());
    }
    report.add("gureum exec of true", millis(median(&ping)), "ms", Target::Measured);
}

/// The processes of an instance, its supervisor included, with their share of what they share,
/// and what the kernel keeps for them. Files that are only cached are the machine's to drop.
fn memory(id: &str) -> f64 {
    let group = find(Path::new("/sys/fs/cgroup"), id);
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let kernel = read("memory.kmem.usage_in_bytes").and_then(|text| number(&text)).or_else(|| {
        let stat = read("memory.stat")?;
        stat.lines().find_map(|line| number(line.strip_prefix("kernel ")?))
    });
    let processes: BTreeSet<i32> = processes_of(id);
    assert!(processes.len() >= 4, "{id} has a supervisor, an init and services: {processes:?}");
    let share = |pid: i32| {
        // One that ended meanwhile takes nothing.
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        line.and_then(|line| number(line.trim().trim_end_matches(" kB"))).unwrap_or(0.0) * 1024.0
    };
    let own: f64 = processes.into_iter().map(share).sum();
    (own + kernel.expect("the kernel's memory of the group")) / 1e6
}

/// The group of that name that accounts for memory.
fn find(folder: &Path, name: &str) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            if entry.file_name() == name && path.join("memory.stat").is_file() {
                return path;
            }
            folders.push(path);
        }
    }
    panic!("no memory cgroup of {name}")
}

/// Blocks that the folder of an instance takes.
fn disk(cloud: &Cloud, id: &str) -> f64 {
    let folder = cloud.data_dir().join("instances").join(id);
    Done::run(&mut Command::new("sync")).ok();
    let du = Done::run(Command::new("du").args(["-s", "--block-size=1"]).arg(folder)).ok();
    let bytes: f64 = du.split_whitespace().next().expect("a size").parse().expect("a number");
    bytes / 1e6
}
