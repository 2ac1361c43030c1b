//! A tool that knows the format and damages volumes: to prove that the checker finds each kind of damage.
//!
//! Whatever lies around a damage is made right again (checksums, pointers, counts), so that it is found by what it
//! says. A [`Damage`] is a name, what it does, the volume that it needs, and the numbers of all that the checker
//! must find, and nothing else.

#![allow(clippy::indexing_slicing, missing_docs, reason = "it changes healthy volumes, for tests")]

mod chains;
mod items;
mod outer;
mod sample;
mod scramble;
mod table;
mod tree;
mod volume;

use std::sync::Arc;

use vexfs_device::Device;

pub use sample::{BYTES, Sample, change, fresh, image, make};
pub use scramble::scramble;
pub use table::damages;
use volume::Volume;

/// The result of doing damage.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a damage could not be done.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The sample could not be made.
    #[error("the sample volume could not be made: {0}")]
    Sample(String),
    /// The volume has nothing that could be damaged so.
    #[error("the volume lacks {0}")]
    Lacks(&'static str),
    /// The device or the format refused.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    fn refused(error: impl std::fmt::Display) -> Self {
        Self::Refused(error.to_string())
    }
}

/// A way to damage a volume.
#[derive(Clone, Copy, Debug)]
pub struct Damage {
    /// Its name.
    pub name: &'static str,
    /// The volume that it needs.
    pub needs: Sample,
    /// The numbers of what the checker finds, with data.
    pub finds: &'static [u16],
    make: fn(&mut Volume) -> Result<()>,
}

impl Damage {
    /// Does it to the healthy volume on `device`, which has no log to be replayed unless it is needed.
    ///
    /// # Errors
    /// The volume has nothing that could be damaged so, or the device fails.
    pub fn inflict(&self, device: &Arc<dyn Device>) -> Result<()> {
        (self.make)(&mut Volume::open(Arc::clone(device))?)
    }
}
