//! Records in a redb database.

use std::path::Path;
use std::vec::Vec;

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
    /// The file cannot be opened, is in use or is no database; it is as it was.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RedbError> {
        Self::start(Database::create(path)?)
    }

    /// Opens a database on a backend of the caller's.
    ///
    /// # Errors
    /// As [`RedbStorage::open`].
    pub fn on_backend(backend: impl StorageBackend) -> Result<Self, RedbError> {
        Self::start(Database::builder().create_with_backend(backend)?)
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
