//! A worker of `tests/bench/run`: one engine, loaded once, timed on command.
//!
//! `engine ours DIR [[DEVICE] DTYPE]` and `engine stock DIR` answer each line of standard input
//! with a line of JSON: `input NAME PATH` reads token ids, `time NAME REPEATS` runs them, `save
//! NAME PATH` writes the vectors, `fma` and `read BYTES` measure the machine's limits. `engine
//! sentence DIR TEXT` is a whole process on candle's stock BERT, for the cold start.

mod input;
mod limits;
mod ours;
mod sentence;
mod stock;

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bert_embed::internals::Threads;
use serde_json::{Value, json};

use input::Batches;
use limits::Limits;

/// Threads of every engine.
const THREADS: u16 = 2;

/// What is timed: a loaded encoder.
trait Engine {
    /// Runs one batch and drops what it gave.
    fn run(&self, batch: &[Vec<u32>]) -> Result<()>;
    /// `last_hidden_state` of the real tokens, `[tokens, hidden]`.
    fn last_hidden_state(&self, batch: &[Vec<u32>]) -> Result<Vec<f32>>;
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // candle's stock model runs in the same pool: rayon's operations use the pool they are called in.
    Threads::start(Some(THREADS))?.install(|| work(&arguments))
}

fn work(arguments: &[&str]) -> Result<()> {
    let start = Instant::now();
    let (engine, directory): (Box<dyn Engine>, _) = match *arguments {
        ["ours", directory] => (ours(directory, "cpu", "f32")?, directory),
        ["ours", directory, dtype] => (ours(directory, "cpu", dtype)?, directory),
        ["ours", directory, device, dtype] => (ours(directory, device, dtype)?, directory),
        ["stock", directory] => (Box::new(stock::Stock::load(directory)?), directory),
        ["sentence", directory, text] => {
            return sentence::print(directory, text, &mut io::stdout());
        }
        _ => bail!("this is a worker of tests/bench/run, which see"),
    };
    let ready = json!({"load_ms": milliseconds(start)});
    answer(&ready)?;
    let limits = Limits::open(&Path::new(directory).join("model.safetensors"))?;
    let mut inputs = HashMap::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        answer(&obey(&line, &*engine, &mut inputs, &limits).context(line)?)?;
    }
    Ok(())
}

fn ours(directory: &str, device: &str, dtype: &str) -> Result<Box<dyn Engine>> {
    Ok(Box::new(ours::Ours::load(directory, device, dtype)?))
}

/// The answer to one command.
fn obey(
    line: &str,
    engine: &dyn Engine,
    inputs: &mut HashMap<String, Batches>,
    limits: &Limits,
) -> Result<Value> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let named = |name: &str| inputs.get(name).context("no such input");
    Ok(match words[..] {
        ["input", name, path] => {
            inputs.insert(name.to_owned(), input::read(path)?);
            json!({})
        }
        ["time", name, repeats] => {
            let batches = named(name)?;
            let times: Result<Vec<f64>> = (0..repeats.parse()?)
                .map(|_| {
                    let start = Instant::now();
                    batches.iter().try_for_each(|batch| engine.run(batch))?;
                    Ok(milliseconds(start))
                })
                .collect();
            json!({"ms": times?})
        }
        ["save", name, path] => {
            let states: Result<Vec<_>> = named(name)?
                .iter()
                .map(|batch| engine.last_hidden_state(batch))
                .collect();
            let bytes: Vec<u8> = states?
                .concat()
                .into_iter()
                .flat_map(f32::to_le_bytes)
                .collect();
            std::fs::write(path, bytes)?;
            json!({})
        }
        ["fma"] => json!({"gflops": limits::fma_gflops()}),
        ["read", bytes] => json!({"gb_per_s": limits.read_gb_per_s(bytes.parse()?)}),
        _ => bail!("no such command"),
    })
}

fn answer(value: &Value) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{value}")?;
    stdout.flush()
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
