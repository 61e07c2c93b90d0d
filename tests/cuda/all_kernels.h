// The kernels of src/ops/cuda on a CPU, and the list of them.
#pragma once

#include "shim.h"

#include "../../src/ops/cuda/kernels.cu"
#include "../../src/ops/cuda/attention.cu"
#include "../../src/ops/cuda/tensor_attention.cu"
#include "../../src/ops/cuda/attention_probs.cu"

#include "tensor_shim.h"

// Calls EACH(operation, type, variant).
#define OF_TYPES(EACH, OPERATION, VARIANT)                                                         \
    EACH(OPERATION, f32, VARIANT) EACH(OPERATION, f16, VARIANT) EACH(OPERATION, bf16, VARIANT)

#define OF_WIDTHS(EACH, OPERATION) OF_TYPES(EACH, OPERATION, 1) OF_TYPES(EACH, OPERATION, 4)

#define ALL_KERNELS(EACH)                                                                          \
    OF_WIDTHS(EACH, bias_activation)                                                               \
    OF_WIDTHS(EACH, add_layer_norm)                                                                \
    OF_WIDTHS(EACH, embeddings)                                                                    \
    OF_WIDTHS(EACH, select)                                                                        \
    OF_WIDTHS(EACH, widen)                                                                         \
    OF_TYPES(EACH, attention, 64) OF_TYPES(EACH, attention, 128)                                   \
    EACH(tensor_attention, f16, 64) EACH(tensor_attention, f16, 128)                               \
    EACH(tensor_attention, bf16, 64) EACH(tensor_attention, bf16, 128)                             \
    OF_TYPES(EACH, attention_probs, 1)

#define DEFINE(OPERATION, T, VARIANT) KERNEL_##OPERATION(T, VARIANT)
ALL_KERNELS(DEFINE)
