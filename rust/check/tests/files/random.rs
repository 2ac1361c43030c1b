//! A small generator, so that a run is its seed. `VEXFS_SEED` gives others than those of every day.

pub struct Random(pub u64);

/// The seed of a run that has number `own` among those of its test.
pub fn seed(own: u64) -> u64 {
    let given = std::env::var("VEXFS_SEED").map_or(0, |text| text.parse().expect("VEXFS_SEED is a number"));
    own ^ u64::wrapping_mul(given, 0xd134_2543_de82_ef95)
}

impl Random {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.word() % n
    }

    pub fn one_of<T>(&mut self, mut list: Vec<T>) -> Option<T> {
        (!list.is_empty()).then(|| list.swap_remove(self.below(list.len() as u64) as usize))
    }
}
