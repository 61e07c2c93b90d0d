//! What a run has done so far: counts, and a hash of the texts that have their record.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::TokenizedText;
use crate::hex::hex;
use crate::input::BadText;
use crate::tokenize::words_without_tokens;

/// Counts of the records of one output, including the records of interrupted runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunCounts {
    /// Records written, bad ones included.
    pub records: u64,
    pub errors: u64,
    pub truncated_texts: u64,
    pub dropped_tokens: u64,
    /// Texts with a second segment.
    pub pairs: u64,
    /// Texts that contain only unknown tokens (`[UNK]`).
    pub unknown_texts: u64,
    /// Words of lists in the input that have no tokens.
    pub words_without_tokens: u64,
    pub first_error: Option<String>,
    /// Running hash of all their texts, in hexadecimal.
    pub texts: String,
}

impl RunCounts {
    pub(crate) fn count(&mut self, text: Result<&TokenizedText, &BadText>) {
        self.records += 1;
        let content = match text {
            Ok(TokenizedText { text, encoding }) => {
                self.truncated_texts += u64::from(encoding.dropped_tokens > 0);
                self.dropped_tokens += encoding.dropped_tokens as u64;
                self.unknown_texts += u64::from(encoding.only_unknown);
                self.words_without_tokens += words_without_tokens(text, encoding) as u64;
                self.pairs += u64::from(text.pair.is_some());
                // The number of tokens shows how far the record is padded.
                format!("{} {:?}", encoding.tokens(), text.content())
            }
            Err(bad) => {
                self.errors += 1;
                self.first_error.get_or_insert_with(|| bad.to_string());
                format!("{:?}", (&bad.message, &bad.id, &bad.columns))
            }
        };
        let hash = Sha256::new_with_prefix(&self.texts).chain_update(content);
        self.texts = hex(&hash.finalize());
    }

    /// Counts the next text, of which no vector could be computed. Its hash is that of a good text:
    /// a resumed run sees only that it can be tokenized.
    pub(crate) fn count_without_vectors(&mut self, text: &TokenizedText, bad: &BadText) {
        self.count(Ok(text));
        self.errors += 1;
        self.first_error.get_or_insert_with(|| bad.to_string());
    }
}
