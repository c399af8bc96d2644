//! Sessions: roles that are assumed, and credentials for a while.
//!
//! Whether somebody may assume a role is decided before ([`crate::iam::authorize`]); here is what
//! they get.

use gureum_api::{ApiError, sts};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    AccountId, Tags,
    record::{Scope, SessionCredential, SessionPrincipal},
};

use crate::{
    call::{Answer, Call, given, text},
    credential::{self, Session},
    iam::{authorize::role_of_arn, caller::Principal, identity, policy},
};

/// How long a session is when the request does not say, in seconds.
const ROLE_DURATION: i32 = 3600;
const USER_DURATION: i32 = 12 * 3600;
/// How long a role may be whose caller has one already, and a session of the root user.
const SHORT_DURATION: i32 = 3600;
/// How long all policies of a session may be together.
const POLICY_SIZE: usize = 2048;
/// A session policy that grants nothing: AWS grants nothing to who is vouched for without one.
const NOTHING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"*","Resource":"*"}]}"#;

pub(crate) fn assume_role(
    call: &Call,
    tx: &mut Transaction,
    r: &sts::AssumeRoleRequest,
) -> Answer<sts::AssumeRoleResponse> {
    let arn = text(&r.role_arn, "RoleArn")?;
    let name = session_name(&r.role_session_name, "RoleSessionName", "roleSessionName")?;
    // One that is not there was refused before: nobody learns which roles there are.
    let (account, role) = role_of_arn(tx, arn)
        .ok_or_else(|| ApiError::internal_error(format!("{arn} went away meanwhile")))?;
    let duration = r.duration_seconds.unwrap_or(ROLE_DURATION);
    let is_chained = matches!(call.caller.principal, Principal::Role { .. });
    if is_chained && duration > SHORT_DURATION {
        return Err(ApiError::validation_error(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining.",
        ));
    }
    if r.duration_seconds.is_some_and(|it| it > role.max_session_duration) {
        return Err(ApiError::validation_error(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    let policies = policies(call, tx, &account, &r.policy, &r.policy_arns)?;
    let packed_policy_size = packed_size(&policies);
    let session = Session {
        principal: SessionPrincipal::Role {
            role: role.name.clone(),
            role_id: role.id.clone(),
            session: name.to_owned(),
            instance: None,
        },
        policies,
        tags: tags(&r.tags)?,
        duration: i64::from(duration),
    };
    let owner =
        Call { scope: Scope { account: account.clone(), ..call.scope.clone() }, ..call.clone() };
    let issued = credential::issue(&owner, tx, session);
    Ok(sts::AssumeRoleResponse {
        credentials: Some(shown(&issued)),
        assumed_role_user: Some(sts::AssumedRoleUser {
            assumed_role_id: Some(format!("{}:{name}", role.id)),
            arn: Some(format!("arn:aws:sts::{account}:assumed-role/{}/{name}", role.name)),
        }),
        packed_policy_size,
        source_identity: None,
    })
}

pub(crate) fn session_token(
    call: &Call,
    tx: &mut Transaction,
    r: &sts::GetSessionTokenRequest,
) -> Answer<sts::GetSessionTokenResponse> {
    let (principal, longest) = vouching(call, "GetSessionToken")?;
    let duration = r.duration_seconds.unwrap_or(USER_DURATION).min(longest);
    let session = Session {
        principal,
        policies: Vec::new(),
        tags: Tags::new(),
        duration: i64::from(duration),
    };
    let issued = credential::issue(call, tx, session);
    Ok(sts::GetSessionTokenResponse { credentials: Some(shown(&issued)) })
}

pub(crate) fn federation_token(
    call: &Call,
    tx: &mut Transaction,
    r: &sts::GetFederationTokenRequest,
) -> Answer<sts::GetFederationTokenResponse> {
    let name = session_name(&r.name, "Name", "name")?;
    let (_, longest) = vouching(call, "GetFederationToken")?;
    let duration = r.duration_seconds.unwrap_or(USER_DURATION).min(longest);
    let mut policies = policies(call, tx, call.account(), &r.policy, &r.policy_arns)?;
    let packed_policy_size = packed_size(&policies);
    if policies.is_empty() {
        policies.push(NOTHING.to_owned());
    }
    let user = call.caller.user().map(|user| user.name.clone());
    let session = Session {
        principal: SessionPrincipal::Federated { name: name.to_owned(), user },
        policies,
        tags: tags(&r.tags)?,
        duration: i64::from(duration),
    };
    let issued = credential::issue(call, tx, session);
    let account = call.account();
    Ok(sts::GetFederationTokenResponse {
        credentials: Some(shown(&issued)),
        federated_user: Some(sts::FederatedUser {
            federated_user_id: Some(format!("{account}:{name}")),
            arn: Some(format!("arn:aws:sts::{account}:federated-user/{name}")),
        }),
        packed_policy_size,
    })
}

/// Who may have a session of their own: users and the root user with lasting keys.
fn vouching(call: &Call, operation: &str) -> Answer<(SessionPrincipal, i32)> {
    if call.caller.session.is_none() {
        match &call.caller.principal {
            Principal::Root => return Ok((SessionPrincipal::Root, SHORT_DURATION)),
            Principal::User(user) => {
                return Ok((SessionPrincipal::User(user.name.clone()), i32::MAX));
            }
            Principal::Role { .. } | Principal::Instance(_) | Principal::Federated { .. } => {}
        }
    }
    Err(ApiError::new("AccessDenied", format!("Cannot call {operation} with session credentials"))
        .with_status(http::StatusCode::FORBIDDEN))
}

fn session_name<'a>(name: &'a Option<String>, parameter: &str, member: &str) -> Answer<&'a str> {
    let name = text(name, parameter)?;
    match name.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)) {
        true => Ok(name),
        false => Err(ApiError::validation_error(format!(
            "1 validation error detected: Value '{name}' at '{member}' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"
        ))),
    }
}

/// The documents that bound a session: one of the request and the managed ones it names.
fn policies(
    call: &Call,
    records: &Snapshot,
    account: &AccountId,
    document: &Option<String>,
    arns: &[sts::PolicyDescriptorType],
) -> Answer<Vec<String>> {
    let mut found = Vec::new();
    if let Some(document) = given(document) {
        policy::parse_identity(document)?;
        found.push(document.to_owned());
    }
    for named in arns {
        let arn = text(&named.arn, "PolicyArns.member.arn")?;
        let document = identity::document(records, account, arn);
        found.push(document.ok_or_else(|| {
            ApiError::validation_error(format!(
                "The policy {arn} does not exist or is not attachable."
            ))
        })?);
    }
    let size = found.first().filter(|_| given(document).is_some()).map_or(0, String::len);
    if size > POLICY_SIZE && call.config.aws_quotas {
        return Err(ApiError::new(
            "PackedPolicyTooLarge",
            format!(
                "Packed policy consumes {}% of allotted space, please use smaller policy.",
                size * 100 / POLICY_SIZE
            ),
        ));
    }
    Ok(found)
}

/// How much of the space for policies a session takes, in per cent.
fn packed_size(policies: &[String]) -> Option<i32> {
    let size: usize = policies.iter().map(String::len).sum();
    (size > 0).then(|| i32::try_from((size * 100).div_ceil(POLICY_SIZE)).unwrap_or(100).min(100))
}

fn tags(tags: &[sts::Tag]) -> Answer<Tags> {
    let mut found = Tags::new();
    for tag in tags {
        let key = tag.key.clone().unwrap_or_default();
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(ApiError::validation_error(
                "System tags cannot be added/updated by requester.",
            ));
        }
        if found.insert(key, tag.value.clone().unwrap_or_default()).is_some() {
            return Err(ApiError::validation_error(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
    }
    Ok(found)
}

fn shown(session: &SessionCredential) -> sts::Credentials {
    sts::Credentials {
        access_key_id: Some(session.access_key_id.clone()),
        secret_access_key: Some(session.secret.clone()),
        session_token: Some(session.token.clone()),
        expiration: Some(session.expires),
    }
}
