// As much of CUDA as our kernels ask for, on a CPU: the threads of a block are fibers that take turns.
//
// A fiber runs until it reaches __syncthreads or ends; when all have, the next turn begins. Blocks
// run one after the other, so their shared memory is a static variable. `order` says which fiber has
// the first turn: where the bits depend on it, a barrier is missing.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(threads)
#define __syncthreads() shim::barrier(__LINE__)

struct Index { unsigned x, y; };
static Index threadIdx, blockIdx, gridDim;

inline unsigned __float_as_uint(float value) { unsigned bits; memcpy(&bits, &value, 4); return bits; }
inline float __uint_as_float(unsigned bits) { float value; memcpy(&value, &bits, 4); return value; }

// The compiler's own half precision, not the GPU's.
inline float half_to_float(unsigned short bits) { _Float16 half; memcpy(&half, &bits, 2); return half; }
inline unsigned short float_to_half(float value) {
    _Float16 half = value;
    unsigned short bits;
    memcpy(&bits, &half, 2);
    return bits;
}

namespace shim {

struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    int line; // of the barrier that it waits at; 0 where it has ended
};

static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static unsigned current;
static std::function<void()> body;

[[noreturn]] inline void fail(const char *what) {
    printf("FAIL: %s\n", what);
    exit(1);
}

inline void barrier(int line) {
    fibers[current].line = line;
    swapcontext(&fibers[current].context, &scheduler);
}

inline void fiber_main() {
    body();
    fibers[current].line = 0;
    swapcontext(&fibers[current].context, &scheduler);
}

inline void run_block(unsigned threads, bool reversed) {
    for (Fiber &fiber : fibers) {
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        makecontext(&fiber.context, fiber_main, 0);
    }
    do {
        for (unsigned turn = 0; turn < threads; ++turn) {
            current = reversed ? threads - 1 - turn : turn;
            threadIdx = {current, 0};
            swapcontext(&scheduler, &fibers[current].context);
        }
        for (Fiber &fiber : fibers)
            if (fiber.line != fibers[0].line) fail("the threads of a block wait at different barriers");
    } while (fibers[0].line);
}

// Runs a kernel, `call`, over a grid of blocks.
inline void launch(Index grid, unsigned threads, bool reversed, std::function<void()> call) {
    fibers.resize(threads);
    for (Fiber &fiber : fibers) fiber.stack.resize(64 << 10);
    body = std::move(call);
    gridDim = grid;
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
        for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) run_block(threads, reversed);
}

} // namespace shim
