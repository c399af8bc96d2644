//! `make bench`: measures what is promised, prints a table and writes `bench/results/latest.json`.
//!
//! Everything runs on clouds of its own, between instances and namespaces of the run, bounded in
//! time and count. Nothing is asserted: a figure that misses its target is printed as such.
#![forbid(unsafe_code)]

mod boot;
mod engine;
mod network;
mod report;
mod start;

use std::{path::Path, process::ExitCode};

use gureum_e2e::{Cloud, Stage, gureum};
use report::Report;

fn main() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("error: the bench boots instances: run it as root, `make bench` does");
        return ExitCode::FAILURE;
    }
    println!("measuring {}", gureum().display());
    let mut report = Report::default();
    engine::measure(&mut report);
    start::measure(&mut report);
    start::durable(&mut report);
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    boot::one(&mut stage, &mut report);
    let hosts = boot::five(&mut stage, &mut report);
    boot::idle(&cloud, &hosts, &mut report);
    network::measure(&cloud, &hosts[0], &hosts[1], &mut report);
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
