//! Errors as AWS answers them: codes, HTTP status and sentences, all in this one place.
//!
//! Constructors are named after what is wrong. The sentences are AWS's (anchors of the VPC facts
//! stand beside them); what a caller must not see goes into `internal`, which only the log shows.

mod authentication;
mod endpoint;
mod gateway;
mod iam;
mod instance;
mod logs;
mod network;

use std::fmt::Display;

use gureum_types::IdError;
use http::StatusCode;

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// AWS's code, for example `InvalidVpcID.NotFound`.
    pub code: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// The sentence for the caller.
    pub message: String,
    /// What only the log may say.
    pub internal: Option<String>,
}

/// A kind of EC2 resource, for the errors that every kind has. AWS's codes and nouns are not
/// uniform (API-11), hence the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// An Elastic IP address by its allocation id.
    Allocation,
    /// An association of an address or a route table.
    Association,
    /// The attachment of a network interface.
    Attachment,
    /// A customer gateway.
    CustomerGateway,
    /// A set of DHCP options.
    DhcpOptions,
    /// An egress-only internet gateway.
    EgressOnlyInternetGateway,
    /// A flow log.
    FlowLog,
    /// A machine image.
    Image,
    /// An instance.
    Instance,
    /// An internet gateway.
    InternetGateway,
    /// A key pair, by name or id.
    KeyPair,
    /// A launch template, by id.
    LaunchTemplate,
    /// A NAT gateway.
    NatGateway,
    /// A network ACL.
    NetworkAcl,
    /// A Network Access Scope.
    NetworkInsightsAccessScope,
    /// The analysis of a Network Access Scope.
    NetworkInsightsAccessScopeAnalysis,
    /// The analysis of a path.
    NetworkInsightsAnalysis,
    /// A path to analyze.
    NetworkInsightsPath,
    /// A network interface.
    NetworkInterface,
    /// Leave to use a network interface.
    NetworkInterfacePermission,
    /// A placement group, by id.
    PlacementGroup,
    /// A prefix list.
    PrefixList,
    /// An exclusion from what VPC Block Public Access blocks.
    PublicAccessExclusion,
    /// A route table.
    RouteTable,
    /// A security group.
    SecurityGroup,
    /// One rule of a security group.
    SecurityGroupRule,
    /// A snapshot.
    Snapshot,
    /// A subnet.
    Subnet,
    /// The association of an IPv6 block with a subnet.
    SubnetCidrAssociation,
    /// A reserved range of a subnet.
    SubnetCidrReservation,
    /// A transit gateway.
    TransitGateway,
    /// The attachment of a transit gateway.
    TransitGatewayAttachment,
    /// A route table of a transit gateway.
    TransitGatewayRouteTable,
    /// A volume.
    Volume,
    /// A VPC.
    Vpc,
    /// The association of an address block with a VPC.
    VpcCidrAssociation,
    /// A VPC endpoint.
    VpcEndpoint,
    /// A peering connection between VPCs.
    VpcPeeringConnection,
    /// A service that an account offers to endpoints.
    VpcEndpointService,
    /// A connection of a virtual private network.
    VpnConnection,
    /// A virtual private gateway.
    VpnGateway,
}

/// Code of a missing one, code of a malformed id, noun.
type ResourceWords = (&'static str, &'static str, &'static str);

impl Resource {
    const fn words(self) -> ResourceWords {
        match self {
            Self::Allocation => {
                ("InvalidAllocationID.NotFound", "InvalidAllocationID.Malformed", "allocation")
            }
            Self::Association => {
                ("InvalidAssociationID.NotFound", "InvalidAssociationID.Malformed", "association")
            }
            Self::Attachment => {
                ("InvalidAttachmentID.NotFound", "InvalidAttachmentID.Malformed", "attachment")
            }
            Self::CustomerGateway => (
                "InvalidCustomerGatewayID.NotFound",
                "InvalidCustomerGatewayId.Malformed",
                "customerGateway",
            ),
            Self::DhcpOptions => {
                ("InvalidDhcpOptionID.NotFound", "InvalidDhcpOptionsId.Malformed", "dhcpOptions")
            }
            Self::EgressOnlyInternetGateway => (
                "InvalidGatewayID.NotFound",
                "InvalidEgressOnlyInternetGatewayId.Malformed",
                "gateway",
            ),
            Self::FlowLog => ("InvalidFlowLogId.NotFound", "InvalidFlowLogId.Malformed", "flowLog"),
            Self::Image => ("InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "image"),
            Self::Instance => {
                ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed", "instance")
            }
            Self::InternetGateway => (
                "InvalidInternetGatewayID.NotFound",
                "InvalidInternetGatewayId.Malformed",
                "internetGateway",
            ),
            Self::KeyPair => ("InvalidKeyPair.NotFound", "InvalidParameterValue", "key pair"),
            Self::LaunchTemplate => (
                "InvalidLaunchTemplateId.NotFoundException",
                "InvalidLaunchTemplateId.Malformed",
                "launch template",
            ),
            // Unlike all others (NAT-25).
            Self::NatGateway => ("NatGatewayNotFound", "NatGatewayMalformed", "NatGateway"),
            Self::NetworkAcl => {
                ("InvalidNetworkAclID.NotFound", "InvalidNetworkAclId.Malformed", "networkAcl")
            }
            Self::NetworkInsightsAccessScope => (
                "InvalidNetworkInsightsAccessScopeId.NotFound",
                "InvalidNetworkInsightsAccessScopeId.Malformed",
                "networkInsightsAccessScope",
            ),
            Self::NetworkInsightsAccessScopeAnalysis => (
                "InvalidNetworkInsightsAccessScopeAnalysisId.NotFound",
                "InvalidNetworkInsightsAccessScopeAnalysisId.Malformed",
                "networkInsightsAccessScopeAnalysis",
            ),
            Self::NetworkInsightsAnalysis => (
                "InvalidNetworkInsightsAnalysisId.NotFound",
                "InvalidNetworkInsightsAnalysisId.Malformed",
                "networkInsightsAnalysis",
            ),
            Self::NetworkInsightsPath => (
                "InvalidNetworkInsightsPathId.NotFound",
                "InvalidNetworkInsightsPathId.Malformed",
                "networkInsightsPath",
            ),
            Self::NetworkInterface => (
                "InvalidNetworkInterfaceID.NotFound",
                "InvalidNetworkInterfaceId.Malformed",
                "networkInterface",
            ),
            Self::NetworkInterfacePermission => (
                "InvalidPermissionID.NotFound",
                "InvalidPermissionID.Malformed",
                "network interface permission",
            ),
            Self::PlacementGroup => (
                "InvalidPlacementGroupId.NotFound",
                "InvalidPlacementGroupId.Malformed",
                "placement group",
            ),
            Self::PublicAccessExclusion => (
                "InvalidVpcBlockPublicAccessExclusionId.NotFound",
                "InvalidVpcBlockPublicAccessExclusionId.Malformed",
                "vpcBlockPublicAccessExclusion",
            ),
            Self::PrefixList => {
                ("InvalidPrefixListID.NotFound", "InvalidPrefixListId.Malformed", "prefix list")
            }
            Self::RouteTable => {
                ("InvalidRouteTableID.NotFound", "InvalidRouteTableId.Malformed", "routeTable")
            }
            Self::SecurityGroup => {
                ("InvalidGroup.NotFound", "InvalidGroupId.Malformed", "security group")
            }
            Self::SecurityGroupRule => (
                "InvalidSecurityGroupRuleId.NotFound",
                "InvalidSecurityGroupRuleId.Malformed",
                "security group rule",
            ),
            Self::Snapshot => {
                ("InvalidSnapshot.NotFound", "InvalidSnapshotID.Malformed", "snapshot")
            }
            Self::Subnet => ("InvalidSubnetID.NotFound", "InvalidSubnetID.Malformed", "subnet"),
            Self::SubnetCidrAssociation => (
                "InvalidSubnetCidrBlockAssociationID.NotFound",
                "InvalidSubnetCidrBlockAssociationId.Malformed",
                "subnet CIDR block association",
            ),
            Self::SubnetCidrReservation => (
                "InvalidSubnetCidrReservationID.NotFound",
                "InvalidSubnetCidrReservationID.Malformed",
                "subnetCidrReservation",
            ),
            Self::TransitGateway => (
                "InvalidTransitGatewayID.NotFound",
                "InvalidTransitGatewayID.Malformed",
                "Transit Gateway",
            ),
            Self::TransitGatewayAttachment => (
                "InvalidTransitGatewayAttachmentID.NotFound",
                "InvalidTransitGatewayAttachmentID.Malformed",
                "Transit Gateway Attachment",
            ),
            Self::TransitGatewayRouteTable => (
                "InvalidRouteTableID.NotFound",
                "InvalidRouteTableId.Malformed",
                "Transit Gateway Route Table",
            ),
            Self::Volume => ("InvalidVolume.NotFound", "InvalidVolumeID.Malformed", "volume"),
            Self::Vpc => ("InvalidVpcID.NotFound", "InvalidVpcID.Malformed", "vpc"),
            Self::VpcCidrAssociation => (
                "InvalidVpcCidrBlockAssociationID.NotFound",
                "InvalidVpcCidrBlockAssociationIdError.Malformed",
                "vpc CIDR block association",
            ),
            Self::VpcEndpoint => {
                ("InvalidVpcEndpointId.NotFound", "InvalidVpcEndpointId.Malformed", "Vpc Endpoint")
            }
            Self::VpcPeeringConnection => (
                "InvalidVpcPeeringConnectionID.NotFound",
                "InvalidVpcPeeringConnectionId.Malformed",
                "vpcPeeringConnection",
            ),
            Self::VpcEndpointService => (
                "InvalidVpcEndpointServiceId.NotFound",
                "InvalidVpcEndpointServiceId.Malformed",
                "VpcEndpointService",
            ),
            Self::VpnConnection => (
                "InvalidVpnConnectionID.NotFound",
                "InvalidVpnConnectionID.Malformed",
                "vpnConnection",
            ),
            Self::VpnGateway => {
                ("InvalidVpnGatewayID.NotFound", "InvalidVpnGatewayID.Malformed", "vpnGateway")
            }
        }
    }
}

/// Any code with any sentence, status 400.
impl ApiError {
    /// A client error of that code.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, status: StatusCode::BAD_REQUEST, message: message.into(), internal: None }
    }

    /// The same with another HTTP status.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with something for the log.
    pub fn with_internal(mut self, detail: impl Display) -> Self {
        self.internal = Some(detail.to_string());
        self
    }

    /// Something broke on our side. The caller learns no detail.
    pub fn internal_error(detail: impl Display) -> Self {
        Self::new("InternalError", "An internal error has occurred")
            .with_status(StatusCode::INTERNAL_SERVER_ERROR)
            .with_internal(detail)
    }
}

/// Errors of any resource.
impl ApiError {
    /// No such resource (API-11).
    pub fn not_found(resource: Resource, id: impl Display) -> Self {
        let (code, _, noun) = resource.words();
        let message = match resource {
            Resource::SecurityGroup => format!("The security group '{id}' does not exist"),
            Resource::KeyPair => format!("The key pair '{id}' does not exist"),
            Resource::NatGateway => format!("NatGateway {id} was not found"),
            Resource::Image => format!("The image id '[{id}]' does not exist"),
            Resource::Volume => format!("The volume '{id}' does not exist."),
            Resource::Snapshot => format!("The snapshot '{id}' does not exist."),
            Resource::LaunchTemplate => {
                format!("The specified launch template, with template ID {id}, does not exist.")
            }
            Resource::TransitGateway
            | Resource::TransitGatewayAttachment
            | Resource::TransitGatewayRouteTable => {
                format!("{noun} {id} was deleted or does not exist.")
            }
            Resource::VpcEndpoint => format!("The Vpc Endpoint Id '{id}' does not exist"),
            _ => format!("The {noun} ID '{id}' does not exist"),
        };
        Self::new(code, message)
    }

    /// None of several instances (EC2-5); one alone reads as [`ApiError::not_found`].
    pub fn instances_not_found<T: Display>(ids: &[T]) -> Self {
        if let [id] = ids {
            return Self::not_found(Resource::Instance, id);
        }
        let list: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let message = format!("The instance IDs '{}' do not exist", list.join(", "));
        Self::new("InvalidInstanceID.NotFound", message)
    }

    /// A public address that is not allocated.
    pub fn address_not_found(address: impl Display) -> Self {
        Self::new("InvalidAddress.NotFound", format!("Address '{address}' not found."))
    }

    /// An id that is none (EC2-5).
    pub fn malformed_id(resource: Resource, error: &IdError) -> Self {
        let (_, code, _) = resource.words();
        let message = match resource {
            Resource::Instance => format!("Invalid id: \"{}\"", error.text),
            _ => error.to_string(),
        };
        Self::new(code, message)
    }

    /// Something else still needs it (CIDR-13, SUB-8, RT-7, IGW-12, SG-24).
    pub fn has_dependencies(resource: Resource, id: impl Display) -> Self {
        let (_, _, noun) = resource.words();
        let message = match resource {
            Resource::SecurityGroup => format!("resource {id} has a dependent object"),
            _ => format!("The {noun} '{id}' has dependencies and cannot be deleted."),
        };
        Self::dependency_violation(message)
    }

    /// Something else is in the way, said in a sentence of its own.
    pub fn dependency_violation(message: impl Into<String>) -> Self {
        Self::new("DependencyViolation", message)
    }
}

/// Errors of requests as such.
impl ApiError {
    /// The request would have been done (API-3).
    pub fn dry_run() -> Self {
        Self::new("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
            .with_status(StatusCode::PRECONDITION_FAILED)
    }

    /// Whether it says that the request would have been done.
    pub fn is_dry_run(&self) -> bool {
        self.code == Self::dry_run().code
    }

    /// An operation that is not served, of a query service.
    pub fn invalid_action(action: &str) -> Self {
        Self::new(
            "InvalidAction",
            format!("The action {action} is not valid for this web service."),
        )
    }

    /// An operation that is served only in part.
    pub fn unsupported_operation(message: impl Into<String>) -> Self {
        Self::new("UnsupportedOperation", message)
    }

    /// A required parameter is missing (API-12).
    pub fn missing_parameter(name: &str) -> Self {
        let message = format!("The request must contain the parameter {name}");
        Self::new("MissingParameter", message)
    }

    /// A parameter that the operation does not have.
    pub fn unknown_parameter(name: &str) -> Self {
        Self::new("UnknownParameter", format!("The parameter {name} is not recognized"))
    }

    /// A parameter's value is not possible. `reason` is a sentence, may be empty (CIDR-2).
    pub fn invalid_value(value: impl Display, parameter: &str, reason: &str) -> Self {
        let mut message = format!("Value ({value}) for parameter {parameter} is invalid.");
        if !reason.is_empty() {
            message.push(' ');
            message.push_str(reason);
        }
        Self::invalid_parameter_value(message)
    }

    /// `InvalidParameterValue` in a sentence of its own.
    pub fn invalid_parameter_value(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterValue", message)
    }

    /// `InvalidParameter`: values that do not go together with what exists.
    pub fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameter", message)
    }

    /// Parameters that exclude each other.
    pub fn invalid_parameter_combination(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterCombination", message)
    }

    /// A filter that the operation does not have (API-9).
    pub fn invalid_filter(name: &str) -> Self {
        Self::invalid_parameter_value(format!("The filter '{name}' is invalid"))
    }

    /// A page token that is not ours (API-7).
    pub fn invalid_next_token() -> Self {
        Self::new("InvalidNextToken", "The token provided is invalid.")
    }

    /// The same client token with other parameters (API-4).
    pub fn idempotent_parameter_mismatch() -> Self {
        Self::new(
            "IdempotentParameterMismatch",
            "The client token you have provided is associated with a resource that is already \
             deleted or was created with different parameters.",
        )
    }

    /// A state in which this cannot be done.
    pub fn incorrect_state(message: impl Into<String>) -> Self {
        Self::new("IncorrectState", message)
    }

    /// Something that is never allowed on this one.
    pub fn operation_not_permitted(message: impl Into<String>) -> Self {
        Self::new("OperationNotPermitted", message)
    }

    /// A quota: `code` names it.
    pub fn limit_exceeded(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, message)
    }

    /// Two things that are in each other's place already.
    pub fn already_associated(message: impl Into<String>) -> Self {
        Self::new("Resource.AlreadyAssociated", message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_those_of_aws() {
        let said = |error: ApiError| (error.code, error.status.as_u16(), error.message);
        assert_eq!(
            said(ApiError::not_found(Resource::RouteTable, "rtb-1")),
            (
                "InvalidRouteTableID.NotFound",
                400,
                "The routeTable ID 'rtb-1' does not exist".into()
            ),
            "API-11"
        );
        assert_eq!(
            said(ApiError::instances_not_found(&["i-1", "i-2"])),
            ("InvalidInstanceID.NotFound", 400, "The instance IDs 'i-1, i-2' do not exist".into()),
            "EC2-5"
        );
        assert_eq!(
            said(ApiError::has_dependencies(Resource::SecurityGroup, "sg-1")),
            ("DependencyViolation", 400, "resource sg-1 has a dependent object".into()),
            "SG-24"
        );
        assert_eq!(
            said(ApiError::has_dependencies(Resource::InternetGateway, "igw-1")).2,
            "The internetGateway 'igw-1' has dependencies and cannot be deleted.",
            "IGW-12"
        );
        assert_eq!(said(ApiError::dry_run()).1, 412, "API-3");
        assert_eq!(
            said(ApiError::not_a_cidr("x", "cidrBlock")).2,
            "Value (x) for parameter cidrBlock is invalid. This is not a valid CIDR block.",
            "CIDR-2"
        );
        assert_eq!(
            said(ApiError::interfaces_and_instance_level("subnet ID")).2,
            "Network interfaces and an instance-level subnet ID may not be specified on the same \
             request",
            "EC2-19"
        );
    }

    #[test]
    fn a_malformed_instance_id_is_quoted() {
        let error = "x".parse::<gureum_types::InstanceId>().expect_err("x is no id");
        let error = ApiError::malformed_id(Resource::Instance, &error);
        assert_eq!(error.code, "InvalidInstanceID.Malformed");
        assert_eq!(error.message, "Invalid id: \"x\"", "EC2-5");
    }

    #[test]
    fn internal_detail_stays_out_of_the_sentence() {
        let error = ApiError::internal_error("disk /secret is full");
        assert!(!error.to_string().contains("secret"));
        assert_eq!(error.internal.as_deref(), Some("disk /secret is full"));
    }
}
