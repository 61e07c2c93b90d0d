//! A hub id or a directory → a local directory with the files of one version of a model
//! ([`locate()`]): cache, download, verification, environment and credentials.
//!
//! Only this room knows the hub and its cache.

#[cfg(feature = "hub")]
mod address;
mod cache;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod content;
mod credentials;
#[cfg(feature = "hub")]
mod download;
mod environment;
mod expand;
#[cfg(feature = "hub")]
mod install;
mod locate;
#[cfg(feature = "hub")]
mod metadata;
#[cfg(feature = "hub")]
mod progress;
#[cfg(feature = "hub")]
mod refusal;
mod repository;
#[cfg(feature = "hub")]
mod small_file;
mod snapshot;
mod verify;

#[cfg(feature = "hub")]
pub use credentials::{NoProxy, Proxy, Token};
pub use environment::Environment;
#[cfg(feature = "hub")]
pub use environment::Timeouts;
pub use locate::locate;
pub(crate) use locate::weights_on_hub;
pub use snapshot::{ModelSource, Snapshot};
pub use verify::verify;
