//! The parts of a `tokenizer.json` that this program runs as transformers does, in bounded time.
//! All others are refused by name before the tokenizers crate sees them.

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokenizers::{NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper};

use super::charsmap;
use super::segment::Trim;

/// The most parts of one kind, including those inside a `Sequence`.
const MAX_PARTS: usize = 32;

/// How much longer all `Replace` and `Prepend` together may make a text.
const MAX_GROWTH: usize = 16;

/// The only regular expression that is accepted: many files have it in `Replace`.
pub(super) const SPACES: &str = " {2,}";

/// Normalizers whose parameters need no check.
const NORMALIZERS: [&str; 10] = [
    "BertNormalizer",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Nmt",
    "Strip",
    "StripAccents",
    "Sequence",
];

/// Pre-tokenizers whose parameters need no check.
const PRE_TOKENIZERS: [&str; 10] = [
    "BertPreTokenizer",
    "ByteLevel",
    "CharDelimiterSplit",
    "Digits",
    "Metaspace",
    "Punctuation",
    "UnicodeScripts",
    "Whitespace",
    "WhitespaceSplit",
    "Sequence",
];

/// The normalizer of a `tokenizer.json`, if it has one.
///
/// # Errors
/// It is one that this program does not run.
pub(super) fn normalizer(value: &Value) -> anyhow::Result<Option<NormalizerWrapper>> {
    let parts = flat(value, "normalizers").context("its normalizer")?;
    let mut growth = 1;
    let maps = parts.iter().filter(|part| part["type"] == "Precompiled");
    ensure!(
        maps.count() <= 1,
        "its normalizer has more than one Precompiled, which is not supported"
    );
    for part in parts {
        let kind = kind(part).context("its normalizer")?;
        match kind {
            "Precompiled" => charsmap::check(part).context("its normalizer Precompiled")?,
            "Replace" => growth *= replace_growth(part).context("its normalizer Replace")?,
            "Prepend" => {
                let bytes = part["prepend"].as_str().map_or(0, str::len);
                ensure!(
                    bytes <= MAX_GROWTH,
                    "its normalizer Prepend adds {bytes} bytes"
                );
            }
            _ if NORMALIZERS.contains(&kind) => {}
            _ => bail!("its normalizer is {kind}, which is not supported"),
        }
        ensure!(
            growth <= MAX_GROWTH,
            "its normalizer Replace makes a text more than {MAX_GROWTH} times longer"
        );
    }
    built(value).context("its normalizer is not valid")
}

/// The pre-tokenizer of a `tokenizer.json`, if it has one.
///
/// # Errors
/// It is one that this program does not run.
pub(super) fn pre_tokenizer(value: &Value) -> anyhow::Result<Option<PreTokenizerWrapper>> {
    for part in flat(value, "pretokenizers").context("its pre_tokenizer")? {
        let kind = kind(part).context("its pre_tokenizer")?;
        match kind {
            "Split" => {
                literal(part).context("its pre_tokenizer Split")?;
            }
            "FixedLength" => {
                let length = part.get("length");
                let positive = length.is_none_or(|length| length.as_u64() > Some(0));
                ensure!(
                    positive,
                    "its pre_tokenizer FixedLength has no `length` above 0"
                );
            }
            _ if PRE_TOKENIZERS.contains(&kind) => {}
            _ => bail!("its pre_tokenizer is {kind}, which is not supported"),
        }
    }
    let kind = || value["type"].as_str().unwrap_or_default();
    built(value).with_context(|| format!("its pre_tokenizer {} is not valid", kind()))
}

/// The first `Precompiled` of a normalizer or of its parts, if it has one.
///
/// # Errors
/// It is not valid.
pub(super) fn precompiled(value: &Value) -> anyhow::Result<Option<NormalizerWrapper>> {
    let of_the_list = value["normalizers"].as_array().into_iter().flatten();
    let mut parts = [value].into_iter().chain(of_the_list);
    let Some(part) = parts.find(|part| part["type"] == "Precompiled") else {
        return Ok(None);
    };
    charsmap::check(part).context("its normalizer Precompiled")?;
    built(part).context("its normalizer Precompiled is not valid")
}

/// The post-processor of a `tokenizer.json`, which must add the special tokens, and the offsets
/// that it trims.
///
/// # Errors
/// There is none, or it is one that this program does not run.
pub(super) fn post_processor(value: &Value) -> anyhow::Result<(PostProcessorWrapper, Vec<Trim>)> {
    let mut trims = Vec::new();
    for part in flat(value, "processors").context("its post_processor")? {
        let kind = kind(part).context("its post_processor")?;
        let is = |key: &str| part[key].as_bool() == Some(true);
        match kind {
            "TemplateProcessing" | "BertProcessing" | "Sequence" => {}
            "ByteLevel" | "RobertaProcessing" => trims.extend(is("trim_offsets").then(|| Trim {
                add_prefix_space: is("add_prefix_space"),
            })),
            _ => bail!("its post_processor is {kind}, which is not supported"),
        }
    }
    let built = built(value)
        .context("its post_processor is not valid")?
        .context("it has no post_processor that adds special tokens")?;
    Ok((built, trims))
}

/// `value`, or, if it is a `Sequence`, all parts in its `list`.
fn flat<'a>(value: &'a Value, list: &str) -> anyhow::Result<Vec<&'a Value>> {
    let mut parts: Vec<&Value> = (!value.is_null()).then_some(value).into_iter().collect();
    let mut next = 0;
    while let Some(&part) = parts.get(next) {
        if part["type"] == "Sequence" {
            parts.extend(part[list].as_array().into_iter().flatten());
        }
        ensure!(
            parts.len() <= MAX_PARTS,
            "it has more than {MAX_PARTS} parts"
        );
        next += 1;
    }
    Ok(parts)
}

fn kind(part: &Value) -> anyhow::Result<&str> {
    part["type"].as_str().context("it has no `type`")
}

fn replace_growth(part: &Value) -> anyhow::Result<usize> {
    let pattern_bytes = match part["pattern"]["Regex"].as_str() {
        Some(SPACES) => 2,
        _ => literal(part)?.len(),
    };
    let content_bytes = part["content"].as_str().map_or(0, str::len);
    Ok(content_bytes.div_ceil(pattern_bytes).max(1))
}

/// The pattern of `part`, if it is a literal string. Regular expressions are refused: transformers
/// runs them with Oniguruma, and another engine splits some texts differently.
fn literal(part: &Value) -> anyhow::Result<&str> {
    let pattern = &part["pattern"];
    if pattern.get("Regex").is_some() {
        bail!("has a regular expression, which is not supported");
    }
    let text = pattern["String"].as_str().unwrap_or_default();
    ensure!(!text.is_empty(), "has an empty pattern");
    Ok(text)
}

fn built<T: serde::de::DeserializeOwned>(value: &Value) -> serde_json::Result<Option<T>> {
    if value.is_null() {
        return Ok(None);
    }
    T::deserialize(value).map(Some)
}
