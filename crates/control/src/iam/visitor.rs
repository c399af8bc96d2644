//! Somebody at the door of S3, whose buckets have policies of their own.
//!
//! Keys are looked at as everywhere ([`super::authenticate`]). What is asked, and of which bucket,
//! is told by who serves S3; here is decided whether it may be. People of other accounts, and those
//! without credentials, may do what the bucket's policy says, and of them the former only what
//! their own policies say too.

use std::sync::Arc;

use gureum_api::{ChunkSigner, Signature};
use gureum_store::Snapshot;
use gureum_types::{AccountId, Region, Timestamp, record::Scope};

use super::{
    authenticate::{Refusal, Shown, identify},
    authorize::Source,
    caller::{Caller, Principal},
    condition::Context,
    evaluate::{Ask, Asker, Denial, Kind, Policies, Verdict},
    identity,
    pattern::Pattern,
    policy::{self, Malformed},
    resource,
};
use crate::{
    call::{Answer, Call},
    config::Config,
};

/// What a bucket's owner, as the root user, may always do: who locks everybody out comes in again.
const OWN_POLICY: [&str; 3] = ["s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:PutBucketPolicy"];
/// All that S3 says to people who shall not learn more.
const ACCESS_DENIED: &str = "Access Denied";

/// What a request of S3 shows of its sender.
#[derive(Clone, Copy, Debug)]
pub enum Visit<'a> {
    /// Nothing.
    Anonymous,
    /// A signature, and the account of somebody whose key nobody issued.
    Signed(&'a Signature, &'a AccountId),
    /// An access key, with a signature of a kind that is older than Signature Version 4: no key
    /// that was issued here opens with it. And the account of somebody whose key is another.
    Outdated(&'a str, &'a AccountId),
    /// No request: a service of the cloud acts by itself, for something in an account and region.
    Service(&'a str, &'a Scope),
}

/// What a visitor asks for.
#[derive(Clone, Copy, Debug)]
pub struct Visited<'a> {
    /// `s3:GetObject`
    pub action: &'a str,
    /// The ARN of a bucket or an object, `arn:aws:s3:::*` for all buckets.
    pub resource: &'a str,
    /// The account that the bucket belongs to; none where there is no bucket yet.
    pub owner: Option<&'a AccountId>,
    /// The policy of the bucket.
    pub policy: Option<&'a str>,
    /// What else is known: condition keys with their values.
    pub keys: &'a [(String, String)],
}

/// Somebody who makes a request of S3.
#[derive(Clone, Debug)]
pub struct Visitor {
    caller: Option<Caller>,
    /// For whom a service acts.
    service_of: Option<Scope>,
    policies: Policies,
    asker: Asker,
    source: Source,
    region: Region,
    now: Timestamp,
}

impl Visitor {
    pub(crate) fn of(
        records: &Snapshot,
        visit: Visit<'_>,
        region: &Region,
        source: Source,
        config: &Config,
    ) -> Result<Self, Refusal> {
        let now = (config.clock)();
        let shown = match visit {
            Visit::Anonymous | Visit::Service(..) => None,
            Visit::Signed(signature, account) => Some(Shown::of(signature, account)),
            Visit::Outdated(access_key_id, account) => Some(Shown {
                access_key_id,
                session_token: None,
                signature: None,
                account,
                is_iam: false,
            }),
        };
        let caller = shown.map(|shown| identify(records, shown, config, now)).transpose()?;
        if let Some(caller) = &caller {
            config.uses.note(caller, now, region, "s3");
        }
        // What is kept was read before it was kept.
        let unreadable = |error: gureum_api::ApiError| {
            tracing::error!(%error, "a policy cannot be read");
            Refusal::Unknown
        };
        let mut policies = match &caller {
            Some(caller) => identity::policies(records, caller).map_err(unreadable)?,
            None => Policies::default(),
        };
        policies.endpoint = source.endpoint_policy().map_err(unreadable)?;
        let (asker, service_of) = match (&caller, visit) {
            (Some(caller), _) => (Asker::of(caller), None),
            (None, Visit::Service(name, scope)) => (Asker::service(name), Some(scope.clone())),
            (None, _) => (Asker::anonymous(), None),
        };
        Ok(Self { caller, service_of, policies, asker, source, region: region.clone(), now })
    }

    /// Whoever makes a call, as a service acts in their name.
    pub(crate) fn of_caller(records: &Snapshot, call: &Call, source: Source) -> Answer<Self> {
        let caller = Some(call.caller.clone());
        let mut policies = identity::policies(records, &call.caller)?;
        policies.endpoint = source.endpoint_policy()?;
        let (asker, region) = (Asker::of(&call.caller), call.region().clone());
        Ok(Self { caller, service_of: None, policies, asker, source, region, now: call.now })
    }

    /// Where they are.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Their account; none of somebody without credentials.
    pub fn account(&self) -> Option<&AccountId> {
        self.caller.as_ref().map(|caller| &caller.account)
    }

    /// What signs the pieces of the body, where it comes in such and the secret is known.
    pub fn chunks(&self) -> Option<&Arc<ChunkSigner>> {
        self.caller.as_ref()?.chunks.as_ref()
    }

    /// Whether they may. The error is the sentence of the refusal.
    pub fn decide(&self, visited: &Visited<'_>) -> Result<(), String> {
        let is_own = match (self.account(), visited.owner) {
            (Some(account), Some(owner)) => account == owner,
            (account, None) => account.is_some(),
            (None, Some(_)) => false,
        };
        let context = self.context(visited);
        let ask = Ask { action: visited.action, resource: visited.resource, context: &context };
        let said = match visited.policy.map(policy::parse) {
            None => Verdict::Silent,
            Some(Ok(policy)) => policy.verdict(ask, Some(&self.asker)),
            Some(Err(_)) => Verdict::Denied,
        };
        let is_root =
            self.caller.as_ref().is_some_and(|it| matches!(it.principal, Principal::Root));
        let by_bucket = match said {
            Verdict::Denied if is_own && is_root && OWN_POLICY.contains(&visited.action) => {
                Verdict::Silent
            }
            // The policy of another account's bucket does not stand in for the caller's own.
            Verdict::Allowed if !is_own && self.caller.is_some() => Verdict::AllowedToAccount,
            said => said,
        };
        let silent = Denial { by: Kind::Resource, explicit: false };
        self.policies
            .decide(ask, &self.asker, by_bucket)
            .and_then(|()| match is_own || by_bucket != Verdict::Silent {
                true => Ok(()),
                false => Err(silent),
            })
            .map_err(|denial| match &self.caller {
                Some(caller) if is_own => format!(
                    "User: {} is not authorized to perform: {} on resource: \"{}\" {}",
                    caller.arn(),
                    visited.action,
                    visited.resource,
                    denial.reason(visited.action)
                ),
                _ => ACCESS_DENIED.to_owned(),
            })
    }

    fn context(&self, visited: &Visited<'_>) -> Context {
        let mut context = Context::default();
        match (&self.caller, &self.service_of) {
            (Some(caller), _) => resource::add_caller(&mut context, caller),
            (None, Some(scope)) => resource::add_delivery(&mut context, scope),
            (None, None) => {
                context.add("aws:PrincipalType", "Anonymous");
                context.add("aws:userid", "anonymous");
            }
        }
        self.source.describe(&mut context, &self.region, self.now);
        if let Some(owner) = visited.owner.or(self.account()) {
            context.add("aws:ResourceAccount", owner.as_str());
            context.add("s3:ResourceAccount", owner.as_str());
        }
        for (key, value) in visited.keys {
            context.add(key, value.clone());
        }
        context
    }

    /// Reads the policy of a bucket. The error is the sentence of S3's `MalformedPolicy`.
    pub fn read_policy(bucket: &str, text: &str) -> Result<(), String> {
        let policy = policy::parse(text).map_err(|Malformed(_)| "Invalid policy syntax.")?;
        for statement in &policy.statements {
            let missing = |field: &str| format!("Missing required field {field}");
            if statement.principals.is_none() {
                return Err(missing("Principal"));
            }
            let actions = statement.actions.as_ref().ok_or_else(|| missing("Action"))?;
            let is_of_s3 = |it: &&String| {
                **it == "*" || it.get(..3).is_some_and(|it| it.eq_ignore_ascii_case("s3:"))
            };
            if !actions.patterns.iter().all(|it| is_of_s3(&it)) {
                return Err("Policy has invalid action".to_owned());
            }
            let resources = statement.resources.as_ref().ok_or_else(|| missing("Resource"))?;
            if !resources.patterns.iter().all(|it| is_within(bucket, it)) {
                return Err("Policy has invalid resource".to_owned());
            }
        }
        Ok(())
    }
}

/// Whether a pattern can mean a bucket, or something in it.
fn is_within(bucket: &str, pattern: &str) -> bool {
    let bucket = format!("arn:aws:s3:::{bucket}");
    let begin = pattern.split('/').next().unwrap_or_default();
    let means = |it: &str| Pattern::filled(it, None).is_some_and(|it| it.matches(&bucket));
    means(pattern) || means(begin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::{authorize::SourceEndpoint, policy::Policy};

    const OBJECT: &str = "arn:aws:s3:::box/key";

    fn account(text: &str) -> AccountId {
        AccountId::parse(text).expect("an account")
    }

    fn owner() -> AccountId {
        account("111122223333")
    }

    fn statement(text: &str) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":[{{{text}}}]}}"#)
    }

    fn allow(action: &str) -> Arc<Policy> {
        let text = format!(r#""Effect":"Allow","Action":"{action}","Resource":"*""#);
        Arc::new(policy::parse(&statement(&text)).expect("well formed"))
    }

    /// The root user of an account; somebody without credentials where there is none.
    fn visitor(account: Option<AccountId>) -> Visitor {
        let caller = account.map(|account| Caller::root(account, "AKID"));
        let asker = caller.as_ref().map_or_else(Asker::anonymous, Asker::of);
        let policies = Policies { is_root: caller.is_some(), ..Policies::default() };
        let source = Source { is_secure: true, ..Source::default() };
        let region = Region::us_east_1();
        Visitor { caller, service_of: None, policies, asker, source, region, now: Timestamp(0) }
    }

    /// Somebody of an account with policies of their own.
    fn held(account: AccountId, actions: &[&str]) -> Visitor {
        let mut held = visitor(Some(account));
        held.policies.is_root = false;
        held.policies.identity = actions.iter().map(|action| allow(action)).collect();
        held
    }

    fn may(visitor: &Visitor, action: &str, policy: Option<&str>) -> Result<(), String> {
        let owner = owner();
        let owner = Some(&owner);
        visitor.decide(&Visited { action, resource: OBJECT, owner, policy, keys: &[] })
    }

    #[test]
    fn an_owner_needs_no_policy_and_others_need_the_bucket_s() {
        let denied = Err(ACCESS_DENIED.to_owned());
        assert_eq!(may(&visitor(Some(owner())), "s3:GetObject", None), Ok(()));
        assert_eq!(may(&visitor(None), "s3:GetObject", None), denied);
        let other = || account("444455556666");
        assert_eq!(may(&visitor(Some(other())), "s3:GetObject", None), denied);
        let everybody = statement(
            r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*""#,
        );
        let everybody = Some(everybody.as_str());
        assert_eq!(may(&visitor(None), "s3:GetObject", everybody), Ok(()));
        assert_eq!(may(&visitor(None), "s3:PutObject", everybody), denied);
        let shared = statement(
            r#""Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"s3:*","Resource":"*""#,
        );
        for policy in [everybody, Some(&shared)] {
            assert_eq!(may(&visitor(Some(other())), "s3:GetObject", policy), Ok(()));
            assert_eq!(may(&held(other(), &["s3:Get*"]), "s3:GetObject", policy), Ok(()));
            // Their own account has a say too.
            assert_eq!(may(&held(other(), &["s3:List*"]), "s3:GetObject", policy), denied);
        }
        assert_eq!(may(&visitor(None), "s3:GetObject", Some(&shared)), denied);
    }

    #[test]
    fn a_user_of_the_owner_is_held_to_their_policies() {
        let reader = held(owner(), &["s3:Get*"]);
        assert_eq!(may(&reader, "s3:GetObject", None), Ok(()));
        let refused = may(&reader, "s3:PutObject", None).expect_err("no policy allows it");
        let end = r#"is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::box/key" because no identity-based policy allows the s3:PutObject action"#;
        assert!(refused.ends_with(end), "{refused}");
        let bounded = Visitor {
            policies: Policies {
                boundary: Some(allow("s3:List*")),
                session: vec![allow("s3:*")],
                ..reader.policies.clone()
            },
            ..reader
        };
        let refused = may(&bounded, "s3:GetObject", None).expect_err("the boundary does not");
        assert!(refused.contains("permissions boundary"), "{refused}");
    }

    #[test]
    fn a_deny_of_the_bucket_holds_for_its_owner_but_for_the_policy_itself() {
        let plain = statement(
            r#""Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*",
               "Condition":{"Bool":{"aws:SecureTransport":"false"}}"#,
        );
        let secure = visitor(Some(owner()));
        let open = Visitor { source: Source::default(), ..secure.clone() };
        assert_eq!(may(&secure, "s3:GetObject", Some(&plain)), Ok(()));
        let refused = may(&open, "s3:GetObject", Some(&plain)).expect_err("denied");
        assert!(refused.ends_with("with an explicit deny in a resource-based policy"), "{refused}");
        assert_eq!(may(&open, "s3:DeleteBucketPolicy", Some(&plain)), Ok(()));
        let user = Visitor { source: Source::default(), ..held(owner(), &["s3:*"]) };
        let has_a_user = |it: &Visitor| may(it, "s3:GetObject", Some(&plain)).is_err();
        assert!(has_a_user(&user));
    }

    /// VPCE-13
    #[test]
    fn an_endpoint_has_a_say_and_is_a_condition() {
        let endpoint = SourceEndpoint {
            vpc: "vpc-0123456789abcdef0".parse().expect("an id"),
            id: "vpce-0123456789abcdef0".to_owned(),
            policy: None,
        };
        let mut inside = visitor(Some(owner()));
        inside.source.endpoint = Some(endpoint);
        let only = statement(
            r#""Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*",
               "Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-0123456789abcdef0"}}"#,
        );
        assert_eq!(may(&inside, "s3:GetObject", Some(&only)), Ok(()));
        assert!(may(&visitor(Some(owner())), "s3:GetObject", Some(&only)).is_err());
        inside.policies.endpoint = Some(allow("s3:List*"));
        let refused =
            may(&inside, "s3:GetObject", None).expect_err("the endpoint does not allow it");
        assert!(refused.contains("VPC endpoint policy"), "{refused}");
    }

    #[test]
    fn what_is_no_policy_of_the_bucket_is_refused() {
        for (text, expected) in [
            (
                r#""Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::box/*""#,
                None,
            ),
            (
                r#""Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:s3:::bo*""#,
                None,
            ),
            (
                r#""Effect":"Allow","Action":"s3:*","Resource":"*""#,
                Some("Missing required field Principal"),
            ),
            (
                r#""Effect":"Allow","Principal":"*","Resource":"*""#,
                Some("Missing required field Action"),
            ),
            (
                r#""Effect":"Allow","Principal":"*","Action":"s3:*""#,
                Some("Missing required field Resource"),
            ),
            (
                r#""Effect":"Allow","Principal":"*","Action":"ec2:*","Resource":"*""#,
                Some("Policy has invalid action"),
            ),
            (
                r#""Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::boxes/*""#,
                Some("Policy has invalid resource"),
            ),
            (
                r#""Effect":"Perhaps","Principal":"*","Action":"s3:*","Resource":"*""#,
                Some("Invalid policy syntax."),
            ),
        ] {
            let found = Visitor::read_policy("box", &statement(text)).err();
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
