//! Chance that can be had again: the same seed makes the same cases on every machine.

/// A small generator (SplitMix64): no cryptography, one number of state.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent generator, so that what one part draws doesn't move the others.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        let drawn = self.next().checked_rem(end).unwrap_or(0);
        usize::try_from(drawn).unwrap_or(0)
    }

    /// A number from `first` to `last`.
    pub(crate) fn between(&mut self, first: usize, last: usize) -> usize {
        let width = last.saturating_sub(first).saturating_add(1);
        first.saturating_add(self.below(width))
    }

    /// Yes in so many of a hundred cases.
    pub(crate) fn percent(&mut self, yes: usize) -> bool {
        self.below(100) < yes
    }

    /// One of a list.
    #[expect(
        clippy::indexing_slicing,
        reason = "drawn below the length; an empty list is a mistake of the generator"
    )]
    pub(crate) fn pick<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.below(list.len())]
    }

    /// One of a list, each as often as its weight says.
    pub(crate) fn weighted<'l, T>(&mut self, list: &'l [(usize, T)]) -> &'l T {
        let total = list.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.below(total);
        let chosen = list.iter().find(|(weight, _)| {
            let here = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            here
        });
        &chosen.unwrap_or_else(|| self.pick(list)).1
    }

    /// Some of a list, at least one of one that isn't empty, in its order.
    pub(crate) fn some_of<T: Clone>(&mut self, list: &[T]) -> Vec<T> {
        let kept: Vec<T> = list.iter().filter(|_| self.percent(60)).cloned().collect();
        if kept.is_empty() && !list.is_empty() { vec![self.pick(list).clone()] } else { kept }
    }
}
