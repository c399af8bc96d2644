//! Objects on disk: files, and an index that says which are which.
//!
//! The index is a redb database. What an object is made of are files of its bucket's folder, one
//! or, after an upload in parts, several. Files that no line of the index names are deleted at the
//! next start; those of buckets that are no more, by [`Objects::sweep`].

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    ops::Bound,
    path::{Path, PathBuf},
};

use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::{Deserialize, Serialize};

use crate::ObjectsError;

/// Objects by bucket and key.
const OBJECTS: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("objects");
/// Uploads in parts that are under way, by bucket and id.
const UPLOADS: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("uploads");
/// Their parts, by bucket, id and number.
const PARTS: TableDefinition<'_, (u64, &str, i32), &[u8]> = TableDefinition::new("parts");

/// What redb keeps in memory.
const CACHE_BYTES: usize = 4 << 20;

/// A file that belongs to an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) file: String,
    pub(crate) size: u64,
}

/// What a client says of an object beside its bytes, kept and shown again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attributes {
    pub(crate) content_type: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    /// RFC 3339.
    pub(crate) expires: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) storage_class: Option<String>,
    pub(crate) website_redirect_location: Option<String>,
    pub(crate) encryption: Option<String>,
    pub(crate) kms_key_id: Option<String>,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectEntry {
    pub(crate) pieces: Vec<Piece>,
    /// Without quotes.
    pub(crate) etag: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) modified: i64,
    pub(crate) attributes: Attributes,
    pub(crate) tags: BTreeMap<String, String>,
    /// Checksums by the name of their algorithm, as `crc32`, in base64.
    pub(crate) checksums: BTreeMap<String, String>,
}

impl ObjectEntry {
    pub(crate) fn size(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.size).sum()
    }
}

/// An upload in parts that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) initiated: i64,
    pub(crate) attributes: Attributes,
    pub(crate) tags: BTreeMap<String, String>,
    /// The algorithm of checksums that the client said it would send.
    pub(crate) checksum_algorithm: Option<String>,
}

/// A part of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartEntry {
    pub(crate) piece: Piece,
    /// The MD5 of its bytes in hexadecimal.
    pub(crate) etag: String,
    pub(crate) modified: i64,
    pub(crate) checksums: BTreeMap<String, String>,
}

/// A part with its number.
pub(crate) type NumberedPart = (i32, PartEntry);

/// Whether a write may happen, judged by what is there.
pub(crate) type Condition<'a, E> = &'a dyn Fn(Option<&ObjectEntry>) -> Result<(), E>;

/// Objects on disk.
pub(crate) struct Objects {
    database: Database,
    folder: PathBuf,
}

impl Objects {
    /// Opens the objects in a directory, which is made if it is not there, and deletes files that
    /// were not finished.
    pub(crate) fn open(directory: &Path) -> Result<Self, ObjectsError> {
        let folder = directory.join("data");
        fs::create_dir_all(&folder)?;
        let path = directory.join("index.redb");
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        let mut writing = database.begin_write()?;
        // Lost with the power it is done again: nothing is in it yet.
        writing.set_durability(Durability::None)?;
        writing.open_table(OBJECTS)?;
        writing.open_table(UPLOADS)?;
        writing.open_table(PARTS)?;
        writing.commit()?;
        let objects = Self { database, folder };
        objects.tidy()?;
        Ok(objects)
    }

    fn tidy(&self) -> Result<(), ObjectsError> {
        let reading = self.database.begin_read()?;
        let mut known: HashSet<(u64, String)> = HashSet::new();
        for row in reading.open_table(OBJECTS)?.iter()? {
            let (key, value) = row?;
            let object: ObjectEntry = serde_json::from_slice(value.value())?;
            let bucket = key.value().0;
            known.extend(object.pieces.into_iter().map(|piece| (bucket, piece.file)));
        }
        for row in reading.open_table(PARTS)?.iter()? {
            let (key, value) = row?;
            let part: PartEntry = serde_json::from_slice(value.value())?;
            known.insert((key.value().0, part.piece.file));
        }
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?;
            let name = folder.file_name().to_string_lossy().into_owned();
            let Ok(bucket) = u64::from_str_radix(&name, 16) else { continue };
            for file in fs::read_dir(folder.path())? {
                let file = file?;
                let name = file.file_name().to_string_lossy().into_owned();
                if !known.contains(&(bucket, name)) {
                    fs::remove_file(file.path())?;
                }
            }
        }
        Ok(())
    }

    /// Where a file of a bucket is.
    pub(crate) fn path(&self, bucket: u64, file: &str) -> PathBuf {
        self.folder(bucket).join(file)
    }

    /// The folder of a bucket's files.
    pub(crate) fn folder(&self, bucket: u64) -> PathBuf {
        self.folder.join(format!("{bucket:016x}"))
    }

    /// Deletes files; what cannot be deleted goes at the next start.
    pub(crate) fn discard(&self, bucket: u64, pieces: &[Piece]) {
        for piece in pieces {
            if let Err(error) = fs::remove_file(self.path(bucket, &piece.file)) {
                tracing::debug!(file = piece.file, %error, "deleting a file of an object");
            }
        }
    }

    pub(crate) fn get(&self, bucket: u64, key: &str) -> Result<Option<ObjectEntry>, ObjectsError> {
        let reading = self.database.begin_read()?;
        let table = reading.open_table(OBJECTS)?;
        let found = table.get((bucket, key))?;
        found.map(|it| Ok(serde_json::from_slice(it.value())?)).transpose()
    }

    /// Puts an object if the condition holds; what it replaces is gone.
    pub(crate) fn put<E: From<ObjectsError>>(
        &self,
        bucket: u64,
        key: &str,
        object: &ObjectEntry,
        condition: Condition<'_, E>,
    ) -> Result<(), E> {
        let former = self.change(bucket, key, Some(object), None, condition)?;
        self.retire(bucket, former, Some(object));
        Ok(())
    }

    /// Deletes an object if the condition holds; whether it was there.
    pub(crate) fn delete<E: From<ObjectsError>>(
        &self,
        bucket: u64,
        key: &str,
        condition: Condition<'_, E>,
    ) -> Result<bool, E> {
        let former = self.change(bucket, key, None, None, condition)?;
        let was_there = former.is_some();
        self.retire(bucket, former, None);
        Ok(was_there)
    }

    fn retire(&self, bucket: u64, former: Option<ObjectEntry>, now: Option<&ObjectEntry>) {
        let Some(mut former) = former else { return };
        former.pieces.retain(|piece| now.is_none_or(|it| !it.pieces.contains(piece)));
        self.discard(bucket, &former.pieces);
    }

    /// One durable change: the object of a key, and the upload that made it, which ends. What
    /// stood there before is answered.
    fn change<E: From<ObjectsError>>(
        &self,
        bucket: u64,
        key: &str,
        object: Option<&ObjectEntry>,
        upload: Option<&str>,
        condition: Condition<'_, E>,
    ) -> Result<Option<ObjectEntry>, E> {
        let writing = self.database.begin_write().map_err(ObjectsError::from)?;
        let former = {
            let mut table = writing.open_table(OBJECTS).map_err(ObjectsError::from)?;
            let former = table.get((bucket, key)).map_err(ObjectsError::from)?;
            let former: Option<ObjectEntry> = former
                .map(|it| serde_json::from_slice(it.value()))
                .transpose()
                .map_err(ObjectsError::from)?;
            condition(former.as_ref())?;
            match object {
                Some(object) => {
                    let value = serde_json::to_vec(object).map_err(ObjectsError::from)?;
                    table.insert((bucket, key), value.as_slice()).map_err(ObjectsError::from)?;
                }
                None => {
                    table.remove((bucket, key)).map_err(ObjectsError::from)?;
                }
            }
            former
        };
        if let Some(upload) = upload {
            end_upload(&writing, bucket, upload)?;
        }
        writing.commit().map_err(ObjectsError::from)?;
        Ok(former)
    }

    /// Visits objects from a place in the order of keys on. The visitor says where to go on: at
    /// the next key, from another place, or nowhere.
    pub(crate) fn walk(
        &self,
        bucket: u64,
        from: Bound<&str>,
        mut visit: impl FnMut(&str, ObjectEntry) -> Walk,
    ) -> Result<(), ObjectsError> {
        let reading = self.database.begin_read()?;
        let table = reading.open_table(OBJECTS)?;
        let mut from = match from {
            Bound::Included(key) => Bound::Included(key.to_owned()),
            Bound::Excluded(key) => Bound::Excluded(key.to_owned()),
            Bound::Unbounded => Bound::Included(String::new()),
        };
        'places: loop {
            let start = match &from {
                Bound::Included(key) => Bound::Included((bucket, key.as_str())),
                Bound::Excluded(key) => Bound::Excluded((bucket, key.as_str())),
                Bound::Unbounded => Bound::Unbounded,
            };
            let end = match bucket.checked_add(1) {
                Some(next) => Bound::Excluded((next, "")),
                None => Bound::Unbounded,
            };
            for row in table.range::<(u64, &str)>((start, end))? {
                let (key, value) = row?;
                match visit(key.value().1, serde_json::from_slice(value.value())?) {
                    Walk::On => {}
                    Walk::Behind(place) => {
                        from = Bound::Included(place);
                        continue 'places;
                    }
                    Walk::End => return Ok(()),
                }
            }
            return Ok(());
        }
    }

    /// Whether a bucket has neither objects nor uploads.
    pub(crate) fn is_empty(&self, bucket: u64) -> Result<bool, ObjectsError> {
        let mut empty = true;
        self.walk(bucket, Bound::Unbounded, |_, _| {
            empty = false;
            Walk::End
        })?;
        Ok(empty)
    }

    pub(crate) fn begin_upload(
        &self,
        bucket: u64,
        id: &str,
        upload: &Upload,
    ) -> Result<(), ObjectsError> {
        let writing = self.database.begin_write()?;
        let value = serde_json::to_vec(upload)?;
        writing.open_table(UPLOADS)?.insert((bucket, id), value.as_slice())?;
        writing.commit()?;
        Ok(())
    }

    pub(crate) fn upload(&self, bucket: u64, id: &str) -> Result<Option<Upload>, ObjectsError> {
        let reading = self.database.begin_read()?;
        let table = reading.open_table(UPLOADS)?;
        let found = table.get((bucket, id))?;
        found.map(|it| Ok(serde_json::from_slice(it.value())?)).transpose()
    }

    /// The uploads of a bucket by key and id.
    pub(crate) fn uploads(&self, bucket: u64) -> Result<Vec<(String, Upload)>, ObjectsError> {
        let reading = self.database.begin_read()?;
        let mut found = Vec::new();
        for row in reading.open_table(UPLOADS)?.range((bucket, "")..)? {
            let (key, value) = row?;
            if key.value().0 != bucket {
                break;
            }
            found
                .push((key.value().1.to_owned(), serde_json::from_slice::<Upload>(value.value())?));
        }
        found.sort_by(|one, two| (&one.1.key, &one.0).cmp(&(&two.1.key, &two.0)));
        Ok(found)
    }

    /// Puts a part of an upload that is under way; whether it was.
    pub(crate) fn put_part(
        &self,
        bucket: u64,
        id: &str,
        number: i32,
        part: &PartEntry,
    ) -> Result<bool, ObjectsError> {
        let writing = self.database.begin_write()?;
        let former: Option<PartEntry> = {
            if writing.open_table(UPLOADS)?.get((bucket, id))?.is_none() {
                return Ok(false);
            }
            let mut table = writing.open_table(PARTS)?;
            let value = serde_json::to_vec(part)?;
            let former = table.insert((bucket, id, number), value.as_slice())?;
            former.map(|it| serde_json::from_slice(it.value())).transpose()?
        };
        writing.commit()?;
        if let Some(former) = former {
            self.discard(bucket, &[former.piece]);
        }
        Ok(true)
    }

    /// The parts of an upload by number.
    pub(crate) fn parts(&self, bucket: u64, id: &str) -> Result<Vec<NumberedPart>, ObjectsError> {
        let reading = self.database.begin_read()?;
        let table = reading.open_table(PARTS)?;
        let mut found = Vec::new();
        for row in table.range((bucket, id, 0)..=(bucket, id, i32::MAX))? {
            let (key, value) = row?;
            found.push((key.value().2, serde_json::from_slice(value.value())?));
        }
        Ok(found)
    }

    /// Ends an upload with the object that its parts make; parts that are not in it are gone.
    pub(crate) fn complete_upload<E: From<ObjectsError>>(
        &self,
        bucket: u64,
        id: &str,
        key: &str,
        object: &ObjectEntry,
        condition: Condition<'_, E>,
    ) -> Result<(), E> {
        let parts = self.parts(bucket, id)?;
        let former = self.change(bucket, key, Some(object), Some(id), condition)?;
        self.retire(bucket, former, Some(object));
        let unused = parts.into_iter().map(|(_, part)| part.piece);
        let unused: Vec<_> = unused.filter(|piece| !object.pieces.contains(piece)).collect();
        self.discard(bucket, &unused);
        Ok(())
    }

    /// Ends an upload with nothing.
    pub(crate) fn abort_upload(&self, bucket: u64, id: &str) -> Result<(), ObjectsError> {
        let parts: Vec<_> =
            self.parts(bucket, id)?.into_iter().map(|(_, part)| part.piece).collect();
        let writing = self.database.begin_write()?;
        end_upload(&writing, bucket, id)?;
        writing.commit()?;
        self.discard(bucket, &parts);
        Ok(())
    }

    /// Deletes all of the buckets that are no more: index first, then files. `known` is asked
    /// after what is there was found, so that no new bucket is taken for an old one.
    pub(crate) fn sweep(&self, known: impl FnOnce() -> HashSet<u64>) -> Result<(), ObjectsError> {
        let mut there = HashSet::new();
        let reading = self.database.begin_read()?;
        for row in reading.open_table(OBJECTS)?.iter()? {
            there.insert(row?.0.value().0);
        }
        for row in reading.open_table(UPLOADS)?.iter()? {
            there.insert(row?.0.value().0);
        }
        drop(reading);
        for folder in fs::read_dir(&self.folder)? {
            let name = folder?.file_name().to_string_lossy().into_owned();
            there.extend(u64::from_str_radix(&name, 16));
        }
        let known = known();
        let gone: Vec<_> = there.difference(&known).copied().collect();
        if gone.is_empty() {
            return Ok(());
        }
        let writing = self.database.begin_write()?;
        writing.open_table(OBJECTS)?.retain(|key, _| !gone.contains(&key.0))?;
        writing.open_table(UPLOADS)?.retain(|key, _| !gone.contains(&key.0))?;
        writing.open_table(PARTS)?.retain(|key, _| !gone.contains(&key.0))?;
        writing.commit()?;
        for bucket in gone {
            let folder = self.folder(bucket);
            if folder.is_dir() {
                fs::remove_dir_all(folder)?;
            }
        }
        Ok(())
    }
}

/// Where a walk goes on.
pub(crate) enum Walk {
    On,
    /// From the first key that is not before this one.
    Behind(String),
    End,
}

fn end_upload(writing: &redb::WriteTransaction, bucket: u64, id: &str) -> Result<(), ObjectsError> {
    writing.open_table(UPLOADS)?.remove((bucket, id))?;
    let mut parts = writing.open_table(PARTS)?;
    parts.retain_in((bucket, id, 0)..=(bucket, id, i32::MAX), |_, _| false)?;
    Ok(())
}
