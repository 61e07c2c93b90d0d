//! transformers' float64 results from tests/fixtures/goldens, and how far ours are from them.
//!
//! `fidelity/` says which difference is too large.

use std::collections::BTreeMap;
use std::fs;

use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::{Value, json};

use super::checkpoint::fixtures;

/// One checkpoint's goldens.
pub struct Goldens {
    pub cases: Vec<Case>,
    arrays: Vec<u8>,
}

/// One run of the program: its texts, its options and what transformers made of them.
#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub texts: Vec<String>,
    pub pairs: Option<Vec<String>>,
    pub padding: String,
    pub max_length: Option<usize>,
    /// Whether hidden states were kept.
    pub hidden_states: bool,
    /// Whether attentions were kept.
    #[serde(default)]
    pub attentions: bool,
    /// The rows of `last_hidden_state` kept in full.
    pub rows: Vec<usize>,
    /// The columns kept of every row, where not every row is kept in full.
    pub columns: Vec<usize>,
    pub layers: Vec<usize>,
    /// The rows of each layer kept in full.
    pub hidden_rows: Vec<usize>,
    /// By field.
    pub torch_float32: BTreeMap<String, Figures>,
    /// One a text.
    pub records: Vec<Record>,
}

/// `PyTorch` float32's own differences from float64.
#[derive(Clone, Copy, Deserialize)]
pub struct Figures {
    /// Over the numbers that the goldens hold.
    pub kept_max: f64,
    pub kept_mean: f64,
}

/// What transformers' tokenizer made of one text.
#[derive(Deserialize)]
pub struct Record {
    pub input_ids: Value,
    pub token_type_ids: Value,
    pub attention_mask: Value,
    pub dropped_tokens: usize,
}

impl Goldens {
    /// The goldens of a checkpoint by its name.
    pub fn of(checkpoint: &str) -> Self {
        #[derive(Deserialize)]
        struct Document {
            cases: Vec<Case>,
        }
        let path = |ending: &str| fixtures().join(format!("goldens/{checkpoint}.{ending}"));
        let text = fs::read_to_string(path("json")).expect("the goldens are there");
        let document: Document = serde_json::from_str(&text).expect("the goldens are JSON");
        Self {
            cases: document.cases,
            arrays: fs::read(path("safetensors")).expect("the goldens are there"),
        }
    }

    /// The numbers kept of one text's field, row after row.
    pub fn array(&self, case: &Case, text: usize, field: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.arrays).expect("the goldens are safetensors");
        let name = format!("{}.{text}.{field}", case.name);
        let tensor = file.tensor(&name).expect("the golden is there");
        assert_eq!(tensor.dtype(), safetensors::Dtype::F64, "{name}");
        let (numbers, _) = tensor.data().as_chunks::<8>();
        numbers.iter().copied().map(f64::from_le_bytes).collect()
    }
}

impl Case {
    /// The case's texts as JSON lines, the program's input.
    pub fn json_lines(&self) -> String {
        let line = |(index, text): (usize, &String)| match &self.pairs {
            Some(pairs) => format!("{}\n", json!({"text": text, "text_pair": pairs[index]})),
            None => format!("{}\n", json!({"text": text})),
        };
        self.texts.iter().enumerate().map(line).collect()
    }
}

/// Absolute differences from float64, gathered over arrays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Errors {
    pub max: f64,
    pub count: usize,
    sum: f64,
}

impl Errors {
    /// Adds the differences of two arrays of the same size.
    pub fn add(&mut self, ours: &[f64], exact: &[f64]) {
        assert_eq!(ours.len(), exact.len(), "as many numbers as the golden has");
        for (ours, exact) in ours.iter().zip(exact) {
            let difference = (ours - exact).abs();
            // A NaN must not slip past a comparison.
            assert!(difference.is_finite(), "{ours} where {exact} belongs");
            self.max = self.max.max(difference);
            self.sum += difference;
            self.count += 1;
        }
    }

    /// The mean absolute difference.
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// A list of numbers out of a JSON record.
pub fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().expect("a list of numbers");
    let number = |value: &Value| value.as_f64().expect("a number");
    list.iter().map(number).collect()
}

/// A `[rows][columns]` table out of a JSON record.
pub fn table(rows: &Value) -> Vec<Vec<f64>> {
    let rows = rows.as_array().expect("a list of rows");
    rows.iter().map(numbers).collect()
}
