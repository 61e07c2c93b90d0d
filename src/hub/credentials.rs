//! Secrets of the environment, which no message shows: the hub's token and a proxy's address.

use std::fmt;

#[cfg(feature = "hub")]
use crate::error::{Error, Kind, Result};

/// A proxy from an environment variable; its address may hold a password.
#[derive(Clone)]
pub struct Proxy {
    /// `HTTPS_PROXY`, `ALL_PROXY`, or either in lower case.
    pub variable: &'static str,
    pub address: String,
}

impl Proxy {
    /// The first proxy variable that is set.
    pub(super) fn read() -> Option<Self> {
        ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
            .into_iter()
            .find_map(|variable| {
                let address = std::env::var(variable)
                    .ok()
                    .filter(|text| !text.is_empty())?;
                Some(Self { variable, address })
            })
    }
}

#[cfg(feature = "hub")]
impl Proxy {
    /// Refuses what is not an address: the HTTP client would bypass the proxy silently.
    pub(super) fn check(&self) -> Result<()> {
        let address = if self.address.contains("://") {
            reqwest::Url::parse(&self.address)
        } else {
            reqwest::Url::parse(&format!("http://{}", self.address))
        };
        if address.is_ok_and(|address| address.has_host()) {
            return Ok(());
        }
        let cause = "not an address such as http://proxy.example:3128";
        let what = format!("could not use the proxy in {}", self.variable);
        Err(Error::message(Kind::Usage, cause).context(what))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Proxy({})", self.variable)
    }
}

#[derive(Clone)]
pub struct Token(
    #[cfg_attr(
        not(feature = "hub"),
        allow(dead_code, reason = "only a download sends it")
    )]
    String,
);

impl Token {
    /// Trims white space, as Python's client does.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    #[cfg(feature = "hub")]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses a token that no header can hold: a line break would end the header.
    #[cfg(feature = "hub")]
    pub(super) fn header_safe(self, origin: &str) -> Result<Self> {
        if self.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(self);
        }
        Err(Error::message(
            Kind::Usage,
            format!(
                "could not use the token in {origin}: it holds a line break or another character \
                 that no token has"
            ),
        ))
    }

    #[cfg(feature = "hub")]
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_token_nor_proxy_is_shown() {
        assert_eq!(format!("{:?}", Token::new("hf_secret\n")), "Token(…)");
        let proxy = Proxy {
            variable: "HTTPS_PROXY",
            address: "http://user:secret@proxy.test".to_owned(),
        };
        assert_eq!(format!("{proxy:?}"), "Proxy(HTTPS_PROXY)");
    }

    #[cfg(feature = "hub")]
    #[test]
    fn a_proxy_is_an_address_with_or_without_a_scheme() {
        let check = |address: &str| {
            let address = address.to_owned();
            Proxy {
                variable: "HTTPS_PROXY",
                address,
            }
            .check()
            .is_ok()
        };
        assert!(check("http://proxy.test:3128") && check("proxy.test:3128"));
        assert!(!check("::bad") && !check("http://"));
    }
}
