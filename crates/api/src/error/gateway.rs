//! Errors about NAT gateways, egress-only internet gateways, peering connections and the routes to
//! them.

use std::fmt::Display;

use super::ApiError;

/// NAT gateways and egress-only internet gateways.
impl ApiError {
    /// One NAT gateway too many in a zone (NAT-6).
    pub fn nat_gateway_limit_exceeded(limit: usize) -> Self {
        let message =
            format!("Performing this operation would exceed the limit of {limit} NAT gateways");
        Self::limit_exceeded("NatGatewayLimitExceeded", message)
    }

    /// The gateway is not in a state in which its addresses may change.
    pub fn nat_gateway_state(gateway: impl Display, state: &str) -> Self {
        Self::incorrect_state(format!(
            "NatGateway {gateway} is in the state {state}. Its addresses can be changed only while \
             it is available."
        ))
    }

    /// The primary address stays for life (NAT-20).
    pub fn primary_nat_address(gateway: impl Display) -> Self {
        Self::invalid_parameter_value(format!(
            "The primary address of NatGateway {gateway} cannot be taken away."
        ))
    }

    /// The VPC has such a gateway already (EIGW-1).
    pub fn vpc_has_egress_only_gateway(vpc: impl Display) -> Self {
        let message = format!("Network {vpc} already has an egress-only internet gateway attached");
        Self::already_associated(message)
    }
}

/// Peering connections.
impl ApiError {
    /// The two VPCs are peered, or about to be.
    pub fn peering_already_exists(peering: impl Display) -> Self {
        Self::new(
            "VpcPeeringConnectionAlreadyExists",
            format!("A VPC peering connection between the VPCs already exists: {peering}"),
        )
    }

    /// The connection is in no state for this.
    pub fn peering_transition(peering: impl Display, from: &str, to: &str) -> Self {
        Self::new(
            "InvalidStateTransition",
            format!(
                "Invalid state transition for {peering}, attempted to transition from {from} to {to}"
            ),
        )
    }

    /// It is for the other account to do this.
    pub fn peering_of_other_account(
        account: impl Display,
        verb: &str,
        peering: impl Display,
    ) -> Self {
        Self::operation_not_permitted(format!("User {account} cannot {verb} peering {peering}"))
    }

    /// It is to be done in the accepter's region.
    pub fn peering_of_other_region(
        region: impl Display,
        peering: impl Display,
        accepter: impl Display,
    ) -> Self {
        Self::operation_not_permitted(format!(
            "Incorrect region ({region}) specified for this request. VPC peering connection \
             {peering} must be accepted or rejected in region {accepter}"
        ))
    }

    /// Options belong to active connections (DNS-10).
    pub fn peering_not_active(peering: impl Display) -> Self {
        Self::operation_not_permitted(format!(
            "Peering {peering} is not active. Peering options can be added only to active peerings."
        ))
    }

    /// A block of the peer would be in two places (CIDR-11).
    pub fn block_of_peer(cidr: impl Display, peering: impl Display) -> Self {
        Self::new(
            "InvalidVpc.Range",
            format!("The CIDR '{cidr}' overlaps with a CIDR of the peer of {peering}."),
        )
    }

    /// Who asked for a connection waits with new blocks until it is answered (CIDR-11).
    pub fn block_while_pending(vpc: impl Display, peering: impl Display) -> Self {
        Self::operation_not_permitted(format!(
            "No CIDR block can be added to {vpc} while its request {peering} is pending acceptance."
        ))
    }
}

/// Routes.
impl ApiError {
    /// The NAT gateway of a route is not there; here the code has a dot, unlike elsewhere (NAT-25).
    pub fn nat_gateway_of_route_not_found(id: impl Display) -> Self {
        Self::new(
            "InvalidNatGatewayID.NotFound",
            format!("The natGateway ID '{id}' does not exist"),
        )
    }

    /// A destination that platform services keep (RT-15).
    pub fn reserved_destination(destination: impl Display, reserved: impl Display) -> Self {
        Self::invalid_parameter_value(format!(
            "The destination CIDR block {destination} is equal to or more specific than \
             {reserved}, which is reserved."
        ))
    }

    /// More specific than the local route, and no subnet's block (RT-14).
    pub fn not_a_subnet_block(destination: impl Display, vpc: impl Display) -> Self {
        Self::invalid_parameter_value(format!(
            "The destination CIDR block {destination} is more specific than the local route of \
             {vpc} and does not match the CIDR block of a subnet."
        ))
    }

    /// The target does not take that family of addresses (RT-11, NAT-24).
    pub fn family_of_target(destination: impl Display, target: impl Display) -> Self {
        Self::invalid_parameter_value(format!(
            "The destination {destination} cannot be routed to {target}: it is of another address \
             family than the target takes."
        ))
    }

    /// A destination that the table of a gateway cannot have (RT-18).
    pub fn destination_of_gateway_table(destination: impl Display, table: impl Display) -> Self {
        Self::invalid_parameter_value(format!(
            "The destination {destination} is not supported in {table}: the routes of a gateway \
             route table lead to the CIDR blocks of its VPC or of subnets."
        ))
    }

    /// An interface that cannot stand behind a gateway (RT-18).
    pub fn interface_of_gateway_table(interface: impl Display, reason: &str) -> Self {
        Self::invalid_parameter_value(format!(
            "The network interface {interface} cannot be the target of a route of a gateway route \
             table: {reason}"
        ))
    }

    /// One route too many in a family (RT-17).
    pub fn route_limit_exceeded() -> Self {
        Self::limit_exceeded("RouteLimitExceeded", "The maximum number of routes has been reached.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Resource;

    #[test]
    fn codes_of_gateways_are_as_uneven_as_those_of_aws() {
        let said = |error: ApiError| (error.code, error.message);
        for (error, code, message) in [
            (
                ApiError::not_found(Resource::NatGateway, "nat-1"),
                "NatGatewayNotFound",
                "NatGateway nat-1 was not found",
            ),
            (
                ApiError::nat_gateway_of_route_not_found("nat-1"),
                "InvalidNatGatewayID.NotFound",
                "The natGateway ID 'nat-1' does not exist",
            ),
            (
                ApiError::not_found(Resource::EgressOnlyInternetGateway, "eigw-1"),
                "InvalidGatewayID.NotFound",
                "The gateway ID 'eigw-1' does not exist",
            ),
            (
                ApiError::not_found(Resource::VpcPeeringConnection, "pcx-1"),
                "InvalidVpcPeeringConnectionID.NotFound",
                "The vpcPeeringConnection ID 'pcx-1' does not exist",
            ),
            (
                ApiError::nat_gateway_limit_exceeded(5),
                "NatGatewayLimitExceeded",
                "Performing this operation would exceed the limit of 5 NAT gateways",
            ),
        ] {
            assert_eq!(said(error), (code, message.to_owned()), "API-11, NAT-6, NAT-25");
        }
    }
}
