//! Usage: what cannot be meant is refused with exit code 2, before anything is read.

use std::fs;

use super::Place;
use crate::support::command::{bert_embed, run};

/// The program's words for one mistake: what was typed and the first line of what is told.
const MISTAKES: [(&[&str], &str); 28] = [
    (
        &["a", "-f", "x"],
        "TEXT arguments and --file were both given: texts come from one source",
    ),
    (
        &["-"],
        "a lone TEXT `-` is ambiguous: it would be embedded as a text",
    ),
    (
        &["--pair", "b"],
        "--pair needs exactly one TEXT argument: got 0",
    ),
    (
        &["--pair", "b", "a", "c"],
        "--pair needs exactly one TEXT argument: got 2",
    ),
    (&["--pair-separator", "", "a"], "--pair-separator is empty"),
    (
        &["--pair-separator", "|", "--input-format", "jsonl"],
        "--pair-separator and --input-format jsonl do not go together",
    ),
    (
        &["--pair-separator", "|", "-f", "x.txt", "-f", "x.ndjson"],
        "--pair-separator is for lines of text: `x.ndjson` is read as jsonl by its ending",
    ),
    (
        &["--input-format", "lines", "a"],
        "--input-format is for files and standard input: a TEXT argument is one text",
    ),
    (
        &["--resume", "--format", "json", "-o", "x", "a"],
        "--resume and --format json do not go together: the document is written in one piece",
    ),
    (
        &["--resume", "--preview", "a"],
        "--resume and --preview do not go together: a preview is printed, not kept",
    ),
    (
        &["--resume", "--preview", "-o", "x", "a"],
        "the argument '--preview' cannot be used with '--output <FILE>'",
    ),
    (
        &["--fields", "embedding", "a"],
        "the field `embedding` needs --pooling",
    ),
    (
        &["--fields", "nope", "a"],
        "invalid value 'nope' for '--fields <LIST>' [possible values: index, ",
    ),
    (
        &["--format", "xml", "a"],
        "invalid value 'xml' for '--format <FORMAT>' [possible values: jsonl, json",
    ),
    (
        &["--max-length", "0", "a"],
        "invalid value '0' for '--max-length <N>': allowed are 3 (`[CLS]`, one token of the text, `[SEP]`) to the model's max_position_embeddings",
    ),
    (
        &["--max-length", "1", "a"],
        "invalid value '1' for '--max-length <N>': allowed are 3 (`[CLS]`, one token of the text, `[SEP]`) to the model's max_position_embeddings",
    ),
    (
        &["--max-length", "2", "a"],
        "invalid value '2' for '--max-length <N>': allowed are 3 (`[CLS]`, one token of the text, `[SEP]`) to the model's max_position_embeddings",
    ),
    (
        &["--max-length", "abc", "a"],
        "invalid value 'abc' for '--max-length <N>': allowed are 3 (",
    ),
    (
        &["--threads", "0", "a"],
        "invalid value '0' for '--threads <N>': 0 is not in 1..=1024",
    ),
    (
        &["--batch-tokens", "0", "a"],
        "invalid value '0' for '--batch-tokens <N>': 0 is not in 1..",
    ),
    (
        &["--device", "gpu", "a"],
        "invalid value 'gpu' for '--device <DEVICE>': possible values: auto",
    ),
    (
        &["--layers", "x", "a"],
        "invalid value 'x' for '--layers <LIST>': allowed are numbers, ranges like 1-4 or -4--1, and all",
    ),
    (
        &["--layer-merge", "mean", "a"],
        "--layer-merge needs --layers",
    ),
    (
        &[
            "--fields",
            "attentions",
            "--layers",
            "1",
            "--layer-merge",
            "sum",
            "a",
        ],
        "--layer-merge merges hidden states, but the only field of layers is `attentions`",
    ),
    (
        &["--pooling", "pooler", "--layers", "1", "a"],
        "--pooling pooler and --layers do not go together: it is computed from the last layer",
    ),
    (
        &["--pooling", "model", "--layers", "1", "a"],
        "--pooling model and --layers do not go together: it is computed from the last layer",
    ),
    (&["--normalize", "a"], "--normalize needs --pooling"),
    (&["--nope", "a"], "unexpected argument '--nope' found"),
];

#[test]
fn a_mistake_on_the_command_line_is_one_line_and_at_most_one_tip() {
    let place = Place::empty();
    for (typed, words) in MISTAKES {
        let (code, stdout, stderr) = place.run(typed);
        assert_eq!((code, stdout.as_str()), (2, ""), "{typed:?}: {stderr}");
        let lines: Vec<_> = stderr.lines().collect();
        assert!(lines[0].starts_with(&format!("error: {words}")), "{stderr}");
        assert!(!lines[0].ends_with('.'), "{stderr}");
        let tips = lines[1..].iter().all(|line| line.starts_with("  tip: "));
        assert!(lines.len() <= 2 && tips, "{stderr}");
    }
}

#[test]
fn what_the_model_has_not_is_refused_before_its_weights_are_read() {
    let place = Place::new();
    place.write("model/model.safetensors", "no weights");
    place.assert_refused(
        &["--layers", "4", "a"],
        2,
        "error: the model has no layer 4: it has 3 layers, so 0 to 3 or -1 to -4 are allowed\n",
    );
    place.assert_refused(
        &["--layers", "0,-5", "a"],
        2,
        "error: the model has no layer -5: it has 3 layers, so 0 to 3 or -1 to -4 are allowed\n",
    );
    for options in [["--pooling", "mean"], ["--word-pooling", "mean"]] {
        place.assert_refused(
            &[&options[..], &["--layers", "1-3", "a"]].concat(),
            2,
            "error: could not pool 3 layers: only one can be pooled\n  \
             tip: merge them with --layer-merge mean, sum or concat\n",
        );
    }
    place.assert_refused(
        &["--layers", "3-1", "a"],
        2,
        "error: --layers 3-1 is empty: layer 3 comes after layer 1\n",
    );
    place.assert_refused(
        &["--pooling", "mean", "--truncate-dim", "37", "a"],
        2,
        "error: --truncate-dim is 37: `embedding` has 36 values\n",
    );
    place.assert_refused(
        &["--max-length", "132", "a"],
        2,
        "error: --max-length is 132: the model has 131 positions\n",
    );
}

#[test]
fn an_output_that_cannot_be_written_is_told_before_the_model_is_looked_for() {
    let place = Place::empty();
    place.write("in.txt", "a\n");
    fs::create_dir(place.path().join("directory")).expect("created");
    let cases = [
        (
            "missing/out",
            "`missing/out`: there is no directory `missing`",
        ),
        ("directory", "`directory`: it is a directory"),
        ("in.txt", "`in.txt`: it is also the input `in.txt`"),
        ("in.txt/out", "`in.txt/out`: there is no directory `in.txt`"),
    ];
    for (output, words) in cases {
        let words = format!("error: could not write {words}\n");
        let arguments = ["-f", "in.txt", "--format", "jsonl", "-o", output];
        place.assert_refused(&arguments, 7, &words);
    }
    assert_eq!(place.read("in.txt"), "a\n");
    assert_eq!(place.names(), ["directory", "in.txt"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_takes_no_files_is_told_by_its_name() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::empty();
    let closed = place.path().join("closed");
    fs::create_dir(&closed).expect("created");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).expect("closed");
    // Root may write anywhere but in the system's own directories.
    let is_root = fs::write(closed.join("probe"), "").is_ok();
    let directory = if is_root { "/sys/kernel" } else { "closed" };
    let output = format!("{directory}/out");
    let (code, stdout, stderr) = place.run(&["-o", &output, "a"]);
    assert_eq!((code, stdout.as_str()), (7, ""), "{stderr}");
    let told = stderr.starts_with(&format!("error: could not write `{output}`: "))
        && stderr.contains(&format!("the directory `{directory}` "))
        && stderr.ends_with(": permission denied\n");
    assert!(told, "{stderr}");
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_given_on_a_terminal_is_a_usage_error_and_no_waiting() {
    let place = Place::empty();
    let program = env!("CARGO_BIN_EXE_bert-embed");
    // `script` gives its command a terminal for standard input.
    let output = std::process::Command::new("script")
        .args(["-qec", &format!("'{program}' --offline"), "typescript"])
        .current_dir(place.path())
        .stdin(std::process::Stdio::null())
        .output();
    let output = output.expect("`script` of bsdutils gives a terminal");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        told.contains("error: no text was given: neither TEXT nor --file"),
        "{told}"
    );
    assert!(
        told.contains("  tip: bert-embed \"a sentence\", or bert-embed --help"),
        "{told}"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn an_option_of_other_tools_names_ours() {
    let place = Place::empty();
    for (theirs, ours) in [
        ("--output-format", "--format"),
        ("--batch_size", "--batch-tokens"),
    ] {
        let words = format!("error: unexpected argument '{theirs}' found\n  tip: use `{ours}`\n");
        place.assert_refused(&[theirs, "x", "text"], 2, &words);
    }
}

#[test]
fn defaults_come_from_the_environment_and_an_option_is_stronger() {
    let place = Place::new();
    let run_with = |variable: &str, value: &str, arguments: &[&str]| {
        let mut command = bert_embed(place.path());
        run(command
            .env(variable, value)
            .arg("--offline")
            .args(arguments))
    };
    let (code, _, stderr) = run_with("BERT_EMBED_MODEL", "model", &["a"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let (code, _, stderr) = run_with("BERT_EMBED_MODEL", "nowhere/such", &["-m", "model", "a"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for variable in ["BERT_EMBED_DEVICE", "BERT_EMBED_THREADS"] {
        let (code, _, stderr) = run_with(variable, "wrong", &["-m", "model", "a"]);
        assert_eq!(code, 2, "{variable}");
        assert!(
            stderr.starts_with("error: invalid value 'wrong' for '--"),
            "{stderr}"
        );
    }
    let (code, _, stderr) = run_with("BERT_EMBED_THREADS", "2", &["--man"]);
    assert_eq!(
        (code, stderr.as_str()),
        (0, ""),
        "a default is no contradiction"
    );
    let (code, _, stderr) = run_with("BERT_EMBED_DEVICE", "cpu", &["-m", "model", "--info"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let (code, _, stderr) = run_with("BERT_EMBED_THREADS", "", &["-m", "model", "a"]);
    assert_eq!(
        (code, stderr.as_str()),
        (0, ""),
        "an empty variable is none"
    );
    let typed = ["-m", "model", "--info", "--threads", "2"];
    let (code, _, stderr) = run_with("BERT_EMBED_THREADS", "2", &typed);
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn the_version_tells_what_else_makes_one_build_unlike_another() {
    let place = Place::empty();
    let (code, stdout, _) = run(bert_embed(place.path()).arg("--version"));
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!((code, lines.len()), (0, 3), "{stdout}");
    assert!(
        lines[0].starts_with(concat!("bert-embed ", env!("CARGO_PKG_VERSION"))),
        "{stdout}"
    );
    assert!(lines[1].starts_with("features: "), "{stdout}");
    let instructions = lines[2].strip_prefix("instructions: ");
    let known = ["portable", "avx2", "avx512"];
    assert!(
        instructions.is_some_and(|level| known.contains(&level)),
        "{stdout}"
    );
}

#[test]
fn a_terminal_gets_a_line_with_what_was_done_unless_quiet() {
    let place = Place::new();
    let program = env!("CARGO_BIN_EXE_bert-embed");
    let told = |option: &str| {
        let command = format!("'{program}' --offline -m model {option} a b > records");
        let output = std::process::Command::new("script")
            .args(["-qec", &command, "typescript"])
            .current_dir(place.path())
            .stdin(std::process::Stdio::null())
            .output();
        let output = output.expect("`script` of bsdutils gives a terminal");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let words = told("");
    assert!(words.contains("done: 2 texts, 6 tokens, "), "{words}");
    assert!(words.contains(" tokens/s"), "{words}");
    assert_eq!(place.read("records").lines().count(), 2);
    assert_eq!(told("--quiet"), "");
}
