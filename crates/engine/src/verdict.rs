//! What becomes of a packet: one name for every drop (habit: counters, traces, flow logs, tests).

use gureum_types::PortIndex;
use serde::{Deserialize, Serialize};

use crate::ComponentIndex;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the frame, as edited, out of this port.
    Forward(PortIndex),
    /// The engine sent the packet out of this port through [`crate::Output::emit`], as one of the
    /// other family, which has another length (NAT-24). The frame itself is done with.
    Translated(PortIndex),
    /// Nothing leaves.
    Drop(DropReason),
    /// The engine sent all there is to send through [`crate::Output::emit`]: an answer of its own
    /// (ARP, DHCP, an ICMP error) or the fragments of the packet. The frame itself is done with.
    Reply,
}

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident $(($component:ty))? = $text:literal;)*) => {
        /// Why a packet was dropped. Where a rule, an entry or a route decided, the reason names it
        /// by its index in the policy ([`crate::Policy::component`]).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum DropReason {
            $($(#[$doc])* $name $(($component))?,)*
        }

        /// A reason without its component: a place in the counters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        enum Place { $($name,)* }

        impl DropReason {
            /// The names of all reasons, by [`DropReason::index`].
            pub const NAMES: &'static [&'static str] = &[$($text,)*];

            /// Its place among all reasons, whatever the component.
            pub const fn index(self) -> usize {
                match self {
                    $(drop_reasons!(@pattern self $name $($component)?) => Place::$name as usize,)*
                }
            }

            /// Its stable name, in kebab case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(drop_reasons!(@pattern self $name $($component)?) => $text,)*
                }
            }

            /// The rule, entry or route that decided, where there is one.
            pub const fn component(self) -> Option<ComponentIndex> {
                match self {
                    $(drop_reasons!(@bind component $name $($component)?)
                        => drop_reasons!(@value component $($component)?),)*
                }
            }
        }
    };
    (@pattern $self:ident $name:ident) => { Self::$name };
    (@pattern $self:ident $name:ident $component:ty) => { Self::$name(_) };
    (@bind $bound:ident $name:ident) => { Self::$name };
    (@bind $bound:ident $name:ident $component:ty) => { Self::$name($bound) };
    (@value $bound:ident) => { None };
    (@value $bound:ident $component:ty) => { Some($bound) };
}

drop_reasons! {
    /// The policy knows no such port, or the interface is not in use.
    UnknownPort = "unknown-port";
    /// The records of the interface contradict each other: its subnet or VPC is missing.
    BrokenInterface = "broken-interface";
    /// Headers that do not fit the frame or each other.
    Malformed = "malformed";
    /// An EtherType that is not carried.
    EtherTypeNotCarried = "ether-type-not-carried";
    /// IPv6 is not enabled in the VPC.
    Ipv6NotEnabled = "ipv6-not-enabled";
    /// A segmentation type that does not fit the IP protocol (traps 5).
    SegmentationMismatch = "segmentation-mismatch";
    /// The frame's source is not the interface's own MAC address.
    SourceMacSpoofed = "source-mac-spoofed";
    /// Source/destination check: the source is not an address of the interface (SDC-1).
    SourceCheck = "source-check";
    /// Source/destination check: the destination is not an address of the interface (SDC-1).
    DestinationCheck = "destination-check";
    /// Broadcast is not carried (PIPE-12).
    Broadcast = "broadcast";
    /// Multicast is not carried (PIPE-12).
    Multicast = "multicast";
    /// A frame to a MAC address that is neither the router's nor that of an interface of the
    /// subnet (L2-2).
    UnknownDestinationMac = "unknown-destination-mac";
    /// An ARP packet that is not a well-formed request.
    ArpMalformed = "arp-malformed";
    /// An ARP packet whose sender is not the interface (L2-2).
    ArpSenderSpoofed = "arp-sender-spoofed";
    /// A gratuitous ARP packet or a probe for an own address: nobody else has it.
    ArpGratuitous = "arp-gratuitous";
    /// ARP for an address that no interface of the subnet has (L2-2).
    ArpUnusedAddress = "arp-unused-address";
    /// A DHCP message that is not one to answer.
    DhcpIgnored = "dhcp-ignored";
    /// A message of neighbour discovery that is not well-formed (RFC 4861).
    NeighborMalformed = "neighbor-malformed";
    /// Neighbour discovery whose sender is not the interface.
    NeighborSpoofed = "neighbor-spoofed";
    /// An announcement, or a probe for an own address: nobody else has it.
    NeighborGratuitous = "neighbor-gratuitous";
    /// A solicitation for an address that nobody on the link has.
    NeighborUnusedAddress = "neighbor-unused-address";
    /// A router advertisement or a redirect from somebody who is no router.
    RouterSpoofed = "router-spoofed";
    /// A port or protocol that the platform service does not offer (L2-4).
    ServicePortClosed = "service-port-closed";
    /// The resolver is switched off in the VPC (DNS-3).
    ResolverDisabled = "resolver-disabled";
    /// A link-local destination that is never forwarded (RT-15).
    LinkLocalDestination = "link-local-destination";
    /// A packet to a service or from it whose caller is not there.
    ServiceCallerUnknown = "service-caller-unknown";
    /// No egress rule of the interface's security groups admits the packet (SG-2).
    SecurityGroupEgress = "security-group-egress";
    /// No ingress rule of the interface's security groups admits the packet (SG-2).
    SecurityGroupIngress = "security-group-ingress";
    /// A TCP packet that begins no connection and belongs to none that is tracked (FL-30).
    TcpNotTracked = "tcp-not-tracked";
    /// The table of tracked flows is full (SGT-12).
    TrackingTableFull = "tracking-table-full";
    /// The table of fragments is full.
    FragmentTableFull = "fragment-table-full";
    /// A fragment whose first one was not seen.
    FragmentWithoutFirst = "fragment-without-first";
    /// The network ACL of the source's subnet denies the packet (NACL-2).
    NetworkAclEgress(ComponentIndex) = "network-acl-egress";
    /// The network ACL of the destination's subnet denies the packet (NACL-2).
    NetworkAclIngress(ComponentIndex) = "network-acl-ingress";
    /// The subnet has no network ACL: its records contradict each other.
    NetworkAclMissing = "network-acl-missing";
    /// The subnet has no route table: its records contradict each other.
    RouteTableMissing = "route-table-missing";
    /// No route leads to the destination (PIPE-10).
    NoRoute = "no-route";
    /// The best route leads to something that is gone (RT-12).
    RouteBlackhole(ComponentIndex) = "route-blackhole";
    /// No interface of the VPC has the destination address.
    NoSuchAddress = "no-such-address";
    /// The address of the subnet's router, which answers to nothing (L2-4).
    RouterAddress = "router-address";
    /// The source has no public address (IGW-3).
    NoPublicAddress = "no-public-address";
    /// The source is not an address of the sender (IGW-18).
    GatewaySpoofed = "gateway-spoofed";
    /// The internet gateway carries nothing to or from private address space (IGW-16).
    GatewayPrivateAddress = "gateway-private-address";
    /// No interface has the public address that the packet came for (IGW-17).
    UnknownPublicAddress = "unknown-public-address";
    /// A NAT gateway carries TCP, UDP and ICMP queries only (NAT-7), of IPv4 or to 64:ff9b::/96
    /// (NAT-24).
    NatGatewayProtocol = "nat-gateway-protocol";
    /// Fragments of TCP and ICMP do not pass a NAT gateway (NAT-13).
    NatGatewayFragment = "nat-gateway-fragment";
    /// The source is not an address of an interface of the NAT gateway's VPC (NAT-26).
    NatGatewaySource = "nat-gateway-source";
    /// Nothing that the NAT gateway translates is answered by the packet (NAT-10).
    NatGatewayUnsolicited = "nat-gateway-unsolicited";
    /// The packet has no counterpart in the other family (RFC 7915): a source route, a kind of ICMP
    /// error, a fragment without a checksum.
    NatGatewayUntranslatable = "nat-gateway-untranslatable";
    /// All ports of the NAT gateway to the destination are in use (NAT-9).
    NatGatewayPortsExhausted = "nat-gateway-ports-exhausted";
    /// The packet comes back to a NAT gateway that it passed (NAT-15).
    NatGatewayLoop = "nat-gateway-loop";
    /// The packet passed as many routers as it may.
    HopLimitExceeded = "hop-limit-exceeded";
    /// What is not begun from the inside does not pass an egress-only internet gateway (EIGW-1).
    EgressOnlyUnsolicited = "egress-only-unsolicited";
    /// A peering connection leads to interfaces of the other VPC only.
    PeeringNoSuchAddress = "peering-no-such-address";
    /// The account lets nothing of the kind through internet gateways (IGW-15).
    BlockPublicAccess = "block-public-access";
    /// The route leads to a virtual private gateway, none of whose tunnels is up.
    VpnTunnelDown(ComponentIndex) = "vpn-tunnel-down";
    /// The route leads to a transit gateway, which carries nothing here.
    TransitGatewayNotCarried(ComponentIndex) = "transit-gateway-not-carried";
    /// A gateway endpoint carries TCP and pings only (VPCE-20).
    EndpointProtocol = "endpoint-protocol";
    /// An endpoint begins nothing: this answers no caller of its service (VPCE-6).
    EndpointUnsolicited = "endpoint-unsolicited";
    /// Port 25 to the internet is closed (SG-37).
    SmtpBlocked = "smtp-blocked";
    /// Larger than what the way carries, and no ICMP error may be sent for it (MTU-1).
    TooLarge = "too-large";
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = Self::NAMES.len();
}

impl std::fmt::Display for DropReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
