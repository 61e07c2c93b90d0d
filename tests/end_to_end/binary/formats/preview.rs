//! The preview: each token on a line, columns under their names.

use super::Place;

#[test]
fn a_text_is_a_table_and_its_vectors_are_lines() {
    let place = Place::new();
    let options = ["--preview", "--pooling", "mean", "--layers", "1"];
    let mut all = options.to_vec();
    all.extend([
        "--padding",
        "max-length",
        "--max-length",
        "6",
        "she",
        "old city",
    ]);
    let printed = place.print(&all);
    let texts: Vec<_> = printed.split("\n\n").collect();
    assert_eq!((texts.len(), texts[2]), (3, ""));
    let lines: Vec<_> = texts[0].lines().collect();
    assert_eq!(lines[0], "text 0: 6 tokens");
    assert_eq!(
        lines[1],
        "   row  token      id  type  mask  last_hidden_state [6, 36]"
    );
    assert!(lines[2].starts_with("     0  [CLS]       2     0     1  "));
    assert!(lines[3].starts_with("     1  she        56     0     1  "));
    assert!(lines[5].starts_with("     3  [PAD]       0     0     0  "));
    for row in &lines[2..8] {
        let numbers = row[lines[1].find("last").expect("a heading")..].split_whitespace();
        assert_eq!(
            numbers
                .filter(|word| word.trim_start_matches('…').parse::<f32>().is_ok())
                .count(),
            6
        );
    }
    assert!(lines[8].starts_with("pooler_output [36]  "));
    assert_eq!(lines[9], "hidden_states [1, 6, 36]");
    assert!(lines[10].starts_with("embedding [36]  "));
}

#[test]
fn it_shows_the_numbers_of_the_json() {
    let place = Place::new();
    let record = place.print(&["--fields", "pooler_output", "she"]);
    let record: serde_json::Value = serde_json::from_str(&record).expect("a record");
    let vector = super::flat(&record["pooler_output"]);
    let shown = |range: std::ops::Range<usize>| {
        let numbers = vector[range].iter();
        let texts: Vec<_> = numbers.map(|number| format!("{number:>9.4}")).collect();
        texts.concat()
    };
    let line = format!("pooler_output [36]  {}  …{}\n", shown(0..3), shown(33..36));
    let printed = place.print(&["--preview", "--fields", "pooler_output", "she"]);
    assert!(printed.contains(&line), "{printed}\n{line}");
}
