//! `make bench`: measures what is promised, prints a table and writes `bench/results/latest.json`.
//!
//! Everything runs on clouds of its own, between instances and namespaces of the run, bounded in
//! time and count. Nothing is asserted: a figure that misses its target is printed as such.
//! With the argument `api` only what needs no hosts and no root is measured, with `session` only what
//! sessions take, with `flows` only how soon a million flows of a flow log are on record.
#![forbid(unsafe_code)]

mod boot;
mod engine;
mod flows;
mod network;
mod report;
mod scale;
mod session;
mod start;

use std::{path::Path, process::ExitCode};

use gureum_e2e::{Cloud, Stage, gureum};
use report::Report;

fn main() -> ExitCode {
    let part = std::env::args().nth(1);
    let api_only = part.as_deref() == Some("api");
    if !api_only && !rustix::process::geteuid().is_root() {
        eprintln!("error: the bench boots instances: run it as root, `make bench` does");
        return ExitCode::FAILURE;
    }
    println!("measuring {}", gureum().display());
    let mut report = Report::default();
    let alone: Option<fn(&mut Stage<'_>, &mut Report)> = match part.as_deref() {
        Some("session") => Some(session::measure),
        Some("flows") => Some(flows::measure),
        _ => None,
    };
    if let Some(measure) = alone {
        let cloud = Cloud::hosts();
        measure(&mut Stage::open(&cloud), &mut report);
        report.print();
        return ExitCode::SUCCESS;
    }
    if !api_only {
        engine::measure(&mut report);
        start::with_hosts(&mut report);
    }
    start::records_only(&mut report);
    start::disk(&mut report);
    start::durable(&mut report);
    scale::measure(&mut report);
    if api_only {
        report.print();
        return ExitCode::SUCCESS;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    boot::one(&mut stage, &mut report);
    let hosts = boot::five(&mut stage, &mut report);
    boot::idle(&cloud, &hosts, &mut report);
    network::measure(&cloud, &hosts[0], &hosts[1], &mut report);
    network::with_flow_log(&mut stage, &hosts[0], &hosts[1], &mut report);
    session::measure(&mut stage, &mut report);
    flows::measure(&mut stage, &mut report);
    start::again(&mut stage, &hosts[0], &mut report);
    drop(stage);
    drop(cloud);
    report.print();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    match report.write(&folder) {
        Ok(file) => {
            println!("written to {}", file.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: cannot write to {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}
