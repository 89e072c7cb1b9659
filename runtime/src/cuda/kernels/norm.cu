// Batch normalisation in training, its gradient, and the affine map that is left of it in inference.
//
// Sums over rows have two stages, so that they have the same bits each time: a block sums its share of the rows for its channels, in
// registers and then in shared memory, and writes a partial result; `.._finish` adds those up in order. A block of 256 threads has
// `blockDim.x` packs of channels side by side and `blockDim.y` rows in flight.
#include "prelude.cuh"

// The rows of a block's share.
INLINE unsigned first_row() { return blockIdx.x * blockDim.y + threadIdx.y; }
INLINE unsigned row_stride() { return gridDim.x * blockDim.y; }
INLINE unsigned pack_of_channels() { return blockIdx.y * blockDim.x + threadIdx.x; }

// Adds the deviations of V channels from a pivot to s[0..V], their squares to s[V..2V], over the rows of a block's share.
template <class T, int V>
INLINE void sum_deviations(const T* column, const float* pivot, float* s, unsigned rows, unsigned pitch) {
    float v[V];
    for (unsigned row = first_row(); row < rows; row += row_stride()) {
        load<V>(column + (u64)row * pitch, v);
        for (int k = 0; k < V; k++) {
            const float d = v[k] - pivot[k];
            s[k] += d;
            s[V + k] += d * d;
        }
    }
}

// Sums of x - pivot and of its square, the pivot being the channel's first element: what is summed then is about as large as the
// deviation, wherever the mean lies. partial: [gridDim.x][2][channels]
template <class T, int V>
INLINE void bn_stats(const void* x, float* partial, unsigned rows, unsigned groups, unsigned pitch) {
    SHARED(float, shared);
    const unsigned pack = pack_of_channels(), channels = groups * V;
    float s[2 * V], pivot[V];
    for (int k = 0; k < 2 * V; k++) s[k] = 0.0f;
    if (pack < groups) {
        const T* column = (const T*)x + pack * V;
        load<V>(column, pivot);
        sum_deviations<T, V>(column, pivot, s, rows, pitch);
    }
    sum_rows<2 * V>(s, shared);
    if (threadIdx.y == 0 && pack < groups) {
        float* out = partial + (u64)blockIdx.x * 2 * channels + pack * V;
        store_floats<V>(out, s);
        store_floats<V>(out + channels, s + V);
    }
}
MAPS(bn_stats, (const void* x, float* partial, unsigned rows, unsigned groups, unsigned pitch), (x, partial, rows, groups, pitch))

// Where a channel's statistics go, and their constants.
#define STATISTICS float *running_mean, float *running_var, float *mean, float *rstd, unsigned rows, float eps, float momentum
#define STATISTICS_ARGS running_mean, running_var, mean, rstd, rows, eps, momentum

// mean, rstd of the batch, from the sums of x - pivot and of its square; running statistics take in the mean and the unbiased variance.
INLINE void finish_channel(unsigned c, float sum, float squares, float pivot, STATISTICS) {
    const float offset = sum / rows, m2 = larger(squares - sum * offset, 0.0f), m = pivot + offset;
    mean[c] = m;
    rstd[c] = 1.0f / sqrtf(m2 / rows + eps);
    const float unbiased = rows > 1 ? m2 / (rows - 1) : m2;
    running_mean[c] = (1.0f - momentum) * running_mean[c] + momentum * m;
    running_var[c] = (1.0f - momentum) * running_var[c] + momentum * unbiased;
}

template <class T>
INLINE void bn_stats_finish(const void* x, const float* partial, unsigned parts, unsigned channels, STATISTICS) {
    const unsigned c = first();
    if (c >= channels) return;
    float sum = 0.0f, squares = 0.0f;
    for (unsigned part = 0; part < parts; part++) {
        sum += partial[(u64)part * 2 * channels + c];
        squares += partial[((u64)part * 2 + 1) * channels + c];
    }
    finish_channel(c, sum, squares, wide(((const T*)x)[c]), STATISTICS_ARGS);
}
CHANNELS(bn_stats_finish, (const void* x, const float* partial, unsigned parts, unsigned channels, STATISTICS),
         (x, partial, parts, channels, STATISTICS_ARGS))

// A convolution's sums are of x and of its square, without a pivot. Their difference keeps log2(CANCELLED) bits less than they have, at
// most, or the channel is summed anew.
constexpr float CANCELLED = 16.0f;
constexpr float LARGEST = 3.402823466e38f;

// The same from the sums that a convolution left beside its result x. A block has one pack of channels, and 256 rows of x in flight
// where it needs them.
template <class T, int V>
INLINE void bn_stats_of_sums(const void* x, const float* sum, const float* squares, unsigned groups, unsigned pitch, STATISTICS) {
    SHARED(float, shared);
    const unsigned pack = pack_of_channels();
    if (pack >= groups) return;
    float s[2 * V], pivot[V];
    load_floats<V>(sum + pack * V, s);
    load_floats<V>(squares + pack * V, s + V);
    bool cancelled = false;
    for (int k = 0; k < V; k++) {
        pivot[k] = 0.0f;
        const float m2 = s[V + k] - s[k] * (s[k] / rows);
        // Nor is taken what is not finite.
        cancelled |= !(CANCELLED * m2 >= s[V + k] && s[V + k] <= LARGEST);
    }
    if (cancelled) {
        const T* column = (const T*)x + pack * V;
        load<V>(column, pivot);
        for (int k = 0; k < 2 * V; k++) s[k] = 0.0f;
        sum_deviations<T, V>(column, pivot, s, rows, pitch);
        sum_rows<2 * V>(s, shared);
    }
    if (threadIdx.y == 0)
        for (int k = 0; k < V; k++) finish_channel(pack * V + k, s[k], s[V + k], pivot[k], STATISTICS_ARGS);
}
// Convolutions leave sums beside narrow maps alone.
#define OF_SUMS(name, T, V)                                                                                                      \
    ENTRY(name, (const void* x, const float* sum, const float* squares, unsigned groups, unsigned pitch, STATISTICS)) {         \
        bn_stats_of_sums<T, V>(x, sum, squares, groups, pitch, STATISTICS_ARGS);                                                \
    }
OF_SUMS(bn_stats_of_sums_bf16x1, bf16, 1)
OF_SUMS(bn_stats_of_sums_bf16x8, bf16, 8)
OF_SUMS(bn_stats_of_sums_f16x1, f16, 1)
OF_SUMS(bn_stats_of_sums_f16x8, f16, 8)

// Convolutions add to the sums that they leave.
ENTRY(zero_sums, (float* sums, unsigned len)) {
    for (unsigned i = first(); i < len; i += stride()) sums[i] = 0.0f;
}

// What a frozen normalisation divides by.
ENTRY(running_rstd, (const float* running_var, float* rstd, unsigned channels, float eps)) {
    for (unsigned c = first(); c < channels; c += stride()) rstd[c] = 1.0f / sqrtf(running_var[c] + eps);
}

// y = act(scale * (x - mean) * rstd + shift + residual); without statistics an affine map: mean and rstd are null.
template <class T, int V>
INLINE void bn_apply(const void* x, const float* mean, const float* rstd, const float* scale, const float* shift, const void* residual,
                     void* y, unsigned rows, unsigned groups, unsigned pitch_x, unsigned pitch_y, int act, float slope) {
    for (unsigned i = first(); i < rows * groups; i += stride()) {
        const unsigned row = i / groups, channel = i % groups * V;
        float v[V], a[V], b[V], t[V];
        load<V>((const T*)x + (u64)row * pitch_x + channel, v);
        load_floats<V>(scale + channel, a);
        load_floats<V>(shift + channel, b);
        if (mean) {
            load_floats<V>(mean + channel, t);
            for (int k = 0; k < V; k++) v[k] -= t[k];
            load_floats<V>(rstd + channel, t);
            for (int k = 0; k < V; k++) a[k] *= t[k];
        }
        for (int k = 0; k < V; k++) v[k] = v[k] * a[k] + b[k];
        if (residual) {
            load<V>((const T*)residual + (u64)i * V, t);
            for (int k = 0; k < V; k++) v[k] += t[k];
        }
        for (int k = 0; k < V; k++) v[k] = activate(act, slope, v[k]);
        store<V>((T*)y + (u64)row * pitch_y + channel, v);
    }
}
MAPS(bn_apply,
     (const void* x, const float* mean, const float* rstd, const float* scale, const float* shift, const void* residual, void* y,
      unsigned rows, unsigned groups, unsigned pitch_x, unsigned pitch_y, int act, float slope),
     (x, mean, rstd, scale, shift, residual, y, rows, groups, pitch_x, pitch_y, act, slope))

// What both passes of the gradient know of V channels.
template <int V> struct Channels {
    float mean[V], rstd[V], scale[V], shift[V];
    bool recompute;

    INLINE Channels(const float* m, const float* r, const float* s, const float* b, unsigned channel) {
        load_floats<V>(m + channel, mean);
        load_floats<V>(r + channel, rstd);
        recompute = b != nullptr;
        for (int k = 0; k < V; k++) scale[k] = shift[k] = 0.0f;
        if (s) load_floats<V>(s + channel, scale);
        if (b) load_floats<V>(b + channel, shift);
    }
};

// The gradient before the activation, in place of dy: by the result y, or by what the activation was applied to, computed anew from
// xhat (where there is a shift).
template <int V>
INLINE void before_activation(const Channels<V>& c, float* dy, const float* xhat, const float* y, int act, float slope) {
    if (act == IDENTITY) return;
    for (int k = 0; k < V; k++) dy[k] *= derivative(act, slope, c.recompute ? c.scale[k] * xhat[k] + c.shift[k] : y[k]);
}

// partial: [gridDim.x][2][channels], sums of g * xhat and of g.
template <class T, int V>
INLINE void bn_backward_reduce(const void* dy, const void* x, const float* mean, const float* rstd, const float* scale,
                               const float* shift, const void* y, float* partial, unsigned rows, unsigned groups, unsigned pitch,
                               int act, float slope) {
    SHARED(float, shared);
    const unsigned pack = pack_of_channels(), channels = groups * V;
    float s[2 * V];
    for (int k = 0; k < 2 * V; k++) s[k] = 0.0f;
    if (pack < groups) {
        const Channels<V> c(mean, rstd, scale, shift, pack * V);
        for (unsigned row = first_row(); row < rows; row += row_stride()) {
            const u64 at = (u64)row * channels + pack * V;
            float g[V], xhat[V], result[V];
            load<V>((const T*)dy + at, g);
            load<V>((const T*)x + (u64)row * pitch + pack * V, xhat);
            if (y) load<V>((const T*)y + at, result);
            for (int k = 0; k < V; k++) xhat[k] = (xhat[k] - c.mean[k]) * c.rstd[k];
            before_activation<V>(c, g, xhat, result, act, slope);
            for (int k = 0; k < V; k++) {
                s[k] += g[k] * xhat[k];
                s[V + k] += g[k];
            }
        }
    }
    sum_rows<2 * V>(s, shared);
    if (threadIdx.y == 0 && pack < groups) {
        float* out = partial + (u64)blockIdx.x * 2 * channels + pack * V;
        store_floats<V>(out, s);
        store_floats<V>(out + channels, s + V);
    }
}
MAPS(bn_backward_reduce,
     (const void* dy, const void* x, const float* mean, const float* rstd, const float* scale, const float* shift, const void* y,
      float* partial, unsigned rows, unsigned groups, unsigned pitch, int act, float slope),
     (dy, x, mean, rstd, scale, shift, y, partial, rows, groups, pitch, act, slope))

// Adds up [parts][channels] floats for each channel, in order.
ENTRY(sum_parts, (const float* partial, unsigned parts, unsigned pitch, float* sums, unsigned channels)) {
    const unsigned c = first();
    if (c >= channels) return;
    float sum = 0.0f;
    for (unsigned part = 0; part < parts; part++) sum += partial[(u64)part * pitch + c];
    sums[c] = sum;
}

// dx = scale * rstd * (g - dshift / rows - xhat * dscale / rows), dresidual = g. dx and dresidual may lie on dy and x.
template <class T, int V>
INLINE void bn_backward_apply(const void* dy, const void* x, const float* mean, const float* rstd, const float* scale,
                              const float* dscale, const float* dshift, const float* shift, const void* y, void* dx, void* dresidual,
                              unsigned rows, unsigned groups, unsigned pitch, int act, float slope) {
    for (unsigned i = first(); i < rows * groups; i += stride()) {
        const unsigned row = i / groups, channel = i % groups * V;
        const Channels<V> c(mean, rstd, scale, shift, channel);
        float g[V], xhat[V], result[V], ds[V], db[V];
        load<V>((const T*)dy + (u64)i * V, g);
        load<V>((const T*)x + (u64)row * pitch + channel, xhat);
        if (y) load<V>((const T*)y + (u64)i * V, result);
        for (int k = 0; k < V; k++) xhat[k] = (xhat[k] - c.mean[k]) * c.rstd[k];
        before_activation<V>(c, g, xhat, result, act, slope);
        if (dresidual) store<V>((T*)dresidual + (u64)i * V, g);
        load_floats<V>(dscale + channel, ds);
        load_floats<V>(dshift + channel, db);
        for (int k = 0; k < V; k++) g[k] = c.scale[k] * c.rstd[k] * (g[k] - db[k] / rows - xhat[k] * (ds[k] / rows));
        store<V>((T*)dx + (u64)i * V, g);
    }
}
MAPS(bn_backward_apply,
     (const void* dy, const void* x, const float* mean, const float* rstd, const float* scale, const float* dscale,
      const float* dshift, const float* shift, const void* y, void* dx, void* dresidual, unsigned rows, unsigned groups,
      unsigned pitch, int act, float slope),
     (dy, x, mean, rstd, scale, dscale, dshift, shift, y, dx, dresidual, rows, groups, pitch, act, slope))

// partial: [gridDim.x][channels]
template <class T, int V> INLINE void channel_sum(const void* dy, float* partial, unsigned rows, unsigned groups) {
    SHARED(float, shared);
    const unsigned pack = pack_of_channels(), channels = groups * V;
    float s[V], v[V];
    for (int k = 0; k < V; k++) s[k] = 0.0f;
    if (pack < groups)
        for (unsigned row = first_row(); row < rows; row += row_stride()) {
            load<V>((const T*)dy + (u64)row * channels + pack * V, v);
            for (int k = 0; k < V; k++) s[k] += v[k];
        }
    sum_rows<V>(s, shared);
    if (threadIdx.y == 0 && pack < groups) store_floats<V>(partial + (u64)blockIdx.x * channels + pack * V, s);
}
MAPS(channel_sum, (const void* dy, float* partial, unsigned rows, unsigned groups), (dy, partial, rows, groups))
