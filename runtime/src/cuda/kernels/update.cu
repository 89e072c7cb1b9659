// The optimizers' updates, in place. Constants stand in compiler/src/ir/update.rs; rate and number of the step lie in memory, so that
// a recorded step is replayed with others.
#include "prelude.cuh"

// PyTorch's SGD: the first step's velocity is the gradient.
ENTRY(sgd_update, (float* param, const float* grad, float* velocity, const float* rate, const u64* step, unsigned len, float momentum,
                   float dampening, int nesterov, float weight_decay)) {
    const float lr = *rate;
    const bool begins = *step == 0;
    for (unsigned i = first(); i < len; i += stride()) {
        const float p = param[i];
        float g = grad[i] + weight_decay * p;
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
                     unsigned len, float beta1, float beta2, float eps, float weight_decay)) {
    const float lr = *rate;
    const double t = (double)(*step + 1);
    const float first_moment = (float)(1.0 - pow((double)beta1, t)), root = (float)sqrt(1.0 - pow((double)beta2, t));
    for (unsigned i = first(); i < len; i += stride()) {
        const float g = grad[i], p = param[i] * (1.0f - lr * weight_decay);
        const float m = beta1 * exp_avg[i] + (1.0f - beta1) * g, v = beta2 * exp_avg_sq[i] + (1.0f - beta2) * g * g;
        exp_avg[i] = m;
        exp_avg_sq[i] = v;
        param[i] = p - lr / first_moment * m / (sqrtf(v) / root + eps);
    }
}
