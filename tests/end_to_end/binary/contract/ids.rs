//! The input's own name of a text comes back: a number as it is written, a string by its value.

use super::Place;

/// What stands in the input, and what must stand in the record.
const IDS: [(&str, &str); 10] = [
    ("7", "7"),
    ("-0", "-0"),
    ("1.0", "1.0"),
    ("1e3", "1e3"),
    ("1E+400", "1E+400"),
    ("18446744073709551616", "18446744073709551616"),
    (
        "-123456789012345678901234567890.5",
        "-123456789012345678901234567890.5",
    ),
    (r#""""#, r#""""#),
    (r#""00é""#, r#""00é""#),
    (r#""a\u0041\/\n\u2028""#, "\"aA/\\n\u{2028}\""),
];

#[test]
fn an_id_is_echoed_whatever_its_size() {
    let place = Place::new();
    let line = |(id, _): (&str, &str)| format!("{{\"id\" : {id} ,\"text\":\"she\"}}\n");
    place.write("in.jsonl", IDS.map(line).concat());
    let (code, stdout, stderr) = place.run(&["-f", "in.jsonl", "--fields", "id"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let record = |(_, id): (&str, &str)| format!("{{\"id\":{id},\"dropped_tokens\":0}}\n");
    assert_eq!(stdout, IDS.map(record).concat());
}

#[test]
fn what_is_no_id_is_told() {
    let place = Place::new();
    let neither = "its `id` is neither a string nor a number";
    let cases = [
        ("[7]", neither),
        ("{}", neither),
        ("false", neither),
        (
            r#""\ud800""#,
            "its `id` is not a string: unexpected end of hex escape",
        ),
        ("07", "invalid number at byte 8"),
    ];
    for (id, cause) in cases {
        place.write("in.jsonl", format!("{{\"id\":{id},\"text\":\"she\"}}"));
        let arguments = ["-f", "in.jsonl", "--fields", "id"];
        let (code, stdout, _) = place.run(&[&arguments[..], &["--id-column", "id"]].concat());
        assert_eq!(code, 9, "{stdout}");
        let message = format!("could not read line 1 of `in.jsonl`: {cause}");
        let record: serde_json::Value = serde_json::from_str(&stdout).expect("a record");
        assert_eq!(record["error"]["message"], message);
    }
}

#[test]
fn an_error_record_keeps_the_id_the_line_and_one_file_of_several() {
    let place = Place::new();
    place.write("a.jsonl", "{\"text\":\"she is she is\",\"id\":\"a7\"}\n");
    place.write("b.jsonl", "{\"text\":\"is\"}\n{\"text\":3,\"id\":1.50}\n");
    let (code, stdout, _) = place.run(&[
        "--max-length",
        "4",
        "--on-long",
        "error",
        "-f",
        "a.jsonl",
        "-f",
        "b.jsonl",
        "--fields",
        "index",
    ]);
    assert_eq!(code, 9);
    let expected = concat!(
        r#"{"index":0,"id":"a7","error":{"kind":"input","#,
        r#""message":"the text has 6 tokens: at most 4 are allowed","file":"a.jsonl","line":1}}"#,
        "\n",
        r#"{"index":1,"dropped_tokens":0}"#,
        "\n",
        r#"{"index":2,"id":1.50,"error":{"kind":"input","message":"could not read line 2 of `b.jsonl`: "#,
        r#"`text`: invalid type: integer `3`, expected a string at byte 9","file":"b.jsonl","line":2}}"#,
        "\n",
    );
    assert_eq!(stdout, expected);
}
