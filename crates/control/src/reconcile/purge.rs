//! What is shown or remembered for a while only: terminated instances (EC2-3), NAT gateways that
//! are no more (NAT-3), peering connections that came to an end, client tokens.

use gureum_types::record::{
    ClientToken, Instance, InstanceState, NatGateway, NatGatewayState, PeeringStatus,
    VpcPeeringConnection,
};

use super::Reconciler;
use crate::resource::{idempotency::REMEMBERED_MS, vpc_peering_connection as peering};

/// How long a peering connection is shown that failed or was deleted, and one that nobody wanted.
const ENDED_PEERING_MS: i64 = 2 * 3600 * 1000;
const UNWANTED_PEERING_MS: i64 = 2 * 24 * 3600 * 1000;

impl Reconciler {
    pub(super) fn purge(&self) {
        let now = (self.config.clock)();
        let age = |moment: gureum_types::Timestamp| now.0.saturating_sub(moment.0);
        let shown = i64::try_from(self.config.show_terminated.as_millis()).unwrap_or(i64::MAX);
        let records = self.store.snapshot();
        let old_instances: Vec<_> = records
            .everywhere::<Instance>()
            .filter(|(_, it)| it.state == InstanceState::Terminated)
            .filter(|(_, it)| age(it.state_changed) >= shown)
            .map(|(key, _)| key.clone())
            .collect();
        let old_gateways: Vec<_> = records
            .everywhere::<NatGateway>()
            .filter(|(_, it)| {
                matches!(it.state, NatGatewayState::Failed | NatGatewayState::Deleted)
            })
            .filter(|(_, it)| it.deleted.is_some_and(|moment| age(moment) >= shown))
            .map(|(key, _)| key.clone())
            .collect();
        let late_peerings: Vec<_> = records
            .everywhere::<VpcPeeringConnection>()
            .filter(|(_, it)| it.status == PeeringStatus::PendingAcceptance)
            .filter(|(_, it)| it.expiration.is_some_and(|moment| moment <= now))
            .map(|(key, _)| key.clone())
            .collect();
        let old_peerings: Vec<_> = records
            .everywhere::<VpcPeeringConnection>()
            .filter(|(_, it)| match it.status {
                PeeringStatus::Failed | PeeringStatus::Deleted => {
                    age(it.changed) >= ENDED_PEERING_MS
                }
                PeeringStatus::Rejected | PeeringStatus::Expired => {
                    age(it.changed) >= UNWANTED_PEERING_MS
                }
                PeeringStatus::PendingAcceptance | PeeringStatus::Active => false,
            })
            .map(|(key, _)| key.clone())
            .collect();
        let old_tokens: Vec<_> = records
            .everywhere::<ClientToken>()
            .filter(|(_, it)| age(it.created) >= REMEMBERED_MS)
            .map(|(key, _)| key.clone())
            .collect();
        let all = [&old_instances, &old_gateways, &late_peerings, &old_peerings, &old_tokens];
        if all.iter().all(|keys| keys.is_empty()) {
            return;
        }
        self.change(|tx| {
            for key in &old_instances {
                if let Some(scope) = &key.scope {
                    tx.remove::<Instance>(scope, &key.id);
                }
            }
            for key in &old_gateways {
                if let Some(scope) = &key.scope {
                    tx.remove::<NatGateway>(scope, &key.id);
                }
            }
            for key in &late_peerings {
                peering::expire(tx, &key.id, now);
            }
            for key in &old_peerings {
                tx.remove_machine::<VpcPeeringConnection>(&key.id);
            }
            for key in &old_tokens {
                if let Some(scope) = &key.scope {
                    tx.remove::<ClientToken>(scope, &key.id);
                }
            }
            Ok(())
        });
    }
}
