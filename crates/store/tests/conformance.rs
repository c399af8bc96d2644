//! What holds for a store whatever keeps its records: one suite, run on every backend.

mod common;

use std::{fs, path::Path, sync::Arc};

use common::Disk;
use gureum_store::{Store, StoreError};
use gureum_types::{
    AccountId, InternetGatewayId, PortIndex, Region, SubnetId, Tags, Timestamp, VpcId,
    record::{Cursors, InternetGateway, NetworkInterface, Scope, Subnet},
};

fn scope(account: &str, region: &str) -> Scope {
    Scope {
        account: AccountId::parse(account).expect("an account"),
        region: region.parse::<Region>().expect("a region"),
    }
}

fn seoul() -> Scope {
    scope("123456789012", "ap-northeast-2")
}

fn gateway(number: u64, vpc: Option<u64>) -> InternetGateway {
    InternetGateway {
        id: InternetGatewayId::new(number),
        vpc_id: vpc.map(VpcId::new),
        created: Timestamp(0),
        tags: Tags::new(),
    }
}

fn subnet(number: u64, vpc: u64) -> Subnet {
    Subnet {
        id: SubnetId::new(number),
        vpc_id: VpcId::new(vpc),
        cidr_block: Some("10.0.0.0/24".parse().expect("a block")),
        ipv6_cidr_association: None,
        availability_zone: "ap-northeast-2a".into(),
        default_for_az: false,
        map_public_ip_on_launch: false,
        assign_ipv6_address_on_creation: false,
        enable_dns64: false,
        private_dns_hostname_type: "ip-name".into(),
        resource_name_dns_a_record: false,
        resource_name_dns_aaaa_record: false,
        created: Timestamp(0),
        tags: Tags::new(),
    }
}

fn put(store: &Store, record: InternetGateway) {
    let put = |tx: &mut gureum_store::Transaction| -> Result<(), StoreError> {
        tx.put(&seoul(), record.clone());
        Ok(())
    };
    store.transact(put).expect("a commit");
}

/// The suite. `open` opens a fresh store each time.
fn conforms(open: impl Fn() -> Store) {
    a_transaction_is_seen_by_later_snapshots_only(&open());
    a_failed_transaction_leaves_nothing(&open());
    a_transaction_sees_its_own_changes(&open());
    a_transaction_without_changes_makes_no_revision(&open());
    a_change_of_a_copy_is_nobody_elses(&open());
    scopes_are_apart(&open());
    references_follow_the_records(&open());
    the_watch_tells_every_revision(&open());
    an_account_goes_as_a_whole(&open());
    writers_at_the_same_time_lose_nothing(open());
}

fn a_change_of_a_copy_is_nobody_elses(store: &Store) {
    put(store, gateway(1, None));
    let before = store.snapshot();
    let ((), after) = before.changed_by(|tx| {
        tx.put(&seoul(), gateway(2, None));
    });
    let count = |records: &gureum_store::Snapshot| records.all::<InternetGateway>(&seoul()).count();
    assert_eq!((count(&before), count(&after), count(&store.snapshot())), (1, 2, 1));
    assert_eq!(after.revision(), before.revision() + 1);
    assert_eq!(store.snapshot().revision(), before.revision());
    let (told, same) = before.changed_by(|_| "nothing");
    assert_eq!((told, same.revision()), ("nothing", before.revision()));
    put(store, gateway(3, None));
    assert_eq!((count(&after), count(&store.snapshot())), (2, 2));
}

fn a_transaction_is_seen_by_later_snapshots_only(store: &Store) {
    let before = store.snapshot();
    put(store, gateway(1, None));
    let id = InternetGatewayId::new(1);
    assert!(before.find::<InternetGateway>(&seoul(), id.as_str()).is_none());
    let after = store.snapshot();
    assert_eq!(after.revision(), before.revision() + 1);
    assert!(after.find::<InternetGateway>(&seoul(), id.as_str()).is_some());
}

fn a_failed_transaction_leaves_nothing(store: &Store) {
    put(store, gateway(1, Some(7)));
    let before = store.snapshot();
    let failed: Result<(), StoreError> = store.transact(|tx| {
        tx.put(&seoul(), gateway(2, None));
        tx.remove::<InternetGateway>(&seoul(), InternetGatewayId::new(1).as_str());
        Err(StoreError::Io("no".into()))
    });
    assert!(failed.is_err());
    let after = store.snapshot();
    assert_eq!(after.revision(), before.revision());
    assert_eq!(after.all::<InternetGateway>(&seoul()).count(), 1);
    assert_eq!(after.referrers::<InternetGateway>(VpcId::new(7).as_str()).count(), 1);
}

fn a_transaction_sees_its_own_changes(store: &Store) {
    let id = InternetGatewayId::new(1);
    let seen: Result<(usize, bool), StoreError> = store.transact(|tx| {
        tx.put(&seoul(), gateway(1, None));
        tx.update::<InternetGateway>(&seoul(), id.as_str(), |it| it.vpc_id = Some(VpcId::new(3)));
        let referrers = tx.referrers::<InternetGateway>(VpcId::new(3).as_str()).count();
        tx.remove::<InternetGateway>(&seoul(), id.as_str());
        Ok((referrers, tx.find::<InternetGateway>(&seoul(), id.as_str()).is_some()))
    });
    assert_eq!(seen.expect("a commit"), (1, false));
    assert_eq!(store.snapshot().all::<InternetGateway>(&seoul()).count(), 0);
}

fn a_transaction_without_changes_makes_no_revision(store: &Store) {
    put(store, gateway(1, None));
    let before = store.snapshot().revision();
    put(store, gateway(1, None));
    assert_eq!(store.snapshot().revision(), before, "the same record again is no change");
}

fn scopes_are_apart(store: &Store) {
    let others = [scope("123456789012", "us-east-1"), scope("999999999999", "ap-northeast-2")];
    let written: Result<(), StoreError> = store.transact(|tx| {
        tx.put(&seoul(), gateway(1, None));
        for (number, other) in others.iter().enumerate() {
            tx.put(other, gateway(10 + number as u64, None));
        }
        Ok(())
    });
    written.expect("a commit");
    let snapshot = store.snapshot();
    for scope in [&seoul(), &others[0], &others[1]] {
        assert_eq!(snapshot.all::<InternetGateway>(scope).count(), 1);
    }
    assert_eq!(snapshot.everywhere::<InternetGateway>().count(), 3);
    let elsewhere = InternetGatewayId::new(10);
    assert!(snapshot.find::<InternetGateway>(&seoul(), elsewhere.as_str()).is_none());
}

fn references_follow_the_records(store: &Store) {
    put(store, gateway(1, Some(1)));
    let (one, two) = (VpcId::new(1), VpcId::new(2));
    let count = |store: &Store, vpc: &VpcId| {
        store.snapshot().referrers::<InternetGateway>(vpc.as_str()).count()
    };
    assert_eq!((count(store, &one), count(store, &two)), (1, 0));
    put(store, gateway(1, Some(2)));
    assert_eq!((count(store, &one), count(store, &two)), (0, 1));
    let snapshot = store.snapshot();
    assert_eq!(snapshot.referrers::<Subnet>(two.as_str()).count(), 0, "kinds are apart");
    assert!(snapshot.interface_behind(PortIndex(2)).is_none());
    assert!(snapshot.everywhere::<NetworkInterface>().next().is_none());
}

fn the_watch_tells_every_revision(store: &Store) {
    let watch = store.watch();
    let before = *watch.borrow();
    put(store, gateway(1, None));
    assert_eq!(*watch.borrow(), before + 1);
    assert_eq!(*store.watch().borrow(), store.snapshot().revision());
}

fn an_account_goes_as_a_whole(store: &Store) {
    let other = scope("999999999999", "eu-west-1");
    let written: Result<(), StoreError> = store.transact(|tx| {
        tx.put(&seoul(), gateway(1, Some(1)));
        tx.put(&seoul(), subnet(2, 1));
        tx.put(&other, gateway(3, Some(1)));
        tx.put_machine(Cursors { port: 5, public_address: 6, ..Default::default() });
        Ok(())
    });
    written.expect("a commit");
    let removed: Result<(), StoreError> = store.transact(|tx| {
        tx.remove_account(&seoul().account);
        Ok(())
    });
    removed.expect("a commit");
    let snapshot = store.snapshot();
    assert_eq!(snapshot.everywhere::<InternetGateway>().count(), 1);
    assert_eq!(snapshot.everywhere::<Subnet>().count(), 0);
    assert_eq!(snapshot.referrers::<InternetGateway>(VpcId::new(1).as_str()).count(), 1);
    // The machine's own records change and go one by one.
    let changed: Result<(), StoreError> = store.transact(|tx| {
        let changed = tx.update_machine::<Cursors>("cursors", |it| it.port = 7);
        assert_eq!(changed.map(|it| (it.port, it.public_address)), Some((7, 6)));
        assert!(tx.update_machine::<Cursors>("nothing", |_| ()).is_none());
        Ok(())
    });
    changed.expect("a commit");
    assert_eq!(store.snapshot().machine::<Cursors>("cursors").map(|it| it.port), Some(7));
    let gone: Result<(), StoreError> = store.transact(|tx| {
        assert!(tx.remove_machine::<Cursors>("cursors").is_some());
        assert!(tx.remove_machine::<Cursors>("cursors").is_none());
        Ok(())
    });
    gone.expect("a commit");
    assert!(store.snapshot().machine::<Cursors>("cursors").is_none());
    assert_eq!(snapshot.machine::<Cursors>("cursors").map(|it| it.port), Some(5));
}

fn writers_at_the_same_time_lose_nothing(store: Store) {
    let store = Arc::new(store);
    let before = store.snapshot().revision();
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let store = &store;
            threads.spawn(move || {
                for step in 0..10 {
                    put(store, gateway(thread * 100 + step, None));
                    let counted: Result<(), StoreError> = store.transact(|tx| {
                        let cursors = tx.machine::<Cursors>("cursors");
                        let port = cursors.map_or(0, |cursors| cursors.port) + 1;
                        tx.put_machine(Cursors { port, public_address: 0, ..Default::default() });
                        Ok(())
                    });
                    counted.expect("a commit");
                }
            });
        }
    });
    let snapshot = store.snapshot();
    assert_eq!(snapshot.everywhere::<InternetGateway>().count(), 40);
    assert_eq!(snapshot.machine::<Cursors>("cursors").map(|it| it.port), Some(40));
    assert_eq!(snapshot.revision(), before + 80);
}

#[test]
fn memory_conforms() {
    conforms(Store::in_memory);
}

#[test]
fn the_journal_conforms() {
    let directory = tempfile::tempdir().expect("a directory");
    let count = std::cell::Cell::new(0);
    conforms(|| {
        count.set(count.get() + 1);
        open(&directory.path().join(count.get().to_string()))
    });
}

fn open(directory: &Path) -> Store {
    Store::open(directory).expect("a store")
}

/// What was changed lightly is on disk with the next transaction, or when it is asked for.
#[test]
fn light_changes_come_to_disk_with_the_next_or_a_flush() {
    let lightly = |store: &Store, record: InternetGateway| {
        let put = |tx: &mut gureum_store::Transaction| -> Result<(), StoreError> {
            tx.put(&seoul(), record.clone());
            Ok(())
        };
        store.transact_lightly(put).expect("a commit");
    };
    let holds = |store: &Store, number| {
        let id = InternetGatewayId::new(number);
        store.snapshot().find::<InternetGateway>(&seoul(), id.as_str()).is_some()
    };
    let folder = tempfile::tempdir().expect("a scratch directory");
    let store = Store::open(folder.path()).expect("a store");
    lightly(&store, gateway(1, None));
    assert!(holds(&store, 1), "it is seen at once");
    put(&store, gateway(2, None));
    lightly(&store, gateway(3, None));
    store.flush().expect("a disk");
    let revision = store.snapshot().revision();
    drop(store);
    let store = Store::open(folder.path()).expect("a store");
    assert!((1..=3).all(|number| holds(&store, number)));
    assert_eq!(store.snapshot().revision(), revision);
}

#[test]
fn records_are_there_after_reopening() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    put(&store, gateway(1, Some(1)));
    put(&store, gateway(2, None));
    let removed: Result<(), StoreError> = store.transact(|tx| {
        tx.remove::<InternetGateway>(&seoul(), InternetGatewayId::new(2).as_str());
        tx.put_machine(Cursors { port: 9, public_address: 1, ..Default::default() });
        Ok(())
    });
    removed.expect("a commit");
    let before = store.snapshot();
    drop(store);
    let after = open(directory.path()).snapshot();
    assert_eq!(after.revision(), before.revision());
    let gateways: Vec<_> = after.all::<InternetGateway>(&seoul()).cloned().collect();
    assert_eq!(gateways, [Arc::new(gateway(1, Some(1)))]);
    assert_eq!(after.referrers::<InternetGateway>(VpcId::new(1).as_str()).count(), 1);
    assert_eq!(after.machine::<Cursors>("cursors").map(|it| it.port), Some(9));
}

#[test]
fn a_second_daemon_on_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let _first = open(directory.path());
    assert!(matches!(Store::open(directory.path()), Err(StoreError::InUse(_))));
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost() {
    let disk = Disk::default();
    let store = disk.store().expect("a store");
    put(&store, gateway(1, None));
    disk.set_full(true);
    for _ in 0..3 {
        let failed: Result<(), StoreError> = store.transact(|tx| {
            tx.put(&seoul(), gateway(2, None));
            Ok(())
        });
        assert!(matches!(failed, Err(StoreError::Full(_))), "{failed:?}");
        assert_eq!(store.snapshot().everywhere::<InternetGateway>().count(), 1);
    }
    disk.set_full(false);
    put(&store, gateway(3, None));
    drop(store);
    let after = disk.store().expect("a store").snapshot();
    let ids: Vec<_> = after.all::<InternetGateway>(&seoul()).map(|it| it.id.clone()).collect();
    assert_eq!(ids, [InternetGatewayId::new(1), InternetGatewayId::new(3)]);
}

/// The journal and what is in it.
fn journal(directory: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let path = directory.join("records.log");
    let bytes = fs::read(&path).expect("a journal");
    (path, bytes)
}

#[test]
fn what_was_on_disk_and_cannot_be_read_any_more_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    for number in 1..4 {
        put(&store, gateway(number, None));
    }
    drop(store);
    let (path, whole) = journal(directory.path());
    let second = InternetGatewayId::new(2).to_string();
    let place = whole.windows(second.len()).position(|it| it == second.as_bytes());
    let mut damaged = whole.clone();
    damaged[place.expect("the second is there")] ^= 1;
    fs::write(&path, &damaged).expect("a disk");
    let found = Store::open(directory.path());
    assert!(matches!(found, Err(StoreError::Damaged(_))), "{found:?}");
    // A head of a later version, and one of nobody's.
    let mut newer = whole.clone();
    newer[12] += 1;
    fs::write(&path, &newer).expect("a disk");
    assert!(matches!(Store::open(directory.path()), Err(StoreError::Newer { .. })));
    fs::write(&path, "something else, long enough for a head").expect("a disk");
    assert!(matches!(Store::open(directory.path()), Err(StoreError::Damaged(_))));
    fs::write(&path, &whole).expect("a disk");
    assert_eq!(open(directory.path()).snapshot().revision(), 3);
}

#[test]
fn records_of_before_the_first_release_are_told() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("records.redb"), "redb").expect("a disk");
    assert!(matches!(Store::open(directory.path()), Err(StoreError::Older(_))));
}

/// The journal does not grow with what was, only with what is.
#[test]
fn the_journal_is_written_anew_when_most_of_it_is_of_no_use() {
    let disk = Disk::default();
    let store = disk.store().expect("a store");
    for number in 0..300 {
        put(&store, gateway(number % 5, Some(number)));
    }
    let before = store.snapshot();
    drop(store);
    let length = gureum_store::Folder::read(&disk, "records.log").expect("a disk");
    let length = length.expect("a journal").iter().rposition(|byte| *byte != 0).unwrap_or(0);
    assert!(length < 50_000, "300 commits of 200 bytes are {length}");
    let after = disk.store().expect("a store").snapshot();
    assert_eq!(after.revision(), before.revision());
    let all = |it: &gureum_store::Snapshot| -> Vec<Arc<InternetGateway>> {
        it.all::<InternetGateway>(&seoul()).cloned().collect()
    };
    assert_eq!(all(&after), all(&before));
    assert_eq!(after.referrers::<InternetGateway>(VpcId::new(299).as_str()).count(), 1);
}
