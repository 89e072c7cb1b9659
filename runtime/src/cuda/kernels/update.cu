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
                   float momentum, float dampening, int nesterov, float weight_decay)) {
    if (left_out(finite)) return;
    const float lr = *rate, by = scale ? *scale : 1.0f;
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
                     SCALED, unsigned len, float beta1, float beta2, float eps, float weight_decay)) {
    if (left_out(finite)) return;
    const float lr = *rate, by = scale ? *scale : 1.0f;
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
