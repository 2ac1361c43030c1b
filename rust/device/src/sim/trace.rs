//! What a device was asked for, in order.

use std::fmt;
use std::sync::Arc;

use super::crash::{CrashState, Rules, Sampling};
use crate::Image;

/// How a write was made, and so when its bytes are sure to be on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteKind {
    /// Ordinary: settled by the next flush.
    Cached,
    /// A durable write: settled when it returned.
    Durable,
    /// A durable write that returned although its bytes were only cached.
    DurableLie,
    /// It returned an error: its bytes may have reached the device or not, and nobody reads them before a crash.
    Failed,
    /// Not written by anybody: damage done to the device, which is there at once.
    Damage,
}

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushKind {
    /// It settled everything before it that no failed flush had given up.
    Honest,
    /// It said so and settled nothing.
    Lie,
    /// It returned an error: what was not yet settled never will be by a flush.
    Failed,
}

/// One thing that a device was asked for.
#[derive(Clone, Debug)]
pub enum Event {
    /// Bytes were written.
    Write {
        /// Where.
        offset: u64,
        /// What.
        data: Arc<[u8]>,
        /// How.
        kind: WriteKind,
    },
    /// A range was given back; whether it reads as zeros now or as before.
    Discard {
        /// Where it begins.
        offset: u64,
        /// How long it is.
        len: u64,
        /// Whether it reads as zeros.
        zeros: bool,
    },
    /// A flush.
    Flush(FlushKind),
}

impl Event {
    /// Whether it can change what the device holds.
    #[must_use]
    pub const fn changes_bytes(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Discard { .. })
    }

    /// Where it changes bytes, and how many.
    #[must_use]
    pub fn range(&self) -> Option<(u64, u64)> {
        match self {
            Self::Write { offset, data, .. } => Some((*offset, data.len() as u64)),
            Self::Discard { offset, len, .. } => Some((*offset, *len)),
            Self::Flush(_) => None,
        }
    }

    pub(super) fn apply(&self, image: &mut Image) {
        match self {
            Self::Write { offset, data, .. } => image.write(data, *offset),
            Self::Discard { offset, len, zeros: true } => image.zero(*offset, *len),
            Self::Discard { .. } | Self::Flush(_) => {}
        }
    }

    /// Whether a reader of the living device sees it.
    pub(super) const fn is_visible(&self) -> bool {
        !matches!(self, Self::Write { kind: WriteKind::Failed, .. })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { offset, data, kind } => {
                write!(f, "write({kind:?}) {} bytes at {offset}", data.len())
            }
            Self::Discard { offset, len, .. } => write!(f, "discard {len} bytes at {offset}"),
            Self::Flush(kind) => write!(f, "flush({kind:?})"),
        }
    }
}

/// What a device held at first, and everything that it was asked for since.
#[derive(Clone, Debug)]
pub struct Trace {
    pub(super) base: Image,
    pub(super) events: Vec<Event>,
}

impl Trace {
    /// What the device held before the first event.
    #[must_use]
    pub const fn base(&self) -> &Image {
        &self.base
    }

    /// The events in order. An event's number is its place here.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Every state in which the power fails between two events and nothing is lost: one state in front of each
    /// event that changes bytes, and one at the end.
    pub fn prefixes(&self) -> impl Iterator<Item = (CrashState, Image)> + '_ {
        super::crash::prefixes(self)
    }

    /// States in which any of the writes not yet settled are lost: all subsets of up to
    /// [`Sampling::exhaustive`] of them, else a sample.
    ///
    /// They are made just before each flush and each durable write takes effect (that write may itself have got
    /// through) and at the end; every subset at any other moment is one of these.
    pub fn subsets(&self, sampling: Sampling) -> impl Iterator<Item = (CrashState, Image)> + '_ {
        super::crash::subsets(self, sampling)
    }

    /// States in which one write is torn between two sectors of 512 bytes: each write while it is under way with
    /// all before it on the device, and each still unsettled later, with others lost at random.
    pub fn tears(&self, sampling: Sampling) -> impl Iterator<Item = (CrashState, Image)> + '_ {
        super::crash::tears(self, sampling)
    }

    /// Makes one state again from its description.
    #[must_use]
    pub fn image(&self, state: &CrashState) -> Image {
        Rules::of(self).image(state)
    }
}
