//! `model.safetensors`: each damage to its header or its size is refused, and each wrong tensor by
//! name.

use serde_json::{Value, json};

use super::{assert_refused, directory, written};
use crate::support::broken::{Broken, assemble, file, parts};
use crate::support::formula::Storage;

const WORDS: &str = "bert.embeddings.word_embeddings.weight";

#[test]
fn a_file_of_the_wrong_size_is_refused_with_both_sizes() {
    let whole = file(&Broken::smallest().tensors);
    let more = [&whole[..], b"x"].concat();
    let huge = [&(1_u64 << 60).to_le_bytes(), &whole[8..]].concat();
    let largest = [&u64::MAX.to_le_bytes(), &whole[8..]].concat();
    let longer = [&(whole.len() as u64 - 7).to_le_bytes(), &whole[8..]].concat();
    let cases: [(&str, &[u8], &str); 8] = [
        ("0 bytes", b"", "it has 0 bytes"),
        ("7 bytes", &whole[..7], "it has 7 bytes"),
        ("8 bytes", &whole[..8], "the file has 8"),
        ("one byte missing", &whole[..whole.len() - 1], "cut short"),
        ("one byte too many", &more, "bytes follow"),
        (
            "a header of 2^60",
            &huge,
            "a header of 1152921504606846976 bytes",
        ),
        (
            "a header of 2^64 - 1",
            &largest,
            "a header of 18446744073709551615 bytes",
        ),
        (
            "a header longer than the file",
            &longer,
            "announce a header of",
        ),
    ];
    for (sentence, content, words) in cases {
        refused_file(sentence, content, &["model.safetensors`", words]);
    }
}

#[test]
fn a_header_over_16_mib_is_refused_without_being_read() {
    let directory = written(|_| ());
    let path = directory.path().join("model.safetensors");
    std::fs::write(&path, (1_u64 << 30).to_le_bytes()).expect("written");
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("opened");
    file.set_len(1 << 31).expect("a sparse file");
    assert_refused(
        "1 GiB header",
        directory.path(),
        &["allowed are at most 16777216"],
    );
}

#[test]
fn a_header_that_is_not_that_of_safetensors_is_refused() {
    let (header, data) = parts(&Broken::smallest().tensors);
    let good = Value::Object(header).to_string();
    let with = |extra: &str| format!("{},{extra}}}", &good[..good.len() - 1]);
    let twice =
        format!("\"{WORDS}\":{{\"dtype\":\"F32\",\"shape\":[5,4],\"data_offsets\":[0,80]}}");
    let unknown = r#""x":{"dtype":"F33","shape":[0],"data_offsets":[0,0]}"#;
    let negative = r#""x":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}"#;
    let cases = [
        (String::new(), "EOF"),
        ("[]".to_owned(), "expected a JSON object"),
        ("{\"a\":".to_owned(), "EOF"),
        (with("\"__metadata__\":7"), "invalid type"),
        (with(&twice), "duplicate key"),
        (with(unknown), "`x`: unknown variant `F33`"),
        (with(negative), "`x`: invalid value: integer `-1`"),
        (
            with("\"x\":{\"dtype\":\"F32\"}"),
            "`x`: missing field `shape`",
        ),
    ];
    for (header, words) in cases {
        refused_file(
            words,
            &assemble(&header, &data),
            &["does not have a safetensors header", words],
        );
    }
    let mut not_utf8 = file(&Broken::smallest().tensors);
    not_utf8[12] = 0xff;
    refused_file(
        "not UTF-8",
        &not_utf8,
        &["does not have a safetensors header"],
    );
}

#[test]
fn offsets_and_shapes_that_disagree_are_refused_with_the_tensors_name() {
    let cases = [
        (
            "data_offsets",
            json!([0, 79]),
            "needs 80 bytes, but its offsets are 0 to 79",
        ),
        ("data_offsets", json!([80, 0]), "begins at byte"),
        (
            "data_offsets",
            json!([4, 84]),
            "begins at byte 4 and leaves a gap",
        ),
        ("data_offsets", json!([0, 84]), "needs 80 bytes"),
        (
            "data_offsets",
            json!([u64::MAX - 79, u64::MAX]),
            "begins at byte",
        ),
        ("shape", json!([5, 5]), "needs 100 bytes"),
        (
            "shape",
            json!([1_u64 << 40, 1_u64 << 40]),
            "impossible shape: [1099511627776, 109",
        ),
        ("shape", json!([u64::MAX]), "impossible shape"),
        ("dtype", json!("F64"), "needs 160 bytes"),
    ];
    for (key, value, words) in cases {
        let (mut header, data) = parts(&Broken::smallest().tensors);
        header[WORDS][key] = value;
        let file = assemble(&Value::Object(header).to_string(), &data);
        refused_file(words, &file, &["tensor `bert.", words]);
    }
}

#[test]
fn overlapping_tensors_are_refused() {
    let (mut header, data) = parts(&Broken::smallest().tensors);
    header["bert.embeddings.LayerNorm.weight"]["data_offsets"] = json!([236, 252]);
    let file = assemble(&Value::Object(header).to_string(), &data);
    refused_file("overlap", &file, &["overlaps the one before it"]);
}

#[test]
fn sums_that_wrap_around_2_to_64_are_refused() {
    // Eight tensors of 2^61 - 1 bytes and one that brings the sum to 2^64 - 1: added to the
    // header's size it wraps to the size of a small file.
    let step = (1_u64 << 61) - 1;
    let mut header: serde_json::Map<String, Value> = (0..8)
        .map(|i| {
            let offsets = [i * step, (i + 1) * step];
            (
                format!("t{i}"),
                json!({"dtype": "U8", "shape": [step], "data_offsets": offsets}),
            )
        })
        .collect();
    let last = json!({"dtype": "U8", "shape": [7], "data_offsets": [8 * step, u64::MAX]});
    header.insert("t8".to_owned(), last);
    let header = Value::Object(header).to_string();
    refused_file(
        "wraps",
        &assemble(&header, b""),
        &["18446744073709551615 bytes of tensors, but 0"],
    );
}

#[test]
fn a_wrong_tensor_is_refused_by_name() {
    type Change = fn(&mut Broken);
    let cases: [(Change, &str); 12] = [
        (
            |c| c.remove("word_embeddings"),
            "no tensor `embeddings.word_embeddings.weight`",
        ),
        (
            |c| c.remove("layer.1.output.dense.bias"),
            "no tensor `bert.encoder.layer.1.output.dense.bias`",
        ),
        (
            |c| c.remove("layer.0.output.LayerNorm.weight"),
            "no tensor `bert.encoder.layer.0.output.LayerNorm.weight`",
        ),
        (
            |c| c.remove("layer.1"),
            "`num_hidden_layers` is 2 in config.json and 1 in the weights",
        ),
        (
            |c| {
                let name = "bert.encoder.layer.0.attention.self.query.lora_A.weight";
                c.add(name, &[1, 4]);
            },
            "`bert.encoder.layer.0.attention.self.query.lora_A.weight` of an adapter (LoRA)",
        ),
        (
            |c| c.remove("pooler.dense.bias"),
            "no tensor `bert.pooler.dense.bias`",
        ),
        (
            |c| c.remove("pooler.dense.weight"),
            "no tensor `bert.pooler.dense.weight`",
        ),
        (
            |c| c.tensor("0.output.dense.weight").shape = vec![6, 4],
            "has shape [6, 4]",
        ),
        (
            |c| c.tensor("query.bias").storage = Storage::I8,
            "`bert.encoder.layer.0.attention.self.query.bias` in `model.safetensors` is of type I8",
        ),
        (
            |c| c.tensor("pooler.dense.bias").storage = Storage::I64,
            "of type I64, supported are F64, F32, F16 and BF16",
        ),
        (
            |c| c.add("bert.embeddings.LayerNorm.gamma", &[4]),
            "both `bert.embeddings.LayerNorm.weight` and `bert.embeddings.LayerNorm.gamma`",
        ),
        (
            |c| c.add("other.embeddings.word_embeddings.weight", &[5, 4]),
            "they hold 2 models",
        ),
    ];
    for (change, words) in cases {
        assert_refused(words, written(change).path(), &[words]);
    }
}

#[test]
fn what_is_asked_for_in_another_shape_is_refused_with_both_shapes() {
    let directory = written(|_| ());
    let (_, tensors) = super::load(directory.path()).expect("a checkpoint");
    let error = tensors
        .get("embeddings.word_embeddings.weight", &[4, 5])
        .expect_err("refused");
    let message = error.to_string();
    assert!(
        message.contains("has shape [5, 4], which is not the [4, 5]"),
        "{message}"
    );
    assert!(tensors.get("embeddings.nothing", &[1]).is_err());
}

#[test]
fn a_file_in_disguise_is_told_as_what_it_is() {
    let cases: [(&[u8], &str); 5] = [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7\nsize 440449768\n",
            "Git LFS",
        ),
        (
            b"<!DOCTYPE html>\n<html><body>503</body></html>",
            "web page",
        ),
        (
            b"PK\x03\x04\0\0\0\0\0\0\0\0 archive/data.pkl",
            "zip archive",
        ),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "gzip"),
        (&[0; 4096], "zeros only"),
    ];
    for (content, words) in cases {
        refused_file(words, content, &["model.safetensors`", words]);
    }
}

#[test]
fn a_header_size_that_looks_like_a_web_page_is_a_header_size() {
    // 15,392 is 0x3C20, the bytes of ` <`; 15,676 is `<=`; 25,660 is `<d`.
    for header_bytes in [15_392_usize, 15_676, 25_660] {
        let checkpoint = Broken::smallest();
        let directory = directory();
        checkpoint.write_config(directory.path());
        let (header, data) = parts(&checkpoint.tensors);
        let header = format!("{:<header_bytes$}", Value::Object(header).to_string());
        let path = directory.path().join("model.safetensors");
        std::fs::write(path, assemble(&header, &data)).expect("written");
        super::load(directory.path()).expect("a checkpoint");
    }
}

/// The smallest checkpoint with `content` as its `model.safetensors` is refused with `words`.
#[track_caller]
fn refused_file(sentence: &str, content: &[u8], words: &[&str]) {
    let directory = written(|_| ());
    std::fs::write(directory.path().join("model.safetensors"), content).expect("written");
    assert_refused(sentence, directory.path(), words);
}
