// As much of CUDA as our kernels ask for, on a CPU: the threads of a block are fibers that take turns.
//
// A fiber runs until it reaches __syncthreads, an operation of its whole warp, or its end. When a warp is
// at an operation it goes on with what its lanes brought; when all are at a barrier, all go on. Blocks
// run one after the other, so their shared memory is a static variable. `reversed` says which fiber
// has the first turn: where the bits depend on it, a barrier is missing.
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
#define __launch_bounds__(...)
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

// Operations of a whole warp.
enum { SHUFFLE = 1, LOAD, LOAD_TRANSPOSED, MULTIPLY };

struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    int line;     // of the barrier that it waits at; 0 where it has ended
    int warp_wide; // the operation of its warp that it waits at; 0 where it is at none
    std::vector<std::function<void()>> copies; // that it has asked for and not waited for
};

static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static unsigned current;
static std::function<void()> body;

[[noreturn]] inline void fail(const char *what) {
    printf("FAIL: %s\n", what);
    exit(1);
}

inline void wait_at(int line, int warp_wide) {
    fibers[current].line = line;
    fibers[current].warp_wide = warp_wide;
    swapcontext(&fibers[current].context, &scheduler);
}

inline void barrier(int line) { wait_at(line, 0); }

inline void fiber_main() {
    body();
    wait_at(0, 0);
}

// What the 32 lanes of this thread's warp bring to an operation, known to all of them.
template <typename T> const T *gather(int operation, T brought) {
    // Two of each, in turn: a lane that is ahead does not write what another has yet to read.
    static T all[2][1024];
    static bool turn[1024];
    T *here = all[turn[current] ^= 1];
    here[current] = brought;
    wait_at(0, operation);
    return here + current / 32 * 32;
}

inline void run_block(unsigned threads, bool reversed) {
    for (Fiber &fiber : fibers) {
        if (!fiber.copies.empty()) fail("copies are not waited for");
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        makecontext(&fiber.context, fiber_main, 0);
    }
    for (Fiber &fiber : fibers) fiber.warp_wide = -1;
    for (bool at_barrier = true;;) {
        bool some_warp_wide = false;
        for (unsigned turn = 0; turn < threads; ++turn) {
            current = reversed ? threads - 1 - turn : turn;
            if (!at_barrier && !fibers[current].warp_wide) continue;
            threadIdx = {current, 0};
            swapcontext(&scheduler, &fibers[current].context);
            some_warp_wide |= fibers[current].warp_wide != 0;
        }
        for (unsigned it = 0; it < threads; ++it)
            if (fibers[it].warp_wide != fibers[it / 32 * 32].warp_wide)
                fail("the threads of a warp wait at different operations");
        at_barrier = !some_warp_wide;
        if (!at_barrier) continue;
        for (Fiber &fiber : fibers)
            if (fiber.line != fibers[0].line) fail("the threads of a block wait at different barriers");
        if (!fibers[0].line) return;
    }
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

// Declared for tensor_attention.cu; tensor_shim.h defines them with its types.
struct Matrices;
Matrices load_matrices(const void *row);
Matrices load_transposed(const void *row);

// Copied when it is waited for, not before.
inline void copy_async(void *to, const void *from, bool inside) {
    if ((size_t)to % 16 || (size_t)from % 16) shim::fail("a copy of sixteen bytes is not on its boundary");
    shim::fibers[shim::current].copies.push_back(
        [=] { inside ? memcpy(to, from, 16) : memset(to, 0, 16); });
}

inline void wait_for_copies() {
    for (auto &copy : shim::fibers[shim::current].copies) copy();
    shim::fibers[shim::current].copies.clear();
}

inline float shuffle_xor(float value, unsigned lanes) {
    return shim::gather(shim::SHUFFLE, value)[threadIdx.x % 32 ^ lanes];
}
