//! Records of IAM and STS: who may call, and what they may do.
//!
//! IAM is global: its records are kept in one region of the account, [`Scope::global`]. Policy
//! documents are kept as they were given; they are read where they are evaluated.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Scope;
use crate::{AccountId, InstanceId, Region, Tags, Timestamp};

impl Scope {
    /// Where the records of services without regions are: in us-east-1, as IAM's control plane is.
    pub fn global(account: AccountId) -> Self {
        Self { account, region: Region::us_east_1() }
    }
}

/// The name that an account has in sign-in addresses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountAlias {
    /// The alias, unique in all accounts.
    pub alias: String,
}

/// The policies of a user, group or role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Permissions {
    /// Documents of inline policies by their names.
    pub inline: BTreeMap<String, String>,
    /// ARNs of managed policies, in the order of their attachment.
    pub attached: Vec<String>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// The name, unique in the account without regard to case.
    pub name: String,
    /// The unique id, `AIDA…`.
    pub id: String,
    /// The path, `/` or `/…/`.
    pub path: String,
    /// What the user may do.
    pub permissions: Permissions,
    /// The ARN of the managed policy that bounds them.
    pub permissions_boundary: Option<String>,
    /// The names of the user's groups.
    pub groups: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// A group of users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The name, unique in the account without regard to case.
    pub name: String,
    /// The unique id, `AGPA…`.
    pub id: String,
    /// The path, `/` or `/…/`.
    pub path: String,
    /// What its users may do.
    pub permissions: Permissions,
    /// When it was made.
    pub created: Timestamp,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// The name, unique in the account without regard to case.
    pub name: String,
    /// The unique id, `AROA…`.
    pub id: String,
    /// The path, `/` or `/…/`.
    pub path: String,
    /// What it is for.
    pub description: Option<String>,
    /// Who may assume it: the trust policy.
    pub assume_role_policy: String,
    /// The longest session, in seconds.
    pub max_session_duration: i32,
    /// What the role may do.
    pub permissions: Permissions,
    /// The ARN of the managed policy that bounds them.
    pub permissions_boundary: Option<String>,
    /// When and in which region it was last used.
    pub last_used: Option<(Timestamp, Region)>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// A managed policy of the account. Those of AWS are no records: they are the same for all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// The name, unique in the account without regard to case.
    pub name: String,
    /// The unique id, `ANPA…`.
    pub id: String,
    /// The path, `/` or `/…/`.
    pub path: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its versions, at most five, the oldest first.
    pub versions: Vec<PolicyVersion>,
    /// The number of the version that holds.
    pub default_version: u32,
    /// The number of the next version: numbers are not used twice.
    pub next_version: u32,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// A version of a managed policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// Its number: 1 is shown as `v1`.
    pub number: u32,
    /// The document as given.
    pub document: String,
    /// When it was made.
    pub created: Timestamp,
}

/// A container that gives a role to instances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceProfile {
    /// The name, unique in the account without regard to case.
    pub name: String,
    /// The unique id, `AIPA…`.
    pub id: String,
    /// The path, `/` or `/…/`.
    pub path: String,
    /// The name of its role; AWS allows one.
    pub role: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// A user's access key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessKey {
    /// The id, `AKIA…`.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// The name of the user whose it is.
    pub user: String,
    /// Whether it may be used.
    pub active: bool,
    /// When, in which region and for which service it was last used.
    pub last_used: Option<(Timestamp, Region, String)>,
    /// When it was made.
    pub created: Timestamp,
}

/// Credentials of a session (STS), which end by themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionCredential {
    /// The access key id, `ASIA…`.
    pub access_key_id: String,
    /// The secret.
    pub secret: String,
    /// The session token.
    pub token: String,
    /// Whose they are.
    pub principal: SessionPrincipal,
    /// Policies of the session, which bound what the principal may do: documents.
    pub policies: Vec<String>,
    /// Session tags.
    pub tags: Tags,
    /// When they were issued.
    pub issued: Timestamp,
    /// When they end.
    pub expires: Timestamp,
}

/// Whose a session's credentials are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SessionPrincipal {
    /// The root user's of the account.
    Root,
    /// A user's, by name.
    User(String),
    /// An assumed role's.
    Role {
        /// The role's name.
        role: String,
        /// The role's unique id: a role of the same name that is made later is another one.
        role_id: String,
        /// The session's name; of an instance its id.
        session: String,
        /// The instance that got them from its metadata service.
        instance: Option<InstanceId>,
    },
    /// An instance's own, whatever role it has.
    Instance(InstanceId),
    /// Somebody's from outside with a federated token.
    Federated {
        /// Their name.
        name: String,
        /// The name of the user who asked for it; none for the root user.
        user: Option<String>,
    },
}
