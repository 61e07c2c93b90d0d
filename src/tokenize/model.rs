//! The models that turn words into tokens: `WordPiece`, byte-level BPE and Unigram, built from the
//! vocabulary of a file. Whatever would make the tokenizers crate panic or work without bound is
//! refused before it is built.

use std::collections::HashSet;

use anyhow::{Context, bail, ensure};
use tokenizers::models::bpe::{BPE, BpeBuilder, Merges, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::{WordPiece, WordPieceBuilder};
use tokenizers::{Model as _, ModelWrapper};

use super::message;
use super::model_kind::ModelKind;
use super::tokenizer_json::{ModelJson, Vocabulary};

/// The work for a word grows with the cube of its characters; BERT's own limit is 100.
const MAX_CHARS_PER_WORD: u64 = 1_000;

/// The prefix is copied for every part of a word that is looked up; BERT's own has 2 bytes.
const MAX_PREFIX_BYTES: usize = 64;

/// The work for a byte of text grows with the square of the longest piece; `SentencePiece`'s own
/// limit is 16 characters.
const MAX_PIECE_BYTES: usize = 256;

/// All pieces together: the crate needs some 300 bytes for each; XLM-RoBERTa's have 3 MB.
const MAX_PIECES_BYTES: usize = 16 << 20;

/// A model, and the id for what its vocabulary lacks; without one, BPE drops it.
pub(super) struct BuiltModel {
    pub(super) model: ModelWrapper,
    pub(super) unknown: Option<u32>,
}

impl BuiltModel {
    /// The model that a `tokenizer.json` describes, with all of its options.
    pub(super) fn of_json(json: &ModelJson, rows: usize) -> anyhow::Result<Self> {
        match json.kind()? {
            ModelKind::WordPiece => generic_word_piece(json, rows),
            ModelKind::Bpe => generic_bpe(json, rows),
            ModelKind::Unigram => {
                let unknown = json.unk_id.context("its model has no `unk_id`")?;
                Self::unigram(json.pieces()?, unknown, json.byte_fallback(), rows)
            }
        }
    }

    /// The model of a `vocab.txt`: each line, without trailing white space, is a token, and of two
    /// equal lines the last one counts.
    pub(super) fn of_vocab_txt(content: &[u8], unknown: &str, rows: usize) -> anyhow::Result<Self> {
        std::str::from_utf8(content).context("it is not UTF-8")?;
        let vocabulary = WordPiece::read_bytes(content).map_err(message)?;
        // A blank line has an id, but no word becomes an empty token.
        let tokens = vocabulary.iter().filter(|(token, _)| !token.is_empty());
        check_rows(tokens.map(|(_, &id)| id), rows)?;
        word_piece(WordPiece::builder().vocab(vocabulary), unknown)
    }

    /// `WordPiece` with BERT's own options.
    pub(super) fn word_piece(
        vocabulary: Vocabulary,
        unknown: &str,
        rows: usize,
    ) -> anyhow::Result<Self> {
        let vocabulary = checked(vocabulary, rows)?;
        word_piece(WordPiece::builder().vocab(vocabulary), unknown)
    }

    /// BPE with the options of `RobertaTokenizer`.
    pub(super) fn bpe(vocabulary: Vocabulary, merges: Merges, rows: usize) -> anyhow::Result<Self> {
        let vocabulary = checked(vocabulary, rows)?;
        let builder = BPE::builder().vocab_and_merges(vocabulary, merges);
        bpe(builder, None)
    }

    /// Unigram over `pieces`, each with its score; the piece of index `unknown` is the unknown
    /// token.
    pub(super) fn unigram(
        pieces: Vec<(String, f64)>,
        unknown: usize,
        byte_fallback: bool,
        rows: usize,
    ) -> anyhow::Result<Self> {
        let count = pieces.len();
        check_rows(
            count.checked_sub(1).map(|last| last as u32).into_iter(),
            rows,
        )?;
        ensure!(
            unknown < count,
            "it has {count} tokens, so none of id {unknown} for unknown words"
        );
        let longest = pieces.iter().map(|(piece, _)| piece.len()).max();
        let longest = longest.unwrap_or(0);
        ensure!(
            longest <= MAX_PIECE_BYTES,
            "a token has {longest} bytes, allowed are at most {MAX_PIECE_BYTES}"
        );
        let total: usize = pieces.iter().map(|(piece, _)| piece.len()).sum();
        ensure!(
            total <= MAX_PIECES_BYTES,
            "its tokens have {total} bytes, allowed are at most {MAX_PIECES_BYTES}"
        );
        let model = Unigram::from(pieces, Some(unknown), byte_fallback).map_err(message)?;
        Ok(Self {
            model: ModelWrapper::Unigram(model),
            unknown: Some(unknown as u32),
        })
    }
}

fn generic_word_piece(json: &ModelJson, rows: usize) -> anyhow::Result<BuiltModel> {
    let (Some(unknown), Some(prefix), Some(max_chars)) = (
        &json.unk_token,
        &json.continuing_subword_prefix,
        json.max_input_chars_per_word,
    ) else {
        bail!(
            "its model lacks `unk_token`, `continuing_subword_prefix` or `max_input_chars_per_word`"
        );
    };
    ensure!(
        max_chars <= MAX_CHARS_PER_WORD,
        "its max_input_chars_per_word is {max_chars}, allowed are at most {MAX_CHARS_PER_WORD}"
    );
    ensure!(
        prefix.len() <= MAX_PREFIX_BYTES,
        "its continuing_subword_prefix has {} bytes, allowed are at most {MAX_PREFIX_BYTES}",
        prefix.len()
    );
    let builder = WordPiece::builder()
        .vocab(checked(json.vocabulary()?, rows)?)
        .continuing_subword_prefix(prefix.clone())
        .max_input_chars_per_word(max_chars as usize);
    word_piece(builder, unknown)
}

fn word_piece(builder: WordPieceBuilder, unknown: &str) -> anyhow::Result<BuiltModel> {
    let model = builder.unk_token(unknown.to_owned()).build();
    let model = model.map_err(message)?;
    let id = model.token_to_id(unknown);
    let id = id.with_context(|| format!("it has no `{unknown}`, the token for unknown words"))?;
    Ok(BuiltModel {
        model: ModelWrapper::WordPiece(model),
        unknown: Some(id),
    })
}

fn generic_bpe(json: &ModelJson, rows: usize) -> anyhow::Result<BuiltModel> {
    for (key, value) in [
        ("continuing_subword_prefix", &json.continuing_subword_prefix),
        ("end_of_word_suffix", &json.end_of_word_suffix),
    ] {
        let value = value.as_deref().unwrap_or_default();
        ensure!(
            value.is_empty(),
            "the {key} of its model is `{value}`, which is not supported for BPE"
        );
    }
    let dropout = json.dropout.unwrap_or(0.0);
    ensure!(
        dropout == 0.0,
        "the dropout of its model is {dropout}, which makes the tokens random"
    );
    let mut builder = BPE::builder()
        .vocab_and_merges(checked(json.vocabulary()?, rows)?, json.merges()?)
        .fuse_unk(json.fuse_unk.unwrap_or(false))
        .byte_fallback(json.byte_fallback())
        .ignore_merges(json.ignore_merges.unwrap_or(false));
    if let Some(unknown) = &json.unk_token {
        builder = builder.unk_token(unknown.clone());
    }
    bpe(builder, json.unk_token.as_deref())
}

fn bpe(builder: BpeBuilder, unknown: Option<&str>) -> anyhow::Result<BuiltModel> {
    let model = builder.build().map_err(message)?;
    let id = |token: &str| {
        let id = model.token_to_id(token);
        id.with_context(|| format!("it has no `{token}`, the token for unknown words"))
    };
    let unknown = unknown.map(id).transpose()?;
    Ok(BuiltModel {
        model: ModelWrapper::BPE(model),
        unknown,
    })
}

/// The crate's form of `vocabulary`.
///
/// # Errors
/// Two tokens have the same id, or a token has no row.
fn checked(vocabulary: Vocabulary, rows: usize) -> anyhow::Result<Vocab> {
    let mut ids = HashSet::with_capacity(vocabulary.0.len());
    for (token, id) in &vocabulary.0 {
        ensure!(
            ids.insert(id),
            "`{token}` has id {id}, which another token has too"
        );
    }
    check_rows(vocabulary.0.iter().map(|&(_, id)| id), rows)?;
    Ok(vocabulary.0.into_iter().collect())
}

/// Refuses a vocabulary with more tokens than the word embeddings have rows. Added tokens may lack
/// a row, because a text may never contain them.
fn check_rows(ids: impl Iterator<Item = u32>, rows: usize) -> anyhow::Result<()> {
    let tokens = ids.max().map_or(0, |last| last as usize + 1);
    ensure!(
        tokens <= rows,
        "it has {tokens} tokens, but the word embeddings have {rows} rows"
    );
    Ok(())
}
