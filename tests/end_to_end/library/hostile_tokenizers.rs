//! Tokenizer files that would make the tokenizers crate panic or work without bound: each is
//! refused before that, and no edit of a file does more than that.

use std::fs;
use std::path::Path;

use bert_embed::Text;
use bert_embed::error::{Kind, Result};
use bert_embed::tokenize::{Detail, Tokenizer};
use serde_json::{Value, json};

use super::layouts::Goldens;
use crate::support::random::Random;

/// Rows of word embeddings: more than any vocabulary here.
const ROWS: usize = 1 << 20;

/// The directory of a layout in layouts.json.
fn directory(layout: &str) -> tempfile::TempDir {
    let goldens = Goldens::committed();
    goldens.written(goldens.layout(layout))
}

/// Writes the JSON file `name` after `change`.
fn edit(directory: &Path, name: &str, change: impl FnOnce(&mut Value)) {
    let path = directory.join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|_| "{}".to_owned());
    let mut document = serde_json::from_str(&text).expect("JSON");
    change(&mut document);
    fs::write(path, document.to_string()).expect("written");
}

/// A tokenizer.json that stands alone is refused after `change`, with `word` in the message.
#[track_caller]
fn assert_refused(word: &str, change: impl FnOnce(&mut Value)) {
    let directory = directory("generic");
    edit(directory.path(), "tokenizer.json", change);
    assert_refused_directory(word, directory.path());
}

#[track_caller]
fn assert_refused_directory(word: &str, directory: &Path) {
    let Err(error) = Tokenizer::load(directory, ROWS) else {
        panic!("{word}: accepted");
    };
    let message: String = error.to_string().chars().take(300).collect();
    assert_eq!(error.kind(), Kind::Model, "{message}");
    assert!(message.contains(word), "no `{word}` in: {message}");
}

fn replace(pattern: &Value, content: &str) -> Value {
    json!({"type": "Replace", "pattern": pattern, "content": content})
}

#[test]
fn parts_that_panic_are_refused() {
    let precompiled = json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"});
    assert_refused("Precompiled", |file| file["normalizer"] = precompiled);
    let empty = replace(&json!({"Regex": ""}), "a");
    assert_refused("regular expression", |file| file["normalizer"] = empty);
    let empty = replace(&json!({"String": ""}), "a");
    assert_refused("empty pattern", |file| file["normalizer"] = empty);
    let fixed = json!({"type": "FixedLength", "length": 0});
    assert_refused("FixedLength", |file| file["pre_tokenizer"] = fixed);
    assert_refused("no `type`", |file| {
        file["normalizer"] = json!({"lowercase": true});
    });
}

#[test]
fn work_without_bound_is_refused() {
    let doubling = replace(&json!({"String": "a"}), "aa");
    let doublings = json!({"type": "Sequence", "normalizers": vec![doubling; 5]});
    assert_refused("times longer", |file| file["normalizer"] = doublings);
    let many = json!({"type": "Sequence", "pretokenizers": vec![json!({"type": "Digits"}); 100]});
    assert_refused("parts", |file| file["pre_tokenizer"] = many);
    let chars = json!(1_000_000_000_000_000_000_u64);
    assert_refused("max_input_chars_per_word", |file| {
        file["model"]["max_input_chars_per_word"] = chars;
    });
    let prefix = json!("#".repeat(10_000_000));
    assert_refused("continuing_subword_prefix", |file| {
        file["model"]["continuing_subword_prefix"] = prefix;
    });
    let token = |content: String| json!({"id": 200, "content": content, "special": true});
    let tokens: Vec<_> = (0..300_000).map(|i| token(format!("token{i}"))).collect();
    assert_refused("300000 tokens", |file| file["added_tokens"] = json!(tokens));
    let long = token("x".repeat(10_000_000));
    assert_refused("10000000 bytes", |file| {
        file["added_tokens"] = json!([long]);
    });
}

#[test]
fn many_or_long_added_tokens_of_any_file_are_refused() {
    let texts = || (0..60_000).map(|i| format!("token{i}"));
    let numbered = || texts().enumerate();
    let added: Value = numbered().map(|(i, text)| (text, json!(i))).collect();
    let decoder: Value = numbered()
        .map(|(i, text)| (i.to_string(), json!({ "content": text })))
        .collect();
    let extra = json!({"extra_special_tokens": texts().collect::<Vec<_>>()});
    let long = "x".repeat(5_000);
    for (file, content, word) in [
        ("added_tokens.json", added, "tokens"),
        ("added_tokens.json", json!({ &long: 1 }), "5000 bytes"),
        (
            "tokenizer_config.json",
            json!({"added_tokens_decoder": decoder}),
            "tokens",
        ),
        ("tokenizer_config.json", extra, "60005 tokens"),
        (
            "special_tokens_map.json",
            json!({ "cls_token": long }),
            "5000 bytes",
        ),
    ] {
        let directory = directory("vocab.txt alone");
        edit(directory.path(), file, |document| *document = content);
        assert_refused_directory(word, directory.path());
    }
}

#[test]
fn a_tokenizer_without_unknown_token_or_vocabulary_is_refused() {
    let word = "token for unknown words";
    assert_refused(word, |file| file["model"]["unk_token"] = json!(""));
    assert_refused(word, |file| file["model"]["vocab"] = json!({}));
    assert_refused("which another token has too", |file| {
        file["model"]["vocab"]["another"] = json!(3);
    });
    let empty = directory("vocab.txt alone");
    fs::write(empty.path().join("vocab.txt"), "").expect("written");
    assert_refused_directory("[UNK]", empty.path());
}

#[test]
fn added_tokens_that_match_the_same_text_are_refused() {
    let directory = directory("vocab.txt alone");
    edit(directory.path(), "added_tokens.json", |file| {
        *file = json!({"Covid": 200, "covid": 201});
    });
    assert_refused_directory("`Covid` and `covid`", directory.path());
}

/// Loads the tokenizer of `directory` and runs it on `texts`.
fn try_texts(directory: &Path, texts: &[Value]) -> Result<()> {
    let tokenizer = Tokenizer::load(directory, ROWS)?;
    for text in texts.iter().filter_map(Value::as_str) {
        let text = Text::new(text.to_owned());
        tokenizer.encode(
            &text,
            usize::MAX,
            Detail {
                offsets: true,
                whole_text: false,
            },
        )?;
    }
    Ok(())
}

/// Changes one byte of `file` so many times, each time from the whole file; says how many edits
/// were taken and how many refused.
fn with_edits(layout: &str, file: &str, edits: usize) -> (usize, usize) {
    let goldens = Goldens::committed();
    let directory = directory(layout);
    let path = directory.path().join(file);
    let content = fs::read(&path).expect("the file");
    let mut random = Random(13);
    let (mut taken, mut refused) = (0, 0);
    for number in 0..edits {
        let mut changed = content.clone();
        changed[random.below(content.len())] = random.below(256) as u8;
        fs::write(&path, &changed).expect("written");
        match try_texts(directory.path(), goldens.list("texts")) {
            Ok(()) => taken += 1,
            Err(error) => {
                let kind = error.kind();
                assert_eq!(kind, Kind::Model, "edit {number} of {file}: {error}");
                refused += 1;
            }
        }
    }
    eprintln!("{layout}: {edits} edits of {file}, {taken} taken, {refused} refused");
    (taken, refused)
}

#[test]
fn an_edited_file_is_taken_or_refused() {
    for (layout, file, edits) in [
        (
            "generic, NFKC, lower case, no accents",
            "tokenizer.json",
            250,
        ),
        ("tokenizer.json with added tokens", "tokenizer.json", 250),
        ("added_tokens_decoder", "tokenizer_config.json", 250),
        (
            "special_tokens_map.json with objects",
            "special_tokens_map.json",
            100,
        ),
        ("vocab.txt alone", "vocab.txt", 100),
    ] {
        let (taken, refused) = with_edits(layout, file, edits);
        assert!(taken > 0, "{file}: all edits are refused");
        assert!(refused > 0, "{file}: no edit is refused");
    }
}
