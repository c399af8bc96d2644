//! What is shown or remembered for a while only: terminated instances (EC2-3), NAT gateways that
//! are no more (NAT-3), endpoints that were deleted, peering connections that came to an end,
//! gateways that were deleted, client tokens, sessions, analyses of the network (RA-2).

use gureum_store::{Key, Snapshot, Transaction};
use gureum_types::{
    Timestamp,
    record::{
        ClientToken, CustomerGateway, Instance, InstanceState, NatGateway, NatGatewayState,
        NetworkInsightsAccessScopeAnalysis, NetworkInsightsAnalysis, PeeringStatus,
        PublicAccessExclusion, Scope, SessionCredential, TransitGateway, TransitGatewayRouteTable,
        TransitGatewayVpcAttachment, VpcEndpoint, VpcEndpointState, VpcPeeringConnection,
        VpnConnection, VpnGateway,
    },
};

use super::Reconciler;
use crate::{
    call::Ending,
    resource::{idempotency::REMEMBERED_MS, vpc_peering_connection as peering},
};

/// How long a peering connection is shown that failed or was deleted, and one that nobody wanted.
const ENDED_PEERING_MS: i64 = 2 * 3600 * 1000;
/// How long an endpoint is shown that was deleted (the time is ours).
const DELETED_ENDPOINT_MS: i64 = 60 * 1000;
const UNWANTED_PEERING_MS: i64 = 2 * 24 * 3600 * 1000;
/// How long a session is remembered that is over: who uses it is told that it is.
const EXPIRED_SESSION_MS: i64 = 24 * 3600 * 1000;

/// How long an analysis is kept (RA-2).
const ANALYSIS_MS: i64 = 120 * 24 * 3600 * 1000;

/// Forgets a record.
type Forget = fn(&mut Transaction, &Scope, &str);

/// The records that were deleted long enough ago.
fn ended(records: &Snapshot, is_old: impl Fn(Timestamp) -> bool) -> Vec<(Key, Forget)> {
    fn of<T: Ending>(
        records: &Snapshot,
        is_old: &impl Fn(Timestamp) -> bool,
        found: &mut Vec<(Key, Forget)>,
    ) {
        let forget: Forget = |tx, scope, id| drop(tx.remove::<T>(scope, id));
        let old = records.everywhere::<T>().filter(|(_, it)| it.deleted().is_some_and(is_old));
        found.extend(old.map(|(key, _)| (key.clone(), forget)));
    }
    let mut found = Vec::new();
    of::<CustomerGateway>(records, &is_old, &mut found);
    of::<PublicAccessExclusion>(records, &is_old, &mut found);
    of::<TransitGateway>(records, &is_old, &mut found);
    of::<TransitGatewayRouteTable>(records, &is_old, &mut found);
    of::<TransitGatewayVpcAttachment>(records, &is_old, &mut found);
    of::<VpnConnection>(records, &is_old, &mut found);
    of::<VpnGateway>(records, &is_old, &mut found);
    found
}

/// The analyses that were begun long enough ago.
fn analyses(records: &Snapshot, is_old: impl Fn(Timestamp) -> bool) -> Vec<(Key, Forget)> {
    let paths = records.everywhere::<NetworkInsightsAnalysis>();
    let paths = paths.filter(|(_, it)| is_old(it.started)).map(|(key, _)| {
        let forget: Forget = |tx, scope, id| drop(tx.remove::<NetworkInsightsAnalysis>(scope, id));
        (key.clone(), forget)
    });
    let scopes = records.everywhere::<NetworkInsightsAccessScopeAnalysis>();
    let scopes = scopes.filter(|(_, it)| is_old(it.started)).map(|(key, _)| {
        let forget: Forget =
            |tx, scope, id| drop(tx.remove::<NetworkInsightsAccessScopeAnalysis>(scope, id));
        (key.clone(), forget)
    });
    paths.chain(scopes).collect()
}

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
        let old_endpoints: Vec<_> = records
            .everywhere::<VpcEndpoint>()
            .filter(|(_, it)| it.state == VpcEndpointState::Deleted)
            .filter(|(_, it)| it.deleted.is_some_and(|moment| age(moment) >= DELETED_ENDPOINT_MS))
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
        let old_sessions: Vec<_> = records
            .everywhere::<SessionCredential>()
            .filter(|(_, it)| age(it.expires) >= EXPIRED_SESSION_MS)
            .map(|(key, _)| key.clone())
            .collect();
        let mut ended = ended(&records, |moment| age(moment) >= shown);
        ended.extend(analyses(&records, |moment| age(moment) >= ANALYSIS_MS));
        let all = [
            &old_instances,
            &old_gateways,
            &old_endpoints,
            &late_peerings,
            &old_peerings,
            &old_tokens,
            &old_sessions,
        ];
        if all.iter().all(|keys| keys.is_empty()) && ended.is_empty() {
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
            for key in &old_endpoints {
                if let Some(scope) = &key.scope {
                    tx.remove::<VpcEndpoint>(scope, &key.id);
                }
            }
            for key in &late_peerings {
                peering::expire(tx, &key.id, now);
            }
            for key in &old_peerings {
                tx.remove_machine::<VpcPeeringConnection>(&key.id);
            }
            for (key, forget) in &ended {
                if let Some(scope) = &key.scope {
                    forget(tx, scope, &key.id);
                }
            }
            for key in &old_tokens {
                if let Some(scope) = &key.scope {
                    tx.remove::<ClientToken>(scope, &key.id);
                }
            }
            for key in &old_sessions {
                if let Some(scope) = &key.scope {
                    tx.remove::<SessionCredential>(scope, &key.id);
                }
            }
            Ok(())
        });
    }
}
