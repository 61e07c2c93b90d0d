// What tensor_attention.cu asks of a warp, on a CPU, by the tables of the PTX ISA: "Matrix fragments for
// mma.m16n8k16 with floating point type" and "ldmatrix". Comes after that file, for its types.
#pragma once

#include "shim.h"

namespace shim {

// A number of a matrix as a lane holds it: half of one of its registers.
template <typename T> float number(unsigned pair, unsigned half) {
    return widen(T{(unsigned short)(pair >> 16 * half)});
}

inline Matrices load(const void *row, bool transposed) {
    struct Row { const unsigned short *numbers; };
    if ((size_t)row % 16) fail("a matrix is loaded from where none can begin");
    const unsigned lane = threadIdx.x % 32;
    const Row *rows = gather(transposed ? LOAD_TRANSPOSED : LOAD, Row{(const unsigned short *)row});
    Matrices to;
    for (unsigned matrix = 0; matrix < 4; ++matrix) {
        unsigned numbers[2];
        for (unsigned half = 0; half < 2; ++half) {
            unsigned row = lane / 4, column = lane % 4 * 2 + half;
            if (transposed) std::swap(row, column);
            numbers[half] = rows[8 * matrix + row].numbers[column];
        }
        to.pairs[matrix] = numbers[0] | numbers[1] << 16;
    }
    return to;
}

} // namespace shim

inline Matrices load_matrices(const void *row) { return shim::load(row, false); }
inline Matrices load_transposed(const void *row) { return shim::load(row, true); }

template <typename T> unsigned pair_of(float first, float second, T) {
    T pair[2];
    narrow(first, pair[0]);
    narrow(second, pair[1]);
    return pair[0].bits | (unsigned)pair[1].bits << 16;
}

template <typename T>
void multiply_add(Accumulator &sums, const Fragment &left, unsigned first, unsigned last, T) {
    struct Operands { Fragment left; unsigned right[2]; };
    const Operands *of = shim::gather(shim::MULTIPLY, Operands{left, {first, last}});
    const unsigned lane = threadIdx.x % 32;
    for (unsigned it = 0; it < 4; ++it) {
        unsigned row = lane / 4 + it / 2 * 8, column = lane % 4 * 2 + it % 2;
        for (unsigned k = 0; k < 16; ++k) {
            // Who holds number (row, k) of the left side, and (k, column) of the right one.
            const Operands &of_left = of[row % 8 * 4 + k % 8 / 2], &of_right = of[column * 4 + k % 8 / 2];
            sums.numbers[it] += shim::number<T>(of_left.left.pairs[row / 8 + k / 8 * 2], k % 2) *
                                shim::number<T>(of_right.right[k / 8], k % 2);
        }
    }
}
