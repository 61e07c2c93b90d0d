//! A hub id or a directory → a local directory with the files of one version of a model
//! ([`locate()`]): cache, download, verification, environment and credentials.
//!
//! Only this room knows the hub, its cache and `hf-hub`.

mod cache;
mod credentials;
#[cfg(feature = "hub")]
mod download;
mod environment;
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
mod snapshot;
mod verify;

pub use credentials::{Proxy, Token};
#[cfg(feature = "hub")]
pub(crate) use environment::disable_telemetry;
pub use environment::{Environment, Timeouts};
pub use locate::locate;
pub(crate) use locate::weights_on_hub;
pub use snapshot::{ModelSource, Snapshot};
pub use verify::verify;
