//! The options that change the records: `--resume` compares them, file formats keep some of them.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::app::request::Request;
use crate::cli::Arguments;
use crate::error::{Classify, Kind, Result};
use crate::output::{Compression, Float, Settings};

/// Every option that changes the records, with its value in this run, as on the command line.
pub(crate) fn compared(arguments: &Arguments, request: &Request) -> Result<Settings> {
    let complete = Arguments {
        options: request.options.clone(),
        format: Some(request.format),
        ..arguments.clone()
    };
    let compression = arguments.compression().map(Compression::ending);
    let mut options = named(&complete)?;
    options.insert("compression".to_owned(), compression.into());
    options.insert(
        "attention_layers".to_owned(),
        request.attention_layers().into(),
    );
    let flag = |name: String| format!("--{}", name.replace('_', "-"));
    let options = options.into_iter();
    Ok(options
        .map(|(name, value)| (flag(name), typed(value)))
        .collect())
}

/// The options that a file keeps: those that its vectors depend on.
pub(crate) fn metadata(float: Float, request: &Request) -> Result<Settings> {
    let options = &request.options;
    let mut kept = named(options)?;
    kept.insert(
        "attention_layers".to_owned(),
        request.attention_layers().into(),
    );
    kept.retain(|name, value| match name.as_str() {
        "fields" => false,
        "normalize" => options.pooling.is_some(),
        "layer_merge" => !options.layers.is_empty(),
        _ => !value.is_null() && value.as_array().is_none_or(|values| !values.is_empty()),
    });
    if float != Float::F32 {
        kept.extend(named(&serde_json::json!({"float": float}))?);
    }
    Ok(kept
        .into_iter()
        .map(|(name, value)| (name, typed(value)))
        .collect())
}

/// The options that do not say `serde(skip)`, by name.
fn named(options: &impl Serialize) -> Result<Map<String, Value>> {
    let options = serde_json::to_value(options).and_then(serde_json::from_value);
    options.kind(Kind::Internal)
}

/// `value` as it is typed on the command line.
fn typed(value: Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text,
        Value::Array(values) => values.into_iter().map(typed).collect::<Vec<_>>().join(","),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}
