//! The source files of the product, for tests that read them.

use std::fs;
use std::path::{Path, PathBuf};

/// All files below `src` with one of these endings, sorted: path below `src`, and text.
pub fn source_files(endings: &[&str]) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut directories, mut files) = (vec![root.clone()], Vec::new());
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if path.is_dir() {
                directories.push(path);
            } else if ending.is_some_and(|ending| endings.contains(&ending)) {
                let text = fs::read_to_string(&path).expect("a file of text");
                let path = path.strip_prefix(&root).expect("below src");
                files.push((path.to_owned(), text));
            }
        }
    }
    files.sort();
    files
}

/// Whether one of these is the file at `path`, or a folder that it lies in.
pub fn is_one_of(path: &Path, names: &[&str]) -> bool {
    path.iter()
        .any(|part| names.iter().any(|name| part == *name))
}
