//! Reading beside a process that writes: the last checkpoint, until its blocks are used again.
//!
//! Such a reader holds nothing back: the writer does not know of it. So what it reads may be overwritten; the
//! checksums show that, and the ring shows whether it is damage or the reader has fallen behind.

use std::sync::Arc;

use vexfs_format::Seq;

use crate::open::{newest_checkpoint, root_of};
use crate::options::Mode;
use crate::retention::Retention;
use crate::state::State;
use crate::store::{Inner, Store};
use crate::{Error, Result};

/// How often the ring is read again before damage is believed.
const ATTEMPTS: usize = 3;

impl Store {
    /// Moves a store that reads beside a writer to the newest checkpoint; says whether there was a newer one.
    /// Views that are open stay where they are. Other stores always see what is newest.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`] and the device.
    pub fn refresh(&self) -> Result<bool> {
        let inner = &self.inner;
        if inner.options.mode != Mode::Beside {
            return Ok(false);
        }
        let mut seen = inner.seen.lock();
        let newest = newest_checkpoint(&*inner.device, &inner.geometry, inner.superblock.volume())?;
        if newest.id <= seen.id {
            return Ok(false);
        }
        inner.state.store(Arc::new(State { active: Arc::default(), frozen: None, root: root_of(&newest) }));
        inner.publish(newest.seq);
        *seen = newest;
        Ok(true)
    }

    /// Whether the checkpoint that a reader at `seq` sees beside a writer is no longer kept: then what looks like
    /// damage may be blocks that were used again, and [`Store::refresh`] is the remedy.
    #[must_use]
    pub fn has_fallen_behind(&self, seq: Seq) -> bool {
        self.inner.has_fallen_behind(seq)
    }
}

impl Inner {
    fn has_fallen_behind(&self, seq: Seq) -> bool {
        self.options.mode == Mode::Beside && (0..ATTEMPTS).find_map(|_| self.keeps(seq).ok()) == Some(false)
    }

    /// Whether what is seen at `seq` is kept. An error is no answer: the list may have been replaced while it was read.
    fn keeps(&self, seq: Seq) -> Result<bool> {
        let volume = self.superblock.volume();
        let newest = newest_checkpoint(&*self.device, &self.geometry, volume)?;
        if newest.seq == seq {
            return Ok(true);
        }
        let kept = Retention::load(&*self.device, &self.geometry, volume, newest.retention)?;
        Ok(kept.holds_seq(seq))
    }

    /// What an error of reading at `seq` means: beside a writer it may be the reader who is late.
    pub(crate) fn explain(&self, seq: Seq, error: Error) -> Error {
        match self.has_fallen_behind(seq) {
            true => Error::FellBehind,
            false => error,
        }
    }
}
