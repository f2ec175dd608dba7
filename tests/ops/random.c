/* The numbers of the samples: a small generator of our own, so that inputs do not depend on what is tested. */
#include <math.h>

#include "driver.h"

uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

double random_uniform(uint64_t *state) { return ((double)(random_next(state) >> 11) + 0.5) / 9007199254740992.0; }

double random_normal(uint64_t *state) {
    double u = random_uniform(state), v = random_uniform(state);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}
