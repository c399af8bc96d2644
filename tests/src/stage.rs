//! A cloud with hosts, ready to launch on: a key, a group that admits the internet's client, an
//! image. Instances live in the default VPC, which has public addresses.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command, time::Duration};

use crate::{Answer, Cloud, Done, Ec2, wait};

/// How long an instance may take from launch to passed status checks. Tests run beside others.
const READY: Duration = Duration::from_secs(120);

/// A place to launch on.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The cloud.
    pub cloud: &'a Cloud,
    /// The API.
    pub ec2: Ec2,
    /// The private key's file.
    pub key: PathBuf,
    /// The group of all instances. It admits SSH from the internet's client alone (a /32, so the
    /// flows are tracked: SGT-3), ICMP from anywhere, and everything from itself.
    pub group: String,
    /// The image.
    pub image: String,
    /// The address of the internet's client.
    pub client: String,
}

/// A launched instance.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its id.
    pub id: String,
    /// Its private address.
    pub private: String,
    /// Its public address.
    pub public: String,
}

impl<'a> Stage<'a> {
    /// Prepares a running cloud.
    ///
    /// # Panics
    /// Where a call is refused.
    pub fn open(cloud: &'a Cloud) -> Self {
        let mut ec2 = Ec2::connect(cloud.port());
        let vpc = ec2.call("DescribeVpcs", &[]).text("vpcId");
        let key = ec2.call("CreateKeyPair", &[("KeyName", "stage")]).text("keyMaterial");
        let file = cloud.data_dir().with_file_name("stage.pem");
        fs::write(&file, key).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("chmod");
        let make = [("GroupName", "stage"), ("GroupDescription", "stage"), ("VpcId", &*vpc)];
        let group = ec2.call("CreateSecurityGroup", &make).text("groupId");
        let client = cloud.internet_address();
        let mut stage = Self { cloud, ec2, key: file, group, image: String::new(), client };
        let client = format!("{}/32", stage.client);
        stage.ingress("AuthorizeSecurityGroupIngress", "tcp", 22, &client);
        stage.ingress("AuthorizeSecurityGroupIngress", "icmp", -1, "0.0.0.0/0");
        let group = stage.group.clone();
        let inside = [
            ("GroupId", &*group),
            ("IpPermissions.1.IpProtocol", "-1"),
            ("IpPermissions.1.Groups.1.GroupId", &*group),
        ];
        stage.ec2.call("AuthorizeSecurityGroupIngress", &inside);
        stage.image = stage.image_named("amzn2-ami-hvm-*");
        stage
    }

    /// Authorizes or revokes a rule of the group.
    pub fn ingress(&mut self, action: &str, protocol: &str, port: i32, cidr: &str) {
        let (group, port) = (self.group.clone(), port.to_string());
        self.ec2.call(
            action,
            &[
                ("GroupId", &group),
                ("IpPermissions.1.IpProtocol", protocol),
                ("IpPermissions.1.FromPort", &port),
                ("IpPermissions.1.ToPort", &port),
                ("IpPermissions.1.IpRanges.1.CidrIp", cidr),
            ],
        );
    }

    /// Launches instances, all with this name, without waiting.
    pub fn run_instances(&mut self, name: &str, count: usize) -> Vec<String> {
        let count = count.to_string();
        let more = [("MinCount", &*count), ("MaxCount", &*count)];
        self.run_instances_with(name, &more).texts("instanceId")
    }

    /// Launches instances with parameters of one's own, which win over the usual ones; an empty one
    /// takes a usual one away.
    pub fn run_instances_with(&mut self, name: &str, more: &[(&str, &str)]) -> Answer {
        let (image, group) = (self.image.clone(), self.group.clone());
        let usual = [
            ("ImageId", &*image),
            ("InstanceType", "t2.micro"),
            ("MinCount", "1"),
            ("MaxCount", "1"),
            ("KeyName", "stage"),
            ("SecurityGroupId.1", &group),
            ("Placement.AvailabilityZone", "ap-northeast-2a"),
            ("TagSpecification.1.ResourceType", "instance"),
            ("TagSpecification.1.Tag.1.Key", "Name"),
            ("TagSpecification.1.Tag.1.Value", name),
        ];
        let kept = usual.into_iter().filter(|(key, _)| more.iter().all(|(own, _)| own != key));
        let all = kept.chain(more.iter().copied());
        let parameters: Vec<_> = all.filter(|(_, value)| !value.is_empty()).collect();
        self.ec2.call("RunInstances", &parameters)
    }

    /// The newest image whose name matches.
    pub fn image_named(&mut self, pattern: &str) -> String {
        let name = [("Filter.1.Name", "name"), ("Filter.1.Value.1", pattern)];
        self.ec2.call("DescribeImages", &name).text("imageId")
    }

    /// Launches an instance and waits until its status checks passed.
    pub fn launch(&mut self, name: &str) -> Host {
        let id = self.run_instances(name, 1).remove(0);
        self.wait_ready(&id);
        self.host(&id)
    }

    /// The state of an instance.
    pub fn state(&mut self, id: &str) -> String {
        let answer = self.ec2.call("DescribeInstances", &[("InstanceId.1", id)]);
        let state = answer.texts("instanceState");
        let state = state.first().and_then(|it| it.split_once("<name>")?.1.split_once('<'));
        state.map(|(name, _)| name.to_owned()).unwrap_or_default()
    }

    /// Waits until an instance is in a state.
    pub fn wait_state(&mut self, id: &str, state: &str) {
        wait(&format!("{id} is {state}"), READY, || self.state(id) == state);
    }

    /// Waits until the status checks of an instance passed.
    pub fn wait_ready(&mut self, id: &str) {
        wait(&format!("{id} passes its status checks"), READY, || self.ready(id));
    }

    /// Whether the status checks of an instance passed.
    pub fn ready(&mut self, id: &str) -> bool {
        let answer = self.ec2.call("DescribeInstanceStatus", &[("InstanceId.1", id)]);
        let status = answer.texts("instanceStatus");
        status.first().is_some_and(|status| status.contains("<status>ok</status>"))
    }

    /// An instance as it is now.
    pub fn host(&mut self, id: &str) -> Host {
        let answer = self.ec2.call("DescribeInstances", &[("InstanceId.1", id)]);
        Host {
            id: id.to_owned(),
            private: answer.text("privateIpAddress"),
            public: answer.text("ipAddress"),
        }
    }

    /// An instance as soon as it runs, whether or not it lets anyone in yet.
    pub fn host_when_running(&mut self, id: &str) -> Host {
        self.wait_state(id, "running");
        self.host(id)
    }

    /// OpenSSH from the simulated internet, ready for a command to be added.
    pub fn ssh(&self, address: &str) -> Command {
        self.ssh_as("ec2-user", address)
    }

    /// The same as another user.
    pub fn ssh_as(&self, user: &str, address: &str) -> Command {
        let mut command = self.cloud.command("internet");
        command.args(["--", "ssh", "-i"]).arg(&self.key);
        for option in [
            "BatchMode=yes",
            "ConnectTimeout=5",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
        ] {
            command.args(["-o", option]);
        }
        command.arg(format!("{user}@{address}"));
        command
    }

    /// Runs a command in an instance by OpenSSH from the simulated internet.
    pub fn login(&self, address: &str, shell: &str) -> Done {
        Done::run(self.ssh(address).arg(shell))
    }

    /// Whether pings from the simulated internet are answered.
    pub fn pings(&self, address: &str) -> bool {
        self.cloud.internet(&format!("ping -n -c 1 -W 1 {address}")).status == 0
    }
}
