//! parquet, read row by row by the crate; other readers are in `readers.rs`.

use std::fs::File;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use super::{Place, bits};

fn rows(place: &Place, name: &str) -> Vec<Row> {
    let file = File::open(place.path(name)).expect("the output");
    let reader = SerializedFileReader::new(file).expect("a sound file");
    let rows = reader.get_row_iter(None).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

#[track_caller]
fn column<'a>(row: &'a Row, name: &str) -> &'a Field {
    let mut columns = row.get_column_iter();
    columns.find(|(other, _)| *other == name).expect(name).1
}

/// The bits of lists of floats, end to end.
fn bits_of(field: &Field) -> Vec<u32> {
    match field {
        Field::ListInternal(list) => list.elements().iter().flat_map(bits_of).collect(),
        Field::Float(number) => vec![number.to_bits()],
        other => panic!("no float: {other}"),
    }
}

#[test]
fn the_vectors_are_those_of_the_json() {
    let place = Place::new();
    for (options, names) in [
        (
            ["--layers", "0,-1"],
            ["last_hidden_state", "hidden_states", "pooler_output"],
        ),
        (
            ["--pooling", "max"],
            ["last_hidden_state", "embedding", "pooler_output"],
        ),
    ] {
        place.file("out.parquet", &options);
        let (rows, records) = (rows(&place, "out.parquet"), place.records(&options));
        for name in names {
            let found: Vec<_> = rows
                .iter()
                .flat_map(|row| bits_of(column(row, name)))
                .collect();
            assert_eq!(found, bits(&records, name), "{name}");
        }
    }
    assert_eq!(place.names(), ["out.parquet"]);
}

#[test]
fn a_text_that_is_an_error_has_its_index_and_its_error() {
    let place = Place::new();
    place.write(
        "in.jsonl",
        "{\"text\":\"she\",\"id\":7}\nnonsense\n{\"words\":[\"old\",\"city\"],\"id\":\"x\"}\n",
    );
    let options = [
        "-q",
        "-f",
        "in.jsonl",
        "-o",
        "out.parquet",
        "--fields",
        "index,id,text,tokens",
    ];
    assert_eq!(place.run(&options), (9, String::new(), String::new()));
    let found: Vec<_> = rows(&place, "out.parquet")
        .iter()
        .map(Row::to_string)
        .collect();
    let expected = [
        "{index: 0, id: \"7\", text: \"she\", text_pair: null, tokens: [\"[CLS]\", \"she\", \"[SEP]\"], dropped_tokens: 0, error: null}",
        "{index: 1, id: null, text: null, text_pair: null, tokens: null, dropped_tokens: null, error: \"could not read line 2 of `in.jsonl`: it is not a JSON object\"}",
        "{index: 2, id: \"x\", text: \"old city\", text_pair: null, tokens: [\"[CLS]\", \"old\", \"city\", \"[SEP]\"], dropped_tokens: 0, error: null}",
    ];
    assert_eq!(found, expected);
}

#[test]
fn no_text_is_a_table_without_rows() {
    let place = Place::new();
    place.write("in.txt", "");
    place.file("out.parquet", &[]);
    assert!(rows(&place, "out.parquet").is_empty());
}
