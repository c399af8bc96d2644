//! What tools beside the API ask: instances as people see them, and the policy as it is.

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::Policy;
use gureum_store::Snapshot;
use gureum_types::{
    record::{Instance, NetworkInterface, Scope, Vpc},
    view::ServiceView,
};

use crate::{
    catalogue::bootable,
    compile::{Compiled, compile},
    control::{Control, Found},
    resource::{instance, network_interface, public_ip},
};

/// What is shown of an instance besides its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The primary private address; a terminated instance has none, nor one with IPv6 only.
    pub private_ip: Option<Ipv4Addr>,
    /// The name of its primary interface within its VPC (DNS-6, DNS-7); none once terminated.
    pub private_dns_name: Option<String>,
    /// The public address of the primary private one.
    pub public_ip: Option<Ipv4Addr>,
    /// Its public name, where the VPC gives such names (DNS-4).
    pub public_dns_name: Option<String>,
    /// The name to log in by.
    pub login_user: &'static str,
}

impl Control {
    /// All instances of all accounts and regions, terminated ones included.
    pub fn instances(&self) -> Vec<Found<Instance>> {
        let records = self.snapshot();
        let found = records.everywhere::<Instance>().filter_map(|(key, record)| {
            Some(Found { scope: key.scope.clone()?, record: record.clone() })
        });
        found.collect()
    }

    /// An instance as people see it.
    pub fn shown(&self, scope: &Scope, record: &Instance) -> Shown {
        let records = self.snapshot();
        let primary = network_interface::of_instance(&records, &record.id).into_iter().next();
        let public_ip = primary.as_ref().and_then(|it| self.public_address(it));
        let named = records
            .find::<Vpc>(scope, record.vpc_id.as_str())
            .is_some_and(|vpc| public_ip::has_public_names(vpc));
        let image = bootable(&scope.region, record.image_id.as_str());
        Shown {
            private_ip: primary.as_ref().and_then(|it| it.primary_address()),
            private_dns_name: primary
                .as_ref()
                .map(|it| instance::private_name(&scope.region, record, it)),
            public_ip,
            public_dns_name: public_ip
                .filter(|_| named)
                .map(|address| public_ip::public_name(&scope.region, address)),
            login_user: image.map_or("root", |image| image.login_user),
        }
    }

    /// The public address of an interface's primary private one.
    pub fn public_address(&self, interface: &NetworkInterface) -> Option<Ipv4Addr> {
        public_ip::of_primary(&self.snapshot(), interface)
    }

    /// The policy and the view that the records make now; for asking where no data path runs.
    pub fn compiled(&self) -> (Policy, ServiceView) {
        compile(&self.snapshot(), self.fabric())
    }

    /// The policies that records make before and after a change of them; nothing where both are the
    /// same, so that packets fare alike.
    pub fn compiled_change(
        &self,
        before: Arc<Snapshot>,
        after: Arc<Snapshot>,
    ) -> Option<[Arc<Policy>; 2]> {
        let compiled = Compiled::new(before, self.fabric());
        let policy = compiled.policy.clone();
        let changed = compiled.next(after).policy;
        (!Arc::ptr_eq(&policy, &changed)).then_some([policy, changed])
    }
}
