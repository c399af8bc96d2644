//! The principal behind a call.

use std::sync::Arc;

use gureum_api::ChunkSigner;
use gureum_types::{
    AccountId, InstanceId,
    record::{Role, SessionCredential, User},
};

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The account that the principal belongs to.
    pub(crate) account: AccountId,
    /// The access key that the request names.
    pub(crate) access_key_id: String,
    /// Who it is.
    pub(crate) principal: Principal,
    /// The session, when the credentials are those of one.
    pub(crate) session: Option<Arc<SessionCredential>>,
    /// What signs the pieces of the body, where it comes in such and the secret is known.
    pub(crate) chunks: Option<Arc<ChunkSigner>>,
}

/// A principal.
#[derive(Clone, Debug)]
pub(crate) enum Principal {
    /// The root user of the account; so is everybody with a key that nobody issued.
    Root,
    /// A user.
    User(Arc<User>),
    /// Somebody with a role.
    Role {
        /// The role.
        role: Arc<Role>,
        /// The name of the session.
        session: String,
        /// The instance whose credentials these are.
        instance: Option<InstanceId>,
    },
    /// An instance itself, by credentials of its own that AWS's services know it by.
    Instance(InstanceId),
    /// Somebody with a federated token of a user, or of the root user.
    Federated {
        /// Their name.
        name: String,
        /// The user who vouched for them.
        user: Option<Arc<User>>,
    },
}

/// What names of instances themselves have where a role's is.
const INSTANCE_ROLE: &str = "aws:ec2-instance";

impl Caller {
    /// The root user of an account.
    pub(crate) fn root(account: AccountId, access_key_id: impl Into<String>) -> Self {
        let access_key_id = access_key_id.into();
        Self { account, access_key_id, principal: Principal::Root, session: None, chunks: None }
    }

    /// The name of the principal that is unique in all of AWS, as GetCallerIdentity tells it.
    pub(crate) fn arn(&self) -> String {
        let account = &self.account;
        match &self.principal {
            Principal::Root => root_arn(account),
            Principal::User(user) => arn(account, "user", &user.path, &user.name),
            Principal::Role { role, session, .. } => {
                format!("arn:aws:sts::{account}:assumed-role/{}/{session}", role.name)
            }
            Principal::Instance(id) => {
                format!("arn:aws:sts::{account}:assumed-role/{INSTANCE_ROLE}/{id}")
            }
            Principal::Federated { name, .. } => {
                format!("arn:aws:sts::{account}:federated-user/{name}")
            }
        }
    }

    /// What policies know as `aws:PrincipalArn`: of a session, the role's.
    pub(crate) fn principal_arn(&self) -> String {
        match &self.principal {
            Principal::Role { role, .. } => arn(&self.account, "role", &role.path, &role.name),
            _ => self.arn(),
        }
    }

    /// The unique id, `aws:userid`.
    pub(crate) fn user_id(&self) -> String {
        match &self.principal {
            Principal::Root => self.account.to_string(),
            Principal::User(user) => user.id.clone(),
            Principal::Role { role, session, .. } => format!("{}:{session}", role.id),
            Principal::Instance(id) => format!("{}:{INSTANCE_ROLE}:{id}", self.account),
            Principal::Federated { name, .. } => format!("{}:{name}", self.account),
        }
    }

    /// What policies know as `aws:PrincipalType`.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.principal {
            Principal::Root => "Account",
            Principal::User(_) => "User",
            Principal::Role { .. } | Principal::Instance(_) => "AssumedRole",
            Principal::Federated { .. } => "FederatedUser",
        }
    }

    /// The instance whose credentials these are, when they are an instance's.
    pub(crate) fn instance(&self) -> Option<&InstanceId> {
        match &self.principal {
            Principal::Role { instance, .. } => instance.as_ref(),
            Principal::Instance(instance) => Some(instance),
            Principal::Root | Principal::User(_) | Principal::Federated { .. } => None,
        }
    }

    /// The user, when it is one who calls.
    pub(crate) fn user(&self) -> Option<&Arc<User>> {
        match &self.principal {
            Principal::User(user) => Some(user),
            Principal::Root
            | Principal::Role { .. }
            | Principal::Instance(_)
            | Principal::Federated { .. } => None,
        }
    }
}

/// The name of an IAM resource: a path begins and ends with a slash.
pub(crate) fn arn(account: &AccountId, kind: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:{kind}{path}{name}")
}

/// The name of an account's root user, which in policies stands for the whole account.
pub(crate) fn root_arn(account: &AccountId) -> String {
    format!("arn:aws:iam::{account}:root")
}
