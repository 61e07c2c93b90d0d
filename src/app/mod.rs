//! What one run of the command does: [`run`] opens every room and shuts it again.

pub mod dry_run;
pub mod request;
pub mod resume;
mod run;
pub mod self_test;

pub use run::{Outcome, run};
