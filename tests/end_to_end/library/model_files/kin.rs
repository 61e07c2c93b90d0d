//! BERT's kin: the defaults of each type's config, and what is refused.

use std::fs;

use bert_embed::internals::{Config, HiddenAct, ModelType};
use serde_json::{Value, json};

use super::{assert_refused, directory, load};
use crate::support::checkpoint::fixture;
use crate::support::kin::KinCheckpoint;

/// The config of `keys` alone.
fn config(keys: &Value) -> Config {
    let directory = directory();
    fs::write(directory.path().join("config.json"), keys.to_string()).expect("written");
    Config::read(directory.path()).expect("a config")
}

#[test]
fn missing_keys_have_the_defaults_of_the_types_config_class() {
    let types = fixture("kin_configs.json");
    let types = types.as_object().expect("a table");
    assert_eq!(types.len(), 10);
    for (name, keys) in types {
        let config = config(&json!({"model_type": name}));
        let key = |name: &str| keys.get(name).and_then(Value::as_u64).map(|it| it as usize);
        assert_eq!(config.model_type.name(), name);
        let hidden_size = key("hidden_size");
        let sizes = [
            (Some(config.vocab_size), key("vocab_size")),
            (
                Some(config.embedding_size),
                key("embedding_size").or(hidden_size),
            ),
            (Some(config.hidden_size), hidden_size),
            (Some(config.num_hidden_layers), key("num_hidden_layers")),
            (
                config.layer_groups.map(|it| it.num_hidden_groups),
                key("num_hidden_groups"),
            ),
            (
                config.layer_groups.map(|it| it.inner_group_num),
                key("inner_group_num"),
            ),
            (Some(config.num_attention_heads), key("num_attention_heads")),
            (
                Some(config.intermediate_size),
                key("intermediate_size").or(key("hidden_dim")),
            ),
            (
                Some(config.max_position_embeddings),
                key("max_position_embeddings"),
            ),
            (config.type_vocab_size, key("type_vocab_size")),
            // Not used by default.
            (config.task_type_vocab_size, None),
            (
                config.relative_attention_num_buckets,
                key("relative_attention_num_buckets"),
            ),
            (Some(config.pad_token_id as usize), key("pad_token_id")),
        ];
        for (place, (ours, expected)) in sizes.iter().enumerate() {
            assert_eq!(ours, expected, "{name}, size {place}");
        }
        let activation = keys.get("hidden_act").or(keys.get("activation"));
        let expected = match activation.and_then(Value::as_str) {
            Some("gelu") => HiddenAct::Gelu,
            Some("gelu_new") => HiddenAct::GeluTanh,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(config.hidden_act, expected, "{name}");
        // DistilBertConfig has no key for it: modeling_distilbert.py says 1e-12.
        let eps = keys
            .get("layer_norm_eps")
            .map_or(Some(1e-12), Value::as_f64);
        assert_eq!(Some(config.layer_norm_eps), eps, "{name}");
    }
    let ernie = json!({"model_type": "ernie", "use_task_id": true});
    let of_class = types["ernie"]["task_type_vocab_size"].as_u64();
    let ours = config(&ernie).task_type_vocab_size;
    assert_eq!(ours.map(|size| size as u64), of_class);
}

#[test]
fn positions_that_belong_to_the_padding_are_not_for_tokens() {
    let most = |keys: Value| config(&keys).max_tokens();
    assert_eq!(most(json!({"model_type": "bert"})), 512);
    for (name, positions, tokens) in [
        ("roberta", 514, 512),
        ("xlm-roberta", 8194, 8192),
        ("mpnet", 514, 512),
    ] {
        let keys = json!({"model_type": name, "max_position_embeddings": positions});
        assert_eq!(most(keys), tokens, "{name}");
    }
    let keys = json!({"model_type": "roberta", "max_position_embeddings": 8, "pad_token_id": 3});
    assert_eq!(most(keys), 4);
    let keys = json!({"model_type": "mpnet", "max_position_embeddings": 8, "pad_token_id": 3});
    assert_eq!(most(keys), 6);
}

/// `int(i / (num_hidden_layers / num_hidden_groups))` of `AlbertTransformer`.
#[test]
fn shared_layers_run_in_the_order_of_their_groups() {
    let order = |layers, groups, inner| {
        config(&json!({
            "model_type": "albert",
            "num_hidden_layers": layers,
            "num_hidden_groups": groups,
            "inner_group_num": inner,
        }))
        .layer_order()
    };
    assert_eq!(order(3, 1, 1), [0, 0, 0]);
    assert_eq!(order(3, 2, 2), [0, 1, 0, 1, 2, 3]);
    assert_eq!(order(5, 3, 1), [0, 0, 1, 1, 2]);
}

/// The named checkpoint after `change`.
fn changed(name: &str, change: impl FnOnce(&mut KinCheckpoint)) -> tempfile::TempDir {
    let directory = directory();
    let mut checkpoint = KinCheckpoint::named(name);
    change(&mut checkpoint);
    checkpoint.write(directory.path());
    directory
}

#[test]
fn config_keys_that_transformers_would_not_take_are_refused() {
    let cases = [
        (
            "roberta",
            "pad_token_id",
            json!(null),
            "`pad_token_id` is null",
        ),
        (
            "mpnet",
            "relative_attention_num_buckets",
            json!(8),
            "`relative_attention_num_buckets` is 8, allowed is a whole number from 32",
        ),
        (
            "distilbert",
            "hidden_size",
            json!(12),
            "`hidden_size` and `dim` are names of one size",
        ),
        (
            "albert",
            "num_hidden_groups",
            json!(2),
            "`num_hidden_groups` is 2 in config.json and 1 in the weights",
        ),
        (
            "albert",
            "num_hidden_layers",
            json!(1025),
            "it has 1025 layers that share weights, allowed are 1024",
        ),
        (
            "electra",
            "embedding_size",
            json!(24),
            "[`vocab_size` 112, `embedding_size` 24] of config.json",
        ),
        ("ernie", "use_task_id", json!(true), "task_type_embeddings"),
    ];
    for (name, key, value, words) in cases {
        let directory = changed(name, |_| ());
        let path = directory.path().join("config.json");
        let text = fs::read_to_string(&path).expect("a config");
        let mut config: Value = serde_json::from_str(&text).expect("an object");
        config[key] = value;
        fs::write(&path, config.to_string()).expect("written");
        assert_refused(&format!("{name} {key}"), directory.path(), &[words]);
    }
}

#[test]
fn the_prefix_of_another_type_is_refused() {
    for (name, prefix, words) in [
        ("ernie", "bert.", "this is a model of type bert, not ernie"),
        (
            "camembert",
            "camembert.",
            "of type camembert, not camembert",
        ),
        ("xlm-roberta", "xlm_roberta.", "of type xlm_roberta"),
        ("roberta", "data2vec_text.", "of type data2vec_text"),
    ] {
        let directory = changed(name, |checkpoint| prefix.clone_into(&mut checkpoint.prefix));
        assert_refused(name, directory.path(), &[words]);
    }
}

#[test]
fn tensors_that_a_type_lacks_are_not_missed() {
    for (name, expected) in [
        ("distilbert", ModelType::DistilBert),
        ("electra-unprojected", ModelType::Electra),
        ("mpnet-masked-lm", ModelType::MpNet),
    ] {
        let directory = changed(name, |_| ());
        let (config, tensors) = load(directory.path()).expect(name);
        assert_eq!(config.model_type, expected);
        assert!(!tensors.has_pooler(&config), "{name}");
    }
}
