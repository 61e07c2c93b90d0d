// Every kernel of src/ops/cuda against a naive oracle in float64, on a CPU. Run by tests/cuda/prove.
//
// What it can find: wrong indices, masks, sums, rounding; reads and writes beyond a tensor (they are
// surrounded by NaN); a barrier that is missing (two orders of the threads give different bits) or
// that not every thread reaches. What it cannot: races that neither order shows, the GPU's own half
// precision and mathematics, registers, occupancy, launches, and anything of the Rust beside it.

#include "all_kernels.h"

#include <random>
#include <string>

static std::mt19937 generator(42);
static int checks = 0;
static double worst = 0.0; // largest error as a share of what is allowed

// One number type: its kernels and the relative error of a rounding to it.
template <typename T> struct Type;
#define TYPE(T, ROUNDING)                                                                          \
    template <> struct Type<T> {                                                                   \
        static constexpr const char *name = #T;                                                    \
        static constexpr double rounding = ROUNDING;                                               \
        static constexpr auto bias_activation_1 = bias_activation_##T##_1;                         \
        static constexpr auto bias_activation_4 = bias_activation_##T##_4;                         \
        static constexpr auto add_layer_norm_1 = add_layer_norm_##T##_1;                           \
        static constexpr auto add_layer_norm_4 = add_layer_norm_##T##_4;                           \
        static constexpr auto embeddings_1 = embeddings_##T##_1;                                   \
        static constexpr auto embeddings_4 = embeddings_##T##_4;                                   \
        static constexpr auto select_1 = select_##T##_1;                                           \
        static constexpr auto select_4 = select_##T##_4;                                           \
        static constexpr auto widen_1 = widen_##T##_1;                                             \
        static constexpr auto widen_4 = widen_##T##_4;                                             \
        static constexpr auto attention_64 = attention_##T##_64;                                   \
        static constexpr auto attention_128 = attention_##T##_128;                                 \
        static constexpr auto attention_probs = attention_probs_##T##_1;                           \
    };
TYPE(f32, 0x1p-24)
TYPE(f16, 0x1p-11)
TYPE(bf16, 0x1p-8)

// A tensor with NaN before and after it.
template <typename T> struct Tensor {
    static constexpr size_t MARGIN = 4096;
    std::vector<T> all;
    size_t size;

    explicit Tensor(size_t size) : all(size + 2 * MARGIN), size(size) {
        for (T &value : all) narrow(NAN, value);
    }
    Tensor(size_t size, double scale, double mean = 0.0) : Tensor(size) {
        std::normal_distribution<float> normal(mean, scale);
        for (size_t it = 0; it < size; ++it) narrow(normal(generator), data()[it]);
    }
    T *data() { return all.data() + MARGIN; }
    double at(size_t it) { return widen(data()[it]); }
    bool intact() {
        for (size_t it = 0; it < MARGIN; ++it)
            if (!std::isnan(widen(all[it])) || !std::isnan(widen(all[all.size() - 1 - it]))) return false;
        return true;
    }
};

using Oracle = std::vector<double>;

// Runs `call(out)` in both orders; the outputs must be the same bits, and near the oracle: rounded to T,
// and away by one tolerance for all or one for each.
template <typename T, typename Call>
void check(const std::string &what, Index grid, Tensor<T> &before, const Oracle &oracle,
           const Oracle &tolerances, Call call) {
    std::string name = what + " " + Type<T>::name;
    Tensor<T> outs[] = {before, before};
    for (int order = 0; order < 2; ++order) {
        T *out = outs[order].data();
        shim::launch(grid, THREADS, order, [&] { call(out); });
        if (!outs[order].intact()) shim::fail((name + ": wrote outside its output").c_str());
    }
    if (memcmp(outs[0].data(), outs[1].data(), oracle.size() * sizeof(T)))
        shim::fail((name + ": the bits depend on the order of the threads").c_str());
    for (size_t it = 0; it < oracle.size(); ++it) {
        double tolerance = tolerances[tolerances.size() == 1 ? 0 : it] + 1e-6;
        double allowed = tolerance + 1.01 * Type<T>::rounding * std::abs(oracle[it]);
        double share = std::abs(outs[0].at(it) - oracle[it]) / allowed;
        if (!(share <= 1.0)) {
            printf("FAIL: %s: output %zu is %.9g, not %.9g (%.1f times what is allowed)\n",
                   name.c_str(), it, outs[0].at(it), oracle[it], share);
            exit(1);
        }
        worst = std::max(worst, share);
    }
    ++checks;
}

static double activation_of(double x, unsigned activation) {
    switch (activation) {
    case ACTIVATION_GELU: return 0.5 * x * std::erfc(-x * M_SQRT1_2);
    case ACTIVATION_GELU_TANH: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case ACTIVATION_RELU: return std::max(x, 0.0);
    case ACTIVATION_TANH: return std::tanh(x);
    default: return x;
    }
}

template <typename T> void prove_bias_activation(size_t tokens, size_t features) {
    for (unsigned activation = 0; activation <= ACTIVATION_TANH; ++activation)
        for (unsigned width : {1u, 4u}) {
            if (features % width) continue;
            Tensor<T> y(tokens * features, 2.0);
            Tensor<float> bias(features, 1.0);
            Oracle oracle;
            for (size_t it = 0; it < y.size; ++it)
                oracle.push_back(activation_of(y.at(it) + bias.at(it % features), activation));
            unsigned packs = y.size / width;
            auto kernel = width == 1 ? Type<T>::bias_activation_1 : Type<T>::bias_activation_4;
            check("bias_activation", {(packs + THREADS - 1) / THREADS, 1}, y, oracle, {1e-6}, [&](T *out) {
                kernel(out, bias.data(), packs, features, activation);
            });
        }
}

static void normalize(Oracle &row, Tensor<float> &gamma, Tensor<float> &beta, double eps) {
    double mean = 0.0, variance = 0.0;
    for (double x : row) mean += x / row.size();
    for (double x : row) variance += (x - mean) * (x - mean) / row.size();
    for (size_t it = 0; it < row.size(); ++it)
        row[it] = (row[it] - mean) / std::sqrt(variance + eps) * gamma.at(it) + beta.at(it);
}

// A large mean beside a small spread is where a variance taken in one pass loses its digits.
template <typename T> void prove_add_layer_norm(size_t tokens, size_t hidden, double mean) {
    for (bool with_bias : {true, false})
        for (unsigned width : {1u, 4u}) {
            if (hidden % width) continue;
            Tensor<T> x(tokens * hidden, 1.0, mean), residual(tokens * hidden, 2.0), out(tokens * hidden);
            Tensor<float> bias(hidden, 0.5), gamma(hidden, 1.0), beta(hidden, 1.0);
            Oracle oracle;
            for (size_t token = 0; token < tokens; ++token) {
                Oracle row;
                for (size_t it = 0; it < hidden; ++it) {
                    double shift = with_bias ? bias.at(it) : 0.0;
                    row.push_back(x.at(token * hidden + it) + shift + residual.at(token * hidden + it));
                }
                normalize(row, gamma, beta, 1e-12);
                oracle.insert(oracle.end(), row.begin(), row.end());
            }
            auto kernel = width == 1 ? Type<T>::add_layer_norm_1 : Type<T>::add_layer_norm_4;
            check("add_layer_norm", {(unsigned)tokens, 1}, out, oracle, {3e-6 * (1 + mean)}, [&](T *to) {
                kernel(to, x.data(), with_bias ? bias.data() : nullptr, residual.data(),
                       gamma.data(), beta.data(), hidden, 1e-12f);
            });
        }
}

template <typename T> void prove_embeddings(unsigned tokens, size_t hidden) {
    for (unsigned width : {1u, 4u}) {
        if (hidden % width) continue;
        const unsigned rows[] = {50, 2, 40};
        std::vector<Tensor<T>> tables;
        for (unsigned count : rows) tables.emplace_back(count * hidden, 1.0);
        Tensor<float> gamma(hidden, 1.0), beta(hidden, 1.0);
        Tensor<T> out(tokens * hidden);
        std::vector<unsigned> ids;
        for (unsigned it = 0; it < 3 * tokens; ++it) ids.push_back(generator() % rows[it / tokens]);
        Oracle oracle;
        for (unsigned token = 0; token < tokens; ++token) {
            Oracle row(hidden);
            for (unsigned table = 0; table < 3; ++table)
                for (size_t it = 0; it < hidden; ++it)
                    row[it] += tables[table].at(ids[table * tokens + token] * hidden + it);
            normalize(row, gamma, beta, 1e-6);
            oracle.insert(oracle.end(), row.begin(), row.end());
        }
        auto kernel = width == 1 ? Type<T>::embeddings_1 : Type<T>::embeddings_4;
        check("embeddings", {tokens, 1}, out, oracle, {3e-6}, [&](T *to) {
            kernel(to, tables[0].data(), tables[1].data(), tables[2].data(), ids.data(), tokens,
                   gamma.data(), beta.data(), hidden, 1e-6f);
        });
    }
}

// Copies have no error at all.
template <typename T> void prove_rows(size_t tokens, size_t features) {
    for (unsigned width : {1u, 4u}) {
        if (features % width) continue;
        Tensor<T> x(tokens * features, 2.0), selected(3 * features);
        Tensor<float> wide(tokens * features);
        const unsigned rows[] = {(unsigned)tokens - 1, 0, 2};
        Oracle of_rows, of_all;
        for (size_t it = 0; it < 3 * features; ++it)
            of_rows.push_back(x.at(rows[it / features] * features + it % features));
        for (size_t it = 0; it < x.size; ++it) of_all.push_back(x.at(it));
        auto select = width == 1 ? Type<T>::select_1 : Type<T>::select_4;
        check("select", {3, 1}, selected, of_rows, {0.0}, [&](T *out) {
            select(out, x.data(), rows, features);
        });
        unsigned packs = x.size / width;
        auto widen = width == 1 ? Type<T>::widen_1 : Type<T>::widen_4;
        check("widen", {(packs + THREADS - 1) / THREADS, 1}, wide, of_all, {0.0}, [&](float *out) {
            widen(out, x.data(), packs);
        });
    }
}

struct Sequence { unsigned tokens, attended; };

// Vectors of some sequences, and the context that attention shall make of them.
template <typename T> struct AttentionCase {
    const std::vector<Sequence> sequences;
    const unsigned heads, head_dim, hidden = heads * head_dim;
    const bool with_bias;
    unsigned tokens = 0;
    size_t pairs = 0; // of tokens, in the sequences so far
    Tensor<T> qkv;
    Tensor<float> bias;
    Oracle oracle;
    // How far an output may be away where queries and probabilities are rounded to T.
    Oracle rounded;
    // [heads, tokens, tokens] of one sequence after the other.
    Oracle probabilities;

    AttentionCase(const std::vector<Sequence> &sequences, unsigned heads, unsigned head_dim,
                  bool with_bias)
        : sequences(sequences), heads(heads), head_dim(head_dim), with_bias(with_bias),
          tokens(total(sequences)), qkv(tokens * 3 * hidden, 1.0), bias(3 * hidden, 0.5),
          oracle(tokens * hidden), rounded(tokens * hidden) {
        unsigned start = 0;
        for (Sequence sequence : sequences)
            probabilities.resize(probabilities.size() + (size_t)heads * sequence.tokens * sequence.tokens);
        for (Sequence sequence : sequences) {
            for (unsigned query = start; query < start + sequence.tokens; ++query)
                for (unsigned head = 0; head < heads; ++head) attend(sequence, start, query, head);
            start += sequence.tokens;
            pairs += (size_t)sequence.tokens * sequence.tokens;
        }
    }

    static unsigned total(const std::vector<Sequence> &sequences) {
        unsigned tokens = 0;
        for (Sequence sequence : sequences) tokens += sequence.tokens;
        return tokens;
    }

    enum Part { QUERY, KEY, VALUE };

    double at(unsigned token, Part part, unsigned head, unsigned feature) {
        return qkv.at((token * 3 + part) * hidden + head * head_dim + feature);
    }

    double bias_at(Part part, unsigned head, unsigned feature) {
        return with_bias ? bias.at(part * hidden + head * head_dim + feature) : 0.0;
    }

    void attend(Sequence sequence, unsigned start, unsigned query, unsigned head) {
        const unsigned limit = sequence.attended ? sequence.attended : sequence.tokens;
        const double scale = 1 / std::sqrt((double)head_dim);
        Oracle probs(limit);
        // How far a score may move where every feature of the query is rounded the worst way.
        double moved = 0.0, largest = -INFINITY, total = 0.0;
        for (unsigned key = 0; key < limit; ++key) {
            double moves = 0.0;
            for (unsigned it = 0; it < head_dim && sequence.attended; ++it) {
                double feature = at(query, QUERY, head, it) + bias_at(QUERY, head, it);
                double of_key = at(start + key, KEY, head, it);
                probs[key] += feature * (of_key + bias_at(KEY, head, it)) * scale;
                moves += std::abs(feature * of_key) * Type<T>::rounding * scale;
            }
            largest = std::max(largest, probs[key]);
            moved = std::max(moved, moves);
        }
        for (double &prob : probs) total += prob = std::exp(prob - largest);
        const size_t row = ((size_t)head * sequence.tokens + query - start) * sequence.tokens;
        for (unsigned key = 0; key < limit; ++key)
            probabilities[pairs * heads + row + key] = probs[key] / total;
        for (unsigned it = 0; it < head_dim; ++it) {
            double context = 0.0, away = 0.0;
            for (unsigned key = 0; key < limit; ++key)
                context += probs[key] / total * at(start + key, VALUE, head, it);
            for (unsigned key = 0; key < limit; ++key) {
                double value = at(start + key, VALUE, head, it);
                // Scores that move shift weight from one value to another; then comes the weight's own
                // rounding, at least half of the smallest f16.
                away += probs[key] / total * std::expm1(2 * moved) * std::abs(value - context);
                away += (probs[key] * Type<T>::rounding + 0x1p-25) / total * std::abs(value);
            }
            const unsigned place = query * hidden + head * head_dim + it;
            oracle[place] = context + bias_at(VALUE, head, it);
            rounded[place] = away;
        }
    }

    // The sequences cut into tiles as ops::cuda cuts them.
    std::vector<Tile> tiles(unsigned queries) {
        std::vector<Tile> tiles;
        unsigned start = 0;
        for (Sequence sequence : sequences) {
            for (unsigned first = 0; first < sequence.tokens; first += queries)
                tiles.push_back({start, sequence.tokens, sequence.attended, first});
            start += sequence.tokens;
        }
        return tiles;
    }

    void check_probabilities(unsigned queries) {
        std::vector<Tile> all = tiles(queries);
        std::vector<unsigned> before;
        for (Tile tile : all) {
            unsigned start = 0, of_sequences = 0;
            for (Sequence sequence : sequences) {
                if (start == tile.start) break;
                start += sequence.tokens;
                of_sequences += sequence.tokens * sequence.tokens;
            }
            before.push_back(of_sequences);
        }
        Tensor<float> out(probabilities.size());
        auto kernel = Type<T>::attention_probs;
        ::check("attention_probs", {(unsigned)all.size(), heads}, out, probabilities, {1e-6}, [&](float *to) {
            kernel(to, qkv.data(), with_bias ? bias.data() : nullptr, all.data(), before.data(), queries,
                   head_dim, 1.0f / std::sqrt((float)head_dim));
        });
    }

    template <typename Kernel>
    void check(const char *what, Kernel kernel, unsigned queries, const Oracle &tolerances) {
        std::vector<Tile> all = tiles(queries);
        Tensor<T> out(tokens * hidden);
        ::check(what, {(unsigned)all.size(), heads}, out, oracle, tolerances, [&](T *to) {
            kernel(to, qkv.data(), with_bias ? bias.data() : nullptr, all.data(), head_dim,
                   1.0f / std::sqrt((float)head_dim));
        });
    }
};

template <typename T>
void prove_attention(const std::vector<Sequence> &sequences, unsigned heads, unsigned head_dim,
                     bool with_bias) {
    AttentionCase<T> attention(sequences, heads, head_dim, with_bias);
    auto kernel = head_dim <= SMALL_HEAD ? Type<T>::attention_64 : Type<T>::attention_128;
    const unsigned queries = head_dim <= SMALL_HEAD ? SMALL_HEAD_QUERIES : LARGE_HEAD_QUERIES;
    attention.check("attention", kernel, queries, {3e-6});
    attention.check_probabilities(queries);
    if constexpr (std::is_same_v<T, f16>) {
        auto kernel = head_dim <= SMALL_HEAD ? tensor_attention_f16_64 : tensor_attention_f16_128;
        attention.check("tensor_attention", kernel, TENSOR_QUERIES, attention.rounded);
    }
    if constexpr (std::is_same_v<T, bf16>) {
        auto kernel = head_dim <= SMALL_HEAD ? tensor_attention_bf16_64 : tensor_attention_bf16_128;
        attention.check("tensor_attention", kernel, TENSOR_QUERIES, attention.rounded);
    }
}

// Every float between two neighbours of bf16 goes to the nearer one, ties to the even one.
static void prove_bfloat() {
    for (unsigned bits = 0; bits < 0x10000; ++bits) {
        float value = widen(bf16{(unsigned short)bits});
        bf16 back;
        narrow(value, back);
        bool same = std::isnan(value) ? std::isnan(widen(back)) : back.bits == bits;
        if (!same) shim::fail("a bf16 does not come back");
        if (std::isnan(value) || std::isinf(value)) continue;
        unsigned base = bits << 16;
        struct { unsigned add, to; } cases[] = {
            {0x7fff, bits}, {0x8000, bits + (bits & 1)}, {0x8001, bits + 1}, {0xffff, bits + 1}};
        for (auto [add, to] : cases) {
            narrow(__uint_as_float(base + add), back);
            if (back.bits != to) shim::fail("a float is rounded to the wrong bf16");
        }
    }
    ++checks;
}

template <typename T> void prove() {
    prove_bias_activation<T>(5, 12);
    prove_bias_activation<T>(7, 33);
    prove_bias_activation<T>(3, 3072);
    for (size_t hidden : {12, 33, 768, 1024}) {
        prove_add_layer_norm<T>(7, hidden, 0.0);
        prove_embeddings<T>(17, hidden);
    }
    for (size_t features : {12, 33, 2048}) prove_rows<T>(5, features);
    prove_add_layer_norm<T>(3, 768, 100.0);
    prove_add_layer_norm<T>(2, 4096, 0.0);
    prove_add_layer_norm<T>(2, 4095, 0.0);
    const std::vector<Sequence> sequences = {{1, 1}, {5, 5},   {17, 9}, {33, 33}, {150, 150},
                                             {4, 0}, {150, 70}, {64, 64}, {65, 64}, {70, 0}};
    for (unsigned head_dim : {12u, 32u, 33u, 64u, 80u, 128u})
        prove_attention<T>(sequences, 2, head_dim, true);
    prove_attention<T>({{33, 20}, {1, 0}}, 3, 64, false);
}

int main() {
    prove_bfloat();
    prove<float>();
    prove<f16>();
    prove<bf16>();
    printf("%d checks passed; the largest error is %.2f of what is allowed\n", checks, worst);
}
