//! Tokenizer layouts: the files of a model directory, in many combinations, against what
//! transformers' `AutoTokenizer` makes of the same files. Everything must be equal.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use bert_embed::error::Kind;
use bert_embed::internals::{Detail, Encoding, Tokenizer, model_max_length};
use bert_embed::{Segment, Text};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::checkpoint::fixtures;

/// `layouts.json`, `kin_layouts.json`, or another file that make.py or kin.py made.
pub struct Goldens {
    document: Value,
    /// What the files name by `"$name"`, as JSON.
    materials: Vec<(String, String)>,
}

impl Goldens {
    /// The layouts of BERT, whose vocabulary is in their own file.
    fn of_bert(path: &Path) -> Self {
        let document = read_json(path);
        let tokens = document["vocabulary"].as_array().expect("a list of tokens");
        let ids = tokens.iter().enumerate();
        let entries: Vec<String> = ids.map(|(id, token)| format!("{token}:{id}")).collect();
        let vocabulary = format!("{{{}}}", entries.join(","));
        Self {
            materials: vec![("vocabulary".to_owned(), vocabulary)],
            document,
        }
    }

    /// The layouts of BERT's kin, whose vocabularies are in `kin_tokenizers.json`.
    fn of_kin(path: &Path) -> Self {
        let materials = read_json(&fixtures().join("kin_tokenizers.json"));
        let materials = materials.as_object().expect("an object").iter();
        let mut materials: Vec<_> = materials
            .map(|(name, material)| (name.clone(), material.to_string()))
            .collect();
        let map = File::open(fixtures().join("kin.charsmap.gz")).expect("the map");
        let mut charsmap = Vec::new();
        let mut decoder = GzDecoder::new(map);
        decoder.read_to_end(&mut charsmap).expect("gzip");
        materials.push(("charsmap".to_owned(), json!(base64(&charsmap)).to_string()));
        Self {
            document: read_json(path),
            materials,
        }
    }

    /// layouts.json.
    pub fn bert() -> Self {
        Self::of_bert(&fixtures().join("layouts.json"))
    }

    /// `kin_layouts.json`.
    pub fn kin() -> Self {
        Self::of_kin(&fixtures().join("kin_layouts.json"))
    }

    fn committed() -> [Self; 2] {
        [Self::bert(), Self::kin()]
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

    /// `value`, or what has this number in the list `key`.
    fn numbered<'a>(&'a self, value: &'a Value, key: &str) -> &'a Value {
        value
            .as_u64()
            .map_or(value, |number| &self.list(key)[number as usize])
    }

    /// `text` with the materials in their places. `$name.txt` is the lines of a material.
    fn filled(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, material) in &self.materials {
            if text.strip_prefix('$') == Some(&format!("{name}.txt")) {
                return lines(&serde_json::from_str(material).expect("JSON"));
            }
            filled = filled.replace(&format!("\"${name}\""), material);
        }
        filled
    }

    /// The directory of a layout.
    pub fn written(&self, layout: &Value) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in layout["files"].as_object().expect("files") {
            let text = self.numbered(text, "contents").as_str();
            let text = self.filled(text.expect("the text of a file"));
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
            let case = self.numbered(case, "cases");
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
    encoded(tokenizer, &text_of(text), max_length)
}

fn text_of(text: &Value) -> Text {
    match text {
        Value::Array(pair) => {
            let part = |place: usize| pair[place].as_str().expect("a text").to_owned();
            let mut text = Text::new(part(0));
            text.pair = Some(part(1));
            text
        }
        text => Text::new(text.as_str().expect("a text").to_owned()),
    }
}

fn encoded(tokenizer: &Tokenizer, text: &Text, max_length: usize) -> Value {
    let Ok(encoding) = tokenizer.encode(
        text,
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

/// The lines of a vocab.txt or of a merges.txt.
fn lines(material: &Value) -> String {
    let mut lines = Vec::new();
    match material {
        Value::Object(ids) => {
            let mut tokens: Vec<_> = ids.iter().collect();
            tokens.sort_by_key(|(_, id)| id.as_u64());
            lines.extend(tokens.into_iter().map(|(token, _)| token.as_str()));
        }
        Value::Array(merges) => {
            lines.push("#version: 0.2");
            lines.extend(merges.iter().filter_map(Value::as_str));
        }
        other => panic!("{other} has no lines"),
    }
    lines.join("\n") + "\n"
}

pub fn base64(bytes: &[u8]) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |place: usize| u32::from(*chunk.get(place).unwrap_or(&0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = digits[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() {
                digit.into()
            } else {
                '='
            });
        }
    }
    text
}

fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("the goldens are there");
    serde_json::from_str(&text).expect("the goldens are JSON")
}

#[test]
fn every_layout_gives_the_tokens_of_transformers() {
    for (goldens, at_least) in Goldens::committed().iter().zip([60, 130]) {
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
        assert!(layouts >= at_least && texts >= 20, "{layouts} × {texts}");
        eprintln!("{layouts} layouts × {texts} texts");
        let differ = told.len();
        assert!(told.is_empty(), "{differ} differ:\n{}", told.join("\n"));
    }
}

#[test]
fn what_this_program_does_not_run_is_refused_by_name() {
    for goldens in Goldens::committed() {
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
}

#[test]
fn the_limit_of_the_configuration_is_that_of_transformers() {
    for goldens in Goldens::committed() {
        let mut limits = 0;
        for layout in goldens.list("layouts") {
            let found = model_max_length(goldens.written(layout).path());
            let found = found.expect("a limit or none");
            let expected = &layout["model_max_length"];
            assert_eq!(&json!(found), expected, "{}", layout["name"]);
            limits += usize::from(found.is_some());
        }
        assert!(limits >= 2);
    }
}

#[test]
fn padding_is_the_pad_token_of_transformers() {
    for goldens in Goldens::committed() {
        for layout in goldens.list("layouts") {
            let tokenizer = goldens.load(layout).expect("a tokenizer");
            let mut encoding = Encoding::default();
            tokenizer.pad(&mut encoding, 1);
            let pad = encoding.input_ids.first();
            assert_eq!(json!(pad), layout["pad"], "{}", layout["name"]);
        }
    }
}

#[test]
fn a_list_of_words_has_the_tokens_of_transformers() {
    let goldens = Goldens::kin();
    for layout in goldens.list("words") {
        let name = layout["name"].as_str().expect("a name");
        let tokenizer = goldens.load(goldens.layout(name)).expect("a tokenizer");
        let expected = layout["lists"].as_array().expect("cases");
        for (words, expected) in goldens.list("word_lists").iter().zip(expected) {
            let words: Vec<String> = serde_json::from_value(words.clone()).expect("words");
            let mut text = Text::new(String::new());
            text.first = Segment::Words(words);
            let found = encoded(&tokenizer, &text, usize::MAX);
            for key in ["ids", "offsets", "words"] {
                assert_eq!(found[key], expected[key], "{name}: {key}");
            }
        }
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
    for goldens in Goldens::committed() {
        assert_long_texts(&goldens);
    }
}

fn assert_long_texts(goldens: &Goldens) {
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
    assert_random_layouts(&Goldens::of_bert(Path::new(&path)));
}

#[test]
#[ignore = "needs BERT_EMBED_KIN_LAYOUTS, a file that kin.py random-layouts made"]
fn random_layouts_of_the_kin_give_the_tokens_of_transformers() {
    let path = std::env::var("BERT_EMBED_KIN_LAYOUTS").expect("the path of random layouts");
    assert_random_layouts(&Goldens::of_kin(Path::new(&path)));
}

fn assert_random_layouts(goldens: &Goldens) {
    let (mut equal, mut refused, mut told) = (0, 0, Vec::new());
    let mut refused_here = Vec::new();
    for layout in goldens.list("layouts") {
        let files = || {
            let files = layout["files"].as_object().expect("files").iter();
            let files =
                files.map(|(name, text)| (name.clone(), goldens.numbered(text, "contents")));
            json!(files.collect::<std::collections::BTreeMap<_, _>>())
        };
        match (goldens.load(layout), layout.get("error")) {
            (Err(_), Some(_)) => refused += 1,
            (Err(error), None) => refused_here.push(error.to_string()),
            (Ok(_), Some(error)) => told.push(format!("taken here only: {error}: {}", files())),
            (Ok(tokenizer), None) => match goldens.differences(layout, &tokenizer).first() {
                Some(difference) => told.push(format!("{difference}\n{}", files())),
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
