//! `--dtype int16` and `int8` on real weights: 223 texts of all kinds against float64.

use std::path::PathBuf;

use half::f16;
use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::checkpoint::fixtures;
use crate::support::command::{bert_embed, parts, run_with_input};
use crate::support::goldens::table;

/// How far a precision is from float64 over all texts.
#[derive(Debug, Deserialize)]
struct Figures {
    /// The smallest cosine of a token's vector.
    worst_cosine: f64,
    /// The smallest cosine of the mean of a text's vectors.
    worst_pooled_cosine: f64,
    /// The mean absolute error of a number.
    mean_error: f64,
}

/// tests/fixtures/integers.py explains what is kept.
#[derive(Deserialize)]
struct Integers {
    max_length: usize,
    column_step: usize,
    /// `PyTorch` with all weights and activations in bfloat16.
    bfloat16: Figures,
    texts: Vec<String>,
}

impl Integers {
    fn read() -> (Self, Vec<Vec<f64>>) {
        let path = |ending: &str| fixtures().join(format!("goldens/integers.{ending}"));
        let text = std::fs::read_to_string(path("json")).expect("the goldens are there");
        let bytes = std::fs::read(path("safetensors")).expect("the goldens are there");
        let file = SafeTensors::deserialize(&bytes).expect("the goldens are safetensors");
        let rows = file.tensor("last_hidden_state").expect("one tensor");
        assert_eq!(rows.dtype(), safetensors::Dtype::F16);
        let (halves, _) = rows.data().as_chunks::<2>();
        let numbers: Vec<f64> = halves
            .iter()
            .map(|bytes| f16::from_le_bytes(*bytes).to_f64())
            .collect();
        let rows = numbers.chunks_exact(rows.shape()[1]).map(<[f64]>::to_vec);
        let goldens = serde_json::from_str(&text).expect("the goldens are JSON");
        (goldens, rows.collect())
    }

    fn ours(&self, dtype: &str) -> Vec<Vec<Vec<f64>>> {
        let length = self.max_length.to_string();
        ours(
            "BERT_EMBED_MINILM",
            &self.texts,
            &["--max-length", &length],
            dtype,
        )
    }

    /// f32 as it stands for float64 in all columns: it is close to it in those that are kept.
    fn exact(&self, kept: &[Vec<f64>]) -> Vec<Vec<Vec<f64>>> {
        let ours = self.ours("f32");
        let tokens: Vec<_> = ours.iter().flatten().collect();
        assert_eq!(tokens.len(), kept.len(), "a row a token");
        for (ours, kept) in tokens.into_iter().zip(kept) {
            for (ours, kept) in ours.iter().step_by(self.column_step).zip(kept) {
                // The goldens are rounded to f16; the fidelity tests hold f32 to 1e-5.
                let allowed = kept.abs() / 2048.0 + 1e-5;
                assert!((ours - kept).abs() <= allowed, "{ours} is not {kept}");
            }
        }
        ours
    }

    fn figures(&self, exact: &[Vec<Vec<f64>>], dtype: &str) -> Figures {
        figures(dtype, &self.ours(dtype), exact)
    }
}

/// Every text's tokens, as the program computes them in `dtype` with the model that the variable
/// names.
fn ours(variable: &str, texts: &[String], options: &[&str], dtype: &str) -> Vec<Vec<Vec<f64>>> {
    let model = std::env::var_os(variable).expect(variable);
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = bert_embed(directory.path());
    command.args(["--offline", "--input-format", "jsonl", "-f", "-", "-q"]);
    command.arg("-m").arg(PathBuf::from(model)).args(options);
    command.args(["--device", "cpu", "--fields", "last_hidden_state"]);
    command.args(["--dtype", dtype]);
    let line = |text: &String| format!("{}\n", json!({"text": text}));
    let lines: String = texts.iter().map(line).collect();
    let output = run_with_input(&mut command, lines.as_bytes());
    let (code, stdout, stderr) = parts(&output);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let rows = |line: &str| {
        let record: Value = serde_json::from_str(line).expect("a JSON record a line");
        table(&record["last_hidden_state"])
    };
    stdout.lines().map(rows).collect()
}

fn figures(dtype: &str, ours: &[Vec<Vec<f64>>], exact: &[Vec<Vec<f64>>]) -> Figures {
    assert_eq!(ours.len(), exact.len(), "a record a text");
    let tokens: usize = ours.iter().map(Vec::len).sum();
    let mut figures = Figures {
        worst_cosine: 1.0,
        worst_pooled_cosine: 1.0,
        mean_error: 0.0,
    };
    for (ours, exact) in ours.iter().zip(exact) {
        assert_eq!(ours.len(), exact.len(), "a row a token");
        for (ours, exact) in ours.iter().zip(exact) {
            figures.worst_cosine = figures.worst_cosine.min(cosine(ours, exact));
            let errors = ours.iter().zip(exact).map(|(a, b)| (a - b).abs());
            figures.mean_error += errors.sum::<f64>() / (tokens * exact.len()) as f64;
        }
        let pooled = cosine(&sum(ours), &sum(exact));
        figures.worst_pooled_cosine = figures.worst_pooled_cosine.min(pooled);
    }
    eprintln!("{dtype}: {figures:?}");
    figures
}

fn cosine(one: &[f64], other: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

fn sum(rows: &[Vec<f64>]) -> Vec<f64> {
    let columns = 0..rows[0].len();
    columns
        .map(|column| rows.iter().map(|row| row[column]).sum())
        .collect()
}

#[test]
#[ignore = "needs BERT_EMBED_MINILM: the directory that tests/fixtures/minilm.sh fills"]
fn integers_keep_the_fidelity_that_the_help_promises() {
    let (goldens, kept) = Integers::read();
    let exact = goldens.exact(&kept);
    assert!(goldens.texts.len() >= 200);
    eprintln!("PyTorch bfloat16: {:?}", goldens.bfloat16);
    let int16 = goldens.figures(&exact, "int16");
    // A thirtieth of what bfloat16 loses.
    assert!(int16.worst_cosine >= 0.99999, "{int16:?}");
    // Or bfloat16 would be the better offer on chips that are fast in it.
    assert!(
        int16.mean_error <= goldens.bfloat16.mean_error / 5.0,
        "{int16:?}"
    );
    let int8 = goldens.figures(&exact, "int8");
    // What a search index bears: neighbours whose cosines differ by 0.001 may change places.
    assert!(int8.worst_cosine >= 0.999, "{int8:?}");
    assert!(int8.worst_pooled_cosine >= 0.9992, "{int8:?}");
}

/// Windows of 60 residues of the chains in the goldens, which hold f32 to float64.
fn windows_of_chains() -> Vec<String> {
    let path = fixtures().join("goldens/antiberty.json");
    let text = std::fs::read_to_string(path).expect("the goldens are there");
    let goldens: Value = serde_json::from_str(&text).expect("the goldens are JSON");
    let texts = |case: &Value| case["texts"].as_array().cloned().unwrap_or_default();
    let cases = goldens["cases"].as_array().expect("cases");
    let mut windows = Vec::new();
    for text in cases.iter().flat_map(texts) {
        let residues: Vec<_> = text.as_str().expect("a text").split(' ').collect();
        windows.extend(
            residues
                .windows(60)
                .step_by(3)
                .map(|window| window.join(" ")),
        );
    }
    windows
}

#[test]
#[ignore = "needs BERT_EMBED_ANTIBERTY: the directory that tests/fixtures/antiberty.sh fills"]
fn int8_is_close_to_f32_on_the_chains_of_an_antibody() {
    let windows = windows_of_chains();
    assert!(windows.len() >= 50);
    let [exact, int8] =
        ["f32", "int8"].map(|dtype| ours("BERT_EMBED_ANTIBERTY", &windows, &[], dtype));
    let int8 = figures("int8", &int8, &exact);
    // Half of what the help promises, on a model without large outliers.
    assert!(int8.worst_cosine >= 0.9995, "{int8:?}");
}
