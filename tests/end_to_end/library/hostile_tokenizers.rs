//! Tokenizer files that would make the tokenizers crate panic or work without bound: each is
//! refused before that, and no edit of a file does more than that.

use std::fs;
use std::path::Path;

use bert_embed::Text;
use bert_embed::error::{Kind, Result};
use bert_embed::internals::{Detail, Tokenizer};
use serde_json::{Value, json};

use super::layouts::{Goldens, base64};
use crate::support::random::Random;

/// Rows of word embeddings: more than any vocabulary here.
const ROWS: usize = 1 << 20;

/// Layouts of Unigram: the class decides the steps, or the file does.
const UNIGRAM: [&str; 2] = [
    "xlm-roberta: XLMRobertaTokenizer",
    "xlm-roberta: PreTrainedTokenizerFast",
];

/// The directory of a layout in layouts.json.
fn directory(layout: &str) -> tempfile::TempDir {
    let goldens = Goldens::bert();
    goldens.written(goldens.layout(layout))
}

/// The directory of a layout in `kin_layouts.json`.
fn kin_directory(layout: &str) -> tempfile::TempDir {
    let goldens = Goldens::kin();
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

/// The tokenizer.json of a layout of BERT's kin is refused after `change`.
#[track_caller]
fn assert_kin_refused(layout: &str, word: &str, change: impl FnOnce(&mut Value)) {
    let directory = kin_directory(layout);
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

/// A `Precompiled` normalizer whose map is `bytes`.
fn precompiled(bytes: &[u8]) -> Value {
    json!({"type": "Precompiled", "precompiled_charsmap": base64(bytes)})
}

#[test]
fn a_map_of_characters_that_would_take_memory_or_time_is_refused() {
    let too_large = [&u32::MAX.to_le_bytes()[..], &[0; 8]].concat();
    let empty = 0_u32.to_le_bytes();
    let mut long = [&4_u32.to_le_bytes()[..], &[0; 4]].concat();
    long.extend(vec![b'x'; 1_000_000]);
    for (bytes, word) in [
        (&too_large[..], "has 4294967295 bytes, and 8 are there"),
        (&empty, "has 0 bytes"),
        (&long, "with 1000000 bytes"),
        (b"abc", "is empty"),
    ] {
        for layout in UNIGRAM {
            assert_kin_refused(layout, word, |file| file["normalizer"] = precompiled(bytes));
        }
    }
    let twice = json!({"type": "Sequence", "normalizers": vec![precompiled(&[0; 9]); 2]});
    assert_kin_refused(UNIGRAM[1], "more than one Precompiled", |file| {
        file["normalizer"] = twice;
    });
    let text = json!({"type": "Precompiled", "precompiled_charsmap": "no base64!"});
    assert_kin_refused(UNIGRAM[0], "not base64", |file| file["normalizer"] = text);
}

#[test]
fn a_map_of_characters_that_leads_nowhere_is_an_error() {
    // Its only unit refers to one that is not there.
    let map = [
        &4_u32.to_le_bytes()[..],
        &(1_u32 << 20).to_le_bytes(),
        b"x\0",
    ]
    .concat();
    for layout in UNIGRAM {
        let directory = kin_directory(layout);
        edit(directory.path(), "tokenizer.json", |file| {
            file["normalizer"] = precompiled(&map);
        });
        let tried = try_texts(directory.path(), &[json!("hello")]);
        let error = tried.expect_err("the crate panics");
        assert_eq!(error.kind(), Kind::Model, "{error}");
    }
}

#[test]
fn a_hostile_unigram_model_is_refused() {
    for layout in UNIGRAM {
        let long = "x".repeat(257);
        assert_kin_refused(layout, "257 bytes", |file| {
            file["model"]["vocab"][9] = json!([long, -1.0]);
        });
        assert_kin_refused(layout, "`vocab`", |file| {
            file["model"]["vocab"][9] = json!(["x", "y"]);
        });
        assert_kin_refused(layout, "`vocab`", |file| file["model"]["vocab"] = json!({}));
        assert_kin_refused(layout, "it has 0 tokens", |file| {
            file["model"]["vocab"] = json!([]);
        });
        assert_kin_refused(layout, "allowed are at most 16777216", |file| {
            let piece = json!(["x".repeat(256), -1.0]);
            file["model"]["vocab"] = json!(vec![piece; 70_000]);
        });
    }
    let generic = UNIGRAM[1];
    assert_kin_refused(generic, "unk_id", |file| {
        file["model"]["unk_id"] = json!(null);
    });
    assert_kin_refused(generic, "none of id 100000", |file| {
        file["model"]["unk_id"] = json!(100_000);
    });
}

#[test]
fn a_hostile_bpe_model_is_refused() {
    for layout in [
        "roberta: tokenizer.json",
        "roberta: PreTrainedTokenizerFast",
    ] {
        assert_kin_refused(layout, "another token has too", |file| {
            file["model"]["vocab"]["another"] = json!(3);
        });
        assert_kin_refused(layout, "`vocab`", |file| file["model"]["vocab"] = json!([]));
        for merge in [
            json!("a"),
            json!("a b c"),
            json!(["a"]),
            json!(["a", "b", "c"]),
        ] {
            assert_kin_refused(layout, "not a pair of tokens", |file| {
                file["model"]["merges"][0] = merge;
            });
        }
        assert_kin_refused(layout, "out of vocabulary", |file| {
            file["model"]["merges"][0] = json!("not there");
        });
        // Together they are longer than any token: the crate panics.
        assert_kin_refused(layout, "failed on the content", |file| {
            let mut longest = file["model"]["vocab"]
                .as_object()
                .expect("ids")
                .keys()
                .clone();
            let longest = longest.by_ref().max_by_key(|token| token.len()).cloned();
            file["model"]["merges"][0] = json!([longest, longest]);
        });
    }
    let generic = "roberta: PreTrainedTokenizerFast";
    for (key, value) in [
        ("dropout", json!(0.5)),
        ("continuing_subword_prefix", json!("ĠĠ")),
        ("end_of_word_suffix", json!("</w>")),
        ("unk_token", json!("nowhere")),
    ] {
        let word = if key == "unk_token" { "nowhere" } else { key };
        assert_kin_refused(generic, word, |file| file["model"][key] = value);
    }
}

#[test]
fn a_hostile_vocab_json_or_merges_txt_is_refused() {
    for (file, content, word) in [
        ("vocab.json", "[]", "not valid"),
        ("vocab.json", r#"{"a": -1}"#, "not valid"),
        ("vocab.json", r#"{"a": 1, "b": 1}"#, "another token has too"),
        (
            "merges.txt",
            "#version: 0.2\na b c\n",
            "line 2 is not a pair",
        ),
        ("merges.txt", "a b\n\n", "line 2 is not a pair"),
        ("merges.txt", "not there\n", "out of vocabulary"),
    ] {
        let directory = kin_directory("roberta: vocab.json and merges.txt");
        fs::write(directory.path().join(file), content).expect("written");
        assert_refused_directory(word, directory.path());
    }
}

#[test]
fn a_sentencepiece_model_alone_is_refused_with_the_line_that_helps() {
    let directory = tempfile::tempdir().expect("a directory");
    edit(directory.path(), "config.json", |file| {
        file["model_type"] = json!("xlm-roberta");
    });
    fs::write(directory.path().join("sentencepiece.bpe.model"), "-").expect("written");
    let Err(error) = Tokenizer::load(directory.path(), ROWS) else {
        panic!("taken");
    };
    assert_eq!(error.kind(), Kind::Model);
    let tip = error.tip().expect("a tip");
    let place = directory.path().display().to_string();
    assert!(
        tip.contains(&format!("save_pretrained('{place}')")),
        "{tip}"
    );
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
fn with_edits(goldens: &Goldens, layout: &str, file: &str, edits: usize) -> (usize, usize) {
    let directory = goldens.written(goldens.layout(layout));
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

/// Some of `edits` of each file are taken and some are refused.
fn assert_edits(goldens: &Goldens, files: &[(&str, &str, usize)]) {
    for &(layout, file, edits) in files {
        let (taken, refused) = with_edits(goldens, layout, file, edits);
        assert!(taken > 0, "{file}: all edits are refused");
        assert!(refused > 0, "{file}: no edit is refused");
    }
}

#[test]
fn an_edited_file_is_taken_or_refused() {
    let generic = "generic, NFKC, lower case, no accents";
    assert_edits(
        &Goldens::bert(),
        &[
            (generic, "tokenizer.json", 250),
            ("tokenizer.json with added tokens", "tokenizer.json", 250),
            ("added_tokens_decoder", "tokenizer_config.json", 250),
            (
                "special_tokens_map.json with objects",
                "special_tokens_map.json",
                100,
            ),
            ("vocab.txt alone", "vocab.txt", 100),
        ],
    );
}

#[test]
fn an_edited_file_of_the_kin_is_taken_or_refused() {
    assert_edits(
        &Goldens::kin(),
        &[
            (UNIGRAM[0], "tokenizer.json", 100),
            (UNIGRAM[1], "tokenizer.json", 100),
            ("xlm-roberta: no normalizer", "tokenizer.json", 250),
            ("albert: PreTrainedTokenizerFast", "tokenizer.json", 100),
            ("roberta: tokenizer.json", "tokenizer.json", 250),
            ("roberta: PreTrainedTokenizerFast", "tokenizer.json", 250),
            ("roberta: vocab.json and merges.txt", "vocab.json", 250),
            ("roberta: vocab.json and merges.txt", "merges.txt", 250),
            ("mpnet: no class", "tokenizer.json", 100),
        ],
    );
}
