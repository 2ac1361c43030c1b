//! The verbs on inodes: what a mount calls.

mod attributes;
mod create;
mod link;
mod look;
mod readdir;
mod remove;
mod rename;
mod xattr;

pub use create::MAX_SYMLINK;
pub(crate) use look::parent_of;
pub use readdir::DirEntry;
pub use rename::RenameFlags;
pub use xattr::XattrMode;
