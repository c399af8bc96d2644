//! Credentials for instances: every instance that is on has a session of its own (IMDS-30), and one
//! of the role that its profile holds (IMDS-27), and gets the next one well before it ends.
//!
//! A session stays what it is when the profile is taken away or replaced, as on AWS: it ends by
//! itself. Only the metadata service does not show it any more.

use std::sync::Arc;

use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    Tags, Timestamp,
    record::{Instance, InstanceProfile, Role, Scope, SessionCredential, SessionPrincipal},
};

use super::Reconciler;
use crate::{
    compile::{is_on, scoped},
    credential::{Session, issue},
    iam::authorize::trusts_service,
    resource::iam_instance_profile,
};

/// How long credentials of an instance are good, in seconds.
const LIFE: i64 = 6 * 3600;
/// How long before their end there are new ones; AWS promises five minutes.
const RENEWED_BEFORE_MS: i64 = 30 * 60 * 1000;

/// The service that a role has to trust.
const EC2: &str = "ec2.amazonaws.com";

/// Whether a role may be assumed by EC2 (IMDS-28).
pub(crate) fn trusts_ec2(role: &Role) -> bool {
    trusts_service(role, EC2)
}

/// The newest session that an instance has of a role, over or not.
pub(crate) fn of_instance<'a>(
    records: &'a Snapshot,
    instance: &Instance,
    role: &Role,
) -> Option<&'a Arc<SessionCredential>> {
    let is_of_role = |session: &SessionCredential| match &session.principal {
        SessionPrincipal::Role { role_id, .. } => *role_id == role.id,
        _ => false,
    };
    records
        .referrers::<SessionCredential>(instance.id.as_str())
        .filter(|session| is_of_role(session))
        .max_by_key(|session| session.expires)
}

/// The newest session that an instance has of its own, over or not.
pub(crate) fn of_itself<'a>(
    records: &'a Snapshot,
    instance: &Instance,
) -> Option<&'a Arc<SessionCredential>> {
    let is_own = |it: &&Arc<SessionCredential>| matches!(&it.principal, SessionPrincipal::Instance(id) if *id == instance.id);
    let sessions = records.referrers::<SessionCredential>(instance.id.as_str());
    sessions.filter(is_own).max_by_key(|session| session.expires)
}

/// Whose new sessions an instance shall have; one of its own only where `boots`, for without hosts
/// nobody asks for it.
fn due(
    records: &Snapshot,
    scope: &Scope,
    instance: &Instance,
    boots: bool,
    now: Timestamp,
) -> impl Iterator<Item = SessionPrincipal> {
    let lasts = |session: &Arc<SessionCredential>| {
        session.expires.0.saturating_sub(now.0) > RENEWED_BEFORE_MS
    };
    let role = || {
        let profile = iam_instance_profile::profile(records, instance)?;
        let role = iam_instance_profile::role(records, &scope.account, profile)?;
        let has = of_instance(records, instance, role).is_some_and(lasts);
        (!has && trusts_ec2(role)).then(|| SessionPrincipal::Role {
            role: role.name.clone(),
            role_id: role.id.clone(),
            session: instance.id.to_string(),
            instance: Some(instance.id.clone()),
        })
    };
    let itself = || {
        let has = of_itself(records, instance).is_some_and(lasts);
        (boots && !has).then(|| SessionPrincipal::Instance(instance.id.clone()))
    };
    let is_on = is_on(instance.state);
    let (role, itself) = (is_on.then(role).flatten(), is_on.then(itself).flatten());
    role.into_iter().chain(itself)
}

/// The instances that may want credentials since some records were looked at, or all.
fn candidates(records: &Snapshot, seen: Option<&Snapshot>) -> Vec<(Scope, Arc<Instance>)> {
    let all = || scoped::<Instance>(records).map(|(scope, it)| (scope.clone(), it.clone()));
    match seen {
        Some(seen) if records.same::<InstanceProfile>(seen) && records.same::<Role>(seen) => {
            let changed = records.changed::<Instance>(seen);
            changed.filter_map(|(key, it)| Some((key.scope.clone()?, it?.clone()))).collect()
        }
        _ => all().collect(),
    }
}

impl Reconciler {
    /// Issues what is due; `seen` are the records that were looked at last, where there are any
    /// and no time has passed.
    pub(super) fn issue_role_credentials(&self, seen: &mut Option<Arc<Snapshot>>) {
        let records = self.store.snapshot();
        let now = (self.config.clock)();
        let mut wanting = candidates(&records, seen.as_deref());
        let boots = self.linux.has_data_path();
        wanting.retain(|(scope, instance)| {
            due(&records, scope, instance, boots, now).next().is_some()
        });
        *seen = Some(records);
        if wanting.is_empty() {
            return;
        }
        self.change(|tx: &mut Transaction| {
            for (scope, instance) in &wanting {
                let call = self.call(scope);
                // It may be gone or be another by now.
                let current = tx.find::<Instance>(scope, instance.id.as_str()).cloned();
                let Some(current) = current else { continue };
                let due: Vec<_> = due(tx, scope, &current, boots, call.now).collect();
                for principal in due {
                    let (policies, tags) = (Vec::new(), Tags::new());
                    let session = Session { principal, policies, tags, duration: LIFE };
                    issue(&call, tx, session);
                }
            }
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(trust: &str) -> Role {
        Role {
            name: "r".into(),
            id: "AROA".into(),
            path: "/".into(),
            description: None,
            assume_role_policy: trust.into(),
            max_session_duration: 3600,
            permissions: Default::default(),
            permissions_boundary: None,
            last_used: None,
            created: Timestamp(0),
            tags: Default::default(),
        }
    }

    #[test]
    fn a_role_is_for_instances_when_it_trusts_ec2() {
        let trust = |principal: &str, action: &str| {
            format!(
                r#"{{"Statement":[{{"Effect":"Allow","Principal":{principal},"Action":{action}}}]}}"#
            )
        };
        let assume = r#""sts:AssumeRole""#;
        for (principal, action, wanted) in [
            (r#"{"Service":"ec2.amazonaws.com"}"#, assume, true), // IMDS-28
            (r#"{"Service":["ssm.amazonaws.com","ec2.amazonaws.com"]}"#, assume, true),
            (r#"{"Service":"ec2.amazonaws.com"}"#, r#"["sts:AssumeRole","sts:TagSession"]"#, true),
            (r#"{"Service":"lambda.amazonaws.com"}"#, assume, false),
            (r#"{"AWS":"arn:aws:iam::123456789012:root"}"#, assume, false),
            (r#"{"Service":"ec2.amazonaws.com"}"#, r#""sts:TagSession""#, false),
        ] {
            assert_eq!(
                trusts_ec2(&role(&trust(principal, action))),
                wanted,
                "{principal} {action}"
            );
        }
        let deny = r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},
            "Action":"sts:AssumeRole"},{"Effect":"Deny","Principal":"*","Action":"sts:*"}]}"#;
        assert!(!trusts_ec2(&role(deny)));
    }
}
