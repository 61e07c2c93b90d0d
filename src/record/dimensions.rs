//! The sizes of the fields' dimensions in one run.

use super::field::{Dimension, Element, Field};

/// The dimensions that are the same for every text of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dimensions {
    pub hidden: usize,
    pub embedding: usize,
    /// The width of a vector in `words`.
    pub word: usize,
    pub layers: usize,
    /// The width of a row of the merged `hidden_states`; `None` if they are not merged.
    pub merged_width: Option<usize>,
    pub attention_layers: usize,
    pub heads: usize,
}

/// The dimensions that depend on the texts, summed over some of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// How many texts these are.
    pub texts: u64,
    pub tokens: u64,
    /// The squares of their tokens.
    pub token_pairs: u64,
    pub words: u64,
}

impl Totals {
    #[must_use]
    pub(crate) fn of_text(tokens: u64, words: u64) -> Self {
        Self {
            texts: 1,
            tokens,
            token_pairs: tokens * tokens,
            words,
        }
    }

    /// Adds other texts.
    pub(crate) fn add(&mut self, other: &Self) {
        self.texts += other.texts;
        self.tokens += other.tokens;
        self.token_pairs += other.token_pairs;
        self.words += other.words;
    }
}

impl Dimensions {
    /// The dimensions of `field` in one record.
    #[must_use]
    pub(crate) fn shape(&self, field: Field) -> Vec<Dimension> {
        let is_there =
            |dimension: &Dimension| *dimension != Dimension::Layers || self.merged_width.is_none();
        let shape = field.spec().shape.iter().copied();
        shape.filter(is_there).collect()
    }

    /// The shape of `field` with its texts laid end to end: along the tokens, which are one
    /// dimension even if a record has them twice; otherwise along the words, or along a new first
    /// dimension.
    #[must_use]
    pub(crate) fn tensor(&self, field: Field, totals: &Totals) -> Vec<u64> {
        let shape = self.shape(field);
        let sizes = shape.chunk_by(|one, other| one == other);
        let mut sizes: Vec<_> = sizes.map(|run| self.size(run, totals)).collect();
        let is_long = |dimension| matches!(dimension, &Dimension::Tokens | &Dimension::Words);
        if !shape.iter().any(is_long) {
            sizes.insert(0, totals.texts);
        }
        sizes
    }

    /// The size of equal neighbours in a shape.
    fn size(&self, run: &[Dimension], totals: &Totals) -> u64 {
        let size = match run {
            [Dimension::Tokens, Dimension::Tokens] => return totals.token_pairs,
            [dimension, ..] => match dimension {
                Dimension::Tokens => return totals.tokens,
                Dimension::Words => return totals.words,
                Dimension::Hidden => self.hidden,
                Dimension::Embedding => self.embedding,
                Dimension::Layers => self.layers,
                Dimension::LayerWidth => self.merged_width.unwrap_or(self.hidden),
                Dimension::AttentionLayers => self.attention_layers,
                Dimension::Heads => self.heads,
                Dimension::Two => 2,
            },
            [] => 1,
        };
        size as u64
    }

    /// How many parts a record gives the tensor of `field`: one for each place in the dimensions
    /// before its tokens.
    #[must_use]
    pub(crate) fn parts(&self, field: Field) -> u64 {
        let shape = self.shape(field);
        let tokens = shape.iter().position(|&other| other == Dimension::Tokens);
        let before = shape[..tokens.unwrap_or(0)].chunks(1);
        before
            .map(|dimension| self.size(dimension, &Totals::default()))
            .product()
    }

    /// How many f32 the vectors of `field` have.
    #[must_use]
    pub(crate) fn floats(&self, field: Field, totals: &Totals) -> u64 {
        let elements = || self.tensor(field, totals).iter().product::<u64>();
        match field.spec().element {
            Element::F32 => elements(),
            Element::Word => elements() * self.word as u64,
            Element::I64 | Element::I32 | Element::NullableI32 | Element::Text | Element::Json => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APART: Dimensions = Dimensions {
        hidden: 8,
        embedding: 4,
        word: 8,
        layers: 3,
        merged_width: None,
        attention_layers: 2,
        heads: 6,
    };
    const MERGED: Dimensions = Dimensions {
        merged_width: Some(24),
        ..APART
    };

    /// Two texts, of 2 and 5 tokens.
    fn totals() -> Totals {
        let mut totals = Totals::of_text(2, 1);
        totals.add(&Totals::of_text(5, 3));
        totals
    }

    #[test]
    fn texts_are_laid_end_to_end_along_their_tokens() {
        let shape = |dimensions: Dimensions, field| dimensions.tensor(field, &totals());
        assert_eq!(shape(APART, Field::Index), [2]);
        assert_eq!(shape(APART, Field::OffsetMapping), [7, 2]);
        assert_eq!(shape(APART, Field::Embedding), [2, 4]);
        assert_eq!(shape(APART, Field::HiddenStates), [3, 7, 8]);
        assert_eq!(shape(MERGED, Field::HiddenStates), [7, 24]);
        assert_eq!(shape(APART, Field::Words), [4]);
    }

    #[test]
    fn tokens_by_tokens_is_one_dimension_of_squares() {
        let shape = APART.tensor(Field::Attentions, &totals());
        assert_eq!(shape, [2, 6, 4 + 25]);
    }

    #[test]
    fn a_record_has_a_part_for_each_layer_that_is_not_merged() {
        assert_eq!(APART.parts(Field::HiddenStates), 3);
        assert_eq!(MERGED.parts(Field::HiddenStates), 1);
        assert_eq!(APART.parts(Field::Attentions), 2 * 6);
        assert_eq!(APART.parts(Field::Embedding), 1);
        assert_eq!(APART.parts(Field::InputIds), 1);
    }
}
