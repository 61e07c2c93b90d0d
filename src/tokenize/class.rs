//! The tokenizer classes of transformers that this program runs: which one a model names, and what
//! each of them decides.
//!
//! Source: `AutoTokenizer.from_pretrained` and models/*/tokenization_*.py in transformers 5.23.

use anyhow::bail;

use super::json::{Entries, Json, text};
use super::model_kind::ModelKind;
use super::other_classes::is_other_class;

/// Which parts of the tokenizer its files decide, and which its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `BertTokenizer`.
    Bert,
    /// `DistilBertTokenizer`: the same, but by default the model takes no `token_type_ids`.
    DistilBert,
    /// `MPNetTokenizer`: BERT's words, with the special tokens of `RobertaTokenizer`.
    MpNet,
    /// `RobertaTokenizer`: byte-level BPE.
    Roberta,
    /// `XLMRobertaTokenizer`: Unigram over `SentencePiece`'s normalization.
    XlmRoberta,
    /// `CamembertTokenizer`: the same with other special tokens.
    Camembert,
    /// `AlbertTokenizer`: Unigram in lower case.
    Albert,
    /// `PreTrainedTokenizerFast`, now `TokenizersBackend`: `tokenizer.json` decides everything.
    Generic,
}

/// What the code of a class defines.
pub(super) struct Facts {
    /// Its names, each also allowed with the suffix `Fast`; the first one is for messages.
    pub(super) names: &'static [&'static str],
    /// The model types whose tokenizer it is unless a file names another.
    model_types: &'static [&'static str],
    /// The model that it builds; `None` if it takes the file's.
    pub(super) model: Option<ClassModel>,
    /// The files that it reads if there is no `tokenizer.json`.
    pub(super) vocabulary: VocabularyFiles,
    pub(super) tokens: &'static [(&'static str, &'static str)],
    /// Whether a `mask_token` given as a string includes the white space before it.
    pub(super) mask_lstrip: bool,
    /// Special tokens without a name, unless the files list others.
    pub(super) extra_tokens: &'static [&'static str],
    /// Whether the model takes `token_type_ids` unless the configuration says otherwise.
    pub(super) token_type_ids: bool,
}

/// The model that a class builds from the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClassModel {
    WordPiece,
    Bpe,
    Unigram {
        /// The id of the unknown token, whatever the files say; `None` if it is the id of
        /// `unk_token`.
        unk_id: Option<usize>,
    },
}

impl ClassModel {
    pub(super) fn kind(self) -> ModelKind {
        match self {
            Self::WordPiece => ModelKind::WordPiece,
            Self::Bpe => ModelKind::Bpe,
            Self::Unigram { .. } => ModelKind::Unigram,
        }
    }
}

/// The files of a vocabulary without `tokenizer.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VocabularyFiles {
    /// `vocab.txt`
    Lines,
    /// `vocab.json` and `merges.txt`
    Merges,
    /// A `SentencePiece` model with this name, which this program does not read.
    SentencePiece(&'static str),
    /// None.
    Missing,
}

const BERT_TOKENS: &[(&str, &str)] = &[
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];

const ROBERTA_TOKENS: &[(&str, &str)] = &[
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("cls_token", "<s>"),
    ("mask_token", "<mask>"),
];

const BERT: Facts = Facts {
    names: &[
        "BertTokenizer",
        "ConvBertTokenizer",
        "ElectraTokenizer",
        "LayoutLMTokenizer",
        "LxmertTokenizer",
        "MobileBertTokenizer",
        "SqueezeBertTokenizer",
    ],
    model_types: &["bert", "distilbert", "electra", "ernie"],
    model: Some(ClassModel::WordPiece),
    vocabulary: VocabularyFiles::Lines,
    tokens: BERT_TOKENS,
    mask_lstrip: false,
    extra_tokens: &[],
    token_type_ids: true,
};

const DISTILBERT: Facts = Facts {
    names: &["DistilBertTokenizer"],
    model_types: &[],
    token_type_ids: false,
    ..BERT
};

const MPNET: Facts = Facts {
    names: &["MPNetTokenizer"],
    model_types: &["mpnet"],
    tokens: &[
        ("bos_token", "<s>"),
        ("eos_token", "</s>"),
        ("unk_token", "[UNK]"),
        ("sep_token", "</s>"),
        ("pad_token", "<pad>"),
        ("cls_token", "<s>"),
        ("mask_token", "<mask>"),
    ],
    mask_lstrip: true,
    token_type_ids: false,
    ..BERT
};

const ROBERTA: Facts = Facts {
    names: &[
        "RobertaTokenizer",
        "BartTokenizer",
        "LEDTokenizer",
        "LongformerTokenizer",
        "MvpTokenizer",
    ],
    model_types: &["roberta", "data2vec-text"],
    model: Some(ClassModel::Bpe),
    vocabulary: VocabularyFiles::Merges,
    tokens: ROBERTA_TOKENS,
    mask_lstrip: false,
    extra_tokens: &[],
    token_type_ids: false,
};

const XLM_ROBERTA: Facts = Facts {
    names: &["XLMRobertaTokenizer"],
    model_types: &["xlm-roberta"],
    model: Some(ClassModel::Unigram { unk_id: Some(3) }),
    vocabulary: VocabularyFiles::SentencePiece("sentencepiece.bpe.model"),
    ..ROBERTA
};

const CAMEMBERT: Facts = Facts {
    names: &["CamembertTokenizer"],
    model_types: &["camembert"],
    model: Some(ClassModel::Unigram { unk_id: None }),
    mask_lstrip: true,
    extra_tokens: &["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"],
    ..XLM_ROBERTA
};

const ALBERT: Facts = Facts {
    names: &["AlbertTokenizer"],
    model_types: &["albert"],
    model: Some(ClassModel::Unigram { unk_id: Some(1) }),
    vocabulary: VocabularyFiles::SentencePiece("spiece.model"),
    tokens: &[
        ("bos_token", "[CLS]"),
        ("eos_token", "[SEP]"),
        ("unk_token", "<unk>"),
        ("sep_token", "[SEP]"),
        ("pad_token", "<pad>"),
        ("cls_token", "[CLS]"),
        ("mask_token", "[MASK]"),
    ],
    ..XLM_ROBERTA
};

const GENERIC: Facts = Facts {
    names: &[
        "PreTrainedTokenizerFast",
        "PreTrainedTokenizer",
        "PythonBackend",
        "TokenizersBackend",
    ],
    model_types: &[],
    model: None,
    vocabulary: VocabularyFiles::Missing,
    tokens: &[],
    mask_lstrip: false,
    extra_tokens: &[],
    token_type_ids: false,
};

impl Class {
    const ALL: [Self; 8] = [
        Self::Bert,
        Self::DistilBert,
        Self::MpNet,
        Self::Roberta,
        Self::XlmRoberta,
        Self::Camembert,
        Self::Albert,
        Self::Generic,
    ];

    pub(super) fn facts(self) -> &'static Facts {
        match self {
            Self::Bert => &BERT,
            Self::DistilBert => &DISTILBERT,
            Self::MpNet => &MPNET,
            Self::Roberta => &ROBERTA,
            Self::XlmRoberta => &XLM_ROBERTA,
            Self::Camembert => &CAMEMBERT,
            Self::Albert => &ALBERT,
            Self::Generic => &GENERIC,
        }
    }

    /// The class that `tokenizer_config` names, else the one that `model_config` names, else the
    /// one of its `model_type`. A name that transformers does not know means `TokenizersBackend`.
    ///
    /// # Errors
    /// The class or one of the files is not supported.
    pub(super) fn find(tokenizer_config: &Entries, model_config: &Entries) -> anyhow::Result<Self> {
        refuse_code(tokenizer_config)?;
        refuse_versioned_files(tokenizer_config)?;
        let key = "tokenizer_class";
        let name = text(tokenizer_config, key)?.filter(|name| !name.is_empty());
        let Some(name) = name.or(text(model_config, key)?.filter(|name| !name.is_empty())) else {
            return Ok(Self::of_model_type(text(model_config, "model_type")?));
        };
        let plain = name.strip_suffix("Fast").unwrap_or(name);
        let mut classes = Self::ALL.into_iter();
        let known = classes.find(|class| {
            class
                .facts()
                .names
                .iter()
                .any(|own| [name, plain].contains(own))
        });
        match known {
            Some(class) => Ok(class),
            None if plain.ends_with("Tokenizer") && !is_other_class(plain) => Ok(Self::Generic),
            None => bail!("its {key} is `{name}`{}", needs(plain, tokenizer_config)),
        }
    }

    /// The class of a model that does not name one.
    fn of_model_type(model_type: Option<&str>) -> Self {
        let is =
            |class: &Self| model_type.is_some_and(|it| class.facts().model_types.contains(&it));
        Self::ALL.into_iter().find(is).unwrap_or(Self::Bert)
    }

    pub(super) fn name(self) -> &'static str {
        self.facts().names[0]
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
        _ => {
            let names = Class::ALL.map(Class::name).join(", ");
            format!(": only {names} are supported")
        }
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
