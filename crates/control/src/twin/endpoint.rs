//! VPC endpoints.

use gureum_api::ec2;
use gureum_types::{
    EndpointService, NetworkInterfaceId,
    record::{InterfaceEndpoint, VpcEndpoint, VpcEndpointKind, VpcEndpointState},
};

use super::import::{Import, name, tags};
use crate::{allocate, resource::vpc_endpoint};

/// The part of an endpoint's names that nobody can guess: between its id and the rest.
fn label(it: &ec2::VpcEndpoint) -> Option<String> {
    let id = it.vpc_endpoint_id.as_deref()?;
    let names = it.dns_entries.iter().filter_map(|entry| entry.dns_name.as_deref());
    let mut labels = names.filter_map(|name| {
        let rest = name.trim_start_matches("*.").strip_prefix(id)?.strip_prefix('-')?;
        let label = rest.split('.').next()?;
        // Names of zones have the zone behind it.
        (!label.contains('-') && !label.is_empty()).then(|| label.to_owned())
    });
    labels.next()
}

impl Import<'_> {
    pub(super) fn vpc_endpoints(&mut self) {
        for (number, it) in self.document.vpc_endpoints.iter().enumerate() {
            let of = name(&it.vpc_endpoint_id, "VpcEndpoints", number);
            self.vpc_endpoint(&of, it);
        }
    }

    fn vpc_endpoint(&mut self, of: &str, it: &ec2::VpcEndpoint) -> Option<()> {
        let service_name = it.service_name.clone().unwrap_or_default();
        let state = match it.state.as_deref().unwrap_or("available").to_ascii_lowercase().as_str() {
            "available" => VpcEndpointState::Available,
            "pending" => VpcEndpointState::Pending,
            "pendingacceptance" => VpcEndpointState::PendingAcceptance,
            "deleting" => VpcEndpointState::Deleting,
            // What is gone, or never came about, carries nothing.
            _ => {
                self.dead.insert(of.to_owned());
                return None;
            }
        };
        let kind = it.vpc_endpoint_type.as_deref().unwrap_or_default();
        if !matches!(kind, "Gateway" | "Interface") {
            self.unsupported(format!("{of}: nothing here is like an endpoint of the type {kind}"));
            self.dead.insert(of.to_owned());
            return None;
        }
        let service_name = match &self.place.region_of_data {
            Some(region) => service_name.replace(region.as_str(), self.call.region().as_str()),
            None => service_name,
        };
        let service = EndpointService::of(&service_name);
        let is_served = match kind {
            "Gateway" => service.is_some_and(|it| it.gateway.is_some()),
            _ => service.is_some_and(EndpointService::has_interfaces),
        };
        if !is_served {
            self.unsupported(format!("{of}: {service_name} is not served here: nothing answers"));
        }
        let id = self.need(of, "VpcEndpointId", &it.vpc_endpoint_id)?;
        let vpc_id = self.need(of, "VpcId", &it.vpc_id)?;
        let kind = match kind {
            "Gateway" => match allocate::port(self.tx) {
                Ok(port) => VpcEndpointKind::Gateway { port },
                Err(error) => {
                    self.problem(of, error.message);
                    return None;
                }
            },
            _ => {
                let mut interfaces: Vec<NetworkInterfaceId> = Vec::new();
                for id in &it.network_interface_ids {
                    interfaces.extend(self.need::<NetworkInterfaceId>(
                        of,
                        "NetworkInterfaceIds",
                        &Some(id.clone()),
                    ));
                }
                let mut groups = Vec::new();
                for group in &it.groups {
                    groups.extend(self.need(of, "GroupId", &group.group_id));
                }
                let dns = it.dns_options.clone().unwrap_or_default();
                VpcEndpointKind::Interface(InterfaceEndpoint {
                    interfaces,
                    groups,
                    private_dns: it.private_dns_enabled == Some(true),
                    private_dns_for_inbound_only: dns
                        .private_dns_only_for_inbound_resolver_endpoint
                        .unwrap_or(false),
                    dns_record_ip_type: dns.dns_record_ip_type.unwrap_or("ipv4".into()),
                    dns_label: label(it)
                        .unwrap_or_else(|| vpc_endpoint::dns_label(self.call.random())),
                })
            }
        };
        self.put(
            "VpcEndpoints",
            VpcEndpoint {
                id,
                vpc_id,
                service_name,
                state,
                policy: it.policy_document.clone(),
                kind,
                client_token: None,
                created: it.creation_timestamp.unwrap_or(self.call.now),
                deleted: None,
                tags: tags(&it.tags),
            },
        );
        Some(())
    }
}
