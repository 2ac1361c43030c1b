//! What every reader can do, whether it reads a view or a transaction.

use vexfs_format::{Key, Seq};

use crate::{Result, Value};

/// Reading keys as of one moment.
pub trait Read {
    /// The value of `key`; `None` if there is none.
    ///
    /// # Errors
    /// A corrupt or unreadable block on the way.
    fn get(&self, key: Key) -> Result<Option<Value>>;

    /// The items from `from` to `to`, both included, in ascending key order.
    fn range(&self, from: Key, to: Key) -> Items<'_>;

    /// The items from `to` down to `from`, both included, in descending key order.
    fn range_rev(&self, from: Key, to: Key) -> Items<'_>;

    /// The moment that is read.
    fn seq(&self) -> Seq;

    /// Whether it counts what was read, because a change of it would be a conflict.
    fn is_watched(&self) -> bool {
        false
    }

    /// Whether what is read may change under the reader, as a transaction does by its own writes.
    fn may_change(&self) -> bool {
        false
    }

    /// To be called before blocks are read that only this reader knows of: those that a transaction took.
    ///
    /// # Errors
    /// The device.
    fn settle(&self) -> Result<()> {
        Ok(())
    }
}

/// An iterator over items; after an error it ends.
pub type Items<'a> = Box<dyn Iterator<Item = Result<(Key, Value)>> + Send + 'a>;
