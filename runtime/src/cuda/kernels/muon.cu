// Muon's update (Jordan et al. 2024): the mean gradient as a matrix [longer side, shorter side], made orthogonal by products in scratch
// memory. Where a step is left out (`finite` is 0) none of them does anything.
#include "prelude.cuh"

INLINE bool muon_left_out(const unsigned* finite) { return finite && *finite == 0; }

// The mean gradient, and what the step is of.
ENTRY(muon_mean, (const float* grad, float* mean, float* moved, const float* scale, const unsigned* finite, unsigned len,
                  float momentum, int nesterov)) {
    if (muon_left_out(finite)) return;
    const float by = scale ? *scale : 1.0f, entry = 1.0f - momentum;
    for (unsigned i = first(); i < len; i += stride()) {
        const float g = grad[i] / by, m = mean[i] + entry * (g - mean[i]);
        mean[i] = m;
        moved[i] = nesterov ? m + entry * (g - m) : m;
    }
}

// A block's share of the sum of squares: parts [gridDim.x][2], the second one 0.
ENTRY(muon_norm, (const float* moved, const unsigned* finite, float* parts, unsigned len)) {
    SHARED(float, shared);
    if (muon_left_out(finite)) return;
    float sum = 0.0f;
    for (unsigned i = first(); i < len; i += stride()) sum += moved[i] * moved[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) {
        parts[2 * blockIdx.x] = sum;
        parts[2 * blockIdx.x + 1] = 0.0f;
    }
}

// Where the element of a matrix [longer, shorter] is in memory.
INLINE unsigned muon_place(unsigned at, unsigned longer, unsigned shorter, int wide) {
    return wide ? at % shorter * longer + at / shorter : at;
}

// The matrix by its norm, transposed where it is wide. Each block adds up the parts of the norm, in the same order.
ENTRY(muon_spread, (const float* moved, float* matrix, const unsigned* finite, const float* parts, unsigned count, unsigned longer,
                    unsigned shorter, int wide, float eps)) {
    SHARED(float, shared);
    if (muon_left_out(finite)) return;
    float sum = 0.0f;
    for (unsigned i = threadIdx.x; i < count; i += blockDim.x) sum += parts[2 * i];
    const float norm = sqrtf(block_sum(sum, shared)) + eps;
    for (unsigned i = first(); i < longer * shorter; i += stride()) matrix[i] = moved[muon_place(i, longer, shorter, wide)] / norm;
}

// out [m, n] = factor * left [m, k] right [k, n] + share * added; a block of 256 threads makes 16 by 16 of it.
ENTRY(muon_product, (const float* left, const float* right, const float* added, float* out, const unsigned* finite, unsigned m,
                     unsigned n, unsigned k, unsigned down, unsigned along, float factor, float share)) {
    SHARED(float, tiles);
    if (muon_left_out(finite)) return;
    const unsigned side = 16, x = threadIdx.x % side, y = threadIdx.x / side;
    const unsigned row = blockIdx.x * side + y, column = blockIdx.y * side + x;
    float* lefts = tiles;
    float* rights = tiles + side * side;
    float sum = 0.0f;
    for (unsigned at = 0; at < k; at += side) {
        // Neighbouring threads read what lies side by side: rows of the left one, or its columns.
        const unsigned i = down == 1 ? x : y, j = down == 1 ? y : x, from = blockIdx.x * side + i;
        lefts[i * side + j] = from < m && at + j < k ? left[from * down + (at + j) * along] : 0.0f;
        rights[y * side + x] = at + y < k && column < n ? right[(at + y) * n + column] : 0.0f;
        __syncthreads();
#pragma unroll
        for (unsigned t = 0; t < side; t++) sum += lefts[y * side + t] * rights[t * side + x];
        __syncthreads();
    }
    if (row >= m || column >= n) return;
    const unsigned to = row * n + column;
    out[to] = factor * sum + (added ? share * added[to] : 0.0f);
}

ENTRY(muon_update, (float* param, const float* grad, float* mean, const float* rate, const u64* step, const float* scale,
                    const unsigned* finite, const float* skipped, unsigned len, float lr_scale, float weight_decay, float longer_steps,
                    const float* matrix, unsigned longer, unsigned shorter, int wide)) {
    (void)grad, (void)mean, (void)step, (void)scale, (void)skipped, (void)len;
    if (muon_left_out(finite)) return;
    const float lr = *rate * lr_scale;
    for (unsigned i = first(); i < longer * shorter; i += stride()) {
        const unsigned to = muon_place(i, longer, shorter, wide);
        param[to] = param[to] * (1.0f - lr * weight_decay) - lr * longer_steps * matrix[i];
    }
}
