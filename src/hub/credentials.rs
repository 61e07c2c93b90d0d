//! Secrets of the environment, which no message shows: the hub's token and a proxy's address.

use std::fmt;
#[cfg(feature = "hub")]
use std::net::IpAddr;

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
    /// The first of `variables` that is set.
    pub(super) fn read(variables: [&'static str; 4]) -> Option<Self> {
        variables.into_iter().find_map(|variable| {
            let address = std::env::var(variable)
                .ok()
                .filter(|text| !text.is_empty())?;
            Some(Self { variable, address })
        })
    }
}

#[cfg(feature = "hub")]
impl Proxy {
    /// # Errors
    /// [`Kind::Usage`]: it is not an address.
    pub(super) fn parse(&self) -> Result<ureq::Proxy> {
        ureq::Proxy::new(&self.address).map_err(|_| {
            let cause = "not an address such as http://proxy.example:3128";
            let what = format!("could not use the proxy in {}", self.variable);
            Error::message(Kind::Usage, cause).context(what)
        })
    }
}

/// The hosts of `NO_PROXY`, which are reached without a proxy.
#[derive(Debug, Clone, Default)]
pub struct NoProxy(
    #[cfg_attr(
        not(feature = "hub"),
        allow(dead_code, reason = "only a download looks at it")
    )]
    Vec<String>,
);

impl NoProxy {
    pub(super) fn read() -> Self {
        let read = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let text = read("NO_PROXY").or_else(|| read("no_proxy"));
        text.as_deref().map_or_else(Self::default, Self::parse)
    }

    /// A list of domains, addresses and networks, separated by commas.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let entries = text.split(',').map(|entry| entry.trim().to_lowercase());
        Self(entries.filter(|entry| !entry.is_empty()).collect())
    }

    /// Whether `host` or a domain around it is in the list.
    #[cfg(feature = "hub")]
    pub(super) fn has(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']).to_lowercase();
        let address = host.parse().ok();
        self.0.iter().any(|entry| {
            let domain = entry.trim_start_matches('*').trim_start_matches('.');
            let below = host.strip_suffix(domain);
            let is_network = address.is_some_and(|address| is_in_network(address, entry));
            entry == "*"
                || is_network
                || (!domain.is_empty()
                    && below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
        })
    }
}

/// Whether `address` is in `network`, such as 10.0.0.0/8.
#[cfg(feature = "hub")]
fn is_in_network(address: IpAddr, network: &str) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let Some((start, prefix)) = network.split_once('/') else {
        return false;
    };
    let (Ok(start), Ok(prefix)) = (start.parse::<IpAddr>(), prefix.parse::<u32>()) else {
        return false;
    };
    let ((address, width), (start, start_width)) = (bits(address), bits(start));
    let differing = (address ^ start).leading_zeros();
    width == start_width && prefix <= width && differing >= prefix
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
        let is_address = |address: &str| {
            let address = address.to_owned();
            Proxy {
                variable: "HTTPS_PROXY",
                address,
            }
            .parse()
            .is_ok()
        };
        assert!(is_address("http://proxy.test:3128") && is_address("proxy.test:3128"));
        assert!(!is_address("::bad") && !is_address("http://"));
    }

    #[cfg(feature = "hub")]
    #[test]
    fn no_proxy_has_domains_addresses_and_networks() {
        let list = NoProxy::parse("hub.test, .inner.test,*.star.test,10.0.0.0/8,::1,fd00::/8");
        for host in [
            "hub.test",
            "HUB.test",
            "a.hub.test",
            "a.inner.test",
            "a.star.test",
            "10.1.2.3",
            "[::1]",
            "[fd12::1]",
        ] {
            assert!(list.has(host), "{host}");
        }
        for host in ["nohub.test", "hub.test.evil", "11.0.0.1", "[::2]", "test"] {
            assert!(!list.has(host), "{host}");
        }
        assert!(NoProxy::parse("*").has("any.test"));
    }
}
