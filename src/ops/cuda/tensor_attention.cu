// Attention of half-precision vectors on tensor cores, Ampere or newer; attention.cu comes before.
//
// Accumulator and softmax are in f32; queries with their bias, and probabilities, are rounded to
// the vectors' type, for that is what the tensor cores take.
//
// A warp multiplies 16 by 16 numbers with 16 by 8. Lane L holds pairs of neighbours of the rows L /
// 4 and L / 4 + 8 and columns from L % 4 * 2: PTX ISA, matrix fragments for mma.m16n8k16.

// A product's left side, 16 rows of 16: rows L / 4 and L / 4 + 8 of the first eight columns, then
// of the last.
struct Fragment { unsigned pairs[4]; };

// Of four 8 by 8 matrices, the pair of each that a lane holds.
struct Matrices { unsigned pairs[4]; };

// The result, 16 rows of 8, with sums of what came before.
struct Accumulator { float numbers[4]; };

#ifdef __CUDACC__
__device__ inline unsigned pair_of(float first, float second, f16) {
    unsigned pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}

__device__ inline unsigned pair_of(float first, float second, bf16) {
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}

// sums += left · right of two matrices, the first with the first eight rows.
#define MULTIPLY_ADD(T)                                                                            \
    __device__ inline void multiply_add(Accumulator &sums, const Fragment &left, unsigned first, \
                                        unsigned last, T) {                                        \
        float(&s)[4] = sums.numbers;                                                               \
        const unsigned(&l)[4] = left.pairs;                                                        \
        asm("mma.sync.aligned.m16n8k16.row.col.f32." #T "." #T ".f32 "                             \
            "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                      \
            : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])                                       \
            : "r"(l[0]), "r"(l[1]), "r"(l[2]), "r"(l[3]), "r"(first), "r"(last));                  \
    }
MULTIPLY_ADD(f16)
MULTIPLY_ADD(bf16)

// Four matrices of shared memory: lane L says where row L % 8 of matrix L / 8 begins.
#define LOAD_MATRICES(NAME, TRANSPOSED)                                                            \
    __device__ inline Matrices NAME(const void *row) {                                             \
        Matrices to;                                                                               \
        unsigned(&p)[4] = to.pairs;                                                                \
        asm volatile("ldmatrix.sync.aligned.m8n8.x4" TRANSPOSED                                    \
                     ".shared.b16 {%0, %1, %2, %3}, [%4];"                                         \
                     : "=r"(p[0]), "=r"(p[1]), "=r"(p[2]), "=r"(p[3])                              \
                     : "r"((unsigned)__cvta_generic_to_shared(row))                                \
                     : "memory");                                                                  \
        return to;                                                                                 \
    }
LOAD_MATRICES(load_matrices, "")
LOAD_MATRICES(load_transposed, ".trans")

// Sixteen bytes to shared memory, or zeros in their place; there when they have been waited for.
__device__ inline void copy_async(void *to, const void *from, bool inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                     (unsigned)__cvta_generic_to_shared(to)),
                 "l"(from), "r"(inside ? 16 : 0)
                 : "memory");
}

// Until this thread's copies are there.
__device__ inline void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

__device__ inline float shuffle_xor(float value, unsigned lanes) {
    return __shfl_xor_sync(0xffffffff, value, lanes);
}
#endif

// The first rows from `from`, `stride` apart, on their way to shared memory, by all threads of the
// block; zero beyond them and beyond the head.
template <typename T, int KEYS, int WIDTH>
__device__ inline void fetch(T (&to)[KEYS][WIDTH], const T *from, unsigned long long stride,
                             unsigned rows, unsigned head_dim) {
    constexpr unsigned PACKS = (WIDTH - 8) / 8;
    for (unsigned it = threadIdx.x; it < KEYS * PACKS; it += THREADS) {
        unsigned row = it / PACKS, column = it % PACKS * 8;
        const T *features = from + row * stride + column;
        if (head_dim % 8 == 0) {
            bool inside = row < rows && column < head_dim;
            copy_async(&to[row][column], inside ? features : from, inside);
        } else {
            Pack<T, 8> eight = {};
            for (unsigned lane = 0; lane < 8; ++lane)
                if (row < rows && column + lane < head_dim) eight.values[lane] = features[lane];
            *reinterpret_cast<Pack<T, 8> *>(&to[row][column]) = eight;
        }
    }
}

// softmax(query · keyᵀ * scale) · value of one tile and head, key block after key block.
//
// Each of the eight warps has 16 queries of its own, and all of the keys.
//
// query_key_value [tokens, 3, heads, head_dim], bias [3, heads, head_dim] or null,
// context [tokens, heads, head_dim]; a grid of (tiles, heads)
template <typename T, int DIM>
__device__ void tensor_attention(T *context, const T *query_key_value, const float *bias,
                                 const Tile *tiles, unsigned head_dim, float scale) {
    static_assert(TENSOR_QUERIES == THREADS / 32 * 16, "a warp has 16 queries");
    // Of a block; two blocks are in shared memory, one on its way while the other is computed with.
    constexpr int KEYS = 4096 / DIM;
    // Rows are four banks apart, so that the eight rows of a matrix never meet.
    alignas(16) __shared__ T key_blocks[2][KEYS][DIM + 8];
    alignas(16) __shared__ T value_blocks[2][KEYS][DIM + 8];

    const Tile tile = tiles[blockIdx.x];
    const unsigned hidden = gridDim.y * head_dim;
    const unsigned long long first = tile.start, stride = 3ull * hidden;
    const unsigned limit = tile.attended ? tile.attended : tile.tokens;
    const T *queries = query_key_value + first * stride + blockIdx.y * head_dim;
    const T *keys = queries + hidden, *values = keys + hidden;
    const float *query_bias = bias_of(bias, 0, head_dim), *value_bias = bias_of(bias, 2, head_dim);

    const unsigned lane = threadIdx.x % 32, pair = lane % 4 * 2;
    const unsigned first_row = tile.first_query + threadIdx.x / 32 * 16;
    // The tokens of this lane's rows.
    const unsigned rows[2] = {first_row + lane / 4, first_row + lane / 4 + 8};

    Fragment query[DIM / 16] = {};
    // Queries of zero where nothing is attended to: all scores are equal.
    if (tile.attended)
        for (unsigned step = 0; step < DIM / 16; ++step)
            for (int it = 0; it < 4; ++it) {
                float features[2] = {};
                for (unsigned of = 0; of < 2; ++of) {
                    unsigned token = rows[it % 2], column = step * 16 + it / 2 * 8 + pair + of;
                    if (token >= tile.tokens || column >= head_dim) continue;
                    features[of] = widen(queries[token * stride + column]);
                    if (query_bias) features[of] += query_bias[column];
                }
                query[step].pairs[it] = pair_of(features[0], features[1], T());
            }

    // e^x is 2^(x log2 e).
    const float base_two = scale * 1.44269504f;
    Accumulator sums[DIM / 8] = {};
    float maximum[2] = {-INFINITY, -INFINITY}, row_sum[2] = {};
    fetch(key_blocks[0], keys, stride, limit, head_dim);
    fetch(value_blocks[0], values, stride, limit, head_dim);

    for (unsigned first_key = 0; first_key < limit; first_key += KEYS) {
        const unsigned here = limit - first_key, block = first_key / KEYS % 2;
        T(&key)[KEYS][DIM + 8] = key_blocks[block], (&value)[KEYS][DIM + 8] = value_blocks[block];
        wait_for_copies();
        // All copies are there, and nobody reads the other block any more.
        __syncthreads();
        if (here > KEYS) {
            unsigned long long next = (first_key + KEYS) * stride;
            fetch(key_blocks[1 - block], keys + next, stride, here - KEYS, head_dim);
            fetch(value_blocks[1 - block], values + next, stride, here - KEYS, head_dim);
        }
        if (first_row >= tile.tokens) continue;

        Accumulator scores[KEYS / 8] = {};
        for (unsigned group = 0; group < KEYS / 16; ++group)
            for (unsigned step = 0; step < DIM / 16; ++step) {
                if (group * 16 >= here || step * 16 >= head_dim) continue;
                // Eight keys and eight features each: the features first, then the keys.
                Matrices right = load_matrices(
                    &key[group * 16 + lane / 16 * 8 + lane % 8][step * 16 + lane / 8 % 2 * 8]);
                multiply_add(scores[2 * group], query[step], right.pairs[0], right.pairs[1], T());
                multiply_add(scores[2 * group + 1], query[step], right.pairs[2], right.pairs[3],
                             T());
            }

        float before[2] = {maximum[0], maximum[1]};
        for (unsigned eight = 0; eight < KEYS / 8; ++eight)
            for (int it = 0; it < 4; ++it) {
                float &score = scores[eight].numbers[it];
                if (eight * 8 + pair + it % 2 >= here) score = -INFINITY;
                maximum[it / 2] = fmaxf(maximum[it / 2], score);
            }
        for (int r = 0; r < 2; ++r) {
            // Four lanes share a row.
            for (int lanes = 1; lanes < 4; lanes *= 2)
                maximum[r] = fmaxf(maximum[r], shuffle_xor(maximum[r], lanes));
            float rescale = exp2f((before[r] - maximum[r]) * base_two);
            row_sum[r] *= rescale;
            for (unsigned eight = 0; eight < DIM / 8; ++eight)
                for (int it = 2 * r; it < 2 * r + 2; ++it) sums[eight].numbers[it] *= rescale;
        }
        for (unsigned eight = 0; eight < KEYS / 8; ++eight)
            for (int it = 0; it < 4; ++it) {
                float &score = scores[eight].numbers[it];
                score = exp2f((score - maximum[it / 2]) * base_two);
                row_sum[it / 2] += score;
            }

        for (unsigned group = 0; group < KEYS / 16; ++group) {
            if (group * 16 >= here) continue;
            const float(&low)[4] = scores[2 * group].numbers;
            const float(&high)[4] = scores[2 * group + 1].numbers;
            Fragment probs = {{pair_of(low[0], low[1], T()), pair_of(low[2], low[3], T()),
                           pair_of(high[0], high[1], T()), pair_of(high[2], high[3], T())}};
            for (unsigned step = 0; step < DIM / 16; ++step) {
                if (step * 16 >= head_dim) continue;
                // The keys first, then the features.
                Matrices right = load_transposed(
                    &value[group * 16 + lane / 8 % 2 * 8 + lane % 8][step * 16 + lane / 16 * 8]);
                multiply_add(sums[2 * step], probs, right.pairs[0], right.pairs[1], T());
                multiply_add(sums[2 * step + 1], probs, right.pairs[2], right.pairs[3], T());
            }
        }
    }

    if (first_row >= tile.tokens) return;
    // Unrolled, for what has a variable index is kept in memory.
#pragma unroll
    for (int r = 0; r < 2; ++r) {
        for (int lanes = 1; lanes < 4; lanes *= 2) row_sum[r] += shuffle_xor(row_sum[r], lanes);
        if (rows[r] >= tile.tokens) continue;
        T *out = context + (first + rows[r]) * hidden + blockIdx.y * head_dim;
        for (unsigned eight = 0; eight < DIM / 8; ++eight) {
            Pack<T, 2> both;
            unsigned column = eight * 8 + pair;
            for (unsigned of = 0; of < 2; ++of) {
                float mean = sums[eight].numbers[2 * r + of] / row_sum[r];
                bool shifted = value_bias && column + of < head_dim;
                narrow(shifted ? mean + value_bias[column + of] : mean, both.values[of]);
            }
            if (head_dim % 2 == 0) {
                if (column < head_dim) *reinterpret_cast<Pack<T, 2> *>(out + column) = both;
            } else {
                for (unsigned of = 0; of < 2; ++of)
                    if (column + of < head_dim) out[column + of] = both.values[of];
            }
        }
    }
}

// Two blocks a processor hide each other's waits; heads of 128 features leave registers for one.
#define KERNEL_tensor_attention(T, DIM)                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS, 128 / DIM) tensor_attention_##T##_##DIM( \
        T *context, const T *query_key_value, const float *bias, const Tile *tiles,                \
        unsigned head_dim, float scale) {                                                          \
        tensor_attention<T, DIM>(context, query_key_value, bias, tiles, head_dim, scale);          \
    }
