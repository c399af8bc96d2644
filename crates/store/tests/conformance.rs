//! What holds for a store whatever keeps its records: one suite, run on every backend.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use gureum_store::{Embedded, Store, StoreError};
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
    scopes_are_apart(&open());
    references_follow_the_records(&open());
    the_watch_tells_every_revision(&open());
    an_account_goes_as_a_whole(&open());
    writers_at_the_same_time_lose_nothing(open());
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
fn the_embedded_database_conforms() {
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

/// Storage that is full whenever the flag says so.
#[derive(Debug)]
struct Disk {
    file: redb::backends::FileBackend,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn check(&self) -> io::Result<()> {
        match self.full.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("records.redb");
    let full = Arc::new(AtomicBool::new(false));
    let switch = full.clone();
    let file = path.clone();
    let open_disk = move || {
        let options = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file)
            .map_err(redb::StorageError::from)?;
        let file = redb::backends::FileBackend::new(options)?;
        redb::Builder::new().create_with_backend(Disk { file, full: switch.clone() })
    };
    let backend = Embedded::with(path, Box::new(open_disk)).expect("a database");
    let store = Store::with_backend(Box::new(backend)).expect("a store");
    put(&store, gateway(1, None));
    full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let failed: Result<(), StoreError> = store.transact(|tx| {
            tx.put(&seoul(), gateway(2, None));
            Ok(())
        });
        assert!(matches!(failed, Err(StoreError::Full(_))), "{failed:?}");
        assert_eq!(store.snapshot().everywhere::<InternetGateway>().count(), 1);
    }
    full.store(false, Ordering::SeqCst);
    put(&store, gateway(3, None));
    drop(store);
    let after = open(directory.path()).snapshot();
    let ids: Vec<_> = after.all::<InternetGateway>(&seoul()).map(|it| it.id.clone()).collect();
    assert_eq!(ids, [InternetGatewayId::new(1), InternetGatewayId::new(3)]);
}
