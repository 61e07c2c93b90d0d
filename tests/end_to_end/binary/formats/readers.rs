//! The files as Python's readers have them; tests/fixtures/readers.py compares with the JSON.
//!
//! Needs an interpreter with tests/fixtures/readers.txt, named by `BERT_EMBED_PYTHON`.

use std::process::Command;

use super::Place;
use crate::support::checkpoint::fixtures;
use crate::support::command::run;

#[test]
#[ignore = "needs BERT_EMBED_PYTHON: a Python with tests/fixtures/readers.txt"]
fn python_reads_the_files() {
    let python = std::env::var_os("BERT_EMBED_PYTHON").expect("BERT_EMBED_PYTHON");
    let place = Place::new();
    let options = ["--pooling", "mean", "--layers", "-2"];
    let mut all = vec!["-f", "in.txt", "-o", "out.jsonl", "--fields"];
    all.push("index,tokens,input_ids,last_hidden_state,pooler_output,text,word_ids,offset_mapping,hidden_states");
    all.extend(options);
    if cfg!(feature = "parquet") {
        let mut parquet = all.clone();
        parquet[3] = "out.parquet";
        parquet.extend(["--word-pooling", "mean"]);
        place.print(&parquet);
    }
    all.extend(["--word-pooling", "mean"]);
    place.print(&all);
    let embedding = [&options[..], &["--fields", "embedding"]].concat();
    place.file("out.npy", &embedding);
    place.file("out.safetensors", &options);
    let half = [&embedding[..], &["--float", "f16"]].concat();
    for name in ["half.npy", "half.safetensors"] {
        place.file(name, &half);
    }
    if cfg!(feature = "parquet") {
        let words = ["--word-pooling", "mean"];
        place.file("half.parquet", &[&half[..], &words[..]].concat());
    }
    for name in ["out.jsonl.gz", "out.jsonl.zst"] {
        all[3] = name;
        place.print(&all);
    }
    place.write(
        "ids.jsonl",
        "{\"id\":\"a7\",\"text\":\"she\"}\n{\"text\":\"is\"}\n{\"id\":3,\"text\":\"old\"}\n",
    );
    place.print(&["-f", "ids.jsonl", "-o", "ids.safetensors"]);
    let mut command = Command::new(python);
    command
        .arg(fixtures().join("readers.py"))
        .arg(place.path(""));
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!(code, 0, "{stdout}{stderr}");
    eprint!("{stdout}");
}
