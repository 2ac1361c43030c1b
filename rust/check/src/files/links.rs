//! Link counts and types of all inodes, as their records and as entries say them: 9 bytes for each inode number, in
//! pages of 256 numbers. Each fact may come first, from any thread.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU32};

use vexfs_format::{FileType, GROUP_BLOCKS};

const PAGE: usize = 256;
const PAGES: usize = GROUP_BLOCKS as usize / PAGE;

struct Page {
    said: [AtomicU32; PAGE],
    found: [AtomicU32; PAGE],
    /// The record's type in the lower half, that of the entries in the upper.
    types: [AtomicU8; PAGE],
}

type Group = [OnceLock<Box<Page>>; PAGES];

/// The type of an inode whose record is none, and of entries that do not agree.
const UNKNOWN: u8 = 15;

/// See the head of the file.
pub(crate) struct Links {
    groups: Box<[OnceLock<Box<Group>>]>,
}

/// What is said of one inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub ino: u64,
    /// Links that its record says; 0 without one.
    pub said: u32,
    /// Entries that lead to it.
    pub found: u32,
    record: u8,
    entries: u8,
}

impl Link {
    /// Whether there is a record, whatever it says.
    pub fn exists(&self) -> bool {
        self.record != 0
    }

    /// The type by its record.
    pub fn file_type(&self) -> Option<FileType> {
        FileType::from_number(self.record)
    }

    /// Whether all entries say the type that the record says.
    pub fn types_agree(&self) -> bool {
        self.entries == 0 || self.record == UNKNOWN || self.entries == self.record
    }
}

impl Links {
    /// Of nothing anything is known, in so many groups.
    pub fn new(groups: u32) -> Self {
        Self { groups: (0..groups).map(|_| OnceLock::new()).collect() }
    }

    /// A record says this; `None`: there is one, but it is none.
    pub fn record(&self, ino: u64, record: Option<(FileType, u32)>) {
        let Some((page, index)) = self.page(ino) else { return };
        let (file_type, links) = record.map_or((UNKNOWN, 0), |(file_type, links)| (file_type as u8, links));
        if let (Some(said), Some(types)) = (page.said.get(index), page.types.get(index)) {
            said.store(links, Relaxed);
            types.fetch_or(file_type, Relaxed);
        }
    }

    /// An entry leads there.
    pub fn entry(&self, ino: u64, file_type: FileType) {
        let Some((page, index)) = self.page(ino) else { return };
        let (Some(found), Some(types)) = (page.found.get(index), page.types.get(index)) else { return };
        found.fetch_add(1, Relaxed);
        let _ = types.fetch_update(Relaxed, Relaxed, |types| {
            let said = match types >> 4 {
                0 => file_type as u8,
                before if before == file_type as u8 => before,
                _ => UNKNOWN,
            };
            Some(types & 0x0f | said << 4)
        });
    }

    /// All numbers of which anything is known, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Link> + '_ {
        let groups = (0_u64..).zip(&self.groups).filter_map(|(group, pages)| Some((group, pages.get()?)));
        let pages = groups.flat_map(|(group, pages)| {
            let first = group * u64::from(GROUP_BLOCKS);
            (0_u64..)
                .zip(pages.iter())
                .filter_map(move |(page, slot)| Some((first + page * PAGE as u64, slot.get()?)))
        });
        pages.flat_map(|(first, page)| {
            (0..PAGE).filter_map(move |index| {
                let types = page.types.get(index)?.load(Relaxed);
                let said = page.said.get(index)?.load(Relaxed);
                let found = page.found.get(index)?.load(Relaxed);
                let link = Link {
                    ino: first + index as u64,
                    said,
                    found,
                    record: types & 0x0f,
                    entries: types >> 4,
                };
                (types != 0).then_some(link)
            })
        })
    }

    fn page(&self, ino: u64) -> Option<(&Page, usize)> {
        let group = usize::try_from(ino / u64::from(GROUP_BLOCKS)).ok()?;
        let within = (ino % u64::from(GROUP_BLOCKS)) as usize;
        let pages =
            self.groups.get(group)?.get_or_init(|| Box::new(std::array::from_fn(|_| OnceLock::new())));
        let page = pages.get(within / PAGE)?.get_or_init(|| {
            Box::new(Page {
                said: std::array::from_fn(|_| AtomicU32::new(0)),
                found: std::array::from_fn(|_| AtomicU32::new(0)),
                types: std::array::from_fn(|_| AtomicU8::new(0)),
            })
        });
        Some((page, within % PAGE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_and_entries_meet_in_any_order() {
        let links = Links::new(2);
        links.entry(40_000, FileType::Regular);
        links.entry(40_000, FileType::Regular);
        links.record(40_000, Some((FileType::Regular, 2)));
        links.record(17, None);
        links.entry(18, FileType::Directory);
        links.entry(18, FileType::Fifo);
        links.record(1 << 40, Some((FileType::Regular, 1)));
        let all: Vec<Link> = links.iter().collect();
        assert_eq!(
            all.iter().map(|link| (link.ino, link.said, link.found)).collect::<Vec<_>>(),
            [(17, 0, 0), (18, 0, 2), (40_000, 2, 2)]
        );
        assert_eq!(all.iter().map(Link::exists).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(all.iter().map(Link::types_agree).collect::<Vec<_>>(), [true, false, true]);
    }
}
