/* Index arithmetic of the GPU's side of indexing. */
#include "ops/index_geometry.h"

#include <stdbool.h>

void taper__move_dim(taper_move_args *k, int64_t shape, int64_t self, int64_t other, int64_t index) {
    int64_t strides[3] = {self, other, index};
    bool merge = k->ndim > 0;
    if (shape == 1) return;
    for (int i = 0; i < 3 && merge; i++) merge = k->strides[i][k->ndim - 1] == strides[i] * shape;
    if (!merge) k->shape[k->ndim++] = shape;
    else k->shape[k->ndim - 1] *= shape;
    for (int i = 0; i < 3; i++) k->strides[i][k->ndim - 1] = strides[i];
}

static bool move_fits(const taper_move_args *k, int bytes, int times) {
    int last = k->ndim - 1;
    if (k->shape[last] % times || k->along % times) return false;
    if ((uintptr_t)k->self % (uintptr_t)(bytes * times) || (uintptr_t)k->other % (uintptr_t)(bytes * times)) return false;
    for (int d = 0; d < last; d++)
        if (k->strides[0][d] % times || k->strides[1][d] % times) return false;
    return true;
}

int taper__move_widen(taper_move_args *k, int bytes) {
    int last = k->ndim - 1, times = 16 / bytes;
    if (last < 0 || !k->other || k->strides[0][last] != 1 || k->strides[1][last] != 1 || k->strides[2][last] != 0 || k->trusted) return bytes;
    while (times > 1 && !move_fits(k, bytes, times)) times /= 2;
    if (times == 1) return bytes;
    k->shape[last] /= times;
    k->along /= times;
    k->n /= times;
    for (int d = 0; d < last; d++) {
        k->strides[0][d] /= times;
        k->strides[1][d] /= times;
    }
    return bytes * times;
}

int taper__index_bits(int64_t most) {
    int bits = 1;
    while (bits < 63 && most >> bits) bits++;
    return bits;
}

int64_t taper__index_extent(int ndim, const int64_t *shape, const int64_t *strides) {
    int64_t most = 0;
    for (int d = 0; d < ndim; d++) most += (shape[d] - 1) * strides[d];
    return most < 0 ? 0 : most;
}
