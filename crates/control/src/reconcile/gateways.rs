//! NAT gateways on their way from one state to the next (NAT-3). Nothing on the machine has to be
//! made for one: the policy has it as soon as its record says that it translates.

use super::Reconciler;
use crate::resource::nat_gateway;

impl Reconciler {
    pub(super) fn settle_gateways(&self) {
        let unsettled = nat_gateway::unsettled(&self.store.snapshot());
        if unsettled.is_empty() {
            return;
        }
        self.change(|tx| {
            for (scope, id) in &unsettled {
                nat_gateway::settle(&self.call(scope), tx, id.as_str());
            }
            Ok(())
        });
    }
}
