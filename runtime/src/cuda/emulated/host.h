// CUDA's language on the CPU, as far as the kernels use it: what ../kernels/*.cu are compiled with to be tested without a GPU.
//
// A launch runs its blocks one after another, the blocks and the threads of each in an order shuffled by a seed. By default a CUDA
// thread is a fiber; with RESNETC_THREADS it is a thread of the system, and ThreadSanitizer sees exactly the order that CUDA promises:
// that of __syncthreads. Found are: barriers that not all threads of a block reach, or reach at different places; vectors that are not
// aligned; launches beyond a GPU's limits; shared memory that is read before it is written (it begins as NaNs).
//
// Not found, for it is not here: independent scheduling within a warp, the memory model between blocks, speed. No kernel uses warp
// shuffles or atomics, so neither is here.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>
#ifdef RESNETC_THREADS
#include <barrier>
#include <mutex>
#include <thread>
#else
#include <ucontext.h>
#endif

#define __device__
#define __forceinline__ inline
#define INFINITY_F HUGE_VALF

struct Dim3 {
    unsigned x, y, z;
};

// Hidden: the loader would have all libraries of kernels share one table and one set of fibers otherwise.
namespace __attribute__((visibility("hidden"))) emulated {

// ---- Half precisions: to nearest, ties to even; a NaN stays one.

inline uint32_t bits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}
inline float from_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}
inline uint16_t narrow_bf16(float f) {
    const uint32_t u = bits(f);
    if (f != f) return 0x7fff;
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}
inline uint16_t narrow_f16(float f) {
    const uint32_t u = bits(f), sign = u >> 16 & 0x8000u, magnitude = u & 0x7fffffffu;
    if (f != f) return 0x7fff;
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);  // 65520 and more round to infinity.
    if (magnitude >= 0x38800000u) {                                   // From 2^-14 on: ten bits of the fraction stay.
        const uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
        return (uint16_t)(sign | (rounded - 0x38000000u) >> 13);
    }
    // Below it a multiple of 2^-24, which the sum with 0.5 rounds to.
    return (uint16_t)(sign | (bits(from_bits(magnitude) + 0.5f) - 0x3f000000u));
}
inline float widen(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, fraction = h & 0x3ffu;
    if (exponent == 31) return from_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * (float)fraction * 5.9604645e-8f;
    return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

inline void fail(const std::string& why) { throw std::runtime_error(why); }

// ---- A block at work.

struct Site {
    const char* file;
    int line;
    bool operator==(const Site& other) const { return line == other.line && !strcmp(file, other.file); }
    std::string text() const { return std::string(file) + ":" + std::to_string(line); }
};

inline Dim3 block_size, grid_size;

#ifdef RESNETC_THREADS

inline thread_local Dim3 thread_index, block_index;
inline std::vector<char> shared_memory;
inline std::unique_ptr<std::barrier<>> barrier;
inline std::mutex failures;
inline std::string failure;

inline void wait(Site) { barrier->arrive_and_wait(); }

// Each thread of the system goes through all blocks; a barrier on either side of a block keeps them apart.
inline void run(const std::vector<unsigned>& blocks, unsigned threads, std::mt19937_64&, const std::function<void()>& body) {
    std::vector<std::thread> running;
    std::barrier<> between(threads);
    barrier = std::make_unique<std::barrier<>>(threads);
    for (unsigned t = 0; t < threads; t++)
        running.emplace_back([&, t] {
            thread_index = {t % block_size.x, t / block_size.x % block_size.y, t / (block_size.x * block_size.y)};
            for (const unsigned b : blocks) {
                block_index = {b % grid_size.x, b / grid_size.x % grid_size.y, b / (grid_size.x * grid_size.y)};
                if (t == 0) std::fill(shared_memory.begin(), shared_memory.end(), (char)0xff);
                between.arrive_and_wait();
                body();
                between.arrive_and_wait();
            }
        });
    for (auto& thread : running) thread.join();
}

#else

inline Dim3 thread_index, block_index;
inline std::vector<char> shared_memory;

// A fiber runs threads of the block one after another until one of them waits: kernels without barriers need one fiber.
struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    Dim3 thread;
    Site site;
    bool waits = false;
};
constexpr size_t STACK = 128 * 1024;
inline std::vector<std::unique_ptr<Fiber>> idle, waiting;
inline ucontext_t scheduler;
inline Fiber* current;
inline std::vector<unsigned> order;
inline size_t begun, ended;
inline const std::function<void()>* kernel;
inline std::string failure;

inline void wait(Site site) {
    current->waits = true;
    current->site = site;
    current->thread = thread_index;
    Fiber* fiber = current;
    swapcontext(&fiber->context, &scheduler);
    thread_index = fiber->thread;
}

inline void work() {
    for (;;) {
        while (begun < order.size() && failure.empty()) {
            const unsigned t = order[begun++];
            thread_index = {t % block_size.x, t / block_size.x % block_size.y, t / (block_size.x * block_size.y)};
            try {
                (*kernel)();
            } catch (const std::exception& error) {
                failure = error.what();
            }
            ended++;
        }
        current->waits = false;
        Fiber* fiber = current;
        swapcontext(&fiber->context, &scheduler);
    }
}

inline void resume(std::unique_ptr<Fiber> fiber) {
    current = fiber.get();
    swapcontext(&scheduler, &current->context);
    (fiber->waits ? waiting : idle).push_back(std::move(fiber));
}

inline std::unique_ptr<Fiber> fiber() {
    if (!idle.empty()) {
        auto last = std::move(idle.back());
        idle.pop_back();
        return last;
    }
    auto fresh = std::make_unique<Fiber>();
    fresh->stack.reset(new char[STACK]);
    getcontext(&fresh->context);
    fresh->context.uc_stack.ss_sp = fresh->stack.get();
    fresh->context.uc_stack.ss_size = STACK;
    fresh->context.uc_link = nullptr;
    makecontext(&fresh->context, work, 0);
    return fresh;
}

// Lets all threads of a block run up to their next barrier, in a new order each time, until none is left.
inline void run_block(std::mt19937_64& random) {
    begun = ended = 0;
    std::shuffle(order.begin(), order.end(), random);
    while (begun < order.size() && failure.empty()) resume(fiber());
    while (!waiting.empty() && failure.empty()) {
        const Site site = waiting[0]->site;
        for (const auto& fiber : waiting)
            if (!(fiber->site == site)) failure = "threads of a block wait at " + site.text() + " and at " + fiber->site.text();
        if (ended) failure = std::to_string(ended) + " threads of a block have ended, others wait at " + site.text();
        if (!failure.empty()) break;
        std::vector<std::unique_ptr<Fiber>> released;
        released.swap(waiting);
        std::shuffle(released.begin(), released.end(), random);
        for (auto& fiber : released) {
            fiber->waits = false;
            resume(std::move(fiber));
        }
    }
    // Fibers of a block that failed are in the middle of a kernel: they are not run again.
    waiting.clear();
}

inline void run(const std::vector<unsigned>& blocks, unsigned threads, std::mt19937_64& random, const std::function<void()>& body) {
    order.resize(threads);
    for (unsigned t = 0; t < threads; t++) order[t] = t;
    kernel = &body;
    for (const unsigned b : blocks) {
        block_index = {b % grid_size.x, b / grid_size.x % grid_size.y, b / (grid_size.x * grid_size.y)};
        std::fill(shared_memory.begin(), shared_memory.end(), (char)0xff);
        run_block(random);
        if (!failure.empty()) return;
    }
}

#endif

// The memory's reference for vectors: an assertion that a GPU makes by a fault.
inline void check_aligned(const void* p, size_t size, Site site) {
    if ((uintptr_t)p % size == 0) return;
#ifdef RESNETC_THREADS
    const std::lock_guard<std::mutex> guard(failures);
    failure = site.text() + ": an address is no multiple of " + std::to_string(size);
#else
    fail(site.text() + ": an address is no multiple of " + std::to_string(size));
#endif
}

// ---- The table of entries.

template <class T> struct Kind;
template <class T> struct Kind<T*> {
    static constexpr char letter = 'p';
};
template <> struct Kind<unsigned> {
    static constexpr char letter = 'i';
};
template <> struct Kind<int> {
    static constexpr char letter = 'i';
};
template <> struct Kind<float> {
    static constexpr char letter = 'f';
};
template <> struct Kind<unsigned long long> {
    static constexpr char letter = 'l';
};

// Arguments lie in slots of eight bytes, each at its slot's beginning, as cuLaunchKernel's pointers would find them.
template <class T> T argument(const uint64_t* slot) {
    T value;
    memcpy(&value, slot, sizeof value);
    return value;
}

struct Entry {
    std::string signature;
    std::function<void(const uint64_t*)> call;
};
inline std::map<std::string, Entry>& entries() {
    static std::map<std::string, Entry> all;
    return all;
}

template <class... A, size_t... I> void invoke(void (*f)(A...), const uint64_t* slots, std::index_sequence<I...>) {
    f(argument<A>(slots + I)...);
}

struct Registration {
    template <class... A> Registration(const char* name, void (*f)(A...)) {
        const std::string signature = {Kind<A>::letter...};
        entries()[name] = Entry{signature, [f](const uint64_t* slots) { invoke(f, slots, std::index_sequence_for<A...>()); }};
    }
};

// Nothing on success, else what is wrong.
inline std::string launch(const Entry& entry, Dim3 grid, Dim3 block, unsigned shared, const uint64_t* slots, uint64_t seed) {
    const uint64_t threads = (uint64_t)block.x * block.y * block.z, blocks = (uint64_t)grid.x * grid.y * grid.z;
    if (threads == 0 || threads > 256 || block.z > 64) return "a block of " + std::to_string(threads) + " threads, 1 to 256 are allowed";
    if (blocks == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) return "a grid beyond a GPU's limits";
    if (shared > 48 * 1024) return std::to_string(shared) + " bytes of shared memory, 48 KiB are allowed";
    std::mt19937_64 random(seed);
    std::vector<unsigned> order(blocks);
    for (size_t b = 0; b < blocks; b++) order[b] = (unsigned)b;
    std::shuffle(order.begin(), order.end(), random);
    block_size = block;
    grid_size = grid;
    shared_memory.assign(shared, (char)0xff);
    failure.clear();
    run(order, (unsigned)threads, random, [&] { entry.call(slots); });
    return failure;
}

}  // namespace emulated

inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline float __uint_as_float(unsigned u) { return emulated::from_bits(u); }

#define threadIdx emulated::thread_index
#define blockIdx emulated::block_index
#define blockDim emulated::block_size
#define gridDim emulated::grid_size
#define __syncthreads() emulated::wait({__FILE__, __LINE__})
#define SHARED(T, name) T* name = reinterpret_cast<T*>(emulated::shared_memory.data())
#define ALIGNED(p, size) emulated::check_aligned(p, size, {__FILE__, __LINE__})
#define ENTRY(name, params)                                                                                                       \
    extern "C" void name params;                                                                                                  \
    static const emulated::Registration register_##name(#name, &name);                                                            \
    extern "C" void name params
