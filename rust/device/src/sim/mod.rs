//! A device that crashes, fails and lies, for tests.
//!
//! [`SimDevice`] works like any device and records what it was asked for as a [`Trace`]. The trace can produce
//! every state that a power cut may leave behind under the rules of [`Device`](crate::Device): see
//! [`Trace::prefixes`], [`Trace::subsets`] and [`Trace::tears`]. Each state is an [`Image`](crate::Image) that
//! shares its blocks with all others and opens as a `SimDevice` again, so that recovery can be crashed in turn.
//! [`Injection`] makes single operations fail or go wrong; [`Damage`] spoils what lies on the device.

mod crash;
mod device;
mod fault;
mod random;
mod trace;

pub use crash::{CrashState, Sampling, Tear};
pub use device::{Counts, SimDevice};
pub use fault::{Damage, Fault, Injection, Op};
pub use trace::{Event, FlushKind, Trace, WriteKind};
