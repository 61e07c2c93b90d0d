//! Downloads a model into the cache. The only user of `hf-hub`.
//!
//! Files are staged in our own directory, and only verified ones enter the cache: `hf-hub`'s own
//! cache code checks neither status nor length nor hash, and joins an unchecked etag and commit
//! into paths. `config.json` is first: all other files are requested at its commit, so that a
//! snapshot is never mixed. The oldest sentence-transformers repositories have the model in a
//! folder and perhaps no `config.json` at the top: then `modules.json` is first.
//!
//! `hf-hub` uses `hf-xet` if the last answer to HEAD has `X-Xet-Hash`, and has no switch for that.
//! For a local directory it follows redirects first, and a content network sends no such header, so
//! large files use plain HTTP. They are verified either way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hf_hub::repository::{HFRepository, RepoTypeModel};
use hf_hub::{HFClient, HFError};
use reqwest::redirect::Policy;

use super::cache::RepositoryCache;
use super::credentials::Token;
use super::environment::Environment;
use super::install::{Installer, cannot_write};
use super::metadata::{FileMetadata, Hub, MAX_REDIRECTS, USER_AGENT};
use super::progress::{Transfer, TransferEnd};
use super::refusal::{no_file, seconds, transfer_cause, transient_error};
use super::repository::{Commit, RepositoryId, Revision};
use super::snapshot::ModelSource;
use crate::checkpoint::directory::has;
use crate::checkpoint::weight_files::read_index;
use crate::checkpoint::{WeightFormat, files, modules};
use crate::error::{Classify, Error, Kind, Result};

/// A file that is damaged or incomplete is downloaded once more.
const TRIES: u32 = 2;

/// Downloads the files of `id` at `revision` that the cache lacks.
pub(super) fn fetch(
    source: &ModelSource,
    environment: &Environment,
    cache: &RepositoryCache,
    id: &RepositoryId,
    revision: &Revision,
) -> Result<Commit> {
    let hub = Hub::new(environment)?;
    runtime()?.block_on(async {
        // Before anything is written, so that an unavailable model leaves no files.
        let first = first_file(&hub, id, revision).await?;
        let installer = Installer::lock(cache, id)?;
        if let Ok(commit) = cache.find(revision, source.weights) {
            return Ok(commit);
        }
        let download = ModelDownload {
            id,
            commit: first.metadata.commit.clone(),
            repository: repository(&hub, id)?,
            installer: &installer,
            hub: &hub,
            draw: source.progress,
        };
        download.run(first, source.weights).await?;
        installer.write_ref(revision, &download.commit)?;
        Ok(download.commit)
    })
}

/// The file whose commit all others must have.
struct FirstFile {
    name: &'static str,
    metadata: FileMetadata,
}

async fn first_file(hub: &Hub<'_>, id: &RepositoryId, revision: &Revision) -> Result<FirstFile> {
    for name in [files::CONFIG, files::MODULES] {
        if let Some(metadata) = hub.metadata(id, revision, name).await? {
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
    runtime()?.block_on(async {
        for format in WeightFormat::ALL {
            for file in [format.whole(), format.index()] {
                let file = folder.join(file).display().to_string();
                if let Some(found) = hub.metadata(id, &commit.revision(), &file).await? {
                    return Ok(vec![(file, found.size_bytes)]);
                }
            }
        }
        Ok(Vec::new())
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .kind(Kind::Internal)
}

/// `hf-hub`'s handle.
fn repository(hub: &Hub, id: &RepositoryId) -> Result<HFRepository<RepoTypeModel>> {
    let environment = hub.environment;
    let client = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(environment.timeouts.etag)
        .read_timeout(environment.timeouts.download)
        .redirect(redirects())
        .build()
        .kind(Kind::Hub)?;
    let client = HFClient::builder()
        .endpoint(environment.endpoint())
        .client(client)
        .user_agent(USER_AGENT)
        // Without a token hf-hub would look for one itself, in /tmp if HOME is not set. One that no
        // header can hold is not sent.
        .token(hub.token.as_ref().map_or("\n", Token::secret))
        .cache_enabled(false)
        .retry_max_attempts(2)
        .build()
        .kind(Kind::Hub)?;
    let (owner, name) = id.owner_and_name();
    Ok(client.model(owner, name))
}

/// Follows redirects as browsers do, but never from https to http.
fn redirects() -> Policy {
    Policy::custom(|attempt| {
        let secure = |url: &reqwest::Url| url.scheme() == "https";
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error(format!("more than {MAX_REDIRECTS} redirects"))
        } else if attempt.previous().last().is_some_and(secure) && !secure(attempt.url()) {
            attempt.error("a redirect from https to http")
        } else {
            attempt.follow()
        }
    })
}

struct ModelDownload<'a> {
    id: &'a RepositoryId,
    commit: Commit,
    repository: HFRepository<RepoTypeModel>,
    installer: &'a Installer<'a>,
    hub: &'a Hub<'a>,
    draw: bool,
}

impl ModelDownload<'_> {
    async fn run(&self, first: FirstFile, weights: bool) -> Result<()> {
        self.refuse_adapter("").await?;
        self.add(first.name, &first.metadata).await?;
        let folder = self.model_folder(&first).await?;
        let of_model = |file: &str| format!("{folder}{file}");
        let has_vocabulary = self.get(&of_model(files::TOKENIZER)).await?
            || self.get(&of_model(files::VOCABULARY)).await?
            || (self.get(&of_model(files::VOCAB_JSON)).await?
                && self.get(&of_model(files::MERGES)).await?);
        if !has_vocabulary {
            return Err(no_file(self.hub.host(), "`tokenizer.json` or `vocab.txt`"));
        }
        for file in files::OPTIONAL {
            self.get(file).await?;
            if !folder.is_empty() {
                self.get(&of_model(file)).await?;
            }
        }
        self.get_sentence_config(&folder).await?;
        self.get_modules(weights).await?;
        if weights {
            self.get_weights(&folder, true).await?;
        }
        Ok(())
    }

    async fn refuse_adapter(&self, folder: &str) -> Result<()> {
        match self
            .metadata(&format!("{folder}{}", files::ADAPTER))
            .await?
        {
            Some(_) => Err(files::has_adapter()),
            None => Ok(()),
        }
    }

    /// The folder of the model with a final slash; empty if the model is at the top of its
    /// repository.
    async fn model_folder(&self, first: &FirstFile) -> Result<String> {
        self.get(files::MODULES).await?;
        let modules = modules::listed(&self.installer.cache.snapshot(&self.commit));
        let module = modules.first().filter(|module| !module.path.is_empty());
        if let Some(module) = module {
            let folder = format!("{}/", module.path);
            if self.get(&format!("{folder}{}", files::CONFIG)).await? {
                self.refuse_adapter(&folder).await?;
                return Ok(folder);
            }
        }
        if first.name == files::CONFIG {
            return Ok(String::new());
        }
        Err(no_config(self.hub))
    }

    /// The file that sentence-transformers reads in place of a missing `sentence_bert_config.json`.
    async fn get_sentence_config(&self, folder: &str) -> Result<()> {
        let snapshot = self.installer.cache.snapshot(&self.commit);
        let has_config = has(&snapshot, format!("{folder}{}", files::SENTENCE_CONFIG));
        if has_config || modules::listed(&snapshot).is_empty() {
            return Ok(());
        }
        for file in files::SENTENCE_CONFIGS {
            if self.get(&format!("{folder}{file}")).await? {
                break;
            }
        }
        Ok(())
    }

    /// The modules of sentence-transformers that follow the model, if any.
    async fn get_modules(&self, weights: bool) -> Result<()> {
        let snapshot = self.installer.cache.snapshot(&self.commit);
        for module in modules::listed(&snapshot) {
            if module.path.is_empty() || !self.get(&format!("{}/config.json", module.path)).await? {
                continue;
            }
            if weights && module.has_weights() {
                self.get_weights(&format!("{}/", module.path), false)
                    .await?;
            }
        }
        Ok(())
    }

    /// The weights in `folder`, in the order in which transformers looks for them; only the model
    /// itself is large enough for shards.
    async fn get_weights(&self, folder: &str, may_have_shards: bool) -> Result<()> {
        for format in WeightFormat::ALL {
            if self.get(&format!("{folder}{}", format.whole())).await? {
                return Ok(());
            }
            if may_have_shards && self.get(&format!("{folder}{}", format.index())).await? {
                return self.get_shards(folder, format).await;
            }
        }
        let weights = "`model.safetensors` or `pytorch_model.bin`";
        Err(no_file(self.hub.host(), weights))
    }

    async fn get_shards(&self, folder: &str, format: WeightFormat) -> Result<()> {
        let directory = self.installer.cache.snapshot(&self.commit).join(folder);
        let weight_map = read_index(&directory, format)?;
        let shards: BTreeSet<String> = weight_map.into_values().collect();
        for shard in shards {
            if !self.get(&format!("{folder}{shard}")).await? {
                return Err(no_file(self.hub.host(), &format!("`{shard}`")));
            }
        }
        Ok(())
    }

    async fn metadata(&self, file: &str) -> Result<Option<FileMetadata>> {
        let revision = self.commit.revision();
        let metadata = self.hub.metadata(self.id, &revision, file).await?;
        match metadata {
            Some(metadata) if metadata.commit != self.commit => {
                let host = self.hub.host();
                let (asked, got) = (self.commit.as_str(), metadata.commit.as_str());
                Err(transient_error(format!(
                    "{host} answered commit {got} for `{file}` of commit {asked}"
                )))
            }
            metadata => Ok(metadata),
        }
    }

    /// Adds `file` to the snapshot; false if the repository has none.
    async fn get(&self, file: &str) -> Result<bool> {
        let Some(metadata) = self.metadata(file).await? else {
            return Ok(false);
        };
        self.add(file, &metadata).await?;
        Ok(true)
    }

    async fn add(&self, file: &str, metadata: &FileMetadata) -> Result<()> {
        if !self.installer.has(&metadata.hash)? {
            self.download(file, metadata).await?;
        }
        self.installer.link(&self.commit, file, &metadata.hash)
    }

    async fn download(&self, file: &str, metadata: &FileMetadata) -> Result<()> {
        let max_bytes = self.max_bytes(file, metadata)?;
        let mut cause = String::new();
        for _ in 0..TRIES {
            match self.transfer(file, metadata, max_bytes).await? {
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

    /// One try: the file that `hf-hub` wrote, or why it did not. Silence and a full disk end the
    /// download.
    async fn transfer(
        &self,
        file: &str,
        metadata: &FileMetadata,
        max_bytes: u64,
    ) -> Result<std::result::Result<PathBuf, String>> {
        let transfer = Transfer::new(file, metadata.size_bytes, self.draw);
        let silence = self.hub.environment.timeouts.download;
        let request = self
            .repository
            .download_file()
            .filename(file)
            .revision(self.commit.as_str())
            .local_dir(&self.installer.staging)
            .progress(transfer.clone())
            .send();
        let ended = transfer.watch(silence, max_bytes, request).await;
        let after = after(transfer.received(), metadata.size_bytes);
        match ended {
            Ok(Err(HFError::Io(error))) => Err(cannot_write(&self.installer.staging, &error)),
            Ok(stored) => Ok(stored.map_err(|error| format!("{}, {after}", transfer_cause(error)))),
            Err(TransferEnd::TooLong) => Ok(Err(format!(
                "more data came than the {max_bytes} bytes allowed, {after}"
            ))),
            Err(TransferEnd::Silent) => {
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
