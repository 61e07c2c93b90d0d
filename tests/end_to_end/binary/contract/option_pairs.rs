//! No option is without effect: with any other option it changes the output, or the run is refused.

use std::fs;

use super::Place;

/// Options that change the records, each with a value that the checkpoint `tiny` and the texts
/// below respond to.
const OPTIONS: &[&[&str]] = &[
    &["--fields", "attentions"],
    &["--fields", "hidden_states"],
    &["--fields", "pooler_output"],
    &["--layers", "-2"],
    &["--layers", "1-2"],
    &["--layer-merge", "mean"],
    &["--layer-merge", "concat"],
    &["--pooling", "cls"],
    &["--pooling", "mean"],
    &["--pooling", "pooler"],
    &["--word-pooling", "mean"],
    &["--truncate-dim", "5"],
    &["--normalize"],
    &["--prompt", "river: "],
    &["--max-length", "6"],
    &["--on-long", "window"],
    &["--stride", "3"],
    &["--padding", "max-length"],
    &["--float", "f16", "--format", "safetensors"],
    &["--format", "npy"],
];

/// What some options need to have any effect; tried in order until a pair is not refused.
const BASES: [&[&str]; 4] = [
    &[],
    &["--pooling", "mean", "--fields", "embedding"],
    &["--layers", "0-2"],
    &["--on-long", "window"],
];

/// Padding adds rows, and these outputs have none. It is not refused, so that a script may always
/// pad.
const WITHOUT_ROWS: [&str; 4] = ["--truncate-dim", "--normalize", "npy", "pooler_output"];

/// The stride has no effect on these: the pooler takes the first window, and windows of attentions
/// are errors.
const WITHOUT_STRIDE: [&str; 2] = ["pooler_output", "attentions"];

/// Whether `option` is expected to have no effect next to `other`.
fn is_exception(option: &[&str], other: &[&str]) -> bool {
    let exceptions: &[&str] = match option[0] {
        "--padding" => &WITHOUT_ROWS,
        "--stride" => &WITHOUT_STRIDE,
        _ => &[],
    };
    other.iter().any(|word| exceptions.contains(word))
}

/// The bytes of a run; `None` if it is refused.
#[track_caller]
fn output(place: &Place, options: &[&str]) -> Option<Vec<u8>> {
    let path = place.path().join("out");
    let long = "the old clock in the river town works, and the bridge does not; ".repeat(3);
    let mut all = [options, &["-q", "-o", "out", &long, "snow"]].concat();
    if !options.contains(&"--max-length") {
        all.extend(["--max-length", "20"]);
    }
    if !options.contains(&"--format") {
        all.extend(["--format", "jsonl"]);
    }
    let (code, _, stderr) = place.run(&all);
    match code {
        // Windows of attentions are records with an error.
        0 | 9 => Some(fs::read(&path).expect("the output")),
        // And npy has no place for one.
        2 | 3 => None,
        _ => panic!("{all:?}: {code} {stderr}"),
    }
}

#[test]
fn every_pair_of_options_has_the_effect_of_both_or_is_refused() {
    let place = Place::new();
    let alone = BASES.map(|base| {
        let options = OPTIONS.iter();
        let outputs = options.map(|option| output(&place, &[base, option].concat()));
        outputs.collect::<Vec<_>>()
    });
    let mut failures = Vec::new();
    for (i, one) in OPTIONS.iter().enumerate() {
        assert!(alone.iter().any(|base| base[i].is_some()), "{one:?}");
        for (j, other) in OPTIONS.iter().enumerate().skip(i + 1) {
            let tried = BASES.iter().zip(&alone).find_map(|(base, alone)| {
                let both = output(&place, &[base, *one, *other].concat())?;
                Some((base, alone, both))
            });
            let Some((base, alone, both)) = tried else {
                continue;
            };
            for (without, option, kept) in [(i, other, one), (j, one, other)] {
                if alone[without].as_ref() == Some(&both) && !is_exception(option, kept) {
                    failures.push(format!(
                        "{base:?} {one:?} {other:?}: no effect of {option:?}"
                    ));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
