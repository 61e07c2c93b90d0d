//! The HTTP client, with the timeouts, proxies and certificates of the environment. It follows no
//! redirect: [`Hub`](super::metadata::Hub) decides which.

use ureq::http::Response;
use ureq::http::Uri;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::address::is_https;
use super::credentials::{NoProxy, Token};
use super::environment::{Environment, Timeouts};
use super::small_file;
use crate::error::{Error, Kind, Result};
use crate::guard::guarded;

const USER_AGENT: &str = concat!("bert-embed/", env!("CARGO_PKG_VERSION"));

/// The certificates of Mozilla have 0.2 MB.
const MAX_CERTIFICATE_BYTES: u64 = 16 << 20;

pub(super) struct Client {
    agent: Agent,
    timeouts: Timeouts,
    https_proxy: Option<ureq::Proxy>,
    http_proxy: Option<ureq::Proxy>,
    no_proxy: NoProxy,
}

#[derive(Clone, Copy)]
enum Method {
    Head,
    Get,
}

impl Client {
    pub(super) fn new(environment: &Environment) -> Result<Self> {
        let proxy = |proxy: &Option<super::Proxy>| proxy.as_ref().map(super::Proxy::parse);
        let tls = TlsConfig::builder().root_certs(root_certificates(environment)?);
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(USER_AGENT)
            .timeout_resolve(Some(environment.timeouts.etag))
            .timeout_connect(Some(environment.timeouts.etag))
            .tls_config(tls.build())
            .build();
        Ok(Self {
            agent: agent.into(),
            timeouts: environment.timeouts,
            https_proxy: proxy(&environment.proxy).transpose()?,
            http_proxy: proxy(&environment.http_proxy).transpose()?,
            no_proxy: environment.no_proxy.clone(),
        })
    }

    /// Requests the headers of `url`, within the time for headers.
    pub(super) fn head(
        &self,
        url: &Uri,
        token: Option<&Token>,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        self.send(Method::Head, url, token)
    }

    /// Requests the content of `url`; only [`Client::stop`] ends its silence.
    pub(super) fn get(
        &self,
        url: &Uri,
        token: Option<&Token>,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        self.send(Method::Get, url, token)
    }

    fn send(
        &self,
        method: Method,
        url: &Uri,
        token: Option<&Token>,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        let (request, limit) = match method {
            Method::Head => (self.agent.head(url), Some(self.timeouts.etag)),
            Method::Get => (self.agent.get(url), None),
        };
        // The size and the content must not be a compressed answer's.
        let mut request = request.header("accept-encoding", "identity");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {}", token.secret()));
        }
        let request = request
            .config()
            .timeout_global(limit)
            .proxy(self.proxy(url).cloned())
            .build();
        // ureq panics if it cannot start the thread that looks up the host.
        guarded(|| request.call()).unwrap_or(Err(ureq::Error::HostNotFound))
    }

    fn proxy(&self, url: &Uri) -> Option<&ureq::Proxy> {
        let proxy = if is_https(url) {
            self.https_proxy.as_ref()
        } else {
            self.http_proxy.as_ref()
        };
        proxy.filter(|_| !url.host().is_some_and(|host| self.no_proxy.has(host)))
    }

    /// Ends every request that is under way, and allows no further one.
    pub(super) fn stop(&self) {
        self.agent.clone().shutdown();
    }
}

/// The certificates in the file of `SSL_CERT_FILE`, else the system's.
fn root_certificates(environment: &Environment) -> Result<RootCerts> {
    let Some(path) = &environment.ssl_cert_file else {
        return Ok(RootCerts::PlatformVerifier);
    };
    let path = environment.expand(path);
    let read = small_file::read(&path, MAX_CERTIFICATE_BYTES);
    let certificates = read.and_then(|pem| {
        let items: Vec<_> = parse_pem(&pem).flatten().collect();
        let certificates = items.into_iter().filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        });
        let certificates: Vec<_> = certificates.collect();
        if certificates.is_empty() {
            let cause = "it has no certificate in PEM form";
            return Err(Error::message(Kind::Usage, cause));
        }
        Ok(RootCerts::from(certificates))
    });
    certificates
        .map_err(|error| error.context(format!("could not use SSL_CERT_FILE `{}`", path.display())))
}
