//! Leave for another account to use a network interface: kept and shown.

use serde::{Deserialize, Serialize};

use crate::{AccountId, NetworkInterfaceId, NetworkInterfacePermissionId};

/// A permission on an interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkInterfacePermission {
    /// Its id.
    pub id: NetworkInterfacePermissionId,
    /// The interface.
    pub network_interface_id: NetworkInterfaceId,
    /// Who may.
    pub account: AccountId,
    /// What: `INSTANCE-ATTACH` or `EIP-ASSOCIATE`.
    pub permission: String,
}
