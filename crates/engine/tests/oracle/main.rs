//! Engine, engine with its cache flushed at every packet, and oracle agree on everything, on
//! generated VPCs whose records change between packets; and asking `why` changes nothing.

mod changes;
mod events;
mod finds;
mod network;
mod trial;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
};

use gureum_engine::DropReason;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{FileFailurePersistence::WithSource, RngSeed, TestRunner},
};

use self::{
    events::Event,
    trial::{Tally, Trial},
};

/// Flows that a usual run judges; `GUREUM_ORACLE_FLOWS` asks for more, as at night.
const FLOWS: u64 = 20_000;
/// Histories that share a seed, some 125 events each.
const BATCH: u32 = 50;

/// Drops that no packet of this test can meet, with where they are tested instead.
const NOT_HERE: &[(&[&str], &str)] = &[
    (
        &["arp-malformed", "arp-sender-spoofed", "arp-gratuitous", "arp-unused-address"],
        "ARP is no packet of IP: arp_dhcp.rs",
    ),
    (&["dhcp-ignored"], "the oracle speaks of packets besides DHCP: arp_dhcp.rs"),
    (
        &[
            "neighbor-malformed",
            "neighbor-spoofed",
            "neighbor-gratuitous",
            "neighbor-unused-address",
            "router-spoofed",
        ],
        "the oracle speaks of packets after neighbour discovery: ipv6.rs",
    ),
    (
        &["ether-type-not-carried", "segmentation-mismatch", "source-mac-spoofed"],
        "frames that say nothing true: hostile.rs, mtu.rs",
    ),
    (
        &["fragment-table-full", "fragment-without-first", "nat-gateway-fragment", "too-large"],
        "packets are whole and fit every way: mtu.rs",
    ),
    (
        &["tracking-table-full", "nat-gateway-ports-exhausted"],
        "takes more flows than a history has: conntrack.rs",
    ),
];

/// A number from the environment.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// `PROPTEST_RNG_SEED` with the number that is printed repeats a run.
#[test]
fn engine_and_oracle_agree_packet_by_packet() {
    let wanted = number("GUREUM_ORACLE_FLOWS").unwrap_or(FLOWS);
    let mut seed =
        number("PROPTEST_RNG_SEED").unwrap_or_else(|| RandomState::new().hash_one(0) >> 16);
    let began = std::time::Instant::now();
    let tally = RefCell::new(Tally::default());
    while tally.borrow().flows < wanted {
        println!("PROPTEST_RNG_SEED={seed}");
        let config = ProptestConfig {
            cases: BATCH,
            rng_seed: RngSeed::Fixed(seed),
            max_shrink_iters: 4000,
            source_file: Some(file!()),
            // What is found is kept beside this file.
            failure_persistence: Some(Box::new(WithSource("proptest-regressions"))),
            ..ProptestConfig::default()
        };
        let sometimes = || prop::bool::weighted(0.2);
        let histories =
            (sometimes(), sometimes(), changes::prelude(), vec(events::event(), 1..250));
        let outcome = TestRunner::new(config).run(&histories, |(loose, far, prelude, events)| {
            let mut trial = Trial::new(loose, far);
            for change in prelude {
                trial.step(&Event::Change(change))?;
            }
            for event in &events {
                trial.step(event)?;
            }
            tally.borrow_mut().add(&trial.finish()?);
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("PROPTEST_RNG_SEED={seed}: {error}");
        }
        seed += 1;
    }
    let tally = tally.into_inner();
    println!("{tally:#?}");
    println!("{:.0} flows a second", tally.flows as f64 / began.elapsed().as_secs_f64());
    if wanted >= FLOWS {
        assert_all_was_seen(&tally);
    }
}

/// A run that agreed because nothing happened proves nothing.
fn assert_all_was_seen(tally: &Tally) {
    let expected: BTreeSet<&str> =
        NOT_HERE.iter().flat_map(|(names, _)| names.iter().copied()).collect();
    assert_eq!(tally.missing(), expected, "drops that were not seen, and those that cannot be");
    let least = [
        ("arrived", tally.arrived, 10_000),
        ("translated by NAT gateways", tally.translated, 1000),
        ("from one family to the other", tally.nat64, 300),
        ("translated more than once", tally.translated_twice, 3),
        ("errors about what was translated", tally.errors, 5),
        ("IPv6", tally.ipv6, 3000),
        ("peered", tally.peered, 1000),
        ("through egress-only gateways", tally.egress_only, 100),
        ("through tables of gateways", tally.edge, 50),
        ("through endpoints", tally.endpoints, 1000),
        ("resets", tally.answered.get("reset").copied().unwrap_or(0), 3),
        ("times exceeded", tally.answered.get("time-exceeded").copied().unwrap_or(0), 3),
    ];
    for (what, count, least) in least {
        assert!(count >= least, "only {count} packets: {what}");
    }
}

#[test]
fn the_exceptions_are_names_of_the_engine() {
    for name in NOT_HERE.iter().flat_map(|(names, _)| *names) {
        assert!(DropReason::NAMES.contains(name), "{name}");
    }
}
