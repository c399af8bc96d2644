//! Records of transit gateways (TGW-1). They are kept and shown; no packet passes them.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    SubnetId, Tags, Timestamp, TransitGatewayAttachmentId, TransitGatewayId,
    TransitGatewayRouteTableId, VpcId,
};

/// A transit gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransitGateway {
    /// Its id.
    pub id: TransitGatewayId,
    /// What it is for.
    pub description: String,
    /// Its options.
    pub options: TransitGatewayOptions,
    /// The table that new attachments are associated with: at first the one it was made with.
    pub default_route_table: Option<TransitGatewayRouteTableId>,
    /// The table that new attachments propagate into, where that is another one.
    #[serde(default)]
    pub default_propagation_table: Option<TransitGatewayRouteTableId>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was deleted; it is shown a while longer.
    pub deleted: Option<Timestamp>,
    /// Tags.
    pub tags: Tags,
}

impl TransitGateway {
    /// The table that new attachments propagate into, if they do.
    pub fn propagation_table(&self) -> Option<&TransitGatewayRouteTableId> {
        self.default_propagation_table.as_ref().or(self.default_route_table.as_ref())
    }
}

/// Options of a transit gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransitGatewayOptions {
    /// Its autonomous system number.
    pub amazon_side_asn: u32,
    /// Blocks of addresses of its own.
    pub cidr_blocks: Vec<IpNet>,
    /// Whether attachments of others need no word.
    pub auto_accept_shared_attachments: bool,
    /// Whether new attachments are associated with the default table.
    pub default_route_table_association: bool,
    /// Whether new attachments propagate into the default table.
    pub default_route_table_propagation: bool,
    /// Equal-cost routes over several VPN tunnels.
    pub vpn_ecmp_support: bool,
    /// Whether names resolve to private addresses across it.
    pub dns_support: bool,
    /// Whether groups may be referred to across it.
    pub security_group_referencing_support: bool,
    /// Multicast.
    pub multicast_support: bool,
}

/// The tie of a transit gateway to a VPC: one interface's worth of subnet a zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransitGatewayVpcAttachment {
    /// Its id.
    pub id: TransitGatewayAttachmentId,
    /// The gateway.
    pub transit_gateway_id: TransitGatewayId,
    /// The VPC.
    pub vpc_id: VpcId,
    /// Its subnets, one a zone.
    pub subnet_ids: Vec<SubnetId>,
    /// Whether names resolve to private addresses across it.
    pub dns_support: bool,
    /// Whether groups may be referred to across it.
    pub security_group_referencing_support: bool,
    /// Whether IPv6 shall pass.
    pub ipv6_support: bool,
    /// Whether a flow keeps to a zone.
    pub appliance_mode_support: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was deleted; it is shown a while longer.
    pub deleted: Option<Timestamp>,
    /// Tags.
    pub tags: Tags,
}

/// A route table of a transit gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransitGatewayRouteTable {
    /// Its id.
    pub id: TransitGatewayRouteTableId,
    /// The gateway.
    pub transit_gateway_id: TransitGatewayId,
    /// The attachments that are routed by it.
    pub associations: Vec<TransitGatewayAttachmentId>,
    /// The attachments whose blocks are in it.
    pub propagations: Vec<TransitGatewayAttachmentId>,
    /// The routes that somebody made.
    #[serde(default)]
    pub routes: Vec<TransitGatewayRoute>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was deleted; it is shown a while longer.
    pub deleted: Option<Timestamp>,
    /// Tags.
    pub tags: Tags,
}

/// A route that somebody made in a table of a transit gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransitGatewayRoute {
    /// Where to.
    pub destination: IpNet,
    /// By which attachment; none where what goes there shall be dropped.
    pub attachment: Option<TransitGatewayAttachmentId>,
}
