//! The paths below `/latest/` of one instance (IMDS-20 to IMDS-33).
//!
//! The tree is built whole for every question: it has some sixty short leaves, and what lists a
//! directory cannot disagree with what is in it.

use std::{collections::BTreeMap, sync::Arc};

use gureum_types::{
    Timestamp,
    record::SessionCredential,
    view::{InstanceProfileView, InstanceView, InterfaceView, ProfileGives, ServiceView, VpcView},
};

use super::document;
use crate::dns::dash;

/// The versions that `/` lists (IMDS-12); any dated one means the same as `latest`.
pub(super) const VERSIONS: [&str; 16] = [
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2016-09-02",
    "2018-09-24",
    "2021-03-23",
];

/// Whether a first path segment is a version.
pub(super) fn is_version(segment: &str) -> bool {
    let dated = || {
        let digits = |part: Option<&str>, length| {
            part.is_some_and(|p| p.len() == length && p.bytes().all(|b| b.is_ascii_digit()))
        };
        let mut parts = segment.split('-');
        digits(parts.next(), 4)
            && digits(parts.next(), 2)
            && digits(parts.next(), 2)
            && parts.next().is_none()
    };
    segment == "latest" || segment == "1.0" || dated()
}

/// What is at a path.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Text, shown as `text/plain`.
    Text(String),
    /// User data, shown as `application/octet-stream` (IMDS-11).
    Bytes(Arc<[u8]>),
    /// The authority's signature of a text; it is made only when asked for.
    Signature(String),
    /// More paths.
    Directory(Directory),
}

/// A directory: its entries by path segment, each with the line that lists it.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    entries: BTreeMap<String, (String, Node)>,
}

impl Directory {
    fn text(&mut self, name: &str, value: impl Into<String>) {
        self.entries.insert(name.to_owned(), (name.to_owned(), Node::Text(value.into())));
    }

    fn maybe(&mut self, name: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    fn directory(&mut self, name: &str, directory: Self) {
        self.listed(name, format!("{name}/"), Node::Directory(directory));
    }

    fn listed(&mut self, name: &str, line: impl Into<String>, node: Node) {
        self.entries.insert(name.to_owned(), (line.into(), node));
    }

    /// The entry of a path segment.
    pub(super) fn entry(&self, name: &str) -> Option<&Node> {
        self.entries.get(name).map(|(_, node)| node)
    }

    /// The lines that list it, without a last newline (IMDS-11).
    pub(super) fn listing(&self) -> String {
        let lines: Vec<_> = self.entries.values().map(|(line, _)| line.as_str()).collect();
        lines.join("\n")
    }
}

/// Everything below a version's path.
pub(super) fn build(view: &ServiceView, instance: &InstanceView, now: Timestamp) -> Directory {
    let interfaces: Vec<_> = {
        let ports = instance.ports.iter();
        ports.filter_map(|port| view.interfaces.get(port)).map(AsRef::as_ref).collect()
    };
    let source = Source { view, instance, interfaces, now };
    let mut root = Directory::default();
    // These three are listed without a slash, unlike directories below them (IMDS-12).
    root.listed("dynamic", "dynamic", Node::Directory(source.dynamic()));
    root.listed("meta-data", "meta-data", Node::Directory(source.meta_data()));
    if let Some(data) = &instance.user_data {
        root.listed("user-data", "user-data", Node::Bytes(Arc::clone(data)));
    }
    root
}

struct Source<'a> {
    view: &'a ServiceView,
    instance: &'a InstanceView,
    /// The primary one first.
    interfaces: Vec<&'a InterfaceView>,
    now: Timestamp,
}

impl<'a> Source<'a> {
    fn primary(&self) -> Option<&'a InterfaceView> {
        self.interfaces.first().copied()
    }

    fn vpc(&self, interface: &InterfaceView) -> Option<&'a VpcView> {
        self.view.vpcs.get(&interface.vpc_id).map(AsRef::as_ref)
    }

    fn dynamic(&self) -> Directory {
        let document = document::identity(self.instance, self.primary());
        let mut identity = Directory::default();
        let signature = Node::Signature(document.clone());
        identity.text("document", document);
        identity.listed("signature", "signature", signature);
        let mut fws = Directory::default();
        let monitoring = if self.instance.monitoring { "enabled" } else { "disabled" };
        fws.text("instance-monitoring", monitoring);
        let mut dynamic = Directory::default();
        dynamic.directory("fws", fws);
        dynamic.directory("instance-identity", identity);
        dynamic
    }

    fn meta_data(&self) -> Directory {
        let instance = self.instance;
        let mut data = Directory::default();
        data.text("ami-id", &instance.image_id);
        data.text("ami-launch-index", instance.launch_index.to_string());
        data.text("ami-manifest-path", "(unknown)");
        data.directory("block-device-mapping", self.block_devices());
        data.directory("events", events());
        data.text("hostname", &instance.private_dns_name);
        if let Some(session) = &instance.identity {
            data.directory("identity-credentials", identity_credentials(instance, session));
        }
        if let Some(profile) = &instance.instance_profile
            && let Some(iam) = iam(profile)
        {
            data.directory("iam", iam);
        }
        data.text("instance-action", "none");
        data.text("instance-id", instance.instance_id.as_str());
        data.text("instance-life-cycle", "on-demand");
        data.text("instance-type", &instance.instance_type);
        data.text("local-hostname", &instance.private_dns_name);
        if let Some(keys) = self.managed_ssh_keys() {
            data.directory("managed-ssh-keys", keys);
        }
        let mut metrics = Directory::default();
        metrics.text("vhostmd", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
        data.directory("metrics", metrics);
        data.directory("network", self.network());
        data.directory("placement", self.placement());
        data.text("profile", "default-hvm");
        if let Some((name, line)) = &instance.public_key {
            data.directory("public-keys", public_keys(name, line));
        }
        data.text("reservation-id", &instance.reservation_id);
        let mut services = Directory::default();
        services.text("domain", "amazonaws.com");
        services.text("partition", "aws");
        data.directory("services", services);
        if let Some(primary) = self.primary() {
            data.maybe("ipv6", primary.ipv6_addresses.first().map(ToString::to_string));
            data.maybe("local-ipv4", primary.private_addresses.first().map(ToString::to_string));
            data.text("mac", &primary.mac);
            let public = public_address(primary);
            data.maybe("public-ipv4", public.map(|address| address.to_string()));
            data.maybe("public-hostname", self.public_host_name(primary));
            data.text("security-groups", lines(primary.security_groups.iter().map(|(_, n)| n)));
        }
        if instance.metadata_options.tags {
            data.directory("tags", self.tags()); // IMDS-29
        }
        data
    }

    /// The keys of EC2 Instance Connect whose minute is not over, by whose account they open.
    fn managed_ssh_keys(&self) -> Option<Directory> {
        let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for it in self.instance.connect_keys.iter().filter(|it| it.until > self.now) {
            users.entry(&it.user).or_default().push(&it.key);
        }
        let mut active = Directory::default();
        for (user, keys) in &users {
            active.text(user, keys.join("\n"));
        }
        let mut managed = Directory::default();
        managed.directory("active-keys", active);
        (!users.is_empty()).then_some(managed)
    }

    fn block_devices(&self) -> Directory {
        let mut devices = Directory::default();
        for (name, device) in &self.instance.block_devices {
            devices.text(name, device);
        }
        devices
    }

    fn placement(&self) -> Directory {
        let mut placement = Directory::default();
        placement.text("availability-zone", &self.instance.availability_zone);
        placement.text("availability-zone-id", &self.instance.availability_zone_id);
        placement.text("region", self.instance.region.as_str());
        placement
    }

    fn tags(&self) -> Directory {
        let mut instance = Directory::default();
        for (key, value) in &self.instance.tags {
            instance.text(key, value);
        }
        let mut tags = Directory::default();
        tags.directory("instance", instance);
        tags
    }

    fn network(&self) -> Directory {
        let mut macs = Directory::default();
        for interface in &self.interfaces {
            macs.directory(&interface.mac, self.interface(interface)); // IMDS-25
        }
        let mut interfaces = Directory::default();
        interfaces.directory("macs", macs);
        let mut network = Directory::default();
        network.directory("interfaces", interfaces);
        network
    }

    /// IMDS-24.
    fn interface(&self, interface: &InterfaceView) -> Directory {
        let mut data = Directory::default();
        data.text("device-number", interface.device_number.to_string());
        data.text("interface-id", &interface.interface_id);
        if !interface.public_addresses.is_empty() {
            let mut associations = Directory::default();
            for (public, private) in &interface.public_addresses {
                associations.text(&public.to_string(), private.to_string());
            }
            data.directory("ipv4-associations", associations);
            let public = interface.public_addresses.iter().map(|(public, _)| public);
            data.text("public-ipv4s", lines(public));
        }
        if !interface.ipv6_addresses.is_empty() {
            data.text("ipv6s", lines(&interface.ipv6_addresses));
        }
        data.text("local-hostname", self.local_host_name(interface));
        if !interface.private_addresses.is_empty() {
            data.text("local-ipv4s", lines(&interface.private_addresses));
        }
        data.text("mac", &interface.mac);
        data.text("network-card-index", "0");
        data.text("owner-id", interface.owner.as_str());
        data.maybe("public-hostname", self.public_host_name(interface));
        data.text("security-group-ids", lines(interface.security_groups.iter().map(|(id, _)| id)));
        data.text("security-groups", lines(interface.security_groups.iter().map(|(_, n)| n)));
        data.text("subnet-id", &interface.subnet_id);
        let text = |block: &dyn ToString| block.to_string();
        let (v4, v6) = (&interface.subnet_cidr_block, &interface.subnet_ipv6_cidr_block);
        data.maybe("subnet-ipv4-cidr-block", v4.as_ref().map(|block| text(block)));
        data.maybe("subnet-ipv6-cidr-blocks", v6.as_ref().map(|block| text(block)));
        data.text("vpc-id", interface.vpc_id.as_str());
        if let Some(vpc) = self.vpc(interface) {
            data.maybe("vpc-ipv4-cidr-block", vpc.cidr_blocks.first().map(ToString::to_string));
            data.text("vpc-ipv4-cidr-blocks", lines(&vpc.cidr_blocks));
            if !vpc.ipv6_cidr_blocks.is_empty() {
                data.text("vpc-ipv6-cidr-blocks", lines(&vpc.ipv6_cidr_blocks));
            }
        }
        data
    }

    fn local_host_name(&self, interface: &InterfaceView) -> String {
        let primary = self.primary().map(|primary| &primary.interface_id);
        match interface.private_addresses.first() {
            Some(address) if primary != Some(&interface.interface_id) => {
                format!("ip-{}.{}", dash(*address), self.instance.region.internal_domain())
            }
            _ => self.instance.private_dns_name.clone(),
        }
    }

    /// IMDS-21: only with a public address, and only where the VPC has public names (DNS-4).
    fn public_host_name(&self, interface: &InterfaceView) -> Option<String> {
        let address = public_address(interface)?;
        let vpc = self.vpc(interface)?;
        (vpc.dns_hostnames && vpc.dns_support)
            .then(|| format!("ec2-{}.{}", dash(address), vpc.region.public_domain()))
    }
}

/// The public address of the primary private one.
fn public_address(interface: &InterfaceView) -> Option<std::net::Ipv4Addr> {
    let primary = interface.private_addresses.first()?;
    let mut pairs = interface.public_addresses.iter();
    pairs.find(|(_, private)| private == primary).map(|(public, _)| *public)
}

/// IMDS-26 to IMDS-28. What is on its way is not there yet.
fn iam(profile: &InstanceProfileView) -> Option<Directory> {
    let role = match &profile.gives {
        ProfileGives::Pending => return None,
        ProfileGives::Deleted | ProfileGives::NoRole => None,
        ProfileGives::Unauthorized(role) => Some((role, document::unauthorized(profile, role))),
        ProfileGives::Role(role, session) => Some((role, document::credentials(session))),
    };
    let mut iam = Directory::default();
    iam.text("info", document::instance_profile(profile));
    if let Some((name, document)) = role {
        let mut credentials = Directory::default();
        credentials.text(name, document);
        iam.directory("security-credentials", credentials);
    }
    Some(iam)
}

/// The credentials of the instance itself (IMDS-30).
fn identity_credentials(instance: &InstanceView, session: &SessionCredential) -> Directory {
    let mut credentials = Directory::default();
    credentials.text("ec2-instance", document::credentials(session));
    let mut ec2 = Directory::default();
    ec2.text("info", document::identity_credentials(instance, session));
    ec2.directory("security-credentials", credentials);
    let mut identity = Directory::default();
    identity.directory("ec2", ec2);
    identity
}

/// IMDS-30, as far as anything can happen here.
fn events() -> Directory {
    let mut maintenance = Directory::default();
    maintenance.text("history", "[]");
    maintenance.text("scheduled", "[]");
    let mut events = Directory::default();
    events.directory("maintenance", maintenance);
    events
}

/// IMDS-22.
fn public_keys(name: &str, line: &str) -> Directory {
    let mut key = Directory::default();
    key.text("openssh-key", line.trim_end());
    let mut keys = Directory::default();
    keys.listed("0", format!("0={name}"), Node::Directory(key));
    keys
}

fn lines<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let lines: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_from_other_paths() {
        for version in VERSIONS.iter().chain(&["latest", "2022-09-24"]) {
            assert!(is_version(version), "{version}");
        }
        for other in ["", "meta-data", "2.0", "2021-3-23", "2021-03-23-1", "20210323", "-03-23"] {
            assert!(!is_version(other), "{other}");
        }
    }
}
