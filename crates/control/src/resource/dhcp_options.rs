//! Sets of DHCP options (DHCP-1 to DHCP-4). A set never changes; a VPC gets another.

use std::net::{IpAddr, Ipv4Addr};

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    DhcpOptionsId,
    record::{DhcpOptions, RegionState, Vpc},
};

use crate::{
    call::{Answer, Call, listed, required, text},
    filter::{Fields, select, some},
    page::page,
    tags,
};

/// The resolver of the VPC, in place of an address (DHCP-1).
const AMAZON_DNS: &str = "AmazonProvidedDNS";

/// How many servers of each address family an option may name (DHCP-3).
const SERVERS: usize = 4;

fn shown(call: &Call, options: &DhcpOptions) -> ec2::DhcpOptions {
    let configurations = options.configurations.iter().map(|(key, values)| {
        let values = values.iter().map(|it| ec2::AttributeValue { value: Some(it.clone()) });
        ec2::DhcpConfiguration { key: Some(key.clone()), values: values.collect() }
    });
    ec2::DhcpOptions {
        owner_id: Some(call.account().to_string()),
        tags: tags::shown(&options.tags),
        dhcp_options_id: Some(options.id.to_string()),
        dhcp_configurations: configurations.collect(),
    }
}

const FIELDS: &Fields<ec2::DhcpOptions> = &[
    ("dhcp-options-id", |it| some(&it.dhcp_options_id)),
    ("key", |it| it.dhcp_configurations.iter().filter_map(|it| it.key.clone()).collect()),
    ("owner-id", |it| some(&it.owner_id)),
    ("value", |it| {
        let values = it.dhcp_configurations.iter().flat_map(|it| &it.values);
        values.filter_map(|it| it.value.clone()).collect()
    }),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeDhcpOptionsRequest,
) -> Answer<ec2::DescribeDhcpOptionsResult> {
    let found = listed::<DhcpOptions>(records, &call.scope, &r.dhcp_options_ids)?;
    let options = found.iter().map(|options| shown(call, options)).collect();
    let options = select(options, &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (dhcp_options, next_token) =
        page(options, r.max_results, &r.next_token, |it| it.dhcp_options_id.as_deref())?;
    Ok(ec2::DescribeDhcpOptionsResult { next_token, dhcp_options })
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateDhcpOptionsRequest,
) -> Answer<ec2::CreateDhcpOptionsResult> {
    let mut configurations: Vec<(String, Vec<String>)> = Vec::new();
    for (number, configuration) in r.dhcp_configurations.iter().enumerate() {
        let parameter = |name| format!("DhcpConfiguration.{}.{name}", number + 1);
        let key = text(&configuration.key, &parameter("Key"))?;
        // Several values may come in one, between commas.
        let values = configuration.values.iter().flat_map(|value| value.split(','));
        let values: Vec<_> =
            values.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect();
        if values.is_empty() {
            return Err(ApiError::missing_parameter(&parameter("Value.1")));
        }
        check(key, &values)?;
        if configurations.iter().any(|(known, _)| known == key) {
            let reason = "An option can be given only once.";
            return Err(ApiError::invalid_value(key, "dhcpConfiguration", reason));
        }
        configurations.push((key.to_owned(), values));
    }
    if configurations.is_empty() {
        return Err(ApiError::missing_parameter("DhcpConfiguration"));
    }
    let options = DhcpOptions {
        id: DhcpOptionsId::new(call.random()),
        configurations,
        created: call.now,
        tags: tags::on_creation::<DhcpOptions>(&r.tag_specifications)?,
    };
    let options = tx.put(&call.scope, options);
    Ok(ec2::CreateDhcpOptionsResult { dhcp_options: Some(shown(call, &options)) })
}

/// What each option may say (DHCP-3).
fn check(key: &str, values: &[String]) -> Answer<()> {
    let refuse = |value: &str, reason: &str| Err(ApiError::invalid_value(value, key, reason));
    let first = values.first().map_or("", String::as_str);
    let is_single = match key {
        "domain-name" | "netbios-node-type" | "ipv6-address-preferred-lease-time" => true,
        "domain-name-servers" | "ntp-servers" | "netbios-name-servers" => false,
        _ => {
            let reason = "There is no such DHCP option.";
            return Err(ApiError::invalid_value(key, "dhcpConfiguration", reason));
        }
    };
    if is_single && values.len() > 1 {
        return refuse(&values.join(","), "This option has one value.");
    }
    match key {
        "domain-name" => {
            // Some systems take several names with spaces between them.
            let is_name = |it: &str| {
                !it.is_empty()
                    && it.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
            };
            match first.len() <= 253 && first.split(' ').all(is_name) {
                true => Ok(()),
                false => refuse(first, "This is not a valid domain name."),
            }
        }
        "netbios-node-type" => match first {
            "1" | "2" | "4" | "8" => Ok(()),
            _ => refuse(first, "Expecting one of: 1, 2, 4, 8."),
        },
        "ipv6-address-preferred-lease-time" => match first.parse::<u32>() {
            Ok(140..=2_147_483_647) => Ok(()),
            _ => refuse(first, "Expecting a number of seconds between 140 and 2147483647."),
        },
        _ => {
            let (mut ipv4, mut ipv6) = (0, 0);
            for value in values {
                match value.parse::<IpAddr>() {
                    Ok(IpAddr::V4(address)) if !is_no_server(address) => ipv4 += 1,
                    Ok(IpAddr::V6(address))
                        if key != "netbios-name-servers" && !address.is_multicast() =>
                    {
                        ipv6 += 1;
                    }
                    Err(_) if key == "domain-name-servers" && value == AMAZON_DNS => ipv4 += 1,
                    _ => return refuse(value, "This is not the address of a server."),
                }
            }
            match ipv4 <= SERVERS && ipv6 <= SERVERS {
                true => Ok(()),
                false => refuse(&values.join(","), "At most 4 servers are possible."),
            }
        }
    }
}

fn is_no_server(address: Ipv4Addr) -> bool {
    address.is_unspecified() || address.is_broadcast() || address.is_multicast()
}

/// Not while a VPC has it, or new VPCs get it (DHCP-2).
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteDhcpOptionsRequest,
) -> Answer<()> {
    let options = required::<DhcpOptions>(tx, &call.scope, &r.dhcp_options_id, "DhcpOptionsId")?;
    let id = options.id.as_str();
    let is_used = tx.referrers::<Vpc>(id).next().is_some()
        || tx.referrers::<RegionState>(id).next().is_some();
    if is_used {
        return Err(ApiError::has_dependencies(Resource::DhcpOptions, id));
    }
    tx.remove::<DhcpOptions>(&call.scope, id);
    Ok(())
}

/// `default` stands for no options at all (DHCP-2).
pub(crate) fn associate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AssociateDhcpOptionsRequest,
) -> Answer<()> {
    let id = match text(&r.dhcp_options_id, "DhcpOptionsId")? {
        "default" => None,
        _ => {
            let name = "DhcpOptionsId";
            Some(required::<DhcpOptions>(tx, &call.scope, &r.dhcp_options_id, name)?.id.clone())
        }
    };
    let vpc = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
    tx.update::<Vpc>(&call.scope, vpc.id.as_str(), |vpc| vpc.dhcp_options = id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::place::fixture::{Cloud, code, filter};

    fn request(options: &[(&str, &[&str])]) -> ec2::CreateDhcpOptionsRequest {
        let configurations = options.iter().map(|(key, values)| ec2::NewDhcpConfiguration {
            key: Some((*key).into()),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        });
        ec2::CreateDhcpOptionsRequest {
            dhcp_configurations: configurations.collect(),
            ..Default::default()
        }
    }

    fn made(cloud: &Cloud, options: &[(&str, &[&str])]) -> Answer<ec2::DhcpOptions> {
        let r = request(options);
        let answer = cloud.change(|call, tx| create(call, tx, &r))?;
        Ok(answer.dhcp_options.expect("a set"))
    }

    #[test]
    fn a_set_is_shown_as_it_was_given() {
        let cloud = Cloud::new();
        let set = made(
            &cloud,
            &[
                ("domain-name", &["lab.example"]),
                ("domain-name-servers", &["10.1.0.5,AmazonProvidedDNS"]),
                ("ntp-servers", &["169.254.169.123", "fd00:ec2::123"]),
                ("netbios-node-type", &["2"]),
            ],
        )
        .expect("a set");
        let servers = &set.dhcp_configurations[1].values;
        let values: Vec<_> = servers.iter().filter_map(|it| it.value.as_deref()).collect();
        assert_eq!(values, ["10.1.0.5", "AmazonProvidedDNS"]);
        for (name, value) in
            [("key", "ntp-servers"), ("value", "fd00:*"), ("owner-id", "123456789012")]
        {
            let r = ec2::DescribeDhcpOptionsRequest {
                filters: vec![filter(name, &[value])],
                ..Default::default()
            };
            let found = describe(&cloud.call, &cloud.records(), &r).expect("sets").dhcp_options;
            assert_eq!(found, vec![set.clone()], "{name}");
        }
    }

    #[test]
    fn an_option_that_cannot_be_is_refused() {
        let cloud = Cloud::new();
        let five: &[&str] = &["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"];
        for (options, expected) in [
            (&[] as &[(&str, &[&str])], "MissingParameter"),
            (&[("", &["x"])], "MissingParameter"),
            (&[("domain-name", &[])], "MissingParameter"),
            (&[("router", &["10.0.0.1"])], "InvalidParameterValue"),
            (&[("domain-name", &["a.example", "b.example"])], "InvalidParameterValue"),
            (&[("domain-name", &["bad\nname"])], "InvalidParameterValue"),
            (&[("domain-name", &["a.example"]), ("domain-name", &["b"])], "InvalidParameterValue"),
            (&[("domain-name-servers", five)], "InvalidParameterValue"),
            (&[("domain-name-servers", &["resolver"])], "InvalidParameterValue"),
            (&[("domain-name-servers", &["224.0.0.1"])], "InvalidParameterValue"),
            (&[("ntp-servers", &["AmazonProvidedDNS"])], "InvalidParameterValue"),
            (&[("netbios-name-servers", &["fd00::1"])], "InvalidParameterValue"),
            (&[("netbios-node-type", &["3"])], "InvalidParameterValue"),
            (&[("ipv6-address-preferred-lease-time", &["10"])], "InvalidParameterValue"),
        ] {
            assert_eq!(code(made(&cloud, options)), expected, "DHCP-3 {options:?}");
        }
    }

    #[test]
    fn a_set_goes_when_no_vpc_has_it() {
        let cloud = Cloud::new();
        let (vpc, first) = (cloud.vpc(), cloud.default_dhcp_options());
        let id = made(&cloud, &[("domain-name", &["x"])]).expect("a set").dhcp_options_id;
        let associate = |id: &str, vpc: &str| {
            let r = ec2::AssociateDhcpOptionsRequest {
                dhcp_options_id: Some(id.into()),
                vpc_id: Some(vpc.into()),
                ..Default::default()
            };
            cloud.change(|call, tx| associate(call, tx, &r))
        };
        let delete = |id: &str| {
            let r = ec2::DeleteDhcpOptionsRequest {
                dhcp_options_id: Some(id.into()),
                ..Default::default()
            };
            cloud.change(|call, tx| delete(call, tx, &r))
        };
        let of_vpc = || {
            let records = cloud.records();
            let vpc = records.find::<Vpc>(&cloud.call.scope, vpc.id.as_str()).expect("a VPC");
            vpc.dhcp_options.as_ref().map(ToString::to_string)
        };
        let id = id.expect("an id");
        associate(&id, vpc.id.as_str()).expect("both are there");
        assert_eq!(of_vpc().as_deref(), Some(id.as_str()));
        assert_eq!(code(delete(&id)), "DependencyViolation", "DHCP-2");
        associate("default", vpc.id.as_str()).expect("none at all");
        assert_eq!(of_vpc(), None, "DHCP-2");
        delete(&id).expect("nothing needs it");
        assert_eq!(code(delete(&id)), "InvalidDhcpOptionID.NotFound", "API-11");
        assert_eq!(code(delete(first.as_str())), "DependencyViolation", "new VPCs get it");
        assert_eq!(code(associate(&id, vpc.id.as_str())), "InvalidDhcpOptionID.NotFound");
        assert_eq!(code(associate("dopt-x", vpc.id.as_str())), "InvalidDhcpOptionsId.Malformed");
        assert_eq!(code(associate("default", "vpc-00000000000000999")), "InvalidVpcID.NotFound");
    }
}
