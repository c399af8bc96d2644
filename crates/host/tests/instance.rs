//! Real instances on the real machine image: boot, reboot, stop, exec, and nothing left after.

mod common;

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, Instant},
};

use common::{
    A, ANYTHING, B, C, Data, PORT_A, PORT_B, PORT_C, Pinger,
    guest::{next_event, run_as, shell, spec},
    mac, metadata, policy, root, wait_for,
};
use gureum_host::{
    cloud::{Cloud, leftovers},
    error::HostError,
    fabric::port_of_link,
    instance::{CloudFile, Instances},
    netlink::Netlink,
};
use gureum_types::{
    InstanceId, PortIndex,
    host::{HostEvent, InstanceSpec, InterfaceSpec, Run},
};

const SECOND: Duration = Duration::from_secs(1);

fn boot(cloud: &Cloud, spec: &InstanceSpec) -> Duration {
    let started = Instant::now();
    cloud.instances().ensure_running(spec).expect("running");
    started.elapsed()
}

fn state_file(data: &Data, id: &InstanceId) -> PathBuf {
    data.dir.path().join("instances").join(id.as_str()).join("state.json")
}

/// What its shim last said of an instance.
fn state(data: &Data, id: &InstanceId) -> serde_json::Value {
    let text = std::fs::read(state_file(data, id)).expect("a state");
    serde_json::from_slice(&text).expect("JSON")
}

/// Waits until nothing of an instance runs, as far as its supervisor can be seen.
fn wait_off(data: &Data, id: &InstanceId) {
    wait_for("its supervisor to end", 60 * SECOND, || {
        // An ended one has said how; its group is empty a moment later.
        let left = leftovers(data.dir.path()).expect("leftovers");
        let shims = left.iter().filter(|thing| thing.starts_with("shim")).count();
        shims == 0 && state(data, id)["phase"] == "Off"
    });
}

/// The whole life of an instance, in one boot where possible: booting costs seconds.
#[test]
fn an_instance_lives_and_leaves_nothing() {
    if !root() {
        return;
    }
    let data = Data::new();
    let mut config = data.config(policy(&ANYTHING, 1));
    config.cloud_files = vec![CloudFile {
        path: "/usr/local/share/ca-certificates/gureum.crt".into(),
        mode: 0o644,
        contents: b"a certificate\n".to_vec(),
    }];
    let cloud = Cloud::open(config).expect("a cloud");
    metadata::serve(&cloud);
    let instances = cloud.instances();
    let mut events = instances.events().expect("events");
    let spec = spec(1, PORT_A, A);
    let id = &spec.id;
    let started = Instant::now();
    println!("running after {:?}", boot(&cloud, &spec));
    let seen = instances.observe().expect("observed");
    assert_eq!((seen.len(), seen[0].run, seen[0].start), (1, Run::Running, 1));
    // DHCP is the engine's; ready means an address and an SSH server (EC2-24).
    assert_eq!(next_event(&mut events, 60 * SECOND), HostEvent::Ready(id.clone()));
    println!("ready after {:?}", started.elapsed());
    assert!(instances.observe().expect("observed")[0].ready);

    let (_, text) = shell(instances, id, "hostname; ip -4 -o addr show eth0; cat /etc/os-release");
    assert!(text.contains("ip-10-1-1-10"), "{text}");
    assert!(text.contains("10.1.1.10/24") && text.contains("ID=\"amzn\""), "{text}");
    let (_, text) = shell(instances, id, "cat /usr/local/share/ca-certificates/gureum.crt");
    assert_eq!(text, "a certificate\n");

    // Asked again, nothing changes, and nothing waits.
    let before = state(&data, id);
    let times: Vec<_> = (0..20).map(|_| boot(&cloud, &spec)).collect();
    println!("running already: {:?}", times.iter().min());
    assert_eq!(state(&data, id), before);

    harmless(instances, id);
    bounded(&data, instances, id);

    // A reboot keeps the disk, the link and its address.
    let mut netlink =
        Netlink::open_in(&instances.network(id).expect("a network")).expect("netlink");
    let link = netlink.link("eth0").expect("asked").expect("there");
    shell(instances, id, "echo kept > /root/file; sync");
    instances.reboot(id).expect("asked to");
    assert_eq!(next_event(&mut events, 60 * SECOND), HostEvent::Ready(id.clone()));
    assert_eq!(netlink.link("eth0").expect("asked").expect("there").index, link.index);
    assert_eq!(shell(instances, id, "cat /root/file").1, "kept\n");

    // The guest deletes its own link: it comes back (traps 18).
    let deleted = netlink.link("eth0").expect("asked").expect("there");
    netlink.delete_link(deleted.index).expect("deleted");
    assert_eq!(next_event(&mut events, 10 * SECOND), HostEvent::LinkLost(PORT_A));
    assert!(netlink.link("eth0").expect("asked").is_some());

    // It switches itself off; its disk stays; it starts again.
    shell(instances, id, "systemctl poweroff");
    assert_eq!(next_event(&mut events, 60 * SECOND), HostEvent::PoweredOff(id.clone()));
    assert_eq!(instances.observe().expect("observed")[0].run, Run::Off);
    let again = InstanceSpec { start: 2, ..spec.clone() };
    boot(&cloud, &again);
    assert_eq!(next_event(&mut events, 60 * SECOND), HostEvent::Ready(id.clone()));
    assert_eq!(shell(instances, id, "cat /root/file").1, "kept\n");
    assert!(!instances.console(id).expect("a console").is_empty());

    instances.stop(id, false).expect("stopped");
    let seen = instances.observe().expect("observed");
    assert_eq!((seen[0].run, seen[0].start), (Run::Off, 2));
    assert!(matches!(instances.reboot(id), Err(HostError::NotRunning(_))));
    instances.terminate(id).expect("terminated");
    assert_eq!(instances.observe().expect("observed"), []);
    assert!(matches!(instances.stop(id, true), Err(HostError::NoSuchInstance(_))));
    assert!(events.try_recv().is_err(), "what was asked for is no event");
}

/// Interfaces come and go on a running instance and are there after whatever happens to it, the
/// daemon or the link (traps 17, 18).
#[test]
fn interfaces_come_and_go_on_a_running_instance() {
    if !root() {
        return;
    }
    let data = Data::new();
    let mut cloud = data.open(policy(&ANYTHING, 1));
    metadata::serve(&cloud);
    let mut events = cloud.instances().events().expect("events");
    let mut spec = spec(1, PORT_A, A);
    let id = spec.id.clone();
    boot(&cloud, &spec);
    assert_eq!(next_event(&mut events, 60 * SECOND), HostEvent::Ready(id.clone()));
    let [second, third] = [(1, PORT_B), (2, PORT_C)].map(|(device_index, port)| InterfaceSpec {
        id: format!("eni-0000000000000000{port}").parse().expect("an id"),
        port,
        device_index,
        mac: mac(port.0 as u8),
        mtu: 9001,
    });
    // Out of order, and twice: the place is the device index, and nothing is made twice.
    for interface in [&third, &second, &second] {
        cloud.instances().attach_interface(&id, interface).expect("attached");
    }
    let all = [(0, PORT_A, A), (1, PORT_B, B), (2, PORT_C, C)];
    has_interfaces(&cloud, &id, &all);

    // The guest deletes one: it comes back with its address.
    shell(cloud.instances(), &id, "ip link del eth1");
    assert_eq!(next_event(&mut events, 10 * SECOND), HostEvent::LinkLost(PORT_B));
    has_interfaces(&cloud, &id, &all);

    // All are there after a reboot.
    cloud.instances().reboot(&id).expect("asked to");
    assert_eq!(next_event(&mut events, 60 * SECOND), HostEvent::Ready(id.clone()));
    has_interfaces(&cloud, &id, &all);

    // A daemon died before it did what was decided: the next one does, and keeps it.
    spec.interfaces.push(third);
    for round in 0..2 {
        drop(cloud);
        cloud = data.open(policy(&ANYTHING, 1));
        boot(&cloud, &spec);
        has_interfaces(&cloud, &id, &[all[0], all[2]]);
        assert_eq!(ports(&cloud), [PORT_A, PORT_C], "round {round}");
    }
    spec.interfaces.push(second.clone());
    boot(&cloud, &spec);
    has_interfaces(&cloud, &id, &all);
    drop(cloud);
    cloud = data.open(policy(&ANYTHING, 1));
    assert_eq!(ports(&cloud), [PORT_A, PORT_B, PORT_C], "what was attached is nobody's no more");

    // All are there after a stop and a start.
    events = cloud.instances().events().expect("events");
    cloud.instances().stop(&id, false).expect("stopped");
    assert_eq!(ports(&cloud), []);
    spec.start = 2;
    boot(&cloud, &spec);
    loop {
        if next_event(&mut events, 60 * SECOND) == HostEvent::Ready(id.clone()) {
            break;
        }
    }
    has_interfaces(&cloud, &id, &all);

    // Another one in the place of the second; then both go, and nothing is left of them.
    let instances = cloud.instances();
    let other = InterfaceSpec { device_index: 2, ..second.clone() };
    instances.attach_interface(&id, &other).expect("attached");
    has_interfaces(&cloud, &id, &[all[0], (2, PORT_B, B)]);
    assert_eq!(ports(&cloud), [PORT_A, PORT_B]);
    for _ in 0..2 {
        instances.detach_interface(&id, &other.id).expect("detached");
    }
    has_interfaces(&cloud, &id, &all[..1]);
    assert_eq!(ports(&cloud), [PORT_A]);
    let gone = instances.attach_interface(&"i-00000000000000009".parse().expect("an id"), &second);
    assert!(matches!(gone, Err(HostError::NoSuchInstance(_))), "{gone:?}");
    instances.stop(&id, true).expect("stopped");
    let off = instances.attach_interface(&id, &second);
    assert!(matches!(off, Err(HostError::NotRunning(_))), "{off:?}");
    assert_eq!(ports(&cloud), []);
}

/// Waits until an instance has these interfaces (device index, port, address) with their hardware
/// addresses, and the default route by the first alone; and no others.
fn has_interfaces(cloud: &Cloud, id: &InstanceId, wanted: &[(u32, PortIndex, Ipv4Addr)]) {
    let expected: Vec<_> = wanted
        .iter()
        .map(|(device_index, port, address)| {
            let mac = mac(port.0 as u8).map(|byte| format!("{byte:02x}")).join(":");
            format!("eth{device_index} {mac} {address}")
        })
        .collect();
    let line = "cd /sys/class/net; for i in eth*; do \
                echo $i $(cat $i/address) $(ip -4 -o addr show $i | awk '{print $4}' | cut -d/ -f1); \
                done";
    wait_for(&format!("{expected:?}"), 30 * SECOND, || {
        let (_, text) = shell(cloud.instances(), id, line);
        let found: Vec<_> = text.lines().collect();
        println!("{found:?}");
        found == expected
    });
    let (_, routes) =
        shell(cloud.instances(), id, "ip route show default; ip -6 route show default");
    let ways: Vec<_> = routes.lines().filter(|line| !line.contains("dev eth0")).collect();
    assert!(ways.is_empty() && routes.contains("dev eth0"), "{routes}");
}

/// The ports of instances: those in service, which are those that have a link.
fn ports(cloud: &Cloud) -> Vec<PortIndex> {
    let losses = cloud.datapath().losses().blocking_recv().expect("an answer");
    let in_service: Vec<_> = losses.into_iter().map(|(port, _)| port).collect();
    let mut fabric = Netlink::open_in(&cloud.namespaces().fabric).expect("netlink");
    let links = fabric.links().expect("links");
    let mut linked: Vec<_> = links.iter().filter_map(|link| port_of_link(&link.name)).collect();
    linked.sort();
    assert_eq!(in_service, linked);
    linked.into_iter().filter(|port| *port >= PortIndex::FIRST_INTERFACE).collect()
}

/// Traps 13: root inside is nobody outside.
fn harmless(instances: &Instances, id: &InstanceId) {
    let (_, text) = shell(instances, id, "cat /proc/self/uid_map");
    assert!(text.split_whitespace().nth(1) != Some("0"), "{text}");
    for line in [
        "echo /tmp/x > /proc/sys/kernel/core_pattern",
        "echo b > /proc/sysrq-trigger",
        "mknod /root/sda b 8 0",
        "mount -t ext4 /dev/vda /mnt",
        "cat /proc/kcore",
        "test -e /dev/loop0",
        "dmesg -C",
    ] {
        assert_ne!(shell(instances, id, line).0, 0, "{line}");
    }
    let line = "ls /proc | grep -c '^[0-9]'; id; touch /root/mine; test -w /sys";
    let (code, text) = shell(instances, id, line);
    assert!(code != 0 && text.contains("uid=0(root)"), "{text}");
    // What an instance's root may do, as on any machine of its own.
    for line in [
        "ip link add v0 type veth peer name v1 && ip link del v0",
        "mount -t tmpfs none /mnt && umount /mnt",
        "hostname x && hostname ip-10-1-1-10",
    ] {
        assert_eq!(shell(instances, id, line).0, 0, "{line}");
    }
    assert_eq!(run_as(instances, id, "nobody", "id -un", false), (0, "nobody\n".into()));
    let (code, text) = run_as(instances, id, "root", "tty; exit 3", true);
    assert!(code == 3 && text.contains("/dev/pts/"), "{text}");
}

fn bounded(data: &Data, instances: &Instances, id: &InstanceId) {
    // The disk of 256 MB ends; the machine's does not.
    let (code, text) = shell(instances, id, "dd if=/dev/zero of=/root/big bs=1M count=400 2>&1");
    assert!(code != 0 && text.contains("No space left"), "{text}");
    assert_eq!(shell(instances, id, "rm /root/big").0, 0);
    let line = "i=0; while [ $i -lt 600 ]; do sleep 5 & i=$((i+1)); done; wait";
    let (_, text) = shell(instances, id, line);
    assert!(text.contains("fork"), "{text}");
    // 512 MB of memory, whatever the machine has.
    let (code, text) = shell(instances, id, "python3 -c 'x = bytearray(700 << 20)'; echo $?");
    assert!(code == 0 && text.contains("137"), "{text}");
    // A flooded console stays bounded and keeps nobody from being heard; the reboot that follows
    // shows it.
    shell(instances, id, "setsid yes flooded > /dev/console 2>&1 < /dev/null &");
    wait_for("the console to be flooded", 10 * SECOND, || {
        let console = instances.console(id).expect("a console");
        assert!(console.len() <= 300 << 10, "{} bytes", console.len());
        console.ends_with(b"flooded\r\n") && console.len() > 100 << 10
    });
    // What was written and removed is given back: an idle instance keeps 10 MB at most.
    shell(instances, id, "sync; fstrim / 2>/dev/null");
    let disk = data.dir.path().join("instances").join(id.as_str()).join("disk.img");
    wait_for("the disk to shrink", 30 * SECOND, || {
        let blocks = std::os::unix::fs::MetadataExt::blocks(&disk.metadata().expect("a disk"));
        println!("disk {} kB", blocks / 2);
        blocks * 512 < 10 << 20
    });
}

/// The daemon dies and comes back: the instance, its links and its traffic go on (traps 14).
#[test]
fn instances_outlive_the_daemon() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    metadata::serve(&cloud);
    let (a, b) = (spec(1, PORT_A, A), spec(2, PORT_B, B));
    boot(&cloud, &a);
    boot(&cloud, &b);
    wait_for("both to be ready", 60 * SECOND, || {
        cloud.instances().observe().expect("observed").iter().all(|seen| seen.ready)
    });
    let network = cloud.instances().network(&a.id).expect("a network");
    let mut pinger = Pinger::new(&network, B, 7);
    pinger.ping(5 * SECOND).expect("an answer");
    drop(cloud);
    // Its watcher may hold the data path for as long as a look takes.
    wait_for("nobody to forward", 10 * SECOND, || pinger.ping(SECOND / 2).is_none());

    let cloud = data.open(policy(&ANYTHING, 1));
    pinger.ping(5 * SECOND).expect("an answer");
    let seen = cloud.instances().observe().expect("observed");
    assert!(seen.iter().all(|seen| seen.run == Run::Running && seen.start == 1), "{seen:?}");
    let mut events = cloud.instances().events().expect("events");
    for _ in 0..2 {
        assert!(matches!(next_event(&mut events, 10 * SECOND), HostEvent::Ready(_)));
    }

    // A killed supervisor takes its guest along, and that is told.
    let group = std::fs::read_to_string("/proc/mounts").expect("mounts");
    let mount = group.lines().find(|line| line.contains(" cgroup2 ")).expect("a hierarchy");
    let mount = mount.split(' ').nth(1).expect("a path");
    let tag = cloud.tag().cgroup();
    let kill = format!("{mount}/{tag}/{}/cgroup.kill", b.id);
    std::fs::write(kill, "1").expect("killed");
    assert_eq!(next_event(&mut events, 10 * SECOND), HostEvent::Died(b.id.clone()));
    boot(&cloud, &b);

    cloud.down(20 * SECOND).expect("down");
    assert_eq!(leftovers(data.dir.path()).expect("leftovers"), Vec::<String>::new());
    let disk = data.dir.path().join("instances").join(a.id.as_str()).join("disk.img");
    assert!(disk.exists(), "data stays");
}

/// The daemon is away while an instance switches itself off: it stays off, and that is told as
/// soon as there is somebody to tell. The machine is away: whoever wants it to run starts it.
#[test]
fn an_instance_that_switched_itself_off_unseen_is_told_of() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    metadata::serve(&cloud);
    let a = spec(1, PORT_A, A);
    boot(&cloud, &a);
    wait_for("it to be ready", 60 * SECOND, || {
        cloud.instances().observe().expect("observed").iter().all(|seen| seen.ready)
    });
    let init = state(&data, &a.id)["init"].as_i64().expect("a number");
    drop(cloud);
    // As `systemctl poweroff` does.
    // SAFETY: takes integers; the instance runs, so the number is its init's.
    unsafe { libc::kill(init as i32, libc::SIGRTMIN() + 4) };
    wait_off(&data, &a.id);

    for _ in 0..2 {
        let cloud = data.open(policy(&ANYTHING, 1));
        let mut events = cloud.instances().events().expect("events");
        assert_eq!(next_event(&mut events, 10 * SECOND), HostEvent::PoweredOff(a.id.clone()));
        // Whoever has not heard it yet wants the same start of it to run.
        boot(&cloud, &a);
        assert_eq!(cloud.instances().observe().expect("observed")[0].run, Run::Off);
        assert_eq!(next_event(&mut events, 10 * SECOND), HostEvent::PoweredOff(a.id.clone()));
    }

    // In another boot of the machine that is no news: it was on until the machine went off.
    let mut word = state(&data, &a.id);
    word["boot_id"] = "another".into();
    std::fs::write(state_file(&data, &a.id), word.to_string()).expect("written");
    let cloud = data.open(policy(&ANYTHING, 1));
    let mut events = cloud.instances().events().expect("events");
    boot(&cloud, &a);
    assert_eq!(cloud.instances().observe().expect("observed")[0].run, Run::Running);
    assert_eq!(next_event(&mut events, 60 * SECOND), HostEvent::Ready(a.id.clone()));

    // What was ordered is no news either, nor what was acted on.
    cloud.down(20 * SECOND).expect("down");
    assert_eq!(state(&data, &a.id)["phase"], "Off");
    drop(cloud);
    let cloud = data.open(policy(&ANYTHING, 1));
    metadata::serve(&cloud);
    let mut events = cloud.instances().events().expect("events");
    boot(&cloud, &a);
    assert_eq!(next_event(&mut events, 60 * SECOND), HostEvent::Ready(a.id.clone()));
    shell(cloud.instances(), &a.id, "systemctl poweroff");
    assert_eq!(next_event(&mut events, 60 * SECOND), HostEvent::PoweredOff(a.id.clone()));
    cloud.instances().stop(&a.id, false).expect("stopped");
    drop(cloud);
    let cloud = data.open(policy(&ANYTHING, 1));
    boot(&cloud, &a);
    assert_eq!(cloud.instances().observe().expect("observed")[0].run, Run::Running);
    cloud.down(Duration::ZERO).expect("down");
}

#[test]
fn a_missing_image_is_told_and_leaves_no_process() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    let spec = InstanceSpec { image: "nothing-1".into(), ..spec(1, PORT_A, A) };
    let error = cloud.instances().ensure_running(&spec).expect_err("no such image");
    assert!(matches!(&error, HostError::Image(..)), "{error}");
    assert!(error.to_string().contains("make image"), "{error}");
    assert!(cloud.instances().network(&spec.id).is_err());
    cloud.instances().terminate(&spec.id).expect("terminated");
}
