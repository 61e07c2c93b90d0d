//! npy: the header by numpy's own rules, the data by the JSON.

use super::{Place, bits, bits_of_bytes};

/// The rows and columns that an npy file of version 1.0 tells, and its data.
#[track_caller]
fn parse(file: &[u8]) -> ((usize, usize), &[u8]) {
    assert_eq!(&file[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([file[8], file[9]]));
    let (header, data) = file[10..].split_at(length);
    assert_eq!((10 + length) % 64, 0, "the data are aligned");
    assert_eq!(header.last(), Some(&b'\n'));
    let header = std::str::from_utf8(header).expect("ASCII").trim_end();
    let shape = header
        .strip_prefix("{'descr': '<f4', 'fortran_order': False, 'shape': (")
        .and_then(|rest| rest.strip_suffix("), }"))
        .expect("a dictionary as numpy writes it");
    let (rows, columns) = shape.split_once(", ").expect("two dimensions");
    let number = |text: &str| text.parse().expect("a number");
    ((number(rows), number(columns)), data)
}

#[test]
fn the_vectors_are_those_of_the_json() {
    let place = Place::new();
    let cases: [(&str, &[&str]); 3] = [
        ("pooler_output", &["--fields", "pooler_output"]),
        ("embedding", &["--pooling", "mean", "--fields", "embedding"]),
        (
            "embedding",
            &["--pooling", "max", "--fields", "embedding", "--normalize"],
        ),
    ];
    for (field, options) in cases {
        let file = place.file("out.npy", options);
        let (shape, data) = parse(&file);
        assert_eq!(shape, (5, 36));
        assert_eq!(bits_of_bytes(data), bits(&place.records(options), field));
    }
    assert_eq!(place.names(), ["out.npy"]);
}

#[test]
fn pooling_alone_asks_for_the_embedding() {
    let place = Place::new();
    let named = place.file(
        "a",
        &[
            "--format",
            "npy",
            "--pooling",
            "cls",
            "--fields",
            "embedding",
        ],
    );
    assert_eq!(place.file("b.npy", &["--pooling", "cls"]), named);
}

#[test]
fn no_text_is_a_table_without_rows() {
    let place = Place::new();
    place.write("in.txt", "");
    let file = place.file("out.npy", &["--fields", "pooler_output"]);
    assert_eq!(parse(&file), ((0, 36), &[][..]));
}

#[test]
fn many_batches_are_one_table_in_order() {
    let place = Place::new();
    let lines = (0..700).map(|number| format!("she is {number} {}\n", "old ".repeat(number % 40)));
    place.write("in.txt", lines.collect::<String>());
    let options = ["--fields", "embedding", "--pooling", "mean"];
    let file = place.file("out.npy", &options);
    let (shape, data) = parse(&file);
    assert_eq!(shape, (700, 36));
    assert_eq!(
        bits_of_bytes(data),
        bits(&place.records(&options), "embedding")
    );
}

#[test]
fn an_id_that_would_be_lost_ends_the_run_unless_only_a_vector_is_asked_for() {
    let place = Place::new();
    place.write(
        "in.jsonl",
        "{\"text\":\"she\"}\n{\"id\":7,\"text\":\"lamp\"}\n",
    );
    let options = ["-f", "in.jsonl", "-o", "x.npy", "--pooling", "mean"];
    place.assert_refused(
        &options,
        3,
        "error: text 1 has an id: npy has no place for it\n  tip: use --format parquet, or leave the ids out with --fields embedding\n",
    );
    place.print(&[&options[..], &["--fields", "embedding"]].concat());
    let file = std::fs::read(place.path("x.npy")).expect("the file");
    assert_eq!(parse(&file).0, (2, 36));
}
