//! What the hub refuses and how long its trouble is waited for; who gets the token.

use std::time::{Duration, Instant};

use bert_embed::error::Kind;
use bert_embed::internals::{NoProxy, Proxy, Token};

use super::{ALWAYS, Stage, entries, status};
use crate::support::loopback::Fault;

#[test]
fn offline_makes_no_request() {
    let mut stage = Stage::new();
    stage.environment.offline = true;
    let error = stage.fails(Kind::Hub, "HF_HUB_OFFLINE allows no download");
    assert!(
        error
            .tip()
            .is_some_and(|tip| tip.contains("without HF_HUB_OFFLINE"))
    );
    assert!(stage.hub.requests().is_empty());
}

#[test]
fn the_token_stays_with_the_hub() {
    let mut stage = Stage::new();
    stage.environment.hf_token = Some(Token::new("hf_secret\n"));
    stage.get().expect("a download");
    let requests = stage.hub.requests();
    let (elsewhere, hub): (Vec<_>, Vec<_>) = requests
        .iter()
        .partition(|request| request.host.starts_with("localhost"));
    assert!(!elsewhere.is_empty(), "the weights lie on another host");
    for request in elsewhere {
        assert_eq!(request.authorization, None, "{request:?}");
    }
    for request in hub {
        let sent = request.authorization.as_deref();
        assert_eq!(sent, Some("Bearer hf_secret"), "{request:?}");
    }
}

#[test]
fn without_a_token_none_is_sent() {
    let stage = Stage::new();
    stage.get().expect("a download");
    let requests = stage.hub.requests();
    assert!(
        requests
            .iter()
            .all(|request| request.authorization.is_none())
    );
}

#[test]
fn each_refusal_has_its_own_words() {
    let refusals = [
        (status(401, "RepoNotFound"), false, "needs a token (401)"),
        (status(401, ""), true, "does not accept the token"),
        (status(403, "GatedRepo"), true, "gated"),
        (status(404, "RepoNotFound"), false, "no such model"),
        (status(404, "RevisionNotFound"), false, "no such revision"),
        (status(404, "EntryNotFound"), false, "no `config.json`"),
    ];
    for (fault, token, expected) in refusals {
        let mut stage = Stage::new();
        stage.environment.hf_token = token.then(|| Token::new("hf_secret"));
        stage.hub.fail("HEAD", "config.json", ALWAYS, fault);
        let error = stage.fails(Kind::HubRefused, expected);
        let told = format!("{error} {:?}", error.tip());
        assert!(
            !told.contains("hf_secret") && !told.contains("secret page"),
            "{told}"
        );
        assert!(
            entries(stage.cache.path()).is_empty(),
            "a refusal writes nothing"
        );
    }
}

#[test]
fn trouble_that_passes_is_waited_for() {
    let stage = Stage::new();
    stage.hub.fail("HEAD", "config.json", 2, status(503, ""));
    let wait = Fault::Status(429, vec![("Retry-After", "1".to_owned())], "");
    stage.hub.fail("HEAD", "tokenizer.json", 1, wait);
    let start = Instant::now();
    stage.get().expect("a download");
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "Retry-After is honoured"
    );
}

#[test]
fn trouble_that_stays_ends_the_download() {
    for code in [429, 500, 502, 503] {
        let stage = Stage::new();
        stage
            .hub
            .fail("HEAD", "config.json", ALWAYS, status(code, ""));
        let error = stage.fails(Kind::Hub, &code.to_string());
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
        assert!(
            error
                .tip()
                .is_some_and(|tip| tip.contains("local directory"))
        );
        assert_eq!(stage.hub.requests().len(), 4);
        assert!(entries(stage.cache.path()).is_empty());
    }
}

#[test]
fn a_long_pause_is_not_waited_for() {
    let stage = Stage::new();
    let wait = Fault::Status(429, vec![("Retry-After", "300".to_owned())], "");
    stage.hub.fail("HEAD", "config.json", ALWAYS, wait);
    stage.fails(Kind::Hub, "asks to wait 300 s");
    assert_eq!(stage.hub.requests().len(), 1);
}

#[test]
fn an_unreachable_hub_is_named_at_once() {
    let mut stage = Stage::new();
    // Port 9 is discard, which nothing listens to.
    stage.environment.hf_endpoint = Some("http://127.0.0.1:9".to_owned());
    let error = stage.fails(Kind::Hub, "could not reach 127.0.0.1");
    assert!(
        error
            .tip()
            .is_some_and(|tip| tip.contains("local directory"))
    );
}

#[test]
fn an_endpoint_that_is_no_address_is_refused() {
    let mut stage = Stage::new();
    for endpoint in ["huggingface.co", "ftp://hub.test", "/tmp", "http://"] {
        stage.environment.hf_endpoint = Some(endpoint.to_owned());
        stage.fails(Kind::Usage, "HF_ENDPOINT");
    }
}

#[test]
fn a_proxy_that_is_no_address_is_refused_without_showing_it() {
    let mut stage = Stage::new();
    let address = "::user:secret".to_owned();
    stage.environment.proxy = Some(Proxy {
        variable: "HTTPS_PROXY",
        address,
    });
    let error = stage.fails(Kind::Usage, "the proxy in HTTPS_PROXY");
    assert!(!format!("{error} {:?}", stage.environment).contains("secret"));
}

/// Paths that are no file of certificates and no token, with a word of the cause.
fn unusable_files(directory: &std::path::Path) -> Vec<(std::path::PathBuf, &'static str)> {
    let fifo = directory.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.is_ok_and(|status| status.success()));
    let huge = directory.join("huge");
    let file = std::fs::File::create(&huge).expect("a file");
    file.set_len(1 << 40).expect("a sparse file");
    vec![
        (fifo, "a pipe"),
        ("/dev/zero".into(), "a device"),
        (directory.into(), "a directory"),
        (huge, "more than"),
    ]
}

#[test]
fn certificates_that_are_none_are_refused_by_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let junk = directory.path().join("junk");
    std::fs::write(&junk, "junk").expect("a file");
    let mut unusable = unusable_files(directory.path());
    unusable.push((junk, "no certificate"));
    unusable.push((directory.path().join("missing"), "does not exist"));
    for (path, cause) in unusable {
        let mut stage = Stage::new();
        stage.environment.ssl_cert_file = Some(path.clone());
        let words = format!("could not use SSL_CERT_FILE `{}`", path.display());
        let error = stage.fails(Kind::Usage, &words);
        assert!(error.to_string().contains(cause), "{error}");
        assert!(stage.hub.requests().is_empty());
    }
}

#[test]
fn a_token_file_that_is_none_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (path, cause) in unusable_files(directory.path()) {
        let mut stage = Stage::new();
        stage.environment.hf_token_path = Some(path.clone());
        let words = format!("could not read the token in `{}`", path.display());
        let error = stage.fails(Kind::Usage, &words);
        assert!(error.to_string().contains(cause), "{error}");
        assert!(stage.hub.requests().is_empty());
    }
}

#[test]
fn a_proxy_is_used_except_for_the_hosts_of_no_proxy() {
    let proxy = || {
        let address = "http://127.0.0.1:9".to_owned();
        let variable = "HTTP_PROXY";
        Some(Proxy { variable, address })
    };
    let mut stage = Stage::new();
    stage.environment.http_proxy = proxy();
    stage.fails(
        Kind::Hub,
        "could not reach 127.0.0.1 (proxy from HTTP_PROXY)",
    );
    assert!(stage.hub.requests().is_empty());
    stage.environment.no_proxy = NoProxy::parse("127.0.0.0/8,localhost");
    stage.get().expect("a download without the proxy");
}

#[test]
fn an_endpoint_without_a_commit_is_not_worth_another_try() {
    let stage = Stage::new();
    let fault = Fault::Header("X-Repo-Commit", String::new());
    stage.hub.fail("HEAD", "config.json", ALWAYS, fault);
    let error = stage.fails(Kind::Hub, "unusable commit");
    let tip = error.tip().unwrap_or_default();
    assert!(
        tip.contains("HF_ENDPOINT") && !tip.contains("later"),
        "{tip}"
    );
}
