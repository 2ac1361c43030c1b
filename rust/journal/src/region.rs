//! What is done to the log as a whole: made once, and repeated once by recovery.

use vexfs_device::{AlignedBuf, Device};
use vexfs_format::Lsn;

use crate::error::Result;
use crate::position::Region;
use crate::scan::Scan;

/// Bytes of one write.
const PIECE: u64 = 1 << 20;

/// Writes zeros over the whole region, so that no commit ever allocates space on the host. Does not flush.
pub fn format(device: &dyn Device, region: Region) -> Result<()> {
    region.check(device)?;
    let zeros = AlignedBuf::zeroed(PIECE as usize);
    let mut done = 0;
    while done < region.bytes {
        let piece = PIECE.min(region.bytes.saturating_sub(done));
        let bytes = zeros.get(..usize::try_from(piece).unwrap_or(0)).unwrap_or_default();
        device.write_at(bytes, region.offset.saturating_add(done))?;
        done = done.saturating_add(piece);
    }
    Ok(())
}

/// Writes the accepted frames from position `from` on once more, where they are: after a flush all of the log up
/// to its end is durable, whatever became of the writes before the crash. Returns how many bytes; does not flush.
pub fn rewrite<T>(device: &dyn Device, scan: &Scan<T>, from: Lsn) -> Result<u64> {
    let region = scan.log.region();
    let mut buffer = AlignedBuf::new();
    let mut at = scan.frames.iter().map(|frame| frame.lsn).find(|&lsn| lsn >= from).unwrap_or(scan.end.lsn);
    let begin = at;
    while at < scan.end.lsn {
        let left = scan.end.lsn.0.saturating_sub(at.0);
        let piece = PIECE.min(left).min(region.rest(at));
        let Some(bytes) = scan.log.bytes(at, piece) else { break };
        buffer.clear();
        buffer.extend_from_slice(bytes);
        device.write_at(&buffer, region.device_offset(at))?;
        at = Lsn(at.0.saturating_add(piece));
    }
    Ok(at.0.saturating_sub(begin.0))
}
