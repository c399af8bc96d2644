//! Where a twin goes: whose it is and in which region, and what gives way to it.

use std::collections::BTreeSet;

use gureum_store::{Stored, Transaction};
use gureum_types::{
    AccountId, DhcpOptionsId, REGIONS, Region, Tags, VpcId,
    record::{
        Address, DhcpOptions, EgressOnlyInternetGateway, FlowLog, Instance, InternetGateway,
        NatGateway, NetworkAcl, NetworkInterface, NetworkInterfacePermission, PlacementGroup,
        PrefixList, PublicAccessExclusion, PublicAddress, RegionState, RouteTable, Scope,
        SecurityGroup, SecurityGroupRule, Subnet, SubnetCidrReservation,
        TransitGatewayVpcAttachment, Volume, Vpc, VpcEndpoint, VpcPeeringConnection, VpnGateway,
    },
};

use super::{ImportOptions, Refused, document::Document, refused};
use crate::call::Call;

/// Where a twin goes.
pub(super) struct Place {
    pub(super) scope: Scope,
    /// The accounts that the data name as owners.
    pub(super) owners: BTreeSet<String>,
    /// The region's name in the data.
    pub(super) region_of_data: Option<String>,
}

/// The region in a zone's name: what is in front of the letter, or the region of a local zone.
fn region_of_zone(zone: &str) -> Option<String> {
    let known = REGIONS.iter().map(|(name, _)| *name).find(|name| zone.starts_with(name));
    let cut = || zone.strip_suffix(|letter: char| letter.is_ascii_lowercase());
    known.or_else(cut).map(str::to_owned)
}

impl Place {
    pub(super) fn of(document: &Document, options: &ImportOptions) -> Result<Self, Refused> {
        let owners = document.vpcs.iter().map(|it| &it.owner_id);
        let owners = owners.chain(document.subnets.iter().map(|it| &it.owner_id));
        let owners: BTreeSet<String> = owners.flatten().cloned().collect();
        let account = match (&options.account, owners.first()) {
            (Some(account), _) => account.clone(),
            (None, None) => AccountId::default(),
            (None, Some(_)) if owners.len() > 1 => {
                let all: Vec<_> = owners.iter().map(String::as_str).collect();
                return refused(format!(
                    "the data are of several accounts ({}): say with --account whose the twin is; \
                     everything in them becomes that one's",
                    all.join(", ")
                ));
            }
            (None, Some(owner)) => AccountId::parse(owner)
                .ok_or_else(|| Refused(vec![format!("OwnerId \"{owner}\" is no account")]))?,
        };
        let zones = document.subnets.iter().filter_map(|it| it.availability_zone.as_deref());
        let regions: BTreeSet<String> = zones.filter_map(region_of_zone).collect();
        let region_of_data = regions.first().cloned();
        let region = match (&options.region, &region_of_data) {
            (Some(region), _) => region.clone(),
            (None, _) if regions.len() > 1 => {
                let all: Vec<_> = regions.iter().map(String::as_str).collect();
                return refused(format!(
                    "the data are of several regions ({}): import one after the other",
                    all.join(", ")
                ));
            }
            (None, Some(name)) => name.parse::<Region>().map_err(|_| {
                Refused(vec![format!(
                    "the data are of the region {name}, which does not exist here: say with \
                     --region where the twin goes"
                )])
            })?,
            (None, None) => {
                return refused(
                    "no subnet says which region the data are of: say it with --region",
                );
            }
        };
        Ok(Self { scope: Scope { account, region }, owners, region_of_data })
    }

    /// The zone of the twin for a zone of the data.
    pub(super) fn zone(&self, zone: &str) -> String {
        let region = self.scope.region.as_str();
        match self.region_of_data.as_deref().and_then(|it| zone.strip_prefix(it)) {
            Some(letter) => format!("{region}{letter}"),
            None => zone.to_owned(),
        }
    }

    /// Whether an account of the data is the twin's own.
    pub(super) fn is_own(&self, account: &str) -> bool {
        account == self.scope.account.as_str() || self.owners.contains(account)
    }
}

/// Takes away all that an account has in a region and a document speaks of.
pub(super) fn clear(call: &Call, tx: &mut Transaction) {
    release(call, tx, |_| true);
    macro_rules! remove {
        ($($kind:ident)*) => {$( remove_all::<$kind>(tx, &call.scope, |_| true); )*};
    }
    let peerings: Vec<_> =
        tx.everywhere::<VpcPeeringConnection>().map(|(_, it)| it.id.clone()).collect();
    for id in peerings {
        let is_own = tx.machine::<VpcPeeringConnection>(id.as_str()).is_some_and(|it| {
            [&it.requester, &it.accepter].iter().any(|side| side.scope == call.scope)
        });
        if is_own {
            tx.remove_machine::<VpcPeeringConnection>(id.as_str());
        }
    }
    remove! {
        Address DhcpOptions EgressOnlyInternetGateway FlowLog Instance InternetGateway NatGateway
        NetworkAcl NetworkInterface NetworkInterfacePermission PlacementGroup PrefixList
        PublicAccessExclusion RouteTable SecurityGroup SecurityGroupRule Subnet
        SubnetCidrReservation TransitGatewayVpcAttachment Volume Vpc VpcEndpoint VpnGateway
    }
}

/// Gives back the public addresses of the interfaces and allocations that are meant.
fn release(call: &Call, tx: &mut Transaction, is_meant: impl Fn(&str) -> bool) {
    let elastic = tx.all::<Address>(&call.scope).filter(|it| is_meant(it.allocation_id.as_str()));
    let elastic = elastic.map(|it| it.public_ip);
    let interfaces = tx.all::<NetworkInterface>(&call.scope).filter(|it| is_meant(it.id.as_str()));
    let held: Vec<_> = elastic.chain(interfaces.filter_map(|it| it.auto_public_ip)).collect();
    for address in held {
        tx.put_machine(PublicAddress { address, holder: None, changed: call.now });
    }
}

fn remove_all<T: Stored>(tx: &mut Transaction, scope: &Scope, is_meant: impl Fn(&T) -> bool) {
    let ids: Vec<_> =
        tx.all::<T>(scope).filter(|it| is_meant(it)).map(|it| it.id().into_owned()).collect();
    for id in ids {
        tx.remove::<T>(scope, &id);
    }
}

/// Takes away the default VPC of a region while nobody has touched it.
pub(super) fn make_way(call: &Call, tx: &mut Transaction) {
    let defaults: Vec<_> =
        tx.all::<Vpc>(&call.scope).filter(|it| it.is_default).map(|it| it.id.clone()).collect();
    for vpc in defaults.into_iter().filter(|vpc| is_untouched(tx, vpc)).collect::<Vec<_>>() {
        let of_vpc = |id: &VpcId| *id == vpc;
        let groups: Vec<_> =
            tx.referrers::<SecurityGroup>(vpc.as_str()).map(|it| it.id.clone()).collect();
        remove_all::<SecurityGroupRule>(tx, &call.scope, |it| groups.contains(&it.group_id));
        remove_all::<SecurityGroup>(tx, &call.scope, |it| of_vpc(&it.vpc_id));
        remove_all::<RouteTable>(tx, &call.scope, |it| of_vpc(&it.vpc_id));
        remove_all::<NetworkAcl>(tx, &call.scope, |it| of_vpc(&it.vpc_id));
        remove_all::<Subnet>(tx, &call.scope, |it| of_vpc(&it.vpc_id));
        remove_all::<InternetGateway>(tx, &call.scope, |it| it.vpc_id.as_ref() == Some(&vpc));
        tx.remove::<Vpc>(&call.scope, vpc.as_str());
    }
}

/// Whether a VPC has nothing but what a default VPC begins with.
fn is_untouched(tx: &Transaction, vpc: &VpcId) -> bool {
    let id = vpc.as_str();
    let rules = |group: &SecurityGroup| {
        tx.referrers::<SecurityGroupRule>(group.id.as_str()).count() == 2 && group.tags.is_empty()
    };
    tx.referrers::<NetworkInterface>(id).next().is_none()
        && tx.referrers::<VpcEndpoint>(id).next().is_none()
        && tx.referrers::<VpcPeeringConnection>(id).next().is_none()
        && tx.referrers::<VpnGateway>(id).next().is_none()
        && tx.referrers::<TransitGatewayVpcAttachment>(id).next().is_none()
        && tx.referrers::<EgressOnlyInternetGateway>(id).next().is_none()
        && tx.referrers::<FlowLog>(id).next().is_none()
        && tx.referrers::<PublicAccessExclusion>(id).next().is_none()
        && tx.referrers::<Subnet>(id).all(|it| {
            it.default_for_az
                && it.tags.is_empty()
                && tx.referrers::<FlowLog>(it.id.as_str()).next().is_none()
        })
        && tx.referrers::<SecurityGroup>(id).count() == 1
        && tx.referrers::<SecurityGroup>(id).all(|it| rules(it))
        && tx.referrers::<RouteTable>(id).count() == 1
        && tx.referrers::<RouteTable>(id).all(|it| it.routes.len() == 1 && it.tags.is_empty())
        && tx.referrers::<NetworkAcl>(id).count() == 1
        && tx.referrers::<NetworkAcl>(id).all(|it| it.entries.len() == 2 && it.tags.is_empty())
        && tx.referrers::<Vpc>(id).all(|it| it.tags.is_empty())
}

/// Sees to it that the region is one that the account has come to, so that nothing is made in it
/// later unasked. Its default options are those of the default VPC, or some that say the same as
/// AWS's own.
pub(super) fn open(call: &Call, tx: &mut Transaction) {
    let own = call.region().internal_domain();
    let is_like_own = |options: &DhcpOptions| {
        let has = |key: &str, value: &str| {
            options.configurations.iter().any(|(name, values)| name == key && *values == [value])
        };
        has("domain-name", &own) && has("domain-name-servers", "AmazonProvidedDNS")
    };
    let present = tx.find::<RegionState>(&call.scope, "region").cloned();
    if let Some(state) = &present {
        let id = state.default_dhcp_options.clone();
        let is_used = tx.referrers::<Vpc>(id.as_str()).next().is_some();
        let others = tx.all::<DhcpOptions>(&call.scope).any(|it| it.id != id && is_like_own(it));
        let is_there = tx.find::<DhcpOptions>(&call.scope, id.as_str()).is_some();
        if is_there && (is_used || !others) {
            return;
        }
        // Made when the region was opened, and of no more use beside the twin's.
        tx.remove::<DhcpOptions>(&call.scope, id.as_str());
    }
    let of_default = tx.all::<Vpc>(&call.scope).find(|it| it.is_default);
    let of_default = of_default.and_then(|it| it.dhcp_options.clone());
    let alike = || tx.all::<DhcpOptions>(&call.scope).find(|it| is_like_own(it));
    let id = of_default.or_else(|| alike().map(|it| it.id.clone())).unwrap_or_else(|| {
        let id = DhcpOptionsId::new(call.random());
        let configurations = vec![
            ("domain-name".into(), vec![own.clone()]),
            ("domain-name-servers".into(), vec!["AmazonProvidedDNS".into()]),
        ];
        let options = DhcpOptions { id, configurations, created: call.now, tags: Tags::new() };
        tx.put(&call.scope, options).id.clone()
    });
    let created = present.map_or(call.now, |it| it.created);
    tx.put(&call.scope, RegionState { default_dhcp_options: id, created });
}
