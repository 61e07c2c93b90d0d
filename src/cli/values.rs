//! Parsers of single values.

/// The tokens of `--max-length`; the model's own limit is checked when it is known.
pub(super) fn max_length(typed: &str) -> Result<u32, String> {
    match typed.parse() {
        Ok(tokens @ 3..) => Ok(tokens),
        _ => Err(
            "allowed are 3 (`[CLS]`, one token of the text, `[SEP]`) to the model's \
             max_position_embeddings"
                .to_owned(),
        ),
    }
}
