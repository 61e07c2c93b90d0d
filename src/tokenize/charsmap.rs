//! The map of characters in a `Precompiled` normalizer, checked before the tokenizers crate runs
//! it.
//!
//! It is `SentencePiece`'s: the size of a trie in bytes, the trie, then the replacements, each
//! ending with a zero byte. The crate would reserve memory for a trie of any size, and take
//! everything up to the next zero byte as a replacement.

use anyhow::{Context, ensure};
use serde_json::Value;

/// The longest replacement that `SentencePiece`'s own maps have is 33 bytes for one character.
const MAX_REPLACEMENT_BYTES: usize = 48;

/// # Errors
/// The map of `part` is invalid, or makes a text much longer.
pub(super) fn check(part: &Value) -> anyhow::Result<()> {
    let map = part["precompiled_charsmap"].as_str();
    let map = map.context("its precompiled_charsmap is not a string")?;
    let bytes = base64(map).context("its precompiled_charsmap is not base64")?;
    let (size, rest) = bytes
        .split_first_chunk()
        .context("its precompiled_charsmap is empty")?;
    let size = u32::from_le_bytes(*size) as usize;
    // The crate looks at the first unit of the trie for every character.
    ensure!(
        (4..=rest.len()).contains(&size),
        "the trie of its precompiled_charsmap has {size} bytes, and {} are there",
        rest.len()
    );
    let longest = rest[size / 4 * 4..]
        .split(|&byte| byte == 0)
        .map(<[u8]>::len);
    let longest = longest.max().unwrap_or(0);
    ensure!(
        longest <= MAX_REPLACEMENT_BYTES,
        "its precompiled_charsmap replaces a character with {longest} bytes, allowed are at most \
         {MAX_REPLACEMENT_BYTES}"
    );
    Ok(())
}

/// The bytes of `text` in base64 with padding; `None` if it is not valid base64.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in digits.as_bytes().chunks(4) {
        let whole_bytes = chunk.len().checked_sub(1).filter(|bytes| *bytes > 0)?;
        let mut bits = 0;
        for &digit in chunk {
            bits = bits << 6 | value(digit)?;
        }
        let [_, whole @ ..] = (bits << (6 * (4 - chunk.len()))).to_be_bytes();
        bytes.extend(&whole[..whole_bytes]);
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
        ] {
            assert_eq!(base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(base64("Zm9v!"), None);
        assert_eq!(base64("Z"), None);
    }
}
