//! Finds the directory of the model that the user typed: a local directory, a snapshot in the
//! cache, or a download into the cache, in this order.

use std::path::{Path, PathBuf};

use super::cache::RepositoryCache;
use super::environment::Environment;
use super::repository::{Commit, RepositoryId, Revision};
use super::snapshot::{ModelSource, Snapshot};
use crate::checkpoint::{files, modules};
use crate::error::{Error, Kind, Result};
use crate::notes;

/// Finds the model's files, and downloads them if they are neither local nor in the cache. A cached
/// model needs no network access.
///
/// # Errors
/// [`Kind::Usage`] for a name that can be neither directory nor hub id, [`Kind::Model`] for a local
/// directory that lacks files, [`Kind::Hub`] if the cache lacks them and they cannot be downloaded,
/// [`Kind::HubRefused`] if the hub refuses them.
pub fn locate(source: &ModelSource, environment: &Environment) -> Result<Snapshot> {
    if let Some(directory) = local_directory(source.model, environment) {
        return local(source, directory);
    }
    let id = RepositoryId::parse(source.model)?;
    let revision = Revision::parse(source.revision)?;
    let root = environment.cache_directory(source.cache_dir)?;
    let cache = RepositoryCache::new(root, &id);
    let found = match cache.find(&revision, source.weights) {
        Ok(commit) => return complete(source, environment, &cache, &id, &commit),
        Err(cause) if source.offline || environment.offline => Err(offline(source, &cache, &cause)),
        Err(cause) => fetch(source, environment, &cache, (&id, &revision), &cause),
    };
    found.map_err(|error| mistyped(error, source.model))
}

/// The directory that `model` names, if it is a path rather than a hub id.
fn local_directory(model: &str, environment: &Environment) -> Option<PathBuf> {
    let path = Path::new(model);
    let looks_like_path = model.starts_with(['.', '/', '~']) || path.is_absolute();
    (looks_like_path || (!model.is_empty() && may_exist(path)))
        .then(|| environment.expand_user(path))
}

/// `error`, with a tip if `model` could be a mistyped path: its folder exists.
fn mistyped(error: Error, model: &str) -> Error {
    let folder = Path::new(model).parent();
    match folder.filter(|folder| !folder.as_os_str().is_empty() && may_exist(folder)) {
        Some(folder) if matches!(error.kind(), Kind::Hub | Kind::HubRefused) => {
            error.with_tip(format!(
                "if you mean a local directory: `{}` has no `{}`",
                folder.display(),
                Path::new(model).file_name().unwrap_or_default().display()
            ))
        }
        _ => error,
    }
}

/// Whether something is at `path`. If the system could not look, the answer is yes: opening the
/// directory then gives the error.
fn may_exist(path: &Path) -> bool {
    use std::io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory};
    match path.try_exists() {
        Ok(exists) => exists,
        Err(error) => !matches!(error.kind(), InvalidFilename | InvalidInput | NotADirectory),
    }
}

fn local(source: &ModelSource, directory: PathBuf) -> Result<Snapshot> {
    let without_effect = [
        ("--revision", source.revision != "main"),
        ("--cache-dir", source.cache_dir.is_some()),
    ];
    for (option, _) in without_effect.iter().filter(|(_, is_given)| *is_given) {
        notes::note(&format!(
            "{option} has no effect: `{}` is a directory, not a model of the hub",
            source.model
        ));
    }
    let root = directory;
    let directory = modules::model_directory(&root);
    files::model_files(&directory, source.weights)?;
    Ok(Snapshot {
        directory,
        root,
        model: source.model.to_owned(),
        commit: None,
        unknown: Vec::new(),
    })
}

/// The weights that the hub has for `snapshot`, with their sizes; none in a build without `hub`.
///
/// # Errors
/// [`Kind::Hub`] or [`Kind::HubRefused`].
#[cfg_attr(
    not(feature = "hub"),
    expect(clippy::unnecessary_wraps, reason = "only the hub can fail")
)]
pub(crate) fn weights_on_hub(
    environment: &Environment,
    snapshot: &Snapshot,
) -> Result<Vec<(String, Option<u64>)>> {
    #[cfg(feature = "hub")]
    if let Some(commit) = snapshot.commit.as_deref().and_then(Commit::parse) {
        let id = RepositoryId::parse(&snapshot.model)?;
        let folder = snapshot.directory.strip_prefix(&snapshot.root);
        let folder = folder.unwrap_or(Path::new(""));
        return super::download::weights_on_hub(environment, &id, &commit, folder);
    }
    #[cfg(not(feature = "hub"))]
    let _ = (environment, snapshot);
    Ok(Vec::new())
}

/// The cached snapshot of `commit`, after the hub was asked for the files that another program may
/// have left out. If that fails, a warning names them.
fn complete(
    source: &ModelSource,
    environment: &Environment,
    cache: &RepositoryCache,
    id: &RepositoryId,
    commit: &Commit,
) -> Result<Snapshot> {
    let unknown = cache.unknown(commit, source.weights);
    if unknown.is_empty() {
        return Ok(snapshot(cache, id, commit));
    }
    let cause = if source.offline || environment.offline {
        format!("{} allows no request", offline_switch(source))
    } else {
        match request_unknown(source, environment, cache, (id, commit)) {
            Ok(()) => return Ok(snapshot(cache, id, commit)),
            Err(error) if error.kind() == Kind::Model => return Err(error),
            Err(error) => error.to_string(),
        }
    };
    let unknown = cache.unknown(commit, source.weights);
    let names: Vec<String> = unknown.iter().map(|file| format!("`{file}`")).collect();
    let names = names.join(", ");
    notes::warning(&format!(
        "the cache does not know whether model `{id}` has {names}, which may change its vectors: \
         {cause}"
    ));
    Ok(Snapshot {
        unknown,
        ..snapshot(cache, id, commit)
    })
}

#[cfg(feature = "hub")]
fn request_unknown(
    source: &ModelSource,
    environment: &Environment,
    cache: &RepositoryCache,
    (id, commit): (&RepositoryId, &Commit),
) -> Result<()> {
    super::download::fetch(source, environment, cache, id, &commit.revision()).map(drop)
}

#[cfg(not(feature = "hub"))]
fn request_unknown(
    _source: &ModelSource,
    _environment: &Environment,
    _cache: &RepositoryCache,
    _names: (&RepositoryId, &Commit),
) -> Result<()> {
    Err(Error::message(Kind::Hub, "this build has no hub to ask"))
}

fn snapshot(cache: &RepositoryCache, id: &RepositoryId, commit: &Commit) -> Snapshot {
    let root = cache.snapshot(commit);
    Snapshot {
        directory: modules::model_directory(&root),
        root,
        model: id.to_string(),
        commit: Some(commit.as_str().to_owned()),
        unknown: Vec::new(),
    }
}

fn offline(source: &ModelSource, cache: &RepositoryCache, cause: &Error) -> Error {
    let switch = offline_switch(source);
    let cause = format!("{cause}, and {switch} allows no download");
    not_cached(source, cache, &cause).with_tip(format!(
        "run once without {switch}, or give a local directory with --model DIR"
    ))
}

/// What switched off the network.
fn offline_switch(source: &ModelSource) -> &'static str {
    if source.offline {
        "--offline"
    } else {
        "HF_HUB_OFFLINE"
    }
}

fn not_cached(source: &ModelSource, cache: &RepositoryCache, cause: &str) -> Error {
    Error::message(Kind::Hub, cause).context(format!(
        "could not find model `{}` (revision `{}`) in the cache `{}`",
        source.model,
        source.revision,
        cache.root.display()
    ))
}

#[cfg(feature = "hub")]
fn fetch(
    source: &ModelSource,
    environment: &Environment,
    cache: &RepositoryCache,
    (id, revision): (&RepositoryId, &Revision),
    _cause: &Error,
) -> Result<Snapshot> {
    super::download::fetch(source, environment, cache, id, revision)
        .map(|commit| snapshot(cache, id, &commit))
        .map_err(|error| {
            error.context(format!(
                "could not get model `{id}` (revision `{revision}`)"
            ))
        })
}

#[cfg(not(feature = "hub"))]
fn fetch(
    source: &ModelSource,
    _environment: &Environment,
    cache: &RepositoryCache,
    _names: (&RepositoryId, &Revision),
    cause: &Error,
) -> Result<Snapshot> {
    let cause = format!("{cause}, and this build has no hub to download from");
    Err(not_cached(source, cache, &cause)
        .with_tip("give a local directory with --model DIR, or build with the feature `hub`"))
}
