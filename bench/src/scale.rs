//! How fast the API answers when it holds much: 5,000 instances and 10,000 security groups, as
//! records, over HTTP on one kept connection. Every write is durable before it is answered.

use std::{
    thread,
    time::{Duration, Instant},
};

use gureum_e2e::{Answer, Cloud, Ec2, wait};

use crate::{
    report::{Report, Target, millis},
    start::resident,
};

/// How much is held.
const INSTANCES: usize = 5_000;
const GROUPS: usize = 10_000;
/// How many times a read is measured, and a write.
const READS: usize = 300;
const WRITES: usize = 300;
/// The last launches before a size is reached are what counts for it.
const LAUNCHES: usize = 100;
/// How many instances a page has, the most that there may be.
const PAGE: &str = "1000";
/// How many clients ask at once, and for how long.
const CLIENTS: usize = 4;
const BUSY: Duration = Duration::from_secs(2);

/// Measures an account that fills up.
pub(crate) fn measure(report: &mut Report) {
    let cloud = Cloud::records();
    let pid = u32::try_from(cloud.daemon_pid()).expect("a process id");
    let mut ec2 = Ec2::connect(cloud.port());
    let mut ground = Ground::new(&mut ec2);
    for number in 0..GROUPS - WRITES {
        ground.group(&mut ec2, number);
    }
    let writes: Vec<_> =
        (GROUPS - WRITES..GROUPS).map(|number| ground.group(&mut ec2, number)).collect();
    let created: Vec<_> = writes.iter().map(|it| it.0).collect();
    let authorized: Vec<_> = writes.iter().map(|it| it.1).collect();
    report.add_median("CreateSecurityGroup, among 10,000", &created, 1.0);
    report.add_median("AuthorizeSecurityGroupIngress, among 10,000", &authorized, 1.0);

    let mut launches = Vec::new();
    for number in 0..INSTANCES {
        launches.push(ground.launch(&mut ec2, number));
    }
    report.add_median("RunInstances as a record, 500 held", &launches[500 - LAUNCHES..500], 1.0);
    let last = &launches[INSTANCES - LAUNCHES..];
    report.add_median("RunInstances as a record, 5,000 held", last, 1.0);
    wait("all instances run", Duration::from_secs(120), || {
        count(
            &mut ec2,
            &[("Filter.1.Name", "instance-state-name"), ("Filter.1.Value.1", "running")],
        ) == INSTANCES
    });

    let mut read = |name: &str, limit: f64, action: &str, parameters: &[(&str, &str)]| {
        let times: Vec<_> = (0..READS)
            .map(|_| {
                let start = Instant::now();
                ec2.call(action, parameters);
                start.elapsed()
            })
            .collect();
        report.add_median(name, &times, limit);
    };
    read("DescribeVpcs, 5,000 instances held", 0.2, "DescribeVpcs", &[]);
    let instance = ground.instances[INSTANCES / 2].as_str();
    read("DescribeInstances by id", 0.5, "DescribeInstances", &[("InstanceId.1", instance)]);
    let group = ground.groups[GROUPS / 2].as_str();
    read("DescribeSecurityGroups by id", 0.5, "DescribeSecurityGroups", &[("GroupId.1", group)]);
    let interface = ground.interfaces[INSTANCES / 2].as_str();
    let name = format!("group-{}", GROUPS / 2);
    for (action, filter, value) in [
        ("DescribeSecurityGroups", "group-name", name.as_str()),
        ("DescribeSecurityGroups", "group-id", group),
        ("DescribeSecurityGroupRules", "group-id", group),
        ("DescribeInstances", "instance-id", instance),
        ("DescribeInstances", "tag:Name", "host-2500"),
        ("DescribeInstances", "instance.group-id", group),
        ("DescribeInstances", "network-interface.network-interface-id", interface),
        ("DescribeInstances", "private-ip-address", ground.addresses[INSTANCES / 2].as_str()),
        ("DescribeNetworkInterfaces", "attachment.instance-id", instance),
        ("DescribeNetworkInterfaces", "group-id", group),
        ("DescribeVolumes", "attachment.instance-id", instance),
        ("DescribeTags", "resource-id", instance),
        ("DescribeRouteTables", "association.subnet-id", ground.subnet.as_str()),
        ("DescribeNetworkAcls", "association.subnet-id", ground.subnet.as_str()),
        ("DescribeSubnets", "vpc-id", ground.vpc.as_str()),
    ] {
        let parameters = [("Filter.1.Name", filter), ("Filter.1.Value.1", value)];
        read(&format!("{action} by {filter}"), 1.0, action, &parameters);
    }

    let pages: Vec<_> = (0..5)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(count(&mut ec2, &[]), INSTANCES);
            start.elapsed()
        })
        .collect();
    report.add_median("all 5,000 instances in pages", &pages, 100.0);
    let rate = rate(cloud.port());
    report.add("DescribeVpcs a second, 4 clients", rate, "/s", Target::AtLeast(8_000.0));
    report.add("resident, 5,000 instances held", resident(pid), "MB", Target::AtMost(60.0));

    let start = Instant::now();
    cloud.gureum("reset", ["--yes"]).ok();
    let time = millis(start.elapsed());
    report.add("gureum reset of all of it", time, "ms", Target::AtMost(1000.0));
}

/// What the calls name.
struct Ground {
    vpc: String,
    subnet: String,
    image: String,
    groups: Vec<String>,
    instances: Vec<String>,
    interfaces: Vec<String>,
    addresses: Vec<String>,
}

impl Ground {
    fn new(ec2: &mut Ec2) -> Self {
        let vpc = ec2.call("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]).text("vpcId");
        let subnet = [("VpcId", vpc.as_str()), ("CidrBlock", "10.0.0.0/17")];
        let subnet = ec2.call("CreateSubnet", &subnet).text("subnetId");
        let images = ec2
            .call("DescribeImages", &[("Filter.1.Name", "name"), ("Filter.1.Value.1", "al2023-*")]);
        let image = images.text("imageId");
        let (groups, instances) = (Vec::new(), Vec::new());
        let (interfaces, addresses) = (Vec::new(), Vec::new());
        Self { vpc, subnet, image, groups, instances, interfaces, addresses }
    }

    /// Makes a group with a rule: how long each took.
    fn group(&mut self, ec2: &mut Ec2, number: usize) -> (Duration, Duration) {
        let name = format!("group-{number}");
        let start = Instant::now();
        let made = ec2.call(
            "CreateSecurityGroup",
            &[("GroupName", &name), ("GroupDescription", "bench"), ("VpcId", &self.vpc)],
        );
        let created = start.elapsed();
        let group = made.text("groupId");
        let start = Instant::now();
        ec2.call(
            "AuthorizeSecurityGroupIngress",
            &[
                ("GroupId", &group),
                ("IpPermissions.1.IpProtocol", "tcp"),
                ("IpPermissions.1.FromPort", "22"),
                ("IpPermissions.1.ToPort", "22"),
                ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
            ],
        );
        self.groups.push(group);
        (created, start.elapsed())
    }

    /// Launches an instance, each into a group of its own: how long that took.
    fn launch(&mut self, ec2: &mut Ec2, number: usize) -> Duration {
        let name = format!("host-{number}");
        let start = Instant::now();
        let made = ec2.call(
            "RunInstances",
            &[
                ("ImageId", &self.image),
                ("InstanceType", "t3.micro"),
                ("MinCount", "1"),
                ("MaxCount", "1"),
                ("SubnetId", &self.subnet),
                ("SecurityGroupId.1", &self.groups[number]),
                ("TagSpecification.1.ResourceType", "instance"),
                ("TagSpecification.1.Tag.1.Key", "Name"),
                ("TagSpecification.1.Tag.1.Value", &name),
            ],
        );
        let time = start.elapsed();
        self.instances.push(made.text("instanceId"));
        self.interfaces.push(made.text("networkInterfaceId"));
        self.addresses.push(made.text("privateIpAddress"));
        time
    }
}

/// How many instances there are under these filters, counted page by page.
fn count(ec2: &mut Ec2, filters: &[(&str, &str)]) -> usize {
    let (mut seen, mut token) = (0, None::<String>);
    loop {
        let mut parameters = vec![("MaxResults", PAGE)];
        parameters.extend(filters);
        if let Some(token) = &token {
            parameters.push(("NextToken", token));
        }
        let page: Answer = ec2.call("DescribeInstances", &parameters);
        seen += page.body.matches("<instanceId>").count();
        token = page.texts("nextToken").into_iter().next();
        if token.is_none() {
            return seen;
        }
    }
}

/// How many times a second several clients are answered.
fn rate(port: u16) -> f64 {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            thread::spawn(move || {
                let mut ec2 = Ec2::connect(port);
                let (start, mut answers) = (Instant::now(), 0_u32);
                while start.elapsed() < BUSY {
                    ec2.call("DescribeVpcs", &[]);
                    answers += 1;
                }
                f64::from(answers) / start.elapsed().as_secs_f64()
            })
        })
        .collect();
    clients.into_iter().map(|client| client.join().expect("a client")).sum()
}
