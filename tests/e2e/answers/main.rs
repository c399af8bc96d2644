//! The answers are true: on generated VPCs, made through the real API, `gureum why`, `gureum check` and
//! Reachability Analyzer say what real packets do between light hosts and the internet.
//!
//! `GUREUM_VPCS` says how many VPCs; `GUREUM_SEED` (a number, as printed) repeats a run. Each VPC has
//! the seed of the run and its place, and is one of a pair: a difference says how to repeat that alone.

mod build;
mod judge;
mod plan;

use std::{
    env, thread,
    time::{Duration, Instant, SystemTime},
};

use gureum_e2e::{Cloud, Ec2, desk, root_or_skip, wait};
use serde_json::json;

use self::{build::Built, judge::Tally};

/// How many VPCs by default.
const VPCS: usize = 1000;
/// How many are alive at once, two by two.
const BATCH: usize = 60;
/// How many are made side by side.
const MAKERS: usize = 12;
/// How long the hosts of a batch may take until they answer.
const READY: Duration = Duration::from_secs(600);

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, and is {text:?}")))
}

#[test]
fn hosts_answers_are_what_packets_do() {
    if !root_or_skip() {
        return;
    }
    let count = number("GUREUM_VPCS").map_or(VPCS, |it| usize::try_from(it).expect("a count"));
    let seed = number("GUREUM_SEED").unwrap_or_else(|| {
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        now.as_nanos() as u64 >> 10
    });
    println!("GUREUM_SEED={seed} GUREUM_VPCS={count}");
    let started = Instant::now();
    let cloud = Cloud::light();
    let mut tally = Tally::default();
    let mut ec2 = Ec2::connect(cloud.port());
    let image = {
        let name = [("Filter.1.Name", "name"), ("Filter.1.Value.1", "amzn2-ami-hvm-*")];
        ec2.call("DescribeImages", &name).text("imageId")
    };
    let (mut done, mut shown) = (0, 0);
    while done < count {
        let size = BATCH.min(count - done);
        let seeds: Vec<_> = (0..size).map(|n| seed.wrapping_add((done + n) as u64)).collect();
        let begun = Instant::now();
        let pairs = build(&cloud, &seeds, &image);
        tally.took[0] += begun.elapsed();
        judge::ask(&cloud, &pairs, &mut tally);
        let begun = Instant::now();
        desk::ask(cloud.data_dir(), &json!({"reset": {"account": null}}));
        tally.took[3] += begun.elapsed();
        done += size;
        println!("{done} VPCs after {:.1?}: {tally}", started.elapsed());
        // A long run shall not keep them to itself.
        tally.differences.iter().skip(shown).for_each(|it| println!("{it}"));
        shown = tally.differences.len();
    }
    assert!(tally.differences.is_empty(), "seed {seed}:\n{}", tally.differences.join("\n"));
    assert!(count < 100 || tally.analyzed * 10 > tally.questions, "{tally}");
    // A run whose answers are all the same proves nothing.
    if count >= 100 {
        let [yes, no] = tally.said;
        assert!(yes * 10 > tally.questions && no * 10 > tally.questions, "{tally}");
    }
}

/// Makes a batch of VPCs and waits until all of their hosts answer.
fn build(cloud: &Cloud, seeds: &[u64], image: &str) -> Vec<[Built; 2]> {
    // An odd one has a companion of its own.
    let pairs: Vec<_> = seeds
        .chunks(2)
        .enumerate()
        .map(|(place, two)| {
            let block = 1 + 2 * place;
            let other = two.get(1).copied().unwrap_or(two[0].wrapping_add(1));
            [plan::plan(two[0], block), plan::plan(other, block + 1)]
        })
        .collect();
    let share = pairs.len().div_ceil(MAKERS).max(1);
    let mut built: Vec<[Built; 2]> = thread::scope(|scope| {
        let makers: Vec<_> = pairs
            .chunks(share)
            .map(|some| {
                scope.spawn(move || {
                    let mut ec2 = Ec2::connect(cloud.port());
                    let make = |[one, other]: &[plan::Plan; 2]| {
                        let peered = one.seed.is_multiple_of(3);
                        let pair = [one, other].map(|it| Built::make(&mut ec2, it.clone(), image));
                        if peered {
                            Built::peer(&mut ec2, [&pair[0], &pair[1]]);
                        }
                        pair
                    };
                    some.iter().map(make).collect::<Vec<_>>()
                })
            })
            .collect();
        makers.into_iter().flat_map(|it| it.join().expect("it is made")).collect()
    });
    let mut ec2 = Ec2::connect(cloud.port());
    let hosts: usize = built.iter().flatten().map(|it| it.instances.len()).sum();
    let ok = [("Filter.1.Name", "instance-status.status"), ("Filter.1.Value.1", "ok")];
    wait(&format!("{hosts} hosts pass their status checks"), READY, || {
        ec2.call("DescribeInstanceStatus", &ok).texts("instanceId").len() == hosts
    });
    for it in built.iter_mut().flatten() {
        it.finish(&mut ec2);
    }
    let available = [("Filter.1.Name", "state"), ("Filter.1.Value.1", "pending")];
    wait("NAT gateways are available", READY, || {
        ec2.call("DescribeNatGateways", &available).texts("natGatewayId").is_empty()
    });
    built
}
