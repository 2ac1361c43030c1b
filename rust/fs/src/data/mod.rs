//! The bytes of files.

use vexfs_format::{Extent, Ino, Inode, Key, kinds};
use vexfs_store::Read;

use crate::{Error, FsTx, Result};

/// What is kept in memory for an inode while somebody holds it.
#[derive(Debug, Default)]
pub struct FileState {}

/// Removes up to `budget` items of the data of an inode without a name; says whether all are gone.
pub(crate) fn remove_some(tx: &mut FsTx, ino: Ino, inode: &Inode, budget: &mut usize) -> Result<bool> {
    truncate_some(tx, ino, inode, 0, budget)
}

/// Removes up to `budget` items that lie wholly at or behind `size`, the last first; says whether all are gone.
pub(crate) fn truncate_some(tx: &mut FsTx, ino: Ino, inode: &Inode, size: u64, budget: &mut usize) -> Result<bool> {
    let mut inode = *inode;
    for kind in [kinds::EXTENT, kinds::INLINE] {
        let (from, to) = (Key::new(ino.0, kind, size), Key::new(ino.0, kind, u64::MAX));
        let items: Vec<_> = tx.store.range_rev(from, to).take(*budget).collect::<Result<_, _>>()?;
        *budget -= items.len();
        for (key, value) in items {
            if kind == kinds::EXTENT {
                let extent = Extent::parse(key.offset, &value).map_err(|source| Error::Damaged { ino, source })?;
                tx.store.free(extent.run, extent.birth);
                inode.blocks = inode.blocks.saturating_sub(extent.run.len.into());
            }
            tx.store.delete(key);
        }
    }
    tx.put_inode(ino, &inode);
    Ok(*budget > 0)
}
