//! Records in a redb database.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::vec::Vec;

use redb::backends::FileBackend;
use redb::{Database, ReadableTable, StorageBackend, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Record, Storage};

const RECORDS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("delta-crdt/records/1");

/// Why the embedded store did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedbError {
    /// The database refused. What the call was to write is not there, unless it was the sync that failed.
    #[error("the database failed: {0}")]
    Database(alloc::boxed::Box<redb::Error>),
    /// A record is not one. Nothing was read.
    #[error("record {number} cannot be read: {error}")]
    Record {
        /// Its number.
        number: u64,
        /// What is wrong.
        error: crate::DecodeError,
    },
}

impl<E: Into<redb::Error>> From<E> for RedbError {
    fn from(error: E) -> Self {
        Self::Database(alloc::boxed::Box::new(error.into()))
    }
}

/// A backend whose length is durable before anything that relies on it: redb writes what the file's length is into its header and
/// syncs both at once, and a file that is shorter than its header says does not open again.
#[derive(Debug)]
struct Grown<B>(B);

impl<B: StorageBackend> StorageBackend for Grown<B> {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.0.read(offset, len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)?;
        self.0.sync_data(false)
    }

    fn sync_data(&self, eventual: bool) -> io::Result<()> {
        self.0.sync_data(eventual)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

/// Records in an embedded database: a file of its own, one transaction per append, synced when it returns.
#[derive(Debug)]
pub struct RedbStorage {
    database: Database,
    next: u64,
}

impl RedbStorage {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// The file cannot be opened, is in use or is no database; it is as it was. A crash within the very first `open` may leave a
    /// file that is no database yet: nothing was ever in it, and it may be deleted.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RedbError> {
        let path = path.as_ref();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        // The name of a new file is durable once its folder was synced.
        #[cfg(unix)]
        if file.metadata()?.len() == 0
            && let Some(folder) = path.parent()
        {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            std::fs::File::open(folder)?.sync_all()?;
        }
        Self::on_backend(FileBackend::new(file)?)
    }

    /// Opens a database on a backend of the caller's.
    ///
    /// # Errors
    /// As [`RedbStorage::open`].
    pub fn on_backend(backend: impl StorageBackend) -> Result<Self, RedbError> {
        Self::start(Database::builder().create_with_backend(Grown(backend))?)
    }

    fn start(database: Database) -> Result<Self, RedbError> {
        let mut storage = Self { database, next: 0 };
        storage.next = storage.read(|number, _| Ok(number + 1))?.last().copied().unwrap_or(0);
        Ok(storage)
    }

    fn read<T>(&self, mut item: impl FnMut(u64, &[u8]) -> Result<T, RedbError>) -> Result<Vec<T>, RedbError> {
        let transaction = self.database.begin_read()?;
        let table = match transaction.open_table(RECORDS) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            table => table?,
        };
        let mut items = Vec::new();
        for entry in table.iter()? {
            let (number, bytes) = entry?;
            items.push(item(number.value(), bytes.value())?);
        }
        Ok(items)
    }

    fn write<K: Serialize, V: Serialize>(
        &mut self,
        records: &[Record<K, V>],
        afresh: bool,
    ) -> Result<(), RedbError> {
        let transaction = self.database.begin_write()?;
        let mut next = self.next;
        {
            let mut table = transaction.open_table(RECORDS)?;
            if afresh {
                table.retain(|_, _| false)?;
            }
            for record in records {
                table.insert(next, &crate::encode(record)[..])?;
                next += 1;
            }
        }
        transaction.commit()?;
        self.next = next;
        Ok(())
    }
}

impl<K, V> Storage<K, V> for RedbStorage
where
    K: Serialize + DeserializeOwned,
    V: Serialize + DeserializeOwned,
{
    type Error = RedbError;

    fn load(&mut self) -> Result<Vec<Record<K, V>>, RedbError> {
        self.read(|number, bytes| crate::decode(bytes).map_err(|error| RedbError::Record { number, error }))
    }

    fn append(&mut self, records: &[Record<K, V>]) -> Result<(), RedbError> {
        if records.is_empty() {
            return Ok(());
        }
        self.write(records, false)
    }

    fn replace(&mut self, snapshot: &[Record<K, V>]) -> Result<(), RedbError> {
        self.write(snapshot, true)
    }
}
