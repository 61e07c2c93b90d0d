//! What sets each model type apart: one row for each, as transformers 5.23 has it in
//! `configuration_….py` and `modeling_….py`.

/// What sets a model type apart from the others.
#[derive(Debug)]
pub(crate) struct ModelFacts {
    /// The value of `model_type`.
    pub(crate) name: &'static str,
    pub(crate) keys: ConfigKeys,
    pub(crate) padding_idx: PaddingIdx,
    pub(crate) projection: EmbeddingsProjection,
    pub(crate) tensors: TensorNames,
}

/// A key of `config.json` and the default of transformers' config class.
pub(crate) type SizeKey = (&'static str, usize);

/// The keys of `config.json`. `None` if the model has no such size.
#[derive(Debug)]
pub(crate) struct ConfigKeys {
    pub(crate) vocab_size: SizeKey,
    /// `None` if it is `hidden_size`.
    pub(crate) embedding_size: Option<SizeKey>,
    pub(crate) hidden_size: SizeKey,
    pub(crate) num_hidden_layers: SizeKey,
    pub(crate) num_attention_heads: SizeKey,
    pub(crate) intermediate_size: SizeKey,
    pub(crate) max_position_embeddings: SizeKey,
    pub(crate) type_vocab_size: Option<SizeKey>,
    /// Counts only if `use_task_id` is true.
    pub(crate) task_type_vocab_size: Option<SizeKey>,
    pub(crate) relative_attention_num_buckets: Option<SizeKey>,
    /// If layers share their weights.
    pub(crate) layer_groups: Option<LayerGroupKeys>,
    pub(crate) hidden_act: (&'static str, &'static str),
    /// Without a key it is fixed.
    pub(crate) layer_norm_eps: (Option<&'static str>, f64),
    /// If the key is missing, not if it is null.
    pub(crate) pad_token_id: SizeKey,
    /// Other names of keys: the other one, and the key.
    pub(crate) aliases: &'static [(&'static str, &'static str)],
}

#[derive(Debug)]
pub(crate) struct LayerGroupKeys {
    pub(crate) num_hidden_groups: SizeKey,
    pub(crate) inner_group_num: SizeKey,
}

/// The `padding_idx` of a model's position embeddings, from which positions count.
#[derive(Debug)]
pub(crate) enum PaddingIdx {
    /// There is none: positions are 0, 1, 2, …
    None,
    /// `pad_token_id` of the config.
    PadTokenId,
    /// Whatever the config says.
    Fixed(u32),
}

/// The linear layer after the embeddings.
#[derive(Debug)]
pub(crate) enum EmbeddingsProjection {
    Never,
    /// If `embedding_size` is not `hidden_size`.
    IfSizesDiffer,
    Always,
}

/// How the names of a type's tensors differ from BERT's.
#[derive(Debug)]
pub(crate) struct TensorNames {
    /// transformers' `base_model_prefix`, before the names in checkpoints with a head.
    pub(crate) prefix: &'static str,
    /// Before the number of a layer, or of a group of layers.
    pub(crate) layers: &'static str,
    /// Between the number of a group and the number of a layer in it.
    pub(crate) layers_of_group: &'static str,
    /// The name of a module that `weights/names.rs` lists, and its name in this type.
    pub(crate) renamed: &'static [(&'static str, &'static str)],
    /// Whether transformers' base model has a pooler.
    pub(crate) has_pooler: bool,
}

pub(super) const BERT: ModelFacts = ModelFacts {
    name: "bert",
    keys: ConfigKeys {
        vocab_size: ("vocab_size", 30522),
        embedding_size: None,
        hidden_size: ("hidden_size", 768),
        num_hidden_layers: ("num_hidden_layers", 12),
        num_attention_heads: ("num_attention_heads", 12),
        intermediate_size: ("intermediate_size", 3072),
        max_position_embeddings: ("max_position_embeddings", 512),
        type_vocab_size: Some(("type_vocab_size", 2)),
        task_type_vocab_size: None,
        relative_attention_num_buckets: None,
        layer_groups: None,
        hidden_act: ("hidden_act", "gelu"),
        layer_norm_eps: (Some("layer_norm_eps"), 1e-12),
        pad_token_id: ("pad_token_id", 0),
        aliases: &[],
    },
    padding_idx: PaddingIdx::None,
    projection: EmbeddingsProjection::Never,
    tensors: TensorNames {
        prefix: "bert",
        layers: "encoder.layer.",
        layers_of_group: "",
        renamed: &[],
        has_pooler: true,
    },
};

pub(super) const XLM_ROBERTA: ModelFacts = ModelFacts {
    name: "xlm-roberta",
    keys: ConfigKeys {
        pad_token_id: ("pad_token_id", 1),
        ..BERT.keys
    },
    padding_idx: PaddingIdx::PadTokenId,
    tensors: TensorNames {
        prefix: "roberta",
        ..BERT.tensors
    },
    ..BERT
};

pub(super) const CAMEMBERT: ModelFacts = ModelFacts {
    name: "camembert",
    ..XLM_ROBERTA
};

pub(super) const ROBERTA: ModelFacts = ModelFacts {
    name: "roberta",
    keys: ConfigKeys {
        vocab_size: ("vocab_size", 50265),
        ..XLM_ROBERTA.keys
    },
    ..XLM_ROBERTA
};

pub(super) const DATA2VEC_TEXT: ModelFacts = ModelFacts {
    name: "data2vec-text",
    tensors: TensorNames {
        prefix: "data2vec_text",
        ..BERT.tensors
    },
    ..XLM_ROBERTA
};

/// Without token types. Its sinusoidal positions are in the file too.
pub(super) const DISTILBERT: ModelFacts = ModelFacts {
    name: "distilbert",
    keys: ConfigKeys {
        hidden_size: ("dim", 768),
        num_hidden_layers: ("n_layers", 6),
        num_attention_heads: ("n_heads", 12),
        intermediate_size: ("hidden_dim", 3072),
        type_vocab_size: None,
        hidden_act: ("activation", "gelu"),
        layer_norm_eps: (None, 1e-12),
        aliases: &[
            ("hidden_size", "dim"),
            ("num_attention_heads", "n_heads"),
            ("num_hidden_layers", "n_layers"),
        ],
        ..BERT.keys
    },
    tensors: TensorNames {
        prefix: "distilbert",
        layers: "transformer.layer.",
        layers_of_group: "",
        renamed: &[
            ("attention.self.query", "attention.q_lin"),
            ("attention.self.key", "attention.k_lin"),
            ("attention.self.value", "attention.v_lin"),
            ("attention.output.dense", "attention.out_lin"),
            ("attention.output.LayerNorm", "sa_layer_norm"),
            ("intermediate.dense", "ffn.lin1"),
            ("output.dense", "ffn.lin2"),
            ("output.LayerNorm", "output_layer_norm"),
        ],
        has_pooler: false,
    },
    ..BERT
};

pub(super) const ELECTRA: ModelFacts = ModelFacts {
    name: "electra",
    keys: ConfigKeys {
        embedding_size: Some(("embedding_size", 128)),
        hidden_size: ("hidden_size", 256),
        num_attention_heads: ("num_attention_heads", 4),
        intermediate_size: ("intermediate_size", 1024),
        ..BERT.keys
    },
    projection: EmbeddingsProjection::IfSizesDiffer,
    tensors: TensorNames {
        prefix: "electra",
        has_pooler: false,
        ..BERT.tensors
    },
    ..BERT
};

pub(super) const ERNIE: ModelFacts = ModelFacts {
    name: "ernie",
    keys: ConfigKeys {
        task_type_vocab_size: Some(("task_type_vocab_size", 3)),
        ..BERT.keys
    },
    tensors: TensorNames {
        prefix: "ernie",
        ..BERT.tensors
    },
    ..BERT
};

pub(super) const ALBERT: ModelFacts = ModelFacts {
    name: "albert",
    keys: ConfigKeys {
        vocab_size: ("vocab_size", 30000),
        embedding_size: Some(("embedding_size", 128)),
        hidden_size: ("hidden_size", 4096),
        num_attention_heads: ("num_attention_heads", 64),
        intermediate_size: ("intermediate_size", 16384),
        layer_groups: Some(LayerGroupKeys {
            num_hidden_groups: ("num_hidden_groups", 1),
            inner_group_num: ("inner_group_num", 1),
        }),
        hidden_act: ("hidden_act", "gelu_new"),
        ..BERT.keys
    },
    projection: EmbeddingsProjection::Always,
    tensors: TensorNames {
        prefix: "albert",
        layers: "encoder.albert_layer_groups.",
        layers_of_group: ".albert_layers.",
        renamed: &[
            ("embeddings_project", "encoder.embedding_hidden_mapping_in"),
            ("attention.self.query", "attention.query"),
            ("attention.self.key", "attention.key"),
            ("attention.self.value", "attention.value"),
            ("attention.output.dense", "attention.dense"),
            ("attention.output.LayerNorm", "attention.LayerNorm"),
            ("intermediate.dense", "ffn"),
            ("output.dense", "ffn_output"),
            ("output.LayerNorm", "full_layer_layer_norm"),
            ("pooler.dense", "pooler"),
        ],
        has_pooler: true,
    },
    ..BERT
};

/// Without token types, with a bias of the attention scores by distance.
pub(super) const MPNET: ModelFacts = ModelFacts {
    name: "mpnet",
    keys: ConfigKeys {
        vocab_size: ("vocab_size", 30527),
        type_vocab_size: None,
        relative_attention_num_buckets: Some(("relative_attention_num_buckets", 32)),
        pad_token_id: ("pad_token_id", 1),
        ..BERT.keys
    },
    padding_idx: PaddingIdx::Fixed(1),
    tensors: TensorNames {
        prefix: "mpnet",
        renamed: &[
            ("attention.self.query", "attention.attn.q"),
            ("attention.self.key", "attention.attn.k"),
            ("attention.self.value", "attention.attn.v"),
            ("attention.output.dense", "attention.attn.o"),
            ("attention.output.LayerNorm", "attention.LayerNorm"),
        ],
        ..BERT.tensors
    },
    ..BERT
};
