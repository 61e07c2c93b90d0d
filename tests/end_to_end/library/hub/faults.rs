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
    stage.fails(Kind::Hub, "came damaged");
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
