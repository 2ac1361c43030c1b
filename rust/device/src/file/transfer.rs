//! Whole transfers out of system calls that may do a part of one, or be interrupted.

use std::io::IoSlice;

use rustix::io::Errno;

/// The most buffers that the host takes in one call.
const BUFFERS: usize = 1024;

/// Calls `read` with the rest of the buffer and its place until at least `wanted` bytes are there; `false` if the
/// file ends before. After a short read it goes on at the last multiple of `step`, so that offset and buffer stay
/// aligned to it.
pub(super) fn read_fully(
    buf: &mut [u8],
    offset: u64,
    wanted: usize,
    step: usize,
    mut read: impl FnMut(&mut [u8], u64) -> Result<usize, Errno>,
) -> Result<bool, Errno> {
    let mut done = 0;
    while done < wanted {
        let rest = buf.get_mut(done..).unwrap_or_default();
        match read(rest, offset.saturating_add(done as u64)) {
            Ok(n) if n >= wanted - done => return Ok(true),
            Ok(n) if n >= step => done += n / step * step,
            Ok(_) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(true)
}

/// Calls `write` with what is left and its place until all is written.
pub(super) fn write_fully(
    buf: &[u8],
    offset: u64,
    mut write: impl FnMut(&[u8], u64) -> Result<usize, Errno>,
) -> Result<(), Errno> {
    let mut done = 0;
    while let Some(rest) = buf.get(done..).filter(|rest| !rest.is_empty()) {
        match write(rest, offset.saturating_add(done as u64)) {
            Ok(0) => return Err(Errno::IO),
            Ok(n) => done += n,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// The same for several buffers, one behind the other.
pub(super) fn write_all_fully(
    bufs: &[&[u8]],
    mut offset: u64,
    mut write: impl FnMut(&[IoSlice<'_>], u64) -> Result<usize, Errno>,
) -> Result<(), Errno> {
    for bufs in bufs.chunks(BUFFERS) {
        let mut slices: Vec<IoSlice<'_>> = bufs.iter().map(|b| IoSlice::new(b)).collect();
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match write(rest, offset) {
                Ok(0) => return Err(Errno::IO),
                Ok(n) => {
                    IoSlice::advance_slices(&mut rest, n);
                    offset = offset.saturating_add(n as u64);
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A host that in turn is interrupted and does a part, as `parts` says.
    fn part(parts: &[usize], turn: &mut usize, most: usize) -> Result<usize, Errno> {
        *turn += 1;
        match parts[*turn % parts.len()] {
            0 => Err(Errno::INTR),
            n => Ok(n.min(most)),
        }
    }

    fn parts() -> impl Strategy<Value = Vec<usize>> {
        prop::collection::vec(0..900_usize, 1..6).prop_map(|mut parts| {
            parts.push(1);
            parts
        })
    }

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251) as u8).collect()
    }

    proptest! {
        #[test]
        fn short_and_interrupted_writes_still_write_every_byte_in_its_place(
            len in 0..5000_usize, parts in parts(), cuts in prop::collection::vec(0..3000_usize, 0..8),
        ) {
            let data = content(len);
            let (mut file, mut turn) = (vec![0; 100 + len], 0);
            write_fully(&data, 100, |rest, at| {
                let n = part(&parts, &mut turn, rest.len())?;
                file[at as usize..][..n].copy_from_slice(&rest[..n]);
                Ok(n)
            }).unwrap();
            prop_assert!(file[100..] == data);

            let bufs: Vec<&[u8]> = cuts.iter().map(|cut| &data[..*cut.min(&len)]).collect();
            let all = bufs.concat();
            let (mut file, mut turn) = (vec![0; 100 + all.len()], 0);
            write_all_fully(&bufs, 100, |rest, at| {
                let bytes = rest.iter().flat_map(|s| s.iter().copied()).collect::<Vec<u8>>();
                let n = part(&parts, &mut turn, bytes.len())?;
                file[at as usize..][..n].copy_from_slice(&bytes[..n]);
                Ok(n)
            }).unwrap();
            prop_assert!(file[100..] == all);
        }

        #[test]
        fn short_and_interrupted_reads_still_read_every_byte_and_stay_aligned(
            len in 1..6000_usize, missing in 0..3_usize, parts in parts(), aligned in any::<bool>(),
        ) {
            let step = if aligned { 64 } else { 1 };
            let file = content(len - missing.min(len));
            let (mut buf, mut turn) = (vec![0; len.next_multiple_of(step)], 0);
            let whole = read_fully(&mut buf, 0, len, step, |rest, at| {
                assert!(at.is_multiple_of(step as u64));
                let left = file.len() - (at as usize).min(file.len());
                // At least one step, as a host that does direct I/O gives.
                let n = part(&parts, &mut turn, rest.len())?.max(step).min(left).min(rest.len());
                rest[..n].copy_from_slice(&file[at as usize..][..n]);
                Ok(n)
            }).unwrap();
            prop_assert_eq!(whole, file.len() == len);
            prop_assert!(!whole || buf[..len] == file);
        }
    }

    #[test]
    fn a_host_that_writes_nothing_is_an_error_and_not_a_loop() {
        assert_eq!(write_fully(b"x", 0, |_, _| Ok(0)), Err(Errno::IO));
        assert_eq!(write_all_fully(&[b"", b"x"], 0, |_, _| Ok(0)), Err(Errno::IO));
        assert_eq!(write_all_fully(&[b"", b""], 0, |_, _| Ok(0)), Ok(()));
        assert_eq!(write_fully(b"x", 0, |_, _| Err(Errno::NOSPC)), Err(Errno::NOSPC));
        assert_eq!(read_fully(&mut [0], 0, 1, 1, |_, _| Err(Errno::IO)), Err(Errno::IO));
    }
}
