//! Snapshots that are kept, and records put back from them.

use std::fs;

use gureum_store::{Snapshot, Store, StoreError, Transaction};
use gureum_types::{
    InternetGatewayId, Tags, Timestamp, VpcId,
    record::{Cursors, InternetGateway, Scope},
};

fn scope(account: &str) -> Scope {
    Scope {
        account: account.parse().expect("an account"),
        region: "ap-northeast-2".parse().expect("a region"),
    }
}

fn gateway(number: u64, vpc: Option<u64>) -> InternetGateway {
    let (id, vpc_id) = (InternetGatewayId::new(number), vpc.map(VpcId::new));
    InternetGateway { id, vpc_id, created: Timestamp(0), tags: Tags::new() }
}

fn change(store: &Store, change: impl Fn(&mut Transaction)) {
    let change = |tx: &mut Transaction| -> Result<(), StoreError> {
        change(tx);
        Ok(())
    };
    store.transact(change).expect("a commit");
}

fn all(records: &Snapshot) -> Vec<(String, InternetGateway)> {
    let all = records.everywhere::<InternetGateway>();
    all.map(|(key, it)| (key.to_string(), (**it).clone())).collect()
}

#[test]
fn records_are_put_back_as_they_were() {
    let (seoul, other) = (scope("123456789012"), scope("111122223333"));
    let store = Store::in_memory();
    change(&store, |tx| {
        tx.put(&seoul, gateway(1, Some(7)));
        tx.put(&seoul, gateway(2, None));
        tx.put_machine(Cursors { port: 5, ..Cursors::default() });
    });
    let before = store.snapshot();
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    before.save(&kept).expect("saved");
    change(&store, |tx| {
        tx.put(&seoul, gateway(1, None));
        tx.remove::<InternetGateway>(&seoul, gateway(2, None).id.as_str());
        tx.put(&other, gateway(3, Some(7)));
        tx.put_machine(Cursors { port: 9, ..Cursors::default() });
    });
    let read = Snapshot::open(&kept).expect("read");
    assert_eq!(all(&read), all(&before));
    change(&store, |tx| tx.replace_with(&read));
    let after = store.snapshot();
    assert_eq!(all(&after), all(&before));
    assert_eq!(after.machine::<Cursors>("cursors").map(|it| it.port), Some(5));
    let vpc = VpcId::new(7);
    let of_vpc = after.referrers::<InternetGateway>(vpc.as_str());
    assert_eq!(of_vpc.count(), 1, "references follow");
    assert!(after.revision() > before.revision() + 1, "it is a change like any other");
    // Once more it changes nothing.
    let revision = after.revision();
    change(&store, |tx| tx.replace_with(&read));
    assert_eq!(store.snapshot().revision(), revision);
}

#[test]
fn what_is_damaged_or_of_a_later_version_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::in_memory();
    change(&store, |tx| drop(tx.put(&scope("123456789012"), gateway(1, None))));
    store.snapshot().save(folder.path()).expect("saved");
    let file = folder.path().join("records.log");
    let whole = fs::read(&file).expect("a file");
    let mut later = whole.clone();
    later[12] = 0xff;
    fs::write(&file, &later).expect("written");
    let error = Snapshot::open(folder.path()).expect_err("later");
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
    let mut damaged = whole;
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(&file, &damaged).expect("written");
    assert!(Snapshot::open(folder.path()).is_err(), "its end is missing");
}

#[test]
fn an_empty_cloud_is_kept_too() {
    let folder = tempfile::tempdir().expect("a folder");
    Store::in_memory().snapshot().save(folder.path()).expect("saved");
    assert_eq!(all(&Snapshot::open(folder.path()).expect("read")), []);
}
