//! An aged volume still keeps files in one piece.

use vexfs_format::{BlockNo, BlockRun};
use vexfs_space::{Request, Space, Strategy};

use crate::common::{GROUP, Numbers, fresh};

const MIB: u64 = 256;

struct File {
    blocks: u64,
    runs: Vec<BlockRun>,
}

/// Writes a file the way one large write does: runs of at most 1 MiB, each wanted behind the last.
fn write(space: &Space, blocks: u64) -> Option<File> {
    let mut file = File { blocks, runs: Vec::new() };
    let mut left = blocks;
    while left > 0 {
        let max = left.min(MIB) as u32;
        let strategy = if max > 16 { Strategy::BestFit } else { Strategy::FirstFit };
        let goal = file.runs.last().map(|run| BlockNo(run.end()));
        match space.alloc(&Request { goal, ..Request::data(1, max) }.by(strategy)) {
            Ok(run) => {
                left -= u64::from(run.len);
                file.runs.push(run);
            }
            Err(error) => {
                assert_eq!(error.code(), "no_space");
                remove(space, &file);
                return None;
            }
        }
    }
    Some(file)
}

fn remove(space: &Space, file: &File) {
    file.runs.iter().for_each(|run| space.release(*run).unwrap());
}

/// Fills to 90 %, deletes half at random, refills; ten times. The average number of extents of 1 MiB files.
fn age(sizes: impl Fn(&mut Numbers) -> u64) -> f64 {
    let (_, space) = fresh(8 * GROUP);
    let all = space.free_blocks();
    let mut numbers = Numbers(2026);
    let mut files: Vec<File> = Vec::new();
    for _ in 0..10 {
        while space.free_blocks() * 10 > all {
            files.extend(write(&space, sizes(&mut numbers)));
        }
        for _ in 0..files.len() / 2 {
            let file = files.swap_remove(numbers.below(files.len() as u64) as usize);
            remove(&space, &file);
        }
    }
    while space.free_blocks() * 10 > all {
        files.extend(write(&space, sizes(&mut numbers)));
    }
    let counts: Vec<usize> =
        files.iter().filter(|file| file.blocks == MIB).map(|file| file.runs.len()).collect();
    counts.iter().sum::<usize>() as f64 / counts.len() as f64
}

#[test]
fn files_of_1_mib_average_at_most_two_extents_among_their_like() {
    let extents = age(|_| MIB);
    assert!(extents <= 2.0, "{extents}");
}

#[test]
fn files_of_1_mib_average_at_most_two_extents_among_files_of_all_sizes() {
    // Half of the files have 1 MiB, the others 4 KiB to 4 MiB, each power of two as likely as the next.
    let extents = age(|numbers| match numbers.below(2) {
        0 => MIB,
        _ => {
            let most = 1 << numbers.below(11);
            1 + numbers.below(most)
        }
    });
    println!("extents of a file of 1 MiB among all sizes: {extents:.2}");
    assert!(extents <= 2.0, "{extents}");
}
