//! Texts from arguments, files and pipes: every text has its record, a bad one shifts no other.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Place, as_lines, json_lines};

/// Only what tells the texts: the fewest numbers to print.
const TEXTS: [&str; 2] = ["--fields", "index,id,text,token_type_ids"];

/// A record of `TEXTS` for a good text of one segment.
fn texts(records: &[Value]) -> Vec<&str> {
    let text = |record: &'_ Value| record["text"].as_str().map(|_| ());
    assert!(
        records.iter().all(|record| text(record).is_some()),
        "{records:?}"
    );
    records
        .iter()
        .filter_map(|record| record["text"].as_str())
        .collect()
}

#[test]
fn arguments_files_and_standard_input_are_read_in_the_order_given() {
    let place = Place::new();
    place.write("one", "a\nb\n");
    place.write("two", "c");
    let [fields, list] = TEXTS;
    assert_eq!(
        texts(&place.records(&[fields, list, "x", "y z"])),
        ["x", "y z"]
    );
    let arguments = [fields, list, "-f", "two", "-f", "-", "-f", "one"];
    let (code, stdout, stderr) = place.run_with_input(&arguments, b"from a pipe\n");
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(texts(&json_lines(&stdout)), ["c", "from a pipe", "a", "b"]);
    let (code, stdout, _) = place.run_with_input(&TEXTS, b"x\r\ny");
    assert_eq!((code, texts(&json_lines(&stdout))), (0, vec!["x", "y"]));
}

#[test]
fn every_line_is_a_text_whatever_is_in_it() {
    let place = Place::new();
    let lines = "she\n\n \t\nis\r\n\u{feff}the\na\0b\nx\u{2028}y\n\u{1}\u{2}\n中国 é 🙂\nמים\ne\u{301}\r\r\nlast";
    let (code, stdout, stderr) = place.run_with_input(&TEXTS, lines.as_bytes());
    assert_eq!(code, 0);
    let warning = "warning: 1 of 12 texts contain only unknown tokens (`[UNK]`)\n";
    assert_eq!(stderr, warning);
    let records = json_lines(&stdout);
    let expected = [
        "she",
        "",
        " \t",
        "is",
        "\u{feff}the",
        "a\0b",
        "x\u{2028}y",
        "\u{1}\u{2}",
        "中国 é 🙂",
        "מים",
        "e\u{301}\r",
        "last",
    ];
    assert_eq!(texts(&records), expected);
    for (place, record) in records.iter().enumerate() {
        assert_eq!(record["index"], json!(place));
    }
}

#[test]
fn no_text_is_no_record_and_no_error() {
    let place = Place::new();
    place.write("empty", "");
    assert!(place.records(&["-f", "empty"]).is_empty());
    let (code, stdout, _) = place.run_with_input(&["--format", "json"], b"");
    let document: Value = serde_json::from_str(&stdout).expect("a document");
    assert_eq!((code, &document["last_hidden_state"]), (0, &json!([])));
}

#[test]
fn a_line_that_is_no_text_becomes_an_error_record_and_the_others_stay() {
    let place = Place::new();
    let mut bytes = b"she\nb\xffd\nis\n".to_vec();
    // Over the cap of 16 MiB a line.
    bytes.resize(bytes.len() + 20_000_000, b'a');
    bytes.extend_from_slice(b"\nthe\n");
    let (code, stdout, stderr) = place.run_with_input(&TEXTS, &bytes);
    let words = "warning: 2 of 5 texts are errors, the first: text 1: could not read line 2 of `standard input`: it is not UTF-8 at byte 2\n";
    assert_eq!((code, stderr.as_str()), (9, words));
    let records = json_lines(&stdout);
    let bad = |index: usize, message: &str| {
        let line = index + 1;
        json!({"index": index, "error": {"kind": "input", "message": message, "line": line}})
    };
    assert_eq!(
        records[1],
        bad(
            1,
            "could not read line 2 of `standard input`: it is not UTF-8 at byte 2"
        )
    );
    assert_eq!(
        records[3],
        bad(
            3,
            "could not read line 4 of `standard input`: it is longer than 16 MiB"
        )
    );
    let alone = place.records(&[
        "--fields",
        "index,id,text,token_type_ids",
        "she",
        "-",
        "is",
        "-",
        "the",
    ]);
    for index in [0, 2, 4] {
        assert_eq!(records[index], alone[index]);
    }
}

#[test]
fn a_json_line_gives_id_pair_and_words() {
    let place = Place::new();
    let lines = concat!(
        r#"{"text":"she","id":7,"mine":[1]}"#,
        "\n",
        r#"{"text":"is","id":"x","text_pair":"the"}"#,
        "\r\n",
        r#"{"words":["she","is"],"id":-1.5}"#,
        "\n",
        r#"{"text":"a","id":null}"#,
        "\n",
    );
    place.write("in.jsonl", lines);
    place.write("in", lines);
    let by_ending = place.records(&["-f", "in.jsonl", "--fields", TEXTS[1]]);
    let expected = [
        json!({"index":0,"id":7,"text":"she","token_type_ids":[0,0,0],"dropped_tokens":0}),
        json!({"index":1,"id":"x","text":"is","text_pair":"the","token_type_ids":[0,0,0,1,1],"dropped_tokens":0}),
        json!({"index":2,"id":-1.5,"text":["she","is"],"token_type_ids":[0,0,0,0],"dropped_tokens":0}),
        json!({"index":3,"text":"a","token_type_ids":[0,0,0],"dropped_tokens":0}),
    ];
    assert_eq!(by_ending, expected);
    let by_option = place.records(&["-f", "in", "--input-format", "jsonl", "--fields", TEXTS[1]]);
    assert_eq!(by_option, expected);
}

#[test]
fn a_json_line_that_is_no_text_says_why() {
    let place = Place::new();
    let cases = [
        ("she", "it is not a JSON object"),
        // serde would take a list for the object.
        (r#"["7","she",null,null]"#, "it is not a JSON object"),
        (r#"{"text":null}"#, "its `text` is null"),
        (r#"{"id":9}"#, "it has neither `text` nor `words`"),
        (r#"{"text":"a","n":NaN}"#, "`NaN` is not JSON at byte 17"),
        (
            r#"{"text":"a","words":["b"]}"#,
            "it has both `text` and `words`: name one of them, with --text-column text or \
             --words-column words",
        ),
        (r#"{"text":"a"} x"#, "trailing characters at byte 14"),
        (
            r#"{"text":3}"#,
            "`text`: invalid type: integer `3`, expected a string at byte 9",
        ),
        (
            r#"{"text":"\ud800"}"#,
            "`text`: unexpected end of hex escape at byte 16",
        ),
        (
            r#"{"text":"a","text":"b"}"#,
            "duplicate field `text` at byte 18",
        ),
    ];
    let lines = as_lines(cases.iter().map(|(line, _)| line));
    place.write("in.jsonl", lines + "{\"text\":\"she\"}");
    let (code, stdout, stderr) = place.run(&["-q", "-f", "in.jsonl", "--fields", "index,text"]);
    assert_eq!((code, stderr.as_str()), (9, ""));
    let records = json_lines(&stdout);
    for (index, (line, cause)) in cases.iter().enumerate() {
        let message = format!("could not read line {} of `in.jsonl`: {cause}", index + 1);
        let told = json!({"kind": "input", "message": message, "line": index + 1});
        let mut bad = json!({"index": index, "error": told});
        if line.contains("\"id\"") {
            bad["id"] = json!(9);
        }
        assert_eq!(records[index], bad);
    }
    assert_eq!(records[cases.len()]["text"], json!("she"));
}

#[test]
fn a_blank_json_line_is_skipped_and_the_index_stays_the_line() {
    let place = Place::new();
    place.write(
        "in.jsonl",
        "\n{\"text\":\"a\"}\n \t\r\n\n{\"text\":\"b\"}\n\n",
    );
    let index = |options: &[&str]| -> Vec<Value> {
        let arguments = [&["-f", "in.jsonl", "--fields", "index"], options].concat();
        let records = place.records(&arguments);
        records
            .iter()
            .map(|record| record["index"].clone())
            .collect()
    };
    assert_eq!(index(&[]), [1, 4]);
    assert_eq!(index(&["--skip", "2"]), [4]);
    assert_eq!(index(&["--limit", "4"]), [1]);
    assert_eq!(index(&["--shard", "0/2"]), [4]);
}

#[test]
fn json_lines_with_other_keys_are_refused_before_the_model_is_looked_for() {
    let place = Place::empty();
    place.write(
        "in.jsonl",
        "\n{\"sentence\":\"a\",\"data\":{\"text\":\"b\"}}\n",
    );
    let words = "error: line 2 of `in.jsonl` has no key `text`: its keys are data, sentence\n  tip: name the key with --text-column; `a.b` is the key b within a\n";
    place.assert_refused(&["-f", "in.jsonl"], 2, words);
    let place = Place::new();
    place.write("in.jsonl", "{\"id\":true,\"data\":{\"text\":\"b\"}}\n");
    let arguments = [
        "-f",
        "in.jsonl",
        "--text-column",
        "data.text",
        "--fields",
        "id,text",
    ];
    let expected = json!({"text": "b", "dropped_tokens": 0});
    assert_eq!(place.record(&arguments), expected);
}

#[test]
fn sixteen_mebibytes_are_the_text_s() {
    let place = Place::new();
    let most = "a".repeat(16 << 20);
    let arguments = ["--dry-run", "--format", "json"];
    let errors = |options: &[&str], input: String| {
        let arguments = [&arguments[..], options].concat();
        let (_, stdout, stderr) = place.run_with_input(&arguments, input.as_bytes());
        let report: Value = serde_json::from_str(&stdout).expect(&stderr);
        (report["records"].clone(), report["errors"].clone(), stderr)
    };
    assert_eq!(errors(&[], format!("{most}\r\nb")).1, 0);
    assert_eq!(errors(&[], format!("{most}a\r\nb")).1, 1);
    let json = ["--input-format", "jsonl"];
    let line = |text: &str| format!("{{\"id\":\"a\",\"text\":\"{text}\"}}\n{{\"text\":\"b\"}}");
    assert_eq!(errors(&json, line(&most)).1, 0);
    let (records, bad, stderr) = errors(&json, line(&format!("{most}a")));
    assert_eq!((records, bad), (json!(2), json!(1)));
    assert!(
        stderr.contains(
            "id `a`: could not read line 1 of `standard input`: it is longer than 16 MiB"
        ),
        "{stderr}"
    );
}

#[test]
fn pairs_come_from_an_option_or_a_separator() {
    let place = Place::new();
    let fields = ["--fields", "text,tokens,token_type_ids"];
    let pair = json!({
        "text": "she", "text_pair": "is", "tokens": ["[CLS]", "she", "[SEP]", "is", "[SEP]"],
        "token_type_ids": [0, 0, 0, 1, 1], "dropped_tokens": 0
    });
    assert_eq!(
        place.record(&[fields[0], fields[1], "--pair", "is", "she"]),
        pair
    );
    let split = [fields[0], fields[1], "--pair-separator", " | ", "she | is"];
    assert_eq!(place.record(&split), pair);
    let first = ["--fields", "text", "--pair-separator", "|", "a|b|c", "none"];
    let expected = [
        json!({"text": "a", "text_pair": "b|c", "dropped_tokens": 0}),
        json!({"text": "none", "dropped_tokens": 0}),
    ];
    assert_eq!(place.records(&first), expected);
}

#[test]
fn a_file_that_cannot_be_read_is_named_before_the_model_is_looked_for() {
    let place = Place::empty();
    place.write("good", "a\n");
    fs::create_dir(place.path().join("directory")).expect("created");
    place.assert_refused(
        &["-f", "good", "-f", "missing"],
        3,
        "error: could not read `missing`: no such file or directory\n",
    );
    place.assert_refused(
        &["-f", "directory"],
        3,
        "error: could not read `directory`: it is a directory\n  tip: --input-format documents takes each file in it as a text; --model takes a model's directory\n",
    );
}

/// Runs `command` as one who answers: each line is written when the record before it has come.
fn converse(command: &mut Command, open: impl FnOnce(&mut std::process::Child) -> Box<dyn Write>) {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut input = open(&mut child);
    let stdout = child.stdout.take().expect("standard output is piped");
    let mut records = BufReader::new(stdout).lines();
    for text in ["she", "is", "", "the"] {
        writeln!(input, "{text}").expect("written");
        let record = records.next().expect("a record").expect("read");
        let record: Value = serde_json::from_str(&record).expect("JSON");
        assert_eq!(record["text"], json!(text));
    }
    drop(input);
    assert!(records.next().is_none());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_record_comes_before_the_next_line_is_written() {
    let place = Place::new();
    let mut command = place.command(&TEXTS);
    converse(command.stdin(Stdio::piped()), |child| {
        Box::new(child.stdin.take().expect("standard input is piped"))
    });
}

#[test]
fn a_fifo_is_read_as_it_comes() {
    let place = Place::new();
    let fifo = place.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    let mut command = place.command(&["-f", "fifo", "--fields", "index,text"]);
    converse(&mut command, |_| {
        Box::new(fs::File::options().write(true).open(&fifo).expect("opened"))
    });
}
