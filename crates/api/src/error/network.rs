//! Errors about VPCs, subnets, gateways, routes, groups, ACLs, addresses and interfaces.

use std::fmt::Display;

use super::ApiError;

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

    /// A block of a VPC that cannot go while a subnet is in it (CIDR-8).
    pub fn block_has_subnet(vpc: impl Display, cidr: impl Display) -> Self {
        let message = format!("The vpc {vpc} currently has a subnet within CIDR block {cidr}");
        Self::new("InvalidCidrBlock.InUse", message)
    }

    /// The IPv6 block of a subnet that cannot go, and why (CIDR-12).
    pub fn subnet_block_in_use(association: impl Display, why: &str) -> Self {
        let message = format!(
            "The subnet IPv6 CIDR block with association ID {association} may not be \
             disassociated, because {why}."
        );
        Self::new("InvalidCidrBlock.InUse", message)
    }

    /// One block too many (CIDR-4).
    pub fn cidr_limit_exceeded(network: impl Display, limit: usize) -> Self {
        let message = format!(
            "This network '{network}' has met its maximum number of allowed CIDRs: {limit}"
        );
        Self::limit_exceeded("CidrLimitExceeded", message)
    }

    /// An IPv6 block of a length that a subnet cannot have (CIDR-12).
    pub fn invalid_subnet_ipv6_block(cidr: impl Display) -> Self {
        let message = format!("invalid value for parameter ipv6-cidr-block: {cidr}");
        Self::invalid_parameter_value(message)
    }

    /// An attribute that only a subnet with an IPv6 block can have (SUB-7).
    pub fn attribute_needs_ipv6_block(attribute: &str, subnet: impl Display) -> Self {
        Self::invalid_parameter_value(format!(
            "Invalid value 'true' for {attribute}. Cannot set {attribute} to true unless the \
             subnet ({subnet}) has an IPv6 CIDR block associated with it."
        ))
    }

    /// IPv6 addresses of a subnet that has none (CIDR-12).
    pub fn no_ipv6_block(subnet: impl Display) -> Self {
        Self::invalid_parameter_value(format!(
            "The subnet '{subnet}' does not have an IPv6 CIDR block associated with it"
        ))
    }

    /// IPv4 addresses of a subnet that has none (CIDR-12).
    pub fn no_ipv4_block(subnet: impl Display) -> Self {
        Self::invalid_parameter_combination(format!(
            "An IPv4 address cannot be specified for the subnet '{subnet}', which has IPv6 only"
        ))
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

    /// One address too many on an interface (ENI-5).
    pub fn private_address_limit_exceeded(limit: u32) -> Self {
        Self::limit_exceeded(
            "PrivateIpAddressLimitExceeded",
            format!("Number of private addresses will exceed limit ({limit})."),
        )
    }

    /// Addresses of another interface, which may not be moved (ENI-9).
    pub fn addresses_may_not_move(addresses: &[impl Display]) -> Self {
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let message = format!("[{}] assigned, but move is not allowed.", list.join(", "));
        Self::invalid_parameter_value(message)
    }

    /// Addresses that the interface does not have.
    pub fn addresses_not_assigned(interface: impl Display) -> Self {
        Self::invalid_parameter_value(format!(
            "Some of the specified addresses are not assigned to interface {interface}"
        ))
    }

    /// The machine's pool of addresses or blocks is used up.
    pub fn insufficient_address_capacity() -> Self {
        let message = "Not enough available addresses to satisfy the requested operation.";
        Self::new("InsufficientAddressCapacity", message)
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

    /// The list has changed since it was looked at (PL-1).
    pub fn prefix_list_version_mismatch() -> Self {
        let message = "The prefix list has the incorrect version number.";
        Self::new("PrefixListVersionMismatch", message)
    }

    /// More entries than the list can hold (PL-1).
    pub fn prefix_list_full(list: impl Display, limit: u32) -> Self {
        let message =
            format!("The prefix list {list} can have at most {limit} entries (its MaxEntries).");
        Self::limit_exceeded("PrefixListMaxEntriesExceeded", message)
    }

    /// Entries and size change in separate requests (PL-1).
    pub fn prefix_list_entries_and_size() -> Self {
        Self::invalid_parameter_combination(
            "You cannot modify the entries and the maximum entries for the prefix list in the \
             same request.",
        )
    }

    /// An entry to take away that is not there (PL-1).
    pub fn prefix_list_entry_not_found(cidr: impl Display) -> Self {
        let message = format!("The entry with the CIDR {cidr} does not exist.");
        Self::new("InvalidPrefixListModification", message)
    }

    /// An entry that is there already (PL-1).
    pub fn prefix_list_entry_exists() -> Self {
        Self::new("InvalidRequest", "The request received was invalid.")
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

    /// Flow logs that are not there.
    pub fn flow_logs_not_found(ids: &[&str]) -> Self {
        Self::new(
            "InvalidFlowLogId.NotFound",
            format!(
                "These flow log ids in the input list are not found: [TotalCount: {}] {}",
                ids.len(),
                ids.join(", ")
            ),
        )
    }

    /// A public address for several interfaces at once (PUB-2).
    pub fn public_address_for_several() -> Self {
        Self::invalid_parameter_combination(
            "The associatePublicIPAddress parameter cannot be specified when launching with \
             multiple network interfaces.",
        )
    }
}
