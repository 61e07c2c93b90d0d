//! `--dtype`: the values of checkpoints that were saved in this type, which `fidelity/mod.rs`
//! compares with transformers.

use super::Place;

const TEXTS: &str = "she works in the winter\n\nunaffable\nit is 42 degrees in the bridge\n";

fn records(place: &Place, options: &[&str]) -> String {
    let fields = [
        "--fields",
        "input_ids,last_hidden_state,pooler_output",
        "--layers",
        "0,1",
    ];
    let (code, stdout, stderr) =
        place.run_with_input(&[&fields, options].concat(), TEXTS.as_bytes());
    assert_eq!((code, stderr.as_str()), (0, ""), "{options:?}");
    stdout
}

#[test]
fn rounded_weights_give_the_records_of_a_checkpoint_that_was_saved_so() {
    let single = Place::new();
    let exact = records(&single, &[]);
    assert!(
        records(&single, &["--dtype", "f32"]) == exact,
        "f32 is the default"
    );
    for dtype in ["f16", "bf16"] {
        let rounded = records(&single, &["--dtype", dtype]);
        assert!(rounded != exact, "{dtype} rounds");
        let saved = Place::with(&format!("tiny-{dtype}"));
        assert!(rounded == records(&saved, &[]), "{dtype} is not as saved");
        assert!(
            rounded == records(&saved, &["--dtype", dtype]),
            "{dtype} twice"
        );
    }
}

#[test]
fn integers_do_not_depend_on_batches_or_threads() {
    let place = Place::new();
    let exact = records(&place, &[]);
    let mut seen = vec![exact];
    for dtype in ["int16", "int8"] {
        let of = |options: &[&str]| records(&place, &[&["--dtype", dtype], options].concat());
        let all = of(&[]);
        assert!(all == of(&["--batch-tokens", "1"]), "{dtype}: batches");
        assert!(all == of(&["--threads", "1"]), "{dtype}: threads");
        assert!(!seen.contains(&all), "{dtype} rounds in a way of its own");
        seen.push(all);
    }
}

#[test]
fn integers_are_refused_on_a_gpu() {
    let place = Place::new();
    for (device, dtype) in [("cuda", "int16"), ("cuda", "int8"), ("candle-cpu", "int8")] {
        let (code, stdout, stderr) = place.run(&["--device", device, "--dtype", dtype, "she"]);
        assert_eq!((code, stdout.as_str()), (2, ""));
        assert_eq!(
            stderr,
            "error: --dtype int16 and int8 are for the CPU: a GPU does not compute in integers\n  \
             tip: use --device cpu, or --dtype f16\n"
        );
    }
}

#[test]
fn another_type_is_a_usage_error() {
    let place = Place::new();
    let (code, stdout, stderr) = place.run(&["--dtype", "f8", "she"]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(
        stderr.starts_with("error: invalid value 'f8' for '--dtype <DTYPE>'"),
        "{stderr}"
    );
}
