//! What AWS says of a VPC, fact by fact: each test sends packets through the engine. One binary,
//! because `cargo mutants` links it some thousand times. What is generated instead of told stands
//! beside it: `oracle`, `incremental`, `hostile`, `fuzz`.

mod arp_dhcp;
mod conntrack;
mod endpoints;
mod flow_logs;
mod gateway_routes;
mod internet_gateway;
mod ipv6;
mod mtu;
mod nat64;
mod nat_gateway;
mod network_acl;
mod peering;
mod pipeline;
mod policy_change;
mod public_access;
mod restore;
mod routes;
mod security_group;
mod services;
mod why;
