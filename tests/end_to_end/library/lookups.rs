//! "Not there" and "could not look" are two answers: no line of `src` takes one for the other.

use crate::support::sources::source_files;

/// Calls that ask the system about a file.
const QUESTIONS: [&str; 9] = [
    "metadata(",
    "try_exists(",
    "read_link(",
    "canonicalize(",
    "read_dir(",
    "File::open(",
    "fs::read(",
    "fs::read_to_string(",
    "is_in_place(",
];

/// What makes an error disappear; a `match` on its kind does not.
const FORGETS: [&str; 8] = [
    ".ok()",
    ".is_ok()",
    ".is_err()",
    ".is_ok_and(",
    ".map_or(",
    ".unwrap_or",
    ".into_iter()",
    ".is_err_and(",
];

/// `Path`'s methods that answer "no" to every error; those of `Metadata` have the same names.
const SHORT_CUTS: [&str; 4] = [".exists()", ".is_dir()", ".is_file()", ".is_symlink()"];

/// What a variable with metadata is called.
const METADATA: [&str; 5] = ["metadata", "kind", "there", "file_type", "entry"];

#[test]
fn no_failed_look_is_taken_for_a_file_that_is_not_there() {
    let mut found = Vec::new();
    for (path, text) in source_files(&["rs"]) {
        let code: String = text
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .map(|line| line.split("//").next().unwrap_or(line).trim())
            .collect();
        for offence in forgotten(&code).into_iter().chain(short_cuts(&code)) {
            found.push(format!("{}: {offence}", path.display()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_forms_that_forget_an_error_are_found() {
    for code in [
        "fs::metadata(&path(x)).map_or(0, |it| it.len())",
        "fs::symlink_metadata(path).is_ok()",
        "let entries = fs::read_dir(x).into_iter().flatten();",
        "path.canonicalize().ok()",
    ] {
        assert_eq!(forgotten(code).len(), 1, "{code}");
    }
    for code in [
        "path.exists()",
        "directory.join(NAME).is_file()",
        "x.is_dir()",
    ] {
        assert_eq!(short_cuts(code).len(), 1, "{code}");
    }
    for code in [
        "fs::metadata(path)?.len()",
        "metadata.is_dir()",
        "path.try_exists()?",
    ] {
        assert!(
            forgotten(code).is_empty() && short_cuts(code).is_empty(),
            "{code}"
        );
    }
}

/// Questions whose error is thrown away.
fn forgotten(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for question in QUESTIONS {
        for (at, _) in code.match_indices(question) {
            let end = end_of_call(code, at + question.len());
            let rest = &code[end..];
            if FORGETS.iter().any(|forgets| rest.starts_with(forgets)) {
                found.push(shown(code, at, end));
            }
        }
    }
    found
}

/// Where the call ends whose arguments begin at `at`.
fn end_of_call(code: &str, at: usize) -> usize {
    let mut depth = 1;
    for (offset, letter) in code[at..].char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + offset + 1;
        }
    }
    code.len()
}

fn short_cuts(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for short_cut in SHORT_CUTS {
        for (at, _) in code.match_indices(short_cut) {
            let before = &code[..at];
            let is_of_metadata = METADATA.iter().any(|name| before.ends_with(name))
                || before.ends_with("file_type()")
                || before.ends_with(")?");
            if !is_of_metadata {
                found.push(shown(code, at, at + short_cut.len()));
            }
        }
    }
    found
}

/// A few words around an offence.
fn shown(code: &str, start: usize, end: usize) -> String {
    let start = (0..=start.saturating_sub(40))
        .rev()
        .find(|&at| code.is_char_boundary(at));
    let end = (end + 30..code.len()).find(|&at| code.is_char_boundary(at));
    code[start.unwrap_or(0)..end.unwrap_or(code.len())].to_owned()
}
