//! What a power cut leaves: everything that was synced, and of the rest whatever the disk liked.

mod common;

use common::Disk;
use gureum_store::{Store, StoreError};
use gureum_types::record::Cursors;

fn count(store: &Store, lightly: bool) -> Result<(), StoreError> {
    let count = |tx: &mut gureum_store::Transaction| {
        let port = tx.machine::<Cursors>("cursors").map_or(0, |it| it.port) + 1;
        tx.put_machine(Cursors { port, public_address: port, ..Default::default() });
        Ok(())
    };
    match lightly {
        true => store.transact_lightly(count),
        false => store.transact(count),
    }
}

/// A coin.
fn coin() -> impl FnMut() -> bool {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random & 1 == 0
    }
}

#[test]
fn whatever_was_answered_is_there_after_a_power_cut() {
    let (mut keep, mut lightly) = (coin(), coin());
    let mut landed = [0, 0];
    // At every operation of the first commits, and now and then while the journal is written anew.
    for cut in (0..40).chain((40..300).step_by(13)) {
        let disk = Disk::default();
        let running = disk.store().expect("a store");
        for _ in 0..3 {
            count(&running, false).expect("a commit");
        }
        disk.cut_after(cut);
        let (mut durable, mut done) = (3, 3);
        loop {
            let is_light = lightly();
            if count(&running, is_light).is_err() {
                break;
            }
            done += 1;
            if !is_light {
                durable = done;
            }
            assert!(done < 2000, "the power never went");
        }
        drop(running);
        let after = disk.after_power_cut(&mut keep);
        let store = after.store().unwrap_or_else(|error| panic!("{error} at {cut}"));
        let found = store.snapshot();
        let port = found.machine::<Cursors>("cursors").map_or(0, |it| it.port);
        // Those that were not promised may have landed or not, each after the one before.
        assert!((durable..=done + 1).contains(&port), "{port} of {durable} at {cut}");
        assert_eq!(found.revision(), u64::from(port));
        landed[usize::from(port > durable)] += 1;
        // It goes on from there.
        count(&store, false).expect("a commit");
        drop(store);
        let again = after.store().expect("a store").snapshot();
        assert_eq!(again.revision(), u64::from(port) + 1);
    }
    assert!(landed.iter().all(|count| *count > 0), "the coin fell on both sides: {landed:?}");
}

#[test]
fn a_commit_that_failed_is_not_there_later() {
    let mut keep = coin();
    for cut in 0..40 {
        let disk = Disk::default();
        let store = disk.store().expect("a store");
        count(&store, false).expect("a commit");
        disk.cut_after(cut);
        let mut done = 1;
        while count(&store, false).is_ok() {
            done += 1;
        }
        // The disk is there again.
        disk.cut_after(usize::MAX);
        count(&store, false).expect("a commit");
        drop(store);
        let found = disk.after_power_cut(&mut keep).store().expect("a store").snapshot();
        let port = found.machine::<Cursors>("cursors").map(|it| it.port);
        assert_eq!((port, found.revision()), (Some(done + 1), u64::from(done) + 1), "at {cut}");
    }
}
