//! Who calls, by the access key that the request is signed with.
//!
//! What was issued here is verified, always. A key that nobody knows is somebody's from another
//! place, who cannot be asked for its secret: they are the root user of the account, and nothing
//! of what they sign is looked at. With `--strict-auth` there is nobody of that kind.

use std::sync::Arc;

use gureum_api::{ApiError, ApiRequest, ChunkSigner, Protocol, Service, Signature, Unproven};
use gureum_store::{Key, Snapshot};
use gureum_types::{
    AccountId, Timestamp,
    record::{AccessKey, Role, Scope, SessionCredential, SessionPrincipal, User},
};

use super::caller::{Caller, Principal};
use crate::{
    config::{Config, RootKey},
    credential,
};

/// What a request shows of its sender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    /// The id of the access key.
    pub(crate) access_key_id: &'a str,
    /// The token of a session.
    pub(crate) session_token: Option<&'a str>,
    /// The signature; none where it is of a kind that is not verified here.
    pub(crate) signature: Option<&'a Signature>,
    /// The account of somebody whose key nobody issued.
    pub(crate) account: &'a AccountId,
    /// Whether it is IAM that is called.
    pub(crate) is_iam: bool,
}

impl<'a> Shown<'a> {
    /// What a request shows that is signed.
    pub(crate) fn of(signature: &'a Signature, account: &'a AccountId) -> Self {
        Self {
            access_key_id: signature.access_key_id(),
            session_token: signature.session_token(),
            signature: Some(signature),
            account,
            is_iam: false,
        }
    }
}

/// Why nobody is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such access key.
    Unknown,
    /// The token is not the one of the session.
    Token,
    /// The session has ended.
    Expired,
    /// The signature proves nothing.
    Unproven(Unproven),
    /// The signature is older than Signature Version 4.
    Outdated,
}

impl Refusal {
    /// As the services say it whose API is not S3's.
    pub(crate) fn error(self, protocol: Protocol) -> ApiError {
        match self {
            Self::Unknown | Self::Token | Self::Outdated => ApiError::unknown_credentials(protocol),
            Self::Expired => ApiError::expired_token(protocol),
            Self::Unproven(why) => ApiError::unproven(protocol, why),
        }
    }
}

/// Who calls. `now` is the time by which signatures and sessions end.
pub(crate) fn authenticate(
    records: &Snapshot,
    request: &ApiRequest,
    config: &Config,
    now: Timestamp,
) -> Result<Caller, Refusal> {
    let is_iam = request.operation.service() == Service::Iam;
    let shown = Shown { is_iam, ..Shown::of(&request.signature, request.account()) };
    identify(records, shown, config, now)
}

/// Who shows this.
pub(crate) fn identify(
    records: &Snapshot,
    shown: Shown<'_>,
    config: &Config,
    now: Timestamp,
) -> Result<Caller, Refusal> {
    let door = Door { records, shown, now };
    let id = shown.access_key_id;
    let keys = records.referrers_with_keys::<AccessKey>(id);
    if let Some((place, key)) = keys.into_iter().find(|(_, key)| key.id == id) {
        return door.user(place, key);
    }
    let sessions = records.referrers_with_keys::<SessionCredential>(id);
    if let Some((place, session)) = sessions.into_iter().find(|(_, it)| it.access_key_id == id) {
        return door.session(place, session);
    }
    if let Some(root) = config.root_key.as_ref().filter(|it| it.id == id) {
        return door.root(root);
    }
    if credential::issuer(id).is_some() {
        return Err(Refusal::Unknown);
    }
    if shown.session_token.is_some_and(credential::is_own_token) {
        return Err(Refusal::Expired);
    }
    match (&config.root_key, config.strict_auth) {
        (_, false) => Ok(Caller::root(shown.account.clone(), id)),
        // The key of a daemon opens all of its accounts.
        (Some(root), true) if AccountId::parse(id).is_some() => door.root(root),
        (_, true) => Err(Refusal::Unknown),
    }
}

struct Door<'a> {
    records: &'a Snapshot,
    shown: Shown<'a>,
    now: Timestamp,
}

impl Door<'_> {
    /// Checks the signature; what signs the pieces of the body, where it comes in such.
    fn verify(&self, secret: &str) -> Result<Option<Arc<ChunkSigner>>, Refusal> {
        let signature = self.shown.signature.ok_or(Refusal::Outdated)?;
        signature.verify(secret, self.now).map_err(Refusal::Unproven)?;
        Ok(signature.chunk_signer(secret).map(Arc::new))
    }

    fn root(&self, key: &RootKey) -> Result<Caller, Refusal> {
        let chunks = self.verify(&key.secret)?;
        let root = Caller::root(self.shown.account.clone(), self.shown.access_key_id);
        Ok(Caller { chunks, ..root })
    }

    fn user(&self, place: &Key, key: &AccessKey) -> Result<Caller, Refusal> {
        let scope = place.scope.as_ref().ok_or(Refusal::Unknown)?;
        if !key.active {
            return Err(Refusal::Unknown);
        }
        let chunks = self.verify(&key.secret)?;
        let user = self.named_user(scope, &key.user)?;
        Ok(Caller { chunks, ..self.caller(scope, Principal::User(user), None) })
    }

    fn session(&self, place: &Key, session: &Arc<SessionCredential>) -> Result<Caller, Refusal> {
        let scope = place.scope.as_ref().ok_or(Refusal::Unknown)?;
        match self.shown.session_token {
            Some(token) if token == session.token => {}
            Some(_) => return Err(Refusal::Token),
            None => return Err(Refusal::Unknown),
        }
        let chunks = self.verify(&session.secret)?;
        if session.expires <= self.now {
            return Err(Refusal::Expired);
        }
        // Without a role they are nobody to IAM, whatever their policies say.
        let has_role = matches!(
            session.principal,
            SessionPrincipal::Role { .. } | SessionPrincipal::Instance(_)
        );
        if self.shown.is_iam && !has_role {
            return Err(Refusal::Unknown);
        }
        let principal = match &session.principal {
            SessionPrincipal::Root => Principal::Root,
            SessionPrincipal::User(name) => Principal::User(self.named_user(scope, name)?),
            SessionPrincipal::Role { role, role_id, session, instance } => {
                let found = self.records.find::<Role>(scope, &role.to_ascii_lowercase());
                // Another role of the same name is not the one that was assumed.
                let role = found.filter(|it| it.id == *role_id).ok_or(Refusal::Unknown)?;
                Principal::Role {
                    role: role.clone(),
                    session: session.clone(),
                    instance: instance.clone(),
                }
            }
            SessionPrincipal::Instance(instance) => Principal::Instance(instance.clone()),
            SessionPrincipal::Federated { name, user } => Principal::Federated {
                name: name.clone(),
                user: user.as_ref().map(|user| self.named_user(scope, user)).transpose()?,
            },
        };
        Ok(Caller { chunks, ..self.caller(scope, principal, Some(session.clone())) })
    }

    fn named_user(&self, scope: &Scope, name: &str) -> Result<Arc<User>, Refusal> {
        let found = self.records.find::<User>(scope, &name.to_ascii_lowercase());
        found.cloned().ok_or(Refusal::Unknown)
    }

    fn caller(
        &self,
        scope: &Scope,
        principal: Principal,
        session: Option<Arc<SessionCredential>>,
    ) -> Caller {
        let access_key_id = self.shown.access_key_id.to_owned();
        let account = scope.account.clone();
        Caller { account, access_key_id, principal, session, chunks: None }
    }
}
