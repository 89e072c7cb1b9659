// What a library of kernels offers to whoever loads it.
#pragma once

// The kinds of an entry's arguments, a letter for each: p(ointer), i(nteger), f(loat), l(ong). Null where there is no such entry.
extern "C" const char* resnetc_signature(const char* name) {
    const auto found = emulated::entries().find(name);
    return found == emulated::entries().end() ? nullptr : found->second.signature.c_str();
}

// Null on success, else what is wrong, until the next call. Calls come one at a time.
extern "C" const char* resnetc_launch(const char* name, const unsigned* grid, const unsigned* block, unsigned shared,
                                      const uint64_t* slots, uint64_t seed) {
    static std::string message;
    const auto found = emulated::entries().find(name);
    if (found == emulated::entries().end()) return "no such kernel";
    message = emulated::launch(found->second, {grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, shared, slots, seed);
    return message.empty() ? nullptr : message.c_str();
}
