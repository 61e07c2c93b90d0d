//! Chance that is the same in every run: numbers from a seed, and texts of them.

/// A linear congruential generator (Knuth's MMIX), of which the upper half is used.
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// One of `choices`.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// So many words, some of them awkward.
    pub fn text(&mut self, words: usize) -> String {
        const WORDS: [&str; 14] = [
            "she",
            "river",
            "of",
            "stone",
            "unaffable",
            "42",
            "(a-b)",
            "\u{e9}",
            "e\u{301}lan",
            "\u{4e2d}\u{56fd}",
            "\u{1f600}",
            "\u{5de}\u{5d9}\u{5dd}",
            "[SEP]",
            "zzz",
        ];
        let text: Vec<_> = (0..words).map(|_| *self.pick(&WORDS)).collect();
        text.join(" ")
    }
}
