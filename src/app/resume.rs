//! What decides the bytes of an output besides the texts, so that a resumed run can be refused that
//! would write other records than the interrupted one.

use candle_core::Device;
use sha2::{Digest, Sha256};

use crate::app::request::{Request, typed};
use crate::cli::Arguments;
use crate::error::Result;
use crate::hex::hex;
use crate::hub::{self, Snapshot};
use crate::ops::Level;
use crate::ops::device;
use crate::output::{Destination, Settings};
use crate::record::Tally;

/// Opens `destination` for records; what an interrupted run has written of them already.
///
/// # Errors
/// [`crate::error::Kind::Usage`] where that run had other settings,
/// [`crate::error::Kind::Output`] where the files fail, [`crate::error::Kind::Model`] where those of
/// the model do.
pub fn begin(
    arguments: &Arguments,
    request: &Request,
    snapshot: &Snapshot,
    device: &Device,
    destination: &mut Destination,
) -> Result<Tally> {
    if destination.partial_path().is_none() {
        return Ok(Tally::default());
    }
    let done = destination.begin(&settings(arguments, request, snapshot, device)?)?;
    if arguments.resume && done.records == 0 && !arguments.quiet {
        eprintln!("note: nothing to resume: starting from the beginning");
    }
    Ok(done)
}

/// Every setting that the records depend on, by the name that the user knows.
fn settings(
    arguments: &Arguments,
    request: &Request,
    snapshot: &Snapshot,
    device: &Device,
) -> Result<Settings> {
    let mut settings = vec![
        ("the program", env!("CARGO_PKG_VERSION").to_owned()),
        ("the model", model(snapshot)?),
        ("the device", device_name(device)),
        ("--format", typed(&arguments.output_format())),
        ("--pair", or_none(arguments.pair.clone())),
        (
            "--pair-separator",
            or_none(arguments.pair_separator.clone()),
        ),
    ];
    settings.extend(request.settings());
    let owned = |(name, value): (&str, String)| (name.to_owned(), value);
    Ok(settings.into_iter().map(owned).collect())
}

impl Request {
    fn settings(&self) -> Vec<(&'static str, String)> {
        // Nothing is left out by `..`: a new part of a request has to be thought of here.
        let Self {
            fields,
            wanted,
            layer_merge,
            pooling,
            normalize,
            word_pooling,
            max_length,
            on_long,
            stride,
            padding,
            batch_tokens: _,
            detail: _,
            hidden_size: _,
            format: _,
            dtype,
        } = self;
        vec![
            ("--fields", list(fields.iter().map(|field| field.name()))),
            ("--layers", list(wanted.hidden_states.iter())),
            ("--layer-merge", typed(layer_merge)),
            ("--pooling", or_none(pooling.as_ref().map(typed))),
            ("--normalize", normalize.to_string()),
            ("--word-pooling", or_none(word_pooling.as_ref().map(typed))),
            ("--max-length", max_length.to_string()),
            ("--on-long", typed(on_long)),
            ("--stride", stride.to_string()),
            ("--padding", typed(padding)),
            ("--dtype", typed(dtype)),
        ]
    }
}

/// The commit, or a hash over the hashes of all files.
fn model(snapshot: &Snapshot) -> Result<String> {
    if let Some(commit) = &snapshot.commit {
        return Ok(format!("commit {commit}"));
    }
    let mut hash = Sha256::new();
    for file in hub::verify(snapshot)? {
        hash.update(format!("{} {}\n", file.file, file.found));
    }
    Ok(format!("sha256 {}", hex(&hash.finalize())))
}

/// The kernels of each instruction set round in an order of their own.
fn device_name(device: &Device) -> String {
    match device {
        Device::Cpu => format!("cpu ({:?})", Level::current()).to_lowercase(),
        other => device::full_name(other),
    }
}

fn or_none(value: Option<String>) -> String {
    value.unwrap_or_else(|| "none".to_owned())
}

fn list<T: ToString>(values: impl Iterator<Item = T>) -> String {
    values
        .map(|value| value.to_string())
        .collect::<Vec<_>>()
        .join(",")
}
