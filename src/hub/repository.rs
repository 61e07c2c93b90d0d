//! Names on the hub: repository ids, revisions and commits, checked before they become a path or an
//! address.
//!
//! Source: `validate_repo_id` in `huggingface_hub`, and `git check-ref-format`.

use std::fmt;

use crate::error::{Error, Kind, Result};

/// The hub's limit for an owner or a name.
const MAX_NAME_BYTES: usize = 96;

/// A model repository on the hub: `owner/name`, or `name` for the oldest ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RepositoryId(String);

impl RepositoryId {
    pub(super) fn parse(id: &str) -> Result<Self> {
        let names: Vec<&str> = id.split('/').collect();
        if names.len() <= 2 && names.iter().all(|name| is_name(name)) {
            return Ok(Self(id.to_owned()));
        }
        let cause = "neither a directory nor a hub id of the form `owner/name`";
        let error =
            Error::message(Kind::Usage, cause).context(format!("could not use model `{id}`"));
        Err(match page(id) {
            Some(options) => error.with_tip(options),
            None => error,
        })
    }

    /// The repository's directory in a cache: `models--owner--name`.
    pub(super) fn folder(&self) -> String {
        self.repo().folder_name()
    }

    pub(super) fn repo(&self) -> hf_hub::Repo {
        hf_hub::Repo::model(self.0.clone())
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The options for the model whose page on a hub is at the address `url`.
fn page(url: &str) -> Option<String> {
    let address = url.split(['?', '#']).next()?;
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => {
            address
                .split_once('/')
                .filter(|(host, _)| host.contains('.') && !host.starts_with('.'))?
                .1
        }
    };
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let (owner, name) = (parts.next()?, parts.next());
    let model = name.map_or(owner.to_owned(), |name| format!("{owner}/{name}"));
    let id = RepositoryId::parse(model.strip_suffix(".git").unwrap_or(&model)).ok()?;
    let view = parts.next();
    let revision = parts
        .next()
        .filter(|_| matches!(view, Some("tree" | "blob" | "resolve" | "commit")))
        .map_or(String::new(), |revision| format!(" --revision {revision}"));
    Some(format!("give the hub id: -m {id}{revision}"))
}

fn is_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.len() <= MAX_NAME_BYTES
        && name.bytes().next().is_some_and(word)
        && name.bytes().next_back().is_some_and(word)
        && name
            .bytes()
            .all(|byte| word(byte) || byte == b'-' || byte == b'.')
        && !name.contains("--")
        && !name.contains("..")
        && name.strip_suffix(".git").is_none()
}

/// A branch, a tag, a reference such as `refs/pr/1`, or a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Revision(String);

impl Revision {
    /// Also refuses a revision that, as a path, would lead elsewhere.
    pub(super) fn parse(revision: &str) -> Result<Self> {
        let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.');
        let allowed = |character: char| {
            !character.is_control()
                && !character.is_whitespace()
                && !r"\~^:?*[%".contains(character)
        };
        let valid = revision.len() <= 255
            && !revision.starts_with('-')
            && !revision.contains("..")
            && revision.split('/').all(part)
            && revision.chars().all(allowed);
        if valid {
            return Ok(Self(revision.to_owned()));
        }
        let cause = "not the name of a branch, a tag or a commit";
        Err(Error::message(Kind::Usage, cause)
            .context(format!("could not use revision `{revision}`")))
    }

    /// The commit, if the revision is a full one.
    pub(super) fn commit(&self) -> Option<Commit> {
        Commit::parse(&self.0)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A commit in full: 40 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit(String);

impl Commit {
    pub(super) fn parse(text: &str) -> Option<Self> {
        (text.len() == 40 && is_lower_hex(text)).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    #[cfg(feature = "hub")]
    pub(super) fn revision(&self) -> Revision {
        Revision(self.0.clone())
    }
}

pub(super) fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_ids_are_accepted() {
        for id in [
            "bert-base-uncased",
            "google-bert/bert-base-uncased",
            "a/b.c_d-1",
            "_x/y",
        ] {
            assert!(RepositoryId::parse(id).is_ok(), "{id}");
        }
    }

    #[test]
    fn invalid_ids_are_refused() {
        let long = "x".repeat(97);
        for id in [
            "", "/", "a/", "/a", "../x", "a/..", "a/b/c", "-x", "x-", ".x", "a--b", "a..b",
            "%2e%2e", "a b", "a\n", "a\\b", "é", "a.git", "a:b", &long,
        ] {
            assert!(RepositoryId::parse(id).is_err(), "{id}");
        }
    }

    #[test]
    fn the_address_of_a_model_is_answered_with_its_id() {
        let tip = |id| {
            let error = RepositoryId::parse(id).expect_err(id);
            error.tip().map(str::to_owned)
        };
        for (address, options) in [
            ("https://huggingface.co/a/b", "-m a/b"),
            ("https://huggingface.co/a/b/", "-m a/b"),
            ("https://huggingface.co/a/b.git", "-m a/b"),
            ("huggingface.co/a/b", "-m a/b"),
            (
                "https://huggingface.co/bert-base-uncased",
                "-m bert-base-uncased",
            ),
            ("https://hf.co/a/b/tree/v1.0", "-m a/b --revision v1.0"),
            (
                "https://hf.co/a/b/blob/main/config.json?x=1",
                "-m a/b --revision main",
            ),
        ] {
            let expected = format!("give the hub id: {options}");
            assert_eq!(tip(address), Some(expected), "{address}");
        }
        for other in ["a/b/c", "https://huggingface.co/", "../x/y", "models/a/b"] {
            assert_eq!(tip(other), None, "{other}");
        }
    }

    #[test]
    fn the_folder_is_named_as_in_python() {
        let folder = |id| RepositoryId::parse(id).map(|id| id.folder()).ok();
        assert_eq!(folder("a/b").as_deref(), Some("models--a--b"));
        assert_eq!(folder("b").as_deref(), Some("models--b"));
    }

    #[test]
    fn revisions_that_lead_elsewhere_are_refused() {
        for revision in [
            "", ".", "..", "../x", "a/../b", "/abs", "a//b", "a/", "a\nb", "a b", "-x", ".hidden",
            "a\\b", "%2e%2e",
        ] {
            assert!(Revision::parse(revision).is_err(), "{revision}");
        }
        for revision in ["main", "v1.0", "refs/pr/1", "feature/x-y_z", "ветка"] {
            assert!(Revision::parse(revision).is_ok(), "{revision}");
        }
    }

    #[test]
    fn only_a_full_commit_is_a_commit() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert!(Commit::parse(commit).is_some());
        assert!(Commit::parse(&commit.to_uppercase()).is_none());
        assert!(Commit::parse(&commit[1..]).is_none());
    }
}
