//! The configuration of the customer's device, as XML: what tools read addresses and keys from.

use std::fmt::Write as _;

use gureum_store::Snapshot;
use gureum_types::record::{
    CustomerGateway, TransitGateway, VpnConnection, VpnGateway, VpnTarget, VpnTunnel,
};

use crate::call::Call;

/// Seconds after which BGP takes a silent neighbour for gone.
const HOLD_TIME: u32 = 30;

/// One end of a tunnel.
struct End {
    name: &'static str,
    outside: String,
    inside: String,
    mask: String,
    length: u8,
    /// The autonomous system number, where BGP is spoken.
    asn: Option<u32>,
}

impl End {
    fn write(&self, out: &mut String) {
        let Self { name, outside, inside, mask, length, asn } = self;
        let _ = write!(
            out,
            "    <{name}>\n      <tunnel_outside_address>\n        \
             <ip_address>{outside}</ip_address>\n      </tunnel_outside_address>\n      \
             <tunnel_inside_address>\n        <ip_address>{inside}</ip_address>\n        \
             <network_mask>{mask}</network_mask>\n        \
             <network_cidr>{length}</network_cidr>\n      </tunnel_inside_address>\n"
        );
        if let Some(asn) = asn {
            let _ = write!(
                out,
                "      <bgp>\n        <asn>{asn}</asn>\n        \
                 <hold_time>{HOLD_TIME}</hold_time>\n      </bgp>\n"
            );
        }
        let _ = writeln!(out, "    </{name}>");
    }
}

/// The first that was asked for, as configurations name it.
fn encryption(wanted: &[String]) -> &'static str {
    match wanted.first().map(String::as_str) {
        Some("AES256") => "aes-256-cbc",
        Some("AES128-GCM-16") => "aes-128-gcm-16",
        Some("AES256-GCM-16") => "aes-256-gcm-16",
        _ => "aes-128-cbc",
    }
}

fn integrity(wanted: &[String]) -> &'static str {
    match wanted.first().map(String::as_str) {
        Some("SHA2-256") => "sha2-256",
        Some("SHA2-384") => "sha2-384",
        Some("SHA2-512") => "sha2-512",
        _ => "sha1",
    }
}

fn write_tunnel(out: &mut String, tunnel: &VpnTunnel, customer: &End, amazon: &End) {
    out.push_str("  <ipsec_tunnel>\n");
    customer.write(out);
    amazon.write(out);
    let options = &tunnel.options;
    let group = |wanted: &[i32]| wanted.first().copied().unwrap_or(2);
    let _ = write!(
        out,
        "    <ike>\n      <authentication_protocol>{}</authentication_protocol>\n      \
         <encryption_protocol>{}</encryption_protocol>\n      <lifetime>{}</lifetime>\n      \
         <perfect_forward_secrecy>group{}</perfect_forward_secrecy>\n      <mode>main</mode>\n      \
         <pre_shared_key>{}</pre_shared_key>\n    </ike>\n",
        integrity(&options.phase1_integrity),
        encryption(&options.phase1_encryption),
        options.phase1_lifetime.unwrap_or(28_800),
        group(&options.phase1_dh_groups),
        // Letters, digits, periods and underscores: nothing to escape.
        tunnel.pre_shared_key,
    );
    let _ = write!(
        out,
        "    <ipsec>\n      <protocol>esp</protocol>\n      \
         <authentication_protocol>hmac-{}-96</authentication_protocol>\n      \
         <encryption_protocol>{}</encryption_protocol>\n      <lifetime>{}</lifetime>\n      \
         <perfect_forward_secrecy>group{}</perfect_forward_secrecy>\n      \
         <mode>tunnel</mode>\n      <clear_df_bit>true</clear_df_bit>\n      \
         <fragmentation_before_encryption>true</fragmentation_before_encryption>\n      \
         <tcp_mss_adjustment>1379</tcp_mss_adjustment>\n      <dead_peer_detection>\n        \
         <interval>10</interval>\n        <retries>3</retries>\n      </dead_peer_detection>\n    \
         </ipsec>\n  </ipsec_tunnel>\n",
        integrity(&options.phase2_integrity),
        encryption(&options.phase2_encryption),
        options.phase2_lifetime.unwrap_or(3_600),
        group(&options.phase2_dh_groups),
    );
}

/// The addresses inside of a tunnel, Amazon's first, with their mask and its length.
fn inside(tunnel: &VpnTunnel) -> ([String; 2], String, u8) {
    match tunnel.inside_ipv6 {
        Some(block) => {
            let at = |number: u128| {
                std::net::Ipv6Addr::from(u128::from(block.network()) | number).to_string()
            };
            ([at(1), at(2)], block.netmask().to_string(), block.prefix_len())
        }
        None => {
            let block = tunnel.inside;
            let at = |number: u32| {
                std::net::Ipv4Addr::from(u32::from(block.network()) | number).to_string()
            };
            ([at(1), at(2)], block.netmask().to_string(), block.prefix_len())
        }
    }
}

/// The configuration of a connection.
pub(super) fn of(call: &Call, records: &Snapshot, it: &VpnConnection) -> String {
    let customer = records.find::<CustomerGateway>(&call.scope, it.customer_gateway_id.as_str());
    let (target, asn) = match &it.target {
        VpnTarget::VpnGateway(id) => {
            let gateway = records.find::<VpnGateway>(&call.scope, id.as_str());
            (id.to_string(), gateway.map(|it| it.amazon_side_asn))
        }
        VpnTarget::TransitGateway(id, _) => {
            let gateway = records.find::<TransitGateway>(&call.scope, id.as_str());
            (id.to_string(), gateway.map(|it| it.options.amazon_side_asn))
        }
        VpnTarget::None => (String::new(), None),
    };
    let by_bgp = !it.static_routes_only;
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<vpn_connection id=\"{}\">\n  \
         <customer_gateway_id>{}</customer_gateway_id>\n  \
         <vpn_gateway_id>{target}</vpn_gateway_id>\n  \
         <vpn_connection_type>ipsec.1</vpn_connection_type>\n",
        it.id, it.customer_gateway_id
    );
    if !by_bgp {
        out.push_str(
            "  <vpn_connection_attributes>NoBGPVPNConnection</vpn_connection_attributes>\n",
        );
    }
    for tunnel in &it.tunnels {
        let ([amazon, other], mask, length) = inside(tunnel);
        let end = |name, outside, inside, asn: Option<u32>| End {
            name,
            outside,
            inside,
            mask: mask.clone(),
            length,
            asn: asn.filter(|_| by_bgp),
        };
        let device = customer.and_then(|it| it.ip_address).map(|it| it.to_string());
        let device = end(
            "customer_gateway",
            device.unwrap_or_default(),
            other,
            customer.map(|it| it.bgp_asn),
        );
        let amazon = end("vpn_gateway", tunnel.outside.to_string(), amazon, asn);
        write_tunnel(&mut out, tunnel, &device, &amazon);
    }
    out.push_str("</vpn_connection>\n");
    out
}
