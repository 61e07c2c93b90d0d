//! The tokens that a model's files list with their ids: `added_tokens_decoder`, or the files of
//! older releases.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, bail, ensure};

use super::json::{Entries, Json, TokenEntry, take_object};
use super::tokenizer_json::TokenizerJson;

/// The special tokens that have a name, in the order in which they are added.
pub(super) const NAMED: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// Tokens that the files list with their ids, which only decide the order.
#[derive(Default)]
pub(super) struct ListedTokens {
    pub(super) by_id: BTreeMap<i64, TokenEntry>,
    /// If a text is listed more than once, the last one.
    pub(super) by_text: HashMap<String, TokenEntry>,
}

impl ListedTokens {
    fn insert(&mut self, id: i64, token: TokenEntry) {
        self.by_text.insert(token.content.clone(), token.clone());
        self.by_id.insert(id, token);
    }
}

pub(super) fn listed_tokens(value: &Json) -> anyhow::Result<ListedTokens> {
    let Json::Object(entries) = value else {
        bail!(
            "`added_tokens_decoder` is {}, allowed is an object",
            value.kind()
        );
    };
    let mut listed = ListedTokens::default();
    for (id, token) in entries {
        let what = || format!("`added_tokens_decoder`: `{id}`");
        let number = id.trim().parse().with_context(what)?;
        let Json::Object(token) = token else {
            bail!("{} is {}, allowed is an object", what(), token.kind());
        };
        listed.insert(number, TokenEntry::parse(token).with_context(what)?);
    }
    Ok(listed)
}

/// The tokens of a model without `added_tokens_decoder`, from `added_tokens.json` and
/// `tokenizer.json`. The values of `special_tokens_map.json` replace the values of `config`.
pub(super) fn legacy_tokens(
    config: &mut Entries,
    special_tokens_map: Option<Entries>,
    added_tokens: Option<Entries>,
    json: Option<&TokenizerJson>,
) -> anyhow::Result<ListedTokens> {
    if let Some(map) = special_tokens_map {
        merge_special_tokens_map(config, &map).context("special_tokens_map.json")?;
    }
    let mut listed = ListedTokens::default();
    if let Some(added) = added_tokens {
        let special: HashSet<&str> = special_texts(config).collect();
        for (text, id) in &added {
            let Json::Number(id) = *id else {
                bail!(
                    "added_tokens.json: `{text}` is {}, allowed is a number",
                    id.kind()
                );
            };
            ensure!(id.fract() == 0.0, "added_tokens.json: `{text}` is {id}");
            let is_special = special.contains(text.as_str());
            let token = TokenEntry::new(text, is_special).normalized(!is_special);
            listed.insert(id as i64, token);
        }
    }
    for (id, token) in json.iter().flat_map(|json| &json.added_tokens) {
        listed.insert(*id, token.clone());
    }
    Ok(listed)
}

fn merge_special_tokens_map(config: &mut Entries, map: &Entries) -> anyhow::Result<()> {
    for (key, value) in map {
        let value = match value {
            Json::Object(token) if key != "extra_special_tokens" => {
                special_token(token).with_context(|| format!("`{key}`"))?
            }
            Json::List(tokens) if key == "extra_special_tokens" => {
                Json::List(joined_lists(config.get(key), tokens)?)
            }
            other => other.clone(),
        };
        config.insert(key.clone(), value);
    }
    if let Some(tokens) = take_object(config, "extra_special_tokens") {
        let own = take_object(config, "model_specific_special_tokens");
        let mut own = own.unwrap_or_default();
        own.extend(tokens);
        config.insert(
            "model_specific_special_tokens".to_owned(),
            Json::Object(own),
        );
    }
    Ok(())
}

fn special_token(entries: &Entries) -> anyhow::Result<Json> {
    let mut token = TokenEntry::parse(entries)?;
    token.special = true;
    Ok(Json::Token(token))
}

/// The list `there`, followed by the tokens of `more` that it lacks.
fn joined_lists(there: Option<&Json>, more: &[Json]) -> anyhow::Result<Vec<Json>> {
    let mut list = match there {
        Some(Json::List(list)) => list.clone(),
        _ => Vec::new(),
    };
    for token in more {
        let token = match token {
            Json::Object(token) => special_token(token).context("`extra_special_tokens`")?,
            other => other.clone(),
        };
        if !list.contains(&token) {
            list.push(token);
        }
    }
    Ok(list)
}

/// The texts that make a token of `added_tokens.json` special. A token that is still an object of
/// `tokenizer_config.json` is not among them, as in transformers.
fn special_texts(config: &Entries) -> impl Iterator<Item = &str> {
    let named = NAMED.iter().filter_map(|key| config.get(*key));
    let extra = match config.get("extra_special_tokens") {
        Some(Json::List(list)) => &list[..],
        _ => &[],
    };
    named.chain(extra).filter_map(Json::token_text)
}
