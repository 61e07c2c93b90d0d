//! What one run of the command does: [`run`] opens every room and shuts it again.

mod dry_run;
mod info;
mod model;
mod request;
mod resume;
mod run;
mod self_test;
mod settings;
mod signals;

pub use run::{Outcome, run};
