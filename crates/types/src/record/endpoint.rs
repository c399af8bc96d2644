//! VPC endpoints (VPCE-*).

use serde::{Deserialize, Serialize};

use crate::{
    NetworkInterfaceId, PortIndex, SecurityGroupId, Tags, Timestamp, VpcEndpointId, VpcId,
};

/// Where an endpoint is in its life (VPCE-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VpcEndpointState {
    /// Waits for the owner of its service.
    PendingAcceptance,
    /// Being made.
    Pending,
    /// Packets pass it.
    Available,
    /// The owner of its service does not want it.
    Rejected,
    /// On its way out.
    Deleting,
    /// Gone; shown for a moment.
    Deleted,
}

impl VpcEndpointState {
    /// The name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PendingAcceptance => "pendingAcceptance",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Available => "available",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }
}

/// An endpoint of a VPC: a way to a service of AWS that needs no gateway to the internet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpcEndpoint {
    /// Its id.
    pub id: VpcEndpointId,
    /// Its VPC.
    pub vpc_id: VpcId,
    /// The service, as `com.amazonaws.ap-northeast-2.ssm`.
    pub service_name: String,
    /// Its state.
    pub state: VpcEndpointState,
    /// Which requests it lets through, as given; `None` lets everything through (VPCE-13).
    pub policy: Option<String>,
    /// How it is reached.
    pub kind: VpcEndpointKind,
    /// The client token of the call that made it.
    pub client_token: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was deleted.
    pub deleted: Option<Timestamp>,
    /// Tags.
    pub tags: Tags,
}

/// How an endpoint is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum VpcEndpointKind {
    /// By interfaces in subnets.
    Interface(InterfaceEndpoint),
    /// By routes that lead to it, which are in their tables.
    Gateway {
        /// The number that services know it by, for its whole life; no link has it.
        port: PortIndex,
    },
}

/// What an interface endpoint has besides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InterfaceEndpoint {
    /// Its interfaces, requester-managed (ENI-7), at most one a zone (VPCE-2).
    pub interfaces: Vec<NetworkInterfaceId>,
    /// The security groups of its interfaces.
    pub groups: Vec<SecurityGroupId>,
    /// Whether the service's own names mean these interfaces in the VPC (VPCE-9).
    pub private_dns: bool,
    /// Whether they do so only for who asks from outside of AWS.
    pub private_dns_for_inbound_only: bool,
    /// The type of address records as given: `ipv4` or `service-defined`.
    pub dns_record_ip_type: String,
    /// The part of its DNS names that nobody can guess (VPCE-7).
    pub dns_label: String,
}

impl VpcEndpoint {
    /// What it has as an interface endpoint, if it is one.
    pub fn interface(&self) -> Option<&InterfaceEndpoint> {
        match &self.kind {
            VpcEndpointKind::Interface(interface) => Some(interface),
            VpcEndpointKind::Gateway { .. } => None,
        }
    }

    /// The id of its service, where that is one that an account offers.
    pub fn own_service(&self) -> Option<&str> {
        let service = self.service_name.strip_prefix("com.amazonaws.vpce.")?;
        service.split_once('.').map(|(_, id)| id)
    }

    /// Whether packets pass it.
    pub fn carries(&self) -> bool {
        self.state == VpcEndpointState::Available
    }
}
