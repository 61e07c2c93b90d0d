//! Downloads a model into the cache.
//!
//! Files are staged in our own directory, and only verified ones enter the cache. `config.json` is
//! first: all other files are requested at its commit, so that a snapshot is never mixed. The
//! oldest sentence-transformers repositories have the model in a folder and perhaps no
//! `config.json` at the top: then `modules.json` is first.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::cache::RepositoryCache;
use super::content::TransferEnd;
use super::environment::Environment;
use super::install::{Installer, cannot_write};
use super::metadata::{FileMetadata, Hub};
use super::progress::Transfer;
use super::refusal::{no_file, seconds, transient_error};
use super::repository::{Commit, RepositoryId, Revision};
use super::snapshot::ModelSource;
use crate::checkpoint::directory::has;
use crate::checkpoint::weight_files::{OTHER_FILES, read_index};
use crate::checkpoint::{WeightFormat, files, modules};
use crate::error::{Classify, Error, Kind, Result};

/// A file that is damaged or incomplete is downloaded once more.
const TRIES: u32 = 2;

/// Downloads the files of `id` at `revision` that the cache lacks, and notes which ones the
/// repository does not have.
pub(super) fn fetch(
    source: &ModelSource,
    environment: &Environment,
    cache: &RepositoryCache,
    id: &RepositoryId,
    revision: &Revision,
) -> Result<Commit> {
    let hub = Hub::new(environment)?;
    // Before anything is written, so that an unavailable model leaves no files.
    let first = first_file(&hub, id, revision)?;
    let installer = Installer::lock(cache, id)?;
    let cached = cache.find(revision, source.weights).ok();
    let has_model = cached.is_some();
    if let Some(commit) = cached
        && cache.unknown(&commit, source.weights).is_empty()
    {
        return Ok(commit);
    }
    let download = ModelDownload {
        id,
        commit: first.metadata.commit.clone(),
        installer: &installer,
        hub: &hub,
        draw: source.progress,
    };
    // The weights of a cached model are kept: they are not downloaded again in another format.
    download.run(&first, source.weights, !has_model)?;
    installer.write_ref(revision, &download.commit)?;
    Ok(download.commit)
}

/// The file whose commit all others must have.
struct FirstFile {
    name: &'static str,
    metadata: FileMetadata,
}

fn first_file(hub: &Hub<'_>, id: &RepositoryId, revision: &Revision) -> Result<FirstFile> {
    for name in [files::CONFIG, files::MODULES] {
        if let Some(metadata) = hub.metadata(id, revision, name)? {
            return Ok(FirstFile { name, metadata });
        }
    }
    Err(no_config(hub))
}

fn no_config(hub: &Hub) -> Error {
    no_file(hub.host(), "`config.json`")
}

/// The weights of `commit` in `folder` on the hub, by name, with their sizes.
pub(super) fn weights_on_hub(
    environment: &Environment,
    id: &RepositoryId,
    commit: &Commit,
    folder: &Path,
) -> Result<Vec<(String, Option<u64>)>> {
    let hub = Hub::new(environment)?;
    for format in WeightFormat::ALL {
        for file in [format.whole(), format.index()] {
            let file = folder.join(file).display().to_string();
            if let Some(found) = hub.metadata(id, &commit.revision(), &file)? {
                return Ok(vec![(file, found.size_bytes)]);
            }
        }
    }
    Ok(Vec::new())
}

struct ModelDownload<'a> {
    id: &'a RepositoryId,
    commit: Commit,
    installer: &'a Installer<'a>,
    hub: &'a Hub<'a>,
    draw: bool,
}

impl ModelDownload<'_> {
    fn run(&self, first: &FirstFile, weights: bool, weights_of_model: bool) -> Result<()> {
        self.refuse_adapter("")?;
        self.add(first.name, &first.metadata)?;
        let folder = self.model_folder(first)?;
        let of_model = |file: &str| format!("{folder}{file}");
        let has_vocabulary = self.get(&of_model(files::TOKENIZER))?
            || self.get(&of_model(files::VOCABULARY))?
            || (self.get(&of_model(files::VOCAB_JSON))? && self.get(&of_model(files::MERGES))?);
        if !has_vocabulary {
            return Err(no_file(self.hub.host(), "`tokenizer.json` or `vocab.txt`"));
        }
        for file in files::OPTIONAL {
            self.get(file)?;
            if !folder.is_empty() {
                self.get(&of_model(file))?;
            }
        }
        self.get_sentence_config(&folder)?;
        self.get_modules(weights)?;
        if weights && weights_of_model {
            self.get_weights(&folder, true)?;
        }
        Ok(())
    }

    fn refuse_adapter(&self, folder: &str) -> Result<()> {
        match self.metadata(&format!("{folder}{}", files::ADAPTER))? {
            Some(_) => Err(files::has_adapter()),
            None => Ok(()),
        }
    }

    /// The folder of the model with a final slash; empty if the model is at the top of its
    /// repository.
    fn model_folder(&self, first: &FirstFile) -> Result<String> {
        self.get(files::MODULES)?;
        let modules = modules::listed(&self.installer.cache.snapshot(&self.commit));
        let module = modules.first().filter(|module| !module.path.is_empty());
        if let Some(module) = module {
            let folder = format!("{}/", module.path);
            if self.get(&format!("{folder}{}", files::CONFIG))? {
                self.refuse_adapter(&folder)?;
                return Ok(folder);
            }
        }
        if first.name == files::CONFIG {
            return Ok(String::new());
        }
        Err(no_config(self.hub))
    }

    /// The file that sentence-transformers reads in place of a missing `sentence_bert_config.json`.
    fn get_sentence_config(&self, folder: &str) -> Result<()> {
        let snapshot = self.installer.cache.snapshot(&self.commit);
        let has_config = has(&snapshot, format!("{folder}{}", files::SENTENCE_CONFIG));
        if has_config || modules::listed(&snapshot).is_empty() {
            return Ok(());
        }
        for file in files::SENTENCE_CONFIGS {
            if self.get(&format!("{folder}{file}"))? {
                break;
            }
        }
        Ok(())
    }

    /// The modules of sentence-transformers that follow the model, if any.
    fn get_modules(&self, weights: bool) -> Result<()> {
        let snapshot = self.installer.cache.snapshot(&self.commit);
        for module in modules::listed(&snapshot) {
            if module.path.is_empty() || !self.get(&format!("{}/config.json", module.path))? {
                continue;
            }
            if weights && module.has_weights() {
                self.get_weights(&format!("{}/", module.path), false)?;
            }
        }
        Ok(())
    }

    /// The weights in `folder`, in the order in which transformers looks for them; only the model
    /// itself is large enough for shards.
    fn get_weights(&self, folder: &str, may_have_shards: bool) -> Result<()> {
        for format in WeightFormat::ALL {
            if self.get(&format!("{folder}{}", format.whole()))? {
                return Ok(());
            }
            if may_have_shards && self.get(&format!("{folder}{}", format.index()))? {
                return self.get_shards(folder, format);
            }
        }
        let error = no_file(
            self.hub.host(),
            "`model.safetensors` or `pytorch_model.bin`",
        );
        for file in OTHER_FILES {
            let file = format!("{folder}{file}");
            if self.metadata(&file)?.is_some() {
                let host = self.hub.host();
                let what = format!("{host} has `{file}`, which is not read");
                return Err(error.context(what));
            }
        }
        Err(error)
    }

    fn get_shards(&self, folder: &str, format: WeightFormat) -> Result<()> {
        let directory = self.installer.cache.snapshot(&self.commit).join(folder);
        let weight_map = read_index(&directory, format)?;
        let shards: BTreeSet<String> = weight_map.into_values().collect();
        for shard in shards {
            if !self.get(&format!("{folder}{shard}"))? {
                return Err(no_file(self.hub.host(), &format!("`{shard}`")));
            }
        }
        Ok(())
    }

    fn metadata(&self, file: &str) -> Result<Option<FileMetadata>> {
        let revision = self.commit.revision();
        let metadata = self.hub.metadata(self.id, &revision, file)?;
        match metadata {
            Some(metadata) if metadata.commit != self.commit => {
                let host = self.hub.host();
                let (asked, got) = (self.commit.as_str(), metadata.commit.as_str());
                Err(transient_error(format!(
                    "{host} answered commit {got} for `{file}` of commit {asked}"
                )))
            }
            None => {
                self.installer.mark_absent(&self.commit, file)?;
                Ok(None)
            }
            metadata => Ok(metadata),
        }
    }

    /// Adds `file` to the snapshot; false if the repository has none.
    fn get(&self, file: &str) -> Result<bool> {
        let Some(metadata) = self.metadata(file)? else {
            return Ok(false);
        };
        self.add(file, &metadata)?;
        Ok(true)
    }

    fn add(&self, file: &str, metadata: &FileMetadata) -> Result<()> {
        if !self.installer.has(&metadata.hash)? {
            self.download(file, metadata)?;
        }
        self.installer.link(&self.commit, file, &metadata.hash)
    }

    fn download(&self, file: &str, metadata: &FileMetadata) -> Result<()> {
        let max_bytes = self.max_bytes(file, metadata)?;
        let mut cause = String::new();
        for _ in 0..TRIES {
            match self.transfer(file, metadata, max_bytes)? {
                Ok(staged) if metadata.hash.matches(&staged).kind(Kind::Hub)? => {
                    return self.installer.add_blob(&staged, &metadata.hash);
                }
                Ok(staged) => cause = damage(&staged, metadata),
                Err(why) => cause = why,
            }
        }
        let host = self.hub.host();
        Err(transient_error(format!(
            "could not download `{file}` from {host}: {cause}"
        )))
    }

    /// The size that the hub announced, else the limit for a file other than weights.
    fn max_bytes(&self, file: &str, metadata: &FileMetadata) -> Result<u64> {
        let allowed = files::max_bytes(file);
        let host = self.hub.host();
        match (metadata.size_bytes, allowed) {
            (Some(size), Some(allowed)) if size > allowed => Err(transient_error(format!(
                "{host} has `{file}` with {size} bytes: at most {allowed} are allowed"
            ))),
            (Some(size), _) => Ok(size),
            (None, Some(allowed)) => Ok(allowed),
            (None, None) => Err(transient_error(format!(
                "{host} does not say how large `{file}` is"
            ))),
        }
    }

    /// One try: the staged file, or why it is not complete. Silence and a full disk end the
    /// download.
    fn transfer(
        &self,
        file: &str,
        metadata: &FileMetadata,
        max_bytes: u64,
    ) -> Result<std::result::Result<PathBuf, String>> {
        let url = self.hub.address(self.id, &self.commit.revision(), file)?;
        let staged = self.installer.stage()?;
        let unwritable = |cause| cannot_write(&staged, &cause);
        let opened = File::create(&staged).map_err(unwritable)?;
        let mut transfer = Transfer::new(file, metadata.size_bytes, self.draw);
        let ended = self.hub.transfer(&url, opened, &mut transfer, max_bytes);
        let after = after(transfer.received, metadata.size_bytes);
        match ended {
            Ok(()) => Ok(Ok(staged)),
            Err(TransferEnd::Failed(cause)) => Ok(Err(format!("{cause}, {after}"))),
            Err(TransferEnd::TooLong) => Ok(Err(format!(
                "more data came than the {max_bytes} bytes allowed, {after}"
            ))),
            Err(TransferEnd::CannotWrite(cause)) => Err(unwritable(cause)),
            Err(TransferEnd::NoThread(cause)) => Err(Error::new(Kind::Device, cause).context(
                format!("could not start the thread that downloads `{file}`"),
            )),
            Err(TransferEnd::Silent) => {
                let silence = self.hub.environment.timeouts.download;
                let (host, silence) = (self.hub.host(), seconds(silence));
                let what = format!("{host} sent no more of `{file}` for {silence}, {after}");
                Err(transient_error(what))
            }
        }
    }
}

/// What is wrong with a file that does not match its hash.
fn damage(staged: &Path, metadata: &FileMetadata) -> String {
    let received = match staged.metadata() {
        Ok(metadata) => metadata.len(),
        Err(cause) => return format!("downloaded, but could not be read back: {cause}"),
    };
    match metadata.size_bytes {
        Some(size) if size != received => {
            format!("it is damaged, {}", after(received, Some(size)))
        }
        _ => format!("it is damaged: its hash is not {}", metadata.hash.digits()),
    }
}

/// How far a download got.
fn after(received: u64, size_bytes: Option<u64>) -> String {
    match size_bytes {
        Some(size) => format!("after {received} of {size} bytes"),
        None => format!("after {received} bytes"),
    }
}
