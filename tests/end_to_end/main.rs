//! The one integration binary: the built `bert-embed`, its library and its oracles.

#![allow(
    unreachable_pub,
    reason = "a test binary has no outside: pub is what its files share"
)]

mod cache;
mod contract;
mod fidelity;
mod formats;
#[cfg(feature = "hub")]
mod hub;
mod model_files;
mod notebook;
mod support;
mod tokens;
mod windows;
mod words;
