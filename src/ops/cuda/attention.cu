// Attention of every sequence and head of a batch in one launch, in f32; kernels.cu comes before.
//
// The key's bias is left out: it adds one number to all scores of a query, which the softmax takes
// out again. The value's is added to the sum, for its weights add up to one.
//
// Sources: online softmax, Milakov and Gimelshein 2018 (arXiv:1805.02867); attention in tiles, Dao
// et al. 2022 (arXiv:2205.14135).

// Some queries of one sequence, in the order of tiles.rs.
struct Tile {
    unsigned start;       // first token of the sequence
    unsigned tokens;      // of the sequence, padding included
    unsigned attended;    // of these the first ones; zero: all, equally
    unsigned first_query; // from the start of the sequence
};

using Four = Pack<float, 4>;

// Four neighbours of a head's features; zero beyond the head.
template <typename T>
__device__ inline Four features_of(const T *head, unsigned column, unsigned head_dim) {
    Four four = {};
    if (head_dim % 4 == 0 && column < head_dim) {
        auto pack = *reinterpret_cast<const Pack<T, 4> *>(head + column);
        for (int lane = 0; lane < 4; ++lane) four.values[lane] = widen(pack.values[lane]);
    } else {
        for (int lane = 0; lane < 4; ++lane)
            if (column + lane < head_dim) four.values[lane] = widen(head[column + lane]);
    }
    return four;
}

// A head's part of the bias of queries (0), keys (1) or values (2); null where there is none.
__device__ inline const float *bias_of(const float *bias, unsigned part, unsigned head_dim) {
    return bias ? bias + (part * gridDim.y + blockIdx.y) * head_dim : nullptr;
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
    const T *queries = query_key_value + blockIdx.y * head_dim;
    const T *keys = queries + hidden, *values = keys + hidden;
    const float *query_bias = bias_of(bias, 0, head_dim), *value_bias = bias_of(bias, 2, head_dim);

    for (unsigned it = threadIdx.x; it < QUERIES * DIM / 4; it += THREADS) {
        unsigned row = it / (DIM / 4), column = it % (DIM / 4) * 4;
        unsigned token = tile.first_query + row;
        Four four = {};
        if (token < tile.tokens)
            four = features_of(queries + (first + token) * stride, column, head_dim);
        for (int lane = 0; lane < 4; ++lane) {
            if (query_bias && column + lane < head_dim)
                four.values[lane] += query_bias[column + lane];
            // A scale of zero where nothing is attended to: all scores are equal.
            four.values[lane] *= tile.attended ? scale : 0.0f;
        }
        *reinterpret_cast<Four *>(&query[row][column]) = four;
    }

    const unsigned y = threadIdx.x / 16, x = threadIdx.x % 16;
    const unsigned row_of_softmax = threadIdx.x / PARTS, part = threadIdx.x % PARTS;
    float sums[ROWS][FOURS][4] = {};
    float maximum = -INFINITY, row_sum = 0.0f;

    for (unsigned first_key = 0; first_key < limit; first_key += KEYS) {
        // The last block's keys, values and probabilities are not read any more.
        __syncthreads();
        for (unsigned it = threadIdx.x; it < KEYS * DIM / 4; it += THREADS) {
            unsigned row = it / (DIM / 4), column = it % (DIM / 4) * 4;
            unsigned token = first_key + row;
            Four a_key = {}, a_value = {};
            if (token < limit) {
                a_key = features_of(keys + (first + token) * stride, column, head_dim);
                a_value = features_of(values + (first + token) * stride, column, head_dim);
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
        for (int it = 0; it < PARTS; ++it)
            maximum = fmaxf(maximum, part_of_row[row_of_softmax][it]);
        for (int it = part; it < KEYS; it += PARTS) sum += row[it] = expf(row[it] - maximum);
        sum_of_part[row_of_softmax][part] = sum;
        float rescale = expf(before - maximum);
        if (part == 0) factor[row_of_softmax] = rescale;
        __syncthreads();
        row_sum *= rescale;
        for (int it = 0; it < PARTS; ++it) row_sum += sum_of_part[row_of_softmax][it];

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
    if (part == 0) factor[row_of_softmax] = row_sum;
    __syncthreads();
    for (int r = 0; r < ROWS; ++r) {
        unsigned token = tile.first_query + y * ROWS + r;
        if (token >= tile.tokens) continue;
        T *out = context + (first + token) * hidden + blockIdx.y * head_dim;
        for (int c = 0; c < FOURS; ++c)
            for (int lane = 0; lane < 4; ++lane) {
                unsigned column = x * 4 + 64 * c + lane;
                if (column >= head_dim) continue;
                float mean = sums[r][c][lane] / factor[y * ROWS + r];
                narrow(value_bias ? mean + value_bias[column] : mean, out[column]);
            }
    }
}

// Tiles as large as 48 KiB of shared memory allow.
template <typename T, int DIM> struct Attention;
template <typename T> struct Attention<T, SMALL_HEAD> {
    static constexpr int QUERIES = SMALL_HEAD_QUERIES, KEYS = 32;
};
template <typename T> struct Attention<T, LARGE_HEAD> {
    static constexpr int QUERIES = LARGE_HEAD_QUERIES, KEYS = 16;
};

#define KERNEL_attention(T, DIM)                                                                   \
    KERNEL attention_##T##_##DIM(T *context, const T *query_key_value, const float *bias,          \
                                 const Tile *tiles, unsigned head_dim, float scale) {              \
        using Size = Attention<T, DIM>;                                                            \
        attention<T, DIM, Size::QUERIES, Size::KEYS>(context, query_key_value, bias, tiles,        \
                                                     head_dim, scale);                             \
    }
