//! Tables and documents as texts; the oracles are Python's csv module and pyarrow, see
//! tests/fixtures/tables.py.

use std::fs;

use serde_json::{Value, json};

use super::{Place, json_lines};
use crate::support::checkpoint::fixtures;

fn fixture(name: &str) -> Value {
    let text = fs::read_to_string(fixtures().join("tables").join(name)).expect("a fixture");
    serde_json::from_str(&text).expect("JSON")
}

/// What a record must tell of a row that Python read, `None` if the row is an error.
fn expected(index: usize, header: &[Value], row: &[Value]) -> Option<Value> {
    if row.len() != header.len() {
        return None;
    }
    let mut record = json!({"index": index, "dropped_tokens": 0});
    for (name, cell) in header.iter().zip(row) {
        let name = name.as_str().expect("a name");
        // An empty cell is an empty text, but no id and no second segment.
        if name == "text" || (name != "more" && cell != "") {
            record[name] = cell.clone();
        }
    }
    Some(record)
}

#[test]
fn csv_and_tsv_have_the_rows_that_python_reads() {
    let place = Place::new();
    let cases = fixture("csv.json");
    let cases = cases.as_array().expect("a list");
    assert_eq!(cases.len(), 50);
    for case in cases {
        let list = |key: &str| case[key].as_array().expect("a list");
        let name = if case["separator"] == "," {
            "in.csv"
        } else {
            "in.tsv"
        };
        place.write(name, case["table"].as_str().expect("a table"));
        let (code, stdout, stderr) = place.run(&[
            "-q",
            "--max-length",
            "131",
            "-f",
            name,
            "--fields",
            "index,id,text",
        ]);
        let records = json_lines(&stdout);
        assert_eq!(
            records.len(),
            list("rows").len(),
            "{} {stderr}",
            case["name"]
        );
        let mut errors = 0;
        for (index, row) in list("rows").iter().enumerate() {
            let row = row.as_array().expect("a row");
            if let Some(expected) = expected(index, list("header"), row) {
                assert_eq!(records[index], expected, "{}", case["name"]);
            } else {
                errors += 1;
                let message = records[index]["error"]["message"].as_str();
                assert!(message.is_some_and(|message| message.contains("cells")));
            }
        }
        assert_eq!(code, if errors > 0 { 9 } else { 0 }, "{}", case["name"]);
    }
}

#[test]
fn other_dialects_have_the_rows_that_python_reads() {
    let place = Place::new();
    let cases = fixture("dialects.json");
    let cases = cases.as_array().expect("a list");
    assert_eq!(cases.len(), 47);
    for case in cases {
        let name = &case["name"];
        let file = case["file"].as_str().expect("a name");
        place.write(file, case["table"].as_str().expect("a table"));
        let mut arguments = vec!["-f", file, "--fields", "index,id,text"];
        let options = case["options"].as_array().expect("a list");
        arguments.extend(options.iter().map(|option| option.as_str().expect("typed")));
        if options.contains(&json!("--no-header")) {
            arguments.extend(["--id-column", "1", "--text-column", "2"]);
        }
        let rows = case["rows"].as_array().expect("a list").iter().enumerate();
        let expected: Vec<_> = rows
            .map(|(index, row)| {
                json!({"index": index, "id": row[0], "text": row[1], "dropped_tokens": 0})
            })
            .collect();
        let (code, stdout, stderr) = place.run(&arguments);
        assert_eq!(code, 0, "{name} {stderr}");
        assert_eq!(json_lines(&stdout), expected, "{name}");
    }
}

#[test]
fn quotes_that_may_be_text_are_warned_of_once() {
    let place = Place::new();
    let lone = "text\tn\n\"she\t1\nis\"\t2\n\"the\t1\nold\"\t2\n";
    place.write("lone.tsv", lone);
    place.write("lone.csv", lone.replace('\t', ","));
    place.write(
        "spark.csv",
        "text\n\"she \\\"is\\\" old\"\n\"a \\\"b\\\" c\"\n",
    );
    place.write("path.csv", "text,n\n\"C:\\\",1\n");
    let run = |file: &str, options: &[&str]| {
        let arguments = [&["-f", file, "--fields", "index"], options].concat();
        let (code, _, stderr) = place.run(&arguments);
        assert_eq!(code, 0, "{stderr}");
        stderr
    };
    let warning = "warning: a quoted cell in line 2 of `lone.tsv` runs over a line end: --quote none takes quotation marks as text, --quote double confirms them\n";
    assert_eq!(run("lone.tsv", &[]), warning);
    assert_eq!(run("lone.tsv", &["--quote", "double"]), "");
    assert_eq!(run("lone.tsv", &["--quote", "none"]), "");
    assert_eq!(run("lone.csv", &[]), "");
    let warning = "warning: a quoted cell in line 2 of `spark.csv` holds `\\\"`: --escape '\\' takes that as a quotation mark\n";
    assert_eq!(run("spark.csv", &[]), warning);
    assert_eq!(run("spark.csv", &["--escape", "\\"]), "");
    assert_eq!(run("path.csv", &[]), "");
}

#[test]
fn an_escape_before_another_character_is_text() {
    let place = Place::new();
    place.write("in.csv", "text\n\"C:\\new, \\\"x\\\"\"\nC:\\new\n");
    let arguments = ["-f", "in.csv", "--escape", "\\", "--fields", "text"];
    let text = |text: &str| json!({"text": text, "dropped_tokens": 0});
    let expected = [text("C:\\new, \"x\""), text("C:\\new")];
    assert_eq!(place.records(&arguments), expected);
}

#[test]
fn a_bad_row_is_an_error_and_a_quote_that_stays_open_is_told() {
    let place = Place::new();
    place.write(
        "in.csv",
        b"id,text\n1,she\n2,b\xffd\n3\n4,\"is\nold\n5,the\n".as_slice(),
    );
    let (code, stdout, _) = place.run(&["-q", "-f", "in.csv", "--fields", "index"]);
    let messages: Vec<_> = json_lines(&stdout)
        .iter()
        .map(|record| (record["id"].clone(), record["error"]["message"].clone()))
        .collect();
    let bad = |id: Value, message: &str| (id, json!(message));
    let expected = [
        (Value::Null, Value::Null),
        bad(
            json!("2"),
            "could not read line 3 of `in.csv`: `text`: it is not UTF-8 at byte 2",
        ),
        bad(
            Value::Null,
            "could not read line 4 of `in.csv`: it has 1 cells, but the header has 2",
        ),
        bad(
            Value::Null,
            "could not read line 5 of `in.csv`: a quote is not closed before the end of the file",
        ),
    ];
    assert_eq!((code, messages), (9, expected.to_vec()));
}

#[test]
fn a_bad_row_keeps_its_columns() {
    let place = Place::new();
    place.write("in.csv", b"id,text,label\n1,\xff,p\n2,she,q\n".as_slice());
    place.write(
        "in.jsonl",
        "{\"id\":\"1\",\"text\":3,\"label\":\"p\"}\n{\"text\":\"she\"}\n",
    );
    for file in ["in.csv", "in.jsonl"] {
        let arguments = [
            "-q",
            "-f",
            file,
            "--fields",
            "index",
            "--keep-columns",
            "label",
        ];
        let (code, stdout, _) = place.run(&arguments);
        let bad = json_lines(&stdout).remove(0);
        assert_eq!(code, 9, "{file}");
        assert_eq!(bad["columns"], json!({"label": "p"}), "{file}");
        assert_eq!(bad["error"]["kind"], json!("input"), "{file}");
        let more = ["-o", "out.parquet", "--format", "parquet"];
        assert_eq!(place.run(&[&arguments[..], &more].concat()).0, 9, "{file}");
    }
}

#[test]
fn columns_may_have_other_names() {
    let place = Place::new();
    place.write("in.csv", "title,body,n\nshe,is,7\n");
    place.write(
        "in.jsonl",
        "{\"title\":\"she\",\"body\":\"is\",\"n\":\"7\"}\n",
    );
    let columns = [
        "--text-column",
        "title",
        "--pair-column",
        "body",
        "--id-column",
        "n",
    ];
    for file in ["in.csv", "in.jsonl"] {
        let arguments = [&["-f", file, "--fields", "index,id,text"], &columns[..]].concat();
        let expected = json!({
            "index": 0, "id": "7", "text": "she", "text_pair": "is", "dropped_tokens": 0
        });
        assert_eq!(place.record(&arguments), expected, "{file}");
    }
}

#[test]
fn a_table_without_the_column_is_refused_with_its_columns() {
    let place = Place::empty();
    place.write("in.csv", "title,body\nshe,is\n");
    place.write("twice.csv", "text,text\nshe,is\n");
    place.write("empty.csv", "");
    place.write("excel.csv", "id;text\n1;she\n");
    place.write("tabs.csv", "id\ttext\n1\tshe\n");
    let cases: [(&[&str], i32, &str); 12] = [
        (
            &["-f", "excel.csv"],
            2,
            "error: `excel.csv` has no column `text`: its columns are id;text\n  tip: --delimiter ';'\n",
        ),
        (
            &["-f", "tabs.csv"],
            2,
            "error: `tabs.csv` has no column `text`: its columns are id\\ttext\n  tip: --delimiter '\\t'\n",
        ),
        (
            &["-f", "in.csv", "--no-header"],
            2,
            "error: `in.csv` has no column `text`: its columns are 1, 2\n  tip: name the column with --text-column\n",
        ),
        (
            &["-f", "in.csv", "--input-format", "lines", "--no-header"],
            2,
            "error: --no-header is for csv and tsv: `in.csv` is read as lines\n  tip: --input-format csv or tsv says what it is\n",
        ),
        (
            &["--quote", "none", "she"],
            2,
            "error: --quote is for files and standard input: a TEXT argument is one text\n  tip: leave --quote out, or give the texts with --file or on standard input\n",
        ),
        (
            &["-f", "in.csv", "--quote", "none", "--escape", "\\"],
            2,
            "error: --escape and --quote none do not go together: it escapes quotation marks\n  tip: leave --escape out\n",
        ),
        (
            &["-f", "in.csv", "--delimiter", "||"],
            2,
            "error: invalid value '||' for '--delimiter <C>': allowed is one ASCII character, or \\t; not a quotation mark or a line end\n  tip: bert-embed --help\n",
        ),
        (
            &["-f", "in.csv"],
            2,
            "error: `in.csv` has no column `text`: its columns are title, body\n  tip: name the column with --text-column\n",
        ),
        (
            &["-f", "in.csv", "--text-column", "title", "--id-column", "n"],
            2,
            "error: `in.csv` has no column `n`: its columns are title, body\n",
        ),
        (
            &["-f", "twice.csv"],
            2,
            "error: `twice.csv` has more than one column `text`\n",
        ),
        (
            &["-f", "empty.csv"],
            3,
            "error: could not read `empty.csv`: it is empty: a table begins with the names of its columns\n",
        ),
        (
            &[
                "--input-format",
                "tsv",
                "-f",
                "in.csv",
                "--pair-separator",
                "|",
            ],
            2,
            "error: --pair-separator and --input-format tsv do not go together\n  tip: the second segment has its own column or key, see --pair-column: leave --pair-separator out\n",
        ),
    ];
    for (arguments, code, words) in cases {
        place.assert_refused(arguments, code, words);
    }
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_has_the_rows_that_pyarrow_wrote() {
    let place = Place::new();
    let rows = fixture("rows.json");
    for compression in ["none", "snappy", "gzip", "zstd"] {
        let name = format!("{compression}.parquet");
        let bytes = fs::read(fixtures().join("tables").join(&name)).expect("a fixture");
        place.write("in.parquet", bytes);
        for id in ["id", "name"] {
            let arguments = [
                "-f",
                "in.parquet",
                "--fields",
                "index,id,text",
                "--id-column",
                id,
            ];
            let records = place.records(&arguments);
            let expected = rows.as_array().expect("a list").iter().enumerate();
            let expected: Vec<_> = expected
                .map(|(index, row)| {
                    let mut record = json!({"index": index, "dropped_tokens": 0});
                    record["text"] = row["text"].clone();
                    for (key, column) in [("id", id), ("text", "words"), ("text_pair", "text_pair")]
                    {
                        if !row[column].is_null() {
                            record[key] = row[column].clone();
                        }
                    }
                    record
                })
                .collect();
            assert_eq!(records, expected, "{name}");
        }
    }
}

#[cfg(feature = "parquet")]
#[test]
fn kept_columns_of_parquet_are_json_in_jsonl_and_in_parquet() {
    let place = Place::new();
    let bytes = fs::read(fixtures().join("tables/zstd.parquet")).expect("a fixture");
    place.write("in.parquet", bytes);
    let kept = ["words", "name", "score", "label", "day", "flag", "id"];
    let rows = fixture("rows.json");
    let expected = rows.as_array().expect("a list").iter().map(|row| {
        let entries = kept.map(|name| (name.to_owned(), row[name].clone()));
        Value::Object(entries.into_iter().collect())
    });
    let expected: Vec<_> = expected.collect();
    let list = kept.join(",");
    let arguments = [
        "-f",
        "in.parquet",
        "--keep-columns",
        &list,
        "--fields",
        "index",
    ];
    let records = place.records(&arguments);
    let columns: Vec<_> = records
        .iter()
        .map(|record| record["columns"].clone())
        .collect();
    assert_eq!(columns, expected);
    // The file that was written is an input again.
    let (code, _, stderr) = place.run(&[&arguments[..], &["-o", "out.parquet"]].concat());
    assert_eq!(code, 0, "{stderr}");
    let arguments = [
        "-f",
        "out.parquet",
        "--text-column",
        "columns",
        "--fields",
        "text",
    ];
    for (record, expected) in place.records(&arguments).iter().zip(&expected) {
        let text = record["text"].as_str().expect("a text");
        assert_eq!(
            serde_json::from_str::<Value>(text).expect("JSON"),
            *expected
        );
    }
}

#[test]
fn kept_columns_of_csv_are_strings_and_those_of_json_lines_what_they_were() {
    let place = Place::new();
    place.write("in.csv", "text,n,s\nshe,07,\"a \"\"b\"\"\"\n");
    place.write(
        "in.jsonl",
        "{\"text\":\"she\",\"n\":1.50,\"s\":[{\"a\":null}]}\n{\"text\":\"is\"}\n",
    );
    let print = |file| {
        let arguments = ["-f", file, "--keep-columns", "s,n", "--fields", "index"];
        place.run(&arguments)
    };
    let csv = r#"{"index":0,"columns":{"s":"a \"b\"","n":"07"},"dropped_tokens":0}"#;
    assert_eq!(print("in.csv"), (0, format!("{csv}\n"), String::new()));
    let jsonl = concat!(
        r#"{"index":0,"columns":{"s":[{"a":null}],"n":1.50},"dropped_tokens":0}"#,
        "\n",
        r#"{"index":1,"columns":{"s":null,"n":null},"dropped_tokens":0}"#,
        "\n",
    );
    assert_eq!(print("in.jsonl"), (0, jsonl.to_owned(), String::new()));
}

#[cfg(feature = "parquet")]
#[test]
fn a_damaged_parquet_file_is_an_error_of_the_input() {
    let place = Place::new();
    let bytes = fs::read(fixtures().join("tables/snappy.parquet")).expect("a fixture");
    place.write("cut.parquet", &bytes[..bytes.len() - 9]);
    let (code, _, stderr) = place.run(&["-f", "cut.parquet", "--fields", "index"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(
        stderr.starts_with("error: could not read `cut.parquet` as parquet: "),
        "{stderr}"
    );
    let (code, _, stderr) = place.run_with_input(&["--input-format", "parquet", "-f", "-"], &bytes);
    let words = "error: a parquet file is read from its end: `standard input` is a stream\n  tip: name the file with --file\n";
    assert_eq!((code, stderr.as_str()), (2, words));
}

#[test]
fn documents_are_whole_files_and_a_directory_is_sorted() {
    let place = Place::new();
    let docs = place.path().join("docs");
    fs::create_dir_all(docs.join("b")).expect("created");
    for (name, text) in [
        ("z.txt", "she\nis\n"),
        ("a.txt", "old"),
        ("b/c.md", ""),
        (".hidden", "x"),
    ] {
        fs::write(docs.join(name), text).expect("written");
    }
    fs::write(docs.join("png"), b"\x89PNG\r\n\x1a\n").expect("written");
    let arguments = [
        "-q",
        "--input-format",
        "documents",
        "-f",
        "docs",
        "--fields",
        "id,text",
    ];
    let (code, stdout, _) = place.run(&arguments);
    let records = json_lines(&stdout);
    let text = |id: &str, text: &str| json!({"id": id, "text": text, "dropped_tokens": 0});
    let error = json!({
        "kind": "input", "message": "could not read `docs/png`: it is a PNG image, not text",
        "file": "docs/png"
    });
    let expected = [
        text("docs/a.txt", "old"),
        text("docs/b/c.md", ""),
        json!({"index": 2, "id": "docs/png", "error": error}),
        text("docs/z.txt", "she\nis\n"),
    ];
    assert_eq!((code, records), (9, expected.to_vec()));
}

#[test]
fn a_long_document_is_embedded_in_windows() {
    let place = Place::new();
    let words = ["she", "is", "old"].iter().cycle().take(300);
    let text = words.copied().collect::<Vec<_>>().join("\n");
    place.write("long.txt", &text);
    let record = place.record(&[
        "--input-format",
        "documents",
        "-f",
        "long.txt",
        "--on-long",
        "window",
        "--fields",
        "id,input_ids",
    ]);
    assert_eq!(record["id"], "long.txt");
    assert_eq!(record["input_ids"].as_array().map(Vec::len), Some(302));
}
