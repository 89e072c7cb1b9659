// The optimizers' updates, in place, and what a scaled loss asks for. Constants stand in compiler/src/ir/update.rs; rate and number of
// the step lie in memory, so that a recorded step is replayed with others.
#include "prelude.cuh"

// Of a scaled loss: gradients are divided by `scale`; where `finite` is 0 nothing changes; steps that were left out, `skipped`, do not
// count. All three are null where the loss is not scaled.
#define SCALED const float *scale, const unsigned *finite, const float *skipped

INLINE bool left_out(const unsigned* finite) { return finite && *finite == 0; }
INLINE u64 counted(const u64* step, const float* skipped) {
    const u64 all = *step, less = skipped ? (u64)*skipped : 0;
    return all > less ? all - less : 0;
}

// PyTorch's SGD: the first step's velocity is the gradient.
ENTRY(sgd_update, (float* param, const float* grad, float* velocity, const float* rate, const u64* step, SCALED, unsigned len,
                   float lr_scale, float momentum, float dampening, float weight_decay, int nesterov)) {
    if (left_out(finite)) return;
    const float lr = *rate * lr_scale, by = scale ? *scale : 1.0f;
    const bool begins = counted(step, skipped) == 0;
    for (unsigned i = first(); i < len; i += stride()) {
        const float p = param[i];
        float g = grad[i] / by + weight_decay * p;
        if (momentum != 0.0f) {
            const float v = begins ? g : momentum * velocity[i] + (1.0f - dampening) * g;
            velocity[i] = v;
            g = nesterov ? g + momentum * v : v;
        }
        param[i] = p - lr * g;
    }
}

// PyTorch's AdamW. Both corrections are powers of numbers next to 1, so they are made in double precision, once a thread.
ENTRY(adamw_update, (float* param, const float* grad, float* exp_avg, float* exp_avg_sq, const float* rate, const u64* step,
                     SCALED, unsigned len, float lr_scale, float beta1, float beta2, float eps, float weight_decay)) {
    if (left_out(finite)) return;
    const float lr = *rate * lr_scale, by = scale ? *scale : 1.0f;
    const double t = (double)(counted(step, skipped) + 1);
    const float first_moment = (float)(1.0 - pow((double)beta1, t)), root = (float)sqrt(1.0 - pow((double)beta2, t));
    for (unsigned i = first(); i < len; i += stride()) {
        const float g = grad[i] / by, p = param[i] * (1.0f - lr * weight_decay);
        const float m = beta1 * exp_avg[i] + (1.0f - beta1) * g, v = beta2 * exp_avg_sq[i] + (1.0f - beta2) * g * g;
        exp_avg[i] = m;
        exp_avg_sq[i] = v;
        param[i] = p - lr / first_moment * m / (sqrtf(v) / root + eps);
    }
}

// Lion (Chen et al. 2023).
ENTRY(lion_update, (float* param, const float* grad, float* exp_avg, const float* rate, const u64* step, SCALED, unsigned len,
                    float lr_scale, float beta1, float beta2, float weight_decay)) {
    (void)step, (void)skipped;
    if (left_out(finite)) return;
    const float lr = *rate * lr_scale, by = scale ? *scale : 1.0f;
    for (unsigned i = first(); i < len; i += stride()) {
        const float m = exp_avg[i], apart = grad[i] / by - m, direction = m + (1.0f - beta1) * apart;
        const float sign = direction > 0.0f ? 1.0f : direction < 0.0f ? -1.0f : 0.0f;
        exp_avg[i] = m + (1.0f - beta2) * apart;
        param[i] = param[i] * (1.0f - lr * weight_decay) - lr * sign;
    }
}

// Adds up two squares over a block; parts [gridDim.x][2].
INLINE void write_squares(float a, float b, float* parts, float* shared) {
    a = block_sum(a, shared);
    b = block_sum(b, shared);
    if (threadIdx.x == 0) {
        parts[2 * blockIdx.x] = a;
        parts[2 * blockIdx.x + 1] = b;
    }
}

// The norms that the parts are of: each block adds them up, in the same order.
INLINE void read_norms(const float* parts, unsigned count, float* shared, float& a, float& b) {
    a = b = 0.0f;
    for (unsigned i = threadIdx.x; i < count; i += blockDim.x) {
        a += parts[2 * i];
        b += parts[2 * i + 1];
    }
    a = sqrtf(block_sum(a, shared));
    b = sqrtf(block_sum(b, shared));
}

// Of two tensors.
ENTRY(two_norms, (const float* param, const float* grad, float* parts, unsigned len)) {
    SHARED(float, shared);
    float p = 0.0f, g = 0.0f;
    for (unsigned i = first(); i < len; i += stride()) {
        p += param[i] * param[i];
        g += grad[i] * grad[i];
    }
    write_squares(p, g, parts, shared);
}

// LARS as timm's: SGD of a gradient with a ratio of norms. Without parts the ratio is 1.
ENTRY(lars_update, (float* param, const float* grad, float* velocity, const float* rate, const u64* step, SCALED, unsigned len,
                    float lr_scale, float momentum, float dampening, float weight_decay, int nesterov, int trust_clip,
                    float trust_coeff, float eps, const float* parts, unsigned count)) {
    SHARED(float, shared);
    if (left_out(finite)) return;
    const float lr = *rate * lr_scale, by = scale ? *scale : 1.0f;
    const bool begins = counted(step, skipped) == 0;
    float ratio = 1.0f, whole, slope;
    read_norms(parts, count, shared, whole, slope);
    slope /= by;
    if (count && whole > 0.0f && slope > 0.0f) {
        ratio = trust_coeff * whole / (slope + weight_decay * whole + eps);
        if (trust_clip && ratio > lr) ratio = lr;
        if (trust_clip) ratio = lr > 0.0f ? ratio / lr : 1.0f;
    }
    for (unsigned i = first(); i < len; i += stride()) {
        const float p = param[i];
        float g = (grad[i] / by + weight_decay * p) * ratio;
        if (momentum != 0.0f) {
            const float v = begins ? g : momentum * velocity[i] + (1.0f - dampening) * g;
            velocity[i] = v;
            g = nesterov ? g + momentum * v : v;
        }
        param[i] = p - lr * g;
    }
}

// LAMB as timm's: the means of Adam, then the norms of parameter and step, then the step.
ENTRY(lamb_means, (const float* grad, float* exp_avg, float* exp_avg_sq, SCALED, unsigned len, float beta1, float beta2)) {
    (void)skipped;
    if (left_out(finite)) return;
    const float by = scale ? *scale : 1.0f;
    for (unsigned i = first(); i < len; i += stride()) {
        const float g = grad[i] / by;
        exp_avg[i] = beta1 * exp_avg[i] + (1.0f - beta1) * g;
        exp_avg_sq[i] = beta2 * exp_avg_sq[i] + (1.0f - beta2) * g * g;
    }
}

// What a parameter moves along: both corrections, once a thread, then the elements.
struct Lamb {
    float first_moment, root, eps, weight_decay;
    INLINE Lamb(u64 step, float beta1, float beta2, float eps, float weight_decay) : eps(eps), weight_decay(weight_decay) {
        const double t = (double)(step + 1);
        first_moment = (float)(1.0 - pow((double)beta1, t));
        root = (float)sqrt(1.0 - pow((double)beta2, t));
    }
    INLINE float of(float p, float m, float v) const {
        return m / first_moment / (sqrtf(v) / root + eps) + weight_decay * p;
    }
};

ENTRY(lamb_norms, (const float* param, const float* exp_avg, const float* exp_avg_sq, const u64* step, SCALED, float* parts,
                   unsigned len, float beta1, float beta2, float eps, float weight_decay)) {
    SHARED(float, shared);
    (void)scale;
    if (left_out(finite)) return;
    const Lamb lamb(counted(step, skipped), beta1, beta2, eps, weight_decay);
    float p = 0.0f, u = 0.0f;
    for (unsigned i = first(); i < len; i += stride()) {
        const float direction = lamb.of(param[i], exp_avg[i], exp_avg_sq[i]);
        p += param[i] * param[i];
        u += direction * direction;
    }
    write_squares(p, u, parts, shared);
}

ENTRY(lamb_update, (float* param, const float* grad, float* exp_avg, float* exp_avg_sq, const float* rate, const u64* step, SCALED,
                    unsigned len, float lr_scale, float beta1, float beta2, float eps, float weight_decay, int trust_clip,
                    const float* parts, unsigned count)) {
    SHARED(float, shared);
    (void)grad, (void)scale;
    if (left_out(finite)) return;
    const Lamb lamb(counted(step, skipped), beta1, beta2, eps, weight_decay);
    float whole, moved, ratio = 1.0f;
    read_norms(parts, count, shared, whole, moved);
    if (count && whole > 0.0f && moved > 0.0f) ratio = whole / moved;
    if (trust_clip && ratio > 1.0f) ratio = 1.0f;
    const float lr = *rate * lr_scale * ratio;
    for (unsigned i = first(); i < len; i += stride())
        param[i] -= lr * lamb.of(param[i], exp_avg[i], exp_avg_sq[i]);
}

// Gradients of a batch by its share of the update: into a sum, or the sum into them, which is then empty.
ENTRY(accumulate, (const float* grad, float* sum, const float* share, unsigned len)) {
    const float by = *share;
    for (unsigned i = first(); i < len; i += stride()) sum[i] += by * grad[i];
}

ENTRY(accumulate_last, (float* grad, float* sum, const float* share, unsigned len)) {
    const float by = *share;
    for (unsigned i = first(); i < len; i += stride()) {
        grad[i] = sum[i] + by * grad[i];
        sum[i] = 0.0f;
    }
}

// Weights into their average over updates.
ENTRY(average, (float* mean, const float* value, const float* decay, unsigned len)) {
    const float keep = *decay, enter = 1.0f - keep;
    if (keep == 1.0f) return;
    for (unsigned i = first(); i < len; i += stride()) mean[i] = keep * mean[i] + enter * value[i];
}

// Gradients within a bound, those of a scaled loss within as many times of it: PyTorch's clip_grad_value_. NaN stays.
ENTRY(clip_value, (float* grad, const float* scale, unsigned len, float max)) {
    const float bound = scale ? max * *scale : max;
    for (unsigned i = first(); i < len; i += stride()) {
        const float g = grad[i];
        grad[i] = g > bound ? bound : g < -bound ? -bound : g;
    }
}

// Gradients of a norm within a bound: PyTorch's clip_grad_norm_. Parts are those of two_norms.
ENTRY(clip_norm, (float* grad, const float* scale, const float* parts, unsigned count, unsigned len, float max)) {
    SHARED(float, shared);
    float norm, same;
    read_norms(parts, count, shared, norm, same);
    const float factor = max / ((scale ? norm / *scale : norm) + 1e-6f);
    if (factor >= 1.0f) return;
    for (unsigned i = first(); i < len; i += stride()) grad[i] *= factor;
}

// Whether a block's share of the gradients is finite: parts [gridDim.x], 0 or 1.
ENTRY(all_finite, (const float* grad, float* parts, unsigned len)) {
    SHARED(float, shared);
    float faults = 0.0f;
    for (unsigned i = first(); i < len; i += stride())
        if (!(fabsf(grad[i]) < INFINITY_F)) faults = 1.0f;
    const float all = block_sum(faults, shared);
    if (threadIdx.x == 0) parts[blockIdx.x] = all == 0.0f ? 1.0f : 0.0f;
}

// One block.
ENTRY(all_finite_finish, (const float* parts, unsigned* finite, unsigned count)) {
    SHARED(float, shared);
    float faults = 0.0f;
    for (unsigned i = threadIdx.x; i < count; i += blockDim.x)
        if (parts[i] == 0.0f) faults = 1.0f;
    const float all = block_sum(faults, shared);
    if (threadIdx.x == 0) *finite = all == 0.0f;
}

// Counts a step that was left out and, where there is one, adapts a dynamic scale: PyTorch's _amp_update_scale_. One thread.
ENTRY(loss_scale_update, (const unsigned* finite, float* skipped, float* scale, float* good_steps, float growth, float backoff,
                          float interval)) {
    if (threadIdx.x) return;
    const bool good = *finite != 0;
    if (!good) *skipped += 1.0f;
    if (!scale) return;
    float steps = good ? *good_steps + 1.0f : 0.0f, next = *scale;
    if (!good) next *= backoff;
    if (good && steps >= interval) {
        next *= growth;
        steps = 0.0f;
    }
    // A scale that has grown beyond all numbers stays.
    if (fabsf(next) < INFINITY_F) *scale = next;
    *good_steps = steps;
}
