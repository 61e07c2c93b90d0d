//! The options that the output depends on, in one table.
//!
//! `--resume` refuses to go on if one of them has changed. File formats with room for metadata keep
//! some of them.

use clap::ValueEnum;

use crate::app::request::Request;
use crate::cli::Arguments;
use crate::output::{Compression, Float};
use crate::tokenize::{OnLong, TokenOptions};
use crate::vectors::VectorOptions;

/// One option with its value in this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// As in the metadata: `max_length`.
    name: &'static str,
    value: String,
    in_metadata: bool,
}

impl Setting {
    /// As on the command line: `--max-length`.
    #[must_use]
    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    /// As on the command line.
    #[must_use]
    pub(crate) fn value(&self) -> &str {
        &self.value
    }
}

/// The names and values that file formats keep as metadata.
#[must_use]
pub(crate) fn metadata(settings: &[Setting]) -> Vec<(&'static str, String)> {
    let kept = settings.iter().filter(|setting| setting.in_metadata);
    kept.map(|setting| (setting.name, setting.value.clone()))
        .collect()
}

/// Every option that the output depends on, besides the model, the device and the texts.
#[must_use]
pub(crate) fn settings(arguments: &Arguments, request: &Request) -> Vec<Setting> {
    // No `..` here: a new field of a request must not compile until it has its place below.
    let Request {
        fields,
        wanted,
        vectors,
        tokens,
        prompt,
        batch_tokens: _,
        fail_fast: _,
        format,
        heads: _,
    } = request;
    let VectorOptions {
        hidden_size: _,
        keep_rows: _,
        layer_merge,
        merged_width: _,
        pooling,
        sentence: _,
        prompt_tokens: _,
        truncate_dim,
        normalize,
        word_pooling,
    } = vectors;
    let TokenOptions {
        detail: _,
        max_length,
        on_long,
        stride,
        padding,
        takes_pairs: _,
    } = tokens;
    let input = &arguments.input.options;
    let (columns, selection) = (&input.columns, &input.selection);
    let has_layers = !wanted.hidden_states.is_empty();
    let has_windows = *on_long == OnLong::Window;
    let fields = fields.iter().map(|field| field.name());
    vec![
        resumed("format", typed(format)),
        kept_if(
            arguments.float != Float::F32,
            "float",
            typed(&arguments.float),
        ),
        resumed(
            "compression",
            or_none(arguments.compression().map(Compression::ending)),
        ),
        kept_if(prompt.is_some(), "prompt", or_none(prompt.as_ref())),
        resumed("pair", or_none(input.pair.as_ref())),
        resumed("pair_separator", or_none(input.pair_separator.as_ref())),
        resumed(
            "input_format",
            or_none(input.input_format.as_ref().map(typed)),
        ),
        resumed("null", input.null.to_string()),
        resumed("text_column", or_none(columns.text.as_ref())),
        resumed("pair_column", or_none(columns.pair.as_ref())),
        resumed("id_column", or_none(columns.id.as_ref())),
        resumed("words_column", or_none(columns.words.as_ref())),
        resumed("keep_columns", list(columns.keep.iter())),
        resumed("skip", selection.skip.to_string()),
        resumed("limit", or_none(selection.limit)),
        resumed("shard", or_none(selection.shard)),
        resumed("fields", list(fields)),
        kept_if(true, "dtype", typed(&arguments.dtype)),
        kept_if(true, "max_length", max_length.to_string()),
        kept_if(true, "on_long", typed(on_long)),
        kept_if(true, "padding", typed(padding)),
        kept_if(has_windows, "stride", stride.to_string()),
        kept_if(
            pooling.is_some(),
            "pooling",
            or_none(pooling.as_ref().map(typed)),
        ),
        kept_if(
            truncate_dim.is_some(),
            "truncate_dim",
            or_none(*truncate_dim),
        ),
        kept_if(pooling.is_some(), "normalize", normalize.to_string()),
        kept_if(has_layers, "layers", list(wanted.hidden_states.iter())),
        kept_if(has_layers, "layer_merge", typed(layer_merge)),
        kept_if(
            !wanted.attentions.is_empty(),
            "attention_layers",
            list(wanted.attentions.iter()),
        ),
        resumed("word_pooling", or_none(word_pooling.as_ref().map(typed))),
    ]
}

/// An option that only `--resume` compares.
fn resumed(name: &'static str, value: String) -> Setting {
    kept_if(false, name, value)
}

fn kept_if(in_metadata: bool, name: &'static str, value: String) -> Setting {
    Setting {
        name,
        value,
        in_metadata,
    }
}

/// A value as it is typed on the command line.
fn typed(value: &impl ValueEnum) -> String {
    let name = value.to_possible_value();
    name.map_or_else(String::new, |name| name.get_name().to_owned())
}

fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn list<T: ToString>(values: impl Iterator<Item = T>) -> String {
    let values: Vec<_> = values.map(|value| value.to_string()).collect();
    values.join(",")
}
