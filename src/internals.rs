//! What the command's `main`, the tests and the benchmark use. Not part of the API: it may change
//! with any version.

pub use crate::app::command;
pub use crate::checkpoint::{Config, HiddenAct, ModelType};
pub use crate::error::Result;
pub use crate::hub::{Environment, ModelSource, Snapshot, locate, verify};
#[cfg(feature = "hub")]
pub use crate::hub::{NoProxy, Proxy, Timeouts, Token};
pub use crate::model::{Batch, BertModel, Output, Outputs};
pub use crate::ops::OutputTensor;
pub use crate::ops::device::{self, Device};
pub use crate::threads::Threads;
pub use crate::tokenize::{Detail, Encoding, Tokenizer, model_max_length};
pub use crate::weights::{Dtype, TensorView, Tensors};
