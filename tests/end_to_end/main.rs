//! The one integration binary: the built `bert-embed`, its library and its oracles.

mod model_files;
mod support;
