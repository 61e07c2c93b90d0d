//! The rules of the source that no lint checks: one name for one type, lines that fit, one word for
//! what went wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::sources::{is_one_of, source_files};

/// The longest line, in characters; rustfmt leaves comments and strings as they are.
const COLUMNS: usize = 100;

/// What an error says in other words than "could not".
const OTHER_WORDS: [&str; 6] = [
    "os error",
    "failed to",
    "cannot",
    "can't",
    "unable to",
    "couldn't",
];

/// Lines that may hold one of these words: file, part of the line, and the reason.
const ALLOWED: [(&str, &str, &str); 1] = [(
    "error.rs",
    r#"" (os error ""#,
    "takes the number of the system's error away",
)];

/// The files of `src` with one of these endings, tests left out: path and text. The naive versions
/// that the kernels are compared with are tests too.
fn sources(endings: &[&str]) -> impl Iterator<Item = (String, String)> {
    let files = source_files(endings).into_iter();
    files
        .filter(|(path, _)| !is_one_of(path, &["tests", "tests.rs", "oracle"]))
        .map(|(path, text)| (path.display().to_string(), text))
}

/// The text before the tests at its end.
fn without_tests(text: &str) -> &str {
    let parts = text.split_once("#[cfg(test)]\nmod tests {");
    parts.map_or(text, |(before, _)| before)
}

/// The type that `line` defines. An associated type is none, and only that is indented.
fn type_name(line: &str) -> Option<&str> {
    let line = line.trim_end();
    let is_indented = line.starts_with(' ');
    let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
    let keywords = ["pub", "crate", "super", "unsafe", "", "in"];
    let keyword = words.by_ref().find(|word| !keywords.contains(word))?;
    let defines = match keyword {
        "struct" | "enum" | "trait" | "union" => true,
        "type" => !is_indented,
        _ => false,
    };
    // A macro has `$name` instead.
    defines
        .then(|| words.next())
        .flatten()
        .filter(|name| !name.is_empty())
}

fn other_words(line: &str) -> bool {
    let code = line.trim_start();
    let strings = code.split('"').skip(1).step_by(2);
    let is_comment = code.starts_with("//");
    let said = |text: &str| OTHER_WORDS.iter().any(|words| text.contains(words));
    !is_comment && strings.into_iter().any(said)
}

#[test]
fn no_type_name_is_defined_twice() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in sources(&["rs"]) {
        for name in without_tests(&text).lines().filter_map(type_name) {
            places
                .entry(name.to_owned())
                .or_default()
                .push(path.clone());
        }
    }
    assert!(places.len() > 200, "{} types", places.len());
    places.retain(|_, paths| paths.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}

#[test]
fn no_line_is_longer_than_a_hundred_columns() {
    let mut found = Vec::new();
    for (path, text) in sources(&["rs"]) {
        for (number, line) in (1..).zip(text.lines()) {
            if line.chars().count() > COLUMNS {
                found.push(format!("{path}:{number}: {line}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn an_error_says_could_not() {
    let mut found = Vec::new();
    for (path, text) in sources(&["rs"]) {
        let lines = (1..).zip(without_tests(&text).lines());
        for (number, line) in lines.filter(|(_, line)| other_words(line)) {
            let mut allowed = ALLOWED.iter();
            if !allowed.any(|(file, part, _)| path == *file && line.contains(part)) {
                found.push(format!("{path}:{number}: {line}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The paths in backticks that `text` names: folders, and files with one of these endings.
fn named_paths(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_path = |name: &&str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        let has_ending = [".rs", ".sh", ".py", ".toml"]
            .iter()
            .any(|it| name.ends_with(it));
        name.chars().all(is_plain) && (has_ending || name.ends_with('/'))
    };
    quoted.filter(is_path).collect()
}

#[test]
fn the_map_in_lib_rs_names_files_that_exist_and_every_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("src/lib.rs")).expect("lib.rs");
    let docs: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("//!"))
        .collect();
    let docs = docs.join("\n");
    let paths = named_paths(&docs);
    assert!(paths.len() > 30, "{} paths", paths.len());
    for path in &paths {
        let is_there = root.join("src").join(path).exists() || root.join(path).exists();
        assert!(is_there, "lib.rs names `{path}`");
    }
    for entry in fs::read_dir(root.join("src")).expect("src") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("UTF-8");
        let slash = if entry.path().is_dir() { "/" } else { "" };
        let name = format!("{name}{slash}");
        assert!(
            name == "lib.rs" || paths.contains(&name.as_str()),
            "no word about {name}"
        );
    }
}

#[test]
fn the_tables_of_tests_readme_name_files_that_exist() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let text = fs::read_to_string(tests.join("README.md")).expect("tests/README.md");
    let paths = named_paths(&text);
    assert!(paths.len() > 60, "{} paths", paths.len());
    let folders = [
        "",
        "end_to_end",
        "end_to_end/binary",
        "end_to_end/binary/contract",
        "fixtures",
    ];
    for path in paths {
        let mut places = folders.iter().map(|folder| tests.join(folder).join(path));
        assert!(
            places.any(|place| place.exists()),
            "tests/README.md names `{path}`"
        );
    }
}

#[test]
fn the_rules_find_what_breaks_them() {
    for (line, name) in [
        ("pub(crate) struct Batch<'a> {", Some("Batch")),
        ("    enum Inner {", Some("Inner")),
        ("pub unsafe trait Lanes: Copy {", Some("Lanes")),
        ("type Items = Vec<u8>;", Some("Items")),
        ("    type Output = u8;", None),
        ("/// The struct Batch", None),
        ("    let structure = 1;", None),
    ] {
        assert_eq!(type_name(line), name, "{line}");
    }
    assert_eq!(
        named_paths("`a/b.rs`, `c` and `d/`, `e f.rs`"),
        ["a/b.rs", "d/"]
    );
    assert!(other_words(
        r#"    return refuse("the file cannot be read");"#
    ));
    assert!(!other_words("    // It cannot be read."));
    assert!(!other_words(r#"    cannot("could not read the file")"#));
}
