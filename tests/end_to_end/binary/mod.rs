//! Tests that run the built `bert-embed` and look at its output, its files and its exit code.

mod attentions;
mod contract;
mod formats;
mod layers;
mod readme;
mod sentences;
mod tokens;
mod windows;
mod words;
