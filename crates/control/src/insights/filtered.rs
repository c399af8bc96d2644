//! What a path's filters say of packets: at their source, at their destination, and what they pass.

use gureum_engine::{ModelAnswer, Stage, StepPacket};
use gureum_types::record::{AnalysisComponent, Explanation, PathComponent, PathFilter};

use super::{
    course::{Spread, arrived, ways},
    explain::code,
    lines::of_address,
    path::{Question, range},
    rules::Lines,
};

impl Question<'_> {
    pub(super) fn at_source(&self) -> PathFilter {
        self.path.filter_at_source.unwrap_or_default()
    }

    pub(super) fn at_destination(&self) -> PathFilter {
        let filter = self.path.filter_at_destination.unwrap_or_default();
        let destination_address = filter.destination_address.or(self.path.destination_ip);
        PathFilter { destination_address, ..filter }
    }

    /// Filters at the destination tell packets apart, too.
    pub(super) fn cut(&self, lines: &mut Lines) {
        let filter = self.at_destination();
        for address in [filter.source_address, filter.destination_address].into_iter().flatten() {
            lines.addresses.cut(of_address(address));
        }
        if let Some(ports) = filter.source_ports {
            lines.source_ports.cut(range(ports));
        }
    }

    /// What filters say against a packet that arrived.
    pub(super) fn filtered(
        &self,
        left: &StepPacket,
        answer: &ModelAnswer,
    ) -> Option<Vec<Explanation>> {
        let packet = arrived(&answer.forward)?;
        let filter = self.at_destination();
        let field = |name: &str, field: &str| Explanation {
            packet_field: Some(field.to_owned()),
            ..code(name)
        };
        let nat_gateway = || {
            let world = self.world;
            let step = answer.forward.steps.iter().find(|step| step.stage == Stage::NatGateway)?;
            world.owner(world.behind(step.port)?)
        };
        let remapped = |name: &str| {
            let gateway = nat_gateway()?;
            Some(Explanation {
                component: Some(gateway.clone()),
                nat_gateway: Some(gateway),
                ..code(name)
            })
        };
        if filter.source_address.is_some_and(|address| packet.source != address) {
            let mut all = vec![field("FILTER_AT_DESTINATION_SOURCE_ADDRESS", "source-address")];
            all.extend(remapped("NGW_SOURCE_ADDRESS_REASSIGN"));
            return Some(all);
        }
        if filter.destination_address.is_some_and(|address| packet.destination != address) {
            let name = "FILTER_AT_DESTINATION_DESTINATION_ADDRESS";
            return Some(vec![field(name, "destination-address")]);
        }
        let fits = |port: u16, ports: Option<(u16, u16)>| {
            ports.is_none_or(|(from, to)| (from..=to).contains(&port))
        };
        // A NAT gateway may take any of its ports.
        let (source_port, changed) = (packet.source_port, left.source_port != packet.source_port);
        let fits_remapped = |ports: Option<(u16, u16)>| ports.is_none_or(|(_, to)| to >= 1024);
        let source_fits = match changed {
            true => fits_remapped(filter.source_ports),
            false => fits(source_port, filter.source_ports),
        };
        if !source_fits {
            let mut all = vec![field("FILTER_AT_DESTINATION_SOURCE_PORT_RANGE", "source-port")];
            all.extend(remapped("REMAP_EPHEMERAL_PORT"));
            return Some(all);
        }
        if self.filter_in.is_empty() && self.filter_out.is_empty() {
            return None;
        }
        let (forward, back) = ways(self.world, answer, &Spread::of(left));
        let all: Vec<_> = forward.iter().chain(&back).flat_map(named).collect();
        let passes = |arn: &String| all.iter().any(|it| it.arn == *arn);
        let wanted = self.filter_in.iter().find(|arn| !passes(arn));
        let unwanted = self.filter_out.iter().find(|arn| passes(arn));
        let arn = wanted.or(unwanted)?;
        let id = arn.rsplit('/').next().unwrap_or_default().to_owned();
        Some(vec![Explanation {
            component: Some(AnalysisComponent { id, arn: arn.clone(), name: None }),
            ..code("COMPONENT_FILTER_RESTRICTION")
        }])
    }
}

/// Everything that a component names.
pub(super) fn named(component: &PathComponent) -> impl Iterator<Item = &AnalysisComponent> {
    let all = [
        &component.component,
        &component.attached_to,
        &component.subnet,
        &component.vpc,
        &component.source_vpc,
        &component.destination_vpc,
    ];
    all.into_iter().flatten()
}
