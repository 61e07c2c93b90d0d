//! What one run of the command does. The entry point is [`command()`].

mod command;
mod dry_run;
mod info;
pub(crate) mod load;
mod open;
pub(crate) mod request;
mod resume;
mod run;
mod self_test;
mod settings;
mod signals;

pub use command::command;
