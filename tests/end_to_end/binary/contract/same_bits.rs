//! A text's record depends on the text alone: not on its neighbours, batches, threads or padding.

use super::{Place, as_lines, json_lines, rows};

/// Sixty texts of 0 to 130 tokens and more, from a fixed rule.
fn mixed() -> Vec<String> {
    const WORDS: [&str; 12] = [
        "she",
        "works",
        "winter",
        "unaffable",
        "中国",
        "é",
        "42",
        "bridge!",
        "it",
        "zzz",
        "(a-b)",
        "learning",
    ];
    let text = |number: usize| {
        let words = (number * number * 7) % 67 * usize::from(!number.is_multiple_of(9));
        let word = |place: usize| WORDS[(number * 5 + place * place + place) % WORDS.len()];
        (0..words).map(word).collect::<Vec<_>>().join(" ")
    };
    (0..60).map(text).collect()
}

/// The record lines without their index.
fn lines(place: &Place, texts: &[String], options: &[&str]) -> Vec<String> {
    let input = as_lines(texts);
    let fields = [
        "-q",
        "--fields",
        "text,input_ids,last_hidden_state,pooler_output,embedding",
        "--pooling",
        "mean",
        "--layers",
        "1",
    ];
    let (code, stdout, stderr) =
        place.run_with_input(&[&fields, options].concat(), input.as_bytes());
    assert_eq!((code, stderr.as_str()), (0, ""), "{options:?}");
    let lines: Vec<_> = stdout.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), texts.len());
    lines
}

#[test]
fn a_record_is_the_same_to_the_byte_alone_and_in_company() {
    let place = Place::new();
    let texts = mixed();
    let together = lines(&place, &texts, &[]);
    for (text, line) in texts.iter().zip(&together) {
        assert_eq!(
            &lines(&place, std::slice::from_ref(text), &[])[0],
            line,
            "{text}"
        );
    }
    let backwards: Vec<_> = texts.iter().rev().cloned().collect();
    let mut turned = lines(&place, &backwards, &[]);
    turned.reverse();
    assert!(turned == together, "another order gives other records");
}

#[test]
fn batches_and_threads_change_no_byte() {
    let place = Place::new();
    let texts = mixed();
    let together = lines(&place, &texts, &[]);
    for tokens in ["1", "64", "100000"] {
        for threads in ["1", "2", "3"] {
            let options = ["--batch-tokens", tokens, "--threads", threads];
            assert!(lines(&place, &texts, &options) == together, "{options:?}");
        }
    }
}

#[test]
fn padding_changes_no_bit_of_the_real_rows() {
    let place = Place::new();
    let texts = mixed();
    let plain = json_lines(&(lines(&place, &texts, &[]).join("\n") + "\n"));
    for padding in ["longest", "max-length"] {
        let padded =
            json_lines(&(lines(&place, &texts, &["--padding", padding]).join("\n") + "\n"));
        for (plain, padded) in plain.iter().zip(&padded) {
            let (real, all) = (
                rows(&plain["last_hidden_state"]),
                rows(&padded["last_hidden_state"]),
            );
            assert_eq!(real, all[..real.len()], "{padding}");
            for field in ["pooler_output", "embedding"] {
                assert_eq!(plain[field], padded[field], "{padding} {field}");
            }
        }
    }
}
