//! The tokens that a model adds to its vocabulary: their limits, their order and what they match.

use std::collections::{HashMap, HashSet};

use anyhow::{anyhow, bail, ensure};
use tokenizers::{AddedToken, NormalizedString, Normalizer, Tokenizer};

use super::json::{Json, TokenEntry};

/// No BERT has as many added tokens; 300,000 of them take 8 s to load.
const MAX_TOKENS: usize = 50_000;

/// The size limit of an added token; a token of 10 MB takes 19 s and 770 MB to load.
pub(super) const MAX_TOKEN_BYTES: usize = 1_000;

/// Refuses added tokens if loading them would take seconds, because there are too many or one is
/// too long.
pub(super) fn check_size(tokens: &[AddedToken]) -> anyhow::Result<()> {
    let count = tokens.len();
    ensure!(
        count <= MAX_TOKENS,
        "it adds {count} tokens, allowed are at most {MAX_TOKENS}"
    );
    let bytes = tokens.iter().map(|token| token.content.len());
    let longest = bytes.max().unwrap_or(0);
    ensure!(
        longest <= MAX_TOKEN_BYTES,
        "an added token has {longest} bytes, allowed are at most {MAX_TOKEN_BYTES}"
    );
    Ok(())
}

/// An added token and what it matches.
pub(super) struct Pattern {
    pub(super) token: AddedToken,
    /// The token's content after the normalizer, if it matches normalized text.
    pub(super) normalized: Option<String>,
}

/// The added tokens of `tokenizer` and what they match.
///
/// # Errors
/// Two of them match the same text, and the crate would choose one at random.
pub(super) fn patterns(tokenizer: &Tokenizer) -> anyhow::Result<Vec<Pattern>> {
    let tokens = tokenizer.get_added_tokens_decoder();
    let patterns: anyhow::Result<Vec<_>> = tokens
        .into_values()
        .map(|token| {
            let normalized = token
                .normalized
                .then(|| normalized(tokenizer, &token.content));
            let normalized = normalized.transpose()?;
            Ok(Pattern { token, normalized })
        })
        .collect();
    let mut patterns = patterns?;
    patterns.sort_by(|one, other| one.token.content.cmp(&other.token.content));
    let mut seen = HashMap::new();
    for Pattern { token, normalized } in &patterns {
        let Some(normalized) = normalized else {
            continue;
        };
        if let Some(other) = seen.insert(normalized, &token.content) {
            bail!(
                "its added tokens `{other}` and `{}` match the same text",
                token.content
            );
        }
    }
    Ok(patterns)
}

fn normalized(tokenizer: &Tokenizer, content: &str) -> anyhow::Result<String> {
    let mut text = NormalizedString::from(content);
    if let Some(normalizer) = tokenizer.get_normalizer() {
        let done = normalizer.normalize(&mut text);
        done.map_err(|cause| anyhow!("`{content}`: {cause}"))?;
    }
    Ok(text.get().to_owned())
}

/// The tokens to add, in order; special tokens join them unless they are already known.
#[derive(Default)]
pub(super) struct TokensToAdd {
    tokens: Vec<Json>,
    /// The contents of the tokens that were known before the first `join`.
    known: HashSet<String>,
    /// What `join` added, by text.
    joined: HashMap<String, Vec<Json>>,
}

impl TokensToAdd {
    /// `tokens`, for a tokenizer that already has the tokens `there`.
    pub(super) fn new(tokens: Vec<TokenEntry>, there: &[(i64, TokenEntry)]) -> Self {
        let texts = tokens.iter().chain(there.iter().map(|(_, token)| token));
        Self {
            known: texts.map(|token| token.content.clone()).collect(),
            tokens: tokens.into_iter().map(Json::Token).collect(),
            joined: HashMap::new(),
        }
    }

    /// Adds the special token `value`, a string or a token.
    ///
    /// # Errors
    /// `value` is neither.
    pub(super) fn join(&mut self, value: &Json) -> anyhow::Result<()> {
        let Some(text) = value.token_text() else {
            bail!("a special token is {}, allowed is a string", value.kind());
        };
        if self.known.contains(text) {
            return Ok(());
        }
        let same_text = self.joined.entry(text.to_owned()).or_default();
        if !same_text.contains(value) {
            same_text.push(value.clone());
            self.tokens.push(value.clone());
        }
        Ok(())
    }

    /// The tokens as the crate takes them; those in `named` are special.
    pub(super) fn finish(self, named: &HashSet<&str>) -> Vec<AddedToken> {
        let added = |value| match value {
            Json::Token(mut token) => {
                token.special |= named.contains(token.content.as_str());
                Some(token.added())
            }
            Json::Text(text) => Some(AddedToken::from(text, true)),
            _ => None,
        };
        self.tokens.into_iter().filter_map(added).collect()
    }
}
