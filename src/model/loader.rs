//! Finds the parts of the model by the checkpoint's names and brings them to the device.

use crate::checkpoint::Config;
use crate::error::Result;
use crate::ops::{Backend, LinearRole, NormTensors, Projection};
use crate::weights::names::{self, ModuleTensors};
use crate::weights::{TensorView, Tensors};

/// A checkpoint and the device that its tensors go to.
pub(super) struct Loader<'a, B> {
    pub(super) tensors: &'a Tensors,
    pub(super) config: &'a Config,
    pub(super) backend: B,
}

impl<B: Backend> Loader<'_, B> {
    fn weight(&self, prefix: &str, module: ModuleTensors) -> Result<TensorView> {
        let name = format!("{prefix}{}.weight", module.name);
        self.tensors.get(&name, &module.shape(self.config))
    }

    fn bias(&self, prefix: &str, module: ModuleTensors) -> Result<TensorView> {
        let name = format!("{prefix}{}.bias", module.name);
        self.tensors.get(&name, &module.shape(self.config)[..1])
    }

    /// The weight and bias of a module, or none if the checkpoint does not have it.
    pub(super) fn optional(
        &self,
        module: ModuleTensors,
    ) -> Result<Option<(TensorView, TensorView)>> {
        let name = format!("{}.weight", module.name);
        let weight = self.tensors.find(&name, &module.shape(self.config))?;
        let with_bias = |weight| Ok((weight, self.bias("", module)?));
        weight.map(with_bias).transpose()
    }

    /// The embedding tables with their normalization.
    pub(super) fn embeddings(&self) -> Result<B::Embeddings> {
        // In the order in which transformers' `BertEmbeddings` adds them.
        let tables = [
            self.weight("", names::WORD_EMBEDDINGS)?,
            self.weight("", names::TOKEN_TYPE_EMBEDDINGS)?,
            self.weight("", names::POSITION_EMBEDDINGS)?,
        ];
        let norm = self.norm("", names::EMBEDDINGS_NORM)?;
        self.backend.load_embeddings(&tables, &norm)
    }

    /// The layer normalization `module`.
    pub(super) fn layer_norm(&self, prefix: &str, module: ModuleTensors) -> Result<B::LayerNorm> {
        self.backend.load_layer_norm(&self.norm(prefix, module)?)
    }

    fn norm(&self, prefix: &str, module: ModuleTensors) -> Result<NormTensors> {
        Ok(NormTensors {
            weight: self.weight(prefix, module)?,
            bias: self.bias(prefix, module)?,
            eps: self.config.layer_norm_eps,
        })
    }

    /// The projections `modules` side by side.
    pub(super) fn linear(
        &self,
        prefix: &str,
        modules: &[ModuleTensors],
        role: LinearRole,
    ) -> Result<B::Linear> {
        let projection = |&module: &ModuleTensors| {
            Ok(Projection {
                weight: self.weight(prefix, module)?,
                bias: self.bias(prefix, module)?,
            })
        };
        let projections: Result<Vec<_>> = modules.iter().map(projection).collect();
        self.backend.load_linear(&projections?, role)
    }
}
