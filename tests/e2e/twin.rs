//! Networks as documents, and snapshots, as people use them: beside the unmodified AWS CLI, on
//! clouds without hosts.

use std::fs;

use gureum_e2e::{Cloud, wait};
use serde_json::Value;
use std::time::Duration;

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
