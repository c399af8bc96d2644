//! NAT gateways where one follows on another.

use super::*;

/// NAT-18, NAT-12, MTU-1: nobody is behind the gateway that sent a packet on to this one, so nobody is
/// told what became of it.
#[test]
fn a_gateway_tells_no_other_gateway_nat_18() {
    const NEXT: PortIndex = PortIndex(21);
    const BETWEEN: u64 = 9;
    // A private gateway in IMD-PRIVATE-B, whose own table leads to a public one in IMD-PUBLIC-A.
    let mut lab = with_gateway(3, false, &["10.1.12.200"]);
    lab.change(|network| {
        let (public, own) = (network.subnets[0].clone(), network.subnets[3].id.clone());
        for table in &mut network.route_tables {
            Arc::make_mut(table).associations.retain(|it| it.subnet_id.as_ref() != Some(&own));
        }
        let address = ip("10.1.1.200");
        let mut interface =
            records::interface(NEXT, &public, &[address], &[], Some(ip("198.18.0.200")));
        interface.interface_type = "nat_gateway".to_owned();
        network.interfaces.push(Arc::new(interface));
        network.nat_gateways.push(Arc::new(records::nat_gateway(2, &public, NEXT, true)));
        let next = RouteTarget::NatGateway(NatGatewayId::new(2));
        let routes = [(records::block("0.0.0.0/0"), next)];
        let vpc = network.vpcs[0].1.id.clone();
        let table = records::route_table(BETWEEN, &vpc, false, &[own], &routes);
        network.route_tables.push(Arc::new(table));
    });
    let ends = lab.ends(PRIVATE_01, OUTSIDE);
    let probe = packets::udp(&ends, (5000, 33_434), b"probe");
    let passed = lab.send(PRIVATE_01, probe.clone());
    assert_eq!((passed.seen().source, passed.seen().ttl), (ip("198.18.0.200").into(), 62));
    assert_eq!(lab.answer_udp(&passed).arrived(), Some(PRIVATE_01));
    let silent = |sent: Sent, reason| {
        assert_eq!((sent.dropped(), sent.emitted.len()), (Some(reason), 0));
    };
    let first = lab.send(PRIVATE_01, probe.clone().with_hop_limit(1));
    assert_eq!(Seen::ip(&first.answer().frame).icmp(), (11, 0), "of the first gateway");
    silent(lab.send(PRIVATE_01, probe.with_hop_limit(2)), DropReason::HopLimitExceeded);
    let big = packets::udp(&ends, (5000, 33_434), &[0; 3000]);
    silent(lab.send(PRIVATE_01, big), DropReason::TooLarge);
    lab.connect(PRIVATE_01, OUTSIDE, (40_000, 443));
    // The second one forgets the connection, which the first one knows still.
    lab.change_interface(NEXT, |interface| {
        interface.private_addresses = vec![ip("10.1.1.201")];
    });
    let reset = lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 443), ACK);
    silent(reset, DropReason::NatGatewayUnsolicited);
}
