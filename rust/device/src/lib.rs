//! Where the bytes of a volume live: a file or block device, memory, and a simulated device that crashes.
//!
//! All I/O of a volume goes through the one trait [`Device`].
