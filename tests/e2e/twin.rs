//! Networks as documents, and snapshots, as people use them: beside the unmodified AWS CLI, on
//! clouds without hosts, and once with hosts that boot.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use gureum_e2e::{Cloud, Done, Ec2, root_or_skip, wait};
use serde_json::Value;

/// Describe calls, and the key of their answer.
const CALLS: [(&str, &str); 17] = [
    ("describe-addresses", "Addresses"),
    ("describe-dhcp-options", "DhcpOptions"),
    ("describe-egress-only-internet-gateways", "EgressOnlyInternetGateways"),
    ("describe-instances", "Reservations"),
    ("describe-internet-gateways", "InternetGateways"),
    ("describe-managed-prefix-lists", "PrefixLists"),
    ("describe-nat-gateways", "NatGateways"),
    ("describe-network-acls", "NetworkAcls"),
    ("describe-network-interfaces", "NetworkInterfaces"),
    ("describe-route-tables", "RouteTables"),
    ("describe-security-group-rules", "SecurityGroupRules"),
    ("describe-security-groups", "SecurityGroups"),
    ("describe-subnets", "Subnets"),
    ("describe-volumes", "Volumes"),
    ("describe-vpc-endpoints", "VpcEndpoints"),
    ("describe-vpc-peering-connections", "VpcPeeringConnections"),
    ("describe-vpcs", "Vpcs"),
];

/// A VPC with a public subnet, an instance in it, and another VPC that it is peered with.
fn network(cloud: &Cloud) {
    let make = |words: &str, member: &str| -> String {
        let found = cloud.aws(&format!("ec2 {words} --query {member} --output text")).ok();
        found.trim().to_owned()
    };
    let vpc = make("create-vpc --cidr-block 10.1.0.0/16", "Vpc.VpcId");
    let other = make("create-vpc --cidr-block 10.2.0.0/16", "Vpc.VpcId");
    let subnet =
        make(&format!("create-subnet --vpc-id {vpc} --cidr-block 10.1.1.0/24"), "Subnet.SubnetId");
    let igw = make("create-internet-gateway", "InternetGateway.InternetGatewayId");
    cloud
        .aws(&format!("ec2 attach-internet-gateway --vpc-id {vpc} --internet-gateway-id {igw}"))
        .ok();
    let table = make(&format!("create-route-table --vpc-id {vpc}"), "RouteTable.RouteTableId");
    let route = format!("ec2 create-route --route-table-id {table} --destination-cidr-block");
    cloud.aws(&format!("{route} 0.0.0.0/0 --gateway-id {igw}")).ok();
    cloud
        .aws(&format!("ec2 associate-route-table --route-table-id {table} --subnet-id {subnet}"))
        .ok();
    let peering = make(
        &format!("create-vpc-peering-connection --vpc-id {vpc} --peer-vpc-id {other}"),
        "VpcPeeringConnection.VpcPeeringConnectionId",
    );
    cloud
        .aws(&format!("ec2 accept-vpc-peering-connection --vpc-peering-connection-id {peering}"))
        .ok();
    cloud.aws(&format!("{route} 10.2.0.0/16 --vpc-peering-connection-id {peering}")).ok();
    let image = make(
        "describe-images --owners amazon --filters Name=name,Values=amzn2-ami-hvm-*",
        "Images[0].ImageId",
    );
    let launch = format!(
        "run-instances --image-id {image} --instance-type t3.micro --subnet-id {subnet} \
         --associate-public-ip-address"
    );
    let instance = make(&launch, "Instances[0].InstanceId");
    cloud.aws(&format!("ec2 wait instance-running --instance-ids {instance}")).ok();
}

/// Points in time in one form: versions of the CLI write them differently.
fn plain(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let time = text.replace("+00:00", "Z").replace("000Z", "Z").replace(".Z", "Z");
            let is_time = time.ends_with('Z') && time.as_bytes().get(10) == Some(&b'T');
            Value::from(if is_time { time.replace(".000Z", "Z") } else { text.clone() })
        }
        Value::Array(list) => list.iter().map(plain).collect(),
        Value::Object(object) => {
            object.iter().map(|(key, value)| (key.clone(), plain(value))).collect()
        }
        other => other.clone(),
    }
}

/// Each key of the document is what the CLI prints; and the CLI's own outputs, a file each, make the
/// network again.
#[test]
fn an_export_is_what_the_cli_prints_and_both_make_a_twin() {
    let cloud = Cloud::records();
    network(&cloud);
    let document = cloud.gureum("export", [] as [&str; 0]).json();
    let folder = tempfile::tempdir().expect("a scratch directory");
    for (call, key) in CALLS {
        let answer = cloud.aws(&format!("ec2 {call}")).json();
        assert_eq!(plain(&answer[key]), plain(&document[key]), "{call}");
        let file = folder.path().join(format!("{call}.json"));
        fs::write(file, answer.to_string()).expect("written");
    }
    for vpc in document["Vpcs"].as_array().expect("VPCs") {
        let id = vpc["VpcId"].as_str().expect("an id");
        for attribute in ["enableDnsSupport", "enableDnsHostnames"] {
            let words = format!("ec2 describe-vpc-attribute --vpc-id {id} --attribute {attribute}");
            let file = folder.path().join(format!("{id}.{attribute}.json"));
            fs::write(file, cloud.aws(&words).ok()).expect("written");
        }
    }
    let twin = Cloud::records();
    let said = twin.gureum("import", [folder.path()]).ok();
    assert!(!said.contains("NOT AS IN THE ORIGINAL"), "{said}");
    let theirs = twin.gureum("export", [] as [&str; 0]).json();
    for (key, value) in document.as_object().expect("an object") {
        assert_eq!(theirs[key], *value, "{key}");
    }
    // What a file short of the whole refers to is named, and nothing is changed.
    fs::remove_file(folder.path().join("describe-internet-gateways.json")).expect("deleted");
    let refused = Cloud::records();
    let done = refused.gureum("import", [folder.path()]);
    assert_eq!(done.status, 1, "{done}");
    assert!(done.stderr.contains("igw-") && done.stderr.contains("not in the data"), "{done}");
    let vpcs = refused.aws("ec2 describe-vpcs").json();
    assert_eq!(vpcs["Vpcs"].as_array().map(Vec::len), Some(1), "only the default VPC");
}

#[test]
fn a_snapshot_puts_records_back_as_they_were() {
    let cloud = Cloud::records();
    network(&cloud);
    let before = cloud.gureum("export", [] as [&str; 0]).json();
    cloud.gureum("snapshot", ["save", "before"]).ok();
    let id = before["Reservations"][0]["Instances"][0]["InstanceId"].as_str().expect("an id");
    cloud.aws(&format!("ec2 terminate-instances --instance-ids {id}")).ok();
    cloud.aws(&format!("ec2 wait instance-terminated --instance-ids {id}")).ok();
    cloud.aws("ec2 create-vpc --cidr-block 10.3.0.0/16").ok();
    // It outlives the daemon.
    cloud.gureum("down", [] as [&str; 0]).ok();
    cloud.start().ok();
    let listed = cloud.gureum("snapshot", ["list", "-o", "json"]).json();
    assert_eq!(listed[0]["name"], "before");
    cloud.gureum("snapshot", ["load", "before", "--yes"]).ok();
    let is_back = || cloud.gureum("export", [] as [&str; 0]).json() == before;
    wait("the records as they were", Duration::from_secs(20), is_back);
    for (words, part) in [
        (&["save", "before"][..], "already"),
        (&["save", "../x"], "is no name"),
        (&["load", "after", "--yes"], "there is no snapshot after"),
        (&["delete", "after"], "there is no snapshot after"),
    ] {
        let done = cloud.gureum("snapshot", words);
        assert_eq!(done.status, 1, "{done}");
        assert!(done.stderr.contains(part), "{done}");
    }
    // Nobody is asked whether they mean what is not there.
    let done = cloud.gureum("snapshot", ["load", "after"]);
    assert_eq!((done.status, done.stdout.as_str()), (1, ""), "{done}");
    assert!(done.stderr.contains("there is no snapshot after"), "{done}");
    assert!(done.stderr.contains("there is before"), "{done}");
    assert!(!done.stderr.contains("Replace all resources"), "{done}");
    cloud.gureum("snapshot", ["delete", "before"]).ok();
    let listed = cloud.gureum("snapshot", ["list", "-o", "json"]).json();
    assert_eq!(listed, Value::Array(Vec::new()));
}

/// A VPC with a public subnet and two instances, `one` and `two`, whose group admits SSH and, from
/// the VPC, pings.
fn two_instances(cloud: &Cloud) {
    let mut ec2 = Ec2::connect(cloud.port());
    let vpc = ec2.call("CreateVpc", &[("CidrBlock", "10.1.0.0/16")]).text("vpcId");
    let of_vpc = ("VpcId", vpc.as_str());
    let subnet = ec2.call("CreateSubnet", &[of_vpc, ("CidrBlock", "10.1.1.0/24")]).text("subnetId");
    let gateway = ec2.call("CreateInternetGateway", &[]).text("internetGatewayId");
    ec2.call("AttachInternetGateway", &[of_vpc, ("InternetGatewayId", &gateway)]);
    let table = ec2.call("CreateRouteTable", &[of_vpc]).text("routeTableId");
    let of_table = ("RouteTableId", table.as_str());
    let everything = ("DestinationCidrBlock", "0.0.0.0/0");
    ec2.call("CreateRoute", &[of_table, everything, ("GatewayId", &gateway)]);
    ec2.call("AssociateRouteTable", &[of_table, ("SubnetId", &subnet)]);
    let named = [("GroupName", "hosts"), ("GroupDescription", "hosts"), of_vpc];
    let group = ec2.call("CreateSecurityGroup", &named).text("groupId");
    for (protocol, port, from) in [("tcp", "22", "0.0.0.0/0"), ("icmp", "-1", "10.1.0.0/16")] {
        ingress(&mut ec2, "AuthorizeSecurityGroupIngress", &group, protocol, port, from);
    }
    ec2.call("CreateKeyPair", &[("KeyName", "twin")]);
    for name in ["one", "two"] {
        launch(&mut ec2, name, &subnet, &group);
    }
    let is_on = |answer: String| answer.matches("<name>running</name>").count() == 2;
    let state = || Ec2::connect(cloud.port()).call("DescribeInstances", &[]).body;
    wait("the instances run", Duration::from_secs(20), || is_on(state()));
}

fn ingress(ec2: &mut Ec2, action: &str, group: &str, protocol: &str, port: &str, from: &str) {
    let rule = [
        ("GroupId", group),
        ("IpPermissions.1.IpProtocol", protocol),
        ("IpPermissions.1.FromPort", port),
        ("IpPermissions.1.ToPort", port),
        ("IpPermissions.1.IpRanges.1.CidrIp", from),
    ];
    ec2.call(action, &rule);
}

fn launch(ec2: &mut Ec2, name: &str, subnet: &str, group: &str) -> String {
    let pattern = [("Filter.1.Name", "name"), ("Filter.1.Value.1", "amzn2-ami-hvm-*")];
    let image = ec2.call("DescribeImages", &pattern).text("imageId");
    let parameters = [
        ("ImageId", image.as_str()),
        ("InstanceType", "t3.micro"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("KeyName", "twin"),
        ("NetworkInterface.1.DeviceIndex", "0"),
        ("NetworkInterface.1.SubnetId", subnet),
        ("NetworkInterface.1.SecurityGroupId.1", group),
        ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.1.Tag.1.Key", "Name"),
        ("TagSpecification.1.Tag.1.Value", name),
    ];
    ec2.call("RunInstances", &parameters).text("instanceId")
}

/// What is let through between the two, and from outside; held to the engine and to packets.
const EXPECTED: &str = "\
- {from: internet, to: [one, two], port: 22, expect: allow}
- {from: internet, to: [one, two], protocol: icmp, expect: deny, by: security-group-ingress}
- {from: internet, to: two, port: 8080, expect: deny, by: security-group-ingress}
- {from: one, to: two, protocol: icmp, expect: allow}
- {from: one, to: two, port: 22, expect: allow}
- {from: two, to: one, port: 22, expect: allow}
- {from: one, to: two, port: 8080, expect: deny, by: security-group-ingress}
";

fn wait_ready(cloud: &Cloud, count: usize) {
    wait("the status checks pass", Duration::from_secs(120), || {
        let answer = Ec2::connect(cloud.port()).call("DescribeInstanceStatus", &[]);
        let passed = |it: &String| it.contains("<status>ok</status>");
        answer.texts("instanceStatus").iter().filter(|it| passed(it)).count() == count
    });
}

/// Somebody listens at a port that the group closes, so that what stays away is the network's doing.
fn packets_fare_as_expected(cloud: &Cloud, key: &Path) {
    let serve = "nohup python3 -m http.server 8080 >/dev/null 2>&1 & \
                 until curl -s -o /dev/null localhost:8080; do sleep 0.1; done";
    cloud.exec("two", serve).ok();
    let file = cloud.data_dir().with_file_name("expectations.yaml");
    fs::write(&file, EXPECTED).expect("written");
    let held = cloud.gureum("check", [&*file.to_string_lossy(), "--packets"]);
    assert_eq!(held.status, 0, "{held}");
    let two = shown(cloud, "two", "privateIpAddress");
    for (port, passes) in [("22", true), ("8080", false)] {
        let why = cloud.gureum("why", ["one", "two", "--port", port]).stdout;
        let verdict = if passes { "\nreachable\n" } else { "\nnot reachable\n" };
        assert!(why.ends_with(verdict), "{why}");
        let done = cloud.exec("one", &format!("nc -z -w 3 {two} {port}"));
        assert_eq!(done.status == 0, passes, "{done}");
    }
    let public = shown(cloud, "one", "ipAddress");
    let mut ssh = cloud.command("internet");
    ssh.args(["--", "ssh", "-i"]).arg(key);
    for option in ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"] {
        ssh.args(["-o", option]);
    }
    let name = Done::run(ssh.arg(format!("ec2-user@{public}")).arg("hostname")).ok();
    let private = shown(cloud, "one", "privateIpAddress");
    assert!(name.starts_with(&format!("ip-{}", private.replace('.', "-"))), "{name}");
}

/// What is shown of the instance of this name: the first element that is called so.
fn shown(cloud: &Cloud, name: &str, element: &str) -> String {
    let filter = [("Filter.1.Name", "tag:Name"), ("Filter.1.Value.1", name)];
    Ec2::connect(cloud.port()).call("DescribeInstances", &filter).text(element)
}

/// What was exported boots where it is imported, and what a snapshot has boots again: packets are
/// let through and dropped as before, and there is no host that the records do not have.
#[test]
fn hosts_of_a_twin_and_of_a_snapshot_boot() {
    if !root_or_skip() {
        return;
    }
    let original = Cloud::records();
    two_instances(&original);
    let document = original.gureum("export", [] as [&str; 0]).ok();

    let twin = Cloud::hosts();
    let mut ec2 = Ec2::connect(twin.port());
    // Who has a key of that name here can log in.
    let key = twin.data_dir().with_file_name("twin.pem");
    let material = ec2.call("CreateKeyPair", &[("KeyName", "twin")]).text("keyMaterial");
    fs::write(&key, material).expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("chmod");
    let file = twin.data_dir().with_file_name("network.json");
    fs::write(&file, &document).expect("written");
    let said = twin.gureum("import", [&file]).ok();
    assert!(!said.contains("NOT AS IN THE ORIGINAL"), "{said}");
    wait_ready(&twin, 2);
    packets_fare_as_expected(&twin, &key);

    let (one, two) = (shown(&twin, "one", "instanceId"), shown(&twin, "two", "instanceId"));
    for name in ["one", "two"] {
        twin.exec(name, "touch /root/mark && sync").ok();
    }
    let before = twin.gureum("export", [] as [&str; 0]).json();
    twin.gureum("snapshot", ["save", "before"]).ok();
    let group = shown(&twin, "one", "groupId");
    let subnet = shown(&twin, "one", "subnetId");
    ingress(&mut ec2, "RevokeSecurityGroupIngress", &group, "tcp", "22", "0.0.0.0/0");
    ingress(&mut ec2, "AuthorizeSecurityGroupIngress", &group, "tcp", "8080", "0.0.0.0/0");
    ec2.call("TerminateInstances", &[("InstanceId.1", &one)]);
    ec2.call("StopInstances", &[("InstanceId.1", &two)]);
    let three = launch(&mut ec2, "three", &subnet, &group);
    let three_at = twin.data_dir().join("instances").join(&three);
    wait("the change is done", Duration::from_secs(60), || {
        let is = |name, state: &str| shown(&twin, name, "instanceState").contains(state);
        is("one", ">terminated<") && is("two", ">stopped<") && is("three", ">running<")
    });
    assert!(three_at.is_dir(), "{three_at:?}");

    twin.gureum("snapshot", ["load", "before", "--yes"]).ok();
    assert_eq!(twin.gureum("export", [] as [&str; 0]).json(), before);
    wait_ready(&twin, 2);
    packets_fare_as_expected(&twin, &key);
    wait("the third one is gone", Duration::from_secs(30), || !three_at.exists());
    // Disks are no records: that of an instance that stayed is as it was left, that of one that
    // was terminated is new.
    assert_eq!(twin.exec("two", "test -e /root/mark").status, 0);
    assert_eq!(twin.exec("one", "test -e /root/mark").status, 1);
}
