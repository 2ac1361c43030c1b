//! What an allocation asks for.

use vexfs_format::BlockNo;

use crate::bits::BITS;
use crate::error::{Error, Result};

/// Which free run is chosen where several would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// The lowest one from the goal on: small data, so that consecutive files lie side by side and holes are filled.
    #[default]
    FirstFit,
    /// The shortest one that is long enough: large runs, so that the longest survive for those who need them.
    BestFit,
    /// The lowest one at the alignment: tree nodes and vector rows.
    Aligned,
    /// A power of two at its own alignment, from the smallest free buddy that holds it: power-of-two units.
    Buddy,
    /// The next one behind this thread's last such allocation, going round: logs and streams that never look back.
    NextZero,
}

/// What the blocks are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Class {
    /// File data. Never breaks the last whole units, which the unit floor keeps for [`Class::Meta`].
    #[default]
    Data,
    /// Rows of vectors: as data, counted on their own.
    Vector,
    /// Tree nodes, out-of-line values and lists of a checkpoint: may take all there is.
    Meta,
}

impl Class {
    /// How many classes there are.
    pub(crate) const COUNT: usize = 3;

    pub(crate) const fn respects_floor(self) -> bool {
        !matches!(self, Self::Meta)
    }
}

/// One allocation: a run of `min..=max` blocks, as long as there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The shortest run that is of use.
    pub min: u32,
    /// The longest run that is of use; more than a group's blocks counts as a group's blocks.
    pub max: u32,
    /// The run's first block is a multiple of this power of two.
    pub align: u32,
    /// Which of several free runs.
    pub strategy: Strategy,
    /// Where the run is wanted: usually the block behind what it continues. A run that begins exactly there is
    /// taken even if it has only half of `max`.
    pub goal: Option<BlockNo>,
    /// What it is for.
    pub class: Class,
}

impl Request {
    /// `min..=max` blocks of file data by first fit.
    #[must_use]
    pub const fn data(min: u32, max: u32) -> Self {
        Self { min, max, align: 1, strategy: Strategy::FirstFit, goal: None, class: Class::Data }
    }

    /// Exactly `blocks` blocks of a checkpoint's metadata at a multiple of `align`.
    #[must_use]
    pub const fn meta(blocks: u32, align: u32) -> Self {
        Self { min: blocks, max: blocks, align, strategy: Strategy::Aligned, goal: None, class: Class::Meta }
    }

    /// The same by another strategy.
    #[must_use]
    pub const fn by(self, strategy: Strategy) -> Self {
        Self { strategy, ..self }
    }

    /// The same near a goal.
    #[must_use]
    pub const fn near(self, goal: BlockNo) -> Self {
        Self { goal: Some(goal), ..self }
    }

    /// Checked and brought to what the search understands: `max` within a group; buddies a power of two at
    /// their own alignment.
    pub(crate) fn checked(mut self) -> Result<Self> {
        if !self.align.is_power_of_two() {
            return Err(Error::Alignment { align: self.align });
        }
        if self.min == 0 || self.min > self.max || self.min > BITS {
            return Err(Error::InvalidRequest { min: self.min, max: self.max });
        }
        if self.strategy == Strategy::Buddy {
            self.min = self.min.next_power_of_two();
            self.max = 1 << self.max.ilog2();
            self.max = self.max.max(self.min).min(1 << BITS.ilog2());
            if self.min > self.max {
                return Err(Error::InvalidRequest { min: self.min, max: self.max });
            }
        }
        self.max = self.max.min(BITS);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_means_nothing_is_refused() {
        assert_eq!(Request::data(0, 4).checked().unwrap_err().code(), "invalid_request");
        assert_eq!(Request::data(5, 4).checked().unwrap_err().code(), "invalid_request");
        assert_eq!(Request::data(40000, 50000).checked().unwrap_err().code(), "invalid_request");
        assert_eq!(Request::meta(4, 3).checked().unwrap_err().code(), "alignment");
        assert_eq!(Request::meta(4, 0).checked().unwrap_err().code(), "alignment");
        assert_eq!(Request::data(1, u32::MAX).checked().unwrap().max, BITS);
    }

    #[test]
    fn a_buddy_request_becomes_a_power_of_two() {
        let buddy = Request::data(5, 100).by(Strategy::Buddy).checked().unwrap();
        assert_eq!((buddy.min, buddy.max), (8, 64));
        let exact = Request::data(5, 5).by(Strategy::Buddy).checked().unwrap();
        assert_eq!((exact.min, exact.max), (8, 8));
    }
}
