//! Tokenizer layouts: the files of a model directory, in many combinations, against what
//! transformers' `AutoTokenizer` makes of the same files. Everything must be equal.

use std::fs;
use std::path::Path;

use bert_embed::Text;
use bert_embed::error::Kind;
use bert_embed::tokenize::{Detail, Encoding, Tokenizer, model_max_length};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::checkpoint::fixtures;

/// layouts.json, or another file that make.py made.
pub struct Goldens {
    document: Value,
    /// As the JSON object that stands in a tokenizer.json.
    vocabulary: String,
}

impl Goldens {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("the goldens are there");
        let document: Value = serde_json::from_str(&text).expect("the goldens are JSON");
        let tokens = document["vocabulary"].as_array().expect("a list of tokens");
        let numbered = tokens.iter().enumerate();
        let entries: Vec<String> = numbered
            .map(|(id, token)| format!("{token}:{id}"))
            .collect();
        Self {
            vocabulary: format!("{{{}}}", entries.join(",")),
            document,
        }
    }

    /// layouts.json.
    pub fn committed() -> Self {
        Self::read(&fixtures().join("layouts.json"))
    }

    /// The list at `key`.
    pub fn list(&self, key: &str) -> &[Value] {
        self.document[key].as_array().expect("a list")
    }

    fn number(&self, key: &str) -> usize {
        self.document[key].as_u64().expect("a number") as usize
    }

    /// The layout called `name`.
    pub fn layout(&self, name: &str) -> &Value {
        let mut layouts = self.list("layouts").iter();
        let layout = layouts.find(|layout| layout["name"] == name);
        layout.unwrap_or_else(|| panic!("a layout `{name}`"))
    }

    /// The directory of a layout.
    pub fn written(&self, layout: &Value) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in layout["files"].as_object().expect("files") {
            let text = text.as_str().expect("the text of a file");
            let text = text.replace("\"$vocabulary\"", &self.vocabulary);
            fs::write(directory.path().join(name), text).expect("the directory takes files");
        }
        directory
    }

    fn load(&self, layout: &Value) -> bert_embed::error::Result<Tokenizer> {
        Tokenizer::load(self.written(layout).path(), self.number("rows"))
    }

    /// How the tokenizer of `layout` differs from transformers'.
    fn differences(&self, layout: &Value, tokenizer: &Tokenizer) -> Vec<String> {
        let mut told = Vec::new();
        let texts = self.list("texts").iter();
        let cases = layout["cases"].as_array().expect("cases");
        for (text, case) in texts.zip(cases) {
            let ours = in_numbers(tokenizer, text, usize::MAX);
            let mut theirs = case.clone();
            let cut = theirs.as_object_mut().and_then(|case| case.remove("cut"));
            if ours != theirs {
                told.push(format!("{text}\n  ours   {ours}\n  theirs {theirs}"));
            }
            let Some(cut) = cut else { continue };
            let ours = in_numbers(tokenizer, text, self.number("max_length"));
            if ours["ids"] != cut {
                told.push(format!(
                    "{text}, cut\n  ours   {}\n  theirs {cut}",
                    ours["ids"]
                ));
            }
        }
        told
    }
}

/// What the tokenizer makes of `text`, as the goldens write it; null if it fails.
fn in_numbers(tokenizer: &Tokenizer, text: &Value, max_length: usize) -> Value {
    let text = match text {
        Value::Array(pair) => {
            let part = |place: usize| pair[place].as_str().expect("a text").to_owned();
            let mut text = Text::new(part(0));
            text.pair = Some(part(1));
            text
        }
        text => Text::new(text.as_str().expect("a text").to_owned()),
    };
    let Ok(encoding) = tokenizer.encode(
        &text,
        max_length,
        Detail {
            offsets: true,
            whole_text: false,
        },
    ) else {
        return Value::Null;
    };
    let offsets = encoding.offset_mapping.iter();
    let words = encoding.word_ids.iter();
    json!({
        "ids": encoding.input_ids,
        "types": digits(encoding.token_type_ids.iter().copied()),
        "special": digits(encoding.special_tokens_mask.iter().map(|&is| u32::from(is))),
        "offsets": offsets.flat_map(|&(from, to)| [from, to]).collect::<Vec<_>>(),
        "words": words.map(|word| word.map_or(-1, i64::from)).collect::<Vec<_>>(),
    })
}

fn digits(numbers: impl Iterator<Item = u32>) -> String {
    numbers.map(|number| number.to_string()).collect()
}

#[test]
fn every_layout_gives_the_tokens_of_transformers() {
    let goldens = Goldens::committed();
    let mut told = Vec::new();
    for layout in goldens.list("layouts") {
        let name = layout["name"].as_str().expect("a name");
        match goldens.load(layout) {
            Ok(tokenizer) => {
                let differences = goldens.differences(layout, &tokenizer);
                told.extend(differences.iter().map(|what| format!("{name}: {what}")));
            }
            Err(error) => told.push(format!("{name}: {error}")),
        }
    }
    let (layouts, texts) = (goldens.list("layouts").len(), goldens.list("texts").len());
    assert!(layouts >= 60 && texts >= 20, "{layouts} × {texts}");
    eprintln!("{layouts} layouts × {texts} texts");
    assert!(
        told.is_empty(),
        "{} differ:\n{}",
        told.len(),
        told.join("\n")
    );
}

#[test]
fn what_this_program_does_not_run_is_refused_by_name() {
    let goldens = Goldens::committed();
    for layout in goldens.list("refused") {
        let name = &layout["name"];
        let word = layout["word"].as_str().expect("a word");
        let Err(error) = goldens.load(layout) else {
            panic!("{name} was taken");
        };
        assert_eq!(error.kind(), Kind::Model, "{name}: {error}");
        assert!(error.to_string().contains(word), "{name}: {error}");
    }
}

#[test]
fn the_limit_of_the_configuration_is_that_of_transformers() {
    let goldens = Goldens::committed();
    let mut limits = 0;
    for layout in goldens.list("layouts") {
        let found = model_max_length(goldens.written(layout).path());
        let found = found.expect("a limit or none");
        assert_eq!(
            json!(found),
            layout["model_max_length"],
            "{}",
            layout["name"]
        );
        limits += usize::from(found.is_some());
    }
    assert!(limits >= 2);
}

#[test]
fn padding_is_the_pad_token_of_transformers() {
    let goldens = Goldens::committed();
    for layout in goldens.list("layouts") {
        let tokenizer = goldens.load(layout).expect("a tokenizer");
        let mut encoding = Encoding::default();
        tokenizer.pad(&mut encoding, 1);
        let pad = encoding.input_ids.first();
        assert_eq!(json!(pad), layout["pad"], "{}", layout["name"]);
    }
}

/// `pieces` as text, each as often as it says.
fn repeated(pieces: &Value) -> String {
    let pieces = pieces.as_array().expect("pieces").iter();
    let piece = |piece: &Value| {
        let count = piece[1].as_u64().expect("a count");
        piece[0].as_str().expect("a piece").repeat(count as usize)
    };
    pieces.map(piece).collect()
}

#[test]
fn a_long_text_has_the_tokens_that_it_has_in_one_piece() {
    let goldens = Goldens::committed();
    for long in goldens.list("long") {
        let name = long["name"].as_str().expect("a name");
        let tokenizer = goldens.load(goldens.layout(name)).expect("a tokenizer");
        let expected = long["texts"].as_array().expect("texts").iter();
        for (pieces, expected) in goldens.list("long_texts").iter().zip(expected) {
            let found = in_numbers(&tokenizer, &json!(repeated(pieces)), usize::MAX);
            let list = |key: &str| {
                let numbers = found[key].as_array().expect("numbers").iter();
                numbers.map(Value::to_string).collect::<Vec<_>>().join(",")
            };
            let numbers = [list("ids"), list("offsets"), list("words")].join(";");
            let tokens = found["ids"].as_array().map_or(0, Vec::len);
            assert_eq!(json!(tokens), expected["tokens"], "{name}: {pieces}");
            let sha256 = hex(&Sha256::digest(numbers));
            assert_eq!(json!(sha256), expected["sha256"], "{name}: {pieces}");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<Vec<_>>().concat()
}

#[test]
#[ignore = "needs BERT_EMBED_LAYOUTS, a file that make.py random-layouts made"]
fn random_layouts_give_the_tokens_of_transformers() {
    let path = std::env::var("BERT_EMBED_LAYOUTS").expect("the path of random layouts");
    let goldens = Goldens::read(Path::new(&path));
    let (mut equal, mut refused, mut told) = (0, 0, Vec::new());
    let mut refused_here = Vec::new();
    for layout in goldens.list("layouts") {
        let files = &layout["files"];
        match (goldens.load(layout), layout.get("error")) {
            (Err(_), Some(_)) => refused += 1,
            (Err(error), None) => refused_here.push(error.to_string()),
            (Ok(_), Some(error)) => told.push(format!("taken here only: {error}: {files}")),
            (Ok(tokenizer), None) => match goldens.differences(layout, &tokenizer).first() {
                Some(difference) => told.push(format!("{difference}\n{files}")),
                None => equal += 1,
            },
        }
    }
    for error in &refused_here {
        eprintln!("refused here only: {error}");
    }
    let refused_here = refused_here.len();
    eprintln!("{equal} equal, {refused} refused by both, {refused_here} refused here only");
    assert!(
        told.is_empty(),
        "{} differ:\n{}",
        told.len(),
        told.join("\n")
    );
}
