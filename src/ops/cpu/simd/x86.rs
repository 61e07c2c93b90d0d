//! Macros that the levels of x86-64 share.

/// Calls intrinsics in a method of a level.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: self exists only if detect() found the level's features; pointers are the
        // caller's promise.
        unsafe { $call }
    };
}

/// Methods that are one intrinsic each, with the same arguments.
macro_rules! intrinsics {
    ($($method:ident($($argument:ident: $type:ty),*) -> $result:ty = $intrinsic:ident;)*) => {$(
        #[inline(always)]
        fn $method(self, $($argument: $type),*) -> $result {
            intrinsic!($intrinsic($($argument),*))
        }
    )*};
}

/// Implements `Instructions`: detects the features and compiles kernels with them.
macro_rules! instructions {
    ($level:ident: [$($feature:tt)*], VNNI: $vnni:tt) => {
        impl Instructions for $level {
            #[inline]
            fn detect() -> Option<Self> {
                ($(is_x86_feature_detected!($feature))&&*).then_some(Self(()))
            }

            fn detects_vnni() -> bool {
                is_x86_feature_detected!($vnni)
            }

            #[inline]
            fn run<K: Kernel>(self, kernel: K) {
                #[target_feature($(enable = $feature),*)]
                fn compiled<K: Kernel>(level: $level, kernel: K) {
                    kernel.run(level);
                }
                // SAFETY: self exists only if detect() found the features.
                unsafe { compiled(self, kernel) }
            }

            #[inline]
            fn run_integers<K: IntegerKernel>(self, packing: Packing, kernel: K) {
                #[target_feature($(enable = $feature),*)]
                fn plain<K: IntegerKernel>(level: $level, kernel: K) {
                    kernel.run(level, Pairs);
                }
                #[target_feature($(enable = $feature,)* enable = $vnni)]
                fn fused<K: IntegerKernel, P: Products<$level>>(
                    level: $level,
                    products: P,
                    kernel: K,
                ) {
                    kernel.run(level, products);
                }
                // SAFETY: self exists only if detect() found the features, and VNNI is used only if
                // the machine has it.
                unsafe {
                    match packing {
                        _ if !Self::uses_vnni() => plain(self, kernel),
                        Packing::Pairs => fused(self, FusedPairs(()), kernel),
                        Packing::Bytes => fused(self, FusedBytes(()), kernel),
                    }
                }
            }
        }
    };
}
