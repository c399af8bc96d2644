//! Where the twin shows something else than the data: member by member, counted by path.

use std::collections::BTreeMap;

use gureum_api::{printed, shape::Structure};
use serde_json::{Map, Value};

use super::document::Document;

/// Members that are counted or told by what happens here, not by the data.
const OF_THE_MOMENT: &[&str] = &["AvailableIpAddressCount"];

/// Paths of members with how many of them the twin shows otherwise, or not at all. What the data do
/// not say is no difference.
pub(super) fn of(data: &Document, shown: &Document) -> Vec<(String, u64)> {
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for (path, count) in &data.unknown {
        *found.entry(path.clone()).or_default() += *count as u64;
    }
    macro_rules! compare {
        ($($field:ident $key:literal $id:ident;)*) => {$(
            list($key, &data.$field, &shown.$field, |it| it.$id.as_deref(), &mut found);
        )*};
    }
    compare! {
        addresses "Addresses" allocation_id;
        dhcp_options "DhcpOptions" dhcp_options_id;
        egress_only_internet_gateways "EgressOnlyInternetGateways" egress_only_internet_gateway_id;
        internet_gateways "InternetGateways" internet_gateway_id;
        nat_gateways "NatGateways" nat_gateway_id;
        network_acls "NetworkAcls" network_acl_id;
        network_interfaces "NetworkInterfaces" network_interface_id;
        prefix_lists "PrefixLists" prefix_list_id;
        route_tables "RouteTables" route_table_id;
        security_group_rules "SecurityGroupRules" security_group_rule_id;
        security_groups "SecurityGroups" group_id;
        subnets "Subnets" subnet_id;
        volumes "Volumes" volume_id;
        vpc_endpoints "VpcEndpoints" vpc_endpoint_id;
        vpc_peering_connections "VpcPeeringConnections" vpc_peering_connection_id;
        vpcs "Vpcs" vpc_id;
    }
    let instances = |of: &Document| of.instances().map(|(_, it)| it.clone()).collect::<Vec<_>>();
    let (ours, theirs) = (instances(data), instances(shown));
    list("Instances", &ours, &theirs, |it| it.instance_id.as_deref(), &mut found);
    found.into_iter().collect()
}

fn list<T: Structure>(
    key: &str,
    data: &[T],
    shown: &[T],
    id: impl Fn(&T) -> Option<&str>,
    found: &mut BTreeMap<String, u64>,
) {
    let by_id: BTreeMap<_, _> = shown.iter().map(|it| (id(it), it)).collect();
    for it in data {
        // What is not made is told as such.
        if let Some(other) = by_id.get(&id(it)) {
            object(&format!("{key}[]"), &printed::print(it), &printed::print(*other), found);
        }
    }
}

fn object(
    path: &str,
    data: &Map<String, Value>,
    shown: &Map<String, Value>,
    found: &mut BTreeMap<String, u64>,
) {
    for (name, value) in data.iter().filter(|(name, _)| !OF_THE_MOMENT.contains(&name.as_str())) {
        value_of(&format!("{path}.{name}"), value, shown.get(name), found);
    }
}

fn value_of(path: &str, data: &Value, shown: Option<&Value>, found: &mut BTreeMap<String, u64>) {
    match (data, shown) {
        (data, Some(shown)) if data == shown => {}
        (Value::Object(data), Some(Value::Object(shown))) => object(path, data, shown, found),
        (Value::Array(data), Some(Value::Array(shown))) => {
            // Order says nothing in these answers.
            let missing = data.iter().filter(|it| !shown.contains(it));
            let left: Vec<_> = shown.iter().filter(|it| !data.contains(it)).collect();
            for (place, it) in missing.enumerate() {
                match (it, left.get(place)) {
                    (Value::Object(it), Some(Value::Object(other))) => {
                        object(&format!("{path}[]"), it, other, found);
                    }
                    _ => *found.entry(format!("{path}[]")).or_default() += 1,
                }
            }
        }
        // Nothing said in two ways.
        (Value::Array(data), None) if data.is_empty() => {}
        (Value::String(data), None) if data.is_empty() => {}
        _ => *found.entry(path.to_owned()).or_default() += 1,
    }
}
