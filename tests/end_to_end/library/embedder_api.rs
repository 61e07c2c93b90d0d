//! What a Rust program asks of the library: kinds of text, records that outlive the model, a
//! stream, the tokenizer alone, thread pools, warnings.

use std::borrow::Cow;
use std::fs;
use std::sync::Arc;

use bert_embed::{Embedded, Embedder, Field, ModelTokenizer, Options, PoolingMode, Text};
use serde_json::{Value, json};

use super::embedder::options;
use crate::support::checkpoint::{Checkpoint, fixtures};

fn load(typed: &[&str]) -> Embedder {
    load_model(sample(), typed)
}

fn load_model(model: &str, typed: &[&str]) -> Embedder {
    Embedder::load(model, &options(typed)).expect("a model")
}

fn sample() -> &'static str {
    "tests/fixtures/sample"
}

fn as_json(record: &Embedded) -> Value {
    serde_json::to_value(record).expect("JSON")
}

/// `values` as a nested list of this shape.
fn nested(values: &[f32], shape: &[usize]) -> Value {
    match shape {
        [] | [_] => json!(values),
        [_, inner @ ..] => {
            let rows = values.chunks_exact(inner.iter().product());
            rows.map(|row| nested(row, inner)).collect()
        }
    }
}

#[test]
fn every_kind_of_string_is_a_text() {
    let embedder = load(&[]);
    let owned = "winter".to_owned();
    let expected = embedder.embed(["winter"]).expect("a record");
    let expected = as_json(&expected[0]);
    let records = [
        embedder.embed([owned.clone()]),
        embedder.embed([&owned]),
        embedder.embed(["winter"].iter()),
        embedder.embed([Cow::Borrowed("winter")]),
        embedder.embed([Arc::<str>::from("winter")]),
        embedder.embed([Text::from("winter")]),
        embedder.embed(&[Text::from("winter")]),
    ];
    for records in records {
        assert_eq!(as_json(&records.expect("a record")[0]), expected);
    }
}

#[test]
fn a_record_outlives_the_model_and_the_thread() {
    let embedder = load(&[]);
    let mut records = embedder.embed(["winter"]).expect("a record");
    let expected = as_json(&records[0]);
    drop(embedder);
    let record = records.pop().expect("a record");
    let sent = std::thread::spawn(move || (as_json(&record), record.tokens()));
    let (found, tokens) = sent.join().expect("the thread ends");
    assert_eq!(found, expected);
    assert_eq!(tokens, ["[CLS]", "winter", "[SEP]"]);
}

#[test]
fn each_field_has_the_value_that_the_json_shows() {
    let fields = "index,id,text,tokens,input_ids,token_type_ids,attention_mask,\
        special_tokens_mask,offset_mapping,word_ids,last_hidden_state,pooler_output,hidden_states,\
        attentions,embedding,words";
    let typed = ["--fields", fields, "--layers", "2", "--pooling", "mean"];
    let more = ["--word-pooling", "mean", "--padding", "longest"];
    let directory = tempfile::tempdir().expect("a directory");
    Checkpoint::named("tiny").write(directory.path());
    let name = directory.path().to_str().expect("UTF-8");
    let embedder = load_model(name, &[&typed[..], &more[..]].concat());
    let pair = Text::pair("which river", "the stone bridge").with_id("a7");
    let records = embedder.embed([pair, "winter".into()]).expect("records");
    for record in &records {
        let json = as_json(record);
        let tokens = record.input_ids().len();
        let hidden = record.embedding().expect("an embedding").len();
        assert_eq!(json["index"], json!(record.index()));
        assert_eq!(json.get("id"), record.id().map(Value::from).as_ref());
        let text = record.text().expect("a text");
        assert_eq!(
            json.get("text_pair"),
            text.pair.clone().map(Value::from).as_ref()
        );
        assert_eq!(json["tokens"], json!(record.tokens()));
        assert_eq!(json["input_ids"], json!(record.input_ids()));
        assert_eq!(json["token_type_ids"], json!(record.token_type_ids()));
        assert_eq!(json["attention_mask"], json!(record.attention_mask()));
        assert_eq!(
            json["special_tokens_mask"],
            json!(record.special_tokens_mask())
        );
        assert_eq!(json["offset_mapping"], json!(record.offset_mapping()));
        assert_eq!(json["word_ids"], json!(record.word_ids()));
        assert_eq!(json["dropped_tokens"], json!(record.dropped_tokens()));
        assert_eq!(json["embedding"], json!(record.embedding()));
        assert_eq!(json["pooler_output"], json!(record.pooler_output()));
        assert_eq!(json["words"], json!(record.words()));
        let rows = record.last_hidden_state().expect("rows");
        assert_eq!(json["last_hidden_state"], nested(rows, &[tokens, hidden]));
        let layers = record.hidden_states().expect("layers").into_iter();
        let layers: Value = layers.map(|rows| nested(rows, &[tokens, hidden])).collect();
        assert_eq!(json["hidden_states"], layers);
        let layers = record.attentions().expect("attentions").into_iter();
        let layer = |rows: &[f32]| {
            let heads = rows.len() / (tokens * tokens);
            nested(rows, &[heads, tokens, tokens])
        };
        assert_eq!(json["attentions"], layers.map(layer).collect::<Value>());
        assert_eq!(record.error(), None);
    }
    assert_eq!(records[0].id(), Some("a7"));
    assert_eq!(records[1].id(), None);
    assert!(records[1].attention_mask().contains(&0), "padding");
    assert!(records[0].words().is_some_and(|words| words.len() == 5));
}

#[test]
fn merged_layers_are_one() {
    let embedder = load(&["--layers", "0,1", "--layer-merge", "concat"]);
    let records = embedder.embed(["winter"]).expect("a record");
    let layers = records[0].hidden_states().expect("layers");
    assert_eq!(layers.len(), 1);
    assert_eq!(layers[0].len(), 3 * 2 * 24);
}

#[test]
fn what_was_not_computed_is_none() {
    let embedder = load(&["--fields", "tokens"]);
    let records = embedder.embed(["winter"]).expect("a record");
    let record = &records[0];
    assert_eq!(record.last_hidden_state(), None);
    assert_eq!(record.pooler_output(), None);
    assert_eq!(record.embedding(), None);
    assert!(record.hidden_states().is_none() && record.attentions().is_none());
    assert!(record.words().is_none());
    assert_eq!(record.input_ids().len(), 3);
}

#[test]
fn an_option_that_needs_a_vector_does_not_show_it() {
    let options = Options {
        word_pooling: Some(PoolingMode::First),
        fields: vec![Field::Words],
        ..Options::default()
    };
    let embedder = Embedder::load(sample(), &options).expect("a model");
    let records = embedder.embed(["winter"]).expect("a record");
    assert_eq!(records[0].last_hidden_state(), None);
    assert_eq!(records[0].words().map(<[_]>::len), Some(1));
}

#[test]
fn a_stream_gives_records_while_the_texts_go_on_for_ever() {
    let embedder = load(&["--batch-tokens", "64"]);
    let texts = (0_u64..).map(|number| format!("winter {number}"));
    let records = embedder.stream(texts).take(5000);
    let mut count = 0;
    for record in records {
        let record = record.expect("a record");
        assert_eq!(record.index(), count);
        count += 1;
    }
    assert_eq!(count, 5000);
}

#[test]
fn a_stream_has_the_records_of_embed_windows_and_errors_among_them() {
    let typed = ["--max-length", "12", "--on-long", "window", "--stride", "3"];
    let embedder = load(&[&typed[..], &["--batch-tokens", "16"]].concat());
    let long = "she saw the old stone bridge ".repeat(40);
    let pair = Text::pair(long.clone(), "too long for a pair");
    let texts: Vec<Text> = vec!["winter".into(), long.into(), pair, "".into()];
    let texts = texts.iter().cycle().take(40);
    let whole = embedder.embed(texts.clone()).expect("records");
    let streamed: Result<Vec<_>, _> = embedder.stream(texts).collect();
    let streamed = streamed.expect("records");
    assert_eq!(whole.len(), 40);
    let lines = |records: &[Embedded]| records.iter().map(as_json).collect::<Vec<_>>();
    assert_eq!(lines(&whole), lines(&streamed));
    // The same text has the same bits, whatever it shares a batch with.
    for (first, again) in whole.iter().zip(&whole[4..]) {
        assert_eq!(first.error(), again.error());
        assert_eq!(first.last_hidden_state(), again.last_hidden_state());
    }
    assert!(
        whole[2]
            .error()
            .is_some_and(|why| why.starts_with("the pair has "))
    );
    assert_eq!(whole[2].index(), 2);
    assert!(whole[2].input_ids().is_empty() && whole[2].last_hidden_state().is_none());
}

#[test]
fn the_longest_text_of_a_stream_decides_the_padding_of_all() {
    let embedder = load(&["--padding", "longest", "--batch-tokens", "8"]);
    let texts = (0..2000).map(|number| {
        if number == 1999 {
            "the old stone bridge"
        } else {
            "winter"
        }
    });
    let mut lengths = embedder
        .stream(texts)
        .map(|record| record.expect("a record").input_ids().len());
    assert!(lengths.all(|tokens| tokens == 6));
}

#[test]
fn the_tokenizer_needs_no_weights() {
    let directory = tempfile::tempdir().expect("a directory");
    for file in ["config.json", "tokenizer_config.json", "vocab.txt"] {
        let from = fixtures().join("sample").join(file);
        fs::copy(from, directory.path().join(file)).expect("copied");
    }
    let name = directory.path().to_str().expect("UTF-8");
    let tokenizer = ModelTokenizer::load(name, &Options::default()).expect("a tokenizer");
    let records = tokenizer
        .tokenize(["the old stone bridge", "winter"])
        .expect("tokens");
    let model = load(&[]);
    let embedded = model
        .embed(["the old stone bridge", "winter"])
        .expect("records");
    let again = model
        .tokenizer()
        .tokenize(["the old stone bridge", "winter"])
        .expect("tokens");
    for ((record, embedded), again) in records.iter().zip(&embedded).zip(&again) {
        assert_eq!(record.input_ids(), embedded.input_ids());
        assert_eq!(record.tokens(), embedded.tokens());
        assert_eq!(record.index(), embedded.index());
        assert_eq!(record.last_hidden_state(), None);
        let mut expected = as_json(embedded);
        let keys = expected.as_object_mut().expect("an object");
        assert!(
            keys.remove("last_hidden_state").is_some() && keys.remove("pooler_output").is_some()
        );
        assert_eq!(as_json(record), expected);
        assert_eq!(as_json(again), expected);
    }
}

#[test]
fn each_model_has_its_own_threads() {
    // A program may have started rayon's own pool before.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build_global();
    let models = [
        load(&["--threads", "1"]),
        load(&["--threads", "3"]),
        load(&[]),
    ];
    let records = models
        .each_ref()
        .map(|embedder| embedder.embed(["winter"]).expect("a record"));
    for record in &records[1..] {
        assert_eq!(as_json(&record[0]), as_json(&records[0][0]));
    }
    // Shared between threads, and called from a pool of the program.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .expect("a pool");
    let embed = || as_json(&models[1].embed(["winter"]).expect("a record")[0]);
    let (one, other) = pool.join(embed, embed);
    assert_eq!(one, other);
}

#[test]
fn what_the_command_warns_of_is_returned() {
    assert!(load(&[]).warnings().is_empty());
    let directory = tempfile::tempdir().expect("a directory");
    Checkpoint::named("tiny-no-pooler").write(directory.path());
    let name = directory.path().to_str().expect("UTF-8");
    let embedder = Embedder::load(name, &Options::default()).expect("a model");
    assert_eq!(
        embedder.warnings(),
        ["the checkpoint has no pooler: pooler_output is null"]
    );
    let records = embedder.embed(["she saw the river", "☃"]).expect("records");
    assert_eq!(records[0].pooler_output(), None);
    assert!(!records[0].has_only_unknown_tokens() && records[1].has_only_unknown_tokens());
    let short = Options {
        max_length: Some(4),
        ..Options::default()
    };
    let text = "she saw the old stone bridge";
    let whole = embedder.embed([text]).expect("a record");
    let embedder = Embedder::load(name, &short).expect("a model");
    let cut = embedder.embed([text]).expect("a record");
    let tokens = |records: &[Embedded]| records[0].input_ids().len();
    assert_eq!((tokens(&cut), whole[0].dropped_tokens()), (4, 0));
    assert_eq!(cut[0].dropped_tokens(), tokens(&whole) - 4);
}
