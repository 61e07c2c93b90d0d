//! The program `bert-embed`.

mod allocator;

use std::process::ExitCode;

use allocator::AllocateOrExit;

#[global_allocator]
static ALLOCATOR: AllocateOrExit = AllocateOrExit;

fn main() -> ExitCode {
    bert_embed::internals::command()
}
