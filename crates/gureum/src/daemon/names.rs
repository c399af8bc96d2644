//! Host names as ends of a question: what they mean to who asks, as that one's own resolver says, and
//! for services of AWS what besides packets stands between.

use std::{net::IpAddr, sync::Arc};

use gureum_control::{Control, Found};
use gureum_engine::{WhyReport, WhySource};
use gureum_services::dns::{self, InternetResolver};
use gureum_types::{EndpointService, Region, VpcEndpointId, record::Vpc};

use super::{clerk::Answer, why::Source};
use crate::{
    admin::{NameReport, WhyAnswer, WhyFinding},
    cli,
};

/// The services that an agent of Systems Manager has to reach (SSM-1), and one that it does without
/// where it reaches the second (SSM-2).
const OF_AGENTS: [&str; 2] = ["ssm", "ssmmessages"];
const OF_OLD_AGENTS: &str = "ec2messages";

/// A host name that is meant.
#[derive(Clone)]
pub(super) struct Meant {
    pub name: String,
    /// The service whose name it is.
    pub service: Option<&'static EndpointService>,
    /// The region that a service is meant in.
    region: Region,
}

impl Meant {
    /// What a person may mean: a service of the region that the question comes from, or a host.
    pub(super) fn by(text: &str, region: Option<&Region>) -> Option<Self> {
        let text = text.trim_end_matches('.').to_ascii_lowercase();
        let region = region.cloned().or_else(|| cli::REGION.parse().ok())?;
        let service = EndpointService::meant(&text);
        match service {
            Some(service) if service.name == text => Some(Self {
                name: service.public_dns_name(&region),
                service: Some(service),
                region,
            }),
            Some(service) => {
                let host = text.strip_prefix("com.amazonaws.");
                let region = match (service.home, host) {
                    (Some(home), _) => home.parse().ok()?,
                    (None, Some(rest)) => rest.split('.').next()?.parse().ok()?,
                    (None, None) => {
                        text.strip_suffix(".amazonaws.com")?.rsplit('.').next()?.parse().ok()?
                    }
                };
                let name = if host.is_some() { service.public_dns_name(&region) } else { text };
                Some(Self { name, service: Some(service), region })
            }
            None => text.contains('.').then_some(Self { name: text, service: None, region }),
        }
    }

    fn of(service: &'static EndpointService, region: &Region) -> Self {
        let (name, region) = (service.public_dns_name(region), region.clone());
        Self { name, service: Some(service), region }
    }
}

/// Sends packets to an address, in thought.
type Packets<'a> = &'a mut dyn FnMut(IpAddr) -> Answer<WhyReport>;

/// Who asks for names.
pub(super) struct Asker<'a> {
    pub control: &'a Control,
    pub resolver: Arc<InternetResolver>,
    pub source: &'a Source,
    pub ipv6: bool,
}

impl Asker<'_> {
    /// The first address that a name means to who asks.
    pub(super) fn first_address(&self, meant: &Meant) -> Answer<IpAddr> {
        let mut addresses = self.look_up(&meant.name)?.unwrap_or_default();
        addresses.sort_by_key(|address| address.is_ipv6() != self.ipv6);
        let first = addresses.first().copied();
        first.ok_or_else(|| format!("nobody tells an address of {}", meant.name))
    }

    /// The answer to a question about a name.
    pub(super) fn answer(&self, meant: Meant, packets: Packets<'_>) -> Answer<WhyAnswer> {
        let vpc = self.source.interface.as_ref().and_then(|it| self.control.vpc_of(it));
        let mut findings = Vec::new();
        let (name, report) = self.reach(&meant, vpc.as_ref(), packets, &mut findings)?;
        if let Some(vpc) = &vpc {
            let foreign = self.control.foreign_resolvers(vpc);
            if !foreign.is_empty() {
                let (id, foreign) = (&vpc.record.id, foreign.join(", "));
                let text = format!("the DHCP options of {id} have instances ask {foreign} instead");
                findings.push(finding("resolver", text, false));
            }
        }
        let of_session_manager = meant
            .service
            .is_some_and(|it| OF_AGENTS.contains(&it.name) || it.name == OF_OLD_AGENTS);
        if let Some(vpc) = vpc.filter(|_| of_session_manager) {
            self.agent(&meant, &vpc, packets, &mut findings)?;
        }
        Ok(WhyAnswer { name: Some(name), report, findings })
    }

    /// What a name means here, and what becomes of packets to its first address. The other addresses
    /// are tried too, as a client may take any.
    fn reach(
        &self,
        meant: &Meant,
        vpc: Option<&Found<Vpc>>,
        packets: Packets<'_>,
        findings: &mut Vec<WhyFinding>,
    ) -> Answer<(NameReport, Option<WhyReport>)> {
        let name = meant.name.clone();
        let looked_up = self.look_up(&name)?;
        let found = looked_up.is_some();
        let mut addresses = looked_up.unwrap_or_default();
        addresses.sort_by_key(|address| address.is_ipv6() != self.ipv6);
        let by = match (addresses.first(), vpc) {
            (Some(address), Some(vpc)) => match self.endpoint(vpc, *address) {
                Some(id) => format!("private DNS of {id}"),
                None => "its public address".to_owned(),
            },
            (Some(_), None) => "its public address".to_owned(),
            (None, Some(vpc)) if !found => {
                let id = &vpc.record.id;
                let text =
                    format!("{id} has its DNS support off: its resolver answers nobody (DNS-3)");
                findings.push(finding("dns-support", text, true));
                "nobody answers".to_owned()
            }
            (None, _) => {
                findings.push(finding("no-such-name", format!("nobody knows {name}"), true));
                "no such name".to_owned()
            }
        };
        if let (Some(vpc), Some(service)) = (vpc, meant.service) {
            self.unused_endpoints(vpc, service, meant, &addresses, findings);
        }
        let Some(first) = addresses.first() else {
            return Ok((NameReport { name, addresses, by }, None));
        };
        let report = packets(*first)?;
        for other in addresses.iter().skip(1).filter(|it| it.is_ipv6() == first.is_ipv6()) {
            let theirs = packets(*other)?;
            if theirs.reachable != report.reachable {
                let text = format!("{other}, another address of {name}: {}", verdict(&theirs));
                findings.push(finding("other-address", text, !theirs.reachable));
            }
        }
        Ok((NameReport { name, addresses, by }, Some(report)))
    }

    /// The addresses that the resolver of who asks has for a name: none where it does not answer.
    fn look_up(&self, name: &str) -> Answer<Option<Vec<IpAddr>>> {
        let resolver = &self.resolver;
        let finding = match self.source.end {
            WhySource::Interface { port, .. } => {
                dns::look_up(&resolver.view().load(), resolver, port, name)
            }
            WhySource::Internet(_) => Some(resolver.look_up(name)),
        };
        Ok(finding.map(|finding| match finding.found {
            dns::Found::Addresses(addresses) => addresses,
            _ => Vec::new(),
        }))
    }

    fn endpoint(&self, vpc: &Found<Vpc>, address: IpAddr) -> Option<VpcEndpointId> {
        match address {
            IpAddr::V4(address) => self.control.endpoint_at(vpc, address),
            IpAddr::V6(_) => None,
        }
    }

    /// Endpoints of the VPC that the service's own name does not mean.
    fn unused_endpoints(
        &self,
        vpc: &Found<Vpc>,
        service: &EndpointService,
        meant: &Meant,
        addresses: &[IpAddr],
        findings: &mut Vec<WhyFinding>,
    ) {
        let used = addresses.first().and_then(|address| self.endpoint(vpc, *address));
        let service_name = service.service_name(&meant.region);
        for (id, why) in self.control.endpoints_for(&vpc.record, &service_name) {
            if let Some(why) = why.filter(|_| used.as_ref() != Some(&id)) {
                let text = format!("{id} is an endpoint for {service_name}, but {why} (VPCE-9)");
                findings.push(finding("private-dns", text, false));
            }
        }
    }

    /// What else an agent of Systems Manager needs: the other services, and leave.
    fn agent(
        &self,
        meant: &Meant,
        vpc: &Found<Vpc>,
        packets: Packets<'_>,
        findings: &mut Vec<WhyFinding>,
    ) -> Answer<()> {
        let asked = meant.service.map_or("", |service| service.name);
        for name in OF_AGENTS.into_iter().chain([OF_OLD_AGENTS]).filter(|name| *name != asked) {
            let Some(service) = EndpointService::meant(name) else { continue };
            let other = Meant::of(service, &meant.region);
            let (report, way) = self.reach(&other, Some(vpc), packets, &mut Vec::new())?;
            if way.as_ref().is_some_and(|way| way.reachable) {
                continue;
            }
            let way = way.map_or(report.by.clone(), |way| verdict(&way));
            let addresses: Vec<_> = report.addresses.iter().map(IpAddr::to_string).collect();
            let at = match addresses.is_empty() {
                true => String::new(),
                false => format!(" ({}, {})", addresses.join(", "), report.by),
            };
            let is_needed = name != OF_OLD_AGENTS;
            let need = if is_needed { "the agent needs" } else { "old agents need" };
            let text = format!("{need} {}{at} too: {way} (SSM-1)", report.name);
            findings.push(finding(name, text, is_needed));
        }
        let interface = self.source.interface.as_ref();
        let Some(instance) = interface.and_then(|it| self.control.instance_of(it)) else {
            return Ok(());
        };
        let through = |name: &str| {
            let service = EndpointService::meant(name)?;
            let addresses = self.look_up(&service.public_dns_name(&meant.region)).ok()??;
            self.endpoint(vpc, *addresses.first()?)
        };
        for obstacle in self.control.obstacles(&instance, through) {
            findings.push(finding(obstacle.name, obstacle.text, true));
        }
        Ok(())
    }
}

fn finding(name: &str, text: String, blocks: bool) -> WhyFinding {
    WhyFinding { name: name.to_owned(), text, blocks }
}

/// What becomes of packets, in a few words.
fn verdict(report: &WhyReport) -> String {
    let drop = report.forward.drop.or(report.reply.as_ref().and_then(|reply| reply.drop));
    match (report.reachable, drop) {
        (true, _) => "reachable".to_owned(),
        (false, Some(reason)) => format!("not reachable, dropped: {reason}"),
        (false, None) => "not reachable".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(text: &str) -> Option<(String, bool)> {
        let region: Region = "us-west-2".parse().expect("a region");
        let meant = Meant::by(text, Some(&region))?;
        Some((meant.name, meant.service.is_some()))
    }

    #[test]
    fn a_service_is_meant_where_the_question_comes_from() {
        for (text, name) in [
            ("ssmmessages", "ssmmessages.us-west-2.amazonaws.com"),
            ("SSM", "ssm.us-west-2.amazonaws.com"),
            ("ssm.ap-northeast-2.amazonaws.com.", "ssm.ap-northeast-2.amazonaws.com"),
            ("com.amazonaws.eu-west-1.s3", "s3.eu-west-1.amazonaws.com"),
            ("iam", "iam.amazonaws.com"),
            ("com.amazonaws.iam", "iam.amazonaws.com"),
            ("iam.amazonaws.com", "iam.amazonaws.com"),
        ] {
            assert_eq!(meant(text), Some((name.to_owned(), true)), "{text}");
        }
    }

    #[test]
    fn other_hosts_have_a_dot_in_their_names() {
        assert_eq!(meant("github.com"), Some(("github.com".to_owned(), false)));
        assert_eq!(meant("PRIVATE-09"), None);
    }
}
