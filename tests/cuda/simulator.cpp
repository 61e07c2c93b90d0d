// A GPU that is none: as much of CUDA's libraries as the program calls, on a CPU. See simulate.
//
// Owns what a GPU's driver would do with the program's calls: memory, streams, events, launches. Work
// that is asked for is done as late as the rules of CUDA allow, when somebody waits for it, so that a
// wait that is missing shows. New memory and freed memory hold NaN, and memory has NaN around it.
// Leaves the kernels to shim.h, which runs those of src/ops/cuda as they are; cuBLAS's product is a
// naive one. What it cannot find: anything that only a real driver, compiler or GPU does.
//
// What it simulates is said by the environment:
//     SIMULATED_GPUS        how many there are (1)
//     SIMULATED_CAPABILITY  their compute capability (9.0)
//     SIMULATED_MEMORY      bytes of memory (16 GB)
//     SIMULATED_LAUNCHES    after how many the GPU does nothing but fail (never)
//     SIMULATED_LOG         a file that every call is written to

#include "all_kernels.h"

#include <unistd.h>

#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <tuple>

namespace {

using Work = std::function<void()>;
using std::string;

enum Result { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, NOT_FOUND = 500, LAUNCH_FAILED = 719 };

string setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value ? value : otherwise;
}

void log(const string &line) {
    static FILE *file = fopen(setting("SIMULATED_LOG", "/dev/null").c_str(), "a");
    fprintf(file, "%s\n", line.c_str());
    fflush(file);
}

[[noreturn]] void fail(const string &what) {
    fprintf(stderr, "simulator: %s\n", what.c_str());
    _exit(70);
}

// Whether a kernel has failed: then so does whatever is asked of the GPU.
bool broken = false;

// The GPU that the calls of a thread are for.
thread_local void *current_context = nullptr;

// One call at a time, of a thread that has said for which GPU.
std::recursive_mutex mutex;
#define ALONE                                                                                      \
    std::lock_guard<std::recursive_mutex> alone(mutex);                                            \
    if (!current_context) fail("a call from a thread without a context")

// Work in order, begun when it is waited for.
struct Stream {
    std::deque<Work> waiting;
    size_t asked = 0, done = 0;

    void ask(Work work) {
        waiting.push_back(std::move(work));
        ++asked;
    }
    void run(size_t until) {
        while (done < until) {
            Work work = std::move(waiting.front());
            waiting.pop_front();
            work();
            ++done;
        }
    }
};

// What had been asked of a stream when it was recorded.
struct Event {
    Stream *stream = nullptr;
    size_t asked = 0;

    void wait() const {
        if (stream) stream->run(asked);
    }
};

// Memory of the GPU, with NaN before and after it.
struct Memory {
    static constexpr size_t MARGIN = 4096;
    char *all;
    size_t size;

    explicit Memory(size_t size) : size(size) {
        all = static_cast<char *>(aligned_alloc(256, (size + 2 * MARGIN + 255) / 256 * 256));
        memset(all, 0xff, size + 2 * MARGIN);
    }
    char *begin() const { return all + MARGIN; }
    void check() const {
        for (size_t it = 0; it < MARGIN; ++it)
            if (all[it] != '\xff' || all[MARGIN + size + it] != '\xff') fail("something was written outside of a tensor");
    }
};

std::map<char *, Memory> memories;
size_t used = 0;
std::map<char *, size_t> pinned;
// Copies to the host that are yet to be made: from where, by whom.
std::multimap<const char *, const Stream *> downloads;

// Whether `size` bytes from `place` are one memory's.
char *of_gpu(unsigned long long place, size_t size) {
    char *begin = reinterpret_cast<char *>(place);
    auto next = memories.upper_bound(begin);
    if (next == memories.begin()) fail("no memory is there");
    const Memory &memory = std::prev(next)->second;
    if (begin + size > memory.begin() + memory.size) fail("a copy goes beyond its memory");
    return begin;
}

bool is_pinned(const void *place) {
    auto next = pinned.upper_bound((char *)place);
    return next != pinned.begin() && (char *)place < std::prev(next)->first + std::prev(next)->second;
}

int allocate(unsigned long long *to, size_t size) {
    if (used + size > std::stoull(setting("SIMULATED_MEMORY", "16000000000"))) {
        log("out of memory: " + std::to_string(size));
        return OUT_OF_MEMORY;
    }
    used += size;
    Memory memory(size);
    *to = reinterpret_cast<unsigned long long>(memory.begin());
    memories.emplace(memory.begin(), memory);
    return SUCCESS;
}

// Room as soon as it is asked for, as the pool of a stream has it; gone when the stream gets there.
Work release(unsigned long long place, const Stream *stream) {
    auto found = memories.find(reinterpret_cast<char *>(place));
    if (found == memories.end()) fail("memory is freed that is none");
    const Memory &memory = found->second;
    used -= memory.size;
    // The order of two streams is not known: the room may have another's numbers before the copy.
    for (const auto &[from, by] : downloads)
        if (by != stream && from >= memory.begin() && from < memory.begin() + memory.size)
            fail("memory is freed that another stream has yet to copy");
    return [found] {
        found->second.check();
        memset(found->second.all, 0xff, found->second.size + 2 * Memory::MARGIN);
        free(found->second.all);
        memories.erase(found);
    };
}

// A launch with the arguments that it was given.
using Kernel = std::function<Work(Index grid, void **arguments)>;

template <typename... P, size_t... AT>
std::tuple<P...> values_of(void **arguments, std::index_sequence<AT...>) {
    return {*static_cast<P *>(arguments[AT])...};
}

template <typename... P> Kernel kernel_of(void (*kernel)(P...)) {
    return [kernel](Index grid, void **arguments) -> Work {
        // Read now: they are the caller's.
        auto values = values_of<P...>(arguments, std::index_sequence_for<P...>());
        return [=] { shim::launch(grid, THREADS, false, [=] { std::apply(kernel, values); }); };
    };
}

#define NAMED(OPERATION, T, VARIANT)                                                               \
    {#OPERATION "_" #T "_" #VARIANT, kernel_of(OPERATION##_##T##_##VARIANT)},

const std::map<string, Kernel> kernels = {ALL_KERNELS(NAMED)};

// What NVRTC makes: which kernel was asked for by the source's last line.
const string PTX = "simulated ";

struct Program { string source; };

struct Function { string name; };

// cuBLAS's numbers of types.
enum { R_32F = 0, R_16F = 2, R_16BF = 14, COMPUTE_32F = 68 };

float load(const void *from, int type, size_t place) {
    switch (type) {
    case R_32F: return static_cast<const float *>(from)[place];
    case R_16F: return widen(static_cast<const f16 *>(from)[place]);
    case R_16BF: return widen(static_cast<const bf16 *>(from)[place]);
    }
    fail("a product of a type that is not simulated");
}

void store(void *to, int type, size_t place, float value) {
    switch (type) {
    case R_32F: return narrow(value, static_cast<float *>(to)[place]);
    case R_16F: return narrow(value, static_cast<f16 *>(to)[place]);
    case R_16BF: return narrow(value, static_cast<bf16 *>(to)[place]);
    }
}

// As f32, column after column of op(matrix).
std::vector<float> columns(const void *matrix, int type, int leading, bool transposed, int rows, int count) {
    std::vector<float> all;
    for (int column = 0; column < count; ++column)
        for (int row = 0; row < rows; ++row)
            all.push_back(load(matrix, type, transposed ? (size_t)row * leading + column : (size_t)column * leading + row));
    return all;
}

} // namespace

extern "C" {

int cuInit(unsigned) { return setting("SIMULATED_GPUS", "1") == "0" ? NO_DEVICE : SUCCESS; }

int cuDeviceGetCount(int *count) {
    *count = std::stoi(setting("SIMULATED_GPUS", "1"));
    return SUCCESS;
}

int cuDeviceGet(int *device, int ordinal) {
    int count;
    cuDeviceGetCount(&count);
    *device = ordinal;
    return ordinal < count ? SUCCESS : INVALID_DEVICE;
}

int cuDeviceGetAttribute(int *value, int attribute, int) {
    string capability = setting("SIMULATED_CAPABILITY", "9.0");
    switch (attribute) {
    case 75: *value = capability[0] - '0'; return SUCCESS;
    case 76: *value = capability[2] - '0'; return SUCCESS;
    case 115: *value = 1; return SUCCESS; // memory pools
    }
    return INVALID_VALUE;
}

int cuDeviceGetName(char *name, int size, int) {
    snprintf(name, size, "simulated");
    return SUCCESS;
}

int cuDevicePrimaryCtxRetain(void **context, int) {
    *context = &mutex;
    return SUCCESS;
}

int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }

int cuCtxSetCurrent(void *context) {
    current_context = context;
    return SUCCESS;
}

int cuCtxGetCurrent(void **context) {
    *context = current_context;
    return SUCCESS;
}

int cuCtxSynchronize() {
    log("synchronize");
    return SUCCESS;
}

int cuDeviceGetDefaultMemPool(void **pool, int) {
    *pool = &used;
    return SUCCESS;
}

int cuMemPoolSetAttribute(void *, int attribute, void *value) {
    // CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
    return attribute == 4 && *static_cast<unsigned long long *>(value) == ~0ull ? SUCCESS : INVALID_VALUE;
}

int cuStreamCreate(Stream **stream, unsigned) {
    *stream = new Stream;
    return SUCCESS;
}

int cuStreamDestroy_v2(Stream *) { return SUCCESS; }

int cuStreamSynchronize(Stream *stream) {
    ALONE;
    log("synchronize");
    stream->run(stream->asked);
    return SUCCESS;
}

int cuEventCreate(Event **event, unsigned) {
    *event = new Event;
    return SUCCESS;
}

int cuEventDestroy_v2(Event *event) {
    delete event;
    return SUCCESS;
}

int cuEventRecord(Event *event, Stream *stream) {
    ALONE;
    *event = {stream, stream->asked};
    return SUCCESS;
}

int cuEventSynchronize(Event *event) {
    ALONE;
    // One that was never recorded has nothing to wait for.
    if (event->stream) log("wait");
    event->wait();
    return broken ? LAUNCH_FAILED : SUCCESS;
}

int cuStreamWaitEvent(Stream *stream, Event *event, unsigned) {
    ALONE;
    stream->ask([as_it_is = *event] { as_it_is.wait(); });
    return SUCCESS;
}

int cuMemAllocAsync(unsigned long long *to, size_t size, Stream *) {
    ALONE;
    return broken ? LAUNCH_FAILED : allocate(to, size);
}

int cuMemAlloc_v2(unsigned long long *to, size_t size) {
    ALONE;
    return allocate(to, size);
}

int cuMemFreeAsync(unsigned long long place, Stream *stream) {
    ALONE;
    stream->ask(release(place, stream));
    return SUCCESS;
}

int cuMemFree_v2(unsigned long long place) {
    ALONE;
    release(place, nullptr)();
    return SUCCESS;
}

int cuMemHostAlloc(void **to, size_t size, unsigned) {
    ALONE;
    *to = aligned_alloc(256, (size + 255) / 256 * 256);
    memset(*to, 0xff, size);
    pinned.emplace(static_cast<char *>(*to), size);
    return SUCCESS;
}

int cuMemFreeHost(void *place) {
    ALONE;
    pinned.erase(static_cast<char *>(place));
    free(place);
    return SUCCESS;
}

int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t size, Stream *stream) {
    ALONE;
    log("upload " + std::to_string(size));
    char *place = of_gpu(to, size);
    if (is_pinned(from)) {
        stream->ask([=] { memcpy(place, from, size); });
    } else {
        const char *bytes = static_cast<const char *>(from);
        stream->ask([=, copy = std::vector<char>(bytes, bytes + size)] { memcpy(place, copy.data(), size); });
    }
    return SUCCESS;
}

int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t size, Stream *stream) {
    ALONE;
    log("download " + std::to_string(size) + (is_pinned(to) ? "" : " waits"));
    const char *place = of_gpu(from, size);
    auto copy = downloads.emplace(place, stream);
    stream->ask([=] {
        memcpy(to, place, size);
        downloads.erase(copy);
    });
    if (!is_pinned(to)) stream->run(stream->asked);
    return SUCCESS;
}

int cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from, size_t size, Stream *stream) {
    ALONE;
    char *place = of_gpu(to, size), *other = of_gpu(from, size);
    stream->ask([=] { memcpy(place, other, size); });
    return SUCCESS;
}

int cuModuleLoadData(Function **module, const void *image) {
    string ptx = static_cast<const char *>(image);
    if (ptx.rfind(PTX, 0)) fail("a module is loaded that is not ours");
    *module = new Function{ptx.substr(PTX.size())};
    return SUCCESS;
}

int cuModuleUnload(Function *) { return SUCCESS; }

int cuModuleGetFunction(Function **function, Function *module, const char *name) {
    *function = module;
    return module->name == name && kernels.count(name) ? SUCCESS : NOT_FOUND;
}

int cuLaunchKernel(Function *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned y_threads,
                   unsigned z_threads, unsigned, Stream *stream, void **arguments, void **) {
    ALONE;
    if (threads != THREADS || z * y_threads * z_threads != 1) fail("blocks that the kernels are not made for");
    // A grid's limits.
    if (!x || !y || x > 0x7fffffff || y > 0xffff) return INVALID_VALUE;
    static long left = std::stol(setting("SIMULATED_LAUNCHES", "1000000000"));
    if (--left < 0) broken = true;
    if (broken) return LAUNCH_FAILED;
    log("launch " + function->name);
    stream->ask(kernels.at(function->name)({x, y}, arguments));
    return SUCCESS;
}

int cuGetErrorName(int error, const char **name) {
    *name = "CUDA_ERROR_SIMULATED";
    return SUCCESS;
}

int cuGetErrorString(int error, const char **text) {
    *text = error == OUT_OF_MEMORY ? "out of memory" : "unspecified launch failure";
    return SUCCESS;
}

int nvrtcCreateProgram(Program **program, const char *source, const char *, int, const char **, const char **) {
    *program = new Program{source};
    return SUCCESS;
}

int nvrtcCompileProgram(Program *, int, const char *const *) { return SUCCESS; }

static string ptx_of(Program *program) {
    const string &source = program->source;
    size_t line = source.rfind("\nKERNEL_") + 8, open = source.find('(', line);
    size_t comma = source.find(", ", open), close = source.find(')', comma);
    return PTX + source.substr(line, open - line) + "_" + source.substr(open + 1, comma - open - 1) + "_" +
           source.substr(comma + 2, close - comma - 2);
}

int nvrtcGetPTXSize(Program *program, size_t *size) {
    *size = ptx_of(program).size() + 1;
    return SUCCESS;
}

int nvrtcGetPTX(Program *program, char *to) {
    strcpy(to, ptx_of(program).c_str());
    return SUCCESS;
}

int nvrtcDestroyProgram(Program **program) {
    delete *program;
    return SUCCESS;
}

int cublasCreate_v2(Stream ***handle) {
    *handle = new Stream *;
    return SUCCESS;
}

int cublasDestroy_v2(Stream **) { return SUCCESS; }

int cublasSetStream_v2(Stream **handle, Stream *stream) {
    *handle = stream;
    return SUCCESS;
}

int cublasGemmStridedBatchedEx(Stream **handle, int transpose_a, int transpose_b, int m, int n, int k, const void *alpha,
                               const void *a, int a_type, int lda, long long, const void *b, int b_type, int ldb, long long,
                               const void *beta, void *c, int c_type, int ldc, long long, int batch, int compute, int) {
    ALONE;
    // TF32 has another number.
    if (compute != COMPUTE_32F) fail("a product that is not summed in f32");
    if (batch != 1 || *static_cast<const float *>(alpha) != 1 || *static_cast<const float *>(beta) != 0)
        fail("a product that is not simulated");
    log("product " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k));
    (*handle)->ask([=] {
        std::vector<float> left = columns(a, a_type, lda, !transpose_a, k, m);
        std::vector<float> right = columns(b, b_type, ldb, transpose_b, k, n);
        for (int column = 0; column < n; ++column)
            for (int row = 0; row < m; ++row) {
                double sum = 0;
                for (int it = 0; it < k; ++it)
                    sum += (double)left[(size_t)row * k + it] * right[(size_t)column * k + it];
                store(c, c_type, (size_t)column * ldc + row, (float)sum);
            }
    });
    return SUCCESS;
}

int curandCreateGenerator(void **generator, int) {
    *generator = &used;
    return SUCCESS;
}

int curandSetPseudoRandomGeneratorSeed(void *, unsigned long long) { return SUCCESS; }
int curandSetStream(void *, Stream *) { return SUCCESS; }
int curandDestroyGenerator(void *) { return SUCCESS; }

} // extern "C"
