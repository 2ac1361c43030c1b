//! Finding free runs in a group's bits, a word at a time.
//!
//! Alignment is of absolute block numbers: a [`Need`] knows the number of the group's first block. Every
//! function answers with a position inside the group that satisfies the whole need, or nothing.

use crate::bits::{BITS, WORD, WORDS, Words};

/// What a run must satisfy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// Free bits in a row.
    pub len: u32,
    /// A power of two that divides the absolute number of the first.
    pub align: u32,
    /// The absolute number of bit 0.
    pub base: u64,
}

impl Need {
    /// The first aligned position at or behind `index`; beyond the group if there is none.
    pub fn aligned(&self, index: u32) -> u32 {
        let rest = (self.base + u64::from(index)) & u64::from(self.align - 1);
        let gap = if rest == 0 { 0 } else { u64::from(self.align) - rest };
        u32::try_from(u64::from(index) + gap).unwrap_or(u32::MAX)
    }

    /// The aligned positions within word `index`.
    fn aligned_mask(&self, index: u32) -> u64 {
        if self.align == 1 {
            return u64::MAX;
        }
        let first = self.aligned(index * WORD) - index * WORD;
        match (first < WORD, self.align) {
            (false, _) => 0,
            (true, WORD..) => 1 << first,
            (true, align) => (u64::MAX / ((1 << align) - 1)) << first,
        }
    }

    const fn with_len(self, len: u32) -> Self {
        Self { len, ..self }
    }
}

/// The first run at or behind `from` that satisfies the need.
pub(crate) fn next_area(bits: &impl Words, from: u32, need: &Need) -> Option<u32> {
    if need.len < WORD - 1 { next_short(bits, from, need) } else { next_long(bits, from, need) }
}

/// Less than a word: both halves of a pair of words at once, by folding the free bits onto the run's first.
fn next_short(bits: &impl Words, from: u32, need: &Need) -> Option<u32> {
    let mut visible = u64::MAX << (from % WORD);
    for index in from / WORD..WORDS {
        let free = !bits.word(index) & visible;
        visible = u64::MAX;
        if free == 0 {
            continue;
        }
        let starts = run_starts(free, !bits.word(index + 1), need.len) & need.aligned_mask(index);
        if starts != 0 {
            return Some(index * WORD + starts.trailing_zeros());
        }
    }
    None
}

/// The bits of `free` at which `len` free bits begin, `next` being the word behind.
fn run_starts(free: u64, next: u64, len: u32) -> u64 {
    let mut pair = u128::from(free) | u128::from(next) << WORD;
    let mut have = 1;
    while have < len {
        let step = have.min(len - have);
        pair &= pair >> step;
        have += step;
    }
    pair as u64
}

/// More than fits between two used bits of a word: such a run touches a word's end, so that only the first and the
/// last used bit of each word matter.
fn next_long(bits: &impl Words, from: u32, need: &Need) -> Option<u32> {
    let mut start = from;
    for index in from / WORD..=WORDS {
        let mut word = bits.word(index);
        if index == from / WORD {
            word &= u64::MAX << (from % WORD);
        }
        if word == 0 {
            continue;
        }
        let end = index * WORD + word.trailing_zeros();
        if start + need.len <= end {
            let first = need.aligned(start);
            if first.saturating_add(need.len) <= end {
                return Some(first);
            }
        }
        start = (index + 1) * WORD - word.leading_zeros();
    }
    None
}

/// The longest aligned run of at least `need.len`, as start and length; the first of equals.
pub(crate) fn largest(bits: &impl Words, need: &Need) -> Option<(u32, u32)> {
    let mut best = None;
    let mut longer = *need;
    let mut from = 0;
    while let Some(start) = next_area(bits, from, &longer) {
        let end = bits.next_used(start).min(BITS);
        best = Some((start, end - start));
        longer = need.with_len(end - start + 1);
        from = end;
    }
    best
}

/// The place in the shortest free run at or behind `from` that satisfies the need; the first of equals.
pub(crate) fn best_fit(bits: &impl Words, mut from: u32, need: &Need) -> Option<u32> {
    let mut best: Option<(u32, u32)> = None;
    while let Some(start) = next_area(bits, from, need) {
        let end = bits.next_used(start).min(BITS);
        let len = end - bits.free_before(start);
        if best.is_none_or(|(_, shortest)| len < shortest) {
            best = Some((start, len));
        }
        if len == need.len {
            break;
        }
        from = end;
    }
    best.map(|(start, _)| start)
}

/// The first piece of the smallest free buddy that holds `need.len`, a power of two; of equals the next one at or
/// behind `from`, going round. A buddy is an aligned power of two of free bits; a small one is used up before a
/// larger one is split.
pub(crate) fn buddy(bits: &impl Words, from: u32, need: &Need) -> Option<u32> {
    let own = Need { align: need.len.max(need.align), ..*need };
    let mut best: Option<(u32, u32)> = None;
    for (first, end) in [(from, BITS), (0, from)] {
        let mut at = first;
        while let Some(start) = next_area(bits, at, &own).filter(|start| *start < end) {
            let (whole, len) = enclosing_buddy(bits, start, &own);
            if best.is_none_or(|(_, smallest)| len < smallest) {
                best = Some((start, len));
            }
            if len == own.len {
                return Some(start);
            }
            at = whole + len;
        }
    }
    best.map(|(start, _)| start)
}

/// The greatest free buddy around the run of `need.len` at `start`.
fn enclosing_buddy(bits: &impl Words, start: u32, need: &Need) -> (u32, u32) {
    let (mut start, mut len) = (start, need.len);
    loop {
        let above = (need.base + u64::from(start)) & u64::from(len) != 0;
        let Some(other) = (if above { start.checked_sub(len) } else { start.checked_add(len) }) else {
            return (start, len);
        };
        if other.saturating_add(len) > BITS || !bits.is_free(other, len) {
            return (start, len);
        }
        start = start.min(other);
        len *= 2;
    }
}

#[cfg(test)]
mod tests;
