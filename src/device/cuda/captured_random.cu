/* What a replay of a graph does first when the graph has random numbers. */
#include "device/cuda/captured_random.h"

extern "C" __global__ void captured_random_words(uint64_t *words, uint64_t seed, uint64_t offset) {
    words[0] = seed;
    words[1] = offset;
}
