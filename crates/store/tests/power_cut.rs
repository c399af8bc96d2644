//! What a power cut leaves: everything that was synced, and of the rest whatever the disk liked.

use std::{
    io,
    sync::{Arc, Mutex},
};

use gureum_store::{Embedded, Store, StoreError};
use gureum_types::record::Cursors;

/// A disk that forgets: writes since the last sync are each kept or lost at a power cut.
#[derive(Debug, Default)]
struct Platter {
    synced: Vec<u8>,
    seen: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Operations until the power goes.
    left: Option<usize>,
}

impl Platter {
    fn step(&mut self) -> io::Result<()> {
        match &mut self.left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// What is there when the power comes back; `keep` decides for every write that was not synced.
    fn after_power_cut(&self, mut keep: impl FnMut() -> bool) -> Self {
        let mut bytes = self.synced.clone();
        // The length is kept: file systems log it. Blocks that were not written read as zeros.
        bytes.resize(self.seen.len(), 0);
        for (offset, data) in &self.unsynced {
            let end = offset + data.len();
            if keep() && end <= bytes.len() {
                bytes[*offset..end].copy_from_slice(data);
            }
        }
        Self { synced: bytes.clone(), seen: bytes, ..Self::default() }
    }
}

#[derive(Clone, Debug)]
struct Disk(Arc<Mutex<Platter>>);

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().expect("a platter").seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.0.lock().expect("a platter");
        let at = offset as usize;
        let end = at + out.len();
        out.copy_from_slice(platter.seen.get(at..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.0.lock().expect("a platter");
        platter.step()?;
        platter.seen.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.0.lock().expect("a platter");
        platter.step()?;
        platter.synced = platter.seen.clone();
        platter.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.0.lock().expect("a platter");
        platter.step()?;
        let at = offset as usize;
        platter.seen[at..at + data.len()].copy_from_slice(data);
        platter.unsynced.push((at, data.to_vec()));
        Ok(())
    }
}

fn store(platter: &Arc<Mutex<Platter>>) -> Store {
    let disk = Disk(platter.clone());
    let open = move || redb::Builder::new().create_with_backend(disk.clone());
    let embedded = Embedded::with("platter".into(), Box::new(open));
    Store::with_backend(Box::new(embedded.expect("a database"))).expect("a store")
}

fn count(store: &Store) -> Result<(), StoreError> {
    store.transact(|tx| {
        let port = tx.machine::<Cursors>("cursors").map_or(0, |it| it.port) + 1;
        tx.put_machine(Cursors { port, public_address: port, ..Default::default() });
        Ok(())
    })
}

#[test]
fn whatever_was_answered_is_there_after_a_power_cut() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut toss = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random & 1 == 0
    };
    let mut landed = [0, 0];
    for cut in 0..60 {
        let platter = Arc::new(Mutex::new(Platter::default()));
        let running = store(&platter);
        for _ in 0..3 {
            count(&running).expect("a commit");
        }
        platter.lock().expect("a platter").left = Some(cut);
        let mut answered = 3;
        while count(&running).is_ok() {
            answered += 1;
            assert!(answered < 1000, "the power never went");
        }
        let after = platter.lock().expect("a platter").after_power_cut(&mut toss);
        let found = store(&Arc::new(Mutex::new(after))).snapshot();
        let port = found.machine::<Cursors>("cursors").map_or(0, |it| it.port);
        // The one that was not answered may have landed or not; nothing in between.
        assert!(port == answered || port == answered + 1, "{port} of {answered} at {cut}");
        assert_eq!(found.revision(), u64::from(port));
        landed[(port - answered) as usize] += 1;
    }
    assert!(landed[0] > 0, "power went before the last sync in some trials: {landed:?}");
}
