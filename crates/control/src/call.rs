//! One call of the API: who calls, when, and how handlers find what a call names.

use std::{str::FromStr, sync::Arc};

use gureum_api::{ApiError, Resource};
use gureum_store::{Snapshot, Stored};
use gureum_types::{AccountId, IdError, Region, Tags, Timestamp, record::Scope};

use crate::{config::Config, iam::caller::Caller};

/// What a handler answers.
pub(crate) type Answer<T> = Result<T, ApiError>;

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The caller's account and region.
    pub(crate) scope: Scope,
    /// Who calls.
    pub(crate) caller: Caller,
    /// When it came.
    pub(crate) now: Timestamp,
    /// The URL that the client used, as `http://localhost:4566`; empty where nobody asked.
    pub(crate) endpoint: String,
    /// What control was told.
    pub(crate) config: Arc<Config>,
}

impl Call {
    pub(crate) fn account(&self) -> &AccountId {
        &self.scope.account
    }

    pub(crate) fn region(&self) -> &Region {
        &self.scope.region
    }

    /// Random bits for an id.
    pub(crate) fn random(&self) -> u64 {
        (self.config.random)()
    }

    /// The name of a resource of the caller that is unique in all of AWS.
    pub(crate) fn arn(&self, kind: &str, id: impl std::fmt::Display) -> String {
        format!("arn:aws:ec2:{}:{}:{kind}/{id}", self.region(), self.account())
    }
}

/// A kind of record that callers name by an id and put tags on.
pub(crate) trait Named: Stored {
    /// The type of its ids.
    type Id: FromStr<Err = IdError> + AsRef<str>;
    /// The words for it in errors.
    const RESOURCE: Resource;
    /// The name of the kind in tag specifications.
    const TYPE: &'static str;

    fn tags(&self) -> &Tags;
    fn tags_mut(&mut self) -> &mut Tags;
}

macro_rules! named {
    ($($kind:ident($id:ident) $resource:ident $type:literal;)*) => {$(
        impl Named for gureum_types::record::$kind {
            type Id = gureum_types::$id;
            const RESOURCE: Resource = Resource::$resource;
            const TYPE: &'static str = $type;

            fn tags(&self) -> &Tags {
                &self.tags
            }

            fn tags_mut(&mut self) -> &mut Tags {
                &mut self.tags
            }
        }
    )*};
}

named! {
    Address(AllocationId) Allocation "elastic-ip";
    CustomerGateway(CustomerGatewayId) CustomerGateway "customer-gateway";
    DhcpOptions(DhcpOptionsId) DhcpOptions "dhcp-options";
    EgressOnlyInternetGateway(EgressOnlyInternetGatewayId) EgressOnlyInternetGateway
        "egress-only-internet-gateway";
    FlowLog(FlowLogId) FlowLog "vpc-flow-log";
    Instance(InstanceId) Instance "instance";
    InternetGateway(InternetGatewayId) InternetGateway "internet-gateway";
    KeyPair(KeyPairId) KeyPair "key-pair";
    LaunchTemplate(LaunchTemplateId) LaunchTemplate "launch-template";
    NatGateway(NatGatewayId) NatGateway "natgateway";
    NetworkAcl(NetworkAclId) NetworkAcl "network-acl";
    NetworkInsightsAccessScope(NetworkInsightsAccessScopeId) NetworkInsightsAccessScope
        "network-insights-access-scope";
    NetworkInsightsAccessScopeAnalysis(NetworkInsightsAccessScopeAnalysisId)
        NetworkInsightsAccessScopeAnalysis "network-insights-access-scope-analysis";
    NetworkInsightsAnalysis(NetworkInsightsAnalysisId) NetworkInsightsAnalysis
        "network-insights-analysis";
    NetworkInsightsPath(NetworkInsightsPathId) NetworkInsightsPath "network-insights-path";
    NetworkInterface(NetworkInterfaceId) NetworkInterface "network-interface";
    OwnImage(ImageId) Image "image";
    PlacementGroup(PlacementGroupId) PlacementGroup "placement-group";
    PrefixList(PrefixListId) PrefixList "prefix-list";
    PublicAccessExclusion(PublicAccessExclusionId) PublicAccessExclusion
        "vpc-block-public-access-exclusion";
    RouteTable(RouteTableId) RouteTable "route-table";
    SecurityGroup(SecurityGroupId) SecurityGroup "security-group";
    SecurityGroupRule(SecurityGroupRuleId) SecurityGroupRule "security-group-rule";
    Subnet(SubnetId) Subnet "subnet";
    SubnetCidrReservation(SubnetCidrReservationId) SubnetCidrReservation "subnet-cidr-reservation";
    TransitGateway(TransitGatewayId) TransitGateway "transit-gateway";
    TransitGatewayRouteTable(TransitGatewayRouteTableId) TransitGatewayRouteTable
        "transit-gateway-route-table";
    TransitGatewayVpcAttachment(TransitGatewayAttachmentId) TransitGatewayAttachment
        "transit-gateway-attachment";
    Volume(VolumeId) Volume "volume";
    VolumeSnapshot(SnapshotId) Snapshot "snapshot";
    VpcEndpoint(VpcEndpointId) VpcEndpoint "vpc-endpoint";
    VpcEndpointService(VpcEndpointServiceId) VpcEndpointService "vpc-endpoint-service";
    Vpc(VpcId) Vpc "vpc";
    VpnConnection(VpnConnectionId) VpnConnection "vpn-connection";
    VpnGateway(VpnGatewayId) VpnGateway "vpn-gateway";
}

/// A kind of record that is shown for a while after it was deleted.
pub(crate) trait Ending: Named {
    fn deleted(&self) -> Option<Timestamp>;
}

macro_rules! ending {
    ($($kind:ident)*) => {$(
        impl Ending for gureum_types::record::$kind {
            fn deleted(&self) -> Option<Timestamp> {
                self.deleted
            }
        }
    )*};
}

ending! {
    CustomerGateway PublicAccessExclusion TransitGateway TransitGatewayRouteTable
    TransitGatewayVpcAttachment VpnConnection VpnGateway
}

/// The id in a parameter.
pub(crate) fn parse_id<T: Named>(text: &str) -> Answer<T::Id> {
    text.parse().map_err(|error| ApiError::malformed_id(T::RESOURCE, &error))
}

/// The record that a parameter names; AWS's error when the id is malformed or unknown (API-11).
pub(crate) fn find<T: Named>(records: &Snapshot, scope: &Scope, id: &str) -> Answer<Arc<T>> {
    parse_id::<T>(id)?;
    records.find::<T>(scope, id).cloned().ok_or_else(|| ApiError::not_found(T::RESOURCE, id))
}

/// The record that a required parameter names.
pub(crate) fn required<T: Named>(
    records: &Snapshot,
    scope: &Scope,
    id: &Option<String>,
    parameter: &str,
) -> Answer<Arc<T>> {
    find(records, scope, text(id, parameter)?)
}

/// The record that a required parameter names, unless it is only shown any more.
pub(crate) fn alive<T: Ending>(
    records: &Snapshot,
    scope: &Scope,
    id: &Option<String>,
    parameter: &str,
) -> Answer<Arc<T>> {
    let id = text(id, parameter)?;
    match find::<T>(records, scope, id) {
        Ok(record) if record.deleted().is_some() => Err(ApiError::not_found(T::RESOURCE, id)),
        found => found,
    }
}

/// A required parameter. The decoder has refused requests without it; an empty one comes here.
pub(crate) fn text<'a>(value: &'a Option<String>, parameter: &str) -> Answer<&'a str> {
    match value.as_deref() {
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err(ApiError::missing_parameter(parameter)),
    }
}

/// The records that a list names, or all of them when it is empty; one unknown id fails the
/// whole (API-10).
pub(crate) fn listed<T: Named>(
    records: &Snapshot,
    scope: &Scope,
    ids: &[String],
) -> Answer<Vec<Arc<T>>> {
    if ids.is_empty() {
        return Ok(records.all::<T>(scope).cloned().collect());
    }
    let mut unique: Vec<_> = ids.iter().collect();
    unique.sort();
    unique.dedup();
    unique.into_iter().map(|id| find(records, scope, id)).collect()
}

/// A parameter that is there and not empty: clients send empty text for "not set".
pub(crate) fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|value| !value.is_empty())
}
