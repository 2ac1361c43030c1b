//! What is done to the log as a whole: made once, and repeated once by recovery.

use vexfs_device::{AlignedBuf, Device};
use vexfs_format::{BLOCK_SIZE, Lsn};

use crate::error::Result;
use crate::position::{Position, Region};
use crate::scan::Scan;
use crate::view::LogMap;

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

/// A position behind every frame of the volume that the region holds, whether it counts or not. Whoever goes on
/// after damage writes a checkpoint with this position: nothing that lies there can ever count again.
pub fn beyond(device: &dyn Device, region: Region, volume: u64) -> Result<Position> {
    region.check(device)?;
    let log = LogMap::new(device.map(region.offset, region.bytes)?, region);
    let places = (0..region.bytes).step_by(BLOCK_SIZE);
    let frames = places.filter_map(|place| log.header(Lsn(place))).filter(|frame| frame.volume == volume);
    let lsn = frames.map(|frame| frame.end()).max().unwrap_or_default();
    log.map().check()?;
    Ok(Position { lsn, ..Position::START })
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
