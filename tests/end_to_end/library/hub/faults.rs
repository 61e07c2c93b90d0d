//! Content that comes wrong, short, slowly or not at all.

use bert_embed::error::Kind;

use super::{ALWAYS, Stage, status};
use crate::support::loopback::{Fault, weights};

#[test]
fn a_page_in_place_of_a_file_is_not_kept() {
    let page = b"<html>try later</html>".to_vec();
    let wrong = [
        Fault::Body(page),
        Fault::Body(weights()[..10_000].to_vec()),
        Fault::Body([&weights()[..19_999], b"x"].concat()),
        Fault::Body([weights(), weights()].concat()),
        Fault::Cut(10_000),
        status(403, ""),
        status(500, ""),
    ];
    for fault in wrong {
        let stage = Stage::new();
        stage
            .hub
            .fail("GET", "model.safetensors", ALWAYS, fault.clone());
        stage.fails(Kind::Hub, "could not download `model.safetensors`");
        let once = Stage::new();
        once.hub.fail("GET", "model.safetensors", 1, fault);
        once.get().expect("the second try brings the file");
        once.is_clean();
    }
}

#[test]
fn a_damaged_small_file_is_not_kept() {
    let stage = Stage::new();
    stage.hub.fail(
        "GET",
        "config.json",
        ALWAYS,
        Fault::Body(b"{\"model_type\":\"best\"}".to_vec()),
    );
    stage.fails(Kind::Hub, "it is damaged");
    assert!(!stage.repository().join("refs/main").exists());
}

#[test]
fn a_redirect_loop_ends() {
    let stage = Stage::new();
    let path = "/owner/name/resolve/main/config.json";
    stage.hub.fail(
        "HEAD",
        "config.json",
        ALWAYS,
        Fault::Redirect(path.to_owned()),
    );
    stage.fails(Kind::Hub, "redirects more than 10 times");
    let stage = Stage::new();
    let path = format!("{}/cdn/model.safetensors", stage.hub.endpoint());
    stage
        .hub
        .fail("GET", "model.safetensors", ALWAYS, Fault::Redirect(path));
    stage.fails(Kind::Hub, "more than 10 redirects");
    assert!(stage.hub.requests().len() < 60, "two tries of 10 redirects");
}

#[test]
fn silence_before_the_headers_ends() {
    let stage = Stage::new().with_short_etag_timeout();
    stage.hub.fail("HEAD", "config.json", ALWAYS, Fault::Hang);
    stage.fails(Kind::Hub, "did not answer within 1 s");
    let stage = Stage::new().with_short_download_timeout();
    stage
        .hub
        .fail("GET", "model.safetensors", ALWAYS, Fault::Hang);
    stage.fails(Kind::Hub, "of 20000 bytes");
}

#[test]
fn silence_or_a_trickle_in_the_content_ends() {
    for (fault, far) in [
        (Fault::HangAfter(5_000), "after 5000 of 20000 bytes"),
        (Fault::Trickle, "of 20000 bytes"),
    ] {
        let stage = Stage::new().with_short_download_timeout();
        stage.hub.fail("GET", "model.safetensors", ALWAYS, fault);
        stage.fails(Kind::Hub, far);
    }
}

#[test]
fn a_body_without_end_stops_at_the_size_promised() {
    for (file, promised) in [("config.json", "21"), ("model.safetensors", "20000")] {
        let stage = Stage::new();
        stage.hub.fail("GET", file, ALWAYS, Fault::Endless);
        let words = format!("more data came than the {promised} bytes allowed");
        stage.fails(Kind::Hub, &words);
        // Two tries; the rest is on its way between the sockets.
        assert!(stage.hub.endless_bytes() < 64 << 20);
    }
}

#[test]
fn a_small_file_of_unknown_size_has_a_limit() {
    let stage = Stage::new();
    stage
        .hub
        .fail("HEAD", "config.json", ALWAYS, Fault::Unsized);
    stage.get().expect("a file may come without its size");
    let stage = Stage::new();
    stage
        .hub
        .fail("HEAD", "config.json", ALWAYS, Fault::Unsized);
    stage.hub.fail("GET", "config.json", ALWAYS, Fault::Endless);
    stage.fails(Kind::Hub, "more data came than the 67108864 bytes allowed");
    assert!(stage.hub.endless_bytes() < 256 << 20);
}

#[test]
fn a_small_file_that_is_large_and_weights_of_unknown_size_are_not_begun() {
    let size = |size: &str| Fault::Header("X-Linked-Size", size.to_owned());
    for (file, fault, words) in [
        (
            "tokenizer.json",
            size("1000000000000"),
            "1000000000000 bytes: at most 67108864 are allowed",
        ),
        (
            "model.safetensors",
            size(""),
            "does not say how large `model.safetensors` is",
        ),
    ] {
        let stage = Stage::new();
        stage.hub.fail("HEAD", file, ALWAYS, fault);
        stage.fails(Kind::Hub, words);
        let is_content = |path: &str| !path.contains("/resolve/") && path.ends_with(file);
        let requests = stage.hub.requests();
        let begun = |request: &crate::support::loopback::Request| {
            request.method == "GET" && is_content(&request.path)
        };
        assert!(!requests.iter().any(begun), "{file}");
    }
}
