//! The build script: tells the program the commit that it is built from, for `--version`.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=Cargo.toml");
    println!("cargo:rerun-if-env-changed=BERT_EMBED_COMMIT");
    let commit = std::env::var("BERT_EMBED_COMMIT").ok().or_else(from_git);
    // Without a repository, as in a package, the version must do.
    println!(
        "cargo:rustc-env=BERT_EMBED_COMMIT={}",
        commit.unwrap_or_default()
    );
}

fn from_git() -> Option<String> {
    let output = Command::new("git")
        .args(["rev-parse", "--short=10", "HEAD"])
        .output()
        .ok()?;
    let commit = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| commit.trim().to_owned())
}
