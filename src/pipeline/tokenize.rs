//! Texts → tokens, in parallel and in order, with the checks of their length.

use rayon::prelude::*;

use crate::error::Result;
use crate::input::{Text, TextOrBad};
use crate::pipeline::types::QueuedText;
use crate::record::TokenizedText;
use crate::tokenize::{Encoding, OnLong, Padding, TokenOptions, Tokenizer};

/// Turns texts into tokens.
#[derive(Clone, Copy)]
pub(crate) struct TextTokenizer<'a> {
    /// The model's own tokenizer.
    pub(crate) tokenizer: &'a Tokenizer,
    /// The options.
    pub(crate) options: &'a TokenOptions,
    /// What is put before each text.
    pub(crate) prompt: Option<Prompt<'a>>,
}

/// A text that is put before each text.
#[derive(Clone, Copy)]
pub(crate) struct Prompt<'a> {
    /// The text itself.
    pub text: &'a str,
    /// The number of its tokens with `[CLS]`, if they are not pooled; otherwise 0.
    pub left_out: usize,
}

impl TextTokenizer<'_> {
    /// The texts as tokens. An `Err` outside ends the run, one inside is the text's own.
    pub(crate) fn tokenize_all(
        self,
        queued: Vec<Result<QueuedText<Text>>>,
    ) -> Vec<Result<QueuedText<TokenizedText>>> {
        let tokenize = |QueuedText { text, permit }| {
            Ok(QueuedText {
                text: self.tokenize(text)?,
                permit,
            })
        };
        let queued = queued.into_par_iter();
        queued.map(|queued| tokenize(queued?)).collect()
    }

    fn tokenize(self, text: TextOrBad<Text>) -> Result<TextOrBad<TokenizedText>> {
        let with_prompt = |text: Text| match self.prompt {
            None => Ok(text),
            Some(prompt) => text.with_prompt(prompt.text),
        };
        let text = match text.and_then(Text::within_limit).and_then(with_prompt) {
            Ok(text) => text,
            Err(bad) => return Ok(Err(bad)),
        };
        let options = self.options;
        let keep = match options.on_long {
            OnLong::Window => usize::MAX,
            OnLong::Truncate | OnLong::Error => options.max_length,
        };
        let mut encoding = self.tokenizer.encode(&text, keep, options.detail)?;
        let refusal = self.tokenizer.without_row(&encoding);
        let refusal = refusal.or_else(|| self.why_no_pair(&encoding));
        let refusal = refusal.or_else(|| self.why_too_long(&text, &encoding));
        if let Some(message) = refusal.or_else(|| self.why_not_pooled(&encoding)) {
            return Ok(Err(text.refused(message)));
        }
        if options.padding == Padding::MaxLength {
            self.tokenizer.pad(&mut encoding, options.max_length);
        }
        Ok(Ok(TokenizedText { text, encoding }))
    }

    /// Why the text's record is an error, if it has a segment that the model lacks.
    fn why_no_pair(self, encoding: &Encoding) -> Option<String> {
        let rows = self.options.type_vocab_size?;
        let last = encoding.token_type_ids.iter().max()?;
        (*last as usize >= rows)
            .then(|| format!("the model takes no pairs: its `type_vocab_size` is {rows}"))
    }

    /// Why the text's record is an error, if its length makes it one.
    fn why_too_long(self, text: &Text, encoding: &Encoding) -> Option<String> {
        let allowed = self.options.max_length;
        let tokens = encoding.tokens() + encoding.dropped_tokens;
        if tokens <= allowed {
            return None;
        }
        match self.options.on_long {
            OnLong::Error => Some(format!(
                "the text has {tokens} tokens: at most {allowed} are allowed"
            )),
            OnLong::Window if text.pair.is_some() => Some(format!(
                "the pair has {tokens} tokens: at most {allowed} are allowed, \
                 and windows are for single texts only"
            )),
            OnLong::Window if self.options.detail.whole_text => Some(format!(
                "the text has {tokens} tokens: at most {allowed} are allowed, \
                 and windows have no attentions of the whole text"
            )),
            OnLong::Truncate if encoding.tokens() > allowed => Some(format!(
                "a pair has {} special tokens: at most {allowed} tokens are allowed",
                encoding.tokens()
            )),
            OnLong::Window | OnLong::Truncate => None,
        }
    }

    /// Why the text's record is an error, if its prompt makes it one.
    fn why_not_pooled(self, encoding: &Encoding) -> Option<String> {
        let (tokens, left_out) = (encoding.attended, self.prompt?.left_out);
        (tokens <= left_out).then(|| {
            format!("its prompt fills all of the {tokens} tokens, and none is left to pool")
        })
    }

    /// Pads every text to the longest of them.
    pub(crate) fn pad_to_longest(self, texts: &mut [TextOrBad<TokenizedText>]) {
        let tokens = texts.iter().flatten().map(|text| text.encoding.tokens());
        let longest = tokens.max().unwrap_or(0);
        for text in texts.iter_mut().flatten() {
            self.tokenizer.pad(&mut text.encoding, longest);
        }
    }
}
