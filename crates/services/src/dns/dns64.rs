//! DNS64 (DNS-19, RFC 6147): IPv6 addresses by which a NAT gateway reaches what has IPv4 only.

use std::net::IpAddr;

use gureum_types::nat64_address;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType, rdata::AAAA},
};

use super::message::{Transport, encode, longest};

/// For how long, in seconds, an address is made up at most (RFC 6147, 5.1.7).
const TTL_MAX: u32 = 600;

/// Adds IPv6 addresses where there are none.
pub(super) fn synthesise(addresses: &mut Vec<IpAddr>) {
    if addresses.iter().any(IpAddr::is_ipv6) {
        return;
    }
    let made: Vec<_> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(address) => Some(IpAddr::from(nat64_address(*address))),
            IpAddr::V6(_) => None,
        })
        .collect();
    addresses.extend(made);
}

/// The same question for IPv4, where a question for IPv6 addresses was answered with none; whoever
/// checks signatures makes up addresses by itself (RFC 6147, 5.5).
pub(super) fn ipv4_question(query: &[u8], answer: &[u8]) -> Option<Vec<u8>> {
    let mut query = Message::from_vec(query).ok()?;
    let [question] = query.queries.as_mut_slice() else { return None };
    let answer = Message::from_vec(answer).ok()?;
    let checks = query.metadata.checking_disabled
        && query.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
    let found = answer.answers.iter().any(|record| matches!(record.data, RData::AAAA(_)));
    let settled = answer.metadata.response_code == ResponseCode::NXDomain
        || answer.metadata.truncation
        || found;
    if question.query_type() != RecordType::AAAA || checks || settled {
        return None;
    }
    question.set_query_type(RecordType::A);
    query.to_vec().ok()
}

/// The answer to a question for IPv6 addresses, made of that to the same one for IPv4; `None` where
/// that has none either.
pub(super) fn made_of_ipv4(query: &[u8], answer: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let mut answer = Message::from_vec(answer).ok()?;
    let mut made = false;
    for record in &mut answer.answers {
        if let RData::A(address) = &record.data {
            made = true;
            let address = RData::AAAA(AAAA(nat64_address(address.0)));
            *record = Record::from_rdata(record.name.clone(), record.ttl.min(TTL_MAX), address);
        }
    }
    if !made {
        return None;
    }
    answer.metadata.authentic_data = false;
    let limit = longest(&query, transport);
    answer.queries = query.queries;
    encode(answer, limit)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::{
        op::{Edns, Query},
        rr::{Name, rdata::A, rdata::CNAME},
    };

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("a name")
    }

    fn question(kind: RecordType) -> Message {
        let mut query = Message::query();
        query.add_query(Query::query(name("one.test."), kind));
        query
    }

    fn answer(code: ResponseCode, records: Vec<Record>) -> Vec<u8> {
        let mut answer = question(RecordType::AAAA);
        answer.metadata.response_code = code;
        answer.metadata.authentic_data = true;
        answer.add_answers(records);
        answer.to_vec().expect("encodes")
    }

    fn address(owner: &str, data: RData) -> Record {
        Record::from_rdata(name(owner), 3600, data)
    }

    fn ipv6() -> RData {
        RData::AAAA(AAAA(nat64_address(Ipv4Addr::LOCALHOST)))
    }

    // DNS-19
    #[test]
    fn ipv4_is_asked_for_where_there_is_no_ipv6() {
        let query = question(RecordType::AAAA);
        let asked = |query: &Message, answer: &[u8]| {
            let asked = ipv4_question(&query.to_vec().expect("encodes"), answer)?;
            Some(Message::from_vec(&asked).expect("a message"))
        };
        let empty = answer(ResponseCode::NoError, Vec::new());
        let ipv4 = asked(&query, &empty).expect("a question");
        assert_eq!(ipv4.queries[0].query_type(), RecordType::A);
        assert_eq!(
            (ipv4.metadata.id, ipv4.queries[0].name()),
            (query.metadata.id, &name("one.test."))
        );
        let failed = answer(ResponseCode::ServFail, Vec::new());
        assert!(asked(&query, &failed).is_some(), "RFC 6147, 5.1.2");
        let missing = answer(ResponseCode::NXDomain, Vec::new());
        assert_eq!(asked(&query, &missing), None);
        let found = answer(ResponseCode::NoError, vec![address("one.test.", ipv6())]);
        assert_eq!(asked(&query, &found), None);
        assert_eq!(asked(&question(RecordType::A), &empty), None);
        let mut checking = query;
        checking.metadata.checking_disabled = true;
        assert!(asked(&checking, &empty).is_some());
        let mut edns = Edns::new();
        edns.set_dnssec_ok(true);
        checking.set_edns(edns);
        assert_eq!(asked(&checking, &empty), None, "RFC 6147, 5.5");
    }

    // DNS-19
    #[test]
    fn addresses_are_made_of_those_of_ipv4() {
        let query = question(RecordType::AAAA).to_vec().expect("encodes");
        let alias = RData::CNAME(CNAME(name("two.test.")));
        let ipv4 = RData::A(A(Ipv4Addr::new(192, 0, 2, 33)));
        let records = vec![address("one.test.", alias.clone()), address("two.test.", ipv4)];
        let found = answer(ResponseCode::NoError, records);
        let made = made_of_ipv4(&query, &found, Transport::Udp).expect("an answer");
        let made = Message::from_vec(&made).expect("a message");
        assert_eq!(made.queries[0].query_type(), RecordType::AAAA);
        assert!(!made.metadata.authentic_data);
        assert_eq!(made.answers[0], address("one.test.", alias));
        assert_eq!(made.answers[1].ttl, TTL_MAX);
        assert_eq!(made.answers[1].name, name("two.test."));
        let expected = "64:ff9b::c000:221".parse().expect("an address");
        assert_eq!(made.answers[1].data, RData::AAAA(AAAA(expected)));
        let none = answer(ResponseCode::NoError, Vec::new());
        assert_eq!(made_of_ipv4(&query, &none, Transport::Udp), None);
        // What gets too long by it asks for TCP.
        let many = (0..25).map(|n| address("one.test.", RData::A(A(Ipv4Addr::new(192, 0, 2, n)))));
        let found = answer(ResponseCode::NoError, many.collect());
        assert!(found.len() < 512);
        let made = |by| Message::from_vec(&made_of_ipv4(&query, &found, by).expect("one"));
        assert!(made(Transport::Udp).expect("a message").metadata.truncation);
        assert_eq!(made(Transport::Tcp).expect("a message").answers.len(), 25);
    }
}
