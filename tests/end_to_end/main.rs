//! The one integration binary: the built `bert-embed`, its library and its oracles.

#![allow(
    unreachable_pub,
    reason = "a test binary has no outside: pub is what its files share"
)]

mod binary;
mod fidelity;
mod library;
mod support;
