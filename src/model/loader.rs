//! Finds the parts of the model by the checkpoint's names and brings them to the device.

use crate::checkpoint::Config;
use crate::error::Result;
use crate::ops::{Backend, LinearRole, NormTensors, Projection};
use crate::weights::names::ModuleTensors;
use crate::weights::{TensorView, Tensors};

/// A checkpoint and the device that its tensors go to.
pub(super) struct Loader<'a, B> {
    pub(super) tensors: &'a Tensors,
    pub(super) config: &'a Config,
    pub(super) backend: B,
}

impl<B: Backend> Loader<'_, B> {
    pub(super) fn weight(&self, prefix: &str, module: ModuleTensors) -> Result<TensorView> {
        let tensor = module.weight(prefix, self.config);
        self.tensors.get(&tensor.name, &tensor.shape(self.config))
    }

    pub(super) fn bias(&self, prefix: &str, module: ModuleTensors) -> Result<TensorView> {
        let tensor = module.bias(prefix, self.config);
        self.tensors.get(&tensor.name, &tensor.shape(self.config))
    }

    /// The layer normalization `module`.
    pub(super) fn layer_norm(&self, prefix: &str, module: ModuleTensors) -> Result<B::LayerNorm> {
        self.backend.load_layer_norm(&self.norm(prefix, module)?)
    }

    pub(super) fn norm(&self, prefix: &str, module: ModuleTensors) -> Result<NormTensors> {
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
