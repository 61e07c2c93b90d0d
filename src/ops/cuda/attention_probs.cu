// The attention probabilities, for those who ask for them; attention.cu and tensor_attention.cu
// come before. One launch for every sequence and head of a batch, in f32.

// The sum or the maximum over a warp, known to all of its lanes.
__device__ inline float warp_sum(float value) {
    for (int lanes = 1; lanes < 32; lanes *= 2) value += shuffle_xor(value, lanes);
    return value;
}

__device__ inline float warp_max(float value) {
    for (int lanes = 1; lanes < 32; lanes *= 2) value = fmaxf(value, shuffle_xor(value, lanes));
    return value;
}

// softmax(query · keyᵀ * scale) of one tile and head. Each warp has a query at a time, and each
// lane every 32nd key of it, which no other lane reads or writes. A key that is not attended to has
// zero.
//
// The key's bias is left out, as in attention.cu.
//
// probs [heads, tokens, tokens] of one sequence after the other, the tile's beginning at
// pairs_before[tile] * heads; query_key_value [tokens, 3, heads, head_dim], bias [3, heads,
// head_dim] or null; a grid of (tiles, heads)
template <typename T>
__device__ void attention_probs(float *probs, const T *query_key_value, const float *bias,
                                const Tile *tiles, const unsigned *pairs_before, unsigned queries,
                                unsigned head_dim, float scale) {
    const Tile tile = tiles[blockIdx.x];
    const unsigned hidden = gridDim.y * head_dim, lane = threadIdx.x % 32;
    const unsigned long long stride = 3ull * hidden, tokens = tile.tokens;
    const unsigned limit = tile.attended ? tile.attended : tile.tokens;
    const T *query_rows = query_key_value + tile.start * stride + blockIdx.y * head_dim;
    const T *key_rows = query_rows + hidden;
    const float *query_bias = bias_of(bias, 0, head_dim);
    float *of_head = probs + (unsigned long long)pairs_before[blockIdx.x] * gridDim.y +
                     blockIdx.y * tokens * tokens;

    for (unsigned row = threadIdx.x / 32; row < queries; row += THREADS / 32) {
        const unsigned token = tile.first_query + row;
        if (token >= tile.tokens) break;
        const T *query = query_rows + token * stride;
        float *out = of_head + token * tokens;
        float maximum = -INFINITY, sum = 0.0f;
        for (unsigned key = lane; key < limit; key += 32) {
            const T *features = key_rows + key * stride;
            float score = 0.0f;
            for (unsigned it = 0; it < head_dim; ++it) {
                float shift = query_bias ? query_bias[it] : 0.0f;
                score += (widen(query[it]) + shift) * widen(features[it]);
            }
            // A scale of zero where nothing is attended to: all scores are equal.
            out[key] = score * (tile.attended ? scale : 0.0f);
            maximum = fmaxf(maximum, out[key]);
        }
        maximum = warp_max(maximum);
        for (unsigned key = lane; key < limit; key += 32)
            sum += out[key] = expf(out[key] - maximum);
        sum = warp_sum(sum);
        for (unsigned key = lane; key < tile.tokens; key += 32)
            out[key] = key < limit ? out[key] / sum : 0.0f;
    }
}

#define KERNEL_attention_probs(T, VARIANT)                                                         \
    KERNEL attention_probs_##T##_##VARIANT(                                                        \
        float *probs, const T *query_key_value, const float *bias, const Tile *tiles,              \
        const unsigned *pairs_before, unsigned queries, unsigned head_dim, float scale) {          \
        attention_probs<T>(probs, query_key_value, bias, tiles, pairs_before, queries, head_dim,   \
                           scale);                                                                 \
    }
