//! From one DNS message to its answer: header rules, EDNS, negative answers with a SOA record,
//! truncation. Which names there are is the [`Resolver`]'s matter.

use std::net::{IpAddr, SocketAddr};

use hickory_proto::{
    op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{A, AAAA, PTR, SOA},
    },
};

use super::{Found, Resolver};

/// Seconds for which an answer may be kept (DNS-16), a negative one too.
pub(super) const TTL: u32 = 60;
/// The longest answer over UDP that we send, and say so by EDNS.
const UDP_PAYLOAD: u16 = 1232;

/// By what a message came; it bounds the length of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// What is to be done about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Send this.
    Ready(Vec<u8>),
    /// Ask the resolver's upstream, and send this where it does not answer.
    Upstream(Vec<u8>),
}

/// The answer to a message, or `None` where none is due.
pub(super) fn answer(
    resolver: &dyn Resolver,
    peer: SocketAddr,
    bytes: &[u8],
    transport: Transport,
) -> Option<Answer> {
    if !resolver.admits(peer) {
        return None;
    }
    let Ok(query) = Message::from_vec(bytes) else {
        return malformed(bytes).map(Answer::Ready);
    };
    if query.metadata.message_type != MessageType::Query {
        // Answering answers would let two servers talk for ever.
        return None;
    }
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata = Metadata::response_from_request(&query.metadata);
    reply.metadata.recursion_available = true;
    reply.add_queries(query.queries.iter().cloned());
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        reply.set_edns(edns);
    }
    let Filled { code, forward } = fill(resolver, peer, &query, &mut reply)?;
    reply.metadata.response_code = code;
    let bytes = encode(reply, longest(&query, transport))?;
    Some(if forward { Answer::Upstream(bytes) } else { Answer::Ready(bytes) })
}

/// How long the answer to a query may be.
pub(super) fn longest(query: &Message, transport: Transport) -> usize {
    match (transport, &query.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => 512,
        (Transport::Udp, Some(edns)) => edns.max_payload().clamp(512, UDP_PAYLOAD).into(),
    }
}

/// How a reply was filled.
struct Filled {
    code: ResponseCode,
    /// Whether somebody else may know better.
    forward: bool,
}

impl From<ResponseCode> for Filled {
    fn from(code: ResponseCode) -> Self {
        Self { code, forward: false }
    }
}

/// The header of an answer to what is not a DNS message, if it has as much as an id.
fn malformed(bytes: &[u8]) -> Option<Vec<u8>> {
    let (Some(&[high, low, flags]), true) = (bytes.first_chunk::<3>(), bytes.len() >= 12) else {
        return None;
    };
    if flags & 0x80 != 0 {
        return None;
    }
    let id = u16::from_be_bytes([high, low]);
    Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok()
}

/// Puts the records into a reply and gives its code; `None` drops the question.
fn fill(
    resolver: &dyn Resolver,
    peer: SocketAddr,
    query: &Message,
    reply: &mut Message,
) -> Option<Filled> {
    if query.metadata.op_code != OpCode::Query {
        return Some(ResponseCode::NotImp.into());
    }
    if query.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        if let Some(edns) = &mut reply.edns {
            edns.set_rcode_high(ResponseCode::BADVERS.high());
        }
        return Some(ResponseCode::BADVERS.into());
    }
    let [question] = query.queries.as_slice() else {
        return Some(ResponseCode::FormErr.into());
    };
    let transfer = matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR);
    let recursion_missing = resolver.recursion_only() && !query.metadata.recursion_desired;
    if transfer || recursion_missing || question.query_class() != DNSClass::IN {
        return Some(ResponseCode::Refused.into()); // DNS-14
    }
    let name = question.name().to_lowercase().to_ascii();
    let finding = resolver.find(peer, name.strip_suffix('.').unwrap_or(&name))?;
    if finding.outside && resolver.upstream().is_some() {
        return Some(Filled { code: ResponseCode::ServFail, forward: true });
    }
    let records = records(question, &finding.found);
    let missing = finding.found == Found::Missing;
    if records.is_empty() {
        // RFC 2308: the SOA record says how long the absence may be remembered.
        reply.add_authority(start_of_authority(&finding.zone)?);
    }
    reply.add_answers(records);
    Some(if missing { ResponseCode::NXDomain } else { ResponseCode::NoError }.into())
}

fn records(question: &Query, found: &Found) -> Vec<Record> {
    let asked = |kind| question.query_type() == kind || question.query_type() == RecordType::ANY;
    let owner = || question.name().clone();
    match found {
        Found::Addresses(addresses) => addresses
            .iter()
            .filter_map(|address| match address {
                IpAddr::V4(address) if asked(RecordType::A) => Some(RData::A(A(*address))),
                IpAddr::V6(address) if asked(RecordType::AAAA) => Some(RData::AAAA(AAAA(*address))),
                _ => None,
            })
            .map(|data| Record::from_rdata(owner(), TTL, data))
            .collect(),
        Found::Pointer(name) if asked(RecordType::PTR) => absolute(name)
            .map(|name| Record::from_rdata(owner(), TTL, RData::PTR(PTR(name))))
            .into_iter()
            .collect(),
        _ => Vec::new(),
    }
}

fn start_of_authority(zone: &str) -> Option<Record> {
    let owner = absolute(zone)?;
    let server = owner.prepend_label("ns0").ok()?;
    let mailbox = owner.prepend_label("hostmaster").ok()?;
    let soa = SOA::new(server, mailbox, 1, 7200, 900, 1_209_600, TTL);
    Some(Record::from_rdata(owner, TTL, RData::SOA(soa)))
}

fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// Encodes a reply; one that is too long loses its records and asks for TCP.
pub(super) fn encode(reply: Message, limit: usize) -> Option<Vec<u8>> {
    let bytes = reply.to_vec().ok()?;
    if bytes.len() <= limit {
        return Some(bytes);
    }
    reply.truncate().to_vec().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::{
        super::{Finding, Found},
        *,
    };

    /// Knows one name with many addresses, one with a single address and one without.
    struct Few;

    impl Resolver for Few {
        fn admits(&self, peer: SocketAddr) -> bool {
            peer.port() != 9
        }

        fn recursion_only(&self) -> bool {
            true
        }

        fn find(&self, _: SocketAddr, name: &str) -> Option<Finding> {
            let found = match name {
                "one.test" => Found::address(Ipv4Addr::new(192, 0, 2, 1)),
                "both.test" => Found::Addresses(vec![
                    Ipv4Addr::new(192, 0, 2, 1).into(),
                    Ipv6Addr::LOCALHOST.into(),
                ]),
                "many.test" => {
                    Found::Addresses((0..90).map(|n| Ipv4Addr::new(192, 0, 2, n).into()).collect())
                }
                "empty.test" => Found::Nothing,
                "drop.test" => return None,
                _ => Found::Missing,
            };
            Some(Finding::new(found, "test"))
        }
    }

    fn question(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(absolute(name).expect("a name"), kind));
        message
    }

    fn ask_by(message: &Message, transport: Transport) -> Option<Message> {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let bytes = ready(answer(&Few, peer, &message.to_vec().expect("encodes"), transport))?;
        Some(Message::from_vec(&bytes).expect("a message"))
    }

    /// Nobody is upstream, so all answers are at hand.
    fn ready(answer: Option<Answer>) -> Option<Vec<u8>> {
        match answer? {
            Answer::Ready(bytes) => Some(bytes),
            Answer::Upstream(_) => panic!("there is no upstream"),
        }
    }

    fn ask(message: &Message) -> Message {
        ask_by(message, Transport::Udp).expect("an answer")
    }

    #[test]
    fn an_address_is_answered_in_the_spelling_of_the_question() {
        let reply = ask(&question("oNe.TEST", RecordType::A));
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
        assert!(reply.metadata.recursion_available && !reply.metadata.authoritative, "DNS-16");
        let [record] = reply.answers.as_slice() else { panic!("one answer") };
        assert_eq!((record.ttl, record.name.to_ascii().as_str()), (60, "oNe.TEST."), "DNS-16");
    }

    #[test]
    fn each_family_has_its_own_records() {
        for (kind, types) in [
            (RecordType::A, &[RecordType::A] as &[_]),
            (RecordType::AAAA, &[RecordType::AAAA]),
            (RecordType::ANY, &[RecordType::A, RecordType::AAAA]),
        ] {
            let reply = ask(&question("both.test", kind));
            let found: Vec<_> = reply.answers.iter().map(Record::record_type).collect();
            assert_eq!(found, types, "{kind}");
        }
    }

    #[test]
    fn what_is_not_there_is_said_with_a_soa_record() {
        for (name, kind, code) in [
            ("one.test", RecordType::AAAA, ResponseCode::NoError),
            ("empty.test", RecordType::A, ResponseCode::NoError),
            ("none.test", RecordType::A, ResponseCode::NXDomain),
        ] {
            let reply = ask(&question(name, kind));
            assert_eq!(reply.metadata.response_code, code, "{name}");
            assert!(reply.answers.is_empty(), "{name}");
            let [soa] = reply.authorities.as_slice() else { panic!("one SOA for {name}") };
            assert_eq!(soa.record_type(), RecordType::SOA);
            assert_eq!(soa.name.to_ascii(), "test.");
        }
    }

    #[test]
    fn what_is_too_long_for_udp_is_truncated_and_whole_over_tcp() {
        let plain = question("many.test", RecordType::A);
        let reply = ask(&plain);
        assert!(reply.metadata.truncation && reply.answers.is_empty());
        let mut extended = plain.clone();
        let mut edns = Edns::new();
        edns.set_max_payload(4096);
        extended.set_edns(edns);
        let reply = ask(&extended);
        assert!(reply.metadata.truncation, "90 addresses don't fit 1232 bytes");
        assert_eq!(reply.edns.as_ref().map(Edns::max_payload), Some(1232));
        let whole = ask_by(&plain, Transport::Tcp).expect("an answer");
        assert_eq!((whole.answers.len(), whole.metadata.truncation), (90, false));
    }

    #[test]
    fn what_we_do_not_serve_is_refused() {
        let mut iterative = question("one.test", RecordType::A);
        iterative.metadata.recursion_desired = false;
        assert_eq!(ask(&iterative).metadata.response_code, ResponseCode::Refused, "DNS-14");
        let transfer = question("test", RecordType::AXFR);
        assert_eq!(ask(&transfer).metadata.response_code, ResponseCode::Refused, "DNS-14");
        let mut chaos = question("version.bind", RecordType::TXT);
        chaos.queries[0].set_query_class(DNSClass::CH);
        assert_eq!(ask(&chaos).metadata.response_code, ResponseCode::Refused);
        let mut notify = question("one.test", RecordType::A);
        notify.metadata.op_code = OpCode::Notify;
        assert_eq!(ask(&notify).metadata.response_code, ResponseCode::NotImp);
        let mut two = question("one.test", RecordType::A);
        two.add_query(two.queries[0].clone());
        assert_eq!(ask(&two).metadata.response_code, ResponseCode::FormErr);
        let mut newer = question("one.test", RecordType::A);
        let mut edns = Edns::new();
        edns.set_version(1);
        newer.set_edns(edns);
        // BADVERS and BADSIG share a number (RFC 6895).
        assert_eq!(u16::from(ask(&newer).metadata.response_code), 16);
    }

    #[test]
    fn some_messages_get_no_answer() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let ask = |peer, bytes: &[u8]| ready(answer(&Few, peer, bytes, Transport::Udp));
        assert!(ask_by(&question("drop.test", RecordType::A), Transport::Udp).is_none());
        let mut answered = question("one.test", RecordType::A);
        answered.metadata.message_type = MessageType::Response;
        assert!(ask_by(&answered, Transport::Udp).is_none(), "an answer");
        assert!(ask(peer, b"short").is_none());
        let garbage = ask(peer, &[7, 7, 1, 0, 0, 9, 0, 0, 0, 0, 0, 0]).expect("a format error");
        assert_eq!((&garbage[..2], garbage[3] & 0xf), ([7, 7].as_slice(), 1));
        let unknown = SocketAddr::from(([127, 0, 0, 1], 9));
        let asked = question("one.test", RecordType::A).to_vec().expect("encodes");
        assert!(ask(unknown, &asked).is_none(), "a peer that is not admitted");
    }
}
