//! The headers of one file on the hub: its hash, its commit, its size, or why there are none.
//!
//! They are requested before each download, to check etag and commit before they become paths, and
//! to distinguish a missing repository from a missing file. Source: `get_hf_file_metadata` in
//! `huggingface_hub`, which follows only redirects within the hub.

use std::thread;
use std::time::Duration;

use ureq::http::header::{CONTENT_LENGTH, ETAG, LOCATION, RETRY_AFTER};
use ureq::http::{HeaderMap, StatusCode, Uri};

use super::address::{self, is_absolute, is_https, is_same_origin, join};
use super::client::Client;
use super::credentials::Token;
use super::environment::Environment;
use super::refusal::{Refusal, is_passing, no_answer, transient_error};
use super::repository::{Commit, RepositoryId, Revision};
use super::verify::BlobHash;
use crate::error::{Error, Result};

type Response = ureq::http::Response<ureq::Body>;

/// As many as browsers follow.
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
    pub(super) client: Client,
    pub(super) endpoint: Uri,
    /// Sent to this host and to no other.
    pub(super) token: Option<Token>,
    pub(super) environment: &'a Environment,
}

impl<'a> Hub<'a> {
    pub(super) fn new(environment: &'a Environment) -> Result<Self> {
        Ok(Self {
            client: Client::new(environment)?,
            endpoint: address::endpoint(environment.endpoint())?,
            token: environment.token()?,
            environment,
        })
    }

    pub(super) fn host(&self) -> &str {
        self.endpoint.host().unwrap_or_default()
    }

    /// `None` if the repository has no such file.
    pub(super) fn metadata(
        &self,
        id: &RepositoryId,
        revision: &Revision,
        file: &str,
    ) -> Result<Option<FileMetadata>> {
        let mut url = self.address(id, revision, file)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.head(&url)?;
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

    pub(super) fn address(
        &self,
        id: &RepositoryId,
        revision: &Revision,
        file: &str,
    ) -> Result<Uri> {
        address::of_file(&self.endpoint, id, revision, file).ok_or_else(|| {
            transient_error(format!(
                "`{file}` of `{id}` has no address on {}",
                self.host()
            ))
        })
    }

    /// Sends a HEAD request, several times if trying again may help.
    fn head(&self, url: &Uri) -> Result<Response> {
        let mut pause = self.environment.timeouts.retry;
        let mut attempts_left = ATTEMPTS;
        loop {
            attempts_left -= 1;
            let answer = self.client.head(url, self.token.as_ref());
            let wait = match &answer {
                Ok(response) if is_transient(response.status()) => {
                    retry_after(response.headers()).unwrap_or(pause)
                }
                // An unreachable host is reported at once, not after four tries.
                Err(error) if is_passing(error) => pause,
                _ => Duration::MAX,
            };
            if attempts_left == 0 || wait > LONGEST_PAUSE {
                return answer.map_err(|error| self.no_answer(error));
            }
            thread::sleep(wait);
            pause *= 2;
        }
    }

    fn no_answer(&self, error: ureq::Error) -> Error {
        let environment = self.environment;
        let proxy = if is_https(&self.endpoint) {
            environment.proxy.as_ref()
        } else {
            environment.http_proxy.as_ref()
        };
        let proxy = proxy.map(|proxy| proxy.variable);
        no_answer(self.host(), proxy, error, self.environment.timeouts.etag)
    }

    /// The next address, if `response` is a redirect within the hub. A redirect to another host
    /// leads to the content and has the file's headers itself.
    fn redirect(&self, url: &Uri, response: &Response) -> Result<Option<Uri>> {
        if !response.status().is_redirection() {
            return Ok(None);
        }
        let Some(location) = header(response.headers(), LOCATION.as_str()) else {
            return Ok(None);
        };
        let relative = !is_absolute(location) && !location.starts_with("//");
        let next = join(url, location).ok_or_else(|| {
            transient_error(format!(
                "{} redirects to something that is not an address",
                self.host()
            ))
        })?;
        let has_metadata = response.headers().contains_key("x-repo-commit");
        if relative || (!has_metadata && is_same_origin(&next, &self.endpoint)) {
            return Ok(Some(next));
        }
        if has_metadata {
            return Ok(None);
        }
        let elsewhere = next.host().unwrap_or("another host");
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
            commit: commit.and_then(Commit::parse).ok_or_else(|| {
                unusable("commit", commit).with_tip(
                    "set HF_ENDPOINT to a server that answers as the hub does, or give a local \
                         directory with --model DIR",
                )
            })?,
            size_bytes: header(headers, "x-linked-size")
                .or_else(|| header(headers, CONTENT_LENGTH.as_str()))
                .and_then(|size| size.parse().ok()),
        }))
    }
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
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
