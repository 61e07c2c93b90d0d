//! What the input may be instead of lines of text: read as what it is, or refused by its name.

use std::fs;

use serde_json::json;

use super::{Place, json_lines};
use crate::support::checkpoint::fixtures;

/// The lines of the compressed fixtures.
const LINES: [&str; 4] = ["she is", "the old city", "", "is she"];

fn texts(stdout: &str) -> Vec<String> {
    let text = |record: &serde_json::Value| record["text"].as_str().unwrap_or("?").to_owned();
    json_lines(stdout).iter().map(text).collect()
}

#[test]
fn a_compressed_file_is_read_as_what_it_holds_whatever_its_name() {
    let place = Place::new();
    for ending in ["gz", "zst"] {
        let bytes = fs::read(fixtures().join(format!("tables/lines.txt.{ending}"))).expect("read");
        place.write("plain", &bytes);
        let (code, stdout, stderr) = place.run(&["-f", "plain", "--fields", "text"]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{ending}");
        assert_eq!(texts(&stdout), LINES, "{ending}");
        let (code, stdout, _) = place.run_with_input(&["--fields", "text"], &bytes);
        assert_eq!(
            (code, texts(&stdout)),
            (0, LINES.map(str::to_owned).to_vec())
        );
        if ending == "gz" {
            place.write("padded", [&bytes[..], &[0; 1000], &bytes].concat());
            let (code, stdout, _) = place.run(&["-f", "padded", "--fields", "text"]);
            let twice = [LINES, LINES].concat();
            assert_eq!(code, 0);
            assert_eq!(texts(&stdout), twice);
            place.write("padded", [&bytes[..], &vec![0; 300_000]].concat());
        } else {
            // A skippable frame of three bytes.
            place.write(
                "padded",
                [b"\x50\x2a\x4d\x18\x03\0\0\0abc", &bytes[..]].concat(),
            );
        }
        let (code, stdout, stderr) = place.run(&["-f", "padded", "--fields", "text"]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{ending}");
        assert_eq!(texts(&stdout), LINES, "{ending}");
        place.write("cut", &bytes[..bytes.len() - 5]);
        let (code, _, stderr) = place.run(&["-f", "cut", "--fields", "text"]);
        assert_eq!(code, 3, "{stderr}");
        assert!(
            stderr.starts_with("error: could not read `cut`: "),
            "{stderr}"
        );
    }
}

#[test]
fn a_file_without_text_is_one_error_before_the_model_is_looked_for() {
    let place = Place::empty();
    let utf_16 =
        |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let cases: [(&[u8], &str); 6] = [
        (
            &utf_16("\u{feff}she is\nold\n"),
            "it is UTF-16, not text\n  tip: iconv -f UTF-16 -t UTF-8 in | bert-embed …\n",
        ),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            "it is a PNG image, not text\n",
        ),
        (
            b"PAR1\x15\x04",
            "it is a parquet file, not text\n  tip: --input-format parquet\n",
        ),
        (b"a\0\x01\xff\n\n\n", "it is binary, not text\n"),
        (
            b"\xfd7zXZ\0\0\x04",
            "it is an xz file, not text\n  tip: xz -dc in | bert-embed …\n",
        ),
        (
            b"[\n {\"text\": \"she\"},\n",
            "it is a JSON array, not lines of text or JSON\n  tip: jq -c '.[]' makes JSON lines of it for --input-format jsonl; --input-format lines takes its lines as texts\n",
        ),
    ];
    for (bytes, words) in cases {
        place.write("in", bytes);
        place.assert_refused(
            &["-f", "in"],
            3,
            &format!("error: could not read `in`: {words}"),
        );
    }
    place.write("in.jsonl", "[{\"text\": \"she\"}]\n");
    let (code, _, stderr) = place.run(&["-f", "in.jsonl"]);
    assert_eq!(code, 3);
    assert!(stderr.contains("it is a JSON array"), "{stderr}");
}

#[test]
fn what_comes_through_a_pipe_is_judged_too() {
    let place = Place::new();
    let (code, stdout, stderr) = place.run_with_input(&[], b"\xff\xfes\0h\0e\0\n\0");
    let words = "error: could not read `standard input`: it is UTF-16, not text\n  tip: … | iconv -f UTF-16 -t UTF-8 | bert-embed …\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (3, "", words));
}

#[test]
fn a_byte_order_mark_at_the_beginning_is_no_text() {
    let place = Place::new();
    place.write("in", "\u{feff}she\n\u{feff}is\n");
    let (code, stdout, _) = place.run(&["-f", "in", "--fields", "text"]);
    assert_eq!(
        (code, texts(&stdout)),
        (0, vec!["she".into(), "\u{feff}is".into()])
    );
    place.write("in.jsonl", "\u{feff}{\"text\":\"she\"}\n");
    place.write("in.csv", "\u{feff}text\nshe\n");
    for file in ["in.jsonl", "in.csv"] {
        let (code, stdout, _) = place.run(&["-f", file, "--fields", "text"]);
        assert_eq!((code, texts(&stdout)), (0, vec!["she".into()]), "{file}");
    }
}

#[test]
fn a_guess_that_may_be_wrong_is_told_once() {
    let place = Place::new();
    place.write("json", "{\"text\":\"she\"}\n{\"text\":\"is\"}\n");
    place.write("mac", "she\ris\rold\r");
    place.write("she", "is\n");
    let cases: [(&[&str], &str); 4] = [
        (
            &["-f", "json"],
            "note: `json` looks like JSON lines, but each line is taken as a text: --input-format jsonl reads JSON\n",
        ),
        (
            &["-f", "mac"],
            "note: `mac` seems to end its lines with CR alone, but a line ends at LF only: tr '\\r' '\\n' fixes that\n",
        ),
        (
            &["she"],
            "note: `she` is the name of a file, but it is embedded as a text: -f reads the file\n",
        ),
        (
            &["--pair-separator", "|", "she", "is"],
            "warning: no text contains the --pair-separator `|`: each is a single segment\n",
        ),
    ];
    for (arguments, words) in cases {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--fields", "index"]);
        let (code, stdout, stderr) = place.run(&arguments);
        assert_eq!((code, stderr.as_str()), (0, words));
        arguments.push("-q");
        assert_eq!(place.run(&arguments), (0, stdout, String::new()));
    }
    for silent in [
        &["--input-format", "lines", "-f", "json"][..],
        &["--pair-separator", "|", "she | is", "is"],
    ] {
        place.records(&[silent, &["--fields", "index"]].concat());
    }
}

#[test]
fn errors_are_summed_up_and_may_be_no_failure() {
    let place = Place::new();
    place.write(
        "in.jsonl",
        "{\"text\":\"she\"}\n{\"text\":3,\"id\":\"a7\"}\n{}\n{\"text\":\"is\"}\n",
    );
    let arguments = ["-f", "in.jsonl", "--fields", "index"];
    let (code, stdout, stderr) = place.run(&arguments);
    let words = "warning: 2 of 4 texts are errors, the first: text 1, id `a7`: could not read line 2 of `in.jsonl`: `text`: invalid type: integer `3`, expected a string at byte 9\n";
    assert_eq!((code, stderr.as_str()), (9, words));
    let more = |option| place.run(&[&arguments[..], &[option]].concat());
    assert_eq!(more("-q"), (9, stdout.clone(), String::new()));
    assert_eq!(more("--errors-ok"), (0, stdout, words.to_owned()));
}

#[test]
fn a_key_that_no_line_has_is_told() {
    let place = Place::new();
    place.write(
        "in.jsonl",
        "{\"text\":\"she\",\"id\":1}\n{\"text\":\"is\"}\n",
    );
    let keys = [
        "--pair-column",
        "question",
        "--id-column",
        "id",
        "--keep-columns",
        "scoer",
    ];
    let arguments = [&["-f", "in.jsonl", "--fields", "index"], &keys[..]].concat();
    let (code, _, stderr) = place.run(&arguments);
    let words = "warning: no line of `in.jsonl` has the key `question`\n\
                 warning: no line of `in.jsonl` has the key `scoer`\n";
    assert_eq!((code, stderr.as_str()), (0, words));
}

#[test]
fn an_ending_is_known_in_any_case() {
    let place = Place::new();
    place.write("IN.CSV", "id,text\n7,she\n");
    let record = place.record(&["-f", "IN.CSV", "--fields", "id,text"]);
    assert_eq!(
        (&record["id"], &record["text"]),
        (&json!("7"), &json!("she"))
    );
}

#[test]
fn options_for_the_hub_are_told_to_have_no_effect_on_a_directory() {
    let place = Place::new();
    let (code, _, stderr) = place.run(&["she", "--revision", "v2", "--fields", "index"]);
    let words = "note: --revision has no effect: `model` is a directory, not a model of the hub\n";
    assert_eq!((code, stderr.as_str()), (0, words));
}

#[test]
fn several_files_may_follow_one_option() {
    let place = Place::new();
    for name in ["a", "b", "c"] {
        place.write(name, format!("{name}\n"));
    }
    let records = place.records(&["-f", "a", "b", "c", "--fields", "text"]);
    let texts: Vec<_> = records
        .iter()
        .map(|record| record["text"].clone())
        .collect();
    assert_eq!(texts, [json!("a"), json!("b"), json!("c")]);
}

#[test]
fn thousands_of_files_need_no_more_open_files_than_a_process_may_have() {
    let place = Place::new();
    let names: Vec<_> = (0..1500).map(|number| format!("f{number}")).collect();
    for name in &names {
        place.write(name, format!("{name}\n"));
    }
    let mut arguments = vec!["--fields", "index", "-f"];
    arguments.extend(names.iter().map(String::as_str));
    assert_eq!(place.records(&arguments).len(), names.len());
}

#[test]
fn texts_may_end_with_nul() {
    let place = Place::new();
    let (code, stdout, stderr) =
        place.run_with_input(&["-0", "--fields", "text"], b"she\nis\r\n\0a\0\0last");
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(texts(&stdout), ["she\nis\r\n", "a", "", "last"]);
}

#[test]
fn a_json_file_of_lines_is_read_as_json_lines() {
    let place = Place::new();
    place.write("in.json", "{\"text\":\"she\"}\n{\"text\":\"is\"}\n");
    let (code, stdout, stderr) = place.run(&["-f", "in.json", "--fields", "text"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(texts(&stdout), ["she", "is"]);
}

#[test]
fn what_is_not_read_has_the_command_that_converts_it() {
    let place = Place::empty();
    let python = |form: &str| {
        format!(
            "python -c 'import pyarrow, sys; pyarrow.ipc.{form}(sys.argv[1]).read_pandas()\
             .to_json(sys.stdout, orient=\"records\", lines=True)' in | \
             bert-embed --input-format jsonl …"
        )
    };
    let cases: [(&[u8], &str, String); 3] = [
        (
            b"ARROW1\0\0\xff\xff\xff\xff\x10\x01\0\0",
            "it is an Arrow file, not text",
            python("open_file"),
        ),
        (
            b"\xff\xff\xff\xff\x10\x01\0\0\x10\0\0\0",
            "it is an Arrow stream, not text",
            python("open_stream"),
        ),
        (
            b"[\"she\", \"is\"]\n",
            "it is a JSON array, not lines of text or JSON",
            "jq -c '.[] | {text: .}' makes JSON lines of it for --input-format jsonl; \
             --input-format lines takes its lines as texts"
                .to_owned(),
        ),
    ];
    for (bytes, cause, tip) in cases {
        place.write("in", bytes);
        let words = format!("error: could not read `in`: {cause}\n  tip: {tip}\n");
        place.assert_refused(&["-f", "in"], 3, &words);
    }
}
