//! The environment variables of Hugging Face's own tools, read once, with their precedence.
//! Source: `constants.py` and `utils/_auth.py` in `huggingface_hub`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::credentials::{NoProxy, Proxy, Token};
use super::expand;
#[cfg(feature = "hub")]
use super::small_file;
#[cfg(feature = "hub")]
use crate::error::is_not_there;
use crate::error::{Error, Kind, Result};

/// A token has about 40.
#[cfg(feature = "hub")]
const MAX_TOKEN_BYTES: u64 = 64 << 10;

#[cfg(feature = "hub")]
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// The variables about the hub and its cache; an empty one counts as not set.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub home: Option<PathBuf>,
    pub xdg_cache_home: Option<PathBuf>,
    pub hf_home: Option<PathBuf>,
    /// `HF_HUB_CACHE`, or its older name `HUGGINGFACE_HUB_CACHE`.
    pub hf_hub_cache: Option<PathBuf>,
    pub hf_endpoint: Option<String>,
    /// `HF_TOKEN`, or its older name `HUGGING_FACE_HUB_TOKEN`.
    pub hf_token: Option<Token>,
    pub hf_token_path: Option<PathBuf>,
    /// `HF_HUB_DISABLE_IMPLICIT_TOKEN`: send no token.
    pub disable_implicit_token: bool,
    /// `HF_HUB_OFFLINE`, or its older name `TRANSFORMERS_OFFLINE`.
    pub offline: bool,
    /// The proxy for https: `HTTPS_PROXY` or `ALL_PROXY`.
    pub proxy: Option<Proxy>,
    /// The proxy for http: `HTTP_PROXY` or `ALL_PROXY`.
    pub http_proxy: Option<Proxy>,
    /// `NO_PROXY`.
    pub no_proxy: NoProxy,
    /// `SSL_CERT_FILE`: trust these certificates instead of the system's.
    pub ssl_cert_file: Option<PathBuf>,
    /// `HF_HUB_ETAG_TIMEOUT` and `HF_HUB_DOWNLOAD_TIMEOUT`.
    pub timeouts: Timeouts,
}

#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Limit for the headers of one file.
    pub etag: Duration,
    /// Limit for the next bytes of a download.
    pub download: Duration,
    /// Pause before the first retry; each further one is twice as long.
    pub retry: Duration,
}

impl Default for Timeouts {
    /// 8 s for headers, so that an unreachable host is reported in under 10 s; 30 s without a byte;
    /// retries after 0.5, 1 and 2 s.
    fn default() -> Self {
        Self {
            etag: Duration::from_secs(8),
            download: Duration::from_secs(30),
            retry: Duration::from_millis(500),
        }
    }
}

impl Environment {
    #[must_use]
    pub fn read() -> Self {
        let either = |name: &str, older: &str| text(name).or_else(|| text(older));
        Self {
            home: path("HOME"),
            xdg_cache_home: path("XDG_CACHE_HOME"),
            hf_home: path("HF_HOME"),
            hf_hub_cache: path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE")),
            hf_endpoint: text("HF_ENDPOINT"),
            hf_token: either("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN").map(|text| Token::new(&text)),
            hf_token_path: path("HF_TOKEN_PATH"),
            disable_implicit_token: text("HF_HUB_DISABLE_IMPLICIT_TOKEN")
                .is_some_and(|value| is_true(&value)),
            offline: either("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
                .is_some_and(|value| is_true(&value)),
            proxy: Proxy::read(["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
            http_proxy: Proxy::read(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]),
            no_proxy: NoProxy::read(),
            ssl_cert_file: path("SSL_CERT_FILE"),
            timeouts: Timeouts::read(),
        }
    }

    /// The cache directory: `cache_dir` (the option), else a variable.
    ///
    /// # Errors
    /// [`Kind::Hub`] if there is neither, nor `HOME`. A directory that everyone can write to is
    /// never used instead.
    pub fn cache_directory(&self, cache_dir: Option<&Path>) -> Result<PathBuf> {
        cache_dir
            .or(self.hf_hub_cache.as_deref())
            .map(|path| self.expand(path))
            .or_else(|| self.hugging_face_home().map(|home| home.join("hub")))
            .ok_or_else(|| {
                Error::message(
                    Kind::Hub,
                    "could not find the model cache: HOME and HF_HOME are not set",
                )
                .with_tip("say where it is with --cache-dir DIR or HF_HOME=DIR")
            })
    }

    /// `path` with a leading `~` or `~user` replaced, as Python's `expanduser` does.
    #[must_use]
    pub fn expand_user(&self, path: &Path) -> PathBuf {
        expand::expand_user(path, self.home.as_deref())
    }

    /// `path` with `~` and then variables replaced, as `huggingface_hub` does with its own.
    #[must_use]
    pub fn expand(&self, path: &Path) -> PathBuf {
        expand::expand_variables(&self.expand_user(path), |name| std::env::var_os(name))
    }

    /// The hub's address without a final slash.
    #[cfg(feature = "hub")]
    pub(super) fn endpoint(&self) -> &str {
        let endpoint = self.hf_endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT);
        endpoint.trim_end_matches('/')
    }

    /// The token to send: `HF_TOKEN`, else the file at `HF_TOKEN_PATH`, else the one that
    /// `hf auth login` wrote.
    ///
    /// # Errors
    /// [`Kind::Usage`] if no header can hold it.
    #[cfg(feature = "hub")]
    pub(super) fn token(&self) -> Result<Option<Token>> {
        if self.disable_implicit_token {
            return Ok(None);
        }
        if let Some(token) = self.hf_token.clone().filter(|token| !token.is_empty()) {
            return token.header_safe("HF_TOKEN").map(Some);
        }
        let file = match &self.hf_token_path {
            Some(path) => Some(self.expand(path)),
            None => self.hugging_face_home().map(|home| home.join("token")),
        };
        let Some(file) = file else {
            return Ok(None);
        };
        match file.metadata() {
            // As in Python's client, a missing token file means no token.
            Err(error) if is_not_there(&error) => return Ok(None),
            Ok(_) | Err(_) => {}
        }
        let text = small_file::read(&file, MAX_TOKEN_BYTES).map_err(|error| {
            error.context(format!("could not read the token in `{}`", file.display()))
        })?;
        let text = String::from_utf8_lossy(&text);
        let token = Token::new(&text);
        if token.is_empty() {
            return Ok(None);
        }
        token.header_safe(&file.display().to_string()).map(Some)
    }

    fn hugging_face_home(&self) -> Option<PathBuf> {
        let cache_home = || match &self.xdg_cache_home {
            Some(path) => Some(self.expand(path)),
            None => self.home.as_ref().map(|home| home.join(".cache")),
        };
        match &self.hf_home {
            Some(path) => Some(self.expand(path)),
            None => cache_home().map(|cache| cache.join("huggingface")),
        }
    }
}

impl Timeouts {
    fn read() -> Self {
        let default = Self::default();
        let seconds = |name| text(name)?.parse().ok().filter(|seconds| *seconds > 0);
        Self {
            etag: seconds("HF_HUB_ETAG_TIMEOUT").map_or(default.etag, Duration::from_secs),
            download: seconds("HF_HUB_DOWNLOAD_TIMEOUT")
                .map_or(default.download, Duration::from_secs),
            retry: default.retry,
        }
    }
}

fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn text(name: &str) -> Option<String> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(|value| value.to_string_lossy().into_owned())
}

fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Environment {
        Environment {
            home: Some("/home/ada".into()),
            ..Environment::default()
        }
    }

    fn cache(environment: &Environment) -> Option<PathBuf> {
        environment.cache_directory(None).ok()
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        let mut environment = home();
        let mut expected = |change: fn(&mut Environment), path: &str| {
            change(&mut environment);
            assert_eq!(cache(&environment), Some(path.into()));
        };
        expected(|_| (), "/home/ada/.cache/huggingface/hub");
        expected(
            |e| e.xdg_cache_home = Some("/x".into()),
            "/x/huggingface/hub",
        );
        expected(|e| e.hf_home = Some("~/hf".into()), "/home/ada/hf/hub");
        expected(|e| e.hf_hub_cache = Some("/cache".into()), "/cache");
        let hub_cache = |e: &mut Environment| e.hf_hub_cache = Some("~root/${NO_SUCH}".into());
        expected(hub_cache, "/root/${NO_SUCH}");
        // As in `--cache-dir=~/c`, which no shell expands.
        let chosen = home().cache_directory(Some(Path::new("~/c")));
        assert_eq!(chosen.ok(), Some("/home/ada/c".into()));
    }

    #[test]
    fn without_any_home_there_is_no_cache() {
        assert_eq!(cache(&Environment::default()), None);
        let chosen = Environment::default().cache_directory(Some(Path::new("/c")));
        assert_eq!(chosen.ok(), Some("/c".into()));
    }

    #[test]
    fn truth_is_what_python_takes_for_it() {
        assert!(["1", "on", "Yes", "TRUE"].into_iter().all(is_true));
        assert!(!["0", "", "2", "off", "no"].into_iter().any(is_true));
    }

    #[cfg(feature = "hub")]
    #[test]
    fn a_token_with_a_line_break_inside_is_refused() {
        let mut environment = home();
        environment.hf_token = Some(Token::new("hf_a\r\nX-Evil: 1"));
        let error = environment.token().expect_err("a broken token");
        assert_eq!(error.kind(), Kind::Usage);
        assert!(!error.to_string().contains("hf_a"), "{error}");
    }
}
