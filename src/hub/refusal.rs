//! Error messages for a hub that does not give a file, and for a network that does not answer.

use std::time::Duration;

use hf_hub::HFError;
use reqwest::StatusCode;

use crate::error::{Error, Kind, lower_first};

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
    error: reqwest::Error,
    waited: Duration,
) -> Error {
    let through = proxy.map_or(String::new(), |variable| {
        format!(" (proxy from {variable})")
    });
    if error.is_timeout() {
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

/// Why `hf-hub` did not download a file, without addresses: a content network's are signed.
pub(super) fn transfer_cause(error: HFError) -> String {
    match error {
        HFError::Request { source, .. } => request_cause(source),
        HFError::Http { context }
        | HFError::AuthRequired { context }
        | HFError::Forbidden { context }
        | HFError::RateLimited { context, .. } => format!("answer {}", context.status),
        HFError::MalformedResponse { what, .. } => what.to_lowercase(),
        HFError::Xet { operation, source } => format!("{operation}: {source}"),
        other => other.to_string(),
    }
}

/// The innermost cause: the outer ones only say that a request failed.
fn request_cause(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no more data came".to_owned();
    }
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    lower_first(&cause.to_string())
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
