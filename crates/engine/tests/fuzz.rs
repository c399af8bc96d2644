//! The fuzz targets without a fuzzer: what it once found (`fuzz/regressions/`) and some arbitrary
//! inputs go through the same functions. `GUREUM_FUZZ_INPUTS` asks for more of them,
//! `GUREUM_FUZZ_SEED` for those of an earlier run.

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use gureum_engine::testing::fuzz::{engine_process, wire_parse};
use proptest::prelude::{Rng, RngExt};

type Target = fn(&[u8]);

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Every finding that was kept for a target.
fn replay(name: &str, target: Target) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/regressions").join(name);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the folder of findings") {
        let path = entry.expect("an entry").path();
        println!("{}", path.display());
        target(&fs::read(&path).expect("a finding"));
        count += 1;
    }
    count
}

/// Inputs that are arbitrary, but can be had again.
fn roam(target: Target, inputs: u64, longest: usize) {
    let fresh = proptest::test_runner::TestRng::from_seed;
    let seed = number("GUREUM_FUZZ_SEED", u64::from(std::process::id()));
    let inputs = number("GUREUM_FUZZ_INPUTS", inputs);
    println!("GUREUM_FUZZ_SEED={seed}, {inputs} inputs");
    for index in 0..inputs {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&index.to_le_bytes());
        let mut random = fresh(proptest::test_runner::RngAlgorithm::ChaCha, &bytes);
        let mut input = vec![0; random.random_range(0..longest)];
        random.fill_bytes(&mut input);
        if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{seed}-{index}"));
            fs::write(&kept, &input).expect("kept");
            panic!("GUREUM_FUZZ_SEED={seed}: input {index} is kept in {}", kept.display());
        }
    }
}

#[test]
fn the_parser_takes_what_a_fuzzer_found() {
    assert!(replay("wire_parse", wire_parse) > 0);
}

#[test]
fn the_engine_takes_what_a_fuzzer_found() {
    assert!(replay("engine_process", engine_process) > 0);
}

#[test]
fn the_parser_takes_anything() {
    roam(wire_parse, 20_000, 400);
}

#[test]
fn the_engine_takes_anything() {
    roam(engine_process, 500, 2000);
}
