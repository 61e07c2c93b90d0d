//! From what the user typed as a model to one directory that holds it: a local directory, a
//! snapshot in the cache, or a download into the cache, in this order.

use std::path::{Path, PathBuf};

use super::cache::RepositoryCache;
use super::environment::Environment;
use super::repository::{Commit, RepositoryId, Revision};
use crate::checkpoint::files::{self, Lack};
use crate::error::{Error, Kind, Result};

/// What the user asks for.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// A hub id or a directory, as typed.
    pub model: &'a str,
    /// A branch, a tag or a commit; a local directory has none.
    pub revision: &'a str,
    /// `--cache-dir`, before every variable.
    pub cache_dir: Option<&'a Path>,
    /// `--offline`: no download.
    pub offline: bool,
    /// Whether the weights are needed.
    pub weights: bool,
    /// Whether a download draws a progress bar on stderr.
    pub progress: bool,
}

/// One directory with the files of one version of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Where `config.json` and the rest are.
    pub directory: PathBuf,
    /// The hub id, or the directory as typed.
    pub model: String,
    /// The commit; none for a local directory.
    pub commit: Option<String>,
}

/// Finds the model's files, and downloads them where they are neither local nor in the cache.
/// A model in the cache makes no network access.
///
/// # Errors
/// [`Kind::Usage`] for a name that can be neither directory nor hub id, [`Kind::Model`] for a local
/// directory that lacks files, [`Kind::Hub`] where the cache lacks them and they cannot be
/// downloaded, [`Kind::HubRefused`] where the hub says that they are not to be had.
pub fn locate(source: &Source, environment: &Environment) -> Result<Snapshot> {
    if let Some(directory) = local_directory(source.model, environment) {
        return local(source, directory);
    }
    let id = RepositoryId::parse(source.model)?;
    let revision = Revision::parse(source.revision)?;
    let root = environment.cache_directory(source.cache_dir)?;
    let cache = RepositoryCache::new(root, &id);
    match cache.find(&revision, source.weights) {
        Ok(commit) => Ok(snapshot(&cache, &id, &commit)),
        Err(lack) if source.offline || environment.offline => Err(offline(source, &cache, &lack)),
        Err(lack) => fetch(source, environment, &cache, (&id, &revision), &lack),
    }
}

/// The directory that `model` names, if it is a path rather than a hub id.
fn local_directory(model: &str, environment: &Environment) -> Option<PathBuf> {
    let path = Path::new(model);
    let looks_like_path = model.starts_with(['.', '/', '~']) || path.is_absolute();
    (looks_like_path || (!model.is_empty() && path.exists())).then(|| environment.expand(path))
}

fn local(source: &Source, directory: PathBuf) -> Result<Snapshot> {
    let what = format!("cannot use model directory `{}`", source.model);
    let fail = |cause: &str| Error::message(Kind::Model, cause).context(&what);
    match directory.metadata() {
        Err(error) => return Err(fail(&error.to_string())),
        Ok(metadata) if !metadata.is_dir() => return Err(fail("it is not a directory")),
        Ok(_) => {}
    }
    if let Err(lack) = files::complete(&directory, source.weights, local_file) {
        if directory.join(files::PICKLE).exists() && matches!(lack, Lack::Missing(_)) {
            return Err(only_pickle().context(&what));
        }
        return Err(fail(&lack.to_string()));
    }
    Ok(Snapshot {
        directory,
        model: source.model.to_owned(),
        commit: None,
    })
}

/// Whether `path` is a file or a link to one; a local directory may link to wherever it likes.
fn local_file(path: &Path) -> std::result::Result<(), Lack> {
    let name = path.file_name().map_or(path.as_os_str(), |name| name);
    let name = format!("`{}`", name.display());
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(Lack::Unusable(format!("{name} is not a file"))),
        Err(_) if path.is_symlink() => Err(Lack::Unusable(format!("{name} is a broken link"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Lack::Missing(name)),
        Err(error) => Err(Lack::Unusable(format!("{name} cannot be read: {error}"))),
    }
}

/// The refusal of a model whose weights are only there as a pickle.
pub(super) fn only_pickle() -> Error {
    let cause = format!(
        "its weights are only there as a Python pickle (`{}`), which runs code when it is read",
        files::PICKLE
    );
    Error::message(Kind::Model, cause)
        .with_tip("convert it with transformers: AutoModel.from_pretrained(…).save_pretrained(DIR)")
}

fn snapshot(cache: &RepositoryCache, id: &RepositoryId, commit: &Commit) -> Snapshot {
    Snapshot {
        directory: cache.snapshot(commit),
        model: id.to_string(),
        commit: Some(commit.as_str().to_owned()),
    }
}

fn offline(source: &Source, cache: &RepositoryCache, lack: &Lack) -> Error {
    let switch = if source.offline {
        "--offline"
    } else {
        "HF_HUB_OFFLINE"
    };
    let cause = format!("{lack}, and {switch} allows no download");
    not_cached(source, cache, &cause).with_tip(format!(
        "run once without {switch}, or give a local directory with --model DIR"
    ))
}

fn not_cached(source: &Source, cache: &RepositoryCache, cause: &str) -> Error {
    Error::message(Kind::Hub, cause).context(format!(
        "cannot find model `{}` (revision `{}`) in the cache `{}`",
        source.model,
        source.revision,
        cache.root().display()
    ))
}

#[cfg(feature = "hub")]
fn fetch(
    source: &Source,
    environment: &Environment,
    cache: &RepositoryCache,
    (id, revision): (&RepositoryId, &Revision),
    _lack: &Lack,
) -> Result<Snapshot> {
    super::download::fetch(source, environment, cache, id, revision)
        .map(|commit| snapshot(cache, id, &commit))
        .map_err(|error| error.context(format!("cannot get model `{id}` (revision `{revision}`)")))
}

#[cfg(not(feature = "hub"))]
fn fetch(
    source: &Source,
    _environment: &Environment,
    cache: &RepositoryCache,
    _names: (&RepositoryId, &Revision),
    lack: &Lack,
) -> Result<Snapshot> {
    let cause = format!("{lack}, and this build has no hub to download from");
    Err(not_cached(source, cache, &cause)
        .with_tip("give a local directory with --model DIR, or build with the feature `hub`"))
}
