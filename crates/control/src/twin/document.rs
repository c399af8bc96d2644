//! The document: the answers of describe calls as the AWS CLI prints them, together in one object
//! or in as many as there are.

use std::collections::{BTreeMap, BTreeSet};

use gureum_api::{ec2, printed, shape::Structure};
use serde_json::{Map, Value};

/// Members beside the answer itself that a printed answer has.
const BESIDE: &[&str] = &["ResponseMetadata", "NextToken"];

macro_rules! sections {
    ($($key:literal $field:ident $kind:ident;)*) => {
        /// The answers that are read, by the keys that they have.
        #[derive(Clone, Debug, Default)]
        pub(super) struct Document {
            $(pub(super) $field: Vec<ec2::$kind>,)*
            /// DescribeVpcAttribute, a call an attribute: merged by VPC.
            pub(super) vpc_attributes: BTreeMap<String, ec2::DescribeVpcAttributeResult>,
            /// GetManagedPrefixListEntries, by list.
            pub(super) entries: BTreeMap<String, Vec<ec2::PrefixListEntry>>,
            /// The keys that are there.
            pub(super) keys: BTreeSet<String>,
            /// Keys that nobody reads, with how many elements they have.
            pub(super) others: BTreeMap<String, usize>,
            /// Members that the service model does not have, with their number.
            pub(super) unknown: BTreeMap<String, usize>,
        }

        impl Document {
            fn section(&mut self, key: &str, value: &Value, wrong: &mut Vec<String>) -> bool {
                match key {
                    $($key => {
                        let read = elements(key, value, &mut self.unknown, wrong);
                        self.$field.extend(read);
                    })*
                    _ => return false,
                }
                self.keys.insert(key.to_owned());
                true
            }

            /// As one object.
            pub(super) fn print(&self) -> Value {
                let mut object = Map::new();
                $(object.insert($key.to_owned(), printed_list(&self.$field));)*
                let attributes = self.vpc_attributes.values();
                let attributes = attributes.map(|it| Value::Object(printed::print(it)));
                object.insert(VPC_ATTRIBUTES.to_owned(), Value::Array(attributes.collect()));
                let lists = self.entries.iter().map(|(id, entries)| {
                    serde_json::json!({"PrefixListId": id, "Entries": printed_list(entries)})
                });
                object.insert(LIST_ENTRIES.to_owned(), Value::Array(lists.collect()));
                Value::Object(object)
            }
        }
    };
}

const VPC_ATTRIBUTES: &str = "VpcAttributes";
const LIST_ENTRIES: &str = "PrefixListEntries";

sections! {
    "Addresses" addresses Address;
    "DhcpOptions" dhcp_options DhcpOptions;
    "EgressOnlyInternetGateways" egress_only_internet_gateways EgressOnlyInternetGateway;
    "InternetGateways" internet_gateways InternetGateway;
    "NatGateways" nat_gateways NatGateway;
    "NetworkAcls" network_acls NetworkAcl;
    "NetworkInterfaces" network_interfaces NetworkInterface;
    "PrefixLists" prefix_lists ManagedPrefixList;
    "Reservations" reservations Reservation;
    "RouteTables" route_tables RouteTable;
    "SecurityGroupRules" security_group_rules SecurityGroupRule;
    "SecurityGroups" security_groups SecurityGroup;
    "Subnets" subnets Subnet;
    "Volumes" volumes Volume;
    "VpcEndpoints" vpc_endpoints VpcEndpoint;
    "VpcPeeringConnections" vpc_peering_connections VpcPeeringConnection;
    "Vpcs" vpcs Vpc;
}

fn printed_list<T: Structure>(list: &[T]) -> Value {
    list.iter().map(|it| Value::Object(printed::print(it))).collect()
}

/// Takes in one structure; what of it is unknown or wrong is noted.
fn element<T: Structure + Default>(
    name: &str,
    value: &Value,
    unknown: &mut BTreeMap<String, usize>,
    wrong: &mut Vec<String>,
) -> Option<T> {
    let Value::Object(object) = value else {
        wrong.push(format!("{name} is not an object"));
        return None;
    };
    let mut read = T::default();
    let untaken = printed::read(&mut read, object);
    for path in untaken.unknown {
        let kind = name.split('[').next().unwrap_or_default();
        *unknown.entry(format!("{kind}[].{path}")).or_default() += 1;
    }
    wrong.extend(untaken.wrong.iter().map(|path| format!("{name}.{path} has a wrong value")));
    Some(read)
}

fn elements<T: Structure + Default>(
    key: &str,
    value: &Value,
    unknown: &mut BTreeMap<String, usize>,
    wrong: &mut Vec<String>,
) -> Vec<T> {
    let Value::Array(list) = value else {
        wrong.push(format!("{key} is not a list"));
        return Vec::new();
    };
    let numbered = list.iter().enumerate();
    numbered
        .filter_map(|(number, value)| element(&format!("{key}[{number}]"), value, unknown, wrong))
        .collect()
}

impl Document {
    /// Reads answers, each under the name of the file it comes from. What cannot be read is told,
    /// all of it.
    pub(super) fn read(answers: &[(String, Value)]) -> Result<Self, Vec<String>> {
        let (mut document, mut wrong) = (Self::default(), Vec::new());
        for (file, answer) in answers {
            let mut here = Vec::new();
            match answer {
                Value::Object(answer) => document.answer(file, answer, &mut here),
                _ => here.push("it is not a JSON object".to_owned()),
            }
            wrong.extend(here.into_iter().map(|problem| format!("{file}: {problem}")));
        }
        match wrong.is_empty() {
            true => Ok(document),
            false => Err(wrong),
        }
    }

    fn answer(&mut self, file: &str, answer: &Map<String, Value>, wrong: &mut Vec<String>) {
        let next = answer.get("NextToken").and_then(Value::as_str);
        if next.is_some_and(|token| !token.is_empty()) {
            let how =
                "it is one page of several: repeat the call without --max-items, --no-paginate";
            wrong.push(how.to_owned());
        }
        if answer.contains_key("VpcId") {
            return self.attribute("the answer", &Value::Object(answer.clone()), wrong);
        }
        if answer.contains_key("Entries") {
            return self.list(file, answer, wrong);
        }
        for (key, value) in answer {
            match (key.as_str(), value) {
                (VPC_ATTRIBUTES, Value::Array(list)) => {
                    for (number, value) in list.iter().enumerate() {
                        self.attribute(&format!("{key}[{number}]"), value, wrong);
                    }
                }
                (LIST_ENTRIES, Value::Array(list)) => {
                    for value in list {
                        match value {
                            Value::Object(list) => self.list(file, list, wrong),
                            _ => wrong.push(format!("an element of {key} is not an object")),
                        }
                    }
                }
                (VPC_ATTRIBUTES | LIST_ENTRIES, _) => wrong.push(format!("{key} is not a list")),
                // DescribeManagedPrefixLists and DescribePrefixLists have the same key.
                ("ManagedPrefixLists" | "PrefixLists", value) => self.lists(value, wrong),
                (beside, _) if BESIDE.contains(&beside) => {}
                (other, value) => {
                    if !self.section(other, value, wrong) {
                        let count = value.as_array().map_or(1, Vec::len);
                        *self.others.entry(other.to_owned()).or_default() += count;
                    }
                }
            }
        }
    }

    fn attribute(&mut self, name: &str, value: &Value, wrong: &mut Vec<String>) {
        let read: Option<ec2::DescribeVpcAttributeResult> =
            element(name, value, &mut self.unknown, wrong);
        let Some(read) = read else { return };
        let Some(id) = read.vpc_id.clone() else {
            wrong.push(format!("{name} has no VpcId"));
            return;
        };
        let known = self.vpc_attributes.entry(id.clone()).or_default();
        known.vpc_id = Some(id);
        for (to, from) in [
            (&mut known.enable_dns_hostnames, read.enable_dns_hostnames),
            (&mut known.enable_dns_support, read.enable_dns_support),
            (
                &mut known.enable_network_address_usage_metrics,
                read.enable_network_address_usage_metrics,
            ),
        ] {
            if from.is_some() {
                *to = from;
            }
        }
        self.keys.insert(VPC_ATTRIBUTES.to_owned());
    }

    fn list(&mut self, file: &str, answer: &Map<String, Value>, wrong: &mut Vec<String>) {
        // The answer itself does not say which list's it is.
        let id = answer.get("PrefixListId").and_then(Value::as_str).map(str::to_owned);
        let Some(id) = id.or_else(|| list_in_name(file)) else {
            wrong.push(
                "it has Entries and does not say of which prefix list: add \"PrefixListId\", or \
                 name the file after the list, as entries.pl-0123456789abcdef0.json"
                    .to_owned(),
            );
            return;
        };
        let entries = answer.get("Entries").unwrap_or(&Value::Null);
        let read = elements("Entries", entries, &mut self.unknown, wrong);
        self.entries.entry(id).or_default().extend(read);
    }

    fn lists(&mut self, value: &Value, wrong: &mut Vec<String>) {
        let Value::Array(lists) = value else {
            wrong.push("PrefixLists is not a list".to_owned());
            return;
        };
        self.keys.insert("PrefixLists".to_owned());
        for (number, list) in lists.iter().enumerate() {
            let name = format!("PrefixLists[{number}]");
            if list.get("Cidrs").is_none() {
                let read = element(&name, list, &mut self.unknown, wrong);
                self.prefix_lists.extend(read);
                continue;
            }
            let read: Option<ec2::PrefixList> = element(&name, list, &mut self.unknown, wrong);
            let Some(read) = read else { continue };
            let Some(id) = read.prefix_list_id.clone() else {
                wrong.push(format!("{name} has no PrefixListId"));
                continue;
            };
            let entries = read
                .cidrs
                .into_iter()
                .map(|cidr| ec2::PrefixListEntry { cidr: Some(cidr), ..Default::default() });
            self.entries.entry(id.clone()).or_insert_with(|| entries.collect());
            let is_known =
                self.prefix_lists.iter().any(|it| it.prefix_list_id.as_ref() == Some(&id));
            if !is_known {
                self.prefix_lists.push(ec2::ManagedPrefixList {
                    prefix_list_id: Some(id),
                    prefix_list_name: read.prefix_list_name,
                    address_family: Some("IPv4".to_owned()),
                    owner_id: Some("AWS".to_owned()),
                    ..Default::default()
                });
            }
        }
    }

    /// The instances with their reservations.
    pub(super) fn instances(&self) -> impl Iterator<Item = (&ec2::Reservation, &ec2::Instance)> {
        self.reservations.iter().flat_map(|it| it.instances.iter().map(move |of| (it, of)))
    }
}

/// The id of a prefix list in the name of a file.
fn list_in_name(file: &str) -> Option<String> {
    let name = file.rsplit('/').next()?;
    let id = &name[name.find("pl-")?..];
    let digits = id[3..].bytes().take_while(u8::is_ascii_hexdigit).count();
    (digits >= 8).then(|| id[..3 + digits].to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(answers: &[(&str, Value)]) -> Result<Document, Vec<String>> {
        let answers: Vec<_> =
            answers.iter().map(|(name, it)| ((*name).to_owned(), it.clone())).collect();
        Document::read(&answers)
    }

    #[test]
    fn answers_of_several_calls_make_one_document() {
        let value = |on: bool| json!({"Value": on});
        let document = read(&[
            ("vpcs.json", json!({"Vpcs": [{"VpcId": "vpc-1", "Newest": 1}]})),
            ("more.json", json!({"Vpcs": [{"VpcId": "vpc-2"}], "TransitGateways": [{}, {}]})),
            ("a.json", json!({"VpcId": "vpc-1", "EnableDnsSupport": value(true)})),
            ("b.json", json!({"VpcId": "vpc-1", "EnableDnsHostnames": value(false)})),
            ("entries.pl-0123456789abcdef0.json", json!({"Entries": [{"Cidr": "10.0.0.0/8"}]})),
            (
                "pl.json",
                json!({"PrefixLists": [{"PrefixListId": "pl-6fa54006", "Cidrs": ["3.5.0.0/16"]}]}),
            ),
        ]);
        let document = document.expect("a document");
        assert_eq!(document.vpcs.len(), 2);
        assert_eq!(document.unknown["Vpcs[].Newest"], 1);
        assert_eq!(document.others["TransitGateways"], 2);
        let attributes = &document.vpc_attributes["vpc-1"];
        assert!(
            attributes.enable_dns_support.is_some() && attributes.enable_dns_hostnames.is_some()
        );
        assert_eq!(document.entries["pl-0123456789abcdef0"].len(), 1);
        assert_eq!(document.entries["pl-6fa54006"][0].cidr.as_deref(), Some("3.5.0.0/16"));
    }

    #[test]
    fn what_is_no_answer_is_refused_by_name() {
        let wrong = read(&[
            ("a.json", json!([])),
            ("b.json", json!({"Vpcs": {}})),
            ("c.json", json!({"Subnets": [1, {"MapPublicIpOnLaunch": "yes"}]})),
            ("d.json", json!({"Vpcs": [], "NextToken": "x"})),
            ("e.json", json!({"Entries": []})),
        ]);
        let wrong = wrong.expect_err("refused");
        assert_eq!(wrong.len(), 6, "{wrong:?}");
        assert!(wrong.iter().any(|it| it.contains("c.json: Subnets[1].MapPublicIpOnLaunch")));
    }
}
