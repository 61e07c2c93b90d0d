//! `config.json`: each wrong value is refused with its key, what stands there and what is allowed.

use serde_json::{Value, json};

use super::{assert_refused, directory, written};

#[test]
fn a_value_of_the_wrong_type_or_size_is_refused_with_its_key_and_what_is_allowed() {
    let sizes = [
        json!(2_147_483_648_u64),
        json!(u64::MAX),
        json!(1e300),
        json!(-1),
        json!(0),
        json!(768.5),
        json!(768.0),
        json!("768"),
        json!(true),
        json!(null),
        json!([768]),
    ];
    let keys = [
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "type_vocab_size",
    ];
    for key in keys {
        for value in &sizes {
            let got = format!("`{key}` is {value}");
            refused_with(key, value, &[&got, "a whole number from 1 to 16777216"]);
        }
    }
}

#[test]
fn a_layer_norm_eps_that_is_not_a_small_positive_number_is_refused() {
    for value in [
        json!(0),
        json!(-1e-12),
        json!("1e-12"),
        json!(1e300),
        json!(1e-300),
        json!(null),
    ] {
        let got = format!("`layer_norm_eps` is {value}");
        refused_with(
            "layer_norm_eps",
            &value,
            &[&got, "a number above 0 and at most 1"],
        );
    }
}

#[test]
fn what_would_be_computed_silently_wrong_is_refused_by_name() {
    let cases = [
        (
            "num_attention_heads",
            json!(3),
            "which does not divide `hidden_size` 4",
        ),
        (
            "hidden_act",
            json!("quick_gelu"),
            "`quick_gelu`, supported: `gelu`, `gelu_python`",
        ),
        ("hidden_act", json!("gelu_10"), "supported: `gelu`"),
        (
            "hidden_act",
            json!(7),
            "`hidden_act` is 7, allowed is a string",
        ),
        (
            "model_type",
            json!("longformer"),
            "`model_type` is `longformer`, supported: `albert`, `bert`, `camembert`, \
             `data2vec-text`, `distilbert`, `electra`, `ernie`, `mpnet`, `roberta`, `xlm-roberta`",
        ),
        ("model_type", json!(["bert"]), "`model_type` is [\"bert\"]"),
        (
            "position_embedding_type",
            json!("relative_key"),
            "`relative_key`, supported: `absolute`",
        ),
        (
            "position_embedding_type",
            json!("relative_key_query"),
            "supported: `absolute`",
        ),
        (
            "auto_map",
            json!({"AutoModel": "modeling.Custom"}),
            "`auto_map`",
        ),
        (
            "quantization_config",
            json!({"quant_method": "gptq", "bits": 4}),
            "`quantization_config` is set",
        ),
        ("auto_map", json!("x"), "`auto_map`"),
        ("is_decoder", json!(true), "`is_decoder` is true"),
        (
            "is_decoder",
            json!("false"),
            "`is_decoder` is \"false\", allowed is true or false",
        ),
        (
            "add_cross_attention",
            json!(true),
            "`add_cross_attention` is true",
        ),
        (
            "pad_token_id",
            json!(5),
            "`pad_token_id` is 5, allowed is a whole number from 0 to 4",
        ),
        ("pad_token_id", json!(-1), "from 0 to 4"),
    ];
    for (key, value, words) in cases {
        refused_with(key, &value, &[words]);
    }
}

#[test]
fn without_model_type_the_architectures_must_be_of_bert() {
    let directory = written(|checkpoint| {
        checkpoint.config().remove("model_type");
        let other = json!(["RobertaForMaskedLM"]);
        checkpoint.config().insert("architectures".into(), other);
    });
    assert_refused("RoBERTa", directory.path(), &["`RobertaForMaskedLM`"]);
}

#[test]
fn sizes_that_differ_from_the_tensors_are_refused_with_both_numbers() {
    let cases = [
        (
            "num_hidden_layers",
            3,
            "`num_hidden_layers` is 3 in config.json and 2 in the weights",
        ),
        ("num_hidden_layers", 16_777_216, "and 2 in the weights"),
        (
            "vocab_size",
            16_777_216,
            "has shape [5, 4], which is not the [`vocab_size` 16777216",
        ),
        (
            "vocab_size",
            6,
            "has shape [5, 4], which is not the [`vocab_size` 6, `hidden_size` 4]",
        ),
        (
            "hidden_size",
            768,
            "which is not the [`vocab_size` 5, `hidden_size` 768]",
        ),
        (
            "max_position_embeddings",
            512,
            "[8, 4], which is not the [`max_position_embeddings` 512",
        ),
        (
            "type_vocab_size",
            1,
            "[2, 4], which is not the [`type_vocab_size` 1, `hidden_size` 4]",
        ),
        (
            "intermediate_size",
            16,
            "[6, 4], which is not the [`intermediate_size` 16",
        ),
    ];
    for (key, value, words) in cases {
        refused_with(key, &json!(value), &[words]);
    }
}

#[test]
fn a_config_that_is_not_one_json_object_is_refused() {
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_value = format!("{{\"a\": {nested}}}");
    let cases: [(&[u8], &str); 14] = [
        (b"", "EOF while parsing a value"),
        (b"{", "EOF while parsing an object"),
        (b"[]", "expected a JSON object"),
        (b"\"text\"", "expected a JSON object"),
        (b"not json", "not valid JSON"),
        (b"{} {}", "trailing characters"),
        (
            b"{\"hidden_size\": 4, \"hidden_size\": 8}",
            "duplicate key `hidden_size`",
        ),
        (b"{\"a\": 1, \"a\": 1}", "duplicate key `a`"),
        (b"{\"a\": \"\xff\"}", "not valid JSON"),
        (b"{\"layer_norm_eps\": NaN}", "not valid JSON"),
        (b"{\"layer_norm_eps\": 1e999}", "number out of range"),
        (nested.as_bytes(), "expected a JSON object"),
        (deep_value.as_bytes(), "recursion limit exceeded"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
    ];
    for (content, words) in cases {
        let directory = written(|_| ());
        std::fs::write(directory.path().join("config.json"), content).expect("written");
        assert_refused(words, directory.path(), &["config.json`", words]);
    }
}

#[test]
fn a_config_of_200_mb_is_refused_without_being_read() {
    let directory = directory();
    let file = std::fs::File::create(directory.path().join("config.json")).expect("created");
    file.set_len(200_000_000).expect("a sparse file");
    assert_refused(
        "200 MB",
        directory.path(),
        &["it has 200000000 bytes", "at most 4194304"],
    );
}

/// The smallest checkpoint with `value` at `key` is refused with `words`.
#[track_caller]
fn refused_with(key: &str, value: &Value, words: &[&str]) {
    let directory = written(|checkpoint| {
        checkpoint.config().insert(key.to_owned(), value.clone());
    });
    assert_refused(&format!("{key} {value}"), directory.path(), words);
}
