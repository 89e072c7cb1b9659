// What inference plans have in the place of a batch normalisation, from the tensors of a training: in double precision, rounded once, as
// runtime/src/weights/recipe.rs does it, bit for bit.
#include "prelude.cuh"

// scale / sqrt(var + eps) of a channel
INLINE double factor(const float* scale, const float* var, float eps, unsigned c) {
    return (double)scale[c] / sqrt((double)var[c] + (double)eps);
}

// Weights `[channels][each]`, each multiplied with its channel's factor.
ENTRY(fold_weight, (const float* weight, const float* scale, const float* var, float* y, unsigned channels, unsigned each, float eps)) {
    for (unsigned i = first(); i < channels * each; i += stride())
        y[i] = (float)__dmul_rn((double)weight[i], factor(scale, var, eps, i / each));
}

// shift + (bias - mean) * factor; without a bias it is 0.
ENTRY(fold_shift, (const float* bias, const float* scale, const float* shift, const float* mean, const float* var, float* y,
                   unsigned channels, float eps)) {
    for (unsigned c = first(); c < channels; c += stride()) {
        const double off = (bias ? (double)bias[c] : 0.0) - (double)mean[c];
        // Not as one operation with one rounding, which compilers would make of it.
        y[c] = (float)__dadd_rn((double)shift[c], __dmul_rn(off, factor(scale, var, eps, c)));
    }
}

ENTRY(fold_scale, (const float* scale, const float* var, float* y, unsigned channels, float eps)) {
    for (unsigned c = first(); c < channels; c += stride()) y[c] = (float)factor(scale, var, eps, c);
}
