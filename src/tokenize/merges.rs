//! The merges of BPE: pairs of tokens in the order in which they are joined, from `merges.txt` or
//! from `tokenizer.json`, whose older files have each pair as one string.

use std::fmt;

use anyhow::Context;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use tokenizers::models::bpe::Merges;

/// One pair of tokens; `None` for the line `#version`.
pub(super) struct Merge(pub(super) Option<(String, String)>);

/// The pairs of a `merges.txt`.
///
/// # Errors
/// A line is not two tokens with one space between them.
pub(super) fn of_txt(content: &[u8]) -> anyhow::Result<Merges> {
    let text = std::str::from_utf8(content).context("it is not UTF-8")?;
    let mut pairs = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let pair = pair(line).with_context(|| format!("line {} is not a pair", number + 1))?;
        pairs.extend(pair.0);
    }
    Ok(pairs)
}

fn pair(line: &str) -> Option<Merge> {
    if line.starts_with("#version") {
        return Some(Merge(None));
    }
    let (first, second) = line.split_once(' ')?;
    (!second.contains(' ')).then(|| Merge(Some((first.to_owned(), second.to_owned()))))
}

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MergeVisitor)
    }
}

struct MergeVisitor;

impl<'de> Visitor<'de> for MergeVisitor {
    type Value = Merge;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("two tokens")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Merge, E> {
        pair(text).ok_or_else(|| E::custom("a merge is not a pair of tokens"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merge, A::Error> {
        let (first, second) = (list.next_element()?, list.next_element()?);
        match (first, second, list.next_element::<String>()?) {
            (Some(first), Some(second), None) => Ok(Merge(Some((first, second)))),
            _ => Err(A::Error::custom("a merge is not a pair of tokens")),
        }
    }
}
