//! Reading a stream of packets from the daemon, until it is enough: a count, a time, Ctrl-C, or
//! nobody who reads what is printed.

use std::{os::unix::net::UnixStream as StdStream, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    sync::Notify,
};

use super::client::{Daemon, unexpected};
use crate::{
    admin::{Reply, Request, StreamItem, TraceArgs, TracedPacket},
    failure::Failure,
};

/// When to stop.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Until {
    /// After so many packets.
    pub(super) count: Option<u64>,
    /// After this time.
    pub(super) duration: Option<Duration>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Packets that were taken.
    pub(super) packets: u64,
    /// Packets that did not fit the rate or the queue.
    pub(super) left_out: u64,
}

/// Has the daemon tell of packets and hands each to `take`, with the bytes of its frames; it
/// says for how many packets that counts.
pub(super) fn follow(
    daemon: &Daemon,
    args: TraceArgs,
    until: Until,
    mut take: impl FnMut(&TracedPacket, Vec<Vec<u8>>) -> Result<u64, Failure>,
) -> Result<Outcome, Failure> {
    let (reply, descriptors) = daemon.ask_with(&Request::Trace(args), &[])?;
    if !matches!(reply, Reply::Stream) {
        return Err(unexpected(&reply));
    }
    let socket = descriptors.into_iter().next();
    let socket = socket.ok_or_else(|| Failure::new("the daemon's answer lacks the stream"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| broken(&error))?;
    runtime.block_on(read(StdStream::from(socket), until, &mut take))
}

async fn read(
    socket: StdStream,
    until: Until,
    take: &mut impl FnMut(&TracedPacket, Vec<Vec<u8>>) -> Result<u64, Failure>,
) -> Result<Outcome, Failure> {
    socket.set_nonblocking(true).map_err(|error| broken(&error))?;
    let stream = UnixStream::from_std(socket).map_err(|error| broken(&error))?;
    let (reader, mut writer) = stream.into_split();
    let enough = Arc::new(Notify::new());
    let told = Arc::clone(&enough);
    tokio::spawn(async move {
        let over = async {
            match until.duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = over => {}
            () = told.notified() => {}
        }
        // The daemon then says how it was; if it is gone, the reader sees that.
        let _ = writer.shutdown().await;
    });
    let mut reader = BufReader::with_capacity(1 << 18, reader);
    let mut outcome = Outcome::default();
    let mut is_full = false;
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).await.map_err(|error| broken(&error))? == 0 {
            return Err(Failure::new("the daemon ended before the stream did"));
        }
        let item = serde_json::from_slice(&line)
            .map_err(|error| Failure::new(format!("cannot read the daemon's stream: {error}")))?;
        let packet = match item {
            StreamItem::Packet(packet) => packet,
            StreamItem::End { left_out } => return Ok(Outcome { left_out, ..outcome }),
        };
        let mut frames = Vec::with_capacity(packet.frames.len());
        for head in &packet.frames {
            let mut frame = vec![0; head.length];
            reader.read_exact(&mut frame).await.map_err(|error| broken(&error))?;
            frames.push(frame);
        }
        if is_full {
            continue;
        }
        outcome.packets += take(&packet, frames)?;
        if until.count.is_some_and(|count| outcome.packets >= count) {
            is_full = true;
            enough.notify_one();
        }
    }
}

fn broken(error: &std::io::Error) -> Failure {
    Failure::new(format!("the stream of packets broke off: {error}"))
}

/// A number of seconds as a person types it: `10`, `0.5`, `10s`, `5m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(number) => (number, 60.0),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * unit);
    seconds
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "not a time, as 10, 0.5s or 5m".to_owned())
}

/// An IP protocol by its name or number.
pub(super) fn protocol(text: &str) -> Result<u8, String> {
    match text.to_ascii_lowercase().as_str() {
        "icmp" => Ok(1),
        "tcp" => Ok(6),
        "udp" => Ok(17),
        "icmpv6" => Ok(58),
        other => other
            .parse()
            .map_err(|_| "neither tcp, udp, icmp, icmpv6 nor a number from 0 to 255".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_protocols_are_read_as_people_type_them() {
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for text in ["", "-1", "0", "s", "1h", "1e30", "nan"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(protocol("TCP"), Ok(6));
        assert_eq!(protocol("icmpv6"), Ok(58));
        assert_eq!(protocol("47"), Ok(47));
        assert!(protocol("256").is_err() && protocol("sctpx").is_err());
    }
}
