//! Numbers that the Rust and the CUDA sources share. NVRTC gets each as a macro of the same name;
//! the scripts in tests/cuda read them here too.

macro_rules! definitions {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        $($(#[$doc])* pub(super) const $name: usize = $value;)*

        /// The options that define them.
        pub(super) fn as_options() -> Vec<String> {
            vec![$(format!("--define-macro={}={}", stringify!($name), $value)),*]
        }
    };
}

definitions! {
    /// Threads of a block.
    THREADS = 256;
    /// Numbers of a row that a thread holds for the layer norm.
    VALUES = 16;
    /// Features of a small head at most.
    SMALL_HEAD = 64;
    /// Features of any head at most.
    LARGE_HEAD = 128;
    /// Queries of a tile of small heads.
    SMALL_HEAD_QUERIES = 64;
    /// Queries of a tile of large heads.
    LARGE_HEAD_QUERIES = 32;
    /// Queries of a tile on tensor cores: 16 for each warp of a block.
    TENSOR_QUERIES = 128;
    /// `Activation::None`
    ACTIVATION_NONE = 0;
    /// `Activation::Gelu`
    ACTIVATION_GELU = 1;
    /// `Activation::GeluTanh`
    ACTIVATION_GELU_TANH = 2;
    /// `Activation::Relu`
    ACTIVATION_RELU = 3;
    /// `Activation::Tanh`
    ACTIVATION_TANH = 4;
}
