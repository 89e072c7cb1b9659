// Products of two maps, or of a map and its gate, and their gradients.
#include "prelude.cuh"

// y = act(a * b + residual), both factors maps.
template <class T, int V>
INLINE void mul(const void* a, const void* b, const void* residual, void* y, unsigned packs, int act, float slope) {
    for (unsigned i = first(); i < packs; i += stride()) {
        float p[V], q[V];
        load<V>((const T*)a + (u64)i * V, p);
        load<V>((const T*)b + (u64)i * V, q);
        for (int k = 0; k < V; k++) p[k] *= q[k];
        if (residual) {
            load<V>((const T*)residual + (u64)i * V, q);
            for (int k = 0; k < V; k++) p[k] += q[k];
        }
        for (int k = 0; k < V; k++) p[k] = activate(act, slope, p[k]);
        store<V>((T*)y + (u64)i * V, p);
    }
}
MAPS(mul, (const void* a, const void* b, const void* residual, void* y, unsigned packs, int act, float slope),
     (a, b, residual, y, packs, act, slope))

// The same with b [images, channels].
template <class T, int V>
INLINE void gate(const void* a, const float* b, const void* residual, void* y, unsigned images, unsigned pixels, unsigned groups,
                 int act, float slope) {
    const unsigned per_image = pixels * groups;
    for (unsigned i = first(); i < images * per_image; i += stride()) {
        const unsigned image = i / per_image, pack = i % groups;
        float p[V], q[V];
        load<V>((const T*)a + (u64)i * V, p);
        load_floats<V>(b + (u64)(image * groups + pack) * V, q);
        for (int k = 0; k < V; k++) p[k] *= q[k];
        if (residual) {
            load<V>((const T*)residual + (u64)i * V, q);
            for (int k = 0; k < V; k++) p[k] += q[k];
        }
        for (int k = 0; k < V; k++) p[k] = activate(act, slope, p[k]);
        store<V>((T*)y + (u64)i * V, p);
    }
}
MAPS(gate,
     (const void* a, const float* b, const void* residual, void* y, unsigned images, unsigned pixels, unsigned groups, int act,
      float slope),
     (a, b, residual, y, images, pixels, groups, act, slope))

// da = g * b, db = g * a, dresidual = g with g = dy * act'. Results may lie on operands.
template <class T, int V>
INLINE void mul_backward(const void* dy, const void* a, const void* b, const void* y, void* da, void* db, void* dresidual,
                         unsigned packs, int act, float slope) {
    for (unsigned i = first(); i < packs; i += stride()) {
        float g[V], p[V], q[V];
        load<V>((const T*)dy + (u64)i * V, g);
        load<V>((const T*)a + (u64)i * V, p);
        load<V>((const T*)b + (u64)i * V, q);
        if (y) {
            float s[V];
            load<V>((const T*)y + (u64)i * V, s);
            for (int k = 0; k < V; k++) g[k] *= derivative(act, slope, s[k]);
        }
        if (dresidual) store<V>((T*)dresidual + (u64)i * V, g);
        for (int k = 0; k < V; k++) {
            q[k] *= g[k];
            p[k] *= g[k];
        }
        store<V>((T*)da + (u64)i * V, q);
        store<V>((T*)db + (u64)i * V, p);
    }
}
MAPS(mul_backward,
     (const void* dy, const void* a, const void* b, const void* y, void* da, void* db, void* dresidual, unsigned packs, int act,
      float slope),
     (dy, a, b, y, da, db, dresidual, packs, act, slope))

// The same with b [images, channels], whose gradient is a sum over the pixels. A block has all pixels of an image (blockIdx.x) and
// blockDim.x packs of channels. shared: [blockDim.y][blockDim.x][V]
template <class T, int V>
INLINE void gate_backward(const void* dy, const void* a, const float* b, const void* y, void* da, float* db, void* dresidual,
                          unsigned pixels, unsigned groups, int act, float slope) {
    SHARED(float, shared);
    const unsigned image = blockIdx.x, pack = blockIdx.y * blockDim.x + threadIdx.x;
    float s[V], q[V];
    for (int k = 0; k < V; k++) s[k] = 0.0f;
    if (pack < groups) {
        load_floats<V>(b + (u64)(image * groups + pack) * V, q);
        for (unsigned pixel = threadIdx.y; pixel < pixels; pixel += blockDim.y) {
            const u64 at = ((u64)(image * pixels + pixel) * groups + pack) * V;
            float g[V], p[V];
            load<V>((const T*)dy + at, g);
            load<V>((const T*)a + at, p);
            if (y) {
                float r[V];
                load<V>((const T*)y + at, r);
                for (int k = 0; k < V; k++) g[k] *= derivative(act, slope, r[k]);
            }
            if (dresidual) store<V>((T*)dresidual + at, g);
            for (int k = 0; k < V; k++) {
                s[k] += g[k] * p[k];
                p[k] = g[k] * q[k];
            }
            store<V>((T*)da + at, p);
        }
    }
    sum_rows<V>(s, shared);
    if (threadIdx.y == 0 && pack < groups) store_floats<V>(db + (u64)(image * groups + pack) * V, s);
}
MAPS(gate_backward,
     (const void* dy, const void* a, const float* b, const void* y, void* da, float* db, void* dresidual, unsigned pixels,
      unsigned groups, int act, float slope),
     (dy, a, b, y, da, db, dresidual, pixels, groups, act, slope))
