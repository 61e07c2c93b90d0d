//! A vocabulary of 250,000 tokens, as XLM-RoBERTa has it: how long it takes to load, next to what the
//! tokenizers crate itself needs.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bert_embed::Text;
use bert_embed::internals::{Detail, Tokenizer};
use serde_json::json;

use super::layouts::Goldens;
use crate::support::random::Random;

const TOKENS: usize = 250_002;

/// Letters of several scripts, so that tokens have one to three bytes a character.
const LETTERS: [(u32, usize, usize); 6] = [
    ('a' as u32, 26, 9),
    ('a' as u32, 26, 9),
    ('а' as u32, 32, 8),
    ('ا' as u32, 42, 7),
    ('क' as u32, 36, 7),
    ('一' as u32, 8_000, 3),
];

/// Replaces the vocabulary of the `tokenizer.json` in `directory` by a large one of 17 MB.
fn enlarge(directory: &Path) {
    let path = directory.join("tokenizer.json");
    let text = fs::read_to_string(&path).expect("tokenizer.json");
    let mut document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let small = document["model"]["vocab"].take();
    let mut pieces = small.as_array().expect("a list").clone();
    let mut random = Random(21);
    while pieces.len() < TOKENS {
        let (first, letters, longest) = LETTERS[random.below(LETTERS.len())];
        let mut piece = if random.below(2) == 0 { "▁" } else { "" }.to_owned();
        for _ in 0..=random.below(longest) {
            piece.extend(char::from_u32(first + random.below(letters) as u32));
        }
        pieces.push(json!([piece, -8.0 - random.below(600) as f64 / 97.0]));
    }
    document["model"]["vocab"] = json!(pieces);
    let mut text = serde_json::to_string_pretty(&document).expect("JSON");
    // The rest of 17 MB is white space.
    let missing = (17_usize << 20).saturating_sub(text.len());
    text.push_str(&" ".repeat(missing));
    fs::write(path, text).expect("written");
}

/// The shortest time of three.
fn fastest(mut work: impl FnMut()) -> Duration {
    let once = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..3).map(once).min().expect("three times")
}

#[test]
#[ignore = "measures time: nothing else should run"]
fn a_vocabulary_of_250_000_loads_as_fast_as_in_the_tokenizers_crate() {
    let goldens = Goldens::kin();
    let directory = goldens.written(goldens.layout("xlm-roberta: XLMRobertaTokenizer"));
    enlarge(directory.path());
    let path = directory.path().join("tokenizer.json");
    let read = fastest(|| drop(fs::read(&path).expect("read")));
    let of_the_crate = fastest(|| {
        let loaded = tokenizers::Tokenizer::from_file(&path);
        drop(loaded.expect("the crate takes it"));
    });
    let load = || Tokenizer::load(directory.path(), TOKENS).expect("a tokenizer");
    let ours = fastest(|| drop(load()));
    let tokenizer = load();
    let text = Text::new("Hello world, how are you today?".to_owned());
    let encode = fastest(|| {
        let encoding = tokenizer.encode(&text, 512, Detail::default());
        assert!(encoding.expect("tokens").tokens() > 2);
    });
    eprintln!("read {read:?}, crate {of_the_crate:?}, ours {ours:?}, one text {encode:?}");
    assert!(
        ours < of_the_crate.mul_f64(1.2),
        "{ours:?} against {of_the_crate:?}"
    );
}
