//! Interfaces that are attached to and detached from an instance while it runs, as its user, its
//! metadata and the API see them.

use std::time::Duration;

use gureum_e2e::{Cloud, Stage, root_or_skip, wait};

const PATIENCE: Duration = Duration::from_secs(60);

/// One line for each `eth`: name, hardware address and IPv4 address as the kernel has them, then
/// what the metadata service says about an interface of that hardware address (IMDS-24).
const SHOW: &str = "\
cd /sys/class/net; for name in eth*; do mac=$(cat $name/address); \
of=http://169.254.169.254/latest/meta-data/network/interfaces/macs/$mac; \
address=$(ip -4 -o address show dev $name | awk '{print $4}' | cut -d/ -f1); \
echo $name $mac $address eth$(curl -sf --max-time 3 $of/device-number) \
$(curl -sf --max-time 3 $of/local-ipv4s) $(curl -sf --max-time 3 $of/interface-id); done";

/// An interface as the API made it.
struct Interface {
    id: String,
    mac: String,
    address: String,
}

impl Interface {
    fn create(stage: &mut Stage<'_>, subnet: &str) -> Self {
        let made = stage.ec2.call("CreateNetworkInterface", &[("SubnetId", subnet)]);
        Self {
            id: made.text("networkInterfaceId"),
            mac: made.text("macAddress"),
            address: made.text("privateIpAddress"),
        }
    }

    fn attach(&self, stage: &mut Stage<'_>, instance: &str, device_index: u32) -> String {
        let place = device_index.to_string();
        let which = [("NetworkInterfaceId", &*self.id), ("InstanceId", instance)];
        let place = [("DeviceIndex", &*place)];
        let made = stage.ec2.call("AttachNetworkInterface", &[&which[..], &place[..]].concat());
        made.text("attachmentId")
    }

    fn line(&self, device_index: u32) -> String {
        let Self { id, mac, address } = self;
        format!("eth{device_index} {mac} {address} eth{device_index} {address} {id}")
    }
}

/// Waits until these are the interfaces beside the first, here and in the metadata.
fn wait_for_interfaces(cloud: &Cloud, id: &str, what: &str, wanted: &[String]) {
    let mut last = String::new();
    wait(&format!("{what}: {wanted:?}"), PATIENCE, || {
        let done = cloud.exec(id, SHOW);
        let found: Vec<_> = done.stdout.lines().filter(|it| !it.starts_with("eth0")).collect();
        if done.stdout != last {
            println!("{what}: {found:?}");
            last.clone_from(&done.stdout);
        }
        found == wanted
    });
    let routes = cloud.exec(id, "ip route show default").ok();
    assert!(routes.lines().all(|line| line.contains("dev eth0")), "traps 17: {routes}");
}

#[test]
// ENI-2, ENI-4, IMDS-24, IMDS-25, L2-6
fn hosts_interfaces_come_and_go_while_an_instance_runs() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    // A t2.micro has room for two interfaces (ENI-5).
    let one = stage.run_instances_with("one", &[("InstanceType", "t2.medium")]).text("instanceId");
    stage.wait_ready(&one);
    let one = stage.host(&one);
    let two = stage.launch("two");
    let subnet = cloud.instance(&one.id, "SubnetId");
    let (second, third) =
        (Interface::create(&mut stage, &subnet), Interface::create(&mut stage, &subnet));
    third.attach(&mut stage, &one.id, 2);
    wait_for_interfaces(&cloud, &one.id, "the third", &[third.line(2)]);
    let attachment = second.attach(&mut stage, &one.id, 1);
    let both = [second.line(1), third.line(2)];
    wait_for_interfaces(&cloud, &one.id, "both", &both);
    // It carries packets of its own.
    let ping = format!("ping -n -c 1 -W 2 -I eth1 {}", two.private);
    cloud.exec(&one.id, &ping).ok();

    // Its root deletes one; it comes back (traps 18).
    cloud.exec(&one.id, "ip link delete eth1").ok();
    wait_for_interfaces(&cloud, &one.id, "deleted by its guest", &both);
    cloud.exec(&one.id, &ping).ok();

    let boot = "systemctl show -p UserspaceTimestampMonotonic --value";
    let before = cloud.exec(&one.id, boot).ok();
    stage.ec2.call("RebootInstances", &[("InstanceId.1", &*one.id)]);
    wait("the reboot", PATIENCE, || {
        let now = cloud.exec(&one.id, boot);
        now.status == 0 && now.stdout != before
    });
    wait_for_interfaces(&cloud, &one.id, "after a reboot", &both);

    stage.ec2.call("StopInstances", &[("InstanceId.1", &*one.id)]);
    stage.wait_state(&one.id, "stopped");
    stage.ec2.call("StartInstances", &[("InstanceId.1", &*one.id)]);
    stage.wait_state(&one.id, "running");
    stage.wait_ready(&one.id);
    wait_for_interfaces(&cloud, &one.id, "after a stop and a start", &both);

    stage.ec2.call("DetachNetworkInterface", &[("AttachmentId", &*attachment)]);
    wait_for_interfaces(&cloud, &one.id, "one detached", &both[1..]);
    let id = [("NetworkInterfaceId.1", &*second.id)];
    wait("the interface to be free", PATIENCE, || {
        stage.ec2.call("DescribeNetworkInterfaces", &id).text("status") == "available"
    });
    stage.ec2.call("DeleteNetworkInterface", &[("NetworkInterfaceId", &*second.id)]);
    // PUB-4: with two interfaces a start gave it no public address; inside, all is as before.
    cloud.exec(&one.id, &format!("ping -n -c 1 -W 2 {}", two.private)).ok();
}
