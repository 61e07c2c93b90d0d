//! Standard input and output that are closed or full, whatever is printed there.

use super::Place;
use super::output::shell;

#[track_caller]
fn assert_ends(place: &Place, script: &str, code: i32, words: &str) {
    let (found, stdout, stderr) = shell(place, script);
    assert_eq!(
        (found, stdout.as_str(), stderr.as_str()),
        (code, "", words),
        "{script}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_output_error_whatever_is_printed() {
    let place = Place::new();
    let words = "error: could not write standard output: no space left on device\n";
    for options in [
        "--help",
        "-h",
        "--version",
        "--man",
        "--completions bash",
        "-m model --dry-run she",
    ] {
        assert_ends(&place, &format!("\"$0\" {options} > /dev/full"), 7, words);
    }
}

#[test]
fn a_closed_standard_output_is_an_output_error() {
    let place = Place::new();
    let words = "error: could not write standard output: it is closed\n";
    for options in [
        "--help",
        "--version",
        "--man",
        "-m model --dry-run she",
        "-m model --info",
        "-m model --info --format json",
        "-m model --self-test",
        "she",
        "-o - she",
        "--preview she",
        "--format json she",
    ] {
        assert_ends(&place, &format!("\"$0\" {options} >&-"), 7, words);
    }
    // It is not needed.
    assert_ends(&place, "\"$0\" \"$@\" -o out she >&-", 0, "");
}

#[test]
fn a_closed_standard_input_is_an_input_error() {
    let place = Place::new();
    let words = "error: could not read standard input: it is closed\n";
    for options in [
        "-f -",
        "",
        "--dry-run -f -",
        "-0 -f -",
        "--input-format jsonl -f -",
        "--input-format csv --text-column text -f -",
        "-o out -f -",
    ] {
        assert_ends(&place, &format!("\"$0\" \"$@\" {options} <&-"), 3, words);
    }
    assert_ends(&place, "\"$0\" \"$@\" -o out she <&-", 0, "");
}

#[test]
fn dev_null_is_not_a_closed_stream() {
    let place = Place::new();
    for options in [
        "--help > /dev/null",
        "she > /dev/null",
        "she <> /dev/null >&0",
    ] {
        assert_ends(&place, &format!("\"$0\" \"$@\" {options}"), 0, "");
    }
    assert_ends(&place, "\"$0\" \"$@\" -f - < /dev/null", 0, "");
}
