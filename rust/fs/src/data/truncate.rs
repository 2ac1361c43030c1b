//! Making a file shorter or longer, and the removal of what is behind its end, in steps of bounded size.

use vexfs_format::orphan::Work;
use vexfs_format::{FileType, Ino, Inode, Orphan};
use vexfs_store::Read;

use super::blocks::Source;
use super::edit::{self, Which};
use super::editor::{self, Editor};
use super::{BLOCK, MAX_BLOCKS, tail};
use crate::{FsTx, Result, keys};

impl Editor<'_> {
    /// Sets the file's length. What comes to lie behind the end is gone; what is added is a hole.
    ///
    /// If more has to be removed than fits one transaction, an orphan item says so, and it is removed after the
    /// commit.
    pub fn truncate(mut self, size: u64) -> Result<()> {
        Self::check_size(Some(size))?;
        match size < self.size() {
            true => self.shorten(size)?,
            false => self.lengthen(size)?,
        }
        self.own(size);
        Ok(())
    }

    fn shorten(&mut self, size: u64) -> Result<()> {
        let last = size / BLOCK;
        let mut bytes = vec![0; (size % BLOCK) as usize];
        self.read(last * BLOCK, &mut bytes)?;
        let old_tail = self.tail()?.map(|(block, _)| block);
        if let Some(block) = old_tail {
            self.delete_tail(block);
        }
        let holds_data = old_tail == Some(last) || edit::holds_data(&self.tx.store, self.ino, last)?;
        if !size.is_multiple_of(BLOCK) && holds_data {
            match tail::block(size) {
                Some(block) => {
                    self.remove(block..block + 1, Which::All)?;
                    self.put_tail(block, &bytes);
                }
                None => {
                    self.tx.grows();
                    self.place(last..last + 1, &Source::new(&bytes))?;
                }
            }
        }
        let mut budget = self.tx.fs().removal_budget();
        self.remove_some(&(size.div_ceil(BLOCK)..MAX_BLOCKS), Which::All, &mut budget)?;
        // An inode without a name has an orphan item already, which has all of it removed.
        if budget == 0 && self.inode.nlink > 0 {
            let orphan = Orphan { generation: self.inode.generation, work: Work::Truncate { size } };
            self.tx.store.put(keys::orphan(self.ino), orphan.encode());
            self.tx.finish_after_commit(self.ino);
        }
        Ok(())
    }

    fn lengthen(&mut self, size: u64) -> Result<()> {
        self.tx.grows();
        if let Some((block, _)) = self.tail()?
            && tail::block(size) != Some(block)
        {
            self.settle_tail()?;
        }
        self.extend(size.div_ceil(BLOCK))
    }
}

/// Removes up to `budget` extents of an inode without a name, and what it has in the tree; says whether all are gone.
/// Whoever still writes it conflicts with the loss of its name, or with its end.
pub(crate) fn remove_some(tx: &mut FsTx, ino: Ino, inode: &Inode, budget: &mut usize) -> Result<bool> {
    let inline = match inode.file_type {
        FileType::Symlink => Some(0),
        FileType::Regular => tail::block(inode.size),
        _ => None,
    };
    if let Some(key) = inline.map(|block| keys::inline(ino, block * BLOCK))
        && tx.store.get(key)?.is_some()
    {
        tx.store.delete(key);
    }
    remove_behind(tx, ino, inode, 0, budget)
}

/// Removes up to `budget` extents behind `size` and the end of the file, the last first; says whether all are gone.
pub(crate) fn truncate_some(
    tx: &mut FsTx,
    ino: Ino,
    inode: &Inode,
    size: u64,
    budget: &mut usize,
) -> Result<bool> {
    editor::touch_shape(tx, ino);
    remove_behind(tx, ino, inode, size.max(inode.size).div_ceil(BLOCK), budget)
}

fn remove_behind(tx: &mut FsTx, ino: Ino, inode: &Inode, block: u64, budget: &mut usize) -> Result<bool> {
    if inode.blocks == 0 {
        return Ok(true);
    }
    let lost = edit::remove(&mut tx.store, ino, &(block..MAX_BLOCKS), Which::All, budget)?;
    if lost > 0 {
        tx.put_inode(ino, &Inode { blocks: inode.blocks.saturating_sub(lost), ..*inode });
    }
    Ok(*budget > 0)
}
