//! `gureum why`: whether packets pass, decided by the engine itself on the present state, and for a
//! service of AWS what else is in the way.

use std::{net::IpAddr, process::ExitCode};

use clap::Args;
use gureum_types::EndpointService;
use serde_json::{Value, json};

use super::{
    client::{Daemon, unexpected},
    output,
};
use crate::{
    admin::{NameReport, Reply, Request, WhyAnswer, WhyArgs, WhyFinding},
    failure::Failure,
};

/// The exit status when packets do not pass.
const UNREACHABLE: u8 = 1;

/// The exit status when the question could not be answered.
const FAILED: u8 = 2;

/// The arguments of `gureum why`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "A service is looked for as SRC's own resolver does, and asked about at its port 443. For those of
Systems Manager (ssm, ssmmessages) the answer also says what else keeps the agent from it: a role, a
policy, the other service.

Exit status: 0 reachable, 1 not reachable or something else in the way, 2 no answer.

Examples:
  gureum why internet PUBLIC-01 --proto tcp --port 80
  gureum why PUBLIC-01 PRIVATE-01 --proto icmp
  gureum why PRIVATE-01 8.8.8.8 --proto udp --port 53 --json
  gureum why PRIVATE-01 ssmmessages
  gureum why -6 internet PUBLIC-01 --proto icmp"
)]
pub(crate) struct WhyCommand {
    /// Where from: a Name tag, id, address, or "internet"
    #[arg(value_name = "SRC")]
    source: String,
    /// Where to: the same, any address, a service (ssm, s3), or another host name
    #[arg(value_name = "DST")]
    destination: String,
    /// tcp, udp, icmp (either family's) or a protocol number
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp", value_parser = protocol)]
    proto: String,
    /// The destination port; tcp and udp need one, except to a service
    #[arg(long)]
    port: Option<u16>,
    /// The source port [default: an ephemeral one]
    #[arg(long, value_name = "PORT")]
    source_port: Option<u16>,
    /// Ask about IPv6 where no address says so
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

fn protocol(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    if matches!(name.as_str(), "tcp" | "udp" | "icmp" | "icmpv6") || name.parse::<u8>().is_ok() {
        return Ok(name);
    }
    Err("neither tcp, udp, icmp nor a number from 0 to 255".to_owned())
}

/// Runs `gureum why`.
pub(crate) fn run(args: &WhyCommand, daemon: &Daemon) -> Result<ExitCode, Failure> {
    answer(args, daemon).map_err(
        |error| {
            if error.is_closed_pipe() { error } else { error.status(FAILED) }
        },
    )
}

fn answer(args: &WhyCommand, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let has_ports = matches!(args.proto.as_str(), "tcp" | "udp" | "6" | "17");
    let is_service = || EndpointService::meant(&args.destination.to_ascii_lowercase()).is_some();
    if has_ports && args.port.is_none() && !is_service() {
        return Err(Failure::new(format!("{} needs a destination port", args.proto))
            .help("add --port, as --port 80"));
    }
    if !has_ports && (args.port.is_some() || args.source_port.is_some()) {
        return Err(Failure::new(format!("protocol {} has no ports", args.proto)));
    }
    let request = Request::Why(WhyArgs {
        source: args.source.clone(),
        destination: args.destination.clone(),
        protocol: args.proto.clone(),
        port: args.port,
        source_port: args.source_port,
        ipv6: args.ipv6,
    });
    let answer = match daemon.ask(&request)? {
        Reply::Why(answer) => answer,
        other => return Err(unexpected(&other)),
    };
    if args.json {
        output::print_json(&json(&answer)?)?;
    } else {
        output::print(&text(&answer))?;
    }
    let blocked = answer.findings.iter().any(|finding| finding.blocks);
    Ok(match answer.report.is_some_and(|report| report.reachable) && !blocked {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(UNREACHABLE),
    })
}

/// The report of packets with what else there is to say beside it.
fn json(answer: &WhyAnswer) -> Result<Value, Failure> {
    let failed = |error| Failure::new(format!("cannot write JSON: {error}"));
    let mut value = match &answer.report {
        Some(report) => serde_json::to_value(report).map_err(failed)?,
        None => json!({ "reachable": false }),
    };
    if let Some(name) = &answer.name {
        value["name"] = serde_json::to_value(name).map_err(failed)?;
        value["findings"] = serde_json::to_value(&answer.findings).map_err(failed)?;
    }
    Ok(value)
}

fn text(WhyAnswer { name, report, findings }: &WhyAnswer) -> String {
    let mut lines = String::new();
    if let Some(NameReport { name, addresses, by }) = name {
        let addresses: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
        lines += &match addresses.is_empty() {
            true => format!("{name}: {by}\n"),
            false => format!("{name} is {}: {by}\n", addresses.join(", ")),
        };
    }
    lines += &match report {
        Some(report) => gureum_engine::print::why_report(report),
        None => "not reachable\n".to_owned(),
    };
    for WhyFinding { text, blocks, .. } in findings {
        lines += &format!("{}: {text}\n", if *blocks { "but" } else { "note" });
    }
    lines
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        why: WhyCommand,
    }

    fn refusal(line: &str) -> Failure {
        let line = Line::try_parse_from(line.split_whitespace()).expect("it parses");
        let folder = tempfile::tempdir().expect("a folder");
        run(&line.why, &Daemon::at(folder.path())).expect_err("refused")
    }

    #[test]
    fn tcp_needs_a_port_and_icmp_has_none() {
        assert!(refusal("why a b").message.contains("needs a destination port"));
        let service = refusal("why a ssm");
        assert!(!service.message.contains("port"), "there is no daemon: {service}");
        assert!(refusal("why a b --proto icmp --port 8").message.contains("has no ports"));
        assert!(Line::try_parse_from(["why", "a", "b", "--proto", "sctpx"]).is_err());
    }

    #[test]
    fn no_answer_is_another_status_than_no_way() {
        assert_eq!(refusal("why a b --port 80").status, FAILED);
        assert_ne!(FAILED, UNREACHABLE);
    }
}
