//! What the hub answers when nothing goes wrong, and what a fault makes of it.

use std::net::SocketAddr;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{COMMIT, Fault, MODEL, Request, Size, State};

/// An answer before it is sent.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// 20,000 bytes without a pattern that a test could mistake for text.
pub(crate) fn weights() -> Vec<u8> {
    (0..20_000_u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// The name of the blob: git's hash or SHA-256.
pub(crate) fn etag(content: &[u8], size: Size) -> String {
    let digest = match size {
        Size::Large => Sha256::digest(content).to_vec(),
        Size::Small => Sha1::new_with_prefix(format!("blob {}\0", content.len()))
            .chain_update(content)
            .finalize()
            .to_vec(),
    };
    digest
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

pub(super) fn right_answer(request: &Request, address: SocketAddr, state: &State) -> Answer {
    let cache = format!("/api/resolve-cache/models/{MODEL}/{COMMIT}/");
    let not_found = |code: &str| Answer {
        status: 404,
        headers: vec![("X-Error-Code".to_owned(), code.to_owned())],
        body: Vec::new(),
    };
    if let Some(rest) = request.path.strip_prefix("/renamed/resolve") {
        return redirect(307, &format!("/{MODEL}/resolve{rest}"));
    }
    let Some(rest) = request.path.strip_prefix(&format!("/{MODEL}/resolve/")) else {
        let content = request.path.strip_prefix(&cache);
        let content = content.or_else(|| request.path.strip_prefix("/cdn/"));
        return match content.and_then(|file| state.files.get(file)) {
            Some((body, size)) => found(body, *size),
            None => not_found("RepoNotFound"),
        };
    };
    let (revision, file) = rest.split_once('/').unwrap_or_default();
    if ![COMMIT, "main", "refs%2Fpr%2F1"].contains(&revision) {
        return not_found("RevisionNotFound");
    }
    match state.files.get(file) {
        None => not_found("EntryNotFound"),
        Some((_, Size::Small)) => redirect(307, &format!("{cache}{file}")),
        Some((body, Size::Large)) => {
            let port = address.port();
            let mut answer = redirect(302, &format!("http://localhost:{port}/cdn/{file}"));
            let headers = [
                ("X-Linked-ETag", format!("\"{}\"", etag(body, Size::Large))),
                ("X-Linked-Size", body.len().to_string()),
                ("X-Repo-Commit", COMMIT.to_owned()),
            ];
            answer
                .headers
                .extend(headers.map(|(name, value)| (name.to_owned(), value)));
            answer
        }
    }
}

fn redirect(status: u16, location: &str) -> Answer {
    Answer {
        status,
        headers: vec![("Location".to_owned(), location.to_owned())],
        body: Vec::new(),
    }
}

fn found(body: &[u8], size: Size) -> Answer {
    let headers = [
        ("ETag", format!("\"{}\"", etag(body, size))),
        ("X-Repo-Commit", COMMIT.to_owned()),
    ];
    Answer {
        status: 200,
        headers: headers
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
        body: body.to_vec(),
    }
}

pub(super) fn apply(fault: Option<&Fault>, answer: &mut Answer) {
    match fault {
        Some(Fault::Status(status, headers, body)) => {
            answer.status = *status;
            answer.headers = headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect();
            answer.body = body.as_bytes().to_vec();
        }
        Some(Fault::Header(name, value)) => {
            answer
                .headers
                .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            answer.headers.push(((*name).to_owned(), value.clone()));
        }
        Some(Fault::Redirect(location)) => *answer = redirect(302, location),
        Some(Fault::Body(body)) => answer.body.clone_from(body),
        _ => {}
    }
}

/// The head of `answer`; without its length if it has no end.
pub(super) fn head(answer: &Answer, has_length: bool) -> String {
    let mut head = format!("HTTP/1.1 {} Reason\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head = head + name + ": " + value + "\r\n";
    }
    if has_length {
        let length = answer.body.len().to_string();
        head = head + "Content-Length: " + &length + "\r\n";
    }
    head + "\r\n"
}
