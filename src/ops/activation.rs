//! The functions that may follow a linear layer.

/// The function after a linear layer; names as in transformers' `ACT2FN`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Activation {
    #[default]
    None,
    /// `gelu`: `x * Φ(x)` with the normal distribution function itself.
    Gelu,
    /// `gelu_new`, `gelu_pytorch_tanh`: Hendrycks and Gimpel's approximation by tanh.
    GeluTanh,
    Relu,
    Tanh,
}
