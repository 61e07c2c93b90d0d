//! The modules of a sentence-transformers model, as `modules.json` lists them, and the folders that
//! they lie in.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::directory::{is_inside, is_there};
use super::files::{CONFIG, MAX_SMALL_BYTES, MODULES, OPTIONAL};
use super::local_file;
use super::weight_files::WeightFormat;

/// One module of sentence-transformers, as `modules.json` lists them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ListedModule {
    /// Its folder, without a slash behind it; empty for the model's directory itself.
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
    /// The class without the packages that it lies in.
    pub(crate) fn class(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or(&self.class)
    }

    /// Whether it has weights of its own.
    #[cfg(feature = "hub")]
    pub(crate) fn has_weights(&self) -> bool {
        self.class() == "Dense"
    }
}

/// The modules of sentence-transformers in `directory`; none if there is no usable list of them.
pub(crate) fn listed(directory: &Path) -> Vec<ListedModule> {
    let content = local_file::read(&directory.join(MODULES), MAX_SMALL_BYTES);
    let modules = content
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let modules: Vec<ListedModule> = modules.unwrap_or_default();
    if modules.iter().all(|module| is_inside(&module.path)) {
        return modules;
    }
    Vec::new()
}

/// What `root` holds beside the model in `directory` that changes a sentence vector: the list of
/// modules, if the model lies in a folder, and the modules' own files.
pub(crate) fn files(root: &Path, directory: &Path) -> Vec<String> {
    let of_root = OPTIONAL.iter().filter(|_| root != directory);
    let of_root = of_root.map(|file| (*file).to_owned());
    let folders = listed(root).into_iter().map(|module| module.path);
    let folders = folders.filter(|path| !path.is_empty() && root.join(path) != directory);
    let of_modules = folders.flat_map(|path| {
        let weights = WeightFormat::ALL.map(WeightFormat::whole);
        let files = std::iter::once(CONFIG).chain(weights);
        files.map(move |file| format!("{path}/{file}"))
    });
    let files = of_root.chain(of_modules);
    files.filter(|file| is_there(root, file)).collect()
}

/// Where the model itself lies in `root`: the first releases of sentence-transformers put it into a
/// folder such as `0_Transformer`.
pub(crate) fn model_directory(root: &Path) -> PathBuf {
    let modules = listed(root);
    let first = modules.first().filter(|module| !module.path.is_empty());
    let folder = first.map(|module| root.join(&module.path));
    folder
        .filter(|folder| is_there(folder, CONFIG))
        .unwrap_or_else(|| root.to_path_buf())
}
