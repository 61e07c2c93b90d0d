//! The build script: passes the commit to the program, for `--version`, and warns of a build
//! without optimization.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=Cargo.toml");
    println!("cargo:rerun-if-env-changed=BERT_EMBED_COMMIT");
    if std::env::var("OPT_LEVEL").as_deref() == Ok("0") {
        println!(
            "cargo::warning=bert-embed is compiled without optimization and is about 40 times \
             slower; in Cargo.toml: [profile.dev.package.bert-embed] opt-level = 3"
        );
    }
    let commit = std::env::var("BERT_EMBED_COMMIT").ok().or_else(|| {
        watch_head();
        git(&["rev-parse", "--short=10", "HEAD"])
    });
    // Without a repository, as in a package, the version must do.
    println!(
        "cargo:rustc-env=BERT_EMBED_COMMIT={}",
        commit.unwrap_or_default()
    );
}

/// Lets Cargo run this script again after a commit or a checkout. Asks git for the files, because
/// `.git` is not a directory in a worktree.
fn watch_head() {
    watch(git(&["rev-parse", "--git-path", "HEAD"]));
    let Some(branch) = git(&["symbolic-ref", "--quiet", "HEAD"]) else {
        return;
    };
    let Some(file) = git(&["rev-parse", "--git-path", &branch]) else {
        return;
    };
    if watch(Some(file.clone())) {
        return;
    }
    // The branch is a line of `packed-refs`. The next commit creates its file in this directory.
    watch(git(&["rev-parse", "--git-path", "packed-refs"]));
    let mut directories = Path::new(&file).ancestors().skip(1);
    let directory = directories.find(|path| is_there(path));
    watch(directory.map(|path| path.display().to_string()));
}

/// Watches `path` and returns whether it exists: Cargo would run this script in every build for a
/// missing one.
fn watch(path: Option<String>) -> bool {
    let Some(path) = path.filter(|path| is_there(Path::new(path))) else {
        return false;
    };
    println!("cargo:rerun-if-changed={path}");
    true
}

fn is_there(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(true))
}

/// What git answers; `None` without git or a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| answer.trim().to_owned())
}
