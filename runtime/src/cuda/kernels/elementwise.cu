// Kernels that compute each element from the elements at its place.
#include "prelude.cuh"

// y = act(x)
template <class T, int V> INLINE void activate_map(const void* x, void* y, unsigned packs, int act, float slope) {
    for (unsigned i = first(); i < packs; i += stride()) {
        float v[V];
        load<V>((const T*)x + (u64)i * V, v);
        for (int k = 0; k < V; k++) v[k] = activate(act, slope, v[k]);
        store<V>((T*)y + (u64)i * V, v);
    }
}
MAPS(activate_map, (const void* x, void* y, unsigned packs, int act, float slope), (x, y, packs, act, slope))

// dx = dy * act'
template <class T, int V>
INLINE void activate_backward(const void* dy, const void* saved, void* dx, unsigned packs, int act, float slope) {
    for (unsigned i = first(); i < packs; i += stride()) {
        float g[V], s[V];
        load<V>((const T*)dy + (u64)i * V, g);
        load<V>((const T*)saved + (u64)i * V, s);
        for (int k = 0; k < V; k++) g[k] *= derivative(act, slope, s[k]);
        store<V>((T*)dx + (u64)i * V, g);
    }
}
MAPS(activate_backward, (const void* dy, const void* saved, void* dx, unsigned packs, int act, float slope),
     (dy, saved, dx, packs, act, slope))

// y = act(a + b); a and b may be slices.
template <class T, int V>
INLINE void add(const void* a, const void* b, void* y, unsigned rows, unsigned groups, unsigned pitch_a, unsigned pitch_b, int act,
                float slope) {
    for (unsigned i = first(); i < rows * groups; i += stride()) {
        const unsigned row = i / groups, channel = i % groups * V;
        float s[V], t[V];
        load<V>((const T*)a + (u64)row * pitch_a + channel, s);
        load<V>((const T*)b + (u64)row * pitch_b + channel, t);
        for (int k = 0; k < V; k++) s[k] = activate(act, slope, s[k] + t[k]);
        store<V>((T*)y + (u64)i * V, s);
    }
}
MAPS(add,
     (const void* a, const void* b, void* y, unsigned rows, unsigned groups, unsigned pitch_a, unsigned pitch_b, int act, float slope),
     (a, b, y, rows, groups, pitch_a, pitch_b, act, slope))

// y = scale * x + shift
template <class T, int V> INLINE void scale_shift(const void* x, void* y, unsigned packs, float scale, float shift) {
    for (unsigned i = first(); i < packs; i += stride()) {
        float v[V];
        load<V>((const T*)x + (u64)i * V, v);
        for (int k = 0; k < V; k++) v[k] = scale * v[k] + shift;
        store<V>((T*)y + (u64)i * V, v);
    }
}
MAPS(scale_shift, (const void* x, void* y, unsigned packs, float scale, float shift), (x, y, packs, scale, shift))

// What comes behind a convolution that could not take it in: y = act(x + bias + residual), x packed, y perhaps a slice. x may be y.
template <class T, int V>
INLINE void epilogue(const void* x, const float* bias, const void* residual, void* y, unsigned rows, unsigned groups, unsigned pitch,
                     int act, float slope) {
    for (unsigned i = first(); i < rows * groups; i += stride()) {
        const unsigned row = i / groups, channel = i % groups * V;
        float v[V], t[V];
        load<V>((const T*)x + (u64)i * V, v);
        if (bias) {
            load_floats<V>(bias + channel, t);
            for (int k = 0; k < V; k++) v[k] += t[k];
        }
        if (residual) {
            load<V>((const T*)residual + (u64)i * V, t);
            for (int k = 0; k < V; k++) v[k] += t[k];
        }
        for (int k = 0; k < V; k++) v[k] = activate(act, slope, v[k]);
        store<V>((T*)y + (u64)row * pitch + channel, v);
    }
}
MAPS(epilogue,
     (const void* x, const float* bias, const void* residual, void* y, unsigned rows, unsigned groups, unsigned pitch, int act,
      float slope),
     (x, bias, residual, y, rows, groups, pitch, act, slope))
