// The encoder's operations on a GPU, except the matrix products, which are cuBLAS's.
//
// Sums, softmax and normalization are in f32, whatever type the vectors are stored in. The Rust
// files beside this one launch the kernels and check every index and shape before. NVRTC compiles
// this file when it is first used, without a header, and g++ compiles it for tests/cuda/prove,
// which has its own definitions of what is between #ifdef __CUDACC__ and its #endif. Numbers that
// Rust needs too (THREADS, VALUES, ACTIVATION_...) are macros: definitions.rs.
//
// Source of the layer norm: Ba et al. 2016 (arXiv:1607.06450). The other files follow this one.

using f32 = float;
struct f16 { unsigned short bits; };
struct bf16 { unsigned short bits; };

// N neighbours that are read and written at once.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack { T values[N]; };

#ifdef __CUDACC__
// NVRTC has mathematics but not its constants.
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif

__device__ inline float half_to_float(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

__device__ inline unsigned short float_to_half(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}
#endif

__device__ inline float widen(float value) { return value; }
__device__ inline float widen(f16 value) { return half_to_float(value.bits); }
__device__ inline float widen(bf16 value) { return __uint_as_float((unsigned)value.bits << 16); }

__device__ inline void narrow(float value, float &to) { to = value; }
__device__ inline void narrow(float value, f16 &to) { to.bits = float_to_half(value); }
// To nearest, ties to even; a NaN stays one.
__device__ inline void narrow(float value, bf16 &to) {
    unsigned bits = __float_as_uint(value);
    unsigned rounded = bits + 0x7fff + (bits >> 16 & 1);
    to.bits = value == value ? rounded >> 16 : bits >> 16 | 0x40;
}

__device__ inline float activate(float x, unsigned activation) {
    switch (activation) {
    case ACTIVATION_GELU: return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case ACTIVATION_GELU_TANH:
        return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case ACTIVATION_RELU: return x < 0.0f ? 0.0f : x;
    case ACTIVATION_TANH: return tanhf(x);
    default: return x;
    }
}

// activation(y + bias) in place, one pack a thread.
//
// y [tokens, features], bias [features]; packs = tokens * features / WIDTH
template <typename T, int WIDTH>
__device__ void bias_activation(T *y, const float *bias, unsigned packs, unsigned features,
                                unsigned activation) {
    unsigned pack = blockIdx.x * THREADS + threadIdx.x;
    if (pack >= packs) return;
    auto *place = reinterpret_cast<Pack<T, WIDTH> *>(y) + pack;
    const float *shift = bias + pack % (features / WIDTH) * WIDTH;
    Pack<T, WIDTH> values = *place;
    for (int lane = 0; lane < WIDTH; ++lane)
        narrow(activate(widen(values.values[lane]) + shift[lane], activation), values.values[lane]);
    *place = values;
}

// The sum over the block's threads, the same order each time, known to all of them.
__device__ inline float block_sum(float value) {
    __shared__ float parts[THREADS];
    __shared__ float sums[16];
    parts[threadIdx.x] = value;
    __syncthreads();
    if (threadIdx.x < 16) {
        float sum = 0.0f;
        for (unsigned part = threadIdx.x; part < THREADS; part += 16) sum += parts[part];
        sums[threadIdx.x] = sum;
    }
    __syncthreads();
    float total = 0.0f;
    for (int part = 0; part < 16; ++part) total += sums[part];
    return total;
}

// The column of a thread's number; packs of WIDTH neighbours lie THREADS packs apart.
template <int WIDTH>
__device__ inline unsigned column_of(unsigned number) {
    return (number / WIDTH * THREADS + threadIdx.x) * WIDTH + number % WIDTH;
}

// Writes a row that the block's threads hold, normalized; its variance is taken in a second pass.
template <typename T, int WIDTH>
__device__ void normalize(const float (&row)[VALUES], T *out, const float *gamma,
                          const float *beta, unsigned hidden, float eps) {
    float sum = 0.0f;
    for (unsigned it = 0; it < VALUES; ++it) sum += row[it];
    float mean = block_sum(sum) / hidden;
    float squares = 0.0f;
    for (unsigned it = 0; it < VALUES; ++it) {
        float distance = column_of<WIDTH>(it) < hidden ? row[it] - mean : 0.0f;
        squares += distance * distance;
    }
    float scale = 1.0f / sqrtf(block_sum(squares) / hidden + eps);
    for (unsigned it = 0; it < VALUES; it += WIDTH) {
        unsigned column = column_of<WIDTH>(it);
        if (column >= hidden) continue;
        Pack<T, WIDTH> pack;
        for (int lane = 0; lane < WIDTH; ++lane)
            narrow((row[it + lane] - mean) * scale * gamma[column + lane] + beta[column + lane],
                   pack.values[lane]);
        *reinterpret_cast<Pack<T, WIDTH> *>(out + column) = pack;
    }
}

// The layer norm of x + bias + residual, one block a row. A bias of null is none.
//
// x, residual, out [tokens, hidden]; bias, gamma, beta [hidden]
template <typename T, int WIDTH>
__device__ void add_layer_norm(T *out, const T *x, const float *bias, const T *residual,
                               const float *gamma, const float *beta, unsigned hidden, float eps) {
    unsigned long long start = (unsigned long long)blockIdx.x * hidden;
    float row[VALUES];
    for (unsigned it = 0; it < VALUES; it += WIDTH) {
        unsigned column = column_of<WIDTH>(it);
        bool inside = column < hidden;
        Pack<T, WIDTH> ours = {}, others = {};
        if (inside) {
            ours = *reinterpret_cast<const Pack<T, WIDTH> *>(x + start + column);
            others = *reinterpret_cast<const Pack<T, WIDTH> *>(residual + start + column);
        }
        for (int lane = 0; lane < WIDTH; ++lane) {
            float shift = bias && inside ? bias[column + lane] : 0.0f;
            row[it + lane] = widen(ours.values[lane]) + shift + widen(others.values[lane]);
        }
    }
    normalize<T, WIDTH>(row, out + start, gamma, beta, hidden, eps);
}

// The layer norm of word + token type + position, one block a token.
//
// ids [3, tokens]: rows of word, token_type and position; out [tokens, hidden]
template <typename T, int WIDTH>
__device__ void embeddings(T *out, const T *word, const T *token_type, const T *position,
                           const unsigned *ids, unsigned tokens, const float *gamma,
                           const float *beta, unsigned hidden, float eps) {
    unsigned long long token = blockIdx.x, width = hidden;
    const T *parts[] = {word + ids[token] * width, token_type + ids[tokens + token] * width,
                        position + ids[2 * tokens + token] * width};
    float row[VALUES];
    for (unsigned it = 0; it < VALUES; it += WIDTH) {
        unsigned column = column_of<WIDTH>(it);
        for (int lane = 0; lane < WIDTH; ++lane) row[it + lane] = 0.0f;
        if (column >= hidden) continue;
        for (const T *part : parts) {
            auto pack = *reinterpret_cast<const Pack<T, WIDTH> *>(part + column);
            for (int lane = 0; lane < WIDTH; ++lane) row[it + lane] += widen(pack.values[lane]);
        }
    }
    normalize<T, WIDTH>(row, out + token * width, gamma, beta, hidden, eps);
}

// Some rows of x, one block a row.
//
// x [tokens, features], rows [gridDim.x], out [gridDim.x, features]
template <typename T, int WIDTH>
__device__ void select(T *out, const T *x, const unsigned *rows, unsigned features) {
    unsigned long long to = blockIdx.x, from = rows[to], width = features;
    for (unsigned column = threadIdx.x * WIDTH; column < features; column += THREADS * WIDTH)
        *reinterpret_cast<Pack<T, WIDTH> *>(out + to * width + column) =
            *reinterpret_cast<const Pack<T, WIDTH> *>(x + from * width + column);
}

// x in f32, one pack a thread.
template <typename T, int WIDTH>
__device__ void widen_all(float *out, const T *x, unsigned packs) {
    unsigned pack = blockIdx.x * THREADS + threadIdx.x;
    if (pack >= packs) return;
    auto narrow_ones = reinterpret_cast<const Pack<T, WIDTH> *>(x)[pack];
    Pack<float, WIDTH> wide;
    for (int lane = 0; lane < WIDTH; ++lane) wide.values[lane] = widen(narrow_ones.values[lane]);
    reinterpret_cast<Pack<float, WIDTH> *>(out)[pack] = wide;
}

// A kernel by name: KERNEL_add_layer_norm(f16, 4) is add_layer_norm_f16_4. Whoever compiles this
// file says at its end which ones there shall be.
#define KERNEL extern "C" __global__ void __launch_bounds__(THREADS)

#define KERNEL_bias_activation(T, WIDTH)                                                           \
    KERNEL bias_activation_##T##_##WIDTH(T *y, const float *bias, unsigned packs,                  \
                                         unsigned features, unsigned activation) {                 \
        bias_activation<T, WIDTH>(y, bias, packs, features, activation);                           \
    }

#define KERNEL_add_layer_norm(T, WIDTH)                                                            \
    KERNEL add_layer_norm_##T##_##WIDTH(T *out, const T *x, const float *bias, const T *residual,  \
                                        const float *gamma, const float *beta, unsigned hidden,    \
                                        float eps) {                                               \
        add_layer_norm<T, WIDTH>(out, x, bias, residual, gamma, beta, hidden, eps);                \
    }

#define KERNEL_embeddings(T, WIDTH)                                                                \
    KERNEL embeddings_##T##_##WIDTH(T *out, const T *word, const T *token_type, const T *position, \
                                    const unsigned *ids, unsigned tokens, const float *gamma,      \
                                    const float *beta, unsigned hidden, float eps) {               \
        embeddings<T, WIDTH>(out, word, token_type, position, ids, tokens, gamma, beta, hidden,    \
                             eps);                                                                 \
    }

#define KERNEL_select(T, WIDTH)                                                                    \
    KERNEL select_##T##_##WIDTH(T *out, const T *x, const unsigned *rows, unsigned features) {     \
        select<T, WIDTH>(out, x, rows, features);                                                  \
    }

#define KERNEL_widen(T, WIDTH)                                                                     \
    KERNEL widen_##T##_##WIDTH(float *out, const T *x, unsigned packs) {                           \
        widen_all<T, WIDTH>(out, x, packs);                                                        \
    }
