//! The stores as the contest sees them: one value under one new key, on the device when `commit` returns.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use vexfs_device::{AlignedBuf, FileDevice};
use vexfs_format::{Key, kinds};
use vexfs_store::{Durability, FormatOptions, Isolation, Options};

use crate::Result;

/// See the head of the file.
pub trait Store: Sync {
    fn commit(&self, key: u64, value: &[u8]) -> Result<()>;
}

type Open = fn(&Path, usize) -> Result<Box<dyn Store>>;

/// Every store: its name, the most threads that make sense, how it is made in a folder for values of a length.
pub fn all() -> Vec<(&'static str, u64, Open)> {
    vec![
        ("vexfs", 16, Volume::open as Open),
        ("raw-dsync", 1, Direct::open as Open),
        ("raw-fdatasync", 1, Append::open as Open),
        #[cfg(feature = "rivals")]
        ("redb", 16, rivals::Redb::open as Open),
        #[cfg(feature = "rivals")]
        ("fjall", 16, rivals::Fjall::open as Open),
    ]
}

/// Our engine, below files: keys and values.
struct Volume(vexfs_store::Store);

impl Volume {
    fn open(folder: &Path, _: usize) -> Result<Box<dyn Store>> {
        let device = Arc::new(FileDevice::create(folder.join("volume"), 2 << 30, false)?);
        vexfs_store::Store::mkfs(device.clone(), &FormatOptions::default())?;
        Ok(Box::new(Self(vexfs_store::Store::open(device, Options::default())?)))
    }
}

impl Store for Volume {
    fn commit(&self, key: u64, value: &[u8]) -> Result<()> {
        let mut transaction = self.0.begin(Isolation::Snapshot)?;
        transaction.put(Key::new(1 << 50 | key, kinds::XATTR, 0), value);
        transaction.commit(Durability::Durable)?;
        Ok(())
    }
}

/// How much of a file of zeros the raw appends go round in.
const FILE_BYTES: u64 = 64 << 20;

/// A file whose blocks are allocated and written, so that an append changes nothing but its bytes.
fn zeroed(folder: &Path, flags: i32) -> Result<File> {
    let path = folder.join("raw");
    let file = File::create(&path)?;
    let zeros = vec![0; 1 << 20];
    for at in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;
    Ok(OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?)
}

/// The floor: one O_DIRECT and O_DSYNC write of whole blocks.
struct Direct(File, usize);

impl Direct {
    fn open(folder: &Path, bytes: usize) -> Result<Box<dyn Store>> {
        Ok(Box::new(Self(zeroed(folder, libc::O_DIRECT | libc::O_DSYNC)?, bytes.next_multiple_of(4096))))
    }
}

impl Store for Direct {
    fn commit(&self, key: u64, value: &[u8]) -> Result<()> {
        let mut buffer = AlignedBuf::zeroed(self.1);
        buffer[..value.len()].copy_from_slice(value);
        Ok(self.0.write_all_at(&buffer, key * self.1 as u64 % FILE_BYTES)?)
    }
}

/// The floor by another way: an append through the page cache, then fdatasync.
struct Append(File);

impl Append {
    fn open(folder: &Path, _: usize) -> Result<Box<dyn Store>> {
        Ok(Box::new(Self(zeroed(folder, 0)?)))
    }
}

impl Store for Append {
    fn commit(&self, key: u64, value: &[u8]) -> Result<()> {
        self.0.write_all_at(value, key * value.len() as u64 % (FILE_BYTES - 4096))?;
        Ok(self.0.sync_data()?)
    }
}

#[cfg(feature = "rivals")]
mod rivals {
    use std::path::Path;

    use super::Store;
    use crate::Result;

    const TABLE: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("values");

    pub struct Redb(redb::Database);

    impl Redb {
        pub fn open(folder: &Path, _: usize) -> Result<Box<dyn Store>> {
            Ok(Box::new(Self(redb::Database::create(folder.join("redb"))?)))
        }
    }

    impl Store for Redb {
        fn commit(&self, key: u64, value: &[u8]) -> Result<()> {
            let transaction = self.0.begin_write()?;
            transaction.open_table(TABLE)?.insert(key, value)?;
            Ok(transaction.commit()?)
        }
    }

    pub struct Fjall(fjall::Database, fjall::Keyspace);

    impl Fjall {
        pub fn open(folder: &Path, _: usize) -> Result<Box<dyn Store>> {
            let database = fjall::Database::builder(folder.join("fjall")).open()?;
            let values = database.keyspace("values", fjall::KeyspaceCreateOptions::default)?;
            Ok(Box::new(Self(database, values)))
        }
    }

    impl Store for Fjall {
        fn commit(&self, key: u64, value: &[u8]) -> Result<()> {
            self.1.insert(key.to_be_bytes(), value)?;
            Ok(self.0.persist(fjall::PersistMode::SyncData)?)
        }
    }
}
