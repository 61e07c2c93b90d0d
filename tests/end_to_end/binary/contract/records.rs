//! The JSON: keys, order, shapes, and every derived vector against arithmetic done here.

use serde_json::{Value, json};

use super::{Place, floats, rows};

const TEXT: &str = "she works in the winter house";

/// Sums in f64 against sums in f64, rounded once each: nothing but the last bit may differ.
const LAST_BIT: f32 = 2.0 * f32::EPSILON;

#[track_caller]
fn assert_near(ours: &[f32], expected: &[f64]) {
    assert_eq!(ours.len(), expected.len());
    for (&ours, &expected) in ours.iter().zip(expected) {
        let allowed = LAST_BIT * (expected.abs() as f32).max(f32::MIN_POSITIVE);
        assert!(
            (ours - expected as f32).abs() <= allowed,
            "{ours}, not {expected}"
        );
    }
}

/// The mean of rows of the same width.
fn mean(rows: &[Vec<f32>]) -> Vec<f64> {
    let column = |place: usize| rows.iter().map(|row| f64::from(row[place])).sum::<f64>();
    (0..rows[0].len())
        .map(|place| column(place) / rows.len() as f64)
        .collect()
}

/// The keys in the order in which they are printed.
fn keys(line: &str) -> Vec<String> {
    // serde_json's map sorts; the text itself does not.
    let value: Value = serde_json::from_str(line).expect("JSON");
    let mut keys: Vec<_> = value
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    keys.sort_by_key(|key| line.find(&format!("\"{key}\":")));
    keys
}

#[test]
fn the_default_record_has_these_keys_in_this_order() {
    let place = Place::new();
    let (code, stdout, stderr) = place.run(&["she is"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let start = r#"{"index":0,"tokens":["[CLS]","she","is","[SEP]"],"input_ids":[2,56,57,3],"token_type_ids":[0,0,0,0],"attention_mask":[1,1,1,1],"last_hidden_state":[["#;
    assert!(stdout.starts_with(start), "{stdout:.300}");
    assert!(stdout.ends_with("],\"dropped_tokens\":0}\n"));
    let expected = [
        "index",
        "tokens",
        "input_ids",
        "token_type_ids",
        "attention_mask",
        "last_hidden_state",
        "pooler_output",
        "dropped_tokens",
    ];
    assert_eq!(keys(&stdout), expected);
    let record: Value = serde_json::from_str(&stdout).expect("one document");
    let shape: Vec<_> = rows(&record["last_hidden_state"])
        .iter()
        .map(Vec::len)
        .collect();
    assert_eq!(shape, [36; 4]);
    assert_eq!(floats(&record["pooler_output"]).len(), 36);
}

#[test]
fn a_record_holds_the_fields_asked_for_in_the_contracts_order_and_dropped_tokens() {
    let place = Place::new();
    let fields = [
        "index",
        "text",
        "tokens",
        "input_ids",
        "token_type_ids",
        "attention_mask",
        "special_tokens_mask",
        "offset_mapping",
        "word_ids",
        "last_hidden_state",
        "pooler_output",
        "hidden_states",
    ];
    for field in fields {
        let (code, stdout, stderr) = place.run(&["--fields", field, "she"]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{field}");
        assert_eq!(keys(&stdout), [field, "dropped_tokens"]);
    }
    let backwards: Vec<_> = fields.iter().rev().copied().collect();
    let (_, stdout, _) = place.run(&["--fields", &backwards.join(","), "she"]);
    assert_eq!(keys(&stdout), [&fields[..], &["dropped_tokens"]].concat());
    let arguments = [
        "--fields",
        "special_tokens_mask,offset_mapping,word_ids",
        "--pair",
        "is é",
        "she works",
    ];
    let expected = json!({
        "special_tokens_mask": [1, 0, 0, 1, 0, 0, 1],
        "offset_mapping": [[0, 0], [0, 3], [4, 9], [0, 0], [0, 2], [3, 4], [0, 0]],
        "word_ids": [null, 0, 1, null, 0, 1, null], "dropped_tokens": 0
    });
    assert_eq!(place.record(&arguments), expected);
}

#[test]
fn layers_are_numbered_from_both_ends_and_the_last_is_last_hidden_state() {
    let place = Place::new();
    let record = place.record(&["--layers", "-1,0,2,3,-4", TEXT]);
    let layers = &record["hidden_states"];
    assert_eq!(layers.as_array().expect("a list of layers").len(), 5);
    assert_eq!(layers[0], record["last_hidden_state"]);
    assert_eq!(layers[3], record["last_hidden_state"]);
    assert_eq!(layers[1], layers[4]);
    assert_ne!(layers[1], layers[2]);
    let all = place.record(&["--fields", "hidden_states", TEXT]);
    assert_eq!(
        all["hidden_states"]
            .as_array()
            .expect("a list of layers")
            .len(),
        4
    );
    assert_eq!(all["hidden_states"][2], layers[2]);
}

#[test]
fn merged_layers_are_what_the_layers_taken_apart_make() {
    let place = Place::new();
    let merged = |how: &str| {
        let record = place.record(&[
            "--fields",
            "index",
            "--layers",
            "1,-1,0",
            "--layer-merge",
            how,
            TEXT,
        ]);
        record["hidden_states"].clone()
    };
    let apart = merged("none");
    let layers: Vec<_> = (0..3).map(|layer| rows(&apart[layer])).collect();
    let (means, sums, joined) = (
        rows(&merged("mean")),
        rows(&merged("sum")),
        rows(&merged("concat")),
    );
    assert_eq!(
        [means.len(), sums.len(), joined.len()],
        [layers[0].len(); 3]
    );
    for token in 0..layers[0].len() {
        let of_token: Vec<_> = layers.iter().map(|layer| layer[token].clone()).collect();
        assert_eq!(joined[token], of_token.concat());
        assert_near(&means[token], &mean(&of_token));
        let sum: Vec<_> = mean(&of_token).iter().map(|mean| mean * 3.0).collect();
        assert_near(&sums[token], &sum);
    }
}

#[test]
fn an_embedding_is_pooled_from_the_real_tokens() {
    let place = Place::new();
    for padding in ["none", "max-length"] {
        let record = |how: &str, more: &[&str]| {
            let options = [
                "--padding",
                padding,
                "--max-length",
                "20",
                "--pooling",
                how,
                TEXT,
            ];
            place.record(&[&options, more].concat())
        };
        let cls = record("cls", &[]);
        let real = cls["attention_mask"]
            .as_array()
            .expect("a mask")
            .iter()
            .filter(|&bit| bit == 1)
            .count();
        let all = rows(&cls["last_hidden_state"]);
        let real = &all[..real];
        let embedding = |how: &str, more: &[&str]| floats(&record(how, more)["embedding"]);
        assert_eq!(floats(&cls["embedding"]), real[0]);
        assert_eq!(embedding("pooler", &[]), floats(&cls["pooler_output"]));
        assert_near(&embedding("mean", &[]), &mean(real));
        let largest = |place: usize| real.iter().map(|row| row[place]).fold(f32::MIN, f32::max);
        assert_eq!(
            embedding("max", &[]),
            (0..36).map(largest).collect::<Vec<_>>()
        );
        for how in ["cls", "mean", "max", "pooler"] {
            let raw = embedding(how, &[]);
            let norm = raw
                .iter()
                .map(|&value| f64::from(value).powi(2))
                .sum::<f64>()
                .sqrt();
            let expected: Vec<_> = raw.iter().map(|&value| f64::from(value) / norm).collect();
            assert_near(&embedding(how, &["--normalize"]), &expected);
        }
    }
}

#[test]
fn an_embedding_needs_no_other_field() {
    let place = Place::new();
    for how in ["mean", "cls", "max", "pooler"] {
        let whole = place.record(&["--pooling", how, TEXT]);
        let alone = place.record(&["--fields", "embedding", "--pooling", how, TEXT]);
        assert_eq!(alone.as_object().expect("an object").len(), 2, "{how}");
        assert!(how != "mean" || alone["embedding"] == whole["embedding"]);
    }
}

#[test]
fn without_a_pooler_pooler_output_is_null_and_that_is_told_once() {
    let place = Place::with("tiny-no-pooler");
    let (code, stdout, stderr) = place.run(&["she", "is"]);
    let warning = "warning: the checkpoint has no pooler: pooler_output is null\n";
    assert_eq!((code, stderr.as_str()), (0, warning));
    for record in super::json_lines(&stdout) {
        assert_eq!(record.get("pooler_output"), Some(&Value::Null));
    }
    assert_eq!(place.run(&["-q", "she"]).2, "");
    assert_eq!(place.run(&["--fields", "index", "she"]).2, "");
    place.assert_refused(
        &["--pooling", "pooler", "she"],
        4,
        "error: could not pool with `pooler`: the checkpoint has no pooler\n  tip: use --pooling cls or --pooling mean\n",
    );
}

#[test]
fn the_document_has_batch_tensors_padded_to_the_longest() {
    let place = Place::new();
    let texts = ["she", TEXT, "", "is it"];
    let (code, stdout, stderr) = place.run(&[&["--format", "json"], &texts[..]].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout.starts_with(r#"{"model":"model","revision":null,"index":[0,1,2,3],"#),
        "{stdout:.100}"
    );
    let document: Value = serde_json::from_str(&stdout).expect("one document");
    let padded = place.records(&[&["--padding", "longest"], &texts[..]].concat());
    let longest = padded[1]["input_ids"].as_array().expect("a list").len();
    for field in [
        "tokens",
        "input_ids",
        "token_type_ids",
        "attention_mask",
        "last_hidden_state",
        "pooler_output",
    ] {
        let batch = document[field].as_array().expect("a batch");
        assert_eq!(batch.len(), 4);
        for (row, record) in batch.iter().zip(&padded) {
            assert_eq!(row, &record[field], "{field}");
            assert!(field == "pooler_output" || row.as_array().expect("a list").len() == longest);
        }
    }
}

#[test]
fn a_document_tells_its_bad_records_apart() {
    let place = Place::new();
    let input = b"she\n\xff\nis\n";
    let (code, stdout, _) =
        place.run_with_input(&["--format", "json", "--fields", "index,text"], input);
    let expected = json!({
        "model": "model", "revision": null, "index": [0, 2], "text": ["she", "is"], "dropped_tokens": [0, 0],
        "errors": [{"index": 1, "error": {"kind": "input", "message": "could not read line 2 of `standard input`: it is not UTF-8 at byte 1", "line": 2}}]
    });
    let document: Value = serde_json::from_str(&stdout).expect("one document");
    assert_eq!((code, document), (9, expected));
}

/// Every number of the text between the brackets of `field`, as printed.
fn printed<'a>(line: &'a str, field: &str) -> Vec<&'a str> {
    let start = line.find(&format!("\"{field}\":")).expect("the field") + field.len() + 3;
    let end = line[start..]
        .find(",\"")
        .map_or(line.len(), |end| start + end);
    let parts = line[start..end].split(['[', ']', ',']);
    parts.filter(|part| !part.is_empty()).collect()
}

#[test]
fn every_printed_number_is_the_shortest_that_reads_back_to_the_same_bits() {
    let place = Place::new();
    let (_, stdout, _) = place.run(&[TEXT, "中国 é", ""]);
    let mut count = 0;
    for line in stdout.lines() {
        for field in ["last_hidden_state", "pooler_output"] {
            for text in printed(line, field) {
                let number: f32 = text.parse().expect("a number");
                let shortest: f32 = format!("{number:?}").parse().expect("a number");
                assert_eq!(shortest.to_bits(), number.to_bits());
                let digits = |text: &str| {
                    text.trim_start_matches(['-', '0', '.'])
                        .bytes()
                        .take_while(|byte| *byte != b'e')
                        .filter(u8::is_ascii_digit)
                        .count()
                };
                assert_eq!(
                    digits(text),
                    digits(&format!("{number:?}")),
                    "{text} is {number:?}"
                );
                count += 1;
            }
        }
    }
    assert!(count > 36 * 10);
}

#[test]
fn what_did_not_fit_is_told_in_the_record_and_at_the_end() {
    let place = Place::new();
    let arguments = [
        "--fields",
        "index,input_ids",
        "--max-length",
        "4",
        "she is the",
        "she",
        "she is in it",
        "",
    ];
    let (code, stdout, stderr) = place.run(&arguments);
    let summary = "warning: texts longer than 4 tokens: 2 of 4, tokens dropped: 3\n";
    assert_eq!((code, stderr.as_str()), (0, summary));
    let dropped: Vec<_> = super::json_lines(&stdout)
        .iter()
        .map(|record| record["dropped_tokens"].clone())
        .collect();
    assert_eq!(dropped, [1, 0, 2, 0]);
    let (code, same, stderr) = place.run(&[&["-q"], &arguments[..]].concat());
    assert_eq!((code, same, stderr.as_str()), (0, stdout, ""));
    let (code, stdout, stderr) = place.run(&[&["--on-long", "error"], &arguments[..]].concat());
    let summary = "warning: 2 of 4 texts are errors, the first: text 0: the text has 5 tokens: at most 4 are allowed\n";
    assert_eq!((code, stderr.as_str()), (9, summary));
    let records = super::json_lines(&stdout);
    let told = json!({"kind": "input", "message": "the text has 5 tokens: at most 4 are allowed"});
    assert_eq!(records[0], json!({"index": 0, "error": told}));
    assert_eq!(records[1]["input_ids"], json!([2, 56, 3]));
}
