// Pooling over windows, blurs, and their gradients. Forward and backward both gather: each element of the result is one thread's, so
// nothing is added atomically and sums have one order.
#include "prelude.cuh"

// Sizes of a pooling: maps of n images, h x w -> oh x ow, `packs` packs of channels, window kh x kw, step sh x sw, border ph x pw.
#define POOL                                                                                                                      \
    unsigned n, unsigned h, unsigned w, unsigned packs, unsigned oh, unsigned ow, int kh, int kw, int sh, int sw, int ph, int pw
#define POOL_ARGS n, h, w, packs, oh, ow, kh, kw, sh, sw, ph, pw

INLINE int smaller(int a, int b) { return a < b ? a : b; }
INLINE int greater(int a, int b) { return a > b ? a : b; }

// An element of a map, pixel by pixel.
struct Place {
    unsigned pack, image;
    int x, y;
    INLINE Place(unsigned i, unsigned packs, unsigned height, unsigned width) {
        pack = i % packs;
        i /= packs;
        x = (int)(i % width);
        i /= width;
        y = (int)(i % height);
        image = i / height;
    }
};

// The windows that hold a pixel, along one axis: from `first` to before `end`.
INLINE int first_window(int at, int kernel, int step, int border) {
    return at + border < kernel ? 0 : (at + border - kernel) / step + 1;
}
INLINE int end_window(int at, int step, int border, int windows) { return smaller((at + border) / step + 1, windows); }

// Of equal maxima the first counts; a NaN is larger than all, the last of several being taken. `positions` may be null.
template <class T, int V> INLINE void max_pool(const void* x, void* y, unsigned char* positions, unsigned pitch, POOL) {
    for (unsigned i = first(); i < n * oh * ow * packs; i += stride()) {
        const Place p(i, packs, oh, ow);
        const int top = p.y * sh - ph, left = p.x * sw - pw;
        const unsigned step = packs * V;
        float best[V], v[V];
        Pack<unsigned char, V> taps;
        for (int k = 0; k < V; k++) {
            best[k] = -INFINITY_F;
            taps.at[k] = (unsigned char)(greater(0, -top) * kw + greater(0, -left));
        }
        for (int ky = greater(0, -top); ky < smaller(kh, (int)h - top); ky++) {
            const T* line = (const T*)x + ((u64)p.image * h + (top + ky)) * w * step + p.pack * V;
            for (int kx = greater(0, -left); kx < smaller(kw, (int)w - left); kx++) {
                load<V>(line + (u64)(left + kx) * step, v);
                for (int k = 0; k < V; k++)
                    if (v[k] > best[k] || v[k] != v[k]) {
                        best[k] = v[k];
                        taps.at[k] = (unsigned char)(ky * kw + kx);
                    }
            }
        }
        store<V>((T*)y + (u64)(i / packs) * pitch + p.pack * V, best);
        if (positions) reinterpret_cast<Pack<unsigned char, V>*>(positions)[i] = taps;
    }
}
MAPS(max_pool, (const void* x, void* y, unsigned char* positions, unsigned pitch, POOL), (x, y, positions, pitch, POOL_ARGS))

// dx = sum of dy over the windows whose maximum lies at the pixel.
template <class T, int V> INLINE void max_pool_backward(const void* dy, const unsigned char* positions, void* dx, POOL) {
    for (unsigned i = first(); i < n * h * w * packs; i += stride()) {
        const Place p(i, packs, h, w);
        float s[V], v[V];
        for (int k = 0; k < V; k++) s[k] = 0.0f;
        for (int oy = first_window(p.y, kh, sh, ph); oy < end_window(p.y, sh, ph, oh); oy++)
            for (int ox = first_window(p.x, kw, sw, pw); ox < end_window(p.x, sw, pw, ow); ox++) {
                const int tap = (p.y + ph - oy * sh) * kw + (p.x + pw - ox * sw);
                const u64 at = ((((u64)p.image * oh + oy) * ow + ox) * packs + p.pack) * V;
                load<V>((const T*)dy + at, v);
                for (int k = 0; k < V; k++)
                    if (positions[at + k] == tap) s[k] += v[k];
            }
        store<V>((T*)dx + (u64)i * V, s);
    }
}
MAPS(max_pool_backward, (const void* dy, const unsigned char* positions, void* dx, POOL), (dy, positions, dx, POOL_ARGS))

// What a window's sum is divided by along one axis: its pixels in the image or, where the border counts, in the image with it.
INLINE int covered(int window, int kernel, int step, int border, int size, int counted) {
    const int begin = window * step - border, low = counted ? -border : 0, high = counted ? size + border : size;
    return smaller(begin + kernel, high) - greater(begin, low);
}

template <class T, int V> INLINE void avg_pool(const void* x, void* y, unsigned pitch, int counted, POOL) {
    for (unsigned i = first(); i < n * oh * ow * packs; i += stride()) {
        const Place p(i, packs, oh, ow);
        float s[V], v[V];
        for (int k = 0; k < V; k++) s[k] = 0.0f;
        const int top = p.y * sh - ph, left = p.x * sw - pw;
        const unsigned step = packs * V;
        for (int ky = greater(0, -top); ky < smaller(kh, (int)h - top); ky++) {
            const T* line = (const T*)x + ((u64)p.image * h + (top + ky)) * w * step + p.pack * V;
            for (int kx = greater(0, -left); kx < smaller(kw, (int)w - left); kx++) {
                load<V>(line + (u64)(left + kx) * step, v);
                for (int k = 0; k < V; k++) s[k] += v[k];
            }
        }
        const float divisor = (float)(covered(p.y, kh, sh, ph, h, counted) * covered(p.x, kw, sw, pw, w, counted));
        for (int k = 0; k < V; k++) s[k] /= divisor;
        store<V>((T*)y + (u64)(i / packs) * pitch + p.pack * V, s);
    }
}
MAPS(avg_pool, (const void* x, void* y, unsigned pitch, int counted, POOL), (x, y, pitch, counted, POOL_ARGS))

template <class T, int V> INLINE void avg_pool_backward(const void* dy, void* dx, int counted, POOL) {
    for (unsigned i = first(); i < n * h * w * packs; i += stride()) {
        const Place p(i, packs, h, w);
        float s[V], v[V];
        for (int k = 0; k < V; k++) s[k] = 0.0f;
        for (int oy = first_window(p.y, kh, sh, ph); oy < end_window(p.y, sh, ph, oh); oy++)
            for (int ox = first_window(p.x, kw, sw, pw); ox < end_window(p.x, sw, pw, ow); ox++) {
                load<V>((const T*)dy + ((((u64)p.image * oh + oy) * ow + ox) * packs + p.pack) * V, v);
                const float divisor = (float)(covered(oy, kh, sh, ph, h, counted) * covered(ox, kw, sw, pw, w, counted));
                for (int k = 0; k < V; k++) s[k] += v[k] / divisor;
            }
        store<V>((T*)dx + (u64)i * V, s);
    }
}
MAPS(avg_pool_backward, (const void* dy, void* dx, int counted, POOL), (dy, dx, counted, POOL_ARGS))

// The pixel that a tap -1, 0 or 1 around `centre` falls on: beyond the border it is as far inside.
INLINE int mirrored(int at, int size) { return at < 0 ? 1 : at >= size ? size - 2 : at; }

#define BLUR unsigned n, unsigned h, unsigned w, unsigned packs, unsigned oh, unsigned ow, int sh, int sw
#define BLUR_ARGS n, h, w, packs, oh, ow, sh, sw

// Taps 1/4, 1/2, 1/4 in both directions at every stride-th pixel.
template <class T, int V> INLINE void blur_pool(const void* x, void* y, BLUR) {
    for (unsigned i = first(); i < n * oh * ow * packs; i += stride()) {
        const Place p(i, packs, oh, ow);
        float s[V], v[V];
        for (int k = 0; k < V; k++) s[k] = 0.0f;
        for (int ky = -1; ky <= 1; ky++)
            for (int kx = -1; kx <= 1; kx++) {
                const int row = mirrored(p.y * sh + ky, h), column = mirrored(p.x * sw + kx, w);
                const float weight = (ky ? 0.25f : 0.5f) * (kx ? 0.25f : 0.5f);
                load<V>((const T*)x + ((((u64)p.image * h + row) * w + column) * packs + p.pack) * V, v);
                for (int k = 0; k < V; k++) s[k] += weight * v[k];
            }
        store<V>((T*)y + (u64)i * V, s);
    }
}
MAPS(blur_pool, (const void* x, void* y, BLUR), (x, y, BLUR_ARGS))

// How much of the window at `centre` falls on a pixel, along one axis.
INLINE float blur_weight(int centre, int at, int size) {
    float weight = centre == at ? 0.5f : 0.0f;
    if (mirrored(centre - 1, size) == at) weight += 0.25f;
    if (mirrored(centre + 1, size) == at) weight += 0.25f;
    return weight;
}

// A pixel gets from the windows around it what their filters took from it: windows with a centre at most one away, or, where the
// border mirrors, on it.
template <class T, int V> INLINE void blur_pool_backward(const void* dy, void* dx, BLUR) {
    for (unsigned i = first(); i < n * h * w * packs; i += stride()) {
        const Place p(i, packs, h, w);
        float s[V], v[V];
        for (int k = 0; k < V; k++) s[k] = 0.0f;
        for (int oy = greater(0, (p.y - 1 + sh - 1) / sh); oy < smaller(oh, (p.y + 1) / sh + 1); oy++)
            for (int ox = greater(0, (p.x - 1 + sw - 1) / sw); ox < smaller(ow, (p.x + 1) / sw + 1); ox++) {
                const float weight = blur_weight(oy * sh, p.y, h) * blur_weight(ox * sw, p.x, w);
                load<V>((const T*)dy + ((((u64)p.image * oh + oy) * ow + ox) * packs + p.pack) * V, v);
                for (int k = 0; k < V; k++) s[k] += weight * v[k];
            }
        store<V>((T*)dx + (u64)i * V, s);
    }
}
MAPS(blur_pool_backward, (const void* dy, void* dx, BLUR), (dy, dx, BLUR_ARGS))
