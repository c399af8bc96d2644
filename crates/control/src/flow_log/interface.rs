//! What records say of an interface, beside its traffic; and which interfaces a flow log covers.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    AccountId, InstanceId, NetworkInterfaceId, Region, SubnetId, Timestamp, VpcId,
    record::{Attachment, DepartedInterface, FlowLog, Instance, NetworkInterface, Scope},
};

use crate::{call::Call, catalogue::instance_type};

/// What records say of an interface.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    pub(crate) id: NetworkInterfaceId,
    /// Whose it is. FL-36 lets interfaces of services print `unknown`; here it is always known.
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    pub(crate) vpc: VpcId,
    pub(crate) subnet: SubnetId,
    /// The id of its zone.
    pub(crate) zone: String,
    /// None where a service made it (FL-34), and where it is attached to nothing.
    pub(crate) instance: Option<InstanceId>,
    /// Whether it is attached to an instance of the Nitro generation (FL-12, FL-27).
    pub(crate) is_nitro: bool,
    primary: Option<Ipv4Addr>,
    ipv6: Vec<Ipv6Addr>,
    /// Since when it is in use, if it is.
    in_use_since: Option<Timestamp>,
    /// When it went, if it did.
    departed: Option<Timestamp>,
}

impl Facts {
    pub(super) fn new(
        scope: &Scope,
        interface: &NetworkInterface,
        from: Timestamp,
        instance_type_name: Option<&str>,
        departed: Option<Timestamp>,
    ) -> Self {
        let attachment = attachment(interface, from).filter(|_| !interface.requester_managed);
        let zone = &interface.availability_zone;
        let kind = instance_type_name.filter(|_| attachment.is_some()).and_then(instance_type);
        Self {
            id: interface.id.clone(),
            account: scope.account.clone(),
            region: scope.region.clone(),
            vpc: interface.vpc_id.clone(),
            subnet: interface.subnet_id.clone(),
            zone: scope.region.zone_id(zone).unwrap_or_else(|| zone.clone()),
            instance: attachment.map(|it| it.instance_id.clone()),
            is_nitro: kind.is_some_and(|it| !it.is_xen()),
            primary: interface.primary_address(),
            ipv6: interface.ipv6_addresses.clone(),
            in_use_since: match interface.requester_managed {
                true => Some(interface.created),
                false => attachment.map(|it| it.attach_time),
            },
            departed,
        }
    }

    /// The facts of an interface that is there, as they were `from` a point in time on.
    pub(crate) fn of(
        records: &Snapshot,
        scope: &Scope,
        interface: &NetworkInterface,
        from: Timestamp,
    ) -> Self {
        let kind = type_of_instance(records, scope, interface, from);
        Self::new(scope, interface, from, kind.as_deref(), None)
    }

    fn of_departed(scope: &Scope, it: &DepartedInterface, from: Timestamp) -> Self {
        let kind = it.instance_type.as_deref();
        Self::new(scope, &it.interface, from, kind, Some(it.departed))
    }

    /// What is printed for the interface's own side of a packet (FL-24).
    pub(crate) fn own_address(&self, packet: IpAddr) -> IpAddr {
        match packet {
            IpAddr::V4(_) => self.primary.map_or(packet, IpAddr::V4),
            IpAddr::V6(address) if self.ipv6.contains(&address) => packet,
            IpAddr::V6(_) => self.ipv6.first().map_or(packet, |it| IpAddr::V6(*it)),
        }
    }

    /// Whether it was in use at some time between two points.
    pub(crate) fn was_in_use(&self, from: Timestamp, to: Timestamp) -> bool {
        self.in_use_since.is_some_and(|since| since < to)
            && self.departed.is_none_or(|departed| departed > from)
    }
}

/// What an interface is attached to, or was until after `from`.
fn attachment(interface: &NetworkInterface, from: Timestamp) -> Option<&Attachment> {
    let former = interface.detached.as_ref().filter(|(_, since)| *since > from);
    interface.attachment.as_ref().or_else(|| former.map(|(attachment, _)| attachment))
}

fn type_of_instance(
    records: &Snapshot,
    scope: &Scope,
    interface: &NetworkInterface,
    from: Timestamp,
) -> Option<String> {
    let attachment = attachment(interface, from)?;
    let instance = records.find::<Instance>(scope, attachment.instance_id.as_str())?;
    Some(instance.instance_type.clone())
}

/// Whether a flow log is about an interface (FL-1).
pub(crate) fn covers(
    log: &FlowLog,
    id: &NetworkInterfaceId,
    subnet: &SubnetId,
    vpc: &VpcId,
) -> bool {
    [id.as_str(), subnet.as_str(), vpc.as_str()].contains(&log.resource_id.as_str())
}

/// The interfaces that a flow log covers, those included that went after `from`, by their ids.
pub(crate) fn covered(
    records: &Snapshot,
    scope: &Scope,
    log: &FlowLog,
    from: Timestamp,
) -> Vec<Facts> {
    let mut found = BTreeMap::new();
    let id = log.resource_id.as_str();
    // What refers to an id need not be of this account; a name of another's grants nothing.
    let own = |key: &gureum_store::Key| key.scope.as_ref() == Some(scope);
    let departed = records.referrers_with_keys::<DepartedInterface>(id);
    for (_, it) in departed.filter(|(key, it)| own(key) && it.departed > from) {
        found.insert(it.interface.id.clone(), Facts::of_departed(scope, it, from));
    }
    let one = records.find::<NetworkInterface>(scope, id).into_iter();
    let many = records.referrers_with_keys::<NetworkInterface>(id).filter(|(key, _)| own(key));
    let there = one.chain(many.map(|(_, it)| it));
    for interface in there.filter(|it| covers(log, &it.id, &it.subnet_id, &it.vpc_id)) {
        found.insert(interface.id.clone(), Facts::of(records, scope, interface, from));
    }
    found.into_values().collect()
}

/// Keeps what records of its last traffic will say of an interface that is about to go, where a flow
/// log covers it.
pub(crate) fn depart(call: &Call, tx: &mut Transaction, interface: &NetworkInterface) {
    let places = [interface.subnet_id.as_str(), interface.vpc_id.as_str()];
    let is_covered = |tx: &Transaction| {
        places.iter().any(|place| tx.referrers::<FlowLog>(place).next().is_some())
    };
    if is_covered(tx) {
        let departed = DepartedInterface {
            instance_type: type_of_instance(tx, &call.scope, interface, call.now),
            interface: interface.clone(),
            departed: call.now,
        };
        tx.put(&call.scope, departed);
    }
}

/// The interfaces that went before a point in time, for which no window waits any more.
pub(crate) fn forgettable(records: &Snapshot, before: Timestamp) -> Vec<(Scope, String)> {
    let all = records.everywhere::<DepartedInterface>();
    let old = all.filter(|(_, it): &(_, &Arc<DepartedInterface>)| it.departed <= before);
    old.filter_map(|(key, _)| Some((key.scope.clone()?, key.id.to_string()))).collect()
}
