// Group normalisation and its gradient. Statistics are [images, groups]; a group has `width` channels.
#include "prelude.cuh"

// A block has one group (blockIdx.y) of one image (blockIdx.x); what is summed is x less the group's first element.
template <class T>
INLINE void group_stats(const void* x, float* mean, float* rstd, unsigned pixels, unsigned width, unsigned pitch, float eps) {
    SHARED(float, shared);
    const T* group = (const T*)x + (u64)blockIdx.x * pixels * pitch + blockIdx.y * width;
    const float pivot = wide(group[0]);
    float sum = 0.0f, squares = 0.0f;
    for (unsigned i = threadIdx.x; i < pixels * width; i += blockDim.x) {
        const float d = wide(group[(u64)(i / width) * pitch + i % width]) - pivot;
        sum += d;
        squares += d * d;
    }
    sum = block_sum(sum, shared);
    squares = block_sum(squares, shared);
    if (threadIdx.x) return;
    const float count = (float)(pixels * width), offset = sum / count;
    const unsigned at = blockIdx.x * gridDim.y + blockIdx.y;
    mean[at] = pivot + offset;
    rstd[at] = 1.0f / sqrtf(larger(squares - sum * offset, 0.0f) / count + eps);
}
CHANNELS(group_stats, (const void* x, float* mean, float* rstd, unsigned pixels, unsigned width, unsigned pitch, float eps),
         (x, mean, rstd, pixels, width, pitch, eps))

// y = act(scale * (x - mean) * rstd + shift + residual)
template <class T, int V>
INLINE void group_apply(const void* x, const float* mean, const float* rstd, const float* scale, const float* shift,
                        const void* residual, void* y, unsigned images, unsigned pixels, unsigned packs, unsigned width, unsigned pitch,
                        int act, float slope) {
    const unsigned per_image = pixels * packs, groups = packs * V / width;
    for (unsigned i = first(); i < images * per_image; i += stride()) {
        const unsigned row = i / packs, image = i / per_image, channel = i % packs * V;
        float v[V], a[V], b[V];
        load<V>((const T*)x + (u64)row * pitch + channel, v);
        load_floats<V>(scale + channel, a);
        load_floats<V>(shift + channel, b);
        for (int k = 0; k < V; k++) {
            const unsigned at = image * groups + (channel + k) / width;
            v[k] = (v[k] - mean[at]) * rstd[at] * a[k] + b[k];
        }
        if (residual) {
            load<V>((const T*)residual + (u64)i * V, b);
            for (int k = 0; k < V; k++) v[k] += b[k];
        }
        for (int k = 0; k < V; k++) v[k] = activate(act, slope, v[k]);
        store<V>((T*)y + (u64)i * V, v);
    }
}
MAPS(group_apply,
     (const void* x, const float* mean, const float* rstd, const float* scale, const float* shift, const void* residual, void* y,
      unsigned images, unsigned pixels, unsigned packs, unsigned width, unsigned pitch, int act, float slope),
     (x, mean, rstd, scale, shift, residual, y, images, pixels, packs, width, pitch, act, slope))

// Sums over an image's pixels of g * xhat and of g for every channel: partial [images][2][channels]. A block has an image (blockIdx.x)
// and blockDim.x packs of channels. shared: [blockDim.y][blockDim.x][2 V]
template <class T, int V>
INLINE void group_backward_reduce(const void* dy, const void* x, const float* mean, const float* rstd, const void* y, float* partial,
                                  unsigned pixels, unsigned packs, unsigned width, unsigned pitch, int act, float slope) {
    SHARED(float, shared);
    const unsigned image = blockIdx.x, pack = blockIdx.y * blockDim.x + threadIdx.x, channels = packs * V;
    const unsigned groups = channels / width;
    float s[2 * V], m[V], r[V];
    for (int k = 0; k < 2 * V; k++) s[k] = 0.0f;
    if (pack < packs) {
        for (int k = 0; k < V; k++) {
            const unsigned at = image * groups + (pack * V + k) / width;
            m[k] = mean[at];
            r[k] = rstd[at];
        }
        for (unsigned pixel = threadIdx.y; pixel < pixels; pixel += blockDim.y) {
            const unsigned row = image * pixels + pixel;
            float g[V], v[V];
            load<V>((const T*)dy + (u64)row * channels + pack * V, g);
            load<V>((const T*)x + (u64)row * pitch + pack * V, v);
            if (y) {
                float t[V];
                load<V>((const T*)y + (u64)row * channels + pack * V, t);
                for (int k = 0; k < V; k++) g[k] *= derivative(act, slope, t[k]);
            }
            for (int k = 0; k < V; k++) {
                s[k] += g[k] * ((v[k] - m[k]) * r[k]);
                s[V + k] += g[k];
            }
        }
    }
    sum_rows<2 * V>(s, shared);
    if (threadIdx.y == 0 && pack < packs) {
        float* out = partial + (u64)image * 2 * channels + pack * V;
        store_floats<V>(out, s);
        store_floats<V>(out + channels, s + V);
    }
}
MAPS(group_backward_reduce,
     (const void* dy, const void* x, const float* mean, const float* rstd, const void* y, float* partial, unsigned pixels,
      unsigned packs, unsigned width, unsigned pitch, int act, float slope),
     (dy, x, mean, rstd, y, partial, pixels, packs, width, pitch, act, slope))

// slope, offset [images, groups]: means over a group of scale * g * xhat and of scale * g.
ENTRY(group_means, (const float* partial, const float* scale, float* slope, float* offset, unsigned images, unsigned pixels,
                    unsigned channels, unsigned width)) {
    const unsigned at = first(), groups = channels / width;
    if (at >= images * groups) return;
    const float* sums = partial + (u64)(at / groups) * 2 * channels;
    float products = 0.0f, plain = 0.0f;
    for (unsigned c = at % groups * width; c < (at % groups + 1) * width; c++) {
        products += scale[c] * sums[c];
        plain += scale[c] * sums[channels + c];
    }
    const float count = (float)(pixels * width);
    slope[at] = products / count;
    offset[at] = plain / count;
}

// dx = rstd * (scale * g - offset - xhat * slope), dresidual = g. Results may lie on dy and x.
template <class T, int V>
INLINE void group_backward_apply(const void* dy, const void* x, const float* mean, const float* rstd, const float* scale,
                                 const float* slopes, const float* offset, const void* y, void* dx, void* dresidual, unsigned images,
                                 unsigned pixels, unsigned packs, unsigned width, unsigned pitch, int act, float slope) {
    const unsigned per_image = pixels * packs, groups = packs * V / width;
    for (unsigned i = first(); i < images * per_image; i += stride()) {
        const unsigned row = i / packs, image = i / per_image, channel = i % packs * V;
        float g[V], v[V], a[V];
        load<V>((const T*)dy + (u64)i * V, g);
        load<V>((const T*)x + (u64)row * pitch + channel, v);
        if (y) {
            load<V>((const T*)y + (u64)i * V, a);
            for (int k = 0; k < V; k++) g[k] *= derivative(act, slope, a[k]);
        }
        if (dresidual) store<V>((T*)dresidual + (u64)i * V, g);
        load_floats<V>(scale + channel, a);
        for (int k = 0; k < V; k++) {
            const unsigned at = image * groups + (channel + k) / width;
            const float xhat = (v[k] - mean[at]) * rstd[at];
            g[k] = rstd[at] * (a[k] * g[k] - offset[at] - xhat * slopes[at]);
        }
        store<V>((T*)dx + (u64)i * V, g);
    }
}
MAPS(group_backward_apply,
     (const void* dy, const void* x, const float* mean, const float* rstd, const float* scale, const float* slopes,
      const float* offset, const void* y, void* dx, void* dresidual, unsigned images, unsigned pixels, unsigned packs, unsigned width,
      unsigned pitch, int act, float slope),
     (dy, x, mean, rstd, scale, slopes, offset, y, dx, dresidual, images, pixels, packs, width, pitch, act, slope))
