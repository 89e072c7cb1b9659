// Mean and maximum over whole images, [images, pixels, channels] -> [images, channels], and their gradients. A block has all pixels
// of an image (blockIdx.x) and blockDim.x packs of channels.
#include "prelude.cuh"

// shared: [blockDim.y][blockDim.x][V]
template <class T, int V> INLINE void global_avg_pool(const void* x, float* y, unsigned pixels, unsigned groups) {
    SHARED(float, shared);
    const unsigned image = blockIdx.x, pack = blockIdx.y * blockDim.x + threadIdx.x;
    float s[V], v[V];
    for (int k = 0; k < V; k++) s[k] = 0.0f;
    if (pack < groups)
        for (unsigned pixel = threadIdx.y; pixel < pixels; pixel += blockDim.y) {
            load<V>((const T*)x + ((u64)(image * pixels + pixel) * groups + pack) * V, v);
            for (int k = 0; k < V; k++) s[k] += v[k];
        }
    sum_rows<V>(s, shared);
    if (threadIdx.y == 0 && pack < groups) {
        for (int k = 0; k < V; k++) s[k] /= (float)pixels;
        store_floats<V>(y + (u64)(image * groups + pack) * V, s);
    }
}
MAPS(global_avg_pool, (const void* x, float* y, unsigned pixels, unsigned groups), (x, y, pixels, groups))

template <class T, int V>
INLINE void global_avg_pool_backward(const float* dy, void* dx, unsigned images, unsigned pixels, unsigned groups) {
    const unsigned per_image = pixels * groups;
    for (unsigned i = first(); i < images * per_image; i += stride()) {
        float v[V];
        load_floats<V>(dy + (u64)(i / per_image * groups + i % groups) * V, v);
        for (int k = 0; k < V; k++) v[k] /= (float)pixels;
        store<V>((T*)dx + (u64)i * V, v);
    }
}
MAPS(global_avg_pool_backward, (const float* dy, void* dx, unsigned images, unsigned pixels, unsigned groups),
     (dy, dx, images, pixels, groups))

// Of equal maxima the first counts; a NaN is larger than all, the last of several being taken. A maximum's key orders by that: NaNs by
// their pixel, all else by value and then by the pixel, the lower one first.
struct Maximum {
    float value;
    unsigned pixel;
};
INLINE bool replaces(Maximum a, Maximum b) {
    const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
    if (nan_a || nan_b) return nan_a && (!nan_b || a.pixel > b.pixel);
    return a.value > b.value || (a.value == b.value && a.pixel < b.pixel);
}

// shared: [blockDim.y][blockDim.x][V] maxima. `positions` may be null.
template <class T, int V>
INLINE void global_max_pool(const void* x, float* y, unsigned* positions, unsigned pixels, unsigned groups) {
    SHARED(Maximum, maxima);
    const unsigned image = blockIdx.x, pack = blockIdx.y * blockDim.x + threadIdx.x;
    Maximum best[V];
    for (int k = 0; k < V; k++) best[k] = Maximum{-INFINITY_F, pixels};
    if (pack < groups)
        for (unsigned pixel = threadIdx.y; pixel < pixels; pixel += blockDim.y) {
            float v[V];
            load<V>((const T*)x + ((u64)(image * pixels + pixel) * groups + pack) * V, v);
            for (int k = 0; k < V; k++) {
                const Maximum found = {v[k], pixel};
                if (replaces(found, best[k])) best[k] = found;
            }
        }
    Maximum* mine = maxima + (threadIdx.y * blockDim.x + threadIdx.x) * V;
    for (int k = 0; k < V; k++) mine[k] = best[k];
    for (unsigned half = blockDim.y / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half)
            for (int k = 0; k < V; k++) {
                const Maximum other = mine[half * blockDim.x * V + k];
                if (replaces(other, mine[k])) mine[k] = other;
            }
    }
    if (threadIdx.y == 0 && pack < groups)
        for (int k = 0; k < V; k++) {
            const u64 at = (u64)(image * groups + pack) * V + k;
            y[at] = mine[k].value;
            // All being -infinity, none has replaced the beginning: it is the first pixel's.
            if (positions) positions[at] = mine[k].pixel < pixels ? mine[k].pixel : 0;
        }
}
MAPS(global_max_pool, (const void* x, float* y, unsigned* positions, unsigned pixels, unsigned groups),
     (x, y, positions, pixels, groups))

template <class T, int V>
INLINE void global_max_pool_backward(const float* dy, const unsigned* positions, void* dx, unsigned images, unsigned pixels,
                                     unsigned groups) {
    const unsigned per_image = pixels * groups;
    for (unsigned i = first(); i < images * per_image; i += stride()) {
        const unsigned pixel = i % per_image / groups;
        const u64 at = (u64)(i / per_image * groups + i % groups) * V;
        float v[V];
        load_floats<V>(dy + at, v);
        for (int k = 0; k < V; k++) v[k] = positions[at + k] == pixel ? v[k] : 0.0f;
        store<V>((T*)dx + (u64)i * V, v);
    }
}
MAPS(global_max_pool_backward,
     (const float* dy, const unsigned* positions, void* dx, unsigned images, unsigned pixels, unsigned groups),
     (dy, positions, dx, images, pixels, groups))
