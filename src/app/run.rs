//! One run of the command: opens what the arguments name, and hands it to the pipeline.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use crate::app::request::Request;
use crate::app::self_test::SelfTest;
use crate::app::settings::{metadata, settings};
use crate::app::signals::Signals;
use crate::app::{dry_run, resume};
use crate::checkpoint::{Config, Tensors, WeightFormat, WeightGuard};
use crate::cli::Arguments;
use crate::error::{Classify, Error, Kind, Result, one_line};
use crate::hub::{self, Environment, ModelSource, Snapshot};
use crate::input::{self, Text, Texts};
use crate::model::BertModel;
use crate::notes;
use crate::ops::device;
use crate::ops::{OutOfMemory, Precision};
use crate::output::{self, Context, Destination, OutputFormat, Unfinished};
use crate::pipeline::{self, Ending, Plan, Progress, Prompt, Writer};
use crate::record::RunCounts;
use crate::tokenize::{Detail, Tokenizer};

/// How a run ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every text has its record.
    Done,
    /// Every text has its record, but some records are errors.
    SomeRecordsAreErrors,
    /// A signal came first; what was written is kept.
    Stopped {
        /// 128 and the signal's number.
        exit_code: u8,
        /// Whether `--resume` would go on.
        resumable: bool,
    },
}

/// Does what `arguments` ask for.
///
/// # Errors
/// Every [`Kind`] of error; records written before it stay written on a stream.
pub fn run(arguments: &Arguments) -> Result<Outcome> {
    arguments.check()?;
    notes::set_quiet(arguments.quiet);
    device::reuse_memory();
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
    let mut destination = destination(arguments)?;
    if arguments.resume && destination.is_complete() {
        notes::note(&format!(
            "{} is there and no interrupted run was found: it is left as it is",
            destination.name()
        ));
        return Ok(Outcome::Done);
    }
    let device = device::open(arguments.device)?;
    let snapshot = locate(arguments, true)?;
    let config = Config::read(&snapshot.directory)?;
    let mut request = Request::new(
        arguments,
        &config,
        &snapshot.directory,
        device::batch_tokens(&device),
    )?;
    let options = settings(arguments, &request);
    let done = resume::begin(arguments, &options, &snapshot, &device, &mut destination)?;
    let weights = WeightGuard::new(&snapshot.directory)?;
    let tensors = open_tensors(&snapshot, &config)?;
    if tensors.format() == WeightFormat::Pytorch {
        notes::note("the weights are a PyTorch pickle: as model.safetensors they load faster");
    }
    tensors.populate_beside(&config);
    // Not dropped: the process ends with the run, and the system frees 60,000 strings faster.
    let tokenizer = ManuallyDrop::new(tokenizer_for(&mut request, &snapshot, &config)?);
    let model = BertModel::load(&tensors, &config, &device, request.dtype)?;
    request.check_pooler(model.has_pooler())?;
    let options = metadata(&options);
    let context = context(&request, &options, &snapshot, &tokenizer);
    let output = output::open(request.format, context)?;
    let kept = destination.partial_path().map(Path::to_path_buf);
    let signals = Signals::listen().kind(Kind::Internal)?;
    let stop = signals.stop();
    let run = pipeline::Run {
        model: &model,
        wanted: &request.wanted,
        plan: plan(arguments, &request, &tokenizer, &done),
        stop: &stop,
        progress: Progress::new(draws_progress(arguments), texts.size_bytes),
    };
    let writer = Writer::new(
        output,
        destination,
        &request.vectors,
        Some(&weights),
        done.clone(),
    );
    let ended = pipeline::run(run, texts, writer);
    let resumable = kept.is_some_and(|path| path.exists());
    if let Ok((counts, Ending::Complete)) = &ended {
        warn(&request, counts, model.has_pooler());
        warn_of_input(arguments, counts);
    }
    outcome(ended, arguments, &signals, resumable)
}

fn outcome(
    ended: Result<(RunCounts, Ending)>,
    arguments: &Arguments,
    signals: &Signals,
    resumable: bool,
) -> Result<Outcome> {
    match ended {
        Ok((counts, Ending::Complete)) => Ok(complete(arguments, counts.errors)),
        // Whoever reads the output may have got the same signal, and gone before.
        Err(error) if !(signals.stop().asked() && error.is_closed_pipe()) => Err(error),
        Ok((_, Ending::Stopped)) | Err(_) => Ok(Outcome::Stopped {
            exit_code: signals.exit_code(),
            resumable,
        }),
    }
    .map_err(|error| match error.tip() {
        // What goes on with --resume goes on where it was: not on another device.
        Some(_) if error.kind() != Kind::Device || error.is_caused_by::<OutOfMemory>() => error,
        _ if resumable => error.with_tip("the finished records are kept: go on with --resume"),
        _ => error,
    })
}

fn complete(arguments: &Arguments, errors: u64) -> Outcome {
    if errors > 0 && !arguments.errors_ok {
        Outcome::SomeRecordsAreErrors
    } else {
        Outcome::Done
    }
}

/// Counts and sizes without an encoder; a run with the same arguments would be refused where this is.
fn dry_run(arguments: &Arguments) -> Result<Outcome> {
    let texts = texts(arguments)?;
    // Says whether the directory can be written; nothing stays there.
    drop(destination(arguments)?);
    let snapshot = locate(arguments, false)?;
    let config = Config::read(&snapshot.directory)?;
    // There are no batches.
    let mut request = Request::new(arguments, &config, &snapshot.directory, usize::MAX)?;
    let tokenizer = tokenizer_for(&mut request, &snapshot, &config)?;
    let options = metadata(&settings(arguments, &request));
    let context = context(&request, &options, &snapshot, &tokenizer);
    let nothing_done = RunCounts::default();
    let plan = plan(arguments, &request, &tokenizer, &nothing_done);
    let report = dry_run::measure(texts, plan, context, &request)?;
    let is_report = |format: OutputFormat| format.spec().is_report;
    let as_json = arguments.format.is_some_and(is_report);
    report.print(as_json, &mut std::io::stdout())?;
    Ok(complete(arguments, report.errors()))
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
        dimensions: request.dimensions(),
        options,
    }
}

fn draws_progress(arguments: &Arguments) -> bool {
    !arguments.quiet && pipeline::has_terminal(arguments.output.is_none())
}

fn self_test(arguments: &Arguments) -> Result<Outcome> {
    let device = device::open(arguments.device)?;
    let snapshot = locate(arguments, true)?;
    let config = Config::read(&snapshot.directory)?;
    let tensors = open_tensors(&snapshot, &config)?;
    let test = SelfTest {
        snapshot: &snapshot,
        config: &config,
        tensors: &tensors,
        tokenizer: &load_tokenizer(&snapshot, &config)?,
        model: &BertModel::load(&tensors, &config, &device, Precision::F32)?,
        device: &device,
    };
    test.run(&mut std::io::stdout()).map(|()| Outcome::Done)
}

fn texts(arguments: &Arguments) -> Result<Texts> {
    let input = &arguments.input;
    let options = input.options();
    if !input.texts.is_empty() {
        note_file_names(&input.texts);
        return Ok(input::from_arguments(
            input.texts.clone(),
            input.pair.clone(),
            options,
        ));
    }
    if !input.files.is_empty() {
        return input::from_files(&input.files, options);
    }
    if input::standard_input_is_terminal() {
        return Err(Error::message(
            Kind::Usage,
            "no text was given: neither TEXT nor --file, and standard input is a terminal",
        )
        .with_tip("bert-embed \"a sentence\", or bert-embed --help"));
    }
    input::from_files(&[PathBuf::from("-")], options)
}

/// A lone TEXT that names a file is most likely a forgotten `-f`.
fn note_file_names(texts: &[String]) {
    let [text] = texts else { return };
    if Path::new(text).metadata().is_ok_and(|it| it.is_file()) {
        notes::note(&format!(
            "`{}` is the name of a file, but it is embedded as a text: -f reads the file",
            one_line(text)
        ));
    }
}

/// The output, opened before the model is loaded: a mistyped path costs no minute.
fn destination(arguments: &Arguments) -> Result<Destination> {
    let Some(path) = &arguments.output else {
        return Ok(Destination::standard_output());
    };
    if let Some(input) = arguments
        .input
        .files
        .iter()
        .find(|input| same_file(input, path))
    {
        let what = format!("could not write `{}`", path.display());
        let cause = format!("it is the input `{}` too", input.display());
        return Err(Error::message(Kind::Output, cause).context(what));
    }
    let format = arguments.output_format();
    let unfinished = match (format.spec().not_resumable, arguments.resume) {
        (Some(_), _) => Unfinished::Dropped,
        (None, false) => Unfinished::Kept,
        (None, true) => Unfinished::Resumed,
    };
    let destination = Destination::open(path, unfinished)?;
    if destination.is_file() {
        return Ok(destination);
    }
    let (name, ending) = (destination.name(), format.name());
    let stream = |option: &str| {
        Err(Error::message(
            Kind::Usage,
            format!("{option} needs a file: {name} is a stream"),
        )
        .with_tip(format!("-o vectors.{ending}")))
    };
    if arguments.resume {
        return stream("--resume");
    }
    if format.spec().needs_file {
        return stream(&format!("--format {ending}"));
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
    let source = ModelSource {
        model: &arguments.model,
        revision: &arguments.revision,
        cache_dir: arguments.cache_dir.as_deref(),
        offline: arguments.offline,
        weights,
        progress: !arguments.quiet && std::io::IsTerminal::is_terminal(&std::io::stderr()),
    };
    hub::locate(&source, &Environment::read())
}

fn open_tensors(snapshot: &Snapshot, config: &Config) -> Result<Tensors> {
    let tensors = Tensors::open(&snapshot.directory)?;
    tensors.check(config)?;
    Ok(tensors)
}

fn load_tokenizer(snapshot: &Snapshot, config: &Config) -> Result<Tokenizer> {
    Tokenizer::load(&snapshot.directory, config.vocab_size)
}

/// The tokenizer of `request`, which learns how many tokens its prompt has.
fn tokenizer_for(request: &mut Request, snapshot: &Snapshot, config: &Config) -> Result<Tokenizer> {
    let mut tokenizer = load_tokenizer(snapshot, config)?;
    tokenizer.check_padding(request.tokens.padding)?;
    let Some(sentence) = &request.vectors.sentence else {
        return Ok(tokenizer);
    };
    if sentence.do_lower_case {
        tokenizer.lowercase()?;
    }
    if let Some(prompt) = &request.prompt
        && !sentence.include_prompt
    {
        let prompt = Text::new(prompt.clone());
        let encoding = tokenizer.encode(&prompt, request.tokens.max_length, Detail::default())?;
        // All but the `[SEP]` behind it.
        request.vectors.prompt_tokens = encoding.tokens() - 1;
    }
    Ok(tokenizer)
}

fn plan<'a>(
    arguments: &Arguments,
    request: &'a Request,
    tokenizer: &'a Tokenizer,
    done: &'a RunCounts,
) -> Plan<'a> {
    Plan {
        done,
        fail_fast: arguments.fail_fast,
        tokenizer,
        options: &request.tokens,
        prompt: request.prompt.as_deref().map(|text| Prompt {
            text,
            left_out: request.vectors.prompt_tokens,
        }),
        batch_tokens: request.batch_tokens,
    }
}

/// Says on standard error what no record can say by itself.
fn warn(request: &Request, counts: &RunCounts, has_pooler: bool) {
    if request.wanted.pooler_output && !has_pooler {
        let takes_nulls = request.format.spec().takes_nulls;
        let fate = if takes_nulls { "null" } else { "left out" };
        notes::warning(&format!(
            "the checkpoint has no pooler: pooler_output is {fate}"
        ));
    }
    if counts.truncated_texts > 0 {
        notes::warning(&format!(
            "texts longer than {} tokens: {} of {}, tokens dropped: {}",
            request.tokens.max_length,
            counts.truncated_texts,
            counts.records,
            counts.dropped_tokens
        ));
    }
}

/// Says what the input did that the user may not have meant.
fn warn_of_input(arguments: &Arguments, counts: &RunCounts) {
    let RunCounts {
        records,
        errors,
        pairs,
        ..
    } = counts;
    if let Some(separator) = &arguments.input.pair_separator
        && *pairs == 0
        && records > errors
    {
        notes::warning(&format!(
            "--pair-separator `{}` is in none of the texts: each is a single segment",
            one_line(separator)
        ));
    }
    if let Some(first) = &counts.first_error {
        notes::warning(&format!(
            "{errors} of {records} texts are errors, the first: {first}"
        ));
    }
}
