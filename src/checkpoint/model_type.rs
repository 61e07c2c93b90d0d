//! The facts of each model type that its `config.json` is read by: the keys and their defaults. The
//! names of its tensors are in `weights/names.rs`, its tokenizer classes in `tokenize/class.rs`.

/// The value of `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelType {
    /// `bert`
    Bert,
}

/// The keys of `config.json`, each with the default of transformers' config class.
#[derive(Debug)]
pub(crate) struct ConfigKeys {
    pub(crate) vocab_size: (&'static str, usize),
    pub(crate) hidden_size: (&'static str, usize),
    pub(crate) num_hidden_layers: (&'static str, usize),
    pub(crate) num_attention_heads: (&'static str, usize),
    pub(crate) intermediate_size: (&'static str, usize),
    pub(crate) max_position_embeddings: (&'static str, usize),
    pub(crate) type_vocab_size: (&'static str, usize),
    pub(crate) hidden_act: (&'static str, &'static str),
    pub(crate) layer_norm_eps: (&'static str, f64),
    /// If the key is missing, not if it is null.
    pub(crate) pad_token_id: (&'static str, usize),
}

/// `BertConfig` of transformers 5.23.
const BERT: ConfigKeys = ConfigKeys {
    vocab_size: ("vocab_size", 30522),
    hidden_size: ("hidden_size", 768),
    num_hidden_layers: ("num_hidden_layers", 12),
    num_attention_heads: ("num_attention_heads", 12),
    intermediate_size: ("intermediate_size", 3072),
    max_position_embeddings: ("max_position_embeddings", 512),
    type_vocab_size: ("type_vocab_size", 2),
    hidden_act: ("hidden_act", "gelu"),
    layer_norm_eps: ("layer_norm_eps", 1e-12),
    pad_token_id: ("pad_token_id", 0),
};

impl ModelType {
    pub(super) const ALL: [Self; 1] = [Self::Bert];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bert => "bert",
        }
    }

    /// How the names of its classes begin in `architectures`.
    pub(super) fn class_prefix(self) -> &'static str {
        match self {
            Self::Bert => "Bert",
        }
    }

    pub(crate) fn keys(self) -> &'static ConfigKeys {
        match self {
            Self::Bert => &BERT,
        }
    }
}
