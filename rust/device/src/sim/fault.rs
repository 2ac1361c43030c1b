//! Operations that fail or go wrong, and damage to what lies on a device.

use std::ops::Range;

/// Which operations an injection counts and can hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `read_at`, `read_device` and `map`.
    Read,
    /// `write_at`, `write_all_at` and `write_durable`.
    Write,
    /// `write_durable` only.
    DurableWrite,
    /// `flush`.
    Flush,
    /// `discard`.
    Discard,
    /// All of them.
    Any,
}

impl Op {
    const fn covers(self, op: Self) -> bool {
        matches!(
            (self, op),
            (Self::Any, _)
                | (Self::Read, Self::Read)
                | (Self::Write, Self::Write | Self::DurableWrite)
                | (Self::DurableWrite, Self::DurableWrite)
                | (Self::Flush, Self::Flush)
                | (Self::Discard, Self::Discard)
        )
    }
}

/// What goes wrong. All but the errors say success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO. A write that fails so may reach the device or not.
    Io,
    /// ENOSPC.
    NoSpace,
    /// A write or discard does nothing.
    Lost,
    /// A write goes to, or a read comes from, another place.
    Misdirected {
        /// Where it goes instead.
        to: u64,
    },
    /// A write writes, or a read returns, zeros.
    Zeroed,
    /// One bit of what is written or returned is the opposite.
    BitFlip {
        /// The bit's number in the buffer, modulo its length.
        bit: u64,
    },
    /// A read returns what was there before the last change of its blocks.
    Stale,
    /// A flush or durable write only says that it made something durable.
    Lie,
}

impl Fault {
    const fn can_hit(self, op: Op) -> bool {
        match self {
            Self::Io => true,
            Self::NoSpace => !matches!(op, Op::Read),
            Self::Lost => matches!(op, Op::Write | Op::DurableWrite | Op::Discard),
            Self::Misdirected { .. } | Self::Zeroed | Self::BitFlip { .. } => {
                matches!(op, Op::Read | Op::Write | Op::DurableWrite)
            }
            Self::Stale => matches!(op, Op::Read),
            Self::Lie => matches!(op, Op::DurableWrite | Op::Flush),
        }
    }
}

/// A fault and when it strikes: by default at the next operation, once.
#[derive(Clone, Debug)]
pub struct Injection {
    op: Op,
    fault: Fault,
    skip: u64,
    lasting: bool,
    within: Option<Range<u64>>,
}

impl Injection {
    /// `fault` at the next operation that `op` covers. Panics if that operation cannot go wrong in this way.
    #[must_use]
    pub fn new(op: Op, fault: Fault) -> Self {
        assert!(fault.can_hit(op), "{fault:?} cannot happen to {op:?}");
        Self { op, fault, skip: 0, lasting: false, within: None }
    }

    /// Lets `n` of the operations that it would hit pass first.
    #[must_use]
    pub const fn after(mut self, n: u64) -> Self {
        self.skip = n;
        self
    }

    /// Strikes at every operation from then on.
    #[must_use]
    pub const fn lasting(mut self) -> Self {
        self.lasting = true;
        self
    }

    /// Strikes (and counts) only operations that touch this range of bytes. A flush touches none.
    #[must_use]
    pub const fn within(mut self, range: Range<u64>) -> Self {
        self.within = Some(range);
        self
    }
}

/// The injections still waiting or lasting.
#[derive(Debug, Default)]
pub(super) struct Injections {
    list: Vec<Injection>,
    pub(super) struck: u64,
}

impl Injections {
    pub(super) fn add(&mut self, injection: Injection) {
        self.list.push(injection);
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// The fault that this operation suffers, if any. Every injection that it could hit counts it.
    pub(super) fn strike(&mut self, op: Op, offset: u64, len: u64) -> Option<Fault> {
        let mut struck = None;
        self.list.retain_mut(|injection| {
            let near = injection.within.as_ref().is_none_or(|range| {
                len > 0 && offset < range.end && range.start < offset.saturating_add(len)
            });
            if !near || !injection.op.covers(op) || struck.is_some() {
                return true;
            }
            if injection.skip > 0 {
                injection.skip -= 1;
                return true;
            }
            struck = Some(injection.fault);
            injection.lasting
        });
        self.struck += u64::from(struck.is_some());
        struck
    }
}

/// Damage to bytes at rest. It is on the device at once and survives every power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit, counted from the offset, is the opposite.
    BitFlip {
        /// The bit's number.
        bit: u64,
    },
    /// Bytes become zero.
    Zeroed {
        /// How many.
        len: u64,
    },
    /// Blocks go back to what they held before their last change.
    Stale {
        /// How many bytes.
        len: u64,
    },
    /// Bytes are replaced by those of another place, as by a write that went astray.
    CopyOf {
        /// The other place.
        from: u64,
        /// How many bytes.
        len: u64,
    },
    /// Bytes become random.
    Garbage {
        /// How many.
        len: u64,
        /// Which random bytes.
        seed: u64,
    },
}
