// Softmax, cross-entropy and its gradient; logits are f32. A block has one row; PyTorch's label smoothing: the target is
// (1 - s) * onehot(label) + s / classes.
#include "prelude.cuh"

// The largest logit of a row and the sum of exponentials of the differences from it over a temperature. shared: a float for each thread.
struct Row {
    float largest, sum;
};
INLINE Row reduce_row(const float* logits, unsigned classes, float* shared, float temperature = 1.0f) {
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
    for (unsigned c = threadIdx.x; c < classes; c += blockDim.x) sum += expf((logits[c] - row.largest) / temperature);
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

// ---- Losses of targets that are more than a label: compiler/src/ir/objective.rs has the formulas. Where images are not mixed, `others`
// and `shares` are null; without class weights `weights` is.

// Losses by the numbers of `lower/loss.rs`.
enum Kind {
    CROSS_ENTROPY = 0,
    BINARY = 1,
    FOCAL = 2,
    SOFTMAX_FOCAL = 3,
};

struct Target {
    unsigned label, other, classes;
    float share, smoothing, threshold;
};
INLINE Target target_of(const unsigned* labels, const unsigned* others, const float* shares, unsigned classes, float smoothing, float threshold) {
    const unsigned label = labels[blockIdx.x];
    return {label, others ? others[blockIdx.x] : label, classes, shares ? shares[blockIdx.x] : 1.0f, smoothing, threshold};
}
INLINE float target_at(const Target& t, unsigned c) {
    const float mixed = (c == t.label ? t.share : 0.0f) + (c == t.other ? 1.0f - t.share : 0.0f);
    const float target = (1.0f - t.smoothing) * mixed + t.smoothing / t.classes;
    return t.threshold < 0.0f ? target : target > t.threshold ? 1.0f : 0.0f;
}

INLINE float weight_at(const float* weights, unsigned c) { return weights ? weights[c] : 1.0f; }

// -(t log p + (1 - t) log(1 - p)) of p = sigmoid(x).
INLINE float binary(float t, float x) { return (x > 0.0f ? x : 0.0f) - x * t + log1pf(expf(x > 0.0f ? -x : x)); }

// Of focal: the factor before (1 - q)^gamma, and 1 - q.
INLINE float balance(float alpha, float t) { return alpha * t + (1.0f - alpha) * (1.0f - t); }
INLINE float missed(float t, float x) { return sigmoid(x) * (1.0f - t) + sigmoid(-x) * t; }

// Of focal over a softmax, by the logarithm of a class's probability s: 1 - s, and (1 - s)^g - g * s * (1 - s)^(g - 1) * log(s). Roundings
// may leave a logarithm above 0.
INLINE float unlikely(float log) { return fmaxf(-expm1f(log), 0.0f); }
INLINE float focus(float gamma, float log) {
    const float miss = unlikely(log);
    return powf(miss, gamma) * (1.0f - gamma * (miss > 0.0f ? expf(log) * log / miss : 0.0f * log));
}

// Loss of every row, whether its largest logit is at its label, and the label's weight: rows [3][gridDim.x].
ENTRY(target_loss, (const float* logits, const unsigned* labels, const unsigned* others, const float* shares, const float* weights,
                    float* rows, unsigned classes, int kind, float smoothing, float threshold, float gamma, float alpha)) {
    SHARED(float, shared);
    const float* mine = logits + (u64)blockIdx.x * classes;
    const Target target = target_of(labels, others, shares, classes, smoothing, threshold);
    const Row row = reduce_row(mine, classes, shared);
    const float log_sum = logf(row.sum);
    // How many logits before the label's are as large as it.
    float sum = 0.0f, before = 0.0f;
    for (unsigned c = threadIdx.x; c < classes; c += blockDim.x) {
        const float t = target_at(target, c), x = mine[c];
        float loss;
        switch (kind) {
        case BINARY: loss = binary(t, x); break;
        case FOCAL: loss = balance(alpha, t) * powf(missed(t, x), gamma) * binary(t, x); break;
        case SOFTMAX_FOCAL: loss = t * powf(unlikely(x - row.largest - log_sum), gamma) * (log_sum - (x - row.largest)); break;
        default: loss = t * (log_sum - (x - row.largest)); break;
        }
        sum += weight_at(weights, c) * loss;
        if (c < target.label && x == row.largest) before += 1.0f;
    }
    sum = block_sum(sum, shared);
    before = block_sum(before, shared);
    if (threadIdx.x) return;
    rows[blockIdx.x] = sum;
    rows[gridDim.x + blockIdx.x] = mine[target.label] == row.largest && before == 0.0f ? 1.0f : 0.0f;
    rows[2 * gridDim.x + blockIdx.x] = weight_at(weights, target.label);
}

// The rows' losses over the divisor, which is the sum of the labels' weights where it is 0, and the number of hits. One block.
ENTRY(target_loss_finish, (const float* rows, float* loss, float* correct, unsigned count, float divisor)) {
    SHARED(float, shared);
    float sum = 0.0f, hits = 0.0f, all = 0.0f;
    for (unsigned i = threadIdx.x; i < count; i += blockDim.x) {
        sum += rows[i];
        hits += rows[count + i];
        all += rows[2 * count + i];
    }
    sum = block_sum(sum, shared);
    hits = block_sum(hits, shared);
    all = block_sum(all, shared);
    if (threadIdx.x) return;
    *loss = sum / (divisor != 0.0f ? divisor : all);
    *correct = hits;
}

// `scale` may be null, which is 1. Each block adds the labels' weights up by itself, where they are what is divided by.
ENTRY(target_loss_backward, (const float* logits, const unsigned* labels, const unsigned* others, const float* shares,
                             const float* weights, const float* scale, float* dlogits, unsigned rows, float divisor, unsigned classes,
                             int kind, float smoothing, float threshold, float gamma, float alpha)) {
    SHARED(float, shared);
    const float* mine = logits + (u64)blockIdx.x * classes;
    const Target target = target_of(labels, others, shares, classes, smoothing, threshold);
    float all = 0.0f;
    if (divisor == 0.0f)
        for (unsigned i = threadIdx.x; i < rows; i += blockDim.x) all += weight_at(weights, labels[i]);
    all = block_sum(all, shared);
    const float factor = (scale ? *scale : 1.0f) / (divisor != 0.0f ? divisor : all);
    const Row row = reduce_row(mine, classes, shared);
    const float log_sum = logf(row.sum);
    float weighted = 0.0f;
    for (unsigned c = threadIdx.x; c < classes; c += blockDim.x) {
        const float focused = kind == SOFTMAX_FOCAL ? focus(gamma, mine[c] - row.largest - log_sum) : 1.0f;
        weighted += weight_at(weights, c) * target_at(target, c) * focused;
    }
    weighted = block_sum(weighted, shared);
    for (unsigned c = threadIdx.x; c < classes; c += blockDim.x) {
        const float t = target_at(target, c), x = mine[c], w = weight_at(weights, c);
        float slope;
        switch (kind) {
        case BINARY: slope = w * (sigmoid(x) - t); break;
        case FOCAL: {
            const float miss = missed(t, x);
            const float relative = miss > 0.0f ? (1.0f - 2.0f * t) * sigmoid(x) * sigmoid(-x) / miss : 0.0f;
            slope = w * balance(alpha, t) * powf(miss, gamma) * (sigmoid(x) - t + gamma * binary(t, x) * relative);
            break;
        }
        case SOFTMAX_FOCAL:
            slope = expf(x - row.largest) / row.sum * weighted - w * t * focus(gamma, x - row.largest - log_sum);
            break;
        default: slope = expf(x - row.largest) / row.sum * weighted - w * t; break;
        }
        dlogits[(u64)blockIdx.x * classes + c] = slope * factor;
    }
}

// ---- What is learned from a teacher's logits. With `hard` its likeliest class counts, the first of equal ones, at a temperature of 1.

// The first class whose logit is the largest of the row; none where that is NaN.
INLINE unsigned first_of(const float* logits, unsigned classes, float largest, float* shared) {
    float first = classes;
    for (unsigned c = threadIdx.x; c < classes; c += blockDim.x)
        if (logits[c] == largest && c < first) first = c;
    shared[threadIdx.x] = first;
    for (unsigned half = blockDim.x / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half && shared[threadIdx.x + half] < shared[threadIdx.x]) shared[threadIdx.x] = shared[threadIdx.x + half];
    }
    __syncthreads();
    first = shared[0];
    __syncthreads();
    return first;
}

// T^2 * KL(softmax(z / T) || softmax(x / T)) of every row, or -log softmax(x) of the teacher's class.
ENTRY(distilled_loss, (const float* logits, const float* teacher, float* rows, unsigned classes, float temperature, int hard)) {
    SHARED(float, shared);
    const float *x = logits + (u64)blockIdx.x * classes, *z = teacher + (u64)blockIdx.x * classes;
    const Row p = reduce_row(x, classes, shared, temperature), q = reduce_row(z, classes, shared, temperature);
    const unsigned answer = first_of(z, classes, q.largest, shared);
    const float log_p = logf(p.sum), log_q = logf(q.sum);
    float sum = 0.0f;
    for (unsigned c = threadIdx.x; c < classes; c += blockDim.x) {
        const float from_p = (x[c] - p.largest) / temperature - log_p, from_q = (z[c] - q.largest) / temperature - log_q;
        sum += hard ? (c == answer ? -from_p : 0.0f) : expf(from_q) * (from_q - from_p);
    }
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) rows[blockIdx.x] = sum * temperature * temperature;
}

// loss = (1 - alpha) * loss + alpha * mean(rows). One block.
ENTRY(distilled_finish, (const float* rows, float* loss, unsigned count, float alpha)) {
    SHARED(float, shared);
    float sum = 0.0f;
    for (unsigned i = threadIdx.x; i < count; i += blockDim.x) sum += rows[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) *loss = (1.0f - alpha) * *loss + alpha * (sum / count);
}

// dlogits = (1 - alpha) * dlogits + alpha * T * (softmax(x / T) - teacher) / rows * scale; `scale` may be null, which is 1.
ENTRY(distilled_backward, (const float* logits, const float* teacher, const float* scale, float* dlogits, unsigned rows, unsigned classes,
                           float alpha, float temperature, int hard)) {
    SHARED(float, shared);
    const float *x = logits + (u64)blockIdx.x * classes, *z = teacher + (u64)blockIdx.x * classes;
    const float factor = alpha * temperature * (scale ? *scale : 1.0f) / rows;
    const Row p = reduce_row(x, classes, shared, temperature), q = reduce_row(z, classes, shared, temperature);
    const unsigned answer = first_of(z, classes, q.largest, shared);
    for (unsigned c = threadIdx.x; c < classes; c += blockDim.x) {
        const u64 at = (u64)blockIdx.x * classes + c;
        const float taught = hard ? (c == answer ? 1.0f : 0.0f) : expf((z[c] - q.largest) / temperature) / q.sum;
        dlogits[at] = (1.0f - alpha) * dlogits[at] + factor * (expf((x[c] - p.largest) / temperature) / p.sum - taught);
    }
}
