//! NAT gateways and VPC endpoints on their way from one state to the next (NAT-3, VPCE-4). Nothing on
//! the machine has to be made for one: the policy has it as soon as its record says that it carries
//! packets.

use super::Reconciler;
use crate::resource::{nat_gateway, vpc_endpoint};

impl Reconciler {
    pub(super) fn settle_gateways(&self) {
        let records = self.store.snapshot();
        let gateways = nat_gateway::unsettled(&records);
        let endpoints = vpc_endpoint::unsettled(&records);
        if gateways.is_empty() && endpoints.is_empty() {
            return;
        }
        self.change(|tx| {
            for (scope, id) in &gateways {
                nat_gateway::settle(&self.call(scope), tx, id.as_str());
            }
            for (scope, id) in &endpoints {
                vpc_endpoint::settle(&self.call(scope), tx, id.as_str());
            }
            Ok(())
        });
    }
}
