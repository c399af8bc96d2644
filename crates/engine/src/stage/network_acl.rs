//! Network ACLs (NACL-*): stateless, at the border of a subnet, never inside it (NACL-1).

use gureum_types::TrafficVerdict;

use super::{Place, Stop, Walk};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace, policy::acl::Decision,
    policy::classifier::Class,
};

impl<O: Output, T: Trace> Walk<'_, '_, O, T> {
    /// Out of the sender's subnet, before its route table is asked (PIPE-1).
    pub(super) fn leave_subnet(&mut self, place: Place<'_>) -> Result<(), Stop> {
        let destination = self.headers.tuple.destination;
        if place.subnet.contains(destination) {
            return Ok(());
        }
        let decision = self
            .policy
            .acl(place.subnet)
            .map(|acl| acl.egress.decide(self.acl_class(), destination));
        self.apply(place, Direction::Egress, decision, |entry| {
            DropReason::NetworkAclEgress(entry.entry)
        })
    }

    /// Into the receiver's subnet (PIPE-2), on addresses as seen inside the VPC (NACL-19).
    pub(super) fn enter_subnet(&mut self, place: Place<'_>) -> Result<(), Stop> {
        let source = self.headers.tuple.source;
        let decision =
            self.policy.acl(place.subnet).map(|acl| acl.ingress.decide(self.acl_class(), source));
        self.apply(place, Direction::Ingress, decision, |entry| {
            DropReason::NetworkAclIngress(entry.entry)
        })
    }

    /// Later fragments have no ports here: entries for some ports don't match them (NACL-22).
    fn acl_class(&self) -> Class {
        Class { protocol: self.headers.tuple.protocol, port: self.headers.own_rule_port() }
    }

    /// The decision is on record at the interface inside the subnet (FL-33).
    fn apply(
        &mut self,
        place: Place<'_>,
        direction: Direction,
        decision: Option<Decision>,
        reason: impl FnOnce(Decision) -> DropReason,
    ) -> Result<(), Stop> {
        let at = (place.interface.port, direction);
        match decision {
            Some(decision) if decision.allow => {
                self.step(Stage::NetworkAcl, at, Outcome::Pass, |_| {
                    (Some(decision.entry), "allowed by an entry".to_owned())
                });
                Ok(())
            }
            Some(decision) => {
                self.reject(place, direction, TrafficVerdict::Reject);
                Err(self.dropped(Stage::NetworkAcl, at, reason(decision), |walk| {
                    let tuple = &walk.headers.tuple;
                    format!("{} to {} is denied by an entry", tuple.source, tuple.destination)
                }))
            }
            None => {
                let reason = DropReason::NetworkAclMissing;
                Err(self.dropped(Stage::NetworkAcl, at, reason, |_| {
                    format!("{} has no network ACL", place.subnet.id)
                }))
            }
        }
    }
}
