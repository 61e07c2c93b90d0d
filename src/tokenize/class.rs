//! The tokenizer class of transformers that a model names, and whether this program runs it.
//!
//! Source: `AutoTokenizer.from_pretrained` in transformers 5.23.

use anyhow::bail;

use super::json::{Entries, Json, text};

/// Classes that are `BertTokenizer` under another name, each also with the suffix `Fast`.
const BERT: [&str; 7] = [
    "BertTokenizer",
    "ConvBertTokenizer",
    "ElectraTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
];

/// Classes that use `tokenizer.json` unchanged.
const GENERIC: [&str; 4] = [
    "PreTrainedTokenizer",
    "PreTrainedTokenizerFast",
    "PythonBackend",
    "TokenizersBackend",
];

/// Which parts of the tokenizer its files decide, and which its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `BertTokenizer`: the files have the vocabulary, the class decides everything else.
    Bert,
    /// `DistilBertTokenizer`: the same, but by default the model takes no `token_type_ids`.
    DistilBert,
    /// `PreTrainedTokenizerFast`, now `TokenizersBackend`: `tokenizer.json` decides everything.
    Generic,
}

impl Class {
    /// The class that `tokenizer_config` names, else the one that `model_config` names, else
    /// `BertTokenizer`.
    ///
    /// # Errors
    /// The class or one of the files is not supported.
    pub(super) fn find(tokenizer_config: &Entries, model_config: &Entries) -> anyhow::Result<Self> {
        refuse_code(tokenizer_config)?;
        refuse_versioned_files(tokenizer_config)?;
        let key = "tokenizer_class";
        let name = text(tokenizer_config, key)?.filter(|name| !name.is_empty());
        let Some(name) = name.or(text(model_config, key)?.filter(|name| !name.is_empty())) else {
            return Ok(Self::Bert);
        };
        let plain = name.strip_suffix("Fast").unwrap_or(name);
        if BERT.contains(&plain) {
            Ok(Self::Bert)
        } else if plain == "DistilBertTokenizer" {
            Ok(Self::DistilBert)
        } else if GENERIC.contains(&name) {
            Ok(Self::Generic)
        } else {
            bail!("its {key} is `{name}`{}", needs(plain, tokenizer_config))
        }
    }

    /// Whether the class decides everything but the vocabulary.
    pub(super) fn is_bert(self) -> bool {
        match self {
            Self::Bert | Self::DistilBert => true,
            Self::Generic => false,
        }
    }

    /// Whether the model takes `token_type_ids` unless the configuration says otherwise.
    pub(super) fn has_token_type_ids(self) -> bool {
        match self {
            Self::Bert => true,
            Self::DistilBert | Self::Generic => false,
        }
    }
}

/// What a refused class would need, for a message.
fn needs(class: &str, config: &Entries) -> String {
    let word_tokenizer = match config.get("word_tokenizer_type") {
        Some(Json::Text(name)) => name,
        _ => "mecab",
    };
    match class {
        "BertJapaneseTokenizer" => {
            format!(", which needs the Japanese word tokenizer `{word_tokenizer}`")
        }
        "BertGenerationTokenizer" => ", which needs a SentencePiece model".to_owned(),
        _ => ": only BertTokenizer and PreTrainedTokenizerFast are supported".to_owned(),
    }
}

fn refuse_code(config: &Entries) -> anyhow::Result<()> {
    match config.get("auto_map") {
        None | Some(Json::Null) => Ok(()),
        Some(Json::Object(map)) if map.get("AutoTokenizer").is_none_or(|code| !code.is_true()) => {
            Ok(())
        }
        Some(_) => bail!("its tokenizer is custom Python code (`auto_map`)"),
    }
}

/// Transformers may read a `tokenizer.VERSION.json` instead of `tokenizer.json`.
fn refuse_versioned_files(config: &Entries) -> anyhow::Result<()> {
    let Some(files) = config.get("fast_tokenizer_files") else {
        return Ok(());
    };
    let only_the_plain_one = match files {
        Json::List(files) => files.iter().all(|file| {
            let name = file.token_text().unwrap_or_default();
            !name.contains("tokenizer.") || name == "tokenizer.json"
        }),
        _ => false,
    };
    if only_the_plain_one {
        return Ok(());
    }
    bail!("its tokenizer.json has versions (`fast_tokenizer_files`), which is not supported")
}
