//! The steps around the model: what each class of transformers builds from the settings and, as far
//! as it keeps them, from the parts of `tokenizer.json`.

use anyhow::{Context, bail, ensure};
use tokenizers::normalizers::{Lowercase, NFKD, Replace, Sequence, StripAccents};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper};

use super::class::Class;
use super::segment::Trim;
use super::settings::TokenizerSettings;
use super::template::Template;
use super::tokenizer_json::TokenizerJson;
use super::{message, parts};

/// The normalizer of a tokenizer of `class`, if it has one.
pub(super) fn normalizer(
    class: Class,
    settings: &TokenizerSettings,
    json: Option<&TokenizerJson>,
) -> anyhow::Result<Option<NormalizerWrapper>> {
    let precompiled = || match json {
        Some(json) => parts::precompiled(&json.normalizer),
        None => Ok(None),
    };
    match class {
        Class::Bert | Class::DistilBert | Class::MpNet => {
            Ok(Some(settings.bert_normalizer()?.into()))
        }
        Class::Roberta => Ok(None),
        Class::XlmRoberta | Class::Camembert => precompiled(),
        Class::Albert => albert_normalizer(settings, precompiled()?).map(Some),
        Class::Generic => match json {
            Some(json) => parts::normalizer(&json.normalizer),
            None => Ok(None),
        },
    }
}

fn albert_normalizer(
    settings: &TokenizerSettings,
    precompiled: Option<NormalizerWrapper>,
) -> anyhow::Result<NormalizerWrapper> {
    let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
    for quotes in ["``", "''"] {
        normalizers.push(Replace::new(quotes, "\"").map_err(message)?.into());
    }
    if !settings.flag("keep_accents", false)? {
        normalizers.extend([NFKD.into(), StripAccents.into()]);
    }
    if settings.flag("do_lower_case", true)? {
        normalizers.push(Lowercase.into());
    }
    normalizers.extend(precompiled);
    Ok(Sequence::new(normalizers).into())
}

/// The pre-tokenizer of a tokenizer of `class`, if it has one.
pub(super) fn pre_tokenizer(
    class: Class,
    settings: &TokenizerSettings,
    json: Option<&TokenizerJson>,
) -> anyhow::Result<Option<PreTokenizerWrapper>> {
    match class {
        Class::Bert | Class::DistilBert | Class::MpNet => Ok(Some(BertPreTokenizer.into())),
        Class::Roberta => {
            let add_prefix_space = settings.flag("add_prefix_space", false)?;
            Ok(Some(ByteLevel::new(add_prefix_space, true, true).into()))
        }
        Class::XlmRoberta | Class::Camembert | Class::Albert => {
            let scheme = if settings.flag("add_prefix_space", true)? {
                PrependScheme::Always
            } else {
                PrependScheme::Never
            };
            let metaspace = Metaspace::new('▁', scheme, true);
            let both = vec![WhitespaceSplit.into(), metaspace.into()];
            Ok(Some(PreTokenizers::new(both).into()))
        }
        Class::Generic => match json {
            Some(json) => parts::pre_tokenizer(&json.pre_tokenizer),
            None => Ok(None),
        },
    }
}

/// The special tokens around the segments, and the offsets that are trimmed. `inner` has all of its
/// tokens.
pub(super) fn template(
    class: Class,
    settings: &TokenizerSettings,
    json: Option<&TokenizerJson>,
    inner: &tokenizers::Tokenizer,
    rows: usize,
) -> anyhow::Result<(Template, Vec<Trim>)> {
    let ends = |keys: [&str; 2], allows: fn(&str) -> bool| {
        let id = |key| end(settings, key, allows, inner, rows);
        Ok::<_, anyhow::Error>([id(keys[0])?, id(keys[1])?])
    };
    let (cls_and_sep, bos_and_eos) = (["cls_token", "sep_token"], ["bos_token", "eos_token"]);
    let (template, trims) = match class {
        Class::Bert | Class::DistilBert => (
            Template::bert(ends(cls_and_sep, is_a_word_of_a_template)?),
            vec![],
        ),
        Class::MpNet => {
            let trim = Trim {
                add_prefix_space: false,
            };
            (Template::roberta(ends(cls_and_sep, |_| true)?), vec![trim])
        }
        Class::Roberta => {
            let trim = Trim {
                add_prefix_space: settings.flag("add_prefix_space", false)?,
            };
            let trims = settings.flag("trim_offsets", true)?.then_some(trim);
            let template = Template::roberta(ends(cls_and_sep, |_| true)?);
            (template, trims.into_iter().collect())
        }
        Class::XlmRoberta => (Template::roberta(ends(bos_and_eos, is_plain)?), vec![]),
        Class::Camembert => (
            Template::roberta(ends(bos_and_eos, is_a_word_of_a_template)?),
            vec![],
        ),
        Class::Albert => albert_template(settings, json, inner)?,
        Class::Generic => match json {
            Some(json) => of_json(json)?,
            None => bail!("there is no tokenizer.json"),
        },
    };
    let template = if settings.token_type_ids {
        template
    } else {
        template.without_types()
    };
    template.check(rows)?;
    Ok((template, trims))
}

/// `AlbertTokenizer` writes a template whose tokens must be in the vocabulary, then takes the
/// file's.
fn albert_template(
    settings: &TokenizerSettings,
    json: Option<&TokenizerJson>,
    inner: &tokenizers::Tokenizer,
) -> anyhow::Result<(Template, Vec<Trim>)> {
    use tokenizers::Model as _;
    let id = |key: &str| {
        let token = settings.required(key)?;
        let id = inner.get_model().token_to_id(token);
        id.with_context(|| format!("its vocabulary has no `{token}`, its {key}"))
    };
    let ends = [id("cls_token")?, id("sep_token")?];
    match json {
        Some(json) if !json.post_processor.is_null() => of_json(json),
        _ => Ok((Template::bert(ends), vec![])),
    }
}

fn of_json(json: &TokenizerJson) -> anyhow::Result<(Template, Vec<Trim>)> {
    let (post_processor, trims) = parts::post_processor(&json.post_processor)?;
    Ok((Template::of_post_processor(&post_processor)?, trims))
}

/// The id of the special token `key`.
fn end(
    settings: &TokenizerSettings,
    key: &str,
    allows: fn(&str) -> bool,
    inner: &tokenizers::Tokenizer,
    rows: usize,
) -> anyhow::Result<u32> {
    let token = settings.required(key)?;
    ensure!(
        allows(token),
        "its {key} is `{token}`, which a template does not take"
    );
    let id = inner.token_to_id(token).filter(|&id| (id as usize) < rows);
    id.with_context(|| format!("`{token}`, its {key}, has no row of the word embeddings"))
}

/// Whether `token` has no other meaning in the list of tokens from which transformers builds a
/// template.
fn is_plain(token: &str) -> bool {
    !token.is_empty() && !token.starts_with('$') && !token.contains(':')
}

/// The same for a template given as one string.
fn is_a_word_of_a_template(token: &str) -> bool {
    is_plain(token) && !token.contains(char::is_whitespace)
}
