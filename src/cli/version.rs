//! `--version`: version, commit, features of this build, and the instruction set it uses.

use std::sync::LazyLock;

use crate::ops::Level;

/// The optional features, and whether this build has them.
const FEATURES: [(&str, bool); 3] = [
    ("hub", cfg!(feature = "hub")),
    ("parquet", cfg!(feature = "parquet")),
    ("cuda", cfg!(feature = "cuda")),
];

pub(super) static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let features = FEATURES.iter().filter(|(_, is_on)| *is_on);
    let features: Vec<_> = features.map(|(name, _)| *name).collect();
    format!(
        "{}\nfeatures: {}\ninstructions: {}",
        program(),
        if features.is_empty() {
            "none".to_owned()
        } else {
            features.join(", ")
        },
        format!("{:?}", Level::current()).to_lowercase(),
    )
});

/// The version, and the commit if known: two commits of one version may differ in the last digits.
pub(crate) fn program() -> String {
    let version = env!("CARGO_PKG_VERSION");
    match env!("BERT_EMBED_COMMIT") {
        "" => version.to_owned(),
        commit => format!("{version} (commit {commit})"),
    }
}
