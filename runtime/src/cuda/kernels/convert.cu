// Copies that change the element type or close gaps between pixels.
#include "prelude.cuh"

template <class From, class To, int V>
INLINE void convert(const void* x, void* y, unsigned rows, unsigned groups, unsigned pitch_x, unsigned pitch_y) {
    for (unsigned i = first(); i < rows * groups; i += stride()) {
        const unsigned row = i / groups, channel = i % groups * V;
        float v[V];
        load<V>((const From*)x + (u64)row * pitch_x + channel, v);
        store<V>((To*)y + (u64)row * pitch_y + channel, v);
    }
}

// Floats that are rounded to a narrow type and stay floats.
template <class Narrow, int V>
INLINE void round_to(const void* x, void* y, unsigned rows, unsigned groups, unsigned pitch_x, unsigned pitch_y) {
    for (unsigned i = first(); i < rows * groups; i += stride()) {
        const unsigned row = i / groups, channel = i % groups * V;
        float v[V];
        load<V>((const float*)x + (u64)row * pitch_x + channel, v);
        for (int k = 0; k < V; k++) v[k] = wide(narrow<Narrow>(v[k]));
        store<V>((float*)y + (u64)row * pitch_y + channel, v);
    }
}

#define PARAMS (const void* x, void* y, unsigned rows, unsigned groups, unsigned pitch_x, unsigned pitch_y)
#define ARGS (x, y, rows, groups, pitch_x, pitch_y)
ENTRY(convert_f32_f32x1, PARAMS) { convert<float, float, 1> ARGS; }
ENTRY(convert_f32_f32x4, PARAMS) { convert<float, float, 4> ARGS; }
ENTRY(convert_bf16_bf16x1, PARAMS) { convert<bf16, bf16, 1> ARGS; }
ENTRY(convert_bf16_bf16x4, PARAMS) { convert<bf16, bf16, 4> ARGS; }
ENTRY(convert_f16_f16x1, PARAMS) { convert<f16, f16, 1> ARGS; }
ENTRY(convert_f16_f16x4, PARAMS) { convert<f16, f16, 4> ARGS; }
ENTRY(convert_f32_bf16x1, PARAMS) { convert<float, bf16, 1> ARGS; }
ENTRY(convert_f32_bf16x4, PARAMS) { convert<float, bf16, 4> ARGS; }
ENTRY(convert_bf16_f32x1, PARAMS) { convert<bf16, float, 1> ARGS; }
ENTRY(convert_bf16_f32x4, PARAMS) { convert<bf16, float, 4> ARGS; }
ENTRY(convert_f32_f16x1, PARAMS) { convert<float, f16, 1> ARGS; }
ENTRY(convert_f32_f16x4, PARAMS) { convert<float, f16, 4> ARGS; }
ENTRY(convert_f16_f32x1, PARAMS) { convert<f16, float, 1> ARGS; }
ENTRY(convert_f16_f32x4, PARAMS) { convert<f16, float, 4> ARGS; }
ENTRY(round_bf16_f32x1, PARAMS) { round_to<bf16, 1> ARGS; }
ENTRY(round_bf16_f32x4, PARAMS) { round_to<bf16, 4> ARGS; }
ENTRY(round_f16_f32x1, PARAMS) { round_to<f16, 1> ARGS; }
ENTRY(round_f16_f32x4, PARAMS) { round_to<f16, 4> ARGS; }
#undef PARAMS
#undef ARGS
