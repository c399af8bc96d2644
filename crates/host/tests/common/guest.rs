//! Instances on the real machine image: how a test specifies one, runs things in it and waits.
//!
//! The image is looked for in `GUREUM_IMAGES_DIR`, else below the cache folder; `make image`
//! builds it.

use std::{fs::File, io::Read, net::Ipv4Addr, os::fd::OwnedFd, time::Duration};

use gureum_host::{
    exec::{ExecRequest, ExecStreams},
    instance::Instances,
};
use gureum_types::{
    InstanceId, PortIndex,
    host::{HostEvent, InstanceSpec, InterfaceSpec, Limits},
};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{images, mac};

/// A small instance with one interface.
pub fn spec(n: u32, port: PortIndex, address: Ipv4Addr) -> InstanceSpec {
    let image = images().join("debian-12/image.json");
    assert!(
        image.exists(),
        "{} is missing: build the machine image with `make image`",
        image.display()
    );
    InstanceSpec {
        id: format!("i-0{n:016x}").parse().expect("an id"),
        start: 1,
        image: "debian-12".into(),
        login_user: "ec2-user".into(),
        hostname: format!("ip-{}", address.to_string().replace('.', "-")),
        region: "ap-northeast-2".into(),
        flavor: "amzn2".into(),
        limits: Limits {
            memory_bytes: 512 << 20,
            cpu_millis: 1000,
            processes: 512,
            disk_bytes: 256 << 20,
        },
        interfaces: vec![InterfaceSpec {
            id: format!("eni-0{n:016x}").parse().expect("an id"),
            port,
            device_index: 0,
            mac: mac(port.0 as u8),
            mtu: 9001,
        }],
    }
}

/// Runs a shell line inside and returns its exit code and what it wrote.
pub fn shell(instances: &Instances, id: &InstanceId, line: &str) -> (i32, String) {
    run_as(instances, id, "root", line, false)
}

pub fn run_as(
    instances: &Instances,
    id: &InstanceId,
    user: &str,
    line: &str,
    terminal: bool,
) -> (i32, String) {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let null: OwnedFd = File::open("/dev/null").expect("opened").into();
    let request = ExecRequest {
        argv: ["/bin/sh", "-c", line].map(str::to_owned).into(),
        user: user.into(),
        environment: Vec::new(),
        terminal,
    };
    let error = writer.try_clone().expect("cloned").into();
    let streams = ExecStreams { input: null, output: writer.into(), error };
    let mut execution = instances.exec(id, &request, streams).expect("started");
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("read");
    (execution.wait().expect("ended").code().unwrap_or(-1), text)
}

pub fn next_event(events: &mut UnboundedReceiver<HostEvent>, patience: Duration) -> HostEvent {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let wait = async { tokio::time::timeout(patience, events.recv()).await };
    runtime.expect("a runtime").block_on(wait).expect("an event in time").expect("an event")
}
