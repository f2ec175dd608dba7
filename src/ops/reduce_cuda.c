/* Reductions on the GPU: how the work is cut, and the one or two launches. */
#include "ops/reduce_cuda.h"

#define RED_F32(name, wide, image, integers) {TAPER_CUDA_KERNEL(image, "red_f32_" #name), TAPER_CUDA_KERNEL(image, "red_join_f32_" #name)},
#define RED_F64(name, wide, image, integers) {TAPER_CUDA_KERNEL(image, "red_f64_" #name), TAPER_CUDA_KERNEL(image, "red_join_f64_" #name)},
#define RED_I64(name, wide, image, integers) {TAPER_CUDA_KERNEL(image, "red_i64_" #name), TAPER_CUDA_KERNEL(image, "red_join_i64_" #name)},
static taper_cuda_kernel reduce_kernels[3][TAPER_RED_COUNT][2] = {{TAPER_RED_ROWS(RED_F32)}, {TAPER_RED_ROWS(RED_F64)}, {TAPER_RED_ROWS(RED_I64)}};

#define RED_WIDE(name, wide, image, integers) wide,
#define RED_INTEGERS(name, wide, image, integers) integers,
static const uint8_t reduce_wide[TAPER_RED_COUNT] = {TAPER_RED_ROWS(RED_WIDE)}, reduce_integers[TAPER_RED_COUNT] = {TAPER_RED_ROWS(RED_INTEGERS)};

static bool reduce_can_cross(const taper_reduce_args *k, int size) {
    int n = 16 / size, last = k->nkept - 1;
    if (k->ninner != 1 || last < 0 || k->kept_stride[last] != 1 || k->kept_shape[last] % n || k->inner_stride[0] % n || (uintptr_t)k->in % 16) return false;
    for (int d = 0; d < last; d++)
        if (k->kept_stride[d] % n) return false;
    return true;
}

void taper__reduce_cut(taper_reduce_args *k, int size, int wide) {
    enum { WANTED = 2112, MOST = 4096, LEAST = 2048 }; /* blocks that fill a large GPU; at most; elements worth a block of their own */
    int64_t units = k->outputs, blocks, parts = 1, most;
    int n = 16 / size, lanes = TAPER_RED_THREADS;
    k->each = 1;
    k->columns = 0;
    if (wide && k->ninner == 1 && k->inner_stride[0] == 1 && k->inner >= 4 * n) {
        k->way = TAPER_RED_ALONG;
        while (lanes > 4 && k->inner < (int64_t)lanes * n * TAPER_RED_AHEAD) lanes /= 2;
        /* Joining lanes costs more than a few loads, as long as there are rows enough to keep the GPU busy. */
        while (lanes > 8 && k->inner < (int64_t)lanes * n * TAPER_RED_AHEAD * 8 && k->outputs * (lanes / 2) >= (int64_t)WANTED * TAPER_RED_THREADS) lanes /= 2;
        most = k->inner / ((int64_t)lanes * n * TAPER_RED_AHEAD);
    } else if (wide == 1 && reduce_can_cross(k, size)) {
        k->way = TAPER_RED_ACROSS;
        k->each = n;
        k->columns = 1;
        units /= n;
        lanes = 8;
        while (lanes > 1 && k->inner < lanes * TAPER_RED_AHEAD) lanes /= 2;
        while (lanes < TAPER_RED_THREADS && units * lanes < TAPER_RED_THREADS) lanes *= 2;
        most = k->inner / (lanes * TAPER_RED_AHEAD);
    } else {
        k->way = TAPER_RED_ANYHOW;
        k->columns = k->ninner && k->nkept && k->inner_stride[k->ninner - 1] != 1 && k->kept_stride[k->nkept - 1] == 1;
        if (k->columns) lanes = 8;
        else
            while (lanes > 2 && k->inner * 2 <= lanes * 4) lanes /= 2;
        most = k->inner * (TAPER_RED_THREADS / lanes) / LEAST;
    }
    k->width = TAPER_RED_THREADS / lanes;
    blocks = (units + k->width - 1) / k->width;
    if (blocks < WANTED) parts = WANTED / (blocks ? blocks : 1);
    if (parts > most) parts = most;
    if (parts > MOST) parts = MOST;
    if (parts < 1) parts = 1;
    k->chunk = (k->inner + parts - 1) / parts;
    if (k->way == TAPER_RED_ALONG && parts > 1) k->chunk = (k->chunk + 127) / 128 * 128; /* parts begin at whole cache lines */
    if (k->chunk < 1) k->chunk = 1;
    parts = k->inner ? (k->inner + k->chunk - 1) / k->chunk : 1;
    k->parts = (int)parts;
}

/* Appends a dim, or merges it with the one before. */
static void reduce_dim(int *n, int64_t *shapes, int64_t *strides, int64_t shape, int64_t stride) {
    if (shape == 1) return;
    if (*n && strides[*n - 1] == stride * shape) {
        shapes[*n - 1] *= shape;
        strides[*n - 1] = stride;
        return;
    }
    shapes[*n] = shape;
    strides[(*n)++] = stride;
}

static taper_status reduce_launch(taper_reduce_args *k, taper_cuda_kernel *kernel, int64_t units, int parts, int index, const char *op) {
    int64_t blocks = (units + k->width - 1) / k->width;
    taper_cuda_geometry g = {.grid = {(unsigned)(blocks < 1 << 30 ? blocks : 1 << 30), (unsigned)parts, 1}, .block = {TAPER_RED_THREADS, 1, 1}};
    void *args[1] = {k};
    return taper__cuda_launch(kernel, index, &g, args, op);
}

/* 16-byte paths exist for the dtypes that are common in each compute type. */
static int reduce_dtype_wide(int type, taper_dtype dtype) {
    if (type == 0) return dtype == TAPER_F32 || dtype == TAPER_BF16 || dtype == TAPER_F16;
    if (type == 1) return dtype == TAPER_F64;
    return dtype == TAPER_I64 ? 1 : dtype == TAPER_BOOL || dtype == TAPER_U8 ? 2 : 0;
}

taper_status taper__reduce_device(const taper_reduce_job *j, const char *op) {
    const taper_tensor *in = j->in, *shaped = j->out ? j->out : j->other;
    taper_dtype from = (taper_dtype)in->dtype, to = (taper_dtype)shaped->dtype;
    taper_reduce_args k = {.in = taper__data(in), .out = j->out ? taper__data(j->out) : NULL, .other = j->other ? taper__data(j->other) : NULL,
                           .outputs = shaped->numel, .inner = 1, .scale = j->scale, .p = j->p, .dtype_in = from,
                           .dtype_out = to, .dtype_other = j->other ? j->other->dtype : to, .finish = j->finish};
    if (!shaped->numel) return TAPER_OK;
    for (int d = 0; d < in->ndim; d++) {
        if (j->mask >> d & 1) {
            reduce_dim(&k.ninner, k.inner_shape, k.inner_stride, in->shape[d], in->strides[d]);
            k.inner *= in->shape[d];
        } else {
            reduce_dim(&k.nkept, k.kept_shape, k.kept_stride, in->shape[d], in->strides[d]);
        }
    }
    if (!k.ninner) {
        k.ninner = 1;
        k.inner_shape[0] = k.inner;
        k.inner_stride[0] = 1;
    }
    bool folds = j->row != TAPER_RED_argmax && j->row != TAPER_RED_count; /* the result's dtype is theirs */
    int type = from == TAPER_F64 || (folds && to == TAPER_F64) ? 1 : taper_dtype_is_float(from) || (folds && taper_dtype_is_float(to)) ? 0 : 2;
    taper_reduce_row row = j->row == TAPER_RED_nansum && type == 2 ? TAPER_RED_sum : j->row;
    if (type == 2 && !reduce_integers[row]) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "\"%s_cuda\" not implemented for '%s'", op, taper_dtype_typename(from));
    for (int d = 0; d < k.nkept; d++) k.kept_inverse[d] = 1 / (double)k.kept_shape[d];
    for (int d = 0; d < k.ninner; d++) k.inner_inverse[d] = 1 / (double)k.inner_shape[d];
    int wide = reduce_wide[row] >> type & 1 ? reduce_dtype_wide(type, from) : 0;
    taper__reduce_cut(&k, (int)taper_dtype_size(from), wide);
    taper_cuda_kernel *kernels = reduce_kernels[type][row];
    int index = in->device.index;
    if (k.parts == 1) return reduce_launch(&k, &kernels[0], k.outputs / k.each, 1, index, op);
    size_t bytes = (size_t)k.parts * (size_t)k.outputs * TAPER_RED_PARTIAL;
    TAPER_TRY(taper__memory_alloc(&k.partial, bytes, in->device, op));
    taper_status st = reduce_launch(&k, &kernels[0], k.outputs / k.each, k.parts, index, op);
    k.width = k.outputs >= 32 ? 32 : 1;
    if (st == TAPER_OK) st = reduce_launch(&k, &kernels[1], k.outputs, 1, index, op);
    taper__memory_free(k.partial, bytes, in->device);
    return st;
}

taper_status taper__reduce_job(taper_reduce_job *j, const taper_call *c, taper_reduce_row row, const taper_arg *dims) {
    *j = (taper_reduce_job){.row = row, .in = c->args[0].t, .out = c->out[0]};
    return taper__dim_mask(&j->mask, dims, j->in->ndim, c->row->name);
}

taper_status taper__reduce_cuda(taper_call *c, taper_reduce_kind kind, const taper_arg *dims) {
    static const taper_reduce_row rows[] = {
        [TAPER_REDUCE_SUM] = TAPER_RED_sum, [TAPER_REDUCE_PROD] = TAPER_RED_prod, [TAPER_REDUCE_MAX] = TAPER_RED_max, [TAPER_REDUCE_MIN] = TAPER_RED_max,
        [TAPER_REDUCE_ANY] = TAPER_RED_any, [TAPER_REDUCE_ALL] = TAPER_RED_any, [TAPER_REDUCE_COUNT] = TAPER_RED_count, [TAPER_REDUCE_NANSUM] = TAPER_RED_nansum,
    };
    taper_reduce_job j;
    TAPER_TRY(taper__reduce_job(&j, c, rows[kind], dims));
    if (kind == TAPER_REDUCE_MIN || kind == TAPER_REDUCE_ALL) j.finish = TAPER_RED_FLIPPED;
    return taper__reduce_device(&j, c->row->name);
}
