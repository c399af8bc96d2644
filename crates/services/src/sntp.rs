//! Amazon Time Sync at 169.254.169.123 (DHCP-6): SNTP as RFC 4330 wants it of a server.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::net::UdpSocket;
use tracing::warn;

use crate::{
    caller::{Allowance, Identify},
    gate::PAUSE,
};

/// Seconds from the era of NTP (1900) to that of Unix.
const UNIX_IN_NTP: u64 = 2_208_988_800;
const LENGTH: usize = 48;

/// Answers time requests until the task is dropped.
pub async fn serve(socket: UdpSocket, identify: Identify, allowance: Arc<Allowance>) {
    let mut buffer = [0; 512];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, peer)) => {
                let admitted = identify(peer).is_some_and(|port| allowance.take(port));
                let request = buffer.get(..length).unwrap_or_default();
                if admitted
                    && let Some(reply) = answer(request, SystemTime::now())
                    && let Err(error) = socket.try_send_to(&reply, peer)
                {
                    tracing::debug!(%peer, %error, "a time answer was not sent");
                }
            }
            Err(error) => {
                warn!(%error, "receiving time requests");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The answer to a client's request; `None` for anything else.
fn answer(request: &[u8], now: SystemTime) -> Option<[u8; LENGTH]> {
    let request: &[u8; LENGTH] = request.first_chunk()?;
    let (version, mode) = (request[0] >> 3 & 7, request[0] & 7);
    if mode != 3 || !(1..=4).contains(&version) {
        return None;
    }
    let now = timestamp(now);
    let mut reply = [0; LENGTH];
    reply[0] = version << 3 | 4; // no leap second announced, mode: server
    reply[1] = 3; // stratum
    reply[2] = request[2]; // poll interval
    reply[3] = 0xec; // precision: 2^-20 s, a microsecond
    reply[8..12].copy_from_slice(&[0, 0, 0x06, 0x9f]); // root dispersion: 26 ms
    reply[12..16].copy_from_slice(&[169, 254, 169, 122]); // the reference's address
    reply[16..24].copy_from_slice(&now); // when the clock was last set
    reply[24..32].copy_from_slice(&request[40..48]); // the client's own time
    reply[32..40].copy_from_slice(&now); // received
    reply[40..48].copy_from_slice(&now); // sent
    Some(reply)
}

/// A time as NTP writes it: seconds since 1900 and a binary fraction.
fn timestamp(time: SystemTime) -> [u8; 8] {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    // The era wraps in 2036; taking the low 32 bits of the seconds is what RFC 4330 says.
    ((since.as_secs() + UNIX_IN_NTP) << 32 | fraction).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_client_gets_the_time_and_its_own_back() {
        let mut request = [0; LENGTH];
        request[0] = 4 << 3 | 3;
        request[40..].copy_from_slice(b"client's");
        let now = UNIX_EPOCH + Duration::from_millis(1_500);
        let reply = answer(&request, now).expect("an answer");
        assert_eq!((reply[0], reply[1]), (4 << 3 | 4, 3));
        assert_eq!(&reply[24..32], b"client's");
        let seconds = u32::from_be_bytes(*reply[40..].first_chunk().expect("four bytes"));
        assert_eq!(u64::from(seconds), UNIX_IN_NTP + 1);
        assert_eq!(reply[44], 0x80, "half a second");
    }

    #[tokio::test]
    async fn an_interface_gets_answers_over_udp_and_others_do_not() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = server.local_addr().expect("an address");
        let known = UdpSocket::bind("127.0.0.2:0").await.expect("a socket");
        let unknown = UdpSocket::bind("127.0.0.3:0").await.expect("a socket");
        let stranger = unknown.local_addr().expect("an address");
        let identify: Identify =
            Arc::new(move |peer| (peer != stranger).then_some(gureum_types::PortIndex(2)));
        tokio::spawn(serve(server, identify, Arc::new(Allowance::new(1000))));
        let mut request = [0; LENGTH];
        request[0] = 4 << 3 | 3;
        // The server answers in order: had it answered the first, that would be here as well.
        unknown.send_to(&request, address).await.expect("sent");
        known.send_to(&request, address).await.expect("sent");
        let mut reply = [0; 100];
        let heard = tokio::time::timeout(Duration::from_secs(20), known.recv(&mut reply)).await;
        assert_eq!(heard.expect("in time").expect("an answer"), LENGTH);
        assert!(unknown.try_recv(&mut reply).is_err(), "no interface, no answer");
    }

    #[test]
    fn only_requests_are_answered() {
        for (length, first) in [(47, 0x23), (48, 0x24), (48, 0x26), (48, 0x03)] {
            assert!(answer(&vec![first; length], UNIX_EPOCH).is_none(), "{length} {first:#x}");
        }
    }
}
