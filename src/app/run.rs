//! One run of the command: opens its input, output and model, and hands them to the pipeline.

use std::mem::ManuallyDrop;
use std::path::Path;

use crate::app::info::info;
use crate::app::load::{load, load_tokenizer, locate, open_tensors};
use crate::app::open::{destination, texts};
use crate::app::request::Request;
use crate::app::self_test::SelfTest;
use crate::app::settings::metadata;
use crate::app::signals::Signals;
use crate::app::{dry_run, resume};
use crate::checkpoint::{Config, files};
use crate::cli::Arguments;
use crate::error::{Classify, Kind, Result, one_line};
use crate::hub::Snapshot;
use crate::model::{BertModel, Output};
use crate::notes;
use crate::ops::device;
use crate::ops::{OutOfMemory, Precision};
use crate::output::{self, Context, OutputFormat, OutputStatus};
use crate::pipeline::{self, Ending, Plan, RunProgress, Writer};
use crate::record::{Field, RunCounts};
use crate::standard_streams;
use crate::threads::Threads;
use crate::tokenize::Tokenizer;

/// How a run that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// Every text has its record, but some records are errors.
    SomeRecordsAreErrors,
    /// A signal stopped the run; the records written so far are kept.
    Stopped {
        /// Those of the whole output; unknown if its reader is gone.
        records: Option<u64>,
        exit_code: u8,
        resumable: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// Every [`Kind`] of error. Records already written to a stream stay written.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    arguments.check()?;
    notes::set_quiet(arguments.quiet);
    device::reuse_memory();
    let threads = Threads::start(arguments.options.threads)?;
    if arguments.info {
        info(arguments).map(|()| Outcome::Done)
    } else if arguments.self_test {
        threads.install(|| self_test(arguments))
    } else if arguments.dry_run {
        dry_run(arguments, &threads)
    } else {
        embed(arguments, &threads)
    }
}

fn embed(arguments: &Arguments, threads: &Threads) -> Result<Outcome> {
    let texts = texts(arguments)?;
    let mut destination = destination(arguments)?;
    let device = arguments.options.open_device()?;
    let (snapshot, config) = locate(&arguments.model, &arguments.options, true)?;
    let request = request(arguments, &snapshot, &config, device::batch_tokens(&device))?;
    let done = match resume::begin(arguments, &request, &snapshot, &device, &mut destination)? {
        OutputStatus::Unfinished(done) => done,
        OutputStatus::Complete(finished) => {
            let (tokenizer, prompt_tokens) = load_tokenizer(&request, &snapshot, &config)?;
            let nothing_done = RunCounts::default();
            let plan = request.plan((&tokenizer, prompt_tokens), threads, &nothing_done);
            resume::leave(finished, &destination, plan, texts)?;
            return Ok(Outcome::Done);
        }
    };
    let loaded = load(&request, (&snapshot, &config), &device, threads)?;
    // Never dropped: the process ends with the run, and the system frees 60,000 strings faster than
    // drop does.
    let tokenizer = ManuallyDrop::new(loaded.tokenizer);
    let (model, vectors) = (loaded.model, loaded.vectors);
    let options = metadata(arguments.float, &request)?;
    let context = Context {
        fields: &loaded.fields,
        ..context(
            arguments, &request, &options, &snapshot, &tokenizer, threads,
        )
    };
    let output = output::open(request.format, context, done.records)?;
    let kept = destination.partial_path().map(Path::to_path_buf);
    let signals = Signals::listen().kind(Kind::Internal)?;
    let stop = signals.stop();
    let run = pipeline::Run {
        model: &model,
        outputs: &request.outputs,
        plan: Plan {
            fail_fast: arguments.fail_fast,
            ..request.plan((&tokenizer, vectors.prompt_tokens), threads, &done)
        },
        stop: &stop,
        progress: RunProgress::new(draws_progress(arguments), texts.size_bytes),
    };
    let weights = &loaded.weights;
    let writer = Writer::new(output, destination, &vectors, weights, done.clone());
    let ended = pipeline::run(run, texts, writer);
    // This only decides about a tip.
    let resumable = kept.is_some_and(|path| matches!(path.try_exists(), Ok(true)));
    if let Ok((counts, Ending::Complete)) = &ended {
        warn(&request, counts, model.has_pooler());
        warn_of_words(&request, counts);
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
        // The reader of the output may have received the same signal and exited first.
        Err(error) if !(signals.stop().asked() && error.is_closed_pipe()) => Err(error),
        stopped @ (Ok((_, Ending::Stopped)) | Err(_)) => Ok(Outcome::Stopped {
            records: stopped.ok().map(|(counts, _)| counts.records),
            exit_code: signals.exit_code(),
            resumable,
        }),
    }
    .map_err(|error| match error.tip() {
        // --resume continues on the same device, so its tip replaces one to use another device.
        Some(_) if error.kind() != Kind::Device || error.is_caused_by::<OutOfMemory>() => error,
        _ if resumable => error.with_tip("the finished records are kept: continue with --resume"),
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

/// Reports counts and the output's size without an encoder. Refuses whatever a run with the same
/// arguments would refuse.
fn dry_run(arguments: &Arguments, threads: &Threads) -> Result<Outcome> {
    let texts = texts(arguments)?;
    // Fails if the directory is not writable; leaves no file.
    drop(destination(arguments)?);
    let (snapshot, config) = locate(&arguments.model, &arguments.options, false)?;
    // A dry run makes no batches.
    let request = request(arguments, &snapshot, &config, usize::MAX)?;
    let (tokenizer, prompt_tokens) = load_tokenizer(&request, &snapshot, &config)?;
    let options = metadata(arguments.float, &request)?;
    let context = context(
        arguments, &request, &options, &snapshot, &tokenizer, threads,
    );
    let nothing_done = RunCounts::default();
    let plan = request.plan((&tokenizer, prompt_tokens), threads, &nothing_done);
    let report = dry_run::measure(texts, plan, context, &request)?;
    let is_report = |format: OutputFormat| format.spec().is_report;
    let as_json = arguments.format.is_some_and(is_report);
    let mut text = Vec::new();
    report.print(as_json, &mut text)?;
    standard_streams::print(&text)?;
    if let Some(summary) = report.error_summary() {
        notes::warning(&summary);
    }
    Ok(complete(arguments, report.errors()))
}

fn request(
    arguments: &Arguments,
    snapshot: &Snapshot,
    config: &Config,
    batch_tokens: usize,
) -> Result<Request> {
    let form = (arguments.output_format(), arguments.record_fields());
    Request::new(
        &arguments.options,
        form,
        config,
        &snapshot.root,
        batch_tokens,
    )
    .map_err(|error| match error.tip() {
        // A tip to use another pooling would not help while it is unknown how the model pools.
        Some(_) if snapshot.unknown.iter().any(|file| file == files::MODULES) => error.with_tip(
            "run once without --offline: the hub has the files that say how the model pools",
        ),
        _ => error,
    })
}

fn context<'a>(
    arguments: &Arguments,
    request: &'a Request,
    options: &'a [(String, String)],
    snapshot: &'a Snapshot,
    tokenizer: &'a Tokenizer,
    threads: &'a Threads,
) -> Context<'a> {
    Context {
        fields: &request.options.fields,
        tokenizer,
        threads,
        model: &snapshot.model,
        commit: snapshot.commit.as_deref(),
        dimensions: request.dimensions(),
        compression: arguments.compression(),
        float: arguments.float,
        options,
    }
}

fn draws_progress(arguments: &Arguments) -> bool {
    !arguments.quiet && pipeline::has_terminal(arguments.output.is_none())
}

fn self_test(arguments: &Arguments) -> Result<Outcome> {
    let device = arguments.options.open_device()?;
    let (snapshot, config) = locate(&arguments.model, &arguments.options, true)?;
    let tensors = open_tensors(&snapshot, &config)?;
    let test = SelfTest {
        snapshot: &snapshot,
        config: &config,
        tensors: &tensors,
        tokenizer: &Tokenizer::load(&snapshot.directory, config.vocab_size)?,
        model: &BertModel::load(&tensors, &config, &device, Precision::F32)?,
        dtype: arguments.options.dtype,
        device: &device,
    };
    test.run(&mut standard_streams::output()?)
        .map(|()| Outcome::Done)
}

/// Warns about what no single record shows.
fn warn(request: &Request, counts: &RunCounts, has_pooler: bool) {
    if request.outputs.contains(&Output::PoolerOutput) && !has_pooler {
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

/// Warns of words without a vector, because the vocabulary or truncation leaves them without
/// tokens.
fn warn_of_words(request: &Request, counts: &RunCounts) {
    let words = counts.words_without_tokens;
    if words > 0 && request.options.fields.contains(&Field::Words) {
        notes::warning(&format!(
            "{words} of the input's words have no tokens: their `vector` is null"
        ));
    }
}

/// Warns about input that the user may not have intended.
fn warn_of_input(arguments: &Arguments, counts: &RunCounts) {
    let RunCounts {
        records,
        errors,
        pairs,
        unknown_texts,
        ..
    } = counts;
    if *unknown_texts > 0 {
        notes::warning(&format!(
            "{unknown_texts} of {records} texts contain only unknown tokens (`[UNK]`)"
        ));
    }
    if let Some(separator) = &arguments.input.options.pair_separator
        && *pairs == 0
        && records > errors
    {
        notes::warning(&format!(
            "no text contains the --pair-separator `{}`: each is a single segment",
            one_line(separator)
        ));
    }
    if let Some(first) = &counts.first_error {
        notes::warning(&format!(
            "{errors} of {records} texts are errors, the first: {first}"
        ));
    }
}
