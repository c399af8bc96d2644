//! Lets the command line watch packets: hands a tap of the data path on as a stream, and reports
//! a port.

use std::{net::SocketAddr, os::unix::net::UnixStream as StdStream, time::Duration};

use gureum_engine::{Direction, DropReason, Outcome, Policy, Step, Verdict, why::WhyStep};
use gureum_host::datapath::{Ends, Tap, TapEvent, TapFilter, TapFrame, TapSettings};
use gureum_types::{IpProtocol, PortIndex};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{
    clerk::{Answer, Clerk},
    desk::Answered,
};
use crate::admin::{FrameHead, PortFlow, PortReport, Reply, StreamItem, TraceArgs, TracedPacket};

/// How many packets may wait for a client that reads slowly.
const QUEUE: usize = 1024;
/// The same where whole frames are asked for, which may have 64 kB each.
const FRAME_QUEUE: usize = 256;
/// How much of a frame a trace looks at.
const HEADERS: usize = 128;
/// How long a client that wants no more may take to read what is on its way.
const PATIENCE: Duration = Duration::from_secs(5);

impl Clerk {
    /// Starts a stream of packets.
    pub(super) fn trace(&self, args: &TraceArgs) -> Answer<Answered> {
        let data_path = self.cloud()?.datapath();
        let interface = match &args.interface {
            Some(name) => Some(self.one_interface(name)?.record.port),
            None => None,
        };
        let filter = TapFilter {
            port: interface,
            host: args.host,
            transport_port: args.port,
            protocol: args.protocol,
            drops: args.drops,
            reason: args.reason.as_deref().map(reason).transpose()?,
        };
        let settings = TapSettings {
            filter,
            snap: if args.frames { usize::MAX } else { HEADERS },
            rate: args.rate,
            queue: if args.frames { FRAME_QUEUE } else { QUEUE },
        };
        let failed = |error: std::io::Error| format!("cannot start the stream: {error}");
        let (ours, theirs) = StdStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let tap = data_path.tap(settings);
        // Whoever has the answer shall miss nothing from then on.
        data_path.run(|_, _| ()).blocking_recv().map_err(|_| "the data path is gone".to_owned())?;
        let frames_of = match (args.frames, interface) {
            (false, _) => FramesOf::Nobody,
            (true, Some(port)) => FramesOf::Port(port),
            (true, None) => FramesOf::Everybody,
        };
        let runtime = self.runtime.clone();
        runtime.spawn(async move {
            // A client that went away ends its own stream only.
            if let Err(error) = stream(ours, tap, frames_of).await {
                tracing::debug!(%error, "a stream of packets");
            }
        });
        Ok(Answered { reply: Reply::Stream, descriptors: vec![theirs.into()], until_written: None })
    }

    /// Reports the port of an interface.
    pub(super) fn port(&self, name: &str) -> Answer<Reply> {
        let port = self.one_interface(name)?.record.port;
        let gone = |_| "the data path is gone".to_owned();
        let data_path = self.cloud()?.datapath();
        let reported = data_path.run(move |policy, state| {
            let counters = state.counters().port(port);
            let mut flows: Vec<_> = state.flows().filter(|flow| flow.port == port).collect();
            flows.sort_by_key(|flow| (flow.protocol, flow.local, flow.remote, flow.tracked));
            let end = |(address, port)| SocketAddr::new(address, port).to_string();
            let flows = flows.into_iter().map(|flow| PortFlow {
                protocol: flow.protocol,
                local: end(flow.local),
                remote: end(flow.remote),
                origin: flow.origin,
                phase: flow.phase.to_string(),
                packets: [flow.egress.packets, flow.ingress.packets],
                bytes: [flow.egress.bytes, flow.ingress.bytes],
                rejected_packets: [flow.egress.rejected_packets, flow.ingress.rejected_packets],
            });
            let drops = state.counters().drops_of(port);
            PortReport {
                interface: policy.port_name(port),
                port: port.0,
                applied_epoch: policy.epoch(),
                received_packets: counters.received_packets,
                received_bytes: counters.received_bytes,
                sent_packets: counters.sent_packets,
                sent_bytes: counters.sent_bytes,
                drops: drops.map(|(name, count)| (name.to_owned(), count)).collect(),
                flows: flows.collect(),
                text: gureum_engine::print::port(policy, state, port),
            }
        });
        let mut report = reported.blocking_recv().map_err(gone)?;
        let losses = data_path.losses().blocking_recv().map_err(gone)?;
        for (_, losses) in losses.into_iter().filter(|(index, _)| *index == port) {
            for (name, count) in losses.named().into_iter().filter(|(_, count)| *count > 0) {
                report.text.push_str(&format!("  {count} {name}\n"));
                report.drops.push((name.to_owned(), count));
            }
        }
        Ok(Reply::Port(Box::new(report)))
    }
}

/// The reason of that name.
fn reason(name: &str) -> Answer<&'static str> {
    let known = DropReason::NAMES.iter().copied();
    known.clone().find(|known| *known == name).ok_or_else(|| {
        let known: Vec<_> = known.collect();
        format!("\"{name}\" is no reason for a drop\nhelp: reasons are {}", known.join(", "))
    })
}

async fn stream(socket: StdStream, mut tap: Tap, frames_of: FramesOf) -> std::io::Result<()> {
    let (mut reader, mut writer) = UnixStream::from_std(socket)?.into_split();
    loop {
        let mut byte = [0];
        let event = tokio::select! {
            // Nothing is ever sent here: this is the end.
            _ = reader.read(&mut byte) => break,
            event = tap.next() => event,
        };
        let Some(event) = event else { break };
        writer.write_all(&packet(event, frames_of)?).await?;
    }
    let end = line(&StreamItem::End { left_out: tap.left_out() })?;
    tokio::time::timeout(PATIENCE, writer.write_all(&end)).await?
}

fn line(item: &StreamItem) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(item)?;
    line.push(b'\n');
    Ok(line)
}

/// A packet's line and the bytes of its frames.
fn packet(event: TapEvent, frames_of: FramesOf) -> std::io::Result<Vec<u8>> {
    let policy = &event.policy;
    let dropped = match event.verdict {
        Verdict::Drop(reason) => Some(reason),
        _ => None,
    };
    let to = event.to().map(|to| policy.port_name(to));
    let steps = event.steps.iter().map(|step| named(policy, step)).collect();
    let seen = frames(&event, frames_of, dropped);
    let item = StreamItem::Packet(Box::new(TracedPacket {
        at: u64::try_from(event.at.as_nanos()).unwrap_or(u64::MAX),
        from: policy.port_name(event.port),
        flow: describe(&event.received.bytes),
        length: event.received.length,
        steps,
        to,
        dropped: dropped.map(|reason| reason.name().to_owned()),
        frames: seen.iter().map(|(head, _)| head.clone()).collect(),
    }));
    let mut bytes = line(&item)?;
    for (_, frame) in &seen {
        bytes.extend_from_slice(&frame.bytes);
    }
    Ok(bytes)
}

fn named(policy: &Policy, step: &Step) -> WhyStep {
    let component = step.component.and_then(|index| policy.component(index)).cloned();
    let drop = match step.outcome {
        Outcome::Drop(reason) => Some(reason),
        Outcome::Pass | Outcome::Reply => None,
    };
    WhyStep {
        stage: step.stage,
        interface: policy.port_name(step.port),
        direction: step.direction,
        component,
        drop,
        text: step.text.clone(),
    }
}

/// Whose frames come along.
#[derive(Clone, Copy)]
enum FramesOf {
    Nobody,
    Port(PortIndex),
    Everybody,
}

/// What interfaces see of a packet: what one sends as it sends it, what comes to it as it comes, and
/// what would have come.
fn frames(
    event: &TapEvent,
    of: FramesOf,
    dropped: Option<DropReason>,
) -> Vec<(FrameHead, TapFrame)> {
    let is_meant = |at: PortIndex| match of {
        FramesOf::Nobody => false,
        FramesOf::Port(port) => port == at,
        FramesOf::Everybody => true,
    };
    let mut seen = Vec::new();
    let mut add = |direction, frame: &TapFrame, dropped: Option<DropReason>| {
        let mut frame = frame.clone();
        frame.complete_checksum();
        let dropped = dropped.map(|reason| reason.name().to_owned());
        seen.push((FrameHead { direction, length: frame.bytes.len(), dropped }, frame));
    };
    if is_meant(event.port) {
        add(Direction::Egress, &event.received, dropped);
    } else if event.dropped_at().is_some_and(is_meant) {
        add(Direction::Ingress, &event.after, dropped);
    }
    if let Verdict::Forward(to) = event.verdict
        && is_meant(to)
    {
        add(Direction::Ingress, &event.after, None);
    }
    for (_, frame) in event.emitted.iter().filter(|(to, _)| is_meant(*to)) {
        add(Direction::Ingress, frame, None);
    }
    seen
}

/// A packet in a few words.
fn describe(frame: &[u8]) -> String {
    let Some(ends) = Ends::of(frame) else {
        return match frame.get(12..14) {
            Some([high, low]) => format!("EtherType 0x{high:02x}{low:02x}"),
            _ => "no frame".to_owned(),
        };
    };
    let Ends { source, destination, protocol, ports } = ends;
    match (protocol, ports) {
        (None, _) => format!("arp {source} asks for {destination}"),
        (Some(protocol), Some((from, to))) => {
            let (source, destination) =
                (SocketAddr::new(source, from), SocketAddr::new(destination, to));
            format!("{} {source} > {destination}", IpProtocol(protocol))
        }
        (Some(protocol), None) => format!("{} {source} > {destination}", IpProtocol(protocol)),
    }
}
