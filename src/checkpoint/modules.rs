//! The modules of a sentence-transformers model, as `modules.json` lists them, and their folders.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::directory::{has, is_plain_name, read_optional};
use super::files::{
    CONFIG, MAX_SMALL_BYTES, MODULES, OPTIONAL, SENTENCE_CONFIG, SENTENCE_CONFIGS, TOKENIZER,
    VOCAB_JSON, VOCABULARY,
};
use super::weight_files::WeightFormat;

/// One module of sentence-transformers, as `modules.json` lists them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ListedModule {
    /// Its folder, without a trailing slash; empty for the model's directory itself.
    #[serde(deserialize_with = "without_slash")]
    pub(crate) path: String,
    /// Its Python class.
    #[serde(rename = "type")]
    pub(crate) class: String,
}

fn without_slash<'a, D: Deserializer<'a>>(path: D) -> std::result::Result<String, D::Error> {
    let path = String::deserialize(path)?;
    Ok(path.trim_end_matches('/').to_owned())
}

impl ListedModule {
    /// The class without its packages.
    pub(crate) fn class(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or(&self.class)
    }

    /// Whether its folder has weights.
    pub(crate) fn has_weights(&self) -> bool {
        self.class() == "Dense"
    }
}

/// The modules in `directory`; none if it has no usable list of them.
pub(crate) fn listed(directory: &Path) -> Vec<ListedModule> {
    let content = read_optional(directory, MODULES, MAX_SMALL_BYTES)
        .ok()
        .flatten();
    let modules = content.and_then(|text| serde_json::from_slice(&text).ok());
    let is_inside =
        |modules: &Vec<ListedModule>| modules.iter().all(|module| is_plain_name(&module.path));
    modules.filter(is_inside).unwrap_or_default()
}

/// The files in `root`, outside the model's own `directory`, that change a sentence vector: the
/// list of modules, if the model is in a folder, and the modules' files.
pub(crate) fn files(root: &Path, directory: &Path) -> Vec<String> {
    let of_root = OPTIONAL.iter().chain(&SENTENCE_CONFIGS);
    let of_root = of_root.filter(|_| root != directory);
    let of_root = of_root.map(|file| (*file).to_owned());
    let folders = listed(root).into_iter().map(|module| module.path);
    let folders = folders.filter(|path| !path.is_empty() && root.join(path) != directory);
    let of_modules = folders.flat_map(|path| {
        let weights = WeightFormat::ALL.map(WeightFormat::whole);
        let files = std::iter::once(CONFIG).chain(weights);
        files.map(move |file| format!("{path}/{file}"))
    });
    let files = of_root.chain(of_modules);
    files.filter(|file| has(root, file)).collect()
}

/// The files in `root` that loading consults, the model's own in `directory` among them: each may
/// be missing from a repository, and changes the vectors if it is not. Of files that replace each
/// other, those after the one that exists are not consulted.
pub(crate) fn consulted(root: &Path, directory: &Path, weights: bool) -> Vec<String> {
    let of_model = directory.strip_prefix(root).unwrap_or(Path::new(""));
    let modules = listed(root);
    let alternatives = |folder: &Path, files: &[&'static str]| -> Vec<PathBuf> {
        let present = files.iter().position(|file| has(&root.join(folder), file));
        let files = &files[..present.unwrap_or(files.len())];
        files.iter().map(|file| folder.join(file)).collect()
    };
    let mut files = alternatives(of_model, &[TOKENIZER, VOCABULARY, VOCAB_JSON]);
    for file in OPTIONAL {
        files.push(file.into());
        files.push(of_model.join(file));
    }
    if !modules.is_empty() && !has(directory, SENTENCE_CONFIG) {
        files.extend(alternatives(of_model, &SENTENCE_CONFIGS));
    }
    for module in modules.iter().filter(|module| !module.path.is_empty()) {
        let folder = Path::new(&module.path);
        files.push(folder.join(CONFIG));
        if weights && module.has_weights() {
            files.extend(alternatives(
                folder,
                &WeightFormat::ALL.map(WeightFormat::whole),
            ));
        }
    }
    let names: BTreeSet<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    names.into_iter().collect()
}

/// The directory of the model itself: the first releases of sentence-transformers put it into a
/// folder such as `0_Transformer`.
pub(crate) fn model_directory(root: &Path) -> PathBuf {
    let modules = listed(root);
    let first = modules.first().filter(|module| !module.path.is_empty());
    let folder = first.map(|module| root.join(&module.path));
    folder
        .filter(|folder| has(folder, CONFIG))
        .unwrap_or_else(|| root.to_path_buf())
}
