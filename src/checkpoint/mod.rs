//! A model's directory: which files it has, what is missing or unusable, and `config.json` →
//! [`Config`].

mod config;
pub(crate) mod directory;
pub(crate) mod files;
pub(crate) mod json;
mod model_facts;
mod model_type;
pub(crate) mod modules;
pub(crate) mod weight_files;

pub use config::{Config, HiddenAct};
pub use model_type::ModelType;
pub(crate) use weight_files::WeightFormat;
