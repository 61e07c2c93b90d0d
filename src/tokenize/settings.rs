//! `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`, merged as
//! `AutoTokenizer` merges them.
//!
//! Source: `PreTrainedTokenizerBase._from_pretrained` and `TokenizersBackend.__init__` in
//! transformers 5.23, in the same order, because each step depends on the ones before.

use std::borrow::Cow;

use anyhow::{Context, bail};
use tokenizers::AddedToken;
use tokenizers::normalizers::BertNormalizer;

use super::added::TokensToAdd;
use super::class::{Class, Facts};
use super::json::{Entries, Json, TokenEntry, flag, take_object};
use super::listed::{NAMED, legacy_tokens, listed_tokens};
use super::tokenizer_json::TokenizerJson;

/// Keys that would replace parts of the tokenizer with something that is not in its files.
const UNSUPPORTED: [&str; 4] = ["vocab", "init_inputs", "gguf_file", "post_processor"];

/// The files next to `tokenizer.json`; `None` if missing.
#[derive(Default)]
pub(super) struct ConfigFiles {
    pub(super) tokenizer_config: Option<Entries>,
    pub(super) special_tokens_map: Option<Entries>,
    pub(super) added_tokens: Option<Entries>,
}

/// How a text becomes tokens, apart from the vocabulary.
#[derive(Debug)]
pub(super) struct TokenizerSettings {
    /// `tokenizer_config.json`, merged with the other files.
    config: Entries,
    /// The named special tokens that the model has.
    named: Entries,
    /// To be added to the vocabulary, in this order.
    pub(super) added: Vec<AddedToken>,
    /// Whether truncation drops the start of a text, not its end.
    pub(super) truncates_left: bool,
    pub(super) pads_left: bool,
    /// Whether the model takes `token_type_ids`; if not, they are all 0.
    pub(super) token_type_ids: bool,
}

impl TokenizerSettings {
    /// Merges `files` for a tokenizer of `class`; `json` is its `tokenizer.json`, if it has one.
    ///
    /// # Errors
    /// A value that transformers refuses, or that this program does not support.
    pub(super) fn merge(
        files: ConfigFiles,
        class: Class,
        json: Option<&TokenizerJson>,
    ) -> anyhow::Result<Self> {
        let facts = class.facts();
        let mut config = files.tokenizer_config.unwrap_or_default();
        if let Some(key) = UNSUPPORTED.iter().find(|key| config.contains_key(**key)) {
            bail!("`{key}` is set, which is not supported");
        }
        collect_extra_tokens(&mut config);
        let listed = match config.shift_remove("added_tokens_decoder") {
            Some(listed) => listed_tokens(&listed)?,
            None => legacy_tokens(
                &mut config,
                files.special_tokens_map,
                files.added_tokens,
                json,
            )?,
        };
        let mut config = into_tokens(config)?;
        for key in NAMED {
            let text = config.get(key).and_then(Json::token_text);
            if let Some(token) = text.and_then(|text| listed.by_text.get(text)) {
                config.insert(key.to_owned(), Json::Token(token.clone()));
            }
        }
        let named = named_tokens(&config, class, json)?;
        let there = json.filter(|_| class == Class::Generic);
        let there = there.map_or(&[][..], |json| &json.added_tokens);
        let mut tokens = TokensToAdd::new(listed.by_id.into_values().collect(), there);
        for (key, token) in named.iter().filter(|(_, token)| **token != Json::Null) {
            tokens.join(token).with_context(|| format!("`{key}`"))?;
        }
        for token in extra_tokens(&config, facts)?.as_ref() {
            tokens.join(token)?;
        }
        let texts = named.iter().filter_map(|(_, token)| token.token_text());
        let added = tokens.finish(&texts.collect());
        let truncation_side = json.and_then(|json| json.truncation_side.as_deref());
        let padding_side = json.and_then(|json| json.padding_side.as_deref());
        Ok(Self {
            truncates_left: is_left(&config, "truncation_side", truncation_side)?,
            pads_left: is_left(&config, "padding_side", padding_side)?,
            token_type_ids: has_token_type_ids(&config, facts)?,
            named,
            added,
            config,
        })
    }

    /// The text of the special token `key`.
    pub(super) fn token(&self, key: &str) -> Option<&str> {
        self.named.get(key).and_then(Json::token_text)
    }

    /// As [`Self::token`].
    ///
    /// # Errors
    /// There is none.
    pub(super) fn required(&self, key: &str) -> anyhow::Result<&str> {
        let token = self.token(key);
        token.with_context(|| format!("its {key} is null"))
    }

    /// Whether `key` is true in the configuration, or `default` if it is missing.
    ///
    /// # Errors
    /// The value is not true or false.
    pub(super) fn flag(&self, key: &str, default: bool) -> anyhow::Result<bool> {
        Ok(flag(&self.config, key)?.unwrap_or(default))
    }

    /// The normalizer of `BertTokenizer`, from `do_lower_case`, `strip_accents` and
    /// `tokenize_chinese_chars`.
    pub(super) fn bert_normalizer(&self) -> anyhow::Result<BertNormalizer> {
        let strip_accents = match self.config.get("strip_accents") {
            Some(Json::Null) => None,
            _ => flag(&self.config, "strip_accents")?,
        };
        Ok(BertNormalizer::new(
            true,
            self.flag("tokenize_chinese_chars", true)?,
            strip_accents,
            self.flag("do_lower_case", true)?,
        ))
    }
}

/// Moves the tokens that only this model names, and the deprecated list, to the keys of the newest
/// release.
fn collect_extra_tokens(config: &mut Entries) {
    let has_extra = config
        .get("extra_special_tokens")
        .is_some_and(Json::is_true);
    if !has_extra && let Some(tokens) = config.shift_remove("additional_special_tokens") {
        config.insert("extra_special_tokens".to_owned(), tokens);
    }
    let own = config.extract_if(.., |key, value| {
        is_own_token(key) && matches!(value, Json::Text(_))
    });
    let mut own: Entries = own.collect();
    if let Some(tokens) = take_object(config, "extra_special_tokens") {
        own.extend(tokens);
    }
    if !own.is_empty() {
        let key = "model_specific_special_tokens".to_owned();
        config.insert(key, Json::Object(own));
    }
}

/// Whether `key` names a special token that only this model has.
fn is_own_token(key: &str) -> bool {
    key.ends_with("_token") && !NAMED.contains(&key)
}

fn into_tokens(entries: Entries) -> anyhow::Result<Entries> {
    let tokens = entries.into_iter().map(|(key, value)| {
        let value = into_token(value).with_context(|| format!("`{key}`"))?;
        Ok((key, value))
    });
    tokens.collect()
}

/// Turns each object that says so into a token, at any depth.
fn into_token(value: Json) -> anyhow::Result<Json> {
    match value {
        Json::Object(entries) => {
            if entries.get("__type") == Some(&Json::Text("AddedToken".to_owned())) {
                return TokenEntry::parse(&entries).map(Json::Token);
            }
            into_tokens(entries).map(Json::Object)
        }
        Json::List(list) => {
            let list: anyhow::Result<_> = list.into_iter().map(into_token).collect();
            list.map(Json::List)
        }
        other => Ok(other),
    }
}

/// The named special tokens, then those that only this model names.
fn named_tokens(
    config: &Entries,
    class: Class,
    json: Option<&TokenizerJson>,
) -> anyhow::Result<Entries> {
    let mut named = Entries::default();
    for key in NAMED {
        let value = config.get(key).cloned();
        let value = value.or_else(|| default_token(key, class, json));
        let value = match value {
            Some(Json::Text(mask)) if key == "mask_token" && class.facts().mask_lstrip => {
                Json::Token(TokenEntry::new(&mask, true).lstrip())
            }
            value => value.unwrap_or(Json::Null),
        };
        named.insert(key.to_owned(), value);
    }
    for (key, value) in config {
        if is_own_token(key) && value.token_text().is_some() {
            named.insert(key.clone(), value.clone());
        }
    }
    match config.get("model_specific_special_tokens") {
        None | Some(Json::Null) => {}
        Some(Json::Object(own)) => named.extend(own.clone()),
        Some(other) => bail!("`model_specific_special_tokens` is {}", other.kind()),
    }
    Ok(named)
}

fn default_token(key: &str, class: Class, json: Option<&TokenizerJson>) -> Option<Json> {
    let pad_token = || json.and_then(|json| json.pad_token.clone());
    let pad_token = (class == Class::Generic && key == "pad_token").then(pad_token);
    let mut tokens = class.facts().tokens.iter();
    let token = tokens.find(|(named, _)| *named == key);
    let token = token.map(|(_, token)| (*token).to_owned());
    pad_token.flatten().or(token).map(Json::Text)
}

/// The special tokens without a name.
fn extra_tokens<'a>(config: &'a Entries, facts: &Facts) -> anyhow::Result<Cow<'a, [Json]>> {
    let key = match config.get("extra_special_tokens") {
        None => "additional_special_tokens",
        Some(_) => "extra_special_tokens",
    };
    match config.get(key) {
        None => {
            let tokens = facts.extra_tokens.iter();
            Ok(tokens
                .map(|token| Json::Text((*token).to_owned()))
                .collect())
        }
        Some(Json::Null) => Ok(Cow::Borrowed(&[])),
        Some(Json::List(list)) => Ok(Cow::Borrowed(list)),
        Some(other) => bail!("`{key}` is {}, allowed is a list", other.kind()),
    }
}

fn is_left(config: &Entries, key: &str, of_the_json: Option<&str>) -> anyhow::Result<bool> {
    let side = match config.get(key) {
        None => of_the_json.unwrap_or("right"),
        Some(Json::Text(side)) => side,
        Some(other) => bail!(
            "`{key}` is {}, allowed are `left` and `right`",
            other.kind()
        ),
    };
    match side {
        "left" => Ok(true),
        "right" => Ok(false),
        other => bail!("`{key}` is `{other}`, allowed are `left` and `right`"),
    }
}

fn has_token_type_ids(config: &Entries, facts: &Facts) -> anyhow::Result<bool> {
    match config.get("model_input_names") {
        None => Ok(facts.token_type_ids),
        Some(Json::List(names)) => Ok(names.contains(&Json::Text("token_type_ids".to_owned()))),
        Some(other) => bail!("`model_input_names` is {}, allowed is a list", other.kind()),
    }
}
