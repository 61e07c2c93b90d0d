//! One word of a text with its vector, as JSON prints it.

use std::ops::Range;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// One word of a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Word {
    /// The word as the text has it.
    pub text: String,
    /// `[start, end)` in characters (Unicode scalar values) of its segment.
    pub span: (u32, u32),
    /// Its segment of a pair, 0 or 1; `None` if the record has one segment only.
    pub segment: Option<u8>,
    /// Its rows in the record.
    pub tokens: Range<usize>,
    /// `[hidden]`
    pub vector: Vec<f32>,
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("text", &self.text)?;
        map.serialize_entry("span", &self.span)?;
        if let Some(segment) = self.segment {
            map.serialize_entry("segment", &segment)?;
        }
        map.serialize_entry("tokens", &(self.tokens.start, self.tokens.end))?;
        map.serialize_entry("vector", &self.vector)?;
        map.end()
    }
}
