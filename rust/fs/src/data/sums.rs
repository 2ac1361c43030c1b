//! Island of unsafe code: the checksums of many blocks, as fast as the processor can.
//!
//! Its instruction for CRC32C takes three cycles and can begin in each, so that three blocks side by side cost hardly
//! more than one, and no parts need to be put together as for three parts of one block.

#![allow(unsafe_code, reason = "an instruction that not every processor has")]

use vexfs_format::BLOCK_SIZE;

type Block = [u8; BLOCK_SIZE];

/// Sets `sums` to the checksums of the blocks of `bytes`; there are as many of one as of the other.
pub(crate) fn of_blocks(bytes: &[u8], sums: &mut [u32]) {
    let (blocks, _) = bytes.as_chunks::<BLOCK_SIZE>();
    debug_assert_eq!(blocks.len(), sums.len(), "a sum for each block");
    let (threes, rest) = blocks.as_chunks::<3>();
    let (sums_of_threes, sums_of_rest) = sums.as_chunks_mut::<3>();
    for (sums, blocks) in sums_of_threes.iter_mut().zip(threes) {
        *sums = of_three(blocks);
    }
    for (sum, block) in sums_of_rest.iter_mut().zip(rest) {
        *sum = crc32c::crc32c(block);
    }
}

#[cfg(target_arch = "x86_64")]
fn of_three(blocks: &[Block; 3]) -> [u32; 3] {
    match std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor has the instruction.
        true => unsafe { side_by_side(blocks) },
        false => blocks.each_ref().map(|block| crc32c::crc32c(block)),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn of_three(blocks: &[Block; 3]) -> [u32; 3] {
    blocks.each_ref().map(|block| crc32c::crc32c(block))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn side_by_side([a, b, c]: &[Block; 3]) -> [u32; 3] {
    let step = |sum, word: &[u8; 8]| std::arch::x86_64::_mm_crc32_u64(sum, u64::from_le_bytes(*word));
    let mut sums = [u64::from(u32::MAX); 3];
    for ((a, b), c) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0).zip(c.as_chunks::<8>().0) {
        let [x, y, z] = sums;
        sums = [step(x, a), step(y, b), step(z, c)];
    }
    sums.map(|sum| !(sum as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_single_blocks_for_any_number_of_them() {
        let mut state = 1_u32;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(0x9e37_79b1).wrapping_add(1);
            (state >> 24) as u8
        })
        .take(8 * BLOCK_SIZE)
        .collect();
        for count in 0..=8 {
            let mut sums = vec![0; count];
            of_blocks(&bytes[..count * BLOCK_SIZE], &mut sums);
            let single: Vec<u32> = bytes.chunks(BLOCK_SIZE).take(count).map(crc32c::crc32c).collect();
            assert_eq!(sums, single);
        }
    }
}
