// Dropping random parts. The random numbers are those of kernels/src/random.rs, bit for bit: functions of seed, step, stream and index.
#include "prelude.cuh"

INLINE u64 mix(u64 x) {
    u64 z = x + 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

struct Key {
    unsigned first_word, second_word;
    INLINE Key(u64 seed, u64 step, u64 stream) {
        u64 state = 0;
        state = mix(state ^ mix(seed));
        state = mix(state ^ mix(step));
        state = mix(state ^ mix(stream));
        first_word = (unsigned)state;
        second_word = (unsigned)(state >> 32);
    }
    INLINE unsigned bits(unsigned index) const {
        unsigned h = index + first_word;
        h = (h ^ (h >> 16)) * 0x7feb352du;
        h = (h ^ (h >> 15)) + second_word;
        h = (h ^ (h >> 16)) * 0x846ca68bu;
        return h ^ (h >> 16);
    }
};

// Elements, or whole images of `part` elements, are dropped; what is kept is scaled. x may be y.
template <class T>
INLINE void drop(const void* x, const u64* seed, const u64* step, void* y, unsigned len, unsigned part, unsigned limit, float kept,
                 u64 stream) {
    const Key key(*seed, *step, stream);
    for (unsigned i = first(); i < len; i += stride()) {
        const float v = wide(((const T*)x)[i]);
        ((T*)y)[i] = narrow<T>(key.bits(i / part) < limit ? 0.0f : v * kept);
    }
}
CHANNELS(drop,
         (const void* x, const u64* seed, const u64* step, void* y, unsigned len, unsigned part, unsigned limit, float kept,
          u64 stream_number),
         (x, seed, step, y, len, part, limit, kept, stream_number))

// DropBlock: an element is dropped where a square that starts up to size - 1 before it holds it. keeps: a byte per element; counts: how
// many each block has kept.
ENTRY(drop_block_mask, (const u64* seed, const u64* step, unsigned char* keeps, unsigned* counts, unsigned n, unsigned h, unsigned w,
                        unsigned c, unsigned size, unsigned limit, u64 stream_number)) {
    SHARED(float, shared);
    const Key key(*seed, *step, stream_number);
    unsigned kept = 0;
    for (unsigned i = first(); i < n * h * w * c; i += stride()) {
        const unsigned channel = i % c, x = i / c % w, y = i / c / w % h, image = i / c / w / h;
        bool dropped = false;
        for (unsigned sy = y < size ? 0 : y - size + 1; sy <= y && sy <= h - size && !dropped; sy++)
            for (unsigned sx = x < size ? 0 : x - size + 1; sx <= x && sx <= w - size && !dropped; sx++)
                dropped = key.bits(((image * h + sy) * w + sx) * c + channel) < limit;
        keeps[i] = !dropped;
        kept += !dropped;
    }
    // A thread keeps fewer than 2^24, and so does a block: floats count exactly.
    const float all = block_sum((float)kept, shared);
    if (threadIdx.x == 0) counts[blockIdx.x] = (unsigned)all;
}

// What is kept is scaled so that the sum of all scales is the number of elements.
template <class T>
INLINE void drop_block(const void* x, const unsigned char* keeps, const unsigned* counts, unsigned parts, void* y, unsigned len) {
    unsigned kept = 0;
    for (unsigned part = 0; part < parts; part++) kept += counts[part];
    const float scale = (float)len / (float)(kept ? kept : 1);
    for (unsigned i = first(); i < len; i += stride()) {
        const float v = wide(((const T*)x)[i]);
        ((T*)y)[i] = narrow<T>(keeps[i] ? v * scale : 0.0f);
    }
}
CHANNELS(drop_block, (const void* x, const unsigned char* keeps, const unsigned* counts, unsigned parts, void* y, unsigned len),
         (x, keeps, counts, parts, y, len))
