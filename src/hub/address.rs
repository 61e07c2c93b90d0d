//! Addresses: the endpoint, a file on the hub, and what the hub redirects to.

use ureq::http::Uri;

use super::repository::{RepositoryId, Revision};
use crate::error::{Error, Kind, Result};

/// The hub's address, perhaps with a path, from `HF_ENDPOINT`.
pub(super) fn endpoint(text: &str) -> Result<Uri> {
    let url = text.parse::<Uri>().ok();
    url.filter(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some())
        .ok_or_else(|| {
            Error::message(Kind::Usage, "not an address that starts with https://")
                .context(format!("could not use HF_ENDPOINT `{text}`"))
        })
}

/// `{endpoint}/{owner}/{name}/resolve/{revision}/{file}`; a slash in the revision is escaped.
pub(super) fn of_file(
    endpoint: &Uri,
    id: &RepositoryId,
    revision: &Revision,
    file: &str,
) -> Option<Uri> {
    let file: Vec<String> = file.split('/').map(escaped).collect();
    let (revision, file) = (escaped(revision.as_str()), file.join("/"));
    let path = endpoint.path().trim_end_matches('/');
    let place = format!("{path}/{}/resolve/{revision}/{file}", id.repo().url());
    format!("{}{place}", base(endpoint)).parse().ok()
}

/// Where `location`, the header of a redirect from `url`, leads.
pub(super) fn join(url: &Uri, location: &str) -> Option<Uri> {
    let address = if is_absolute(location) {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{}:{location}", url.scheme_str()?)
    } else if location.starts_with('/') {
        format!("{}{location}", base(url))
    } else {
        let (folder, _) = url.path().rsplit_once('/').unwrap_or_default();
        format!("{}{folder}/{location}", base(url))
    };
    let joined = address.parse::<Uri>().ok()?;
    let is_web = matches!(joined.scheme_str(), Some("http" | "https"));
    (is_web && joined.host().is_some()).then_some(joined)
}

/// Whether `location` begins with a scheme.
pub(super) fn is_absolute(location: &str) -> bool {
    let scheme = location.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| !scheme.is_empty() && !scheme.contains(['/', '?', '#']))
}

pub(super) fn is_same_origin(one: &Uri, other: &Uri) -> bool {
    origin(one) == origin(other)
}

pub(super) fn is_https(url: &Uri) -> bool {
    url.scheme_str() == Some("https")
}

fn origin(url: &Uri) -> (bool, Option<String>, u16) {
    let default = if is_https(url) { 443 } else { 80 };
    let host = url.host().map(str::to_ascii_lowercase);
    (is_https(url), host, url.port_u16().unwrap_or(default))
}

/// `https://host:port`.
fn base(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("https");
    let authority = url.authority().map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}")
}

/// One part of a path, as Python's `quote(part, safe="")` writes it.
fn escaped(part: &str) -> String {
    part.bytes().fold(String::new(), |text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text + char::from(byte).encode_utf8(&mut [0])
        } else {
            text + &format!("%{byte:02X}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_below_the_path_of_the_endpoint() {
        let file = |endpoint: &str, revision: &str| {
            let endpoint = super::endpoint(endpoint).expect("an endpoint");
            let id = RepositoryId::parse("a/b").expect("an id");
            let revision = Revision::parse(revision).expect("a revision");
            of_file(&endpoint, &id, &revision, "x/y z.json").map(|url| url.to_string())
        };
        let expected = "https://h:1/hf/a/b/resolve/refs%2Fpr%2F1/x/y%20z.json";
        for endpoint in ["https://h:1/hf", "https://h:1/hf/"] {
            assert_eq!(file(endpoint, "refs/pr/1").as_deref(), Some(expected));
        }
        // Python: quote("v#é&", safe="").
        let expected = "http://h/a/b/resolve/v%23%C3%A9%26/x/y%20z.json";
        assert_eq!(file("http://h", "v#é&").as_deref(), Some(expected));
    }

    #[test]
    fn a_location_is_absolute_or_within_the_host_or_within_the_folder() {
        let join = |location| {
            let url = Uri::from_static("https://h:1/a/b?c=d");
            join(&url, location).map(|url| url.to_string())
        };
        // Python: urljoin("https://h:1/a/b?c=d", …).
        for (location, expected) in [
            ("http://x/y?z=1", "http://x/y?z=1"),
            ("//x/y", "https://x/y"),
            ("/y?u=http://z", "https://h:1/y?u=http://z"),
            ("y", "https://h:1/a/y"),
        ] {
            assert_eq!(join(location).as_deref(), Some(expected), "{location}");
        }
        for location in ["ftp://x/y", "https://", "http://a b/"] {
            assert_eq!(join(location), None, "{location}");
        }
    }

    #[test]
    fn another_port_or_scheme_is_another_origin() {
        let hub = Uri::from_static("https://hub.test/x");
        for (url, same) in [
            ("https://HUB.test:443/y", true),
            ("http://hub.test/x", false),
            ("https://hub.test:8443/x", false),
            ("https://hub.test.evil/x", false),
        ] {
            assert_eq!(is_same_origin(&hub, &Uri::from_static(url)), same, "{url}");
        }
    }
}
