//! Errors as AWS answers them: codes, HTTP status and sentences, all in this one place.
//!
//! Constructors are named after what is wrong. The sentences are AWS's (anchors of the VPC facts
//! stand beside them); what a caller must not see goes into `internal`, which only the log shows.

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
    /// A set of DHCP options.
    DhcpOptions,
    /// A machine image.
    Image,
    /// An instance.
    Instance,
    /// An internet gateway.
    InternetGateway,
    /// A key pair, by name or id.
    KeyPair,
    /// A network ACL.
    NetworkAcl,
    /// A network interface.
    NetworkInterface,
    /// A prefix list.
    PrefixList,
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
    /// A volume.
    Volume,
    /// A VPC.
    Vpc,
    /// The association of an address block with a VPC.
    VpcCidrAssociation,
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
            Self::DhcpOptions => {
                ("InvalidDhcpOptionID.NotFound", "InvalidDhcpOptionsId.Malformed", "dhcpOptions")
            }
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
            Self::NetworkAcl => {
                ("InvalidNetworkAclID.NotFound", "InvalidNetworkAclId.Malformed", "networkAcl")
            }
            Self::NetworkInterface => (
                "InvalidNetworkInterfaceID.NotFound",
                "InvalidNetworkInterfaceId.Malformed",
                "networkInterface",
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
            Self::Volume => ("InvalidVolume.NotFound", "InvalidVolumeID.Malformed", "volume"),
            Self::Vpc => ("InvalidVpcID.NotFound", "InvalidVpcID.Malformed", "vpc"),
            Self::VpcCidrAssociation => (
                "InvalidVpcCidrBlockAssociationID.NotFound",
                "InvalidVpcCidrBlockAssociationIdError.Malformed",
                "vpc CIDR block association",
            ),
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
            Resource::Image => format!("The image id '[{id}]' does not exist"),
            Resource::Volume => format!("The volume '{id}' does not exist."),
            Resource::Snapshot => format!("The snapshot '{id}' does not exist."),
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

    /// The caller may not do this (API-3).
    pub fn unauthorized_operation() -> Self {
        Self::new("UnauthorizedOperation", "You are not authorized to perform this operation.")
            .with_status(StatusCode::FORBIDDEN)
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

/// VPCs, subnets, DHCP options.
impl ApiError {
    /// An address block that a VPC cannot have (CIDR-1).
    pub fn invalid_vpc_range(cidr: impl Display) -> Self {
        Self::new("InvalidVpc.Range", format!("The CIDR '{cidr}' is invalid."))
    }

    /// A secondary block of another private range (CIDR-10).
    pub fn restricted_vpc_range(cidr: impl Display) -> Self {
        let message = format!(
            "The CIDR '{cidr}' is restricted. Use a CIDR from the same private address range as \
             the current VPC CIDR, or use a publicly-routable CIDR. For additional restrictions, \
             see https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Subnets.html"
        );
        Self::new("InvalidVpc.Range", message)
    }

    /// Not an address block at all (CIDR-2).
    pub fn not_a_cidr(text: &str, parameter: &str) -> Self {
        Self::invalid_value(text, parameter, "This is not a valid CIDR block.")
    }

    /// One VPC too many (CIDR-4).
    pub fn vpc_limit_exceeded() -> Self {
        let message = "The maximum number of VPCs has been reached.";
        Self::limit_exceeded("VpcLimitExceeded", message)
    }

    /// A subnet outside its VPC, or of a bad size (SUB-1).
    pub fn invalid_subnet_range(cidr: impl Display) -> Self {
        Self::new("InvalidSubnet.Range", format!("The CIDR '{cidr}' is invalid."))
    }

    /// A subnet over another (SUB-1).
    pub fn subnet_conflict(cidr: impl Display) -> Self {
        let message = format!("The CIDR '{cidr}' conflicts with another subnet");
        Self::new("InvalidSubnet.Conflict", message)
    }

    /// A zone that the region does not have (SUB-6).
    pub fn invalid_subnet_zone(zone: &str, zones: &[&str]) -> Self {
        let reason = format!(
            "Subnets can currently only be created in the following availability zones: {}.",
            zones.join(", ")
        );
        Self::invalid_value(zone, "availabilityZone", &reason)
    }

    /// One of a subnet's five reserved addresses (SUB-3).
    pub fn reserved_address(address: impl Display) -> Self {
        let message = format!("Address {address} is in subnet's reserved address range");
        Self::invalid_parameter_value(message)
    }

    /// An address that something has already (SUB-3, EIP-7).
    pub fn address_in_use(address: impl Display) -> Self {
        Self::new("InvalidIPAddress.InUse", format!("Address {address} is in use."))
    }

    /// No address is left (SUB-4).
    pub fn insufficient_free_addresses(subnet: impl Display) -> Self {
        let message = format!(
            "There are not enough free addresses in subnet '{subnet}' to satisfy the requested number of instances."
        );
        Self::new("InsufficientFreeAddressesInSubnet", message)
    }
}

/// Gateways and routes.
impl ApiError {
    /// The gateway has a VPC already (IGW-1).
    pub fn gateway_already_attached(gateway: impl Display, vpc: impl Display) -> Self {
        let message = format!("resource {gateway} is already attached to network {vpc}");
        Self::already_associated(message)
    }

    /// The VPC has a gateway already (IGW-1).
    pub fn vpc_has_gateway(vpc: impl Display) -> Self {
        let message = format!("Network {vpc} already has an internet gateway attached");
        Self::already_associated(message)
    }

    /// The gateway is not attached to that VPC (IGW-12).
    pub fn gateway_not_attached(gateway: impl Display, vpc: impl Display) -> Self {
        let message = format!("resource {gateway} is not attached to network {vpc}");
        Self::new("Gateway.NotAttached", message)
    }

    /// The VPC has no gateway (IGW-14).
    pub fn vpc_without_gateway(vpc: impl Display) -> Self {
        let message = format!("Network {vpc} is not attached to any internet gateway");
        Self::new("Gateway.NotAttached", message)
    }

    /// Public addresses would lose their gateway (IGW-11).
    pub fn mapped_public_addresses(vpc: impl Display) -> Self {
        Self::dependency_violation(format!(
            "Network {vpc} has some mapped public address(es). Please unmap those public \
             address(es) before detaching the gateway."
        ))
    }

    /// The destination is in the table already (RT-8).
    pub fn route_already_exists(destination: impl Display) -> Self {
        let message = format!("The route identified by {destination} already exists.");
        Self::new("RouteAlreadyExists", message)
    }

    /// Nothing to replace (RT-8).
    pub fn no_route_to_replace(destination: impl Display) -> Self {
        Self::invalid_parameter_value(format!(
            "There is no route defined for '{destination}' in the route table. Use CreateRoute \
             instead."
        ))
    }

    /// Nothing to delete (RT-8).
    pub fn route_not_found(table: impl Display, destination: impl Display) -> Self {
        let message =
            format!("no route with destination-cidr-block {destination} in route table {table}");
        Self::new("InvalidRoute.NotFound", message)
    }

    /// A target in another VPC (RT-9).
    pub fn different_networks(table: impl Display, target: impl Display) -> Self {
        let message = format!(
            "route table {table} and network gateway {target} belong to different networks"
        );
        Self::invalid_parameter_value(message)
    }

    /// A target that a route inside the VPC's own range cannot have (RT-14, RT-19).
    pub fn unsupported_route_target() -> Self {
        Self::invalid_parameter_value(
            "Route target is not supported. This route only supports interface and instance \
             targets.",
        )
    }

    /// The subnet has a table already (RT-5).
    pub fn route_table_conflict(table: impl Display) -> Self {
        Self::already_associated(format!(
            "the specified association for route table {table} conflicts with an existing \
             association"
        ))
    }
}

/// Security groups and network ACLs.
impl ApiError {
    /// The name is taken (SG-9).
    pub fn duplicate_group(name: &str, vpc: impl Display) -> Self {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        Self::new("InvalidGroup.Duplicate", message)
    }

    /// The VPC's default group stays (SG-6).
    pub fn default_group(group: impl Display) -> Self {
        let message = format!(
            "the specified group: \"{group}\" name: \"default\" cannot be deleted by a user"
        );
        Self::new("CannotDelete", message)
    }

    /// The rule is there (SG-18). `rule` as AWS writes it:
    /// `peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW`.
    pub fn duplicate_permission(rule: impl Display) -> Self {
        let message = format!("the specified rule \"{rule}\" already exists");
        Self::new("InvalidPermission.Duplicate", message)
    }

    /// Nothing to revoke (SG-20).
    pub fn permission_not_found() -> Self {
        let message = "The specified rule does not exist in this security group.";
        Self::new("InvalidPermission.NotFound", message)
    }

    /// A rule that cannot be (SG-14).
    pub fn malformed_permission(message: impl Into<String>) -> Self {
        Self::new("InvalidPermission.Malformed", message)
    }

    /// One rule too many (SG-23).
    pub fn rules_per_group_exceeded() -> Self {
        Self::limit_exceeded(
            "RulesPerSecurityGroupLimitExceeded",
            "The maximum number of rules per security group has been reached.",
        )
    }

    /// One group too many on an interface (SG-23).
    pub fn groups_per_interface_exceeded() -> Self {
        Self::limit_exceeded(
            "SecurityGroupsPerInterfaceLimitExceeded",
            "The maximum number of security groups per interface has been reached.",
        )
    }

    /// One group too many on an instance (SG-23).
    pub fn groups_per_instance_exceeded() -> Self {
        Self::limit_exceeded(
            "SecurityGroupsPerInstanceLimitExceeded",
            "The maximum number of security groups per instance has been reached.",
        )
    }

    /// A group of another VPC (SG-27).
    pub fn group_of_other_network(group: impl Display, subnet: impl Display) -> Self {
        Self::invalid_parameter(format!(
            "Security group {group} and subnet {subnet} belong to different networks."
        ))
    }

    /// The number is taken in this direction (NACL-15).
    pub fn acl_entry_already_exists(number: i32) -> Self {
        let message = format!("The network acl entry identified by {number} already exists.");
        Self::new("NetworkAclEntryAlreadyExists", message)
    }

    /// No entry of this number in this direction (NACL-15).
    pub fn acl_entry_not_found(acl: impl Display, number: i32) -> Self {
        let message =
            format!("The network acl entry identified by {number} does not exist in {acl}.");
        Self::new("InvalidNetworkAclEntry.NotFound", message)
    }

    /// One entry too many (NACL-16).
    pub fn acl_entry_limit_exceeded() -> Self {
        Self::limit_exceeded(
            "NetworkAclEntryLimitExceeded",
            "The maximum number of network acl entries has been reached.",
        )
    }

    /// The VPC's default ACL stays (NACL-8).
    pub fn default_acl(acl: impl Display) -> Self {
        Self::invalid_parameter_value(format!("cannot delete default network ACL {acl}"))
    }
}

/// Addresses and network interfaces.
impl ApiError {
    /// One Elastic IP address too many (EIP-2).
    pub fn address_limit_exceeded() -> Self {
        let message = "The maximum number of addresses has been reached.";
        Self::limit_exceeded("AddressLimitExceeded", message)
    }

    /// The address has a target and may not move (EIP-3).
    pub fn address_already_associated(address: impl Display, target: impl Display) -> Self {
        let message =
            format!("resource {address} is already associated with associate-id {target}");
        Self::already_associated(message)
    }

    /// The index has an interface (ENI-4).
    pub fn device_index_in_use(instance: impl Display, index: i32) -> Self {
        Self::invalid_parameter_value(format!(
            "Instance '{instance}' already has an interface attached at device index '{index}'."
        ))
    }

    /// The instance type has no more (ENI-5).
    pub fn attachment_limit_exceeded(instance: impl Display, limit: u32) -> Self {
        let message = format!("Interface count {} exceeds the limit for {instance}", limit + 1);
        Self::limit_exceeded("AttachmentLimitExceeded", message)
    }

    /// The first interface stays (ENI-3).
    pub fn primary_interface() -> Self {
        Self::operation_not_permitted("The network interface at device index 0 cannot be detached.")
    }

    /// The interface is attached (ENI-6).
    pub fn interface_in_use(interface: impl Display) -> Self {
        let message = format!("Network interface '{interface}' is currently in use.");
        Self::invalid_parameter_value(message)
    }

    /// A public address for several interfaces at once (PUB-2).
    pub fn public_address_for_several() -> Self {
        Self::invalid_parameter_combination(
            "The associatePublicIPAddress parameter cannot be specified when launching with \
             multiple network interfaces.",
        )
    }
}

/// Instances, key pairs, tags.
impl ApiError {
    /// Not stopped (EC2-4).
    pub fn cannot_start(instance: impl Display) -> Self {
        let message =
            format!("The instance '{instance}' is not in a state from which it can be started.");
        Self::new("IncorrectInstanceState", message)
    }

    /// Not running (EC2-4).
    pub fn cannot_stop(instance: impl Display) -> Self {
        let message =
            format!("This instance '{instance}' is not in a state from which it can be stopped.");
        Self::new("IncorrectInstanceState", message)
    }

    /// Any other thing that the instance's state does not allow (EC2-4).
    pub fn incorrect_instance_state(message: impl Into<String>) -> Self {
        Self::new("IncorrectInstanceState", message)
    }

    /// Termination protection (EC2-6).
    pub fn termination_protected(instance: impl Display) -> Self {
        Self::operation_not_permitted(format!(
            "The instance '{instance}' may not be terminated. Modify its 'disableApiTermination' \
             instance attribute and try again."
        ))
    }

    /// The type is not offered in the zone (SUB-11).
    pub fn unsupported_in_zone(instance_type: &str, zone: &str, offered: &[&str]) -> Self {
        let message = format!(
            "Your requested instance type ({instance_type}) is not supported in your requested \
             Availability Zone ({zone}). Please retry your request by not specifying an \
             Availability Zone or choosing {}.",
            offered.join(", ")
        );
        Self::new("Unsupported", message)
    }

    /// The machine cannot take one more; `detail` tells the log what to change.
    pub fn insufficient_capacity(detail: impl Display) -> Self {
        Self::new(
            "InsufficientInstanceCapacity",
            "Insufficient capacity. Please wait a few minutes before requesting again.",
        )
        .with_status(StatusCode::INTERNAL_SERVER_ERROR)
        .with_internal(detail)
    }

    /// Interfaces and an instance-level subnet or group at once (EC2-19). `what` is `subnet ID`
    /// or `security groups`.
    pub fn interfaces_and_instance_level(what: &str) -> Self {
        let article = if what.ends_with('s') { "" } else { "an " };
        Self::invalid_parameter_combination(format!(
            "Network interfaces and {article}instance-level {what} may not be specified on the \
             same request"
        ))
    }

    /// Group names with a subnet (EC2-20).
    pub fn group_name_with_subnet() -> Self {
        Self::invalid_parameter_combination(
            "The parameter groupName cannot be used with the parameter subnet",
        )
    }

    /// No subnet named and no default VPC (EC2-21).
    pub fn no_default_vpc() -> Self {
        Self::new(
            "VPCIdNotSpecified",
            "No default VPC for this user. GroupName is only supported for EC2-Classic and \
             default VPC.",
        )
    }

    /// The name is taken (EC2-14).
    pub fn duplicate_key_pair(name: &str) -> Self {
        let message = format!("The keypair '{name}' already exists.");
        Self::new("InvalidKeyPair.Duplicate", message)
    }

    /// Not a public key (EC2-14).
    pub fn invalid_key_format() -> Self {
        Self::new("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
    }

    /// More than 50 tags (EC2-27).
    pub fn tag_limit_exceeded() -> Self {
        Self::limit_exceeded(
            "TagLimitExceeded",
            "The maximum number of Tags for a resource has been reached.",
        )
    }

    /// A key that AWS keeps for itself (EC2-27).
    pub fn reserved_tag_key(key: &str) -> Self {
        Self::invalid_parameter_value(format!(
            "Tag keys starting with 'aws:' are reserved for internal use ({key})"
        ))
    }
}

/// Authentication, before the operation is looked at.
impl ApiError {
    /// No credentials in the request.
    pub fn missing_authentication_token() -> Self {
        Self::new("MissingAuthenticationToken", "Request is missing Authentication Token")
            .with_status(StatusCode::FORBIDDEN)
    }

    /// Credentials that are not written as Signature Version 4 wants.
    pub fn incomplete_signature(message: impl Into<String>) -> Self {
        Self::new("IncompleteSignature", message)
    }

    /// Signed for something else.
    pub fn signature_mismatch(message: impl Into<String>) -> Self {
        Self::new("SignatureDoesNotMatch", message).with_status(StatusCode::FORBIDDEN)
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
