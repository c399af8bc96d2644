//! Regions, their zones, and what AWS says of an account as a whole.

use gureum_api::{ApiError, ec2};
use gureum_store::Snapshot;
use gureum_types::{REGIONS, Region, record::Vpc};

use crate::{
    call::{Answer, Call},
    filter::{Fields, select, some},
    resource::address::ADDRESS_QUOTA,
};

/// None of the regions here needs to be enabled first.
const NO_OPT_IN: &str = "opt-in-not-required";

const REGION_FIELDS: &Fields<ec2::Region> = &[
    ("endpoint", |it| some(&it.endpoint)),
    ("opt-in-status", |it| some(&it.opt_in_status)),
    ("region-name", |it| some(&it.region_name)),
];

pub(crate) fn describe_regions(
    _: &Call,
    _: &Snapshot,
    r: &ec2::DescribeRegionsRequest,
) -> Answer<ec2::DescribeRegionsResult> {
    if let Some(name) = r.region_names.iter().find(|name| name.parse::<Region>().is_err()) {
        let message = format!("Invalid region name: {name}");
        return Err(ApiError::invalid_parameter_value(message));
    }
    let named =
        |name: &str| r.region_names.is_empty() || r.region_names.iter().any(|it| it == name);
    let regions = REGIONS.iter().filter(|(name, _)| named(name)).map(|(name, _)| ec2::Region {
        opt_in_status: Some(NO_OPT_IN.into()),
        region_name: Some((*name).into()),
        endpoint: Some(format!("ec2.{name}.amazonaws.com")),
        ..Default::default()
    });
    let regions = select(regions.collect(), &r.filters, REGION_FIELDS, None)?;
    Ok(ec2::DescribeRegionsResult { regions })
}

const ZONE_FIELDS: &Fields<ec2::AvailabilityZone> = &[
    ("group-long-name", |it| some(&it.group_long_name)),
    ("group-name", |it| some(&it.group_name)),
    ("message", |it| it.messages.iter().filter_map(|it| it.message.clone()).collect()),
    ("opt-in-status", |it| some(&it.opt_in_status)),
    ("parent-zone-id", |it| some(&it.parent_zone_id)),
    ("parent-zone-name", |it| some(&it.parent_zone_name)),
    ("region-name", |it| some(&it.region_name)),
    ("state", |it| some(&it.state)),
    ("zone-id", |it| some(&it.zone_id)),
    ("zone-name", |it| some(&it.zone_name)),
    ("zone-type", |it| some(&it.zone_type)),
];

fn shown_zone(region: &Region, zone: String) -> ec2::AvailabilityZone {
    ec2::AvailabilityZone {
        opt_in_status: Some(NO_OPT_IN.into()),
        region_name: Some(region.to_string()),
        zone_id: region.zone_id(&zone),
        zone_name: Some(zone),
        group_name: Some(format!("{region}-zg-1")),
        network_border_group: Some(region.to_string()),
        zone_type: Some("availability-zone".into()),
        state: Some("available".into()),
        ..Default::default()
    }
}

/// The zones of the caller's region (SUB-11).
pub(crate) fn describe_zones(
    call: &Call,
    _: &Snapshot,
    r: &ec2::DescribeAvailabilityZonesRequest,
) -> Answer<ec2::DescribeAvailabilityZonesResult> {
    let region = call.region();
    let mut zones: Vec<_> = region.zones().map(|zone| shown_zone(region, zone)).collect();
    for (wanted, value) in [
        (&r.zone_names, (|it| &it.zone_name) as fn(&ec2::AvailabilityZone) -> &Option<String>),
        (&r.zone_ids, |it| &it.zone_id),
    ] {
        let is = |zone: &ec2::AvailabilityZone, text: &String| value(zone).as_ref() == Some(text);
        let known = region.zones().map(|zone| shown_zone(region, zone)).collect::<Vec<_>>();
        if let Some(text) = wanted.iter().find(|text| !known.iter().any(|zone| is(zone, text))) {
            let message = format!("Invalid availability zone: [{text}]");
            return Err(ApiError::invalid_parameter_value(message));
        }
        zones.retain(|zone| wanted.is_empty() || wanted.iter().any(|text| is(zone, text)));
    }
    let availability_zones = select(zones, &r.filters, ZONE_FIELDS, None)?;
    Ok(ec2::DescribeAvailabilityZonesResult { availability_zones })
}

const ATTRIBUTES: [&str; 6] = [
    "default-vpc",
    "max-elastic-ips",
    "max-instances",
    "supported-platforms",
    "vpc-max-elastic-ips",
    "vpc-max-security-groups-per-interface",
];

/// Without quotas the limit of Elastic IP addresses is the pool. `max-instances` is a number that
/// AWS answers but does not keep to.
pub(crate) fn describe_account_attributes(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeAccountAttributesRequest,
) -> Answer<ec2::DescribeAccountAttributesResult> {
    let names = &r.attribute_names;
    if let Some(name) = names.iter().find(|name| !ATTRIBUTES.contains(&name.as_str())) {
        let reason = format!("Expecting one of: {}.", ATTRIBUTES.join(", "));
        return Err(ApiError::invalid_value(name, "attributeName", &reason));
    }
    let addresses = match call.config.aws_quotas {
        true => ADDRESS_QUOTA.to_string(),
        false => (1_u64 << (32 - call.config.public_pool.prefix_len())).to_string(),
    };
    let named =
        ATTRIBUTES.into_iter().filter(|name| names.is_empty() || names.iter().any(|it| it == name));
    let account_attributes = named.map(|name| {
        let value = match name {
            "default-vpc" => records
                .all::<Vpc>(&call.scope)
                .find(|vpc| vpc.is_default)
                .map_or("none".to_owned(), |vpc| vpc.id.to_string()),
            "max-elastic-ips" | "vpc-max-elastic-ips" => addresses.clone(),
            "max-instances" => "20".to_owned(),
            "supported-platforms" => "VPC".to_owned(),
            _ => "5".to_owned(),
        };
        ec2::AccountAttribute {
            attribute_name: Some(name.to_owned()),
            attribute_values: vec![ec2::AccountAttributeValue { attribute_value: Some(value) }],
        }
    });
    let account_attributes = account_attributes.collect();
    Ok(ec2::DescribeAccountAttributesResult { account_attributes })
}

/// A region with one VPC, for tests of handlers.
#[cfg(test)]
pub(crate) mod fixture {
    use std::{
        net::Ipv4Addr,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
    };

    use gureum_api::{ApiError, ec2};
    use gureum_engine::FabricConfig;
    use gureum_store::{Snapshot, Store, StoreError, Transaction};
    use gureum_types::{
        AccountId, AttachmentId, DhcpOptionsId, ImageId, InstanceId, InternetGatewayId,
        NetworkAclId, NetworkInterfaceId, PortIndex, ReservationId, SecurityGroupId, SubnetId,
        Tags, Timestamp, VpcCidrAssociationId, VpcId,
        record::{
            Attachment, DhcpOptions, Instance, InstanceState, InternetGateway, MetadataOptions,
            NetworkAcl, NetworkInterface, RegionState, Scope, Subnet, Vpc, VpcCidrAssociation,
        },
    };

    use crate::{
        allocate,
        call::{Answer, Call},
        config::Config,
        iam::caller::Caller,
        resource::network_acl,
    };

    /// A caller in Seoul and what they have.
    pub(crate) struct Cloud {
        store: Store,
        pub(crate) call: Call,
    }

    /// What a transaction of a test ends with.
    enum Failed {
        Refused(ApiError),
        Lost(StoreError),
    }

    impl From<StoreError> for Failed {
        fn from(error: StoreError) -> Self {
            Self::Lost(error)
        }
    }

    impl Cloud {
        pub(crate) fn new() -> Self {
            let mut config = Config::new(FabricConfig {
                public_pool: ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(198, 18, 0, 0), 16),
                ipv6_pool: gureum_types::IPV6_POOL,
                internet_mac: [2, 0, 0, 0, 0, 1],
                services_mac: [2, 0, 0, 0, 0, 2],
            });
            let next = AtomicU64::new(1);
            config.random = Arc::new(move || next.fetch_add(1, Ordering::Relaxed));
            let region = "ap-northeast-2".parse().expect("a region");
            let call = Call {
                endpoint: String::new(),
                scope: Scope { account: AccountId::default(), region },
                caller: Caller::root(AccountId::default(), "AKID"),
                now: Timestamp(1_630_630_923_000),
                config: Arc::new(config),
            };
            Self { store: Store::in_memory(), call }
        }

        /// The same cloud with AWS's quotas.
        pub(crate) fn with_quotas(mut self) -> Self {
            let config = Config { aws_quotas: true, ..(*self.call.config).clone() };
            self.call.config = Arc::new(config);
            self
        }

        /// Another caller's view of it.
        pub(crate) fn of_account(&self, account: &str) -> Call {
            let account = AccountId::parse(account).expect("an account");
            let caller = Caller::root(account.clone(), account.as_str());
            let scope = Scope { account, ..self.call.scope.clone() };
            Call { scope, caller, ..self.call.clone() }
        }

        pub(crate) fn records(&self) -> Arc<Snapshot> {
            self.store.snapshot()
        }

        /// One call that changes something; what it refuses changes nothing.
        pub(crate) fn change<T>(
            &self,
            handler: impl Fn(&Call, &mut Transaction) -> Answer<T>,
        ) -> Answer<T> {
            let before = self.records().revision();
            let handle = |tx: &mut Transaction| handler(&self.call, tx).map_err(Failed::Refused);
            match self.store.transact(handle) {
                Ok(answer) => Ok(answer),
                Err(Failed::Refused(error)) => {
                    assert_eq!(self.records().revision(), before, "{error}");
                    Err(error)
                }
                Err(Failed::Lost(error)) => panic!("memory does not fail: {error}"),
            }
        }

        /// Does something that cannot be refused.
        pub(crate) fn put<T>(&self, put: impl Fn(&Call, &mut Transaction) -> T) -> T {
            self.change(|call, tx| Ok(put(call, tx))).expect("it is not refused")
        }

        /// A VPC 10.1.0.0/16 with its default ACL, and without gateway.
        pub(crate) fn vpc(&self) -> Vpc {
            self.put(|call, tx| {
                let cidr_block = "10.1.0.0/16".parse().expect("a block");
                let vpc = Vpc {
                    id: VpcId::new(call.random()),
                    cidr_block,
                    cidr_associations: vec![VpcCidrAssociation {
                        id: VpcCidrAssociationId::new(call.random()),
                        cidr_block,
                    }],
                    ipv6_cidr_associations: Vec::new(),
                    dhcp_options: None,
                    instance_tenancy: "default".into(),
                    is_default: false,
                    enable_dns_support: true,
                    enable_dns_hostnames: false,
                    enable_network_address_usage_metrics: false,
                    created: call.now,
                    tags: Tags::new(),
                };
                let acl = NetworkAcl {
                    id: NetworkAclId::new(call.random()),
                    vpc_id: vpc.id.clone(),
                    is_default: true,
                    entries: Vec::new(),
                    associations: Vec::new(),
                    created: call.now,
                    tags: Tags::new(),
                };
                tx.put(&call.scope, acl);
                (*tx.put(&call.scope, vpc)).clone()
            })
        }

        /// The set of DHCP options that new VPCs get.
        pub(crate) fn default_dhcp_options(&self) -> DhcpOptionsId {
            self.put(|call, tx| {
                let options = DhcpOptions {
                    id: DhcpOptionsId::new(call.random()),
                    configurations: vec![(
                        "domain-name-servers".into(),
                        vec!["AmazonProvidedDNS".into()],
                    )],
                    created: call.now,
                    tags: Tags::new(),
                };
                let id = options.id.clone();
                let state = RegionState { default_dhcp_options: id.clone(), created: call.now };
                tx.put(&call.scope, options);
                tx.put(&call.scope, state);
                id
            })
        }

        pub(crate) fn gateway(&self, vpc: &Vpc) {
            self.put(|call, tx| {
                let gateway = InternetGateway {
                    id: InternetGatewayId::new(call.random()),
                    vpc_id: Some(vpc.id.clone()),
                    created: call.now,
                    tags: Tags::new(),
                };
                tx.put(&call.scope, gateway);
            });
        }

        /// The subnet 10.1.`number`.0/24, behind the default ACL.
        pub(crate) fn subnet(&self, vpc: &Vpc, number: u8) -> Subnet {
            self.put(|call, tx| {
                let subnet = Subnet {
                    id: SubnetId::new(call.random()),
                    vpc_id: vpc.id.clone(),
                    cidr_block: Some(format!("10.1.{number}.0/24").parse().expect("a block")),
                    ipv6_cidr_association: None,
                    availability_zone: "ap-northeast-2a".into(),
                    default_for_az: false,
                    map_public_ip_on_launch: true,
                    assign_ipv6_address_on_creation: false,
                    enable_dns64: false,
                    private_dns_hostname_type: "ip-name".into(),
                    resource_name_dns_a_record: false,
                    resource_name_dns_aaaa_record: false,
                    created: call.now,
                    tags: Tags::new(),
                };
                tx.put(&call.scope, subnet.clone());
                network_acl::guard_with_default(call, tx, &subnet);
                subnet
            })
        }

        /// A running instance without interfaces.
        pub(crate) fn instance(&self, subnet: &Subnet) -> Instance {
            self.put(|call, tx| {
                let instance = Instance {
                    id: InstanceId::new(call.random()),
                    reservation_id: ReservationId::new(call.random()),
                    launch_index: 0,
                    image_id: ImageId::new(1),
                    instance_type: "t2.micro".into(),
                    key_name: None,
                    public_key: None,
                    vpc_id: subnet.vpc_id.clone(),
                    subnet_id: subnet.id.clone(),
                    availability_zone: subnet.availability_zone.clone(),
                    state: InstanceState::Running,
                    state_reason: None,
                    state_transition_reason: String::new(),
                    launch_time: call.now,
                    starts: 1,
                    reboots: 0,
                    reboots_done: 0,
                    force_stop: false,
                    state_changed: call.now,
                    status_ok: true,
                    user_data: None,
                    metadata_options: MetadataOptions {
                        tokens_required: false,
                        hop_limit: 1,
                        enabled: true,
                        ipv6: false,
                        tags: false,
                    },
                    iam_instance_profile: None,
                    tenancy: "default".into(),
                    ebs_optimized: false,
                    monitoring: false,
                    disable_api_termination: false,
                    disable_api_stop: false,
                    instance_initiated_shutdown_behavior: "stop".into(),
                    cpu_credits: None,
                    hibernation: false,
                    connect_keys: Vec::new(),
                    auto_recovery_disabled: false,
                    reboot_migration_disabled: false,
                    placed: None,
                    root_device_name: "/dev/xvda".into(),
                    private_dns_hostname_type: "ip-name".into(),
                    resource_name_dns_a_record: false,
                    resource_name_dns_aaaa_record: false,
                    client_token: None,
                    host: None,
                    tags: Tags::new(),
                };
                (*tx.put(&call.scope, instance)).clone()
            })
        }

        /// An interface of an instance with two private addresses, `last` the first one's end;
        /// the primary interface holds a public address.
        pub(crate) fn interface(
            &self,
            subnet: &Subnet,
            instance: &Instance,
            device_index: u32,
            last: u8,
        ) -> NetworkInterface {
            self.change(|call, tx| {
                let id = NetworkInterfaceId::new(call.random());
                let auto_public_ip = match device_index {
                    0 => Some(allocate::public_address(call, tx, id.as_str())?),
                    _ => None,
                };
                let [a, b, c, _] = subnet.cidr_block.expect("a block").network().octets();
                let interface = NetworkInterface {
                    id,
                    port: allocate::port(tx)?,
                    vpc_id: subnet.vpc_id.clone(),
                    subnet_id: subnet.id.clone(),
                    availability_zone: subnet.availability_zone.clone(),
                    description: String::new(),
                    interface_type: "interface".into(),
                    requester_managed: false,
                    mac: allocate::mac(call),
                    private_addresses: vec![
                        Ipv4Addr::new(a, b, c, last),
                        Ipv4Addr::new(a, b, c, last + 1),
                    ],
                    ipv6_addresses: Vec::new(),
                    groups: vec![SecurityGroupId::new(1)],
                    connection_tracking: Default::default(),
                    primary_ipv6: false,
                    source_dest_check: true,
                    detached: None,
                    attachment: Some(Attachment {
                        id: AttachmentId::new(call.random()),
                        instance_id: instance.id.clone(),
                        device_index,
                        delete_on_termination: true,
                        attach_time: call.now,
                        state: Default::default(),
                    }),
                    associate_public_ip: device_index == 0,
                    auto_public_ip,
                    created: call.now,
                    tags: Tags::new(),
                };
                assert_ne!(interface.port, PortIndex::INTERNET);
                Ok((*tx.put(&call.scope, interface)).clone())
            })
            .expect("there is room for an interface")
        }
    }

    pub(crate) fn filter(name: &str, values: &[&str]) -> ec2::Filter {
        ec2::Filter {
            name: Some(name.into()),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    /// The code of a refusal.
    #[track_caller]
    pub(crate) fn code<T>(answer: Answer<T>) -> &'static str {
        match answer {
            Ok(_) => panic!("it was not refused"),
            Err(error) => error.code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        fixture::{Cloud, code, filter},
        *,
    };

    #[test]
    fn seoul_has_four_zones_with_ids() {
        let cloud = Cloud::new();
        let describe = |r| describe_zones(&cloud.call, &cloud.records(), &r);
        let all = describe(ec2::DescribeAvailabilityZonesRequest::default()).expect("zones");
        let zones: Vec<_> = all.availability_zones.iter().collect();
        assert_eq!(zones.len(), 4, "SUB-11");
        assert_eq!(zones[2].zone_name.as_deref(), Some("ap-northeast-2c"));
        assert_eq!(zones[2].zone_id.as_deref(), Some("apne2-az3"));
        let both = describe(ec2::DescribeAvailabilityZonesRequest {
            zone_names: vec!["ap-northeast-2a".into(), "ap-northeast-2c".into()],
            zone_ids: vec!["apne2-az3".into()],
            ..Default::default()
        })
        .expect("a zone");
        assert_eq!(both.availability_zones, vec![zones[2].clone()]);
        let none = describe(ec2::DescribeAvailabilityZonesRequest {
            filters: vec![filter("opt-in-status", &["opted-in"])],
            ..Default::default()
        });
        assert_eq!(none.expect("an answer").availability_zones, vec![]);
        for (zone_names, zone_ids) in
            [(vec!["us-east-1a".to_owned()], vec![]), (vec![], vec!["apne2-az9".to_owned()])]
        {
            let r = ec2::DescribeAvailabilityZonesRequest {
                zone_names,
                zone_ids,
                ..Default::default()
            };
            assert_eq!(code(describe(r)), "InvalidParameterValue");
        }
        let r = ec2::DescribeAvailabilityZonesRequest {
            filters: vec![filter("tag:Name", &["x"])],
            ..Default::default()
        };
        assert_eq!(code(describe(r)), "InvalidParameterValue", "API-9");
    }

    #[test]
    fn regions_are_found_by_name_and_filter() {
        let cloud = Cloud::new();
        let describe = |r| describe_regions(&cloud.call, &cloud.records(), &r);
        let all = describe(ec2::DescribeRegionsRequest::default()).expect("regions");
        assert_eq!(all.regions.len(), REGIONS.len());
        let korea = describe(ec2::DescribeRegionsRequest {
            filters: vec![filter("endpoint", &["*northeast-2*"])],
            ..Default::default()
        })
        .expect("a region");
        assert_eq!(korea.regions.len(), 1);
        assert_eq!(korea.regions[0].endpoint.as_deref(), Some("ec2.ap-northeast-2.amazonaws.com"));
        let r = ec2::DescribeRegionsRequest {
            region_names: vec!["ap-northeast-9".into()],
            ..Default::default()
        };
        assert_eq!(code(describe(r)), "InvalidParameterValue");
    }

    #[test]
    fn account_attributes_say_what_holds_here() {
        let value = |cloud: &Cloud, name: &str| {
            let r = ec2::DescribeAccountAttributesRequest {
                attribute_names: vec![name.into()],
                ..Default::default()
            };
            let mut found = describe_account_attributes(&cloud.call, &cloud.records(), &r)
                .expect("an attribute")
                .account_attributes;
            assert_eq!(found.len(), 1);
            found.remove(0).attribute_values.remove(0).attribute_value.expect("a value")
        };
        let cloud = Cloud::new();
        assert_eq!(value(&cloud, "supported-platforms"), "VPC");
        assert_eq!(value(&cloud, "default-vpc"), "none");
        assert_eq!(value(&cloud, "vpc-max-elastic-ips"), "65536", "the pool");
        let vpc = cloud.vpc();
        cloud.put(|call, tx| {
            tx.update::<Vpc>(&call.scope, vpc.id.as_str(), |vpc| vpc.is_default = true);
        });
        assert_eq!(value(&cloud, "default-vpc"), vpc.id.as_str());
        let cloud = cloud.with_quotas();
        assert_eq!(value(&cloud, "vpc-max-elastic-ips"), "5", "EIP-2");
        let r = ec2::DescribeAccountAttributesRequest {
            attribute_names: vec!["shoe-size".into()],
            ..Default::default()
        };
        let answer = describe_account_attributes(&cloud.call, &cloud.records(), &r);
        assert_eq!(code(answer), "InvalidParameterValue");
    }
}
