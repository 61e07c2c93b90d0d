//! The headers of one file on the hub: its hash, its commit, its size, or why there are none.
//!
//! They are requested before each download, because `hf-hub` joins etag and commit into paths
//! unchecked and does not distinguish a missing repository from a missing file. Source:
//! `get_hf_file_metadata` in `huggingface_hub`, which follows only redirects within the hub.

use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use super::credentials::{Proxy, Token};
use super::environment::Environment;
use super::refusal::{Refusal, no_answer, transient_error};
use super::repository::{Commit, RepositoryId, Revision};
use super::verify::BlobHash;
use crate::error::{Classify, Error, Kind, Result};

pub(super) const USER_AGENT: &str = concat!("bert-embed/", env!("CARGO_PKG_VERSION"));

/// As many as browsers and hf-hub follow.
pub(super) const MAX_REDIRECTS: usize = 10;

/// One request and three retries of it.
const ATTEMPTS: u32 = 4;

/// There is no retry if the hub wants a longer pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(super) struct FileMetadata {
    /// The hash of the content, which names the blob.
    pub(super) hash: BlobHash,
    pub(super) commit: Commit,
    pub(super) size_bytes: Option<u64>,
}

pub(super) struct Hub<'a> {
    client: Client,
    endpoint: Url,
    /// Sent to this host and to no other.
    pub(super) token: Option<Token>,
    pub(super) environment: &'a Environment,
}

impl<'a> Hub<'a> {
    pub(super) fn new(environment: &'a Environment) -> Result<Self> {
        environment.proxy.as_ref().map_or(Ok(()), Proxy::check)?;
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(environment.timeouts.etag)
            .build()
            .kind(Kind::Hub)?;
        Ok(Self {
            client,
            endpoint: endpoint(environment.endpoint())?,
            token: environment.token()?,
            environment,
        })
    }

    pub(super) fn host(&self) -> &str {
        self.endpoint.host_str().unwrap_or_default()
    }

    /// `None` if the repository has no such file.
    pub(super) async fn metadata(
        &self,
        id: &RepositoryId,
        revision: &Revision,
        file: &str,
    ) -> Result<Option<FileMetadata>> {
        let mut url = self.address(id, revision, file);
        for _ in 0..=MAX_REDIRECTS {
            let response = self.head(&url).await?;
            match self.redirect(&url, &response)? {
                Some(next) => url = next,
                None => return self.read(&response, file),
            }
        }
        let host = self.host();
        Err(transient_error(format!(
            "{host} redirects more than {MAX_REDIRECTS} times"
        )))
    }

    /// `{endpoint}/{owner}/{name}/resolve/{revision}/{file}`; a slash in the revision is escaped.
    fn address(&self, id: &RepositoryId, revision: &Revision, file: &str) -> Url {
        let mut url = self.endpoint.clone();
        // An address with a host, as the endpoint is, always has path segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            let (owner, name) = id.owner_and_name();
            let names = [owner, name].into_iter().filter(|name| !name.is_empty());
            segments.pop_if_empty().extend(names);
            segments.extend(["resolve", revision.as_str()]);
            segments.extend(file.split('/'));
        }
        url
    }

    /// Sends a HEAD request, several times if trying again may help.
    async fn head(&self, url: &Url) -> Result<Response> {
        let mut pause = self.environment.timeouts.retry;
        let mut attempts_left = ATTEMPTS;
        loop {
            attempts_left -= 1;
            let answer = self.send(url).await;
            let wait = match &answer {
                Ok(response) if is_transient(response.status()) => {
                    retry_after(response.headers()).unwrap_or(pause)
                }
                // An unreachable host is reported at once, not after four tries.
                Err(error) if !error.is_timeout() && !error.is_connect() => pause,
                _ => Duration::MAX,
            };
            if attempts_left == 0 || wait > LONGEST_PAUSE {
                return answer.map_err(|error| self.no_answer(error));
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    fn no_answer(&self, error: reqwest::Error) -> Error {
        let proxy = self.environment.proxy.as_ref().map(|proxy| proxy.variable);
        no_answer(self.host(), proxy, error, self.environment.timeouts.etag)
    }

    async fn send(&self, url: &Url) -> reqwest::Result<Response> {
        // The size must not be a compressed answer's.
        let request = self
            .client
            .head(url.clone())
            .header(ACCEPT_ENCODING, "identity");
        match &self.token {
            Some(token) => request.bearer_auth(token.secret()).send().await,
            None => request.send().await,
        }
    }

    /// The next address, if `response` is a redirect within the hub. A redirect to another host
    /// leads to the content and has the file's headers itself.
    fn redirect(&self, url: &Url, response: &Response) -> Result<Option<Url>> {
        if !response.status().is_redirection() {
            return Ok(None);
        }
        let Some(location) = header(response.headers(), LOCATION.as_str()) else {
            return Ok(None);
        };
        let relative = Url::parse(location).is_err() && !location.starts_with("//");
        let next = url.join(location).map_err(|_| {
            transient_error(format!(
                "{} redirects to something that is not an address",
                self.host()
            ))
        })?;
        let has_metadata = response.headers().contains_key("x-repo-commit");
        if relative || (!has_metadata && next.origin() == self.endpoint.origin()) {
            return Ok(Some(next));
        }
        if has_metadata {
            return Ok(None);
        }
        let elsewhere = next.host_str().unwrap_or("another host");
        Err(
            transient_error(format!("{} redirects to {elsewhere}", self.host()))
                .with_tip(format!("set HF_ENDPOINT if the hub is at {elsewhere}")),
        )
    }

    fn read(&self, response: &Response, file: &str) -> Result<Option<FileMetadata>> {
        let (status, headers) = (response.status(), response.headers());
        let code = header(headers, "x-error-code");
        if status == StatusCode::NOT_FOUND && matches!(code, None | Some("EntryNotFound")) {
            return Ok(None);
        }
        if !status.is_success() && !status.is_redirection() {
            let refusal = Refusal {
                host: self.host(),
                status,
                code,
                retry_after: retry_after(headers),
                token: self.token.is_some(),
            };
            return Err(refusal.error());
        }
        let unusable = |what: &str, value: Option<&str>| {
            let value = value.map_or("none".to_owned(), |value| format!("`{value}`"));
            let host = self.host();
            transient_error(format!(
                "{host} gave an unusable {what} for `{file}`: {value}"
            ))
        };
        let etag = header(headers, "x-linked-etag").or_else(|| header(headers, ETAG.as_str()));
        let commit = header(headers, "x-repo-commit");
        Ok(Some(FileMetadata {
            hash: etag
                .and_then(etag_hash)
                .ok_or_else(|| unusable("etag", etag))?,
            commit: commit
                .and_then(Commit::parse)
                .ok_or_else(|| unusable("commit", commit))?,
            size_bytes: header(headers, "x-linked-size")
                .or_else(|| header(headers, CONTENT_LENGTH.as_str()))
                .and_then(|size| size.parse().ok()),
        }))
    }
}

fn endpoint(text: &str) -> Result<Url> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            Error::message(Kind::Usage, "not an address that starts with https://")
                .context(format!("could not use HF_ENDPOINT `{text}`"))
        })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The hash in an etag: `"…"`, or `W/"…"` from a server that compresses.
fn etag_hash(etag: &str) -> Option<BlobHash> {
    BlobHash::parse(etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"'))
}

fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// The pause that the hub wants, if it is given in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = header(headers, RETRY_AFTER.as_str())?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
