//! `--pooling model`: the sentence vectors of sentence-transformers in float64
//! (tests/fixtures/sentences.py).

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::support::checkpoint::{Checkpoint, fixture};
use crate::support::command::{bert_embed, run};

/// The encoder may differ by 1e-5 on any value (tests/README.md); the sum of 128 rows by the root
/// of 128 and dense layers of norm 3 make at most 30 of it, measured is 2e-6.
const LIMIT: f64 = 2e-5;

#[derive(Deserialize)]
struct Goldens {
    texts: Vec<String>,
    layouts: Map<String, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    layout: String,
    prompt: Option<String>,
    truncate_dim: Option<usize>,
    normalize: bool,
    vectors: Vec<Vec<f64>>,
}

/// The tensors of a Dense layer as tests/fixtures/sentences.py has them: multiples of 1/64.
fn dense_weights(config: &Value) -> Vec<u8> {
    let size = |key: &str| config[key].as_i64().expect("a size");
    let (columns, rows) = (size("in_features"), size("out_features"));
    let mut tensors = vec![(
        "linear.weight",
        vec![rows, columns],
        (0..rows * columns)
            .map(|place| (place / columns * 7 + place % columns * 5) % 23 - 11)
            .collect::<Vec<_>>(),
    )];
    if config["bias"] == true {
        let bias = (0..rows).map(|row| row % 9 - 4).collect();
        tensors.push(("linear.bias", vec![rows], bias));
    }
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, shape, numbers) in tensors {
        let start = data.len();
        data.extend(
            numbers
                .iter()
                .flat_map(|&n| (n as f32 / 64.0).to_le_bytes()),
        );
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(name.to_owned(), entry);
    }
    crate::support::broken::assemble(&Value::Object(header).to_string(), &data)
}

/// Checkpoint tiny with the files of `layout` beside it.
fn write(directory: &Path, layout: &Value) {
    Checkpoint::named("tiny").write(directory);
    for (name, content) in layout.as_object().expect("files") {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
        fs::write(&path, content.to_string()).expect("it is written");
        if content.get("in_features").is_some() {
            let weights = path.with_file_name("model.safetensors");
            fs::write(weights, dense_weights(content)).expect("it is written");
        }
    }
}

#[test]
fn sentence_vectors_are_those_of_sentence_transformers() {
    let goldens: Goldens = serde_json::from_value(fixture("sentences.json")).expect("the goldens");
    let mut largest = 0.0_f64;
    for case in &goldens.cases {
        let place = tempfile::tempdir().expect("a temporary directory");
        write(place.path(), &goldens.layouts[&case.layout]);
        let mut command = bert_embed(place.path());
        command.args([
            "-m",
            ".",
            "--fields",
            "embedding",
            "--pooling",
            "model",
            "-q",
        ]);
        if let Some(prompt) = &case.prompt {
            command.args(["--prompt", prompt]);
        }
        if let Some(numbers) = case.truncate_dim {
            command.args(["--truncate-dim", &numbers.to_string()]);
        }
        if case.normalize {
            command.arg("--normalize");
        }
        let (code, stdout, stderr) = run(command.args(&goldens.texts));
        assert_eq!((code, stderr.as_str()), (0, ""), "{}", case.layout);
        assert_eq!(
            stdout.lines().count(),
            case.vectors.len(),
            "{}",
            case.layout
        );
        for (line, expected) in stdout.lines().zip(&case.vectors) {
            let record: Value = serde_json::from_str(line).expect("a record");
            let found: Vec<f64> =
                serde_json::from_value(record["embedding"].clone()).expect("a vector");
            assert_eq!(found.len(), expected.len(), "{}", case.layout);
            for (found, expected) in found.iter().zip(expected) {
                let error = (found - expected).abs();
                assert!(error <= LIMIT, "{}: {found} is not {expected}", case.layout);
                largest = largest.max(error);
            }
        }
    }
    eprintln!("{} cases, largest error {largest:.1e}", goldens.cases.len());
}

/// `error: …` of a model that cannot be pooled as it says.
fn refusal(layout: &Value, options: &[&str]) -> String {
    let place = tempfile::tempdir().expect("a temporary directory");
    write(place.path(), layout);
    let mut command = bert_embed(place.path());
    command
        .args(["-m", ".", "--pooling", "model", "snow"])
        .args(options);
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!((code, stdout.as_str()), (4, ""), "{stderr}");
    stderr
}

#[test]
fn a_prompt_that_can_only_be_a_name_must_be_known() {
    let goldens: Goldens = serde_json::from_value(fixture("sentences.json")).expect("the goldens");
    let place = tempfile::tempdir().expect("a temporary directory");
    write(place.path(), &goldens.layouts["prompts"]);
    let ids = |prompt: &[&str]| {
        let mut command = bert_embed(place.path());
        command.args(["-m", ".", "--fields", "input_ids", "snow"]);
        run(command.args(prompt))
    };
    let (code, _, stderr) = ids(&["--prompt", "qeury"]);
    let words = "error: the model has no prompt `qeury`: it has empty, query\n  \
                 tip: as text, end it with a space: --prompt 'qeury '\n";
    assert_eq!((code, stderr.as_str()), (2, words));
    // sentence-transformers knows it as an empty prompt in every model.
    assert_eq!(ids(&["--prompt", "document"]), ids(&[]));
    assert_eq!(ids(&["--prompt", "river "]).0, 0);
}

#[test]
fn modules_that_are_not_known_are_refused_by_name() {
    let goldens: Goldens = serde_json::from_value(fixture("sentences.json")).expect("the goldens");
    let layout = |edit: &dyn Fn(&mut Value)| {
        let mut layout = goldens.layouts["dense tanh"].clone();
        edit(&mut layout);
        layout
    };
    let cases: [(&str, Value); 6] = [
        (
            "CNN",
            layout(&|it| it["modules.json"][2]["type"] = "sentence_transformers.models.CNN".into()),
        ),
        (
            "custom.Head",
            layout(&|it| it["modules.json"][2]["type"] = "custom.Head".into()),
        ),
        (
            "../up",
            layout(&|it| it["modules.json"][2]["path"] = "../up".into()),
        ),
        (
            "takes 7 features, but gets 36",
            layout(&|it| it["2_Dense/config.json"]["in_features"] = 7.into()),
        ),
        (
            "torch.nn.modules.activation.Softmax",
            layout(&|it| {
                it["2_Dense/config.json"]["activation_function"] =
                    "torch.nn.modules.activation.Softmax".into();
            }),
        ),
        (
            "median",
            layout(&|it| it["1_Pooling/config.json"] = json!({"pooling_mode": "median"})),
        ),
    ];
    for (word, layout) in cases {
        let stderr = refusal(&layout, &[]);
        assert!(stderr.starts_with("error: could not "), "{stderr}");
        assert!(stderr.contains(word), "{word}: {stderr}");
    }
    let stderr = refusal(&json!({}), &[]);
    assert!(stderr.contains("there is no `modules.json`"), "{stderr}");
    assert!(stderr.contains("  tip: use --pooling mean"), "{stderr}");
}

/// A run with `--pooling model` after `damage` to a model with Dense and Normalize.
fn damaged(damage: impl FnOnce(&Path)) -> (i32, String, String) {
    let goldens: Goldens = serde_json::from_value(fixture("sentences.json")).expect("the goldens");
    let place = tempfile::tempdir().expect("a temporary directory");
    write(place.path(), &goldens.layouts["two dense"]);
    damage(place.path());
    let mut command = bert_embed(place.path());
    let options = ["--fields", "embedding", "--pooling", "model", "snow"];
    run(command.args(["-m", "."]).args(options))
}

/// Makes `value` the last number of `file`, whatever its tensor.
fn end_with(file: &Path, value: f32) {
    let mut content = fs::read(file).expect("the weights");
    let last = content.len() - size_of::<f32>();
    content.truncate(last);
    content.extend(value.to_le_bytes());
    fs::write(file, content).expect("written");
}

#[test]
fn a_dense_layer_that_is_not_finite_is_refused_and_one_that_overflows_is_an_error_record() {
    for value in [f32::NAN, f32::INFINITY] {
        let (code, _, stderr) =
            damaged(|model| end_with(&model.join("2_Dense/model.safetensors"), value));
        assert_eq!(code, 4, "{stderr}");
        assert!(
            stderr.contains("`linear.weight` of `2_Dense` has values that are not finite"),
            "{stderr}"
        );
    }
    // The next layer, a ReLU, would make 0 of minus infinity.
    let (code, stdout, stderr) = damaged(|model| {
        let file = model.join("2_Dense/model.safetensors");
        let mut content = fs::read(&file).expect("the weights");
        let weights = content.len() - 50 * 72 * size_of::<f32>();
        for weight in content[weights..].chunks_exact_mut(size_of::<f32>()) {
            weight.copy_from_slice(&3e38_f32.to_le_bytes());
        }
        fs::write(&file, content).expect("written");
    });
    assert_eq!(code, 9, "{stderr}");
    assert!(stdout.contains("`embedding` is not finite"), "{stdout}");
}

#[test]
fn lengths_of_the_models_files_that_hold_no_text_are_refused() {
    for length in [0, 1, 2] {
        let (code, _, stderr) = damaged(|model| {
            let config = json!({"max_seq_length": length}).to_string();
            fs::write(model.join("sentence_bert_config.json"), config).expect("written");
        });
        assert_eq!(code, 4, "{stderr}");
        assert!(
            stderr.contains("no text fits between `[CLS]` and `[SEP]`"),
            "{stderr}"
        );
    }
    let (code, _, stderr) = damaged(|model| {
        let config = json!({"truncate_dim": 0}).to_string();
        fs::write(model.join("config_sentence_transformers.json"), config).expect("written");
    });
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("`truncate_dim` is 0"), "{stderr}");
}
