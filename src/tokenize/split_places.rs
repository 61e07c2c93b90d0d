//! Before which characters a text may be split, as far as a tokenizer's steps allow.

use tokenizers::{NormalizerWrapper, PreTokenizerWrapper};

/// Characters before which a text may be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum SplitPlaces {
    Nowhere,
    /// Only the first space after an ordinary character, because it matters which word a space
    /// belongs to.
    FirstSpaces,
    WhiteSpace,
    Signs,
    Ideographs,
}

impl SplitPlaces {
    /// What the pre-tokenizer and the normalizer of `inner` allow.
    pub(super) fn of(inner: &tokenizers::Tokenizer) -> Self {
        let splits = match inner.get_pre_tokenizer() {
            Some(PreTokenizerWrapper::BertPreTokenizer(_)) => Self::Signs,
            Some(PreTokenizerWrapper::Whitespace(_) | PreTokenizerWrapper::WhitespaceSplit(_)) => {
                Self::WhiteSpace
            }
            Some(other) if splits_at_spaces(other) => Self::FirstSpaces,
            _ => return Self::Nowhere,
        };
        match inner.get_normalizer() {
            Some(NormalizerWrapper::BertNormalizer(normalizer)) => {
                if splits == Self::Signs && normalizer.handle_chinese_chars {
                    Self::Ideographs
                } else {
                    splits
                }
            }
            None | Some(NormalizerWrapper::Lowercase(_)) => splits,
            Some(other) if splits == Self::FirstSpaces && keeps_spaces(other) => splits,
            _ => Self::Nowhere,
        }
    }
}

/// Whether a space after a word always starts a new word, which does not depend on the words
/// before.
fn splits_at_spaces(pre_tokenizer: &PreTokenizerWrapper) -> bool {
    match pre_tokenizer {
        PreTokenizerWrapper::ByteLevel(bytes) => bytes.use_regex,
        PreTokenizerWrapper::Metaspace(metaspace) => metaspace.split,
        PreTokenizerWrapper::Sequence(parts) => matches!(
            parts.as_ref(),
            [
                PreTokenizerWrapper::WhitespaceSplit(_),
                PreTokenizerWrapper::Metaspace(_)
            ]
        ),
        _ => false,
    }
}

/// Whether the normalizer does the same to a text from a space on, whatever precedes it.
fn keeps_spaces(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::Sequence(parts) => parts.as_ref().iter().all(keeps_spaces),
        // Its pattern is private, but this is usually `AlbertTokenizer`'s replacement of quotes.
        NormalizerWrapper::Replace(replace) => replace.content == "\"",
        NormalizerWrapper::NFC(_)
        | NormalizerWrapper::NFD(_)
        | NormalizerWrapper::NFKC(_)
        | NormalizerWrapper::NFKD(_)
        | NormalizerWrapper::StripAccents(_)
        | NormalizerWrapper::Lowercase(_)
        | NormalizerWrapper::Precompiled(_) => true,
        _ => false,
    }
}

pub(super) fn lower(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

/// White space that every normalizer keeps as white space; control characters are removed.
pub(super) fn is_space(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r')
        || (character.is_whitespace() && !character.is_control())
}

/// The ideographs around which `BertNormalizer` puts spaces (`_is_chinese_char` in BERT's
/// tokenization.py), of the basic plane and without those that normalization changes.
pub(super) fn is_ideograph(character: char) -> bool {
    matches!(u32::from(character), 0x4E00..=0x9FFF | 0x3400..=0x4DBF)
}

/// Printing characters that every normalizer keeps, and that never join with what follows.
pub(super) fn is_ordinary(character: char) -> bool {
    character.is_ascii_graphic()
        || is_ideograph(character)
        || (is_letter(character) && character != '\u{37a}')
        || matches!(
            character,
            // Hebrew, Arabic, Devanagari, Thai, Hiragana, Katakana, Hangul.
            '\u{5d0}'..='\u{5ea}'
                | '\u{621}'..='\u{64a}'
                | '\u{905}'..='\u{939}'
                | '\u{e01}'..='\u{e30}'
                | '\u{3041}'..='\u{3096}'
                | '\u{30a1}'..='\u{30fa}'
                | '\u{ac00}'..='\u{d7a3}'
        )
}

/// Latin, Greek and Cyrillic letters, and digits: words are never split at them, and no normalizer
/// removes them. U+0345 is a mark that Unicode counts as alphabetic.
pub(super) fn is_letter(character: char) -> bool {
    character < '\u{530}' && character.is_alphanumeric() && character != '\u{345}'
}
