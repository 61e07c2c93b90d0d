//! The model types: BERT and its kin. What they have in common is computed by `model/`, and what
//! sets a type apart is its row in `model_facts.rs`.

use super::model_facts::{self as facts, ConfigKeys, ModelFacts};

/// The value of `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelType {
    /// `albert`
    Albert,
    /// `bert`
    Bert,
    /// `camembert`
    Camembert,
    /// `data2vec-text`
    Data2VecText,
    /// `distilbert`
    DistilBert,
    /// `electra`
    Electra,
    /// `ernie`
    Ernie,
    /// `mpnet`
    MpNet,
    /// `roberta`
    Roberta,
    /// `xlm-roberta`
    XlmRoberta,
}

impl ModelType {
    pub(crate) const ALL: [Self; 10] = [
        Self::Albert,
        Self::Bert,
        Self::Camembert,
        Self::Data2VecText,
        Self::DistilBert,
        Self::Electra,
        Self::Ernie,
        Self::MpNet,
        Self::Roberta,
        Self::XlmRoberta,
    ];

    pub(crate) fn facts(self) -> &'static ModelFacts {
        match self {
            Self::Albert => &facts::ALBERT,
            Self::Bert => &facts::BERT,
            Self::Camembert => &facts::CAMEMBERT,
            Self::Data2VecText => &facts::DATA2VEC_TEXT,
            Self::DistilBert => &facts::DISTILBERT,
            Self::Electra => &facts::ELECTRA,
            Self::Ernie => &facts::ERNIE,
            Self::MpNet => &facts::MPNET,
            Self::Roberta => &facts::ROBERTA,
            Self::XlmRoberta => &facts::XLM_ROBERTA,
        }
    }

    /// The value of `model_type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    pub(crate) fn keys(self) -> &'static ConfigKeys {
        &self.facts().keys
    }
}
