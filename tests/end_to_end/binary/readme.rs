//! Every `sh` and `python` block of README.md runs as it is written, in order, in one directory.
//!
//! The default model cannot be downloaded here, so `BERT_EMBED_MODEL` names all-MiniLM-L6-v2.

use std::path::Path;
use std::process::Command;

use crate::support::command::run;

/// The language and the text of each fenced block.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(_) if inside => inside = false,
            Some(language) => {
                inside = true;
                blocks.push((language, String::new()));
            }
            None if inside => {
                let (_, text) = blocks.last_mut().expect("a block has begun");
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    blocks
}

#[test]
#[ignore = "needs BERT_EMBED_MINILM (tests/fixtures/minilm.sh) and BERT_EMBED_PYTHON \
            (tests/fixtures/readers.txt)"]
fn every_command_of_the_readme_runs() {
    let model = std::env::var("BERT_EMBED_MINILM").expect("BERT_EMBED_MINILM names the model");
    let python = std::env::var("BERT_EMBED_PYTHON").expect("BERT_EMBED_PYTHON names a Python");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let page = std::fs::read_to_string(page).expect("README.md");
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = |program: &str| Path::new(program).parent().expect("a directory").to_owned();
    let directories = [
        path(env!("CARGO_BIN_EXE_bert-embed")),
        path(&python),
        "/usr/local/bin".into(),
        "/usr/bin".into(),
        "/bin".into(),
    ];
    let path = std::env::join_paths(directories).expect("a PATH");
    let mut count = 0;
    for (language, text) in blocks(&page) {
        let program = match language {
            "sh" => "bash",
            "python" => python.as_str(),
            _ => continue,
        };
        let file = place.path().join(format!("block.{language}"));
        std::fs::write(&file, &text).expect("the block is written");
        let mut command = Command::new(program);
        if language == "sh" {
            command.args(["-euo", "pipefail"]);
        }
        command
            .arg(&file)
            .env_clear()
            .env("HOME", place.path())
            .env("LANG", "C.UTF-8")
            .env("PATH", &path)
            .env("BERT_EMBED_MODEL", &model)
            .current_dir(place.path())
            .stdin(std::process::Stdio::null());
        let (code, stdout, stderr) = run(&mut command);
        assert_eq!(code, 0, "this block failed:\n{text}\n{stdout}{stderr}");
        count += 1;
    }
    assert!(count >= 10, "README.md has only {count} blocks");
    eprintln!("README.md: {count} blocks ran");
}
