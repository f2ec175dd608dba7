/* Launches of indexing on the GPU. A bad index is raised when the host next waits for the GPU. */
#include "ops/index_cuda.h"

#include "device/cuda/cuda.h"
#include "ops/sort_cuda.h"

static taper_cuda_kernel index_positions = TAPER_CUDA_KERNEL("index_move", "index_positions");
static taper_cuda_kernel index_move[2][5] = {
    {TAPER_CUDA_KERNEL("index_move", "index_read_1"), TAPER_CUDA_KERNEL("index_move", "index_read_2"), TAPER_CUDA_KERNEL("index_move", "index_read_4"),
     TAPER_CUDA_KERNEL("index_move", "index_read_8"), TAPER_CUDA_KERNEL("index_move", "index_read_16")},
    {TAPER_CUDA_KERNEL("index_move", "index_write_1"), TAPER_CUDA_KERNEL("index_move", "index_write_2"), TAPER_CUDA_KERNEL("index_move", "index_write_4"),
     TAPER_CUDA_KERNEL("index_move", "index_write_8"), TAPER_CUDA_KERNEL("index_move", "index_write_16")}};
#define COMBINE_ROW(name) {TAPER_CUDA_KERNEL("index_combine", "combine_" name), TAPER_CUDA_KERNEL("index_combine", "combine_wide_" name)}
static taper_cuda_kernel combine_kernels[3][2] = {COMBINE_ROW("f32"), COMBINE_ROW("f64"), COMBINE_ROW("i64")};
static taper_cuda_kernel combine_last[4] = {TAPER_CUDA_KERNEL("index_combine", "combine_last_1"), TAPER_CUDA_KERNEL("index_combine", "combine_last_2"),
                                            TAPER_CUDA_KERNEL("index_combine", "combine_last_4"), TAPER_CUDA_KERNEL("index_combine", "combine_last_8")};

static int index_log2(int bytes) { return bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : bytes == 8 ? 3 : 4; }

static taper_status index_launch(taper_cuda_kernel *kernel, void *k, int64_t n, int index, const char *op) {
    int64_t blocks = (n + TAPER_INDEX_THREADS - 1) / TAPER_INDEX_THREADS;
    taper_cuda_geometry g = {.grid = {(unsigned)(blocks < 1 << 24 ? blocks : 1 << 24), 1, 1}, .block = {TAPER_INDEX_THREADS, 1, 1}};
    void *args[1] = {k};
    return taper__cuda_launch(kernel, index, &g, args, op);
}
static taper_status index_nothing(const char *op) {
    return TAPER_FAIL(TAPER_INDEX, "%s: index is out of bounds for dimension with size 0", op);
}

void taper__positions_add(taper_positions_args *p, const taper_tensor *t, const int64_t *strides, int64_t size, int64_t along) {
    int i = p->count++;
    p->index[i] = taper__data(t);
    p->dtype[i] = t->dtype;
    p->size[i] = size;
    p->along[i] = along;
    memcpy(p->strides[i], strides ? strides : t->strides, sizeof(int64_t) * (size_t)p->ndim);
}

taper_status taper__positions_cuda(taper_positions_args *k, taper_device device, const char *op) {
    for (int i = 0; i < k->count && k->n; i++)
        if (!k->size[i]) return index_nothing(op);
    if (!k->n) return TAPER_OK;
    k->record = taper__cuda_error_record(device.index);
    k->op = taper__cuda_operator_number(op);
    return index_launch(&index_positions, k, k->n, device.index, op);
}

taper_status taper__move_cuda(taper_move_args *k, taper_dtype dtype, bool write, taper_device device, const char *op) {
    k->n = 1;
    for (int d = 0; d < k->ndim; d++) k->n *= k->shape[d];
    if (!k->n) return TAPER_OK;
    if (!k->trusted && !k->size) return index_nothing(op);
    k->record = taper__cuda_error_record(device.index);
    k->op = taper__cuda_operator_number(op);
    int bytes = taper__move_widen(k, (int)taper_dtype_size(dtype));
    return index_launch(&index_move[write][index_log2(bytes)], k, k->n, device.index, op);
}

taper_status taper__combine_cuda(taper_combine_args *k, taper_positions_args *p, int64_t most, taper_device device, const char *op) {
    taper_sorted sorted;
    void *at;
    size_t bytes = (size_t)p->n * 8;
    k->rows = p->n;
    k->width = 1;
    for (int d = 0; d < k->row_ndim; d++) k->width *= k->row_shape[d];
    if (!k->rows || !k->width) return TAPER_OK;
    TAPER_TRY(taper__memory_alloc(&at, bytes, device, op));
    p->out = at;
    taper_status st = taper__positions_cuda(p, device, op);
    if (st == TAPER_OK) st = taper__sort_places_cuda(&sorted, at, p->n, most, device, op);
    taper__memory_free(at, bytes, device);
    TAPER_TRY(st);
    taper_dtype dtype = (taper_dtype)k->dtype;
    k->place = sorted.keys;
    k->from = sorted.places;
    int64_t looks = (k->rows + TAPER_INDEX_LOOK - 1) / TAPER_INDEX_LOOK;
    bool set = k->what == TAPER_COMBINE_SET, wide = !set && k->width >= TAPER_INDEX_THREADS / 2 && looks <= 65535;
    taper_cuda_kernel *kernel = set ? &combine_last[index_log2((int)taper_dtype_size(dtype))]
                                    : &combine_kernels[dtype == TAPER_F64 ? 1 : taper_dtype_is_float(dtype) ? 0 : 2][wide];
    taper_cuda_geometry g = {.grid = {(unsigned)((k->width + TAPER_INDEX_THREADS - 1) / TAPER_INDEX_THREADS), (unsigned)looks, 1}, .block = {TAPER_INDEX_THREADS, 1, 1}};
    void *args[1] = {k};
    st = wide ? taper__cuda_launch(kernel, device.index, &g, args, op) : index_launch(kernel, k, k->rows * k->width, device.index, op);
    taper__memory_free(sorted.memory, sorted.bytes, device);
    return st;
}

uint64_t taper__index_number(const taper_arg *value, taper_dtype dtype, double *number, int64_t *whole) {
    uint64_t bits = 0;
    if (value->kind == TAPER_ARG_FLOAT) taper__store_double(&bits, dtype, value->f);
    else taper__store_int(&bits, dtype, value->i);
    *number = taper__load_double(&bits, dtype);
    *whole = taper_dtype_is_float(dtype) ? 0 : taper__load_int(&bits, dtype);
    return bits;
}
