// Option A's shortcut: strided pixels, channels padded with zeros on both sides. What else moves channels is `convert`.
#include "prelude.cuh"

#define PAD                                                                                                                       \
    unsigned n, unsigned h, unsigned w, unsigned cin, unsigned oh, unsigned ow, unsigned cout, unsigned before, unsigned sh, unsigned sw
#define PAD_ARGS n, h, w, cin, oh, ow, cout, before, sh, sw

template <class T> INLINE void pad_shortcut(const void* x, void* y, PAD) {
    for (unsigned i = first(); i < n * oh * ow * cout; i += stride()) {
        const unsigned c = i % cout, column = i / cout % ow, row = i / cout / ow % oh, image = i / cout / ow / oh;
        T value = narrow<T>(0.0f);
        if (c >= before && c < before + cin)
            value = ((const T*)x)[(((u64)image * h + row * sh) * w + column * sw) * cin + c - before];
        ((T*)y)[i] = value;
    }
}
CHANNELS(pad_shortcut, (const void* x, void* y, PAD), (x, y, PAD_ARGS))

template <class T> INLINE void pad_shortcut_backward(const void* dy, void* dx, PAD) {
    for (unsigned i = first(); i < n * h * w * cin; i += stride()) {
        const unsigned c = i % cin, column = i / cin % w, row = i / cin / w % h, image = i / cin / w / h;
        T value = narrow<T>(0.0f);
        if (row % sh == 0 && column % sw == 0)
            value = ((const T*)dy)[(((u64)image * oh + row / sh) * ow + column / sw) * cout + before + c];
        ((T*)dx)[i] = value;
    }
}
CHANNELS(pad_shortcut_backward, (const void* dy, void* dx, PAD), (dy, dx, PAD_ARGS))
