// What several ranks of a training have more than one: gradients on their way to the others and back, statistics of the images of all. A
// kernel knows one GPU; how bytes come from rank to rank is not here.
#include "prelude.cuh"

// A gradient by the rank's share of the images; without a share it has that already.
INLINE float weighed(const float* grad, const float* share, unsigned i) { return share ? *share * grad[i] : grad[i]; }

ENTRY(weigh_f32, (float* grad, const float* share, unsigned len)) {
    for (unsigned i = first(); i < len; i += stride()) grad[i] = weighed(grad, share, i);
}

// Rounded to what is sent.
ENTRY(weigh_bf16, (const float* grad, const float* share, void* wire, unsigned len)) {
    for (unsigned i = first(); i < len; i += stride()) ((bf16*)wire)[i] = narrow<bf16>(weighed(grad, share, i));
}

// A rank's own chunk of a bucket: received is [ranks][chunk], and its sum over ranks, in their order and in f32, is stored as it is sent.
template <class T> INLINE void sum_ranks(const void* received, void* sum, unsigned ranks, unsigned chunk, unsigned len) {
    for (unsigned i = first(); i < len; i += stride()) {
        float total = 0.0f;
        for (unsigned rank = 0; rank < ranks; rank++) total += wide(((const T*)received)[(u64)rank * chunk + i]);
        ((T*)sum)[i] = narrow<T>(total);
    }
}
ENTRY(sum_ranks_f32, (const void* received, void* sum, unsigned ranks, unsigned chunk, unsigned len)) {
    sum_ranks<float>(received, sum, ranks, chunk, len);
}
ENTRY(sum_ranks_bf16, (const void* received, void* sum, unsigned ranks, unsigned chunk, unsigned len)) {
    sum_ranks<bf16>(received, sum, ranks, chunk, len);
}

// Mean and biased variance, from what `bn_stats` leaves: sums of x - pivot and of its square. partial: [parts][2][channels]
template <class T>
INLINE void bn_moments(const void* x, const float* partial, unsigned parts, unsigned channels, unsigned rows, float* mean, float* var) {
    const unsigned c = first();
    if (c >= channels) return;
    float sum = 0.0f, squares = 0.0f;
    for (unsigned part = 0; part < parts; part++) {
        sum += partial[(u64)part * 2 * channels + c];
        squares += partial[((u64)part * 2 + 1) * channels + c];
    }
    const float offset = sum / rows;
    mean[c] = wide(((const T*)x)[c]) + offset;
    var[c] = larger(squares - sum * offset, 0.0f) / rows;
}
CHANNELS(bn_moments,
         (const void* x, const float* partial, unsigned parts, unsigned channels, unsigned rows, float* mean, float* var),
         (x, partial, parts, channels, rows, mean, var))

// What the first of two floats counts: f32 has whole numbers up to 16 million, and rows may be more.
constexpr unsigned HALF = 65536;

// What a rank tells of its statistics: rows (as two floats; none where its images do not count), means, variances. A rank that is alone has
// no share.
ENTRY(bn_tell, (const float* mean, const float* var, const float* share, float* told, unsigned channels, unsigned rows)) {
    for (unsigned c = first(); c < channels; c += stride()) {
        told[2 + c] = mean[c];
        told[2 + channels + c] = var[c];
        if (c == 0) {
            const unsigned counted = !share || *share > 0.0f ? rows : 0;
            told[0] = (float)(counted / HALF);
            told[1] = (float)(counted % HALF);
        }
    }
}

// Statistics of all images from those of each rank, in their order, in double precision (Chan, Golub and LeVeque 1983). told: [ranks][2 + 2
// channels]
ENTRY(bn_combine, (const float* told, float* running_mean, float* running_var, float* mean, float* rstd, unsigned ranks,
                   unsigned channels, float eps, float momentum)) {
    for (unsigned c = first(); c < channels; c += stride()) {
        double rows = 0.0, m = 0.0, m2 = 0.0;
        for (unsigned rank = 0; rank < ranks; rank++) {
            const float* theirs = told + (u64)rank * (2 + 2 * channels);
            const double count = (double)theirs[0] * HALF + (double)theirs[1];
            if (count > 0.0) {
                const double delta = (double)theirs[2 + c] - m, part = count / (rows + count);
                m += delta * part;
                m2 += (double)theirs[2 + channels + c] * count + delta * delta * rows * part;
                rows += count;
            }
        }
        mean[c] = (float)m;
        rstd[c] = (float)(1.0 / sqrt(m2 / rows + (double)eps));
        const double unbiased = m2 / (rows > 2.0 ? rows - 1.0 : 1.0), by = (double)momentum;
        running_mean[c] = (float)((1.0 - by) * (double)running_mean[c] + by * m);
        running_var[c] = (float)((1.0 - by) * (double)running_var[c] + by * unbiased);
    }
}

// What a rank tells of a normalisation's gradient: its share, and its sums.
ENTRY(bn_tell_sums, (const float* dscale, const float* dshift, const float* share, float* told, unsigned channels)) {
    for (unsigned c = first(); c < channels; c += stride()) {
        told[1 + c] = dscale[c];
        told[1 + channels + c] = dshift[c];
        if (c == 0) told[0] = *share;
    }
}

// Each rank's sums by its share of the batch's images. told: [ranks][1 + 2 channels]. Of an update's several batches, shares are those of the
// update: they are not 1 in sum.
ENTRY(bn_combine_sums, (const float* told, float* all_dscale, float* all_dshift, unsigned ranks, unsigned channels)) {
    double whole = 0.0;
    for (unsigned rank = 0; rank < ranks; rank++) whole += (double)told[(u64)rank * (1 + 2 * channels)];
    for (unsigned c = first(); c < channels; c += stride()) {
        double scale = 0.0, shift = 0.0;
        for (unsigned rank = 0; rank < ranks; rank++) {
            const float* theirs = told + (u64)rank * (1 + 2 * channels);
            const double part = (double)theirs[0] / whole;
            scale += part * (double)theirs[1 + c];
            shift += part * (double)theirs[1 + channels + c];
        }
        all_dscale[c] = (float)scale;
        all_dshift[c] = (float)shift;
    }
}
