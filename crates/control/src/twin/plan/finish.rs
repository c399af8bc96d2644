//! The document at the end: what follows by itself, without what refers to something unknown.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Affects, Planned, Unknown, build::Build, tree::made_up};

impl Build<'_> {
    /// The document, with what of a VPC follows by itself.
    pub(super) fn finish(mut self) -> Planned {
        self.guard_subnets();
        self.prune();
        let mut document = Map::new();
        for key in [
            "Addresses",
            "DhcpOptions",
            "EgressOnlyInternetGateways",
            "InternetGateways",
            "NatGateways",
            "NetworkAcls",
            "NetworkInterfaces",
            "PrefixListEntries",
            "PrefixLists",
            "RouteTables",
            "SecurityGroupRules",
            "SecurityGroups",
            "Subnets",
            "VpcAttributes",
            "VpcEndpoints",
            "VpcPeeringConnections",
            "Vpcs",
        ] {
            let part = self.parts.remove(key).unwrap_or_default();
            document.insert(key.to_owned(), part.into_values().collect());
        }
        let instances = self.parts.remove("Instances").unwrap_or_default();
        let reservations = instances.into_iter().map(|(id, instance)| {
            json!({"ReservationId": made_up("r", &id), "OwnerId": self.account,
                "Instances": [instance]})
        });
        document.insert("Reservations".to_owned(), reservations.collect());
        self.unknown.sort_by(|a, b| a.because.cmp(&b.because));
        self.unknown.dedup();
        Planned { document: Value::Object(document), unknown: self.unknown, ..Planned::default() }
    }

    /// Takes away what refers to something that could not be made: it is as unknown as that.
    fn prune(&mut self) {
        let parts = self.parts.clone();
        let is_there = |key: &str, id: &Value| {
            id.as_str().is_none_or(|id| parts.get(key).is_some_and(|it| it.contains_key(id)))
        };
        let mut unknown = Vec::new();
        let mut tell = |of: &str, what: &Value, affects| {
            let what = what.as_str().unwrap_or_default();
            let because = format!("{of} refers to {what}, which is not known before apply");
            unknown.push(Unknown { because, affects });
        };
        if let Some(rules) = self.parts.get_mut("SecurityGroupRules") {
            rules.retain(|_, rule| {
                let group = &rule["ReferencedGroupInfo"]["GroupId"];
                let keeps = is_there("SecurityGroups", group);
                if !keeps {
                    let own = rule["GroupId"].as_str().unwrap_or_default().to_owned();
                    tell(&format!("a rule of {own}"), group, Affects::Group(own));
                }
                keeps
            });
        }
        for (id, table) in self.parts.entry("RouteTables").or_default() {
            let Some(routes) = table["Routes"].as_array_mut() else { continue };
            routes.retain(|route| {
                let gateway = route["GatewayId"].as_str().unwrap_or_default();
                let of_gateway = match gateway.split('-').next() {
                    Some("igw") => is_there("InternetGateways", &route["GatewayId"]),
                    Some("vpce") => is_there("VpcEndpoints", &route["GatewayId"]),
                    _ => true,
                };
                let missing = [
                    ("NatGateways", "NatGatewayId"),
                    ("NetworkInterfaces", "NetworkInterfaceId"),
                    ("VpcPeeringConnections", "VpcPeeringConnectionId"),
                    ("EgressOnlyInternetGateways", "EgressOnlyInternetGatewayId"),
                ];
                let missing = missing.iter().find(|(key, of)| !is_there(key, &route[*of]));
                let missing = missing.map(|(_, of)| *of).or((!of_gateway).then_some("GatewayId"));
                if let Some(member) = missing {
                    tell(&format!("a route of {id}"), &route[member], Affects::Network);
                }
                missing.is_none()
            });
        }
        for (key, ties) in [("RouteTables", "Associations"), ("NetworkAcls", "Associations")] {
            for (id, of) in self.parts.entry(key).or_default() {
                let Some(ties) = of[ties].as_array_mut() else { continue };
                ties.retain(|tie| {
                    let keeps = is_there("Subnets", &tie["SubnetId"])
                        && is_there("InternetGateways", &tie["GatewayId"]);
                    if !keeps {
                        tell(
                            &format!("an association of {id}"),
                            &tie["SubnetId"],
                            Affects::Network,
                        );
                    }
                    keeps
                });
            }
        }
        self.unknown.append(&mut unknown);
    }

    /// Subnets that no ACL was given are guarded by the default one of their VPC (NACL-6).
    fn guard_subnets(&mut self) {
        let acls = self.parts.get("NetworkAcls").cloned().unwrap_or_default();
        let guarded: BTreeSet<String> = acls
            .values()
            .flat_map(|acl| acl["Associations"].as_array().cloned().unwrap_or_default())
            .filter_map(|tie| tie["SubnetId"].as_str().map(str::to_owned))
            .collect();
        let subnets = self.parts.get("Subnets").cloned().unwrap_or_default();
        for (id, subnet) in subnets.into_iter().filter(|(id, _)| !guarded.contains(id)) {
            let vpc = subnet["VpcId"].as_str().unwrap_or_default();
            let acl = made_up("acl", &format!("{vpc} default"));
            let tie = json!({"NetworkAclAssociationId": made_up("aclassoc", &id),
                "NetworkAclId": acl, "SubnetId": id});
            self.push("NetworkAcls", &acl, "Associations", tie);
        }
    }
}
