//! Services that accounts offer to endpoints of VPCs. There are no load balancers here, so that
//! none leads anywhere: records.

use serde::{Deserialize, Serialize};

use crate::{Region, Tags, Timestamp, VpcEndpointServiceId, VpcEndpointServicePermissionId};

/// A service that an account offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpcEndpointService {
    /// Its id.
    pub id: VpcEndpointServiceId,
    /// The region it is in.
    pub region: Region,
    /// Whether its owner accepts each endpoint.
    pub acceptance_required: bool,
    /// The name that its endpoints may have in their VPCs, with the name and the value by which its
    /// owner would prove that it is theirs.
    pub private_dns_name: Option<(String, String, String)>,
    /// ARNs of network load balancers, as given.
    pub network_load_balancers: Vec<String>,
    /// ARNs of gateway load balancers, as given.
    pub gateway_load_balancers: Vec<String>,
    /// `ipv4`, `ipv6`.
    pub ip_address_types: Vec<String>,
    /// Who may connect besides its own account.
    pub permissions: Vec<ServicePermission>,
    /// The client token of the call that made it.
    pub client_token: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// Leave to connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServicePermission {
    /// Its id.
    pub id: VpcEndpointServicePermissionId,
    /// An ARN, or `*` for everybody.
    pub principal: String,
}

impl VpcEndpointService {
    /// The name that endpoints call it by.
    pub fn service_name(&self) -> String {
        format!("com.amazonaws.vpce.{}.{}", self.region, self.id)
    }
}
