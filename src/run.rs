//! The way of a text through the rooms; the only file that knows every other.

use std::path::{Path, PathBuf};

use crate::checkpoint::{self, Config, Environment, Snapshot, Source, Tensors};
use crate::cli::{Arguments, Format, InputFormat};
use crate::error::{Error, Kind, Result};
use crate::input::{self, LineFormat, Texts};
use crate::model::BertModel;
use crate::output::{self, Context, Destination};
use crate::request::Request;
use crate::self_test::Subject;
use crate::tokenize::Tokenizer;
use crate::writer::{Tally, Writer};
use crate::{batch, device, dry_run, pipeline};

/// How a run ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every text has its record.
    Done,
    /// Every text has its record, but some records are errors.
    SomeRecordsAreErrors,
}

/// Does what `arguments` ask for.
///
/// # Errors
/// Every [`Kind`] of error; records written before it stay written on a stream.
pub fn run(arguments: &Arguments) -> Result<Outcome> {
    arguments.check()?;
    device::set_threads(arguments.threads)?;
    if arguments.self_test {
        self_test(arguments)
    } else if arguments.dry_run {
        dry_run(arguments)
    } else {
        embed(arguments)
    }
}

fn embed(arguments: &Arguments) -> Result<Outcome> {
    let texts = texts(arguments)?;
    let destination = destination(arguments)?;
    let device = device::open(arguments.device)?;
    let snapshot = locate(arguments, true)?;
    let config = Config::read(&snapshot.directory)?;
    let mut request = Request::new(arguments, arguments.output_format(), &config)?;
    let tensors = open_tensors(&snapshot, &config)?;
    tensors.populate_beside(&config);
    let tokenizer = load_tokenizer(&snapshot, &config)?;
    let model = BertModel::load(&tensors, &config, &device)?;
    request.check_pooler(model.has_pooler())?;
    let options = request.options();
    let context = context(&request, &options, &snapshot, &tokenizer);
    let output = output::open(request.format, context, &destination)?;
    let writer = Writer::new(output, destination, &request);
    let plan = plan(&request, &tokenizer);
    let tally = pipeline::run(texts, plan, &model, &request.wanted, writer)?;
    if !arguments.quiet {
        warn(&request, tally, model.has_pooler());
    }
    Ok(outcome(tally.errors))
}

/// Counts and sizes without an encoder; a run with the same arguments would be refused where this is.
fn dry_run(arguments: &Arguments) -> Result<Outcome> {
    let texts = texts(arguments)?;
    // Says whether the directory can be written; nothing stays there.
    drop(destination(arguments)?);
    let snapshot = locate(arguments, false)?;
    let config = Config::read(&snapshot.directory)?;
    let request = Request::new(arguments, arguments.output_format(), &config)?;
    let tokenizer = load_tokenizer(&snapshot, &config)?;
    let options = request.options();
    let context = context(&request, &options, &snapshot, &tokenizer);
    let report = dry_run::measure(texts, plan(&request, &tokenizer), context, &request)?;
    let as_json = arguments.format == Some(Format::Json);
    report.print(as_json, &mut std::io::stdout())?;
    Ok(outcome(report.errors()))
}

fn context<'a>(
    request: &'a Request,
    options: &'a [(&'static str, String)],
    snapshot: &'a Snapshot,
    tokenizer: &'a Tokenizer,
) -> Context<'a> {
    Context {
        fields: &request.fields,
        tokenizer,
        model: &snapshot.model,
        commit: snapshot.commit.as_deref(),
        shapes: request.shapes(),
        options,
    }
}

fn outcome(errors: u64) -> Outcome {
    if errors > 0 {
        Outcome::SomeRecordsAreErrors
    } else {
        Outcome::Done
    }
}

fn self_test(arguments: &Arguments) -> Result<Outcome> {
    let device = device::open(arguments.device)?;
    let snapshot = locate(arguments, true)?;
    let config = Config::read(&snapshot.directory)?;
    let tensors = open_tensors(&snapshot, &config)?;
    let subject = Subject {
        snapshot: &snapshot,
        config: &config,
        tensors: &tensors,
        tokenizer: &load_tokenizer(&snapshot, &config)?,
        model: &BertModel::load(&tensors, &config, &device)?,
        device: &device,
    };
    subject.test(&mut std::io::stdout()).map(|()| Outcome::Done)
}

fn texts(arguments: &Arguments) -> Result<Texts> {
    let separator = arguments.pair_separator.clone();
    if !arguments.texts.is_empty() {
        return Ok(input::from_arguments(
            arguments.texts.clone(),
            arguments.pair.clone(),
            separator,
        ));
    }
    let source = |path: &PathBuf| (path.clone(), line_format(arguments, path));
    if !arguments.files.is_empty() {
        return input::from_files(arguments.files.iter().map(source).collect());
    }
    if input::standard_input_is_terminal() {
        return Err(Error::message(
            Kind::Usage,
            "no text was given: neither TEXT nor --file, and standard input is a terminal",
        )
        .with_tip("bert-embed \"a sentence\", or bert-embed --help"));
    }
    input::from_files(vec![source(&PathBuf::from("-"))])
}

fn line_format(arguments: &Arguments, path: &Path) -> LineFormat {
    let ending = path.extension().and_then(std::ffi::OsStr::to_str);
    let by_ending = match ending {
        Some("jsonl" | "ndjson") => InputFormat::Jsonl,
        _ => InputFormat::Lines,
    };
    match arguments.input_format.unwrap_or(by_ending) {
        InputFormat::Jsonl => LineFormat::Json,
        InputFormat::Lines => LineFormat::Text {
            pair_separator: arguments.pair_separator.clone(),
        },
    }
}

/// The output, opened before the model is loaded: a mistyped path costs no minute.
fn destination(arguments: &Arguments) -> Result<Destination> {
    let Some(path) = &arguments.output else {
        return Ok(Destination::standard_output());
    };
    if let Some(input) = arguments.files.iter().find(|input| same_file(input, path)) {
        let what = format!("could not write `{}`", path.display());
        let cause = format!("it is the input `{}` too", input.display());
        return Err(Error::message(Kind::Output, cause).context(what));
    }
    let destination = Destination::open(path)?;
    let format = arguments.output_format();
    if format.needs_file() && !destination.is_file() {
        let (format, name) = (format.name(), destination.name());
        return Err(Error::message(
            Kind::Usage,
            format!("--format {format} needs a file: {name} is a stream"),
        )
        .with_tip(format!("-o vectors.{format}")));
    }
    Ok(destination)
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one.is_file() && one == other,
        _ => false,
    }
}

fn locate(arguments: &Arguments, weights: bool) -> Result<Snapshot> {
    let source = Source {
        model: &arguments.model,
        revision: &arguments.revision,
        cache_dir: arguments.cache_dir.as_deref(),
        offline: arguments.offline,
        weights,
        progress: !arguments.quiet && std::io::IsTerminal::is_terminal(&std::io::stderr()),
    };
    checkpoint::locate(&source, &Environment::read())
}

fn open_tensors(snapshot: &Snapshot, config: &Config) -> Result<Tensors> {
    let tensors = Tensors::open(&snapshot.directory)?;
    tensors.check(config)?;
    Ok(tensors)
}

fn load_tokenizer(snapshot: &Snapshot, config: &Config) -> Result<Tokenizer> {
    let tokenizer = Tokenizer::load(&snapshot.directory)?;
    let (tokens, rows) = (tokenizer.vocab_size(), config.vocab_size);
    if tokens <= rows {
        return Ok(tokenizer);
    }
    let what = format!(
        "could not use the tokenizer of `{}`",
        snapshot.directory.display()
    );
    let cause = format!("it has {tokens} tokens, but the word embeddings have {rows} rows");
    Err(Error::message(Kind::Model, cause).context(what))
}

fn plan<'a>(request: &Request, tokenizer: &'a Tokenizer) -> batch::Plan<'a> {
    batch::Plan {
        tokenizer,
        detail: request.detail,
        max_length: request.max_length,
        on_long: request.on_long,
        stride: request.stride,
        padding: request.padding,
        batch_tokens: request.batch_tokens,
    }
}

/// Tells on standard error what no record can tell by itself.
fn warn(request: &Request, tally: Tally, has_pooler: bool) {
    if request.wanted.pooler_output && !has_pooler {
        let fate = match request.format {
            Format::Safetensors => "left out",
            _ => "null",
        };
        eprintln!("warning: the checkpoint has no pooler: pooler_output is {fate}");
    }
    if tally.truncated_texts > 0 {
        eprintln!(
            "warning: texts longer than {} tokens: {} of {}, tokens dropped: {}",
            request.max_length, tally.truncated_texts, tally.records, tally.dropped_tokens
        );
    }
}
