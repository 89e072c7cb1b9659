// Softmax, cross-entropy and its gradient; logits are f32. A block has one row; PyTorch's label smoothing: the target is
// (1 - s) * onehot(label) + s / classes.
#include "prelude.cuh"

// The largest logit of a row and the sum of exponentials of the differences from it. shared: a float for each thread.
struct Row {
    float largest, sum;
};
INLINE Row reduce_row(const float* logits, unsigned classes, float* shared) {
    Row row;
    float largest = -INFINITY_F;
    for (unsigned c = threadIdx.x; c < classes; c += blockDim.x) largest = logits[c] > largest || logits[c] != logits[c] ? logits[c] : largest;
    shared[threadIdx.x] = largest;
    for (unsigned half = blockDim.x / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) {
            const float other = shared[threadIdx.x + half];
            if (other > shared[threadIdx.x] || other != other) shared[threadIdx.x] = other;
        }
    }
    __syncthreads();
    row.largest = shared[0];
    __syncthreads();
    float sum = 0.0f;
    for (unsigned c = threadIdx.x; c < classes; c += blockDim.x) sum += expf(logits[c] - row.largest);
    row.sum = block_sum(sum, shared);
    return row;
}

ENTRY(softmax, (const float* logits, float* probabilities, unsigned classes)) {
    SHARED(float, shared);
    const float* mine = logits + (u64)blockIdx.x * classes;
    const Row row = reduce_row(mine, classes, shared);
    for (unsigned c = threadIdx.x; c < classes; c += blockDim.x)
        probabilities[(u64)blockIdx.x * classes + c] = expf(mine[c] - row.largest) / row.sum;
}

// Loss of every row, and whether its largest logit is at the label: rows [2][gridDim.x]. Of equal logits the first counts.
ENTRY(cross_entropy, (const float* logits, const unsigned* labels, float* rows, unsigned classes, float smoothing)) {
    SHARED(float, shared);
    const float* mine = logits + (u64)blockIdx.x * classes;
    const Row row = reduce_row(mine, classes, shared);
    const unsigned label = labels[blockIdx.x];
    const float log_sum = logf(row.sum);
    // The mean of -log softmax over all classes, for the smoothed part, and how many logits before the label are as large as it.
    float all = 0.0f, before = 0.0f;
    for (unsigned c = threadIdx.x; c < classes; c += blockDim.x) {
        all += log_sum - (mine[c] - row.largest);
        if (c < label && mine[c] == row.largest) before += 1.0f;
    }
    all = block_sum(all, shared);
    before = block_sum(before, shared);
    if (threadIdx.x) return;
    const float of_label = log_sum - (mine[label] - row.largest);
    rows[blockIdx.x] = (1.0f - smoothing) * of_label + smoothing * (all / classes);
    rows[gridDim.x + blockIdx.x] = mine[label] == row.largest && before == 0.0f ? 1.0f : 0.0f;
}

// The rows' mean loss and the number of hits. One block.
ENTRY(cross_entropy_finish, (const float* rows, float* loss, float* correct, unsigned count)) {
    SHARED(float, shared);
    float sum = 0.0f, hits = 0.0f;
    for (unsigned i = threadIdx.x; i < count; i += blockDim.x) {
        sum += rows[i];
        hits += rows[count + i];
    }
    sum = block_sum(sum, shared);
    hits = block_sum(hits, shared);
    if (threadIdx.x) return;
    *loss = sum / count;
    *correct = hits;
}

// dlogits = (softmax(logits) - target) / rows * scale; `scale` may be null, which is 1.
ENTRY(cross_entropy_backward, (const float* logits, const unsigned* labels, const float* scale, float* dlogits, unsigned rows,
                               unsigned classes, float smoothing)) {
    SHARED(float, shared);
    const float factor = (scale ? *scale : 1.0f) / rows;
    const float* mine = logits + (u64)blockIdx.x * classes;
    const Row row = reduce_row(mine, classes, shared);
    const unsigned label = labels[blockIdx.x];
    for (unsigned c = threadIdx.x; c < classes; c += blockDim.x) {
        const float target = (c == label ? 1.0f - smoothing : 0.0f) + smoothing / classes;
        dlogits[(u64)blockIdx.x * classes + c] = (expf(mine[c] - row.largest) / row.sum - target) * factor;
    }
}
