//! The decision: what policies say together.
//!
//! An explicit deny of any policy wins. Otherwise each kind of policy that is there must allow:
//! those of the identity, its boundary, those of the session, that of the endpoint which the
//! request comes through. A resource's own policy may stand in for those of the identity.

use std::sync::Arc;

use gureum_types::AccountId;

use super::{
    caller::{Caller, root_arn},
    condition::Context,
    pattern::{Pattern, Variables},
    policy::{Effect, Listed, Policy, Principals, Statement},
};

/// One action on one resource, by whom the context knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// `ec2:CreateVpc`
    pub(crate) action: &'a str,
    /// An ARN, or `*` for actions that are on none.
    pub(crate) resource: &'a str,
    /// The values of condition keys.
    pub(crate) context: &'a Context,
}

/// Who asks, as `Principal` elements name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    account: Option<AccountId>,
    /// All ARNs that mean them and nobody else.
    arns: Vec<String>,
    service: Option<String>,
}

impl Asker {
    /// Somebody with credentials.
    pub(crate) fn of(caller: &Caller) -> Self {
        let mut arns = vec![caller.arn(), caller.principal_arn()];
        arns.dedup();
        Self { account: Some(caller.account.clone()), arns, service: None }
    }

    /// Somebody of whom no more is known than an ARN.
    pub(crate) fn named(account: AccountId, arn: &str) -> Self {
        Self { account: Some(account), arns: vec![arn.to_owned()], service: None }
    }

    /// Somebody without credentials.
    pub(crate) fn anonymous() -> Self {
        Self { account: None, arns: Vec::new(), service: None }
    }

    /// A service that acts by itself, as `ec2.amazonaws.com`.
    pub(crate) fn service(name: &str) -> Self {
        Self { account: None, arns: Vec::new(), service: Some(name.to_owned()) }
    }
}

/// What a policy says of an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Nothing.
    Silent,
    /// Allowed to everybody of an account, who must be allowed by their own policies too.
    AllowedToAccount,
    /// Allowed.
    Allowed,
    /// Denied, whatever others say.
    Denied,
}

impl Policy {
    /// What it says. `asker` matters to policies with principals only.
    pub(crate) fn verdict(&self, ask: Ask<'_>, asker: Option<&Asker>) -> Verdict {
        self.verdicts(ask, asker).into_iter().max().unwrap_or(Verdict::Silent)
    }

    /// What each of its statements says.
    pub(crate) fn verdicts(&self, ask: Ask<'_>, asker: Option<&Asker>) -> Vec<Verdict> {
        let known = |key: &str| ask.context.variable(key);
        let variables: Option<Variables<'_>> = self.has_variables.then_some(&known);
        self.statements.iter().map(|it| it.verdict(ask, asker, variables)).collect()
    }
}

impl Statement {
    fn verdict(
        &self,
        ask: Ask<'_>,
        asker: Option<&Asker>,
        variables: Option<Variables<'_>>,
    ) -> Verdict {
        let (principal, by_account) = match (&self.principals, asker) {
            (None, _) => (true, false),
            (Some(principals), Some(asker)) => principals.name(asker),
            (Some(_), None) => (false, false),
        };
        let applies = principal
            && self.actions.as_ref().is_some_and(|it| it.action(ask.action))
            && self.resources.as_ref().is_none_or(|it| it.resource(ask.resource, variables))
            && self.conditions.iter().all(|it| it.holds(ask.context, variables));
        match (applies, self.effect) {
            (false, _) => Verdict::Silent,
            (true, Effect::Deny) => Verdict::Denied,
            (true, Effect::Allow) if by_account => Verdict::AllowedToAccount,
            (true, Effect::Allow) => Verdict::Allowed,
        }
    }
}

impl Listed {
    fn action(&self, action: &str) -> bool {
        let matches = |it: &String| {
            Pattern::filled(it, None).is_some_and(|pattern| pattern.matches_any_case(action))
        };
        self.patterns.iter().any(matches) != self.negated
    }

    fn resource(&self, resource: &str, variables: Option<Variables<'_>>) -> bool {
        let matches = |it: &String| {
            Pattern::filled(it, variables).is_some_and(|pattern| pattern.matches(resource))
        };
        self.patterns.iter().any(matches) != self.negated
    }
}

impl Principals {
    /// Whether they are named, and whether only with their whole account.
    fn name(&self, asker: &Asker) -> (bool, bool) {
        let own = |text: &String| text == "*" || asker.arns.contains(text);
        let account = |text: &String| {
            asker.account.as_ref().is_some_and(|it| *text == root_arn(it) || *text == it.as_str())
        };
        let services = self.services.iter();
        let directly = self.aws.iter().any(own)
            || services.into_iter().any(|it| asker.service.as_ref() == Some(it));
        let by_account = self.aws.iter().any(account);
        match self.negated {
            true => (!directly && !by_account, false),
            false => (directly || by_account, by_account && !directly),
        }
    }
}

/// A kind of policy, in the words of AWS's refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Identity,
    Boundary,
    Session,
    Endpoint,
    Resource,
}

impl Kind {
    fn noun(self) -> &'static str {
        match self {
            Self::Identity => "identity-based policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
            Self::Endpoint => "VPC endpoint policy",
            Self::Resource => "resource-based policy",
        }
    }
}

/// Why something is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    /// The kind of policy that decided.
    pub(crate) by: Kind,
    /// Whether it says so, or only does not allow.
    pub(crate) explicit: bool,
}

impl Denial {
    /// `with an explicit deny in an identity-based policy`
    pub(crate) fn reason(self, action: &str) -> String {
        let noun = self.by.noun();
        match (self.explicit, self.by) {
            (true, Kind::Identity) => format!("with an explicit deny in an {noun}"),
            (true, _) => format!("with an explicit deny in a {noun}"),
            (false, _) => format!("because no {noun} allows the {action} action"),
        }
    }
}

/// All policies that hold for a caller.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policies {
    /// Of the root user nothing is asked.
    pub(crate) is_root: bool,
    /// An instance by its own credentials is nobody to the policies of resources.
    pub(crate) is_instance: bool,
    /// Of the user with their groups, or of the role.
    pub(crate) identity: Vec<Arc<Policy>>,
    /// The permissions boundary.
    pub(crate) boundary: Option<Arc<Policy>>,
    /// Of the session; empty when it has none.
    pub(crate) session: Vec<Arc<Policy>>,
    /// Of the endpoint that the request came through.
    pub(crate) endpoint: Option<Arc<Policy>>,
}

impl Policies {
    /// Whether an ask is granted. `resource` is what the resource's own policy says.
    pub(crate) fn decide(
        &self,
        ask: Ask<'_>,
        asker: &Asker,
        resource: Verdict,
    ) -> Result<(), Denial> {
        let resource = if self.is_instance { Verdict::Silent } else { resource };
        let of = |policies: &[Arc<Policy>]| {
            policies.iter().map(|it| it.verdict(ask, None)).max().unwrap_or(Verdict::Silent)
        };
        let identity = match self.is_root {
            true => Verdict::Allowed,
            false => of(&self.identity),
        };
        let boundary = self.boundary.as_ref().map(|it| it.verdict(ask, None));
        let session = (!self.session.is_empty()).then(|| of(&self.session));
        let endpoint = self.endpoint.as_ref().map(|it| it.verdict(ask, Some(asker)));
        let said = [
            (Kind::Identity, Some(identity)),
            (Kind::Boundary, boundary),
            (Kind::Session, session),
            (Kind::Endpoint, endpoint),
            (Kind::Resource, Some(resource)),
        ];
        for (by, verdict) in said {
            if verdict == Some(Verdict::Denied) {
                return Err(Denial { by, explicit: true });
            }
        }
        // A resource that names the caller needs nobody else's leave, but that of the endpoint.
        let by_resource = resource == Verdict::Allowed;
        let granted = |verdict: Option<Verdict>| {
            verdict.is_none_or(|it| matches!(it, Verdict::Allowed | Verdict::AllowedToAccount))
        };
        let needed = [
            (Kind::Identity, by_resource || granted(Some(identity))),
            (Kind::Boundary, by_resource || granted(boundary)),
            (Kind::Session, granted(session)),
            (Kind::Endpoint, granted(endpoint)),
        ];
        match needed.into_iter().find(|(_, granted)| !granted) {
            Some((by, _)) => Err(Denial { by, explicit: false }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::policy::parse;

    const VPC: &str = "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-1";

    /// A policy of statements, each an effect, an action and more.
    fn policy(statements: &[&str]) -> Arc<Policy> {
        let statements: Vec<_> = statements.iter().map(|it| format!("{{{it}}}")).collect();
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
        Arc::new(parse(&text).expect("well formed"))
    }

    fn all(effect: &str) -> Arc<Policy> {
        policy(&[&format!(r#""Effect":"{effect}","Action":"*","Resource":"*""#)])
    }

    fn mina() -> Asker {
        Asker::of(&Caller::root(AccountId::default(), "AKID"))
    }

    fn decide(policies: &Policies, resource: Verdict) -> Result<(), (Kind, bool)> {
        let context = Context::default();
        let ask = Ask { action: "ec2:DeleteVpc", resource: VPC, context: &context };
        policies.decide(ask, &mina(), resource).map_err(|denial| (denial.by, denial.explicit))
    }

    #[test]
    fn statements_apply_by_action_and_resource() {
        for (statement, expected) in [
            (r#""Action":"ec2:DeleteVpc","Resource":"*""#, true),
            (r#""Action":"EC2:delete*","Resource":"*""#, true),
            (r#""Action":["s3:*","ec2:D?leteVpc"],"Resource":"*""#, true),
            (r#""Action":"ec2:Describe*","Resource":"*""#, false),
            (r#""NotAction":"iam:*","Resource":"*""#, true),
            (r#""NotAction":"ec2:*","Resource":"*""#, false),
            (r#""Action":"*","Resource":"arn:aws:ec2:*:*:vpc/*""#, true),
            (r#""Action":"*","Resource":"arn:aws:ec2:*:*:subnet/*""#, false),
            (r#""Action":"*","NotResource":"arn:aws:ec2:*:*:vpc/*""#, false),
            (r#""Action":"*","NotResource":"arn:aws:ec2:*:*:subnet/*""#, true),
            (r#""Action":"*","Resource":"*","Condition":{"Bool":{"aws:x":"true"}}"#, false),
            (r#""Action":"*","Resource":"*","Condition":{"Null":{"aws:x":"true"}}"#, true),
        ] {
            let identity = vec![policy(&[&format!(r#""Effect":"Allow",{statement}"#)])];
            let policies = Policies { identity, ..Policies::default() };
            assert_eq!(decide(&policies, Verdict::Silent).is_ok(), expected, "{statement}");
        }
    }

    #[test]
    fn nothing_is_allowed_by_itself_and_a_deny_always_wins() {
        let (allow, deny) = (|| all("Allow"), || all("Deny"));
        let none = Policies::default();
        assert_eq!(decide(&none, Verdict::Silent), Err((Kind::Identity, false)));
        let open = Policies { identity: vec![allow()], ..Policies::default() };
        assert_eq!(decide(&open, Verdict::Silent), Ok(()));
        let root = Policies { is_root: true, ..Policies::default() };
        assert_eq!(decide(&root, Verdict::Silent), Ok(()));
        for (policies, by) in [
            (Policies { identity: vec![allow(), deny()], ..open.clone() }, Kind::Identity),
            (Policies { boundary: Some(deny()), ..open.clone() }, Kind::Boundary),
            (Policies { session: vec![allow(), deny()], ..open.clone() }, Kind::Session),
            (Policies { endpoint: Some(deny()), ..open.clone() }, Kind::Endpoint),
        ] {
            // Even where the resource names the caller.
            assert_eq!(decide(&policies, Verdict::Allowed), Err((by, true)));
        }
        assert_eq!(decide(&open, Verdict::Denied), Err((Kind::Resource, true)));
    }

    #[test]
    fn each_kind_that_is_there_must_allow() {
        let other = || policy(&[r#""Effect":"Allow","Action":"s3:*","Resource":"*""#]);
        let open = Policies { identity: vec![other(), all("Allow")], ..Policies::default() };
        for (policies, by) in [
            (Policies { boundary: Some(other()), ..open.clone() }, Kind::Boundary),
            (Policies { session: vec![other()], ..open.clone() }, Kind::Session),
            (Policies { endpoint: Some(other()), ..open }, Kind::Endpoint),
        ] {
            assert_eq!(decide(&policies, Verdict::Silent), Err((by, false)));
        }
        let none = Policies::default();
        assert_eq!(decide(&none, Verdict::Allowed), Ok(()), "the resource's policy is enough");
        let account = decide(&none, Verdict::AllowedToAccount);
        assert_eq!(account, Err((Kind::Identity, false)), "one's account is not oneself");
    }

    #[test]
    fn principals_are_accounts_arns_services_and_everybody() {
        let context = Context::default();
        let ask = Ask { action: "sts:AssumeRole", resource: "*", context: &context };
        let verdict = |principal: &str, asker: &Asker| {
            let text = format!(r#""Effect":"Allow","Action":"sts:*",{principal}"#);
            policy(&[&text]).verdict(ask, Some(asker))
        };
        let user = Asker {
            account: AccountId::parse("123456789012"),
            arns: vec!["arn:aws:iam::123456789012:user/mina".into()],
            service: None,
        };
        let ec2 = Asker::service("ec2.amazonaws.com");
        for (principal, by_user, by_ec2) in [
            (r#""Principal":"*""#, Verdict::Allowed, Verdict::Allowed),
            (r#""Principal":{"AWS":"*"}"#, Verdict::Allowed, Verdict::Allowed),
            (r#""Principal":{"AWS":"123456789012"}"#, Verdict::AllowedToAccount, Verdict::Silent),
            (
                r#""Principal":{"AWS":["arn:aws:iam::123456789012:root"]}"#,
                Verdict::AllowedToAccount,
                Verdict::Silent,
            ),
            (
                r#""Principal":{"AWS":"arn:aws:iam::123456789012:user/mina"}"#,
                Verdict::Allowed,
                Verdict::Silent,
            ),
            (
                r#""Principal":{"AWS":"arn:aws:iam::123456789012:user/jisu"}"#,
                Verdict::Silent,
                Verdict::Silent,
            ),
            (r#""Principal":{"Service":"ec2.amazonaws.com"}"#, Verdict::Silent, Verdict::Allowed),
            (r#""NotPrincipal":{"AWS":"123456789012"}"#, Verdict::Silent, Verdict::Allowed),
        ] {
            assert_eq!(verdict(principal, &user), by_user, "{principal}");
            assert_eq!(verdict(principal, &ec2), by_ec2, "{principal}");
        }
    }
}
