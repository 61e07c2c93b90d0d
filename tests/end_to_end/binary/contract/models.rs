//! Model directories as people have them: what is taken, with which note, and what `--info` says.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Place, json_lines};
use crate::support::checkpoint::{Checkpoint, edit_config};
use crate::support::pytorch_file::{twin, write_pytorch};

/// What the run prints for one text; it must end well and say `notes`.
#[track_caller]
fn printed(place: &Place, arguments: &[&str], notes: &str) -> String {
    let (code, stdout, stderr) = place.run(arguments);
    assert_eq!((code, stderr.as_str()), (0, notes), "{arguments:?}");
    stdout
}

/// A place whose `model` is what `write` makes.
fn place_with(write: impl FnOnce(&Path)) -> Place {
    let place = Place::empty();
    let model = place.path().join("model");
    fs::create_dir(&model).expect("created");
    write(&model);
    place
}

#[test]
fn a_pickle_gives_the_bytes_of_its_safetensors_twin_and_one_note() {
    let expected = place_with(|model| drop(twin().write(model)));
    let expected = printed(&expected, &["she"], "");
    let note = "note: the weights are a PyTorch pickle: one from before PyTorch 1.6 is copied at each \
                start, a model.safetensors is not\n";
    for form in ["zip", "legacy", "zip-f64", "zip-views", "sharded"] {
        let place = place_with(|model| write_pytorch(form, model));
        assert_eq!(printed(&place, &["she"], note), expected, "{form}");
        assert_eq!(printed(&place, &["-q", "she"], ""), expected, "{form}");
    }
}

#[test]
fn what_training_leaves_behind_is_ignored() {
    let place = Place::new();
    let expected = printed(&place, &["she"], "");
    for file in [
        "optimizer.pt",
        "scheduler.pt",
        "rng_state.pth",
        "training_args.bin",
        "trainer_state.json",
        "global_step100/mp_rank_00_model_states.pt",
        "latest",
    ] {
        let path = place.path().join("model").join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, "x").expect("written");
    }
    assert_eq!(printed(&place, &["she"], ""), expected);
}

#[test]
fn layers_beyond_those_of_the_config_are_left_out_with_a_warning() {
    let place = Place::new();
    let whole = place.record(&["--layers", "2", "--fields", "hidden_states", "she"]);
    edit_config(&place.path().join("model"), "num_hidden_layers", json!(2));
    let arguments = ["--fields", "last_hidden_state", "she"];
    let warning = "warning: `num_hidden_layers` is 2 in config.json: ignoring 1 more layer of \
                   the weights\n";
    let stdout = printed(&place, &arguments, warning);
    let cut = json_lines(&stdout).remove(0);
    assert_eq!(cut["last_hidden_state"], whole["hidden_states"][0]);
    assert_eq!(
        printed(&place, &["-q", arguments[0], arguments[1], "she"], ""),
        stdout
    );
}

#[test]
fn a_pair_for_a_model_of_one_segment_is_an_error_of_its_record() {
    let place = place_with(|model| {
        let mut checkpoint = Checkpoint::named("tiny");
        checkpoint.config["type_vocab_size"] = json!(1);
        checkpoint.write(model);
    });
    place.write(
        "texts.jsonl",
        "{\"text\":\"she\",\"text_pair\":\"is\"}\n{\"text\":\"she\"}\n",
    );
    let (code, stdout, stderr) = place.run(&["-f", "texts.jsonl"]);
    assert_eq!(code, 9, "{stderr}");
    let records = json_lines(&stdout);
    let message = records[0]["error"]["message"].as_str().expect("an error");
    assert!(message.contains("`type_vocab_size` is 1"), "{message}");
    assert_eq!(records[1]["index"], 1);
    assert!(records[1]["last_hidden_state"].is_array());
}

#[test]
fn a_text_with_a_token_beyond_the_embeddings_is_an_error_of_its_own() {
    let place = Place::new();
    // The checkpoint has 163 rows.
    let added = json!({"<e1>": 163, "<e2>": 164});
    let model = place.path().join("model");
    fs::write(model.join("added_tokens.json"), added.to_string()).expect("written");
    let (code, stdout, stderr) = place.run(&["she", "<e1> is <e2>", "is", "--fields", "index"]);
    let message = "its token `<e1>` has id 163, but there are only 163 word embeddings";
    let words = format!("warning: 1 of 3 texts are errors, the first: text 1: {message}\n");
    assert_eq!((code, stderr), (9, words));
    let expected = [
        json!({"index": 0, "dropped_tokens": 0}),
        json!({"index": 1, "error": {"kind": "input", "message": message}}),
        json!({"index": 2, "dropped_tokens": 0}),
    ];
    assert_eq!(json_lines(&stdout), expected);
    // In the half of a pair, and cut away.
    let (code, stdout, _) = place.run(&["--pair", "<e2>", "she"]);
    assert!(code == 9 && stdout.contains("`<e2>`"), "{stdout}");
    let cut = ["--max-length", "3", "she <e1>"];
    assert_eq!(place.run(&cut).0, 0);
    let (code, stdout, _) = place.run(&["--dry-run", "--format", "json", "she", "<e1>"]);
    assert!(code == 9 && stdout.contains("\"errors\":1"), "{stdout}");
}

#[test]
fn quantized_weights_are_refused_by_name() {
    let place = Place::new();
    let quantization = json!({"quant_method": "bitsandbytes", "load_in_8bit": true});
    edit_config(
        &place.path().join("model"),
        "quantization_config",
        quantization,
    );
    let (code, _, stderr) = place.run(&["she"]);
    assert_eq!(code, 4);
    assert!(stderr.contains("`quantization_config` is set"), "{stderr}");
}

#[test]
fn the_old_layout_of_sentence_transformers_is_taken() {
    let expected = printed(&Place::new(), &["she"], "");
    let place = place_with(|model| {
        let folder = model.join("0_Transformer");
        fs::create_dir(&folder).expect("created");
        Checkpoint::named("tiny").write(&folder);
        let modules = json!([
            {"idx": 0, "name": "0", "path": "0_Transformer",
             "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling",
             "type": "sentence_transformers.models.Pooling"},
        ]);
        fs::write(model.join("modules.json"), modules.to_string()).expect("written");
        // As the first releases wrote it.
        fs::write(model.join("config.json"), "{\"__version__\": \"0.2.0\"}").expect("written");
    });
    assert_eq!(printed(&place, &["she"], ""), expected);
    let info = json_lines(&printed(&place, &["--info", "--format", "json"], "")).remove(0);
    assert_eq!(info["modules"], json!(["Transformer", "Pooling"]));
}

#[test]
fn info_describes_the_model_and_reads_no_text() {
    let place = Place::new();
    let text = printed(&place, &["--info"], "");
    for line in [
        "model        model",
        "commit       none (a local directory)",
        "layers       3",
        "hidden size  36",
        "heads        3",
        "vocabulary   163 tokens",
        "type         bert",
        "longest text 131 tokens with the special ones",
        "letters      uncased",
        "dtype        F32",
        "pooler       yes",
        "modules      none",
        "to download  nothing",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no `{line}` in {text}"
        );
    }
    let size = fs::metadata(place.path().join("model/model.safetensors"))
        .expect("there")
        .len();
    let file = format!("file         model.safetensors, {size} bytes");
    assert!(text.lines().any(|found| found == file), "{text}");
    let info = json_lines(&printed(&place, &["--info", "--format", "json"], "")).remove(0);
    let expected = [
        ("model", json!("model")),
        ("commit", Value::Null),
        ("num_hidden_layers", json!(3)),
        ("hidden_size", json!(36)),
        ("num_attention_heads", json!(3)),
        ("vocab_size", json!(163)),
        ("model_type", json!("bert")),
        ("max_position_embeddings", json!(131)),
        ("max_tokens", json!(131)),
        ("is_cased", json!(false)),
        ("dtypes", json!(["F32"])),
        ("has_pooler", json!(true)),
        ("modules", json!([])),
        ("download", json!([])),
    ];
    for (key, value) in expected {
        assert_eq!(info[key], value, "{key}");
    }
}

#[test]
fn info_says_what_a_checkpoint_lacks_and_how_it_is_stored() {
    let place = Place::with("tiny-no-pooler");
    let model = place.path().join("model");
    let config = "{\"do_lower_case\": false, \"tokenizer_class\": \"BertTokenizer\"}";
    fs::write(model.join("tokenizer_config.json"), config).expect("written");
    let info = json_lines(&printed(&place, &["--info", "--format", "json"], "")).remove(0);
    assert_eq!(
        (&info["has_pooler"], &info["is_cased"]),
        (&json!(false), &json!(true))
    );
    let place = place_with(|model| write_pytorch("zip-f16", model));
    let info = json_lines(&printed(&place, &["--info", "--format", "json"], "")).remove(0);
    assert_eq!(info["dtypes"], json!(["F16"]));
    let (code, _, stderr) = place.run(&["--info", "--format", "npy"]);
    assert_eq!(code, 2, "{stderr}");
    let (code, _, stderr) = place.run(&["--info", "she"]);
    assert_eq!(code, 2, "{stderr}");
}

#[cfg(feature = "hub")]
#[test]
fn info_says_what_a_run_would_download_and_downloads_no_weights() {
    use crate::support::command::{bert_embed, run};
    use crate::support::loopback::{COMMIT, LoopbackHub, Size};

    let (files, place, hub) = (Place::new(), Place::empty(), LoopbackHub::empty());
    for file in ["config.json", "vocab.txt", "tokenizer_config.json"] {
        let content = fs::read(files.path().join("model").join(file)).expect("read");
        hub.add(file, &content, Size::Small);
    }
    hub.add("pytorch_model.bin", b"0123456789", Size::Large);
    let info = |more: &[&str]| {
        let mut command = bert_embed(place.path());
        command.env("HF_ENDPOINT", hub.endpoint());
        let (code, stdout, stderr) = run(command.args(["-m", "owner/name", "--info"]).args(more));
        assert_eq!((code, stderr.as_str()), (0, ""));
        stdout
    };
    let (online, offline) = (info(&[]), info(&["--offline"]));
    let commit = format!("commit       {COMMIT}");
    let dtype = "dtype        unknown until the weights are downloaded";
    let size = "to download  pytorch_model.bin, 10 bytes";
    let unknown = "to download  the weights (size unknown offline)";
    for (text, download) in [(&online, size), (&offline, unknown)] {
        for line in [commit.as_str(), dtype, download] {
            assert!(
                text.lines().any(|found| found == line),
                "no `{line}` in {text}"
            );
        }
    }
    let is_weights = |path: &str| path.ends_with("pytorch_model.bin");
    let mut requests = hub.requests().into_iter();
    assert!(!requests.any(|request| request.method == "GET" && is_weights(&request.path)));
}

#[cfg(feature = "hub")]
#[test]
fn while_the_modules_are_unknown_no_tip_leads_to_another_pooling() {
    use crate::support::command::{bert_embed, run};
    use crate::support::loopback::{LoopbackHub, Size};

    let (files, place, hub) = (Place::new(), Place::empty(), LoopbackHub::empty());
    for file in ["config.json", "vocab.txt"] {
        let content = fs::read(files.path().join("model").join(file)).expect("read");
        hub.add(file, &content, Size::Small);
    }
    let run = |arguments: &[&str]| {
        let mut command = bert_embed(place.path());
        command.env("HF_ENDPOINT", hub.endpoint());
        run(command.args(["-m", "owner/name"]).args(arguments))
    };
    let pooled = ["--dry-run", "--pooling", "model", "she"];
    let (code, _, stderr) = run(&pooled);
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("tip: use --pooling mean"), "{stderr}");
    let cache = place
        .path()
        .join(".cache/huggingface/hub/models--owner--name");
    fs::remove_dir_all(cache.join(".no_exist")).expect("the marks of missing files");
    let (code, _, stderr) = run(&[&pooled[..], &["--offline"]].concat());
    assert_eq!(code, 4, "{stderr}");
    assert!(
        stderr.contains("does not know whether model `owner/name` has"),
        "{stderr}"
    );
    assert!(
        stderr.contains("`modules.json`") && !stderr.contains("--pooling mean"),
        "{stderr}"
    );
    let (_, stdout, _) = run(&["--info", "--offline"]);
    assert!(
        stdout.contains("unknown      modules.json, not in the cache"),
        "{stdout}"
    );
    let (code, _, stderr) = run(&pooled);
    assert!(
        stderr.contains("tip: use --pooling mean"),
        "{code} {stderr}"
    );
}

#[cfg(feature = "hub")]
#[test]
fn a_mistyped_directory_is_told_from_a_hub_id() {
    use crate::support::command::{bert_embed, run};
    use crate::support::loopback::LoopbackHub;

    let (place, hub) = (Place::empty(), LoopbackHub::empty());
    fs::create_dir(place.path().join("models")).expect("a directory");
    for (model, tip) in [("models/brt", true), ("other/brt", false)] {
        let mut command = bert_embed(place.path());
        command.env("HF_ENDPOINT", hub.endpoint());
        let (code, _, stderr) = run(command.args(["-m", model, "she"]));
        assert_eq!(code, 6, "{stderr}");
        let words = "tip: if you mean a local directory: `models` has no `brt`";
        assert_eq!(stderr.contains(words), tip, "{stderr}");
    }
}
