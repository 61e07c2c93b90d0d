//! The content of one file on the hub, as chunks. Another thread reads them: a blocking read knows
//! neither silence nor a trickle of bytes within TLS.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use ureq::http::{Response, Uri};

use super::address::{is_https, is_same_origin, join};
use super::metadata::{Hub, MAX_REDIRECTS, header};
use super::progress::Transfer;
use super::refusal::request_cause;

const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that wait to be written.
const CHUNKS: usize = 16;

/// A chunk, empty at the end, or why there are no more.
type Chunk = Result<Vec<u8>, String>;

/// Why a transfer ended early.
pub(super) enum TransferEnd {
    Silent,
    /// More bytes arrived than were announced or are allowed.
    TooLong,
    Failed(String),
    CannotWrite(std::io::Error),
    NoThread(std::io::Error),
}

impl Hub<'_> {
    /// Writes the content at `url` to `file`, at most `max_bytes`.
    pub(super) fn transfer(
        &self,
        url: &Uri,
        file: File,
        transfer: &mut Transfer,
        max_bytes: u64,
    ) -> Result<(), TransferEnd> {
        let (sender, chunks) = sync_channel(CHUNKS);
        thread::scope(|scope| {
            thread::Builder::new()
                .spawn_scoped(scope, move || self.read_to(url, &sender))
                .map_err(TransferEnd::NoThread)?;
            let silence = self.environment.timeouts.download;
            let ended = receive(&chunks, silence, file, transfer, max_bytes);
            if let Err(TransferEnd::Silent) = ended {
                self.client.stop();
            }
            // Ends the reader.
            drop(chunks);
            ended
        })
    }

    /// Sends the content at `url` until nobody receives it.
    fn read_to(&self, url: &Uri, chunks: &SyncSender<Chunk>) {
        let mut content = match self.open(url) {
            Ok(content) => content,
            Err(cause) => return drop(chunks.send(Err(cause))),
        };
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = content.read(&mut chunk).map(|count| {
                chunk.truncate(count);
                chunk
            });
            let read = read.map_err(|cause| request_cause(cause.into()));
            let is_last = read.as_ref().map_or(true, Vec::is_empty);
            if chunks.send(read).is_err() || is_last {
                return;
            }
        }
    }

    /// Follows redirects as browsers do, but never from https to http; only the hub gets the token.
    fn open(&self, url: &Uri) -> Result<impl Read + use<>, String> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let token = self.token.as_ref();
            let token = token.filter(|_| is_same_origin(&url, &self.endpoint));
            let answer = self.client.get(&url, token).map_err(request_cause)?;
            let Some(next) = redirect(&url, &answer)? else {
                let status = answer.status();
                return if status.is_success() {
                    Ok(answer.into_body().into_reader())
                } else {
                    Err(format!("answer {status}"))
                };
            };
            url = next;
        }
        Err(format!("more than {MAX_REDIRECTS} redirects"))
    }
}

fn redirect<T>(url: &Uri, answer: &Response<T>) -> Result<Option<Uri>, String> {
    let location = header(answer.headers(), "location");
    let Some(location) = location.filter(|_| answer.status().is_redirection()) else {
        return Ok(None);
    };
    match join(url, location) {
        None => Err("a redirect to something that is not an address".to_owned()),
        Some(next) if is_https(url) && !is_https(&next) => {
            Err("a redirect from https to http".to_owned())
        }
        next => Ok(next),
    }
}

fn receive(
    chunks: &Receiver<Chunk>,
    silence: Duration,
    mut file: File,
    transfer: &mut Transfer,
    max_bytes: u64,
) -> Result<(), TransferEnd> {
    loop {
        match chunks.recv_timeout(silence / 30) {
            Ok(Ok(chunk)) if chunk.is_empty() => return Ok(()),
            Ok(Ok(chunk)) => {
                transfer.add(chunk.len());
                if transfer.received > max_bytes {
                    return Err(TransferEnd::TooLong);
                }
                file.write_all(&chunk).map_err(TransferEnd::CannotWrite)?;
            }
            Ok(Err(cause)) => return Err(TransferEnd::Failed(cause)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(TransferEnd::Failed("the transfer broke off".to_owned()));
            }
        }
        if transfer.is_silent(silence) {
            return Err(TransferEnd::Silent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_redirect_leads_from_https_to_http() {
        let url = Uri::from_static("https://hub.test/a/b");
        let redirected = |location: &str| {
            let answer = Response::builder().status(302).header("Location", location);
            redirect(&url, &answer.body(()).expect("an answer"))
        };
        for location in ["https://cdn.test/c", "//cdn.test/c", "/c", "c"] {
            let next = redirected(location).expect(location).expect(location);
            assert!(is_https(&next), "{location}");
        }
        for location in ["http://hub.test/a/b", "http://cdn.test/c"] {
            let cause = redirected(location).expect_err(location);
            assert_eq!(cause, "a redirect from https to http");
        }
        assert!(redirected("ftp://hub.test/c").is_err());
    }
}
