/* Sorts on the GPU: how lines are addressed and cut, and the launches. */
#include "ops/sort_cuda.h"

#include "device/cuda/cuda.h"
#include "ops/index_geometry.h"

static taper_cuda_kernel sort_small[2] = {TAPER_CUDA_KERNEL("sort", "sort_small_32"), TAPER_CUDA_KERNEL("sort", "sort_small_64")},
                         sort_keys[2] = {TAPER_CUDA_KERNEL("sort", "sort_keys_32"), TAPER_CUDA_KERNEL("sort", "sort_keys_64")},
                         sort_count[2] = {TAPER_CUDA_KERNEL("sort", "sort_count_32"), TAPER_CUDA_KERNEL("sort", "sort_count_64")},
                         sort_move[2] = {TAPER_CUDA_KERNEL("sort", "sort_move_32"), TAPER_CUDA_KERNEL("sort", "sort_move_64")},
                         sort_scan = TAPER_CUDA_KERNEL("sort", "sort_scan"), sort_write = TAPER_CUDA_KERNEL("sort", "sort_write");

taper_sort_plan taper__sort_plan(int64_t lines, int64_t n, int key_bytes) {
    taper_sort_plan p = {.tiles = (n + TAPER_SORT_TILE - 1) / TAPER_SORT_TILE};
    p.keys = ((size_t)(lines * n) * (size_t)key_bytes + 15) / 16 * 16;
    p.places = ((size_t)(lines * n) * 4 + 15) / 16 * 16;
    p.counts = ((size_t)(lines * p.tiles) * TAPER_SORT_DIGITS * 4 + 15) / 16 * 16;
    p.totals = (size_t)lines * TAPER_SORT_DIGITS * 4;
    p.bytes = 2 * p.keys + 2 * p.places + p.counts + p.totals;
    return p;
}

int taper__sort_passes(taper_dtype dtype, int *key_bytes) {
    int bytes = (int)taper_dtype_size(dtype);
    if (taper_dtype_is_float(dtype) && bytes == 1) bytes = 4; /* through float */
    *key_bytes = bytes == 8 ? 8 : 4;
    return bytes;
}

static taper_status sort_launch(taper_cuda_kernel *kernel, taper_sort_args *k, int64_t blocks, unsigned threads, int index, const char *op) {
    taper_cuda_geometry g = {.grid = {(unsigned)(blocks < 1 << 30 ? blocks : 1 << 30), 1, 1}, .block = {threads, 1, 1}};
    void *args[1] = {k};
    return taper__cuda_launch(kernel, index, &g, args, op);
}

static taper_status sort_one_block(taper_sort_args *k, int wide, int index, const char *op) {
    unsigned threads;
    k->small = 2;
    while (k->small < k->n) k->small *= 2;
    threads = k->small < 64 ? 32 : k->small > 1024 ? 512 : (unsigned)k->small / 2;
    return sort_launch(&sort_small[wide], k, k->lines, threads, index, op);
}

/* Passes over both buffers in `memory`; the sorted keys and places end in k->keys and k->places. */
static taper_status sort_radix(taper_sort_args *k, const taper_sort_plan *p, char *memory, int wide, int passes, int index, const char *op) {
    void *keys[2] = {memory, memory + p->keys};
    uint32_t *places[2] = {(uint32_t *)(memory + 2 * p->keys), (uint32_t *)(memory + 2 * p->keys + p->places)};
    int64_t blocks = k->lines * p->tiles;
    k->tiles = p->tiles;
    k->counts = (uint32_t *)(memory + 2 * p->keys + 2 * p->places);
    k->totals = (uint32_t *)(memory + 2 * p->keys + 2 * p->places + p->counts);
    k->keys_to = keys[0];
    TAPER_TRY(sort_launch(&sort_keys[wide], k, blocks, TAPER_SORT_THREADS, index, op));
    for (int pass = 0; pass < passes; pass++) {
        k->shift = 8 * pass;
        k->keys = keys[pass % 2];
        k->keys_to = keys[1 - pass % 2];
        k->places = pass ? places[pass % 2] : NULL;
        k->places_to = places[1 - pass % 2];
        TAPER_TRY(sort_launch(&sort_count[wide], k, blocks, TAPER_SORT_THREADS, index, op));
        TAPER_TRY(sort_launch(&sort_scan, k, k->lines * TAPER_SORT_DIGITS, TAPER_SORT_THREADS, index, op));
        TAPER_TRY(sort_launch(&sort_move[wide], k, blocks, TAPER_SORT_THREADS, index, op));
    }
    k->keys = k->keys_to;
    k->places = k->places_to;
    return TAPER_OK;
}

taper_status taper__sort_cuda(const taper_tensor *self, taper_tensor *values, taper_tensor *indices, int dim, int64_t keep, bool down, const char *op) {
    taper_sort_args k = {.in = taper__data(self), .values = values ? taper__data(values) : NULL, .indices = taper__data(indices), .lines = 1, .n = 1, .keep = keep,
                         .dtype_in = self->dtype, .bytes = (int)taper_dtype_size((taper_dtype)self->dtype), .down = down};
    int key_bytes, passes = taper__sort_passes((taper_dtype)self->dtype, &key_bytes), index = self->device.index;
    if (!indices->numel) return TAPER_OK;
    if (self->ndim) {
        k.n = self->shape[dim];
        k.step_in = self->strides[dim];
        k.step_out = indices->strides[dim];
    }
    if (k.n > UINT32_MAX) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: lines of at most 4294967295 elements can be sorted on a GPU, got %s along dim %d", op, TAPER_SHAPE(self), dim);
    for (int d = 0; d < self->ndim; d++) {
        if (d == dim) continue;
        k.shape[k.ndim] = self->shape[d];
        k.stride_in[k.ndim] = self->strides[d];
        k.stride_out[k.ndim++] = indices->strides[d];
        k.lines *= self->shape[d];
    }
    if (k.n <= TAPER_SORT_SMALL) return sort_one_block(&k, key_bytes == 8, index, op);
    taper_sort_plan p = taper__sort_plan(k.lines, k.n, key_bytes);
    void *memory;
    TAPER_TRY(taper__memory_alloc(&memory, p.bytes, self->device, op));
    taper_status st = sort_radix(&k, &p, memory, key_bytes == 8, passes, index, op);
    if (st == TAPER_OK) st = sort_launch(&sort_write, &k, k.lines * p.tiles, TAPER_SORT_THREADS, index, op);
    taper__memory_free(memory, p.bytes, self->device);
    return st;
}

taper_status taper__sort_places_cuda(taper_sorted *out, const int64_t *numbers, int64_t n, int64_t most, taper_device device, const char *op) {
    taper_sort_args k = {.in = numbers, .lines = 1, .n = n, .keep = n, .step_in = 1, .dtype_in = TAPER_SORT_RAW, .bytes = 8};
    if (n > UINT32_MAX) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: at most 4294967295 positions on a GPU, got %lld", op, (long long)n);
    taper_sort_plan p = taper__sort_plan(1, n, 8);
    out->bytes = p.bytes;
    TAPER_TRY(taper__memory_alloc(&out->memory, out->bytes, device, op));
    taper_status st;
    if (n <= TAPER_SORT_SMALL) {
        k.sorted = out->memory;
        k.sorted_places = (uint32_t *)((char *)out->memory + 2 * p.keys);
        st = sort_one_block(&k, 1, device.index, op);
        k.keys = k.sorted;
        k.places = k.sorted_places;
    } else {
        st = sort_radix(&k, &p, out->memory, 1, (taper__index_bits(most) + 7) / 8, device.index, op);
    }
    if (st != TAPER_OK) {
        taper__memory_free(out->memory, out->bytes, device);
        return st;
    }
    out->keys = k.keys;
    out->places = k.places;
    return TAPER_OK;
}
