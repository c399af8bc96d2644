//! `gureum trace`: packets as they pass, and at each stage what they meet.

use std::{fmt::Write as _, net::IpAddr, process::ExitCode};

use clap::Args;
use gureum_engine::Direction;

use super::{
    client::Daemon,
    output::{self, Format, OutputArgs},
    stream::{self, Until},
};
use crate::{
    admin::{TraceArgs, TracedPacket},
    failure::Failure,
};

/// The arguments of `gureum trace`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "All filters must hold. It ends with --count, --duration or Ctrl-C, and \
then says how many packets there was no room for. While it runs, packets take a slower way.

Examples:
  gureum trace PUBLIC-01                          what comes from or goes to it
  gureum trace --drops                            whatever is dropped, and why
  gureum trace PRIVATE-01 --host 8.8.8.8 --proto udp --port 53
  gureum trace --reason security-group-ingress --count 10 --output json")]
pub(crate) struct TraceCommand {
    /// An interface: a Name tag, id or address [default: all]
    #[arg(value_name = "INTERFACE")]
    interface: Option<String>,
    /// Only packets from or to this address
    #[arg(long, value_name = "ADDRESS")]
    host: Option<IpAddr>,
    /// Only TCP and UDP packets from or to this port
    #[arg(long)]
    port: Option<u16>,
    /// Only this protocol: tcp, udp, icmp, icmpv6 or a number
    #[arg(long, value_name = "PROTOCOL", value_parser = stream::protocol)]
    proto: Option<u8>,
    /// Only packets that are dropped
    #[arg(long)]
    drops: bool,
    /// Only packets that are dropped for this reason, as `gureum status` names it
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// End after so many packets
    #[arg(long, short = 'c', value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time, as 10s or 5m
    #[arg(long, value_name = "TIME", value_parser = stream::duration)]
    duration: Option<std::time::Duration>,
    /// Packets a second at most; the others are counted
    #[arg(long, value_name = "PACKETS", default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `gureum trace`.
pub(crate) fn run(args: &TraceCommand, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let wanted = TraceArgs {
        interface: args.interface.clone(),
        host: args.host,
        port: args.port,
        protocol: args.proto,
        drops: args.drops,
        reason: args.reason.clone(),
        rate: Some(args.rate),
        frames: false,
    };
    let until = Until { count: args.count, duration: args.duration };
    let outcome = stream::follow(daemon, wanted, until, |packet, _| {
        let text = match args.output.output {
            // A line a packet, so that it can be read as it comes.
            Format::Json => serde_json::to_string(packet)
                .map(|line| line + "\n")
                .map_err(|error| Failure::new(format!("cannot write JSON: {error}")))?,
            Format::Table => text(packet),
        };
        output::print(&text).map(|()| 1)
    })?;
    if outcome.left_out > 0 {
        eprintln!("{} more packets were left out; --rate or a filter helps", outcome.left_out);
    }
    Ok(ExitCode::SUCCESS)
}

fn text(packet: &TracedPacket) -> String {
    let (seconds, micros) = (packet.at / 1_000_000_000, packet.at / 1000 % 1_000_000);
    let of_day = seconds % 86400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let mut text = format!(
        "{hour:02}:{minute:02}:{second:02}.{micros:06}Z {}: {}, {} bytes\n",
        packet.from, packet.flow, packet.length
    );
    let width = packet.steps.iter().map(|step| step.interface.len()).max().unwrap_or(0);
    // Writing to a string does not fail.
    for step in &packet.steps {
        let arrow = match step.direction {
            Direction::Egress => "out",
            Direction::Ingress => "in ",
        };
        let (interface, stage) = (&step.interface, step.stage.name());
        let _ = write!(text, "  {interface:width$} {arrow} {stage:<18} {}", step.text);
        if let Some(component) = &step.component {
            let _ = write!(text, " [{}]", gureum_engine::print::component(component));
        }
        text.push('\n');
    }
    let _ = match (&packet.to, &packet.dropped) {
        (_, Some(reason)) => writeln!(text, "  dropped: {reason}"),
        (Some(to), None) => writeln!(text, "  forwarded to {to}"),
        (None, None) => writeln!(text, "  answered on the way"),
    };
    text
}

#[cfg(test)]
mod tests {
    use gureum_engine::{DropReason, Stage, why::WhyStep};

    use super::*;

    #[test]
    fn a_packet_reads_as_the_stages_of_its_way() {
        let packet = TracedPacket {
            at: 86_400_000_000_000 + 3_661_000_002_000,
            from: "eni-1".into(),
            flow: "tcp 10.0.0.1:5 > 10.0.0.2:80".into(),
            length: 74,
            steps: vec![WhyStep {
                stage: Stage::Route,
                interface: "eni-1".into(),
                direction: Direction::Egress,
                component: None,
                drop: Some(DropReason::NoRoute),
                text: "no route".into(),
            }],
            to: None,
            dropped: Some("no-route".into()),
            frames: Vec::new(),
        };
        let expected = "\
01:01:01.000002Z eni-1: tcp 10.0.0.1:5 > 10.0.0.2:80, 74 bytes
  eni-1 out route              no route
  dropped: no-route
";
        assert_eq!(text(&packet), expected);
        let json = serde_json::to_value(&packet).expect("JSON");
        assert_eq!(json["steps"][0]["stage"], "route");
        assert!(json.get("frames").is_none());
    }
}
