//! Error messages for a hub that does not give a file, and for a network that does not answer.

use std::time::Duration;

use ureq::http::StatusCode;

use crate::error::{Error, Kind, io_words, lower_first};

const LOCAL_DIRECTORY: &str = "try again later, or give a local directory with --model DIR";

/// The hub's answer if it is not a file's headers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal<'a> {
    pub(super) host: &'a str,
    pub(super) status: StatusCode,
    /// `X-Error-Code`, which alone distinguishes a missing repository from a missing revision.
    pub(super) code: Option<&'a str>,
    pub(super) retry_after: Option<Duration>,
    pub(super) token: bool,
}

impl Refusal<'_> {
    /// [`Kind::Hub`] if trying again may help, else [`Kind::HubRefused`].
    pub(super) fn error(self) -> Error {
        let host = self.host;
        let refused = |cause: String| Error::message(Kind::HubRefused, cause);
        match (self.status.as_u16(), self.code) {
            (401 | 403, Some("GatedRepo")) | (403, None) => refused(format!(
                "{host} allows this model only to accounts that were granted access to it \
                 (403, gated)"
            ))
            .with_tip(
                "ask for access on the model's page, then set HF_TOKEN to that account's token",
            ),
            (401, _) if self.token => refused(format!(
                "{host} does not accept the token, or there is no such model (401)"
            ))
            .with_tip("check the model's name and HF_TOKEN"),
            (401, _) => refused(format!(
                "{host} has no such model, or it is private and needs a token (401)"
            ))
            .with_tip("check the model's name, or set HF_TOKEN for a private model"),
            (403, _) => refused(format!("{host} forbids it (403)")),
            (404, Some("RevisionNotFound")) => {
                refused(format!("{host} has no such revision of the model (404)"))
            }
            (404, _) => refused(format!("{host} has no such model (404)")),
            (429, _) => self.try_again("it has had too many requests"),
            _ => self.try_again(self.status.canonical_reason().unwrap_or("unknown status")),
        }
    }

    fn try_again(self, reason: &str) -> Error {
        let wait = self
            .retry_after
            .map(|wait| format!(", and asks to wait {} s", wait.as_secs()))
            .unwrap_or_default();
        let (host, status) = (self.host, self.status.as_u16());
        let reason = reason.to_lowercase();
        transient_error(format!("{host} answered {status}: {reason}{wait}"))
    }
}

pub(super) fn no_file(host: &str, files: &str) -> Error {
    let cause = format!("{host} has no {files} in this model (404)");
    Error::message(Kind::HubRefused, cause)
}

pub(super) fn transient_error(cause: String) -> Error {
    Error::message(Kind::Hub, cause).with_tip(LOCAL_DIRECTORY)
}

/// A request to `host` that got no answer; `proxy` is the variable that names the proxy.
pub(super) fn no_answer(
    host: &str,
    proxy: Option<&str>,
    error: ureq::Error,
    waited: Duration,
) -> Error {
    let through = proxy.map_or(String::new(), |variable| {
        format!(" (proxy from {variable})")
    });
    if is_timeout(&error) {
        let waited = seconds(waited);
        return transient_error(format!("{host} did not answer{through} within {waited}"));
    }
    let cause = request_cause(error);
    let error = transient_error(format!("could not reach {host}{through}: {cause}"));
    if cause.contains("certificate") {
        return error.with_tip("name your network's certificates with SSL_CERT_FILE=FILE");
    }
    error
}

/// Whether `error` may pass at once: the connection broke, or what arrived was not HTTP.
pub(super) fn is_passing(error: &ureq::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error {
        ureq::Error::Io(cause) => matches!(
            cause.kind(),
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
        ),
        ureq::Error::Protocol(_) => true,
        _ => false,
    }
}

fn is_timeout(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Timeout(_) => true,
        ureq::Error::Io(cause) => cause.kind() == std::io::ErrorKind::TimedOut,
        _ => false,
    }
}

/// Why a request failed, without addresses: a content network's are signed.
#[expect(clippy::needless_pass_by_value, reason = "it is passed to map_err")]
pub(super) fn request_cause(error: ureq::Error) -> String {
    match &error {
        error if is_timeout(error) => "no more data came".to_owned(),
        ureq::Error::Io(cause) => tls_words(&io_words(cause)),
        ureq::Error::Rustls(cause) => tls_words(&cause.to_string()),
        ureq::Error::Tls(cause) => tls_words(cause),
        ureq::Error::ConnectProxyFailed(_) => "the proxy does not connect to it".to_owned(),
        ureq::Error::LargeResponseHeader(..) => "its headers are too long".to_owned(),
        ureq::Error::Protocol(_) => "it does not answer in HTTP".to_owned(),
        error => lower_first(&error.to_string()),
    }
}

/// `text` in words, if it is a message of rustls or the resolver that a user could not read.
fn tls_words(text: &str) -> String {
    let words = [
        (
            "lookup address information",
            "its name could not be looked up",
        ),
        ("not valid for name", "its certificate is for another host"),
        ("certificate expired", "its certificate has expired"),
        ("InvalidContentType", "it does not answer in TLS (https)"),
        ("UnknownIssuer", "the issuer of its certificate is unknown"),
        ("OtherError", "its certificate could not be verified"),
        ("InvalidCertificate", "its certificate is not valid"),
    ];
    let found = words.iter().find(|(name, _)| text.contains(name));
    found.map_or_else(|| lower_first(text), |(_, words)| (*words).to_owned())
}

pub(super) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f32())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, code: Option<&str>, token: bool) -> (Kind, String) {
        let refusal = Refusal {
            host: "hub.test",
            status: StatusCode::from_u16(status).expect("a status"),
            code,
            retry_after: None,
            token,
        };
        let error = refusal.error();
        (error.kind(), error.to_string())
    }

    #[test]
    fn each_refusal_has_its_own_words() {
        let refusals = [
            error(401, None, false),
            error(401, None, true),
            error(403, Some("GatedRepo"), true),
            error(404, Some("RepoNotFound"), true),
            error(404, Some("RevisionNotFound"), true),
        ];
        for (index, (kind, words)) in refusals.iter().enumerate() {
            assert_eq!(*kind, Kind::HubRefused, "{words}");
            assert!(
                refusals[..index].iter().all(|(_, other)| other != words),
                "{words}"
            );
        }
    }

    #[test]
    fn a_transient_answer_is_worth_trying_again() {
        for status in [429, 500, 502, 503, 504] {
            let (kind, words) = error(status, None, false);
            assert_eq!(kind, Kind::Hub);
            assert!(
                words.contains("hub.test") && words.contains(&status.to_string()),
                "{words}"
            );
        }
    }
}
