//! Checkpoints that must be taken, in every spelling that Hugging Face's files have.

use bert_embed::internals::Dtype;
use bert_embed::internals::{Config, HiddenAct, ModelType};
use serde_json::json;

use super::{directory, load, written};
use crate::support::broken::{Broken, assemble, parts};
use crate::support::formula::Storage;

#[test]
fn missing_keys_have_the_defaults_of_bert_config() {
    let directory = directory();
    std::fs::write(directory.path().join("config.json"), "{}").expect("written");
    let config = Config::read(directory.path()).expect("a config");
    let expected = Config {
        model_type: ModelType::Bert,
        vocab_size: 30522,
        embedding_size: 768,
        projects_embeddings: false,
        hidden_size: 768,
        num_hidden_layers: 12,
        layer_groups: None,
        num_attention_heads: 12,
        intermediate_size: 3072,
        max_position_embeddings: 512,
        padding_idx: None,
        type_vocab_size: Some(2),
        task_type_vocab_size: None,
        relative_attention_num_buckets: None,
        hidden_act: HiddenAct::Gelu,
        layer_norm_eps: 1e-12,
        pad_token_id: 0,
    };
    assert_eq!(config, expected);
    assert_eq!(config.head_dim(), 64);
}

#[test]
fn every_activation_that_is_one_of_the_three_is_taken() {
    let cases = [
        ("gelu", HiddenAct::Gelu),
        ("gelu_python", HiddenAct::Gelu),
        ("gelu_new", HiddenAct::GeluTanh),
        ("gelu_pytorch_tanh", HiddenAct::GeluTanh),
        ("gelu_python_tanh", HiddenAct::GeluTanh),
        ("gelu_accurate", HiddenAct::GeluTanh),
        ("gelu_fast", HiddenAct::GeluTanh),
        ("relu", HiddenAct::Relu),
    ];
    for (name, expected) in cases {
        let directory = written(|checkpoint| {
            checkpoint.config().insert("hidden_act".into(), json!(name));
        });
        let (config, _) = load(directory.path()).expect(name);
        assert_eq!(config.hidden_act, expected, "{name}");
    }
}

#[test]
fn gelu_fasts_ten_digits_are_the_same_f32_as_the_root_of_two_over_pi() {
    let digits = 0.797_884_560_8_f64 as f32;
    assert_eq!(
        digits.to_bits(),
        ((2.0 / std::f64::consts::PI).sqrt() as f32).to_bits()
    );
}

#[test]
fn keys_that_change_no_number_are_ignored() {
    let extra = [
        ("dtype", json!("bfloat16")),
        ("model_type", json!(null)),
        ("position_embedding_type", json!("absolute")),
        ("is_decoder", json!(false)),
        ("auto_map", json!({})),
        ("pad_token_id", json!(null)),
        ("id2label", json!({"0": "LABEL_0"})),
    ];
    for (key, value) in extra {
        let directory = written(|checkpoint| {
            checkpoint.config().insert(key.into(), value);
        });
        load(directory.path()).expect(key);
    }
}

#[test]
fn tensors_are_found_under_any_prefix_and_in_both_spellings() {
    for prefix in ["", "bert.", "0.auto_model.", "module.bert.", "module."] {
        let directory = written(|checkpoint| {
            checkpoint.rename("bert.", prefix);
            checkpoint.rename("LayerNorm.weight", "LayerNorm.gamma");
            checkpoint.rename("LayerNorm.bias", "LayerNorm.beta");
        });
        let (_, tensors) = load(directory.path()).expect(prefix);
        let name = "encoder.layer.1.output.LayerNorm.weight";
        assert_eq!(tensors.get(name, &[4]).expect(prefix).shape(), [4]);
    }
}

#[test]
fn tensors_of_heads_and_position_ids_are_ignored() {
    let directory = written(|checkpoint| {
        for name in [
            "cls.predictions.bias",
            "classifier.weight",
            "qa_outputs.bias",
        ] {
            checkpoint.add(name, &[3]);
        }
        checkpoint.add("bert.embeddings.position_ids", &[1, 8]);
        checkpoint.tensor("position_ids").storage = Storage::I64;
    });
    load(directory.path()).expect("a checkpoint");
}

#[test]
fn a_checkpoint_without_pooler_is_taken_and_says_so() {
    let directory = written(|checkpoint| checkpoint.remove("pooler"));
    let (_, tensors) = load(directory.path()).expect("a checkpoint");
    let pooler = tensors
        .find("pooler.dense.weight", &[4, 4])
        .expect("no error");
    assert!(pooler.is_none());
    assert!(tensors.get("pooler.dense.bias", &[4]).is_err());
}

#[test]
fn half_precision_is_taken_beside_single() {
    let directory = written(|checkpoint| {
        checkpoint.tensor("word_embeddings.weight").storage = Storage::F16;
        checkpoint.tensor("position_embeddings.weight").storage = Storage::Bf16;
    });
    let (_, tensors) = load(directory.path()).expect("a checkpoint");
    let words = tensors
        .get("embeddings.word_embeddings.weight", &[5, 4])
        .expect("a tensor");
    assert_eq!((words.dtype(), words.bytes().len()), (Dtype::F16, 40));
    assert_eq!((words.to_f32().len(), words.as_f32()), (20, None));
}

#[test]
fn numbers_are_the_same_in_place_and_copied_aligned_or_not() {
    let checkpoint = Broken::smallest();
    let (header, data) = parts(&checkpoint.tensors);
    let header = serde_json::Value::Object(header).to_string();
    for padding in 0..8 {
        let directory = directory();
        checkpoint.write_config(directory.path());
        let header = format!("{header}{}", " ".repeat(padding));
        let file = assemble(&header, &data);
        std::fs::write(directory.path().join("model.safetensors"), file).expect("written");
        let (_, tensors) = load(directory.path()).expect("a checkpoint");
        let view = tensors
            .get("embeddings.word_embeddings.weight", &[5, 4])
            .expect("a tensor");
        assert_eq!(view.as_f32().is_some(), header.len() % 4 == 0);
        let expected: Vec<u8> = view.to_f32().iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(view.bytes(), expected);
        assert_eq!(view.bytes(), &data[..80]);
    }
}

#[test]
fn of_more_layers_than_the_config_says_the_first_are_taken() {
    let directory = written(Broken::add_layer);
    let (config, tensors) = load(directory.path()).expect("a checkpoint");
    assert_eq!(tensors.unused_layers(&config), 1);
    let last = "encoder.layer.1.output.dense.bias";
    assert!(tensors.get(last, &[4]).is_ok());
}
