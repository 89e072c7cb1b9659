// What all kernels share: element types, vectors of 16 bytes, activations, reductions. Nothing of CUDA's headers is included, so
// that nvcc, NVRTC and the host's compiler (../emulated/host.h) read the same source.
//
// A feature map is a matrix [rows, channels], rows being the pixels of all images. Between two rows lie `pitch` elements: more than
// there are channels where the map is a slice of a wider one. An entry's name ends in the type of its maps and in the channels that a
// thread takes at once: `bn_apply_bf16x8` moves 16 bytes, `bn_apply_bf16x1` takes whatever is not aligned to that.
#pragma once

#ifdef RESNETC_HOST
#include "../emulated/host.h"
#else
// Two blocks a multiprocessor at least: without that number ptxas spills registers, to fit more blocks than are asked for.
#define ENTRY(name, params) extern "C" __global__ void __launch_bounds__(256, 2) name params
#define SHARED(T, name) extern __shared__ __align__(16) T name[]
#define ALIGNED(p, size) ((void)0)
#define INFINITY_F __int_as_float(0x7f800000)
#endif

#define INLINE __device__ __forceinline__

// An entry for every type of maps, with vectors and without.
#define MAPS(name, params, args)                                                                                                 \
    ENTRY(name##_f32x1, params) { name<float, 1> args; }                                                                         \
    ENTRY(name##_f32x4, params) { name<float, 4> args; }                                                                         \
    ENTRY(name##_bf16x1, params) { name<bf16, 1> args; }                                                                         \
    ENTRY(name##_bf16x8, params) { name<bf16, 8> args; }                                                                         \
    ENTRY(name##_f16x1, params) { name<f16, 1> args; }                                                                           \
    ENTRY(name##_f16x8, params) { name<f16, 8> args; }


// The same for kernels that take a channel at a time.
#define CHANNELS(name, params, args)                                                                                             \
    ENTRY(name##_f32x1, params) { name<float> args; }                                                                            \
    ENTRY(name##_bf16x1, params) { name<bf16> args; }                                                                            \
    ENTRY(name##_f16x1, params) { name<f16> args; }

typedef unsigned long long u64;

// Half precisions as their bits. The host rounds by integers what the device rounds by an instruction: to nearest, ties to even.
struct bf16 {
    unsigned short bits;
};
struct f16 {
    unsigned short bits;
};

INLINE float wide(float x) { return x; }
INLINE float wide(bf16 x) { return __uint_as_float((unsigned)x.bits << 16); }
INLINE float wide(f16 x) {
#ifdef __CUDA_ARCH__
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(x.bits));
    return f;
#else
    return emulated::widen(x.bits);
#endif
}

template <class T> INLINE T narrow(float x);
template <> INLINE float narrow<float>(float x) { return x; }
template <> INLINE bf16 narrow<bf16>(float x) {
    bf16 result;
#ifdef __CUDA_ARCH__
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(x));
#else
    result.bits = emulated::narrow_bf16(x);
#endif
    return result;
}
template <> INLINE f16 narrow<f16>(float x) {
    f16 result;
#ifdef __CUDA_ARCH__
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(x));
#else
    result.bits = emulated::narrow_f16(x);
#endif
    return result;
}

template <class T, int V> struct alignas(sizeof(T) * V) Pack {
    T at[V];
};

// V neighbouring elements as floats; p is a multiple of their size.
template <int V, class T> INLINE void load(const T* p, float* out) {
    ALIGNED(p, sizeof(Pack<T, V>));
    const Pack<T, V> pack = *reinterpret_cast<const Pack<T, V>*>(p);
#pragma unroll
    for (int i = 0; i < V; i++) out[i] = wide(pack.at[i]);
}

template <int V, class T> INLINE void store(T* p, const float* in) {
    ALIGNED(p, sizeof(Pack<T, V>));
    Pack<T, V> pack;
#pragma unroll
    for (int i = 0; i < V; i++) pack.at[i] = narrow<T>(in[i]);
    *reinterpret_cast<Pack<T, V>*>(p) = pack;
}

// V neighbouring floats, of a vector with an element per channel: 16 bytes at a time where they are that many.
template <int V> INLINE void load_floats(const float* p, float* out) {
    if (V == 1) {
        out[0] = p[0];
    } else {
#pragma unroll
        for (int i = 0; i < V; i += 4) load<4>(p + i, out + i);
    }
}

template <int V> INLINE void store_floats(float* p, const float* in) {
    if (V == 1) {
        p[0] = in[0];
    } else {
#pragma unroll
        for (int i = 0; i < V; i += 4) store<4>(p + i, in + i);
    }
}

// Where a thread begins, and how far apart its elements are, in loops over a grid of one dimension.
INLINE unsigned first() { return blockIdx.x * blockDim.x + threadIdx.x; }
INLINE unsigned stride() { return gridDim.x * blockDim.x; }

INLINE float larger(float a, float b) { return a > b ? a : b; }

// Activations by the numbers of `lower/activation.rs`; formulas are those of compiler/src/ir/activation.rs.
enum Activation {
    IDENTITY = 0,
    RELU = 1,
    LEAKY_RELU = 2,
    SIGMOID = 3,
    TANH = 4,
    SILU = 5,
    GELU = 6,
    RELU6 = 7,
    HARD_SIGMOID = 8,
    HARD_SWISH = 9,
    MISH = 10,
};

INLINE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// tanh(log(1 + exp(x))) = n / (n + 2) with n = e^2 + 2 e, e = exp(x); from 20 on it is 1 in f32.
INLINE float tanh_softplus(float x) {
    if (x > 20.0f) return 1.0f;
    const float e = expf(x), n = e * (e + 2.0f);
    return n / (n + 2.0f);
}

INLINE float activate(int act, float slope, float x) {
    switch (act) {
    case RELU: return x <= 0.0f ? 0.0f : x;
    case LEAKY_RELU: return x > 0.0f ? x : slope * x;
    case SIGMOID: return sigmoid(x);
    case TANH: return tanhf(x);
    case SILU: return x * sigmoid(x);
    case GELU: return 0.5f * x * erfcf(-0.70710678f * x);
    case RELU6: return x < 0.0f ? 0.0f : x > 6.0f ? 6.0f : x;
    case HARD_SIGMOID: return x <= -3.0f ? 0.0f : x >= 3.0f ? 1.0f : (x + 3.0f) / 6.0f;
    case HARD_SWISH: return x <= -3.0f ? 0.0f : x >= 3.0f ? x : x * (x + 3.0f) / 6.0f;
    case MISH: return x * tanh_softplus(x);
    default: return x;
    }
}

// The derivative, from the result or the input as the activation has it.
INLINE float derivative(int act, float slope, float s) {
    switch (act) {
    case RELU: return s > 0.0f ? 1.0f : 0.0f;
    case LEAKY_RELU: return s > 0.0f ? 1.0f : slope;
    case SIGMOID: return s * (1.0f - s);
    case TANH: return (1.0f - s) * (1.0f + s);
    case SILU: {
        const float p = sigmoid(s);
        return p * (1.0f + s * (1.0f - p));
    }
    case GELU: return 0.5f * erfcf(-0.70710678f * s) + s * expf(-0.5f * s * s) * 0.39894228f;
    case RELU6: return s > 0.0f && s < 6.0f ? 1.0f : 0.0f;
    case HARD_SIGMOID: return s > 0.0f && s < 1.0f ? 1.0f / 6.0f : 0.0f;
    case HARD_SWISH: return s <= -3.0f ? 0.0f : s >= 3.0f ? 1.0f : (2.0f * s + 3.0f) / 6.0f;
    case MISH: {
        const float t = tanh_softplus(s);
        return t + s * (1.0f - t * t) * sigmoid(s);
    }
    default: return 1.0f;
    }
}

// The sum of a value over the block, in a fixed order; all threads get it. The block has a power of two of threads in x alone,
// `part` a float for each.
INLINE float block_sum(float value, float* part) {
    part[threadIdx.x] = value;
    for (unsigned half = blockDim.x / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
    }
    __syncthreads();
    const float sum = part[0];
    __syncthreads();
    return sum;
}

// Adds up N values per channel over the rows of a block; the result is in the threads of threadIdx.y == 0.
// shared: [blockDim.y][blockDim.x][N]
template <int N> INLINE void sum_rows(float* values, float* shared) {
    float* mine = shared + (threadIdx.y * blockDim.x + threadIdx.x) * N;
    for (int k = 0; k < N; k++) mine[k] = values[k];
    for (unsigned half = blockDim.y / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half)
            for (int k = 0; k < N; k++) mine[k] += mine[half * blockDim.x * N + k];
    }
    for (int k = 0; k < N; k++) values[k] = mine[k];
}
