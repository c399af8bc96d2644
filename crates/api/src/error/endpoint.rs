//! Errors about VPC endpoints.

use std::fmt::Display;

use super::ApiError;

/// VPC endpoints (VPCE-*).
impl ApiError {
    /// The service of an endpoint has no private DNS name that was verified.
    pub fn no_private_dns_name() -> Self {
        Self::invalid_parameter(
            "Private DNS can't be enabled because the service does not provide a verified private \
             DNS name.",
        )
    }

    /// No such service in the region (VPCE-12).
    pub fn endpoint_service_not_found(name: &str) -> Self {
        let message = format!("The Vpc Endpoint Service '{name}' does not exist");
        Self::new("InvalidServiceName", message)
    }

    /// The service has endpoints of other types only.
    pub fn endpoint_type_mismatch(wanted: &str, available: &[&str]) -> Self {
        Self::invalid_parameter(format!(
            "Endpoint type ({wanted}) does not match available service types ([{}]).",
            available.join(", ")
        ))
    }

    /// A parameter of another type of endpoint.
    pub fn not_for_endpoint_type(what: &str, wanted: &str) -> Self {
        Self::invalid_parameter(format!(
            "{what} are only supported for {wanted} type VPC Endpoints."
        ))
    }

    /// One interface a zone (VPCE-3).
    pub fn duplicate_endpoint_zone(zone: &str) -> Self {
        Self::new(
            "DuplicateSubnetsInSameZone",
            format!("Found another VPC endpoint subnet in the availability zone of {zone}"),
        )
    }

    /// Private DNS without both attributes of the VPC (VPCE-10).
    pub fn private_dns_needs_attributes(vpc: impl Display) -> Self {
        Self::invalid_parameter(format!(
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC \
             attributes set to true for {vpc}"
        ))
    }

    /// Another endpoint has the names already (VPCE-11).
    pub fn private_dns_conflict(domain: &str, vpc: impl Display) -> Self {
        Self::invalid_parameter(format!(
            "private-dns-enabled cannot be set because there is already a conflicting DNS domain \
             for {domain} in the VPC {vpc}"
        ))
    }

    /// The names are for others alone where the VPC has another way (DNS-18).
    pub fn inbound_dns_needs_gateway(vpc: impl Display) -> Self {
        Self::invalid_parameter(format!(
            "To set PrivateDnsOnlyForInboundResolverEndpoint to true, the VPC {vpc} must have a \
             Gateway endpoint for the service."
        ))
    }

    /// A policy that is none (VPCE-13).
    pub fn invalid_policy_document(reason: &str) -> Self {
        Self::new("InvalidPolicyDocument", format!("The policy document is invalid: {reason}"))
    }

    /// One endpoint a service and table (VPCE-18).
    pub fn endpoint_route_exists(table: impl Display, list: impl Display) -> Self {
        Self::new(
            "RouteAlreadyExists",
            format!(
                "route table {table} already has a route with destination-prefix-list-id {list}"
            ),
        )
    }

    /// The route of an endpoint is the endpoint's (VPCE-18).
    pub fn endpoint_route(verb: &str, endpoint: impl Display, table: impl Display) -> Self {
        Self::invalid_parameter_value(format!(
            "cannot {verb} VPC endpoint route {endpoint} in route table {table}"
        ))
    }

    /// One endpoint too many (VPCE-14).
    pub fn endpoint_limit_exceeded() -> Self {
        let message = "The maximum number of VPC endpoints has been reached.";
        Self::limit_exceeded("VpcEndpointLimitExceeded", message)
    }

    /// Something of another VPC.
    pub fn not_of_vpc(what: &str, id: impl Display, vpc: impl Display) -> Self {
        Self::invalid_parameter(format!("{what} {id} does not belong to VPC {vpc}"))
    }
}
