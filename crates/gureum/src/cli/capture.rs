//! `gureum capture`: what an interface sees, as a file that tcpdump and Wireshark read.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use gureum_engine::Direction;

use super::{
    client::Daemon,
    pcapng::{self, Way},
    stream::{self, Until},
};
use crate::{admin::TraceArgs, failure::Failure};

/// The arguments of `gureum capture`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "The file is pcapng. What the interface sends is there as it sends it, \
what comes to it as it comes; a packet that was dropped has a comment that says why. Large \
segments are there in one piece, as the interface sees them.

Examples:
  gureum capture PUBLIC-01 -w file.pcap --duration 30s
  gureum capture eni-0123456789abcdef0 -w - | tcpdump -n -r -
  gureum capture PUBLIC-01 -w - | wireshark -k -i -
  gureum capture PRIVATE-01 -w drops.pcap --drops --count 100")]
pub(crate) struct CaptureCommand {
    /// The interface: a Name tag, id or address
    #[arg(value_name = "INTERFACE")]
    interface: String,
    /// The file to write, which is replaced; "-" is standard output
    #[arg(long, short = 'w', value_name = "FILE")]
    write: PathBuf,
    /// End after so many packets
    #[arg(long, short = 'c', value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time, as 10s or 5m
    #[arg(long, value_name = "TIME", value_parser = stream::duration)]
    duration: Option<std::time::Duration>,
    /// Only packets that are dropped
    #[arg(long)]
    drops: bool,
}

/// Runs `gureum capture`.
pub(crate) fn run(args: &CaptureCommand, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let failed = |error: io::Error| match error.kind() {
        // Whoever looked has seen enough.
        io::ErrorKind::BrokenPipe => Failure::new("").status(0),
        _ => Failure::file("write", &args.write, &error),
    };
    // Before the file is touched: a name that is nobody's must not empty it.
    let name = super::port::report(&args.interface, daemon)?.interface;
    let mut file: Box<dyn Write> = if args.write.as_os_str() == "-" {
        Box::new(io::stdout().lock())
    } else {
        let mut options = OpenOptions::new();
        // What instances say is nobody else's business.
        let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&args.write);
        Box::new(opened.map_err(failed)?)
    };
    file.write_all(&pcapng::head(&name)).and_then(|()| file.flush()).map_err(failed)?;
    let wanted = TraceArgs {
        interface: Some(name),
        drops: args.drops,
        frames: true,
        ..TraceArgs::default()
    };
    let until = Until { count: args.count, duration: args.duration };
    let mut written = 0;
    let outcome = stream::follow(daemon, wanted, until, |packet, frames| {
        let mut bytes = Vec::new();
        let room = args.count.map_or(u64::MAX, |count| count - written);
        let mut taken = 0;
        for (head, frame) in packet.frames.iter().zip(&frames) {
            if taken == room {
                break;
            }
            let way = match head.direction {
                Direction::Egress => Way::Outbound,
                Direction::Ingress => Way::Inbound,
            };
            let comment = head.dropped.as_ref().map(|reason| format!("dropped: {reason}"));
            bytes.extend(pcapng::packet(packet.at, frame, way, comment.as_deref()));
            taken += 1;
        }
        file.write_all(&bytes).and_then(|()| file.flush()).map_err(failed)?;
        written += taken;
        Ok(taken)
    })?;
    eprintln!("{} packets captured, {} left out", outcome.packets, outcome.left_out);
    Ok(ExitCode::SUCCESS)
}
