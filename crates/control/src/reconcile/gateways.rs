//! NAT gateways and VPC endpoints on their way from one state to the next (NAT-3, VPCE-4). Nothing on
//! the machine has to be made for one: the policy has it as soon as its record says that it carries
//! packets.

use std::sync::Arc;

use gureum_store::{Snapshot, Transaction};

use super::{Reconciler, call_of_services};
use crate::{
    config::Config,
    resource::{nat_gateway, vpc_endpoint},
};

impl Reconciler {
    pub(super) fn settle_gateways(&self) {
        if are_settled(&self.store.snapshot()) {
            return;
        }
        self.change(|tx| {
            settle(&self.config, tx);
            Ok(())
        });
    }
}

/// Whether none of them is on its way.
pub(crate) fn are_settled(records: &Snapshot) -> bool {
    nat_gateway::unsettled(records).is_empty() && vpc_endpoint::unsettled(records).is_empty()
}

/// Brings each of them a step further.
pub(crate) fn settle(config: &Arc<Config>, tx: &mut Transaction) {
    for (scope, id) in nat_gateway::unsettled(tx) {
        nat_gateway::settle(&call_of_services(config, &scope), tx, id.as_str());
    }
    for (scope, id) in vpc_endpoint::unsettled(tx) {
        vpc_endpoint::settle(&call_of_services(config, &scope), tx, id.as_str());
    }
}
