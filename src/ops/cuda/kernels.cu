// The encoder's operations on a GPU, beside the matrix products, which are cuBLAS's.
//
// Owns the arithmetic: sums, softmax and normalization in f32 whatever the vectors are stored as.
// Leaves memory, launches and the checks of every index and shape to the Rust files beside it.
// Compiled by NVRTC when it is first used, without a header, and by g++ for tests/cuda/prove: nothing here
// depends on anything but the indices, __shared__, __syncthreads and plain mathematics.
//
// Sources: layer norm, Ba et al. 2016 (arXiv:1607.06450); online softmax, Milakov and Gimelshein
// 2018 (arXiv:1805.02867); attention in tiles, Dao et al. 2022 (arXiv:2205.14135).

// Threads of every block.
constexpr unsigned THREADS = 256;

// Numbers of a row that a thread holds for the layer norm: rows of up to 4096.
constexpr unsigned VALUES = 16;

struct Half { unsigned short bits; };
struct Bfloat { unsigned short bits; };

// N neighbours that are read and written at once.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack { T values[N]; };

#ifdef __CUDACC__
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
__device__ inline float widen(Half value) { return half_to_float(value.bits); }
__device__ inline float widen(Bfloat value) { return __uint_as_float((unsigned)value.bits << 16); }

__device__ inline void narrow(float value, float &to) { to = value; }
__device__ inline void narrow(float value, Half &to) { to.bits = float_to_half(value); }
// To nearest, ties to even; a NaN stays one.
__device__ inline void narrow(float value, Bfloat &to) {
    unsigned bits = __float_as_uint(value);
    unsigned rounded = bits + 0x7fff + (bits >> 16 & 1);
    to.bits = value == value ? rounded >> 16 : bits >> 16 | 0x40;
}

// The order of ops::Activation.
__device__ inline float activate(float x, unsigned activation) {
    switch (activation) {
    case 1: return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case 2: return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case 3: return x < 0.0f ? 0.0f : x;
    case 4: return tanhf(x);
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

// Some queries of one sequence; the order of ops::cuda's tiles.
struct Tile {
    unsigned start;       // first token of the sequence
    unsigned tokens;      // of the sequence, padding included
    unsigned attended;    // of these the first ones; zero: all, equally
    unsigned first_query; // from the start of the sequence
};

using Four = Pack<float, 4>;

// Four neighbours of a head's features, its bias added; zero beyond the head.
template <typename T>
__device__ inline Four features_of(const T *head, const float *bias, unsigned column,
                                   unsigned head_dim) {
    Four four = {};
    if (head_dim % 4 == 0 && column < head_dim) {
        auto pack = *reinterpret_cast<const Pack<T, 4> *>(head + column);
        for (int lane = 0; lane < 4; ++lane) four.values[lane] = widen(pack.values[lane]);
    } else {
        for (int lane = 0; lane < 4; ++lane)
            if (column + lane < head_dim) four.values[lane] = widen(head[column + lane]);
    }
    for (int lane = 0; lane < 4; ++lane)
        if (bias && column + lane < head_dim) four.values[lane] += bias[column + lane];
    return four;
}

// softmax(query · keyᵀ * scale) · value of one tile and head, key block after key block.
//
// A block's threads stand 16 by 16: each owns QUERIES / 16 rows of the tile, and of these KEYS / 16
// scores and DIM / 16 features. For the softmax they stand QUERIES by PARTS.
//
// query_key_value [tokens, 3, heads, head_dim], bias [3, heads, head_dim] or null,
// context [tokens, heads, head_dim]; a grid of (tiles, heads)
template <typename T, int DIM, int QUERIES, int KEYS>
__device__ void attention(T *context, const T *query_key_value, const float *bias,
                          const Tile *tiles, unsigned head_dim, float scale) {
    constexpr int ROWS = QUERIES / 16, COLUMNS = KEYS / 16, FOURS = DIM / 64;
    constexpr int PARTS = THREADS / QUERIES;
    // Rows are four banks apart, so that 8 threads that read a column's four neighbours never meet.
    alignas(16) __shared__ float query[QUERIES][DIM + 4];
    alignas(16) __shared__ float key[KEYS][DIM + 4];
    alignas(16) __shared__ float value[KEYS][DIM];
    alignas(16) __shared__ float probs[QUERIES][KEYS + 4];
    __shared__ float part_of_row[QUERIES][PARTS];
    __shared__ float sum_of_part[QUERIES][PARTS];
    __shared__ float factor[QUERIES];

    const Tile tile = tiles[blockIdx.x];
    const unsigned hidden = gridDim.y * head_dim;
    const unsigned long long first = tile.start, stride = 3ull * hidden;
    const unsigned limit = tile.attended ? tile.attended : tile.tokens;
    const float *no_bias = nullptr;
    const T *queries = query_key_value + blockIdx.y * head_dim;
    const T *keys = queries + hidden, *values = keys + hidden;
    const float *query_bias = bias ? bias + blockIdx.y * head_dim : no_bias;
    const float *key_bias = bias ? query_bias + hidden : no_bias;
    const float *value_bias = bias ? key_bias + hidden : no_bias;

    for (unsigned it = threadIdx.x; it < QUERIES * DIM / 4; it += THREADS) {
        unsigned row = it / (DIM / 4), column = it % (DIM / 4) * 4;
        unsigned token = tile.first_query + row;
        Four four = {};
        if (token < tile.tokens)
            four = features_of(queries + (first + token) * stride, query_bias, column, head_dim);
        // A scale of zero where nothing is attended to: all scores are equal.
        for (int lane = 0; lane < 4; ++lane) four.values[lane] *= tile.attended ? scale : 0.0f;
        *reinterpret_cast<Four *>(&query[row][column]) = four;
    }

    const unsigned y = threadIdx.x / 16, x = threadIdx.x % 16;
    const unsigned row_of_softmax = threadIdx.x / PARTS, part = threadIdx.x % PARTS;
    float sums[ROWS][FOURS][4] = {};
    float maximum = -INFINITY, total = 0.0f;

    for (unsigned first_key = 0; first_key < limit; first_key += KEYS) {
        // The last block's keys, values and probabilities are not read any more.
        __syncthreads();
        for (unsigned it = threadIdx.x; it < KEYS * DIM / 4; it += THREADS) {
            unsigned row = it / (DIM / 4), column = it % (DIM / 4) * 4;
            unsigned token = first_key + row;
            Four a_key = {}, a_value = {};
            if (token < limit) {
                a_key = features_of(keys + (first + token) * stride, key_bias, column, head_dim);
                a_value = features_of(values + (first + token) * stride, value_bias, column, head_dim);
            }
            *reinterpret_cast<Four *>(&key[row][column]) = a_key;
            *reinterpret_cast<Four *>(&value[row][column]) = a_value;
        }
        __syncthreads();

        float scores[ROWS][COLUMNS] = {};
        for (int feature = 0; feature < DIM; feature += 4) {
            Four a_query[ROWS], a_key[COLUMNS];
            for (int r = 0; r < ROWS; ++r)
                a_query[r] = *reinterpret_cast<Four *>(&query[y * ROWS + r][feature]);
            for (int c = 0; c < COLUMNS; ++c)
                a_key[c] = *reinterpret_cast<Four *>(&key[x + 16 * c][feature]);
            for (int r = 0; r < ROWS; ++r)
                for (int c = 0; c < COLUMNS; ++c)
                    for (int lane = 0; lane < 4; ++lane)
                        scores[r][c] += a_query[r].values[lane] * a_key[c].values[lane];
        }
        for (int r = 0; r < ROWS; ++r)
            for (int c = 0; c < COLUMNS; ++c)
                probs[y * ROWS + r][x + 16 * c] =
                    first_key + x + 16 * c < limit ? scores[r][c] : -INFINITY;
        __syncthreads();

        float (&row)[KEYS + 4] = probs[row_of_softmax];
        float largest = -INFINITY;
        for (int it = part; it < KEYS; it += PARTS) largest = fmaxf(largest, row[it]);
        part_of_row[row_of_softmax][part] = largest;
        __syncthreads();
        float before = maximum, sum = 0.0f;
        for (int it = 0; it < PARTS; ++it) maximum = fmaxf(maximum, part_of_row[row_of_softmax][it]);
        for (int it = part; it < KEYS; it += PARTS) sum += row[it] = expf(row[it] - maximum);
        sum_of_part[row_of_softmax][part] = sum;
        float shrink = expf(before - maximum);
        if (part == 0) factor[row_of_softmax] = shrink;
        __syncthreads();
        total *= shrink;
        for (int it = 0; it < PARTS; ++it) total += sum_of_part[row_of_softmax][it];

        for (int r = 0; r < ROWS; ++r)
            for (int c = 0; c < FOURS; ++c)
                for (int lane = 0; lane < 4; ++lane) sums[r][c][lane] *= factor[y * ROWS + r];
        for (int four = 0; four < KEYS; four += 4) {
            Four a_prob[ROWS];
            for (int r = 0; r < ROWS; ++r)
                a_prob[r] = *reinterpret_cast<Four *>(&probs[y * ROWS + r][four]);
            for (int it = 0; it < 4; ++it)
                for (int c = 0; c < FOURS; ++c) {
                    Four a_value = *reinterpret_cast<Four *>(&value[four + it][x * 4 + 64 * c]);
                    for (int r = 0; r < ROWS; ++r)
                        for (int lane = 0; lane < 4; ++lane)
                            sums[r][c][lane] += a_prob[r].values[it] * a_value.values[lane];
                }
        }
    }

    // Every thread has read the last factors.
    __syncthreads();
    if (part == 0) factor[row_of_softmax] = total;
    __syncthreads();
    for (int r = 0; r < ROWS; ++r) {
        unsigned token = tile.first_query + y * ROWS + r;
        if (token >= tile.tokens) continue;
        T *out = context + (first + token) * hidden + blockIdx.y * head_dim;
        for (int c = 0; c < FOURS; ++c)
            for (int lane = 0; lane < 4; ++lane) {
                unsigned column = x * 4 + 64 * c + lane;
                if (column < head_dim) narrow(sums[r][c][lane] / factor[y * ROWS + r], out[column]);
            }
    }
}

#define KERNEL extern "C" __global__ void __launch_bounds__(THREADS)

#define OF_WIDTH(NAME, T, WIDTH)                                                                   \
    KERNEL bias_activation_##NAME##_##WIDTH(T *y, const float *bias, unsigned packs,               \
                                            unsigned features, unsigned activation) {              \
        bias_activation<T, WIDTH>(y, bias, packs, features, activation);                           \
    }                                                                                              \
    KERNEL add_layer_norm_##NAME##_##WIDTH(T *out, const T *x, const float *bias,                  \
                                           const T *residual, const float *gamma,                  \
                                           const float *beta, unsigned hidden, float eps) {        \
        add_layer_norm<T, WIDTH>(out, x, bias, residual, gamma, beta, hidden, eps);                \
    }                                                                                              \
    KERNEL embeddings_##NAME##_##WIDTH(T *out, const T *word, const T *token_type,                 \
                                       const T *position, const unsigned *ids, unsigned tokens,    \
                                       const float *gamma, const float *beta, unsigned hidden,     \
                                       float eps) {                                                \
        embeddings<T, WIDTH>(out, word, token_type, position, ids, tokens, gamma, beta, hidden,    \
                             eps);                                                                 \
    }

#define OF_DIM(NAME, T, DIM, QUERIES, KEYS)                                                        \
    KERNEL attention_##NAME##_##DIM(T *context, const T *query_key_value, const float *bias,       \
                                    const Tile *tiles, unsigned head_dim, float scale) {           \
        attention<T, DIM, QUERIES, KEYS>(context, query_key_value, bias, tiles, head_dim, scale);  \
    }

// Tiles as large as 48 KiB of shared memory allow.
#define OF_TYPE(NAME, T)                                                                           \
    OF_WIDTH(NAME, T, 1)                                                                           \
    OF_WIDTH(NAME, T, 4)                                                                           \
    OF_DIM(NAME, T, 64, 64, 32)                                                                    \
    OF_DIM(NAME, T, 128, 32, 16)

OF_TYPE(f32, float)
OF_TYPE(f16, Half)
OF_TYPE(bf16, Bfloat)
