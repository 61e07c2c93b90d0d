//! What a first program on candle does: one sentence through the stock BERT, printed as JSON.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use bert_embed::Text;
use bert_embed::internals::Config;
use bert_embed::internals::{Detail, Tokenizer};
use serde_json::json;

use crate::Engine;
use crate::stock::Stock;

/// Prints the last hidden state of `text`.
pub(crate) fn print(directory: &str, text: &str, to: &mut dyn Write) -> Result<()> {
    let stock = Stock::load(directory)?;
    let tokenizer = Tokenizer::load(
        Path::new(directory),
        Config::read(Path::new(directory))?.vocab_size,
    )?;
    let encoding = tokenizer.encode(&Text::new(text.to_owned()), 512, Detail::default())?;
    let tokens = encoding.tokens();
    let states = stock.last_hidden_state(&[encoding.input_ids])?;
    let rows: Vec<&[f32]> = states.chunks(states.len() / tokens).collect();
    writeln!(to, "{}", json!({"last_hidden_state": rows}))?;
    Ok(())
}
