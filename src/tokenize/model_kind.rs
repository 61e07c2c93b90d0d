//! The kinds of models that turn words into tokens.

use anyhow::Context;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelKind {
    WordPiece,
    Bpe,
    Unigram,
}

impl ModelKind {
    const ALL: [Self; 3] = [Self::WordPiece, Self::Bpe, Self::Unigram];

    /// As `tokenizer.json` has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::WordPiece => "WordPiece",
            Self::Bpe => "BPE",
            Self::Unigram => "Unigram",
        }
    }

    /// # Errors
    /// It is another kind.
    pub(super) fn parse(name: &str) -> anyhow::Result<Self> {
        let mut known = Self::ALL.into_iter();
        let known = known.find(|kind| kind.name() == name);
        let names = Self::ALL.map(Self::name).join(", ");
        known.with_context(|| format!("its model is {name}, supported are only {names}"))
    }
}
