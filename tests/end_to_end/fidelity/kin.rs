//! BERT's kin against transformers in float64: the encoder on transformers' own ids, on the CPU, on
//! candle's operations and in integers, and the program with each type's tokenizer.

use std::path::Path;

use bert_embed::DeviceChoice;
use bert_embed::Precision;
use bert_embed::internals::Config;
use bert_embed::internals::Tensors;
use bert_embed::internals::{Batch, BertModel, Output, Outputs};
use bert_embed::internals::{Device, device};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{TOLERANCE, check, judge};
use crate::library::layouts;
use crate::support::checkpoint::fixture;
use crate::support::command::{bert_embed, parts, run, run_with_input};
use crate::support::goldens::{Case, Errors, Goldens, Record, numbers};
use crate::support::kin::KinCheckpoint;

/// The smallest cosine of a token's vector in integers with transformers' in float64; tiny models
/// have no trained outliers, and a wrong scale gives far less.
const LEAST_COSINE: f64 = 0.999;

/// A checkpoint written into a directory.
struct Written {
    name: String,
    /// Removed when this is dropped.
    _directory: Option<tempfile::TempDir>,
    config: Config,
    tensors: Tensors,
    goldens: Goldens,
    pooler: bool,
}

impl Written {
    /// Writes a named checkpoint and proves that it is the one transformers read.
    fn new(name: &str) -> Self {
        let checkpoint = KinCheckpoint::named(name);
        // Not /tmp, which may be memory: base has 440 MB.
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let digest = checkpoint.write(directory.path());
        let expected = &fixture("goldens/kin_sha256.json")[name];
        assert_eq!(expected, &digest, "{name}: Python wrote other bytes");
        let goldens = checkpoint.same_values_as.as_deref().unwrap_or(name);
        let pooler = checkpoint.parts.iter().any(|part| part == "pooler");
        let (config, tensors) = open(directory.path());
        Self {
            name: name.to_owned(),
            _directory: Some(directory),
            config,
            tensors,
            goldens: Goldens::of(goldens),
            pooler,
        }
    }

    /// The real all-mpnet-base-v2.
    fn mpnet() -> Self {
        let name = "all-mpnet-base-v2";
        let directory = std::env::var_os("BERT_EMBED_MPNET").expect("BERT_EMBED_MPNET");
        let (config, tensors) = open(Path::new(&directory));
        Self {
            name: name.to_owned(),
            _directory: None,
            config,
            tensors,
            goldens: Goldens::of(name),
            pooler: true,
        }
    }

    fn model(&self, device: &Device, precision: Precision) -> BertModel {
        BertModel::load(&self.tensors, &self.config, device, precision).expect(&self.name)
    }

    /// Every case in f32 on `device`.
    fn check_on(&self, device: DeviceChoice) {
        let device = device::open(device).expect("the device");
        let model = self.model(&device, Precision::F32);
        assert_eq!(model.has_pooler(), self.pooler, "{}", self.name);
        for case in &self.goldens.cases {
            self.check_case(case, &model, &device::name(&device));
        }
    }

    fn check_case(&self, case: &Case, model: &BertModel, device: &str) {
        let label = format!("{} {} {device}", self.name, case.name);
        let selected = self.outputs(case);
        let computed = Computed {
            outputs: host(model, &batch(&case.records), &selected),
            hidden_size: self.config.hidden_size,
            tokens: case.records.iter().map(tokens).collect(),
        };
        let judged = |field: &str, values: &dyn Fn(usize) -> Vec<f64>| {
            let mut errors = Errors::default();
            for text in 0..case.records.len() {
                errors.add(&values(text), &self.goldens.array(case, text, field));
            }
            match case.torch_float32.get(field) {
                Some(figures) => judge(&format!("{label} {field}"), device, errors, *figures),
                None => assert!(errors.max <= TOLERANCE, "{label} {field}: {errors:?}"),
            }
        };
        judged("last_hidden_state", &|text| {
            computed.rows(Output::LastHiddenState, text, &case.rows)
        });
        if case.rows.len() < computed.tokens[0] {
            judged("last_hidden_state.columns", &|text| {
                computed.columns(text, &case.columns)
            });
        }
        if self.pooler {
            judged("pooler_output", &|text| {
                computed.sequence(Output::PoolerOutput, text)
            });
        } else {
            assert!(computed.outputs.get(Output::PoolerOutput).is_none());
        }
        if case.hidden_states {
            judged("hidden_states", &|text| {
                let layers = case.layers.iter();
                let layers = layers.map(|&layer| Output::HiddenState(layer));
                layers
                    .flat_map(|layer| computed.rows(layer, text, &case.hidden_rows))
                    .collect()
            });
        }
        if case.attentions {
            judged("attentions", &|text| {
                let layers = 1..=self.config.layers();
                layers
                    .flat_map(|layer| computed.attentions(layer, text))
                    .collect()
            });
        }
    }

    /// What the goldens of a case hold.
    fn outputs(&self, case: &Case) -> Vec<Output> {
        let mut outputs = Output::LAST_AND_POOLER.to_vec();
        if case.hidden_states {
            outputs.extend(case.layers.iter().map(|&layer| Output::HiddenState(layer)));
        }
        if case.attentions {
            outputs.extend((1..=self.config.layers()).map(Output::Attentions));
        }
        outputs
    }

    /// The first tokens alone have the bits that they have among all.
    fn check_first_tokens(&self) {
        let model = self.model(&Device::Cpu, Precision::F32);
        for case in &self.goldens.cases {
            let batch = batch(&case.records);
            let all = host(
                &model,
                &batch,
                &[Output::LastHiddenState, Output::FirstTokens],
            );
            let first = host(&model, &batch, &[Output::FirstTokens]);
            assert_eq!(
                first.get(Output::FirstTokens),
                all.get(Output::FirstTokens),
                "{} {}",
                self.name,
                case.name
            );
        }
    }

    /// The cosine of each kept row in integers with float64.
    fn check_integers(&self, precision: Precision) {
        let model = self.model(&Device::Cpu, precision);
        for case in &self.goldens.cases {
            let outputs = host(&model, &batch(&case.records), &[Output::LastHiddenState]);
            let computed = Computed {
                outputs,
                hidden_size: self.config.hidden_size,
                tokens: case.records.iter().map(tokens).collect(),
            };
            for text in 0..case.records.len() {
                let ours = computed.rows(Output::LastHiddenState, text, &case.rows);
                let exact = self.goldens.array(case, text, "last_hidden_state");
                let rows = ours.chunks(self.config.hidden_size);
                for (ours, exact) in rows.zip(exact.chunks(self.config.hidden_size)) {
                    let cosine = cosine(ours, exact);
                    let (name, case) = (&self.name, &case.name);
                    assert!(
                        cosine > LEAST_COSINE,
                        "{name} {case} {precision:?}: {cosine}"
                    );
                }
            }
        }
    }
}

fn open(directory: &Path) -> (Config, Tensors) {
    let config = Config::read(directory).expect("a config");
    let tensors = Tensors::open(directory, config.model_type).expect("tensors");
    tensors.check(&config).expect("the config's tensors");
    (config, tensors)
}

fn cosine(one: &[f64], other: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

fn ids(list: &Value) -> Vec<u32> {
    serde_json::from_value(list.clone()).expect("a list of ids")
}

fn tokens(record: &Record) -> usize {
    ids(&record.input_ids).len()
}

fn batch(records: &[Record]) -> Batch {
    let mut batch = Batch::default();
    for record in records {
        let attended = ids(&record.attention_mask).iter().sum::<u32>() as usize;
        batch.push(
            &ids(&record.input_ids),
            &ids(&record.token_type_ids),
            attended,
        );
    }
    batch
}

fn host(model: &BertModel, batch: &Batch, selected: &[Output]) -> Outputs<Vec<f32>> {
    let outputs = model.forward(batch, selected).expect("outputs");
    let outputs = outputs.iter().map(|(output, tensor)| {
        let values = tensor.clone().into_host().expect("values");
        (output, values)
    });
    outputs.collect()
}

/// The outputs of a case, text by text.
struct Computed {
    outputs: Outputs<Vec<f32>>,
    hidden_size: usize,
    /// Of each text.
    tokens: Vec<usize>,
}

impl Computed {
    fn values(&self, output: Output) -> &[f32] {
        self.outputs.get(output).expect("it was selected")
    }

    /// All rows of a text.
    fn all_rows(&self, output: Output, text: usize) -> Vec<&[f32]> {
        let before: usize = self.tokens[..text].iter().sum();
        let rows = self.values(output).chunks_exact(self.hidden_size);
        rows.skip(before).take(self.tokens[text]).collect()
    }

    fn rows(&self, output: Output, text: usize, rows: &[usize]) -> Vec<f64> {
        let all = self.all_rows(output, text);
        let picked = rows.iter().flat_map(|&row| all[row]);
        picked.copied().map(f64::from).collect()
    }

    fn columns(&self, text: usize, columns: &[usize]) -> Vec<f64> {
        let all = self.all_rows(Output::LastHiddenState, text);
        let picked = all
            .iter()
            .flat_map(|row| columns.iter().map(|&column| row[column]));
        picked.map(f64::from).collect()
    }

    fn sequence(&self, output: Output, text: usize) -> Vec<f64> {
        let row = &self.values(output)[text * self.hidden_size..][..self.hidden_size];
        row.iter().copied().map(f64::from).collect()
    }

    fn attentions(&self, layer: usize, text: usize) -> Vec<f64> {
        let values = self.values(Output::Attentions(layer));
        let pairs = |tokens: &usize| tokens * tokens;
        let all: usize = self.tokens.iter().map(pairs).sum();
        let before: usize = self.tokens[..text].iter().map(pairs).sum();
        let heads = values.len() / all;
        let own = &values[heads * before..][..heads * pairs(&self.tokens[text])];
        own.iter().copied().map(f64::from).collect()
    }
}

/// The tiny checkpoints: each type, with and without a head, a prefix, a pooler and config keys.
fn tiny() -> impl Iterator<Item = String> {
    let names = KinCheckpoint::names().into_iter();
    names.filter(|name| !name.starts_with("base-"))
}

/// The named checkpoint with its tokenizer.
fn with_tokenizer(name: &str) -> tempfile::TempDir {
    let checkpoint = KinCheckpoint::named(name);
    let layouts = layouts::Goldens::kin();
    let directory = layouts.written(layouts.layout(&checkpoint.tokenizer));
    checkpoint.write(directory.path());
    directory
}

#[test]
fn every_type_is_what_transformers_computes() {
    for name in tiny() {
        Written::new(&name).check_on(DeviceChoice::Cpu);
    }
}

#[test]
fn the_program_prints_what_transformers_computes_for_every_type() {
    for name in tiny() {
        let checkpoint = KinCheckpoint::named(&name);
        let goldens = checkpoint.same_values_as.as_deref().unwrap_or(&name);
        let pooler = checkpoint.parts.iter().any(|part| part == "pooler");
        check(&name, with_tokenizer(&name).path(), goldens, pooler);
    }
}

#[test]
fn the_self_test_has_a_second_opinion_on_every_type() {
    for (name, opinion) in [
        ("xlm-roberta", "candle_transformers' XLMRobertaModel"),
        ("camembert", "candle_transformers' XLMRobertaModel"),
        ("roberta", "candle_transformers' XLMRobertaModel"),
        ("data2vec-text", "candle_transformers' XLMRobertaModel"),
        ("bert-unigram", "candle_transformers' BertModel"),
        ("distilbert", "candle's operations"),
        ("electra", "candle's operations"),
        ("ernie-tasks", "candle's operations"),
        ("albert-groups", "candle's operations"),
        ("mpnet", "candle's operations"),
    ] {
        let directory = with_tokenizer(name);
        let mut command = bert_embed(directory.path());
        command.args(["--self-test", "--device", "cpu", "--offline", "-m"]);
        let (code, stdout, stderr) = run(command.arg(directory.path()));
        assert_eq!((code, stderr.as_str()), (0, ""), "{name}: {stdout}");
        let line = format!("encoder   pass     largest difference from {opinion} ");
        assert!(stdout.contains(&line), "{name}: {stdout}");
    }
}

#[test]
fn info_names_the_type_and_the_tokens_that_fit() {
    for (name, rows) in [
        (
            "roberta",
            ["type         roberta", "longest text 40 tokens"],
        ),
        (
            "mpnet",
            ["type         mpnet", "segments     not told apart"],
        ),
        ("albert-groups", ["layers       6", "pooler       yes"]),
        ("electra", ["layers       2", "pooler       none"]),
    ] {
        let directory = with_tokenizer(name);
        let mut command = bert_embed(directory.path());
        command.args(["--info", "--offline", "-m"]);
        let (code, stdout, stderr) = run(command.arg(directory.path()));
        assert_eq!(code, 0, "{name}: {stderr}");
        for row in rows {
            assert!(stdout.contains(row), "{name}: {stdout}");
        }
    }
}

#[test]
fn every_type_is_what_transformers_computes_on_candles_operations_too() {
    for name in tiny() {
        let written = Written::new(&name);
        if written.goldens.cases.len() > 2 {
            written.check_on(DeviceChoice::CandleCpu);
        }
    }
}

#[test]
fn the_first_token_alone_has_the_same_bits_in_every_type() {
    for name in tiny() {
        Written::new(&name).check_first_tokens();
    }
}

#[test]
fn integers_are_close_in_every_type() {
    for name in tiny() {
        let written = Written::new(&name);
        written.check_integers(Precision::Int16);
        written.check_integers(Precision::Int8);
    }
}

#[test]
#[ignore = "writes 2.5 GB and takes minutes"]
fn base_shapes_are_what_transformers_computes() {
    let names = KinCheckpoint::names().into_iter();
    for name in names.filter(|name| name.starts_with("base-")) {
        Written::new(&name).check_on(DeviceChoice::Cpu);
    }
}

#[test]
#[ignore = "needs BERT_EMBED_MPNET: the directory that tests/fixtures/mpnet.sh fills"]
fn all_mpnet_base_v2_is_what_transformers_computes() {
    let written = Written::mpnet();
    written.check_on(DeviceChoice::Cpu);
    written.check_on(DeviceChoice::CandleCpu);
    written.check_first_tokens();
    let directory = std::env::var_os("BERT_EMBED_MPNET").expect("BERT_EMBED_MPNET");
    check("program", Path::new(&directory), "all-mpnet-base-v2", true);
}

/// The vectors of sentence-transformers, in float64.
#[test]
#[ignore = "needs BERT_EMBED_MPNET: the directory that tests/fixtures/mpnet.sh fills"]
fn the_sentences_of_all_mpnet_base_v2_are_those_of_sentence_transformers() {
    let kept = fixture("kin_mpnet.json");
    let step = kept["step"].as_u64().expect("a step") as usize;
    let texts = kept["texts"].as_array().expect("texts").iter();
    let cases = kept["cases"].as_array().expect("cases").iter();
    let single: Vec<_> = texts
        .zip(cases)
        .filter(|(text, _)| text.is_string())
        .collect();
    let line = |(text, _): &(&Value, &Value)| format!("{}\n", json!({"text": text}));
    let lines: String = single.iter().map(line).collect();
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = bert_embed(directory.path());
    command.args(["--offline", "--input-format", "jsonl", "-f", "-", "-q"]);
    command.args([
        "--device",
        "cpu",
        "--pooling",
        "model",
        "--fields",
        "embedding",
        "-m",
    ]);
    command.arg(std::env::var_os("BERT_EMBED_MPNET").expect("BERT_EMBED_MPNET"));
    let (code, stdout, stderr) = parts(&run_with_input(&mut command, lines.as_bytes()));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(stdout.lines().count(), single.len());
    let mut errors = Errors::default();
    for (line, (_, case)) in stdout.lines().zip(&single) {
        let record: Value = serde_json::from_str(line).expect("a record");
        let vector = numbers(&record["embedding"]);
        let ours: Vec<f64> = vector.into_iter().step_by(step).collect();
        errors.add(&ours, &numbers(&case["sentence"]));
    }
    eprintln!(
        "sentences: max {:.2e} mean {:.2e}",
        errors.max,
        errors.mean()
    );
    // Vectors of length 1, whose values are about 0.04.
    assert!(errors.max <= 1e-6, "{errors:?}");
}

/// `tests/fixtures/kin_mpnet.py` says what is kept.
#[test]
#[ignore = "needs BERT_EMBED_MPNET: the directory that tests/fixtures/mpnet.sh fills"]
fn all_mpnet_base_v2_agrees_on_texts_of_all_kinds() {
    #[derive(Deserialize)]
    struct Kept {
        columns: Vec<usize>,
        cases: Vec<KeptCase>,
    }
    #[derive(Deserialize)]
    struct KeptCase {
        input_ids: Vec<u32>,
        last_hidden_state: [Vec<f64>; 3],
        mean_of_squares: f64,
        pooler_output: Vec<f64>,
    }
    let kept: Kept = serde_json::from_value(fixture("kin_mpnet.json")).expect("the goldens");
    let written = Written::mpnet();
    let model = written.model(&Device::Cpu, Precision::F32);
    let picked = |row: &[f32]| -> Vec<f64> {
        let columns = kept.columns.iter();
        columns.map(|&column| f64::from(row[column])).collect()
    };
    let mut errors = Errors::default();
    for case in &kept.cases {
        let tokens = case.input_ids.len();
        let mut batch = Batch::default();
        batch.push(&case.input_ids, &vec![0; tokens], tokens);
        let outputs = host(&model, &batch, &Output::LAST_AND_POOLER);
        let states = outputs.get(Output::LastHiddenState).expect("selected");
        let rows: Vec<_> = states.chunks_exact(written.config.hidden_size).collect();
        for (row, expected) in [0, tokens / 2, tokens - 1]
            .iter()
            .zip(&case.last_hidden_state)
        {
            errors.add(&picked(rows[*row]), expected);
        }
        let pooler = outputs.get(Output::PoolerOutput).expect("selected");
        errors.add(&picked(pooler), &case.pooler_output);
        let squares = states.iter().map(|value| f64::from(*value).powi(2));
        let mean = squares.sum::<f64>() / states.len() as f64;
        errors.add(&[mean], &[case.mean_of_squares]);
    }
    eprintln!(
        "all-mpnet-base-v2, {} texts: max {:.2e}",
        kept.cases.len(),
        errors.max
    );
    assert!(errors.max <= TOLERANCE, "{errors:?}");
}
