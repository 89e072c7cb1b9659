// What stands before and behind a step: its inputs are put where the plan has them, images are made of pictures, results are kept.
#include "prelude.cuh"

// Words from one place to another: `n` of them.
#define PIECE(i) unsigned n##i, const unsigned* from##i, unsigned* to##i
// Five pieces, one behind the other in the grid's order; a piece of no words has null pointers.
ENTRY(copy_words, (PIECE(0), PIECE(1), PIECE(2), PIECE(3), PIECE(4))) {
    const unsigned n[5] = {n0, n1, n2, n3, n4};
    const unsigned* const from[5] = {from0, from1, from2, from3, from4};
    unsigned* const to[5] = {to0, to1, to2, to3, to4};
#pragma unroll
    for (int piece = 0; piece < 5; piece++)
        for (unsigned i = first(); i < n[piece]; i += stride()) to[piece][i] = from[piece][i];
}

// Changes of pictures by the numbers of `feed.rs`; each has five words: its number and what belongs to it.
enum Edit {
    KEEP = 0,
    // rows, columns
    SHIFT = 1,
    MIRROR = 2,
    // first row, row behind the last, first column, column behind the last
    FILL = 3,
    // rows, columns
    REFLECT = 4,
    UPEND = 5,
};

// The place up to `last` that lies as far from the border, on this side of it, as `at` does on the other.
INLINE int reflected(int at, int last) {
    at = at < 0 ? -at : at;
    at = at > last ? 2 * last - at : at;
    return at < 0 ? 0 : at > last ? last : at;
}

// An image `[height][width][channels]` of each picture: changed, then normalised by the table `[channels][256]`. A thread has a pixel, and
// walks the changes backwards, from where it is to where it came from; a filled pixel is 0. `which` says which of the pictures is
// meant; without it they come in order.
template <class T>
INLINE void prepare_images(const unsigned char* pictures, const unsigned* which, const int* edits, const float* table, void* images,
                           unsigned count, unsigned height, unsigned width, unsigned channels, unsigned changes) {
    const unsigned pixels = height * width;
    for (unsigned i = first(); i < count * pixels; i += stride()) {
        const unsigned image = i / pixels;
        int y = i % pixels / width, x = i % width;
        bool filled = false;
        for (unsigned k = changes; k-- && !filled;) {
            const int* edit = edits + ((u64)image * changes + k) * 5;
            switch (edit[0]) {
            case SHIFT:
                y += edit[1];
                x += edit[2];
                filled = y < 0 || y >= (int)height || x < 0 || x >= (int)width;
                break;
            case REFLECT:
                y = reflected(y + edit[1], (int)height - 1);
                x = reflected(x + edit[2], (int)width - 1);
                break;
            case MIRROR: x = (int)width - 1 - x; break;
            case UPEND: y = (int)height - 1 - y; break;
            case FILL: filled = y >= edit[1] && y < edit[2] && x >= edit[3] && x < edit[4]; break;
            default: break;
            }
        }
        const unsigned picture = which ? which[image] : image;
        const u64 from = filled ? 0 : ((u64)picture * pixels + (unsigned)y * width + (unsigned)x) * channels;
        for (unsigned c = 0; c < channels; c++) {
            const float value = filled ? 0.0f : table[c * 256 + pictures[from + c]];
            store<1>((T*)images + (u64)i * channels + c, &value);
        }
    }
}

#define PARAMS                                                                                                                    \
    (const unsigned char* pictures, const unsigned* which, const int* edits, const float* table, void* images, unsigned count,    \
     unsigned height, unsigned width, unsigned channels, unsigned changes)
#define ARGS (pictures, which, edits, table, images, count, height, width, channels, changes)
ENTRY(prepare_images_f32, PARAMS) { prepare_images<float> ARGS; }
ENTRY(prepare_images_bf16, PARAMS) { prepare_images<bf16> ARGS; }
ENTRY(prepare_images_f16, PARAMS) { prepare_images<f16> ARGS; }
#undef PARAMS
#undef ARGS
#undef PIECE
