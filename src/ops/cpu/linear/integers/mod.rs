//! Linear layers in integers: `--dtype int16` and `--dtype int8`.
//!
//! Weights are quantized when they are loaded, `x` once per linear layer: each output and each
//! token has a scale for every group of k. The products of a group are summed in i32, exactly, with
//! any instructions; the groups' sums are then scaled and added in f32, k upwards, by a
//! multiplication and an addition that every level rounds alike. So the same `x` gives the same
//! bits on every machine, and a token's bits do not depend on its neighbours.
//!
//! int8 rotates `x` and the weights first (`rotation.rs`).
//!
//! Schemes: 1 - the cosine of the worst token with float64, over 223 texts, and over windows of two
//! antibody chains for `AntiBERTy`. Figures with a star are simulated: linear layers alone, the
//! rest in float64.
//!
//! | scheme | all-MiniLM-L6-v2 | all-mpnet-base-v2 | `AntiBERTy` |
//! | --- | --- | --- | --- |
//! | `PyTorch` bfloat16 | 3.1e-4 | | |
//! | int16, groups of 64, 128 (chosen), 384 | 6.7e-7, 1.5e-6, 4.8e-6 | | |
//! | int8, zero points, groups of 32 | 1.1e-3 | | |
//! | the same, query, key and value in int16 | 6.6e-4 | 2.7e-3* | 2.2e-4 |
//! | int8, rotated, groups of 128 | 1.05e-3* | 3.6e-3* | 5.2e-4* |
//! | the same, value in int16 (chosen) | 9.1e-4 | 1.15e-3* | 4.8e-4 |
//! | the same, query, key and value in int16 | 8.8e-4* | | |
//! | rotated, groups of 256, value in int16 | | 1.45e-3* | |
//!
//! The chosen scheme scales sums a quarter as often as groups of 32 without a rotation, and is
//! more faithful where a model has large outliers. Text that a model was not made for may err
//! more: over the 223 texts, `AntiBERTy`'s worst token is at 7.6e-4.

mod format;
mod group;
mod input;
mod product;
mod rotation;
mod tile;
mod weight;

pub(crate) use self::format::Scheme;
pub(super) use self::input::IntegerInput;
pub(super) use self::product::IntegerProduct;
pub(crate) use self::weight::IntegerWeight;
