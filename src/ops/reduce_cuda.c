/* Reductions on the GPU: how the work is cut, and the one or two launches. */
#include "ops/reduce_cuda.h"

#include "ops/reduce.h"

#define RED_ROWS(type)                                                                                                 \
    {                                                                                                                  \
        TAPER_CUDA_KERNEL("reduce", "red_" type "_sum"), TAPER_CUDA_KERNEL("reduce", "red_" type "_prod"),             \
            TAPER_CUDA_KERNEL("reduce", "red_" type "_max"), TAPER_CUDA_KERNEL("reduce", "red_" type "_min"),          \
            TAPER_CUDA_KERNEL("reduce", "red_" type "_any"), TAPER_CUDA_KERNEL("reduce", "red_" type "_all"),          \
    }
static taper_cuda_kernel reduce_kernels[3][TAPER_RED_COUNT] = {RED_ROWS("f32"), RED_ROWS("f64"), RED_ROWS("i64")};

void taper__reduce_cut(taper_reduce_args *k) {
    enum { WANTED = 1056, LEAST = 2048 }; /* blocks that fill a large GPU; elements that are worth a block of their own */
    k->columns = k->ninner && k->nkept && k->inner_stride[k->ninner - 1] != 1 && k->kept_stride[k->nkept - 1] == 1;
    if (k->columns) {
        k->width = 32;
    } else {
        k->width = 1;
        while (k->width < 128 && k->inner * k->width * 2 <= TAPER_RED_THREADS * 4) k->width *= 2;
    }
    int64_t blocks = (k->outputs + k->width - 1) / k->width, parts = 1, work = k->inner * k->width;
    if (blocks < WANTED) parts = WANTED / (blocks ? blocks : 1);
    if (parts > work / LEAST) parts = work / LEAST;
    if (parts > 1024) parts = 1024;
    if (parts < 1) parts = 1;
    k->chunk = (k->inner + parts - 1) / parts;
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

static taper_status reduce_launch(const taper_reduce_args *k, taper_cuda_kernel *kernel, int index, const char *op) {
    int64_t blocks = (k->outputs + k->width - 1) / k->width;
    taper_cuda_geometry g = {.grid = {(unsigned)(blocks < 1 << 30 ? blocks : 1 << 30), (unsigned)k->parts, 1}, .block = {TAPER_RED_THREADS, 1, 1}};
    void *args[1] = {(void *)k};
    return taper__cuda_launch(kernel, index, &g, args, op);
}

taper_status taper__reduce_device(taper_tensor *out, const taper_tensor *in, uint32_t mask, taper_reduce_row row, double scale, const char *op) {
    taper_reduce_args k = {.in = taper__data(in), .out = taper__data(out), .outputs = out->numel, .inner = 1, .scale = scale,
                           .dtype_in = in->dtype, .dtype_out = out->dtype};
    if (!out->numel) return TAPER_OK;
    for (int d = 0; d < in->ndim; d++) {
        if (mask >> d & 1) {
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
    taper__reduce_cut(&k);
    int type = in->dtype == TAPER_F64 || out->dtype == TAPER_F64 ? 1
               : taper_dtype_is_float((taper_dtype)in->dtype) || taper_dtype_is_float((taper_dtype)out->dtype) ? 0 : 2;
    size_t bytes = (size_t)k.parts * (size_t)k.outputs * (type ? 8 : 4);
    taper_cuda_kernel *kernel = &reduce_kernels[type][row];
    if (k.parts == 1) return reduce_launch(&k, kernel, in->device.index, op);
    TAPER_TRY(taper__memory_alloc(&k.partial, bytes, in->device, op));
    taper_status st = reduce_launch(&k, kernel, in->device.index, op);
    /* The parts of an output lie `outputs` apart: columns of a matrix in the accumulation type. */
    taper_reduce_args second = {.in = k.partial, .out = k.out, .outputs = k.outputs, .inner = k.parts, .chunk = k.parts, .scale = scale,
                                .dtype_in = type == 0 ? TAPER_F32 : type == 1 ? TAPER_F64 : TAPER_I64, .dtype_out = out->dtype, .parts = 1,
                                .width = k.outputs >= 32 ? 32 : 1, .columns = k.outputs >= 32, .nkept = 1, .ninner = 1};
    second.kept_shape[0] = k.outputs;
    second.kept_stride[0] = 1;
    second.inner_shape[0] = k.parts;
    second.inner_stride[0] = k.outputs;
    if (st == TAPER_OK) st = reduce_launch(&second, kernel, in->device.index, op);
    taper__memory_free(k.partial, bytes, in->device);
    return st;
}

taper_status taper__reduce_cuda(taper_call *c, taper_reduce_kind kind, const taper_arg *dims) {
    uint32_t mask;
    TAPER_TRY(taper__dim_mask(&mask, dims, c->args[0].t->ndim, c->row->name));
    if (kind != TAPER_REDUCE_SUM) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "\"%s_cuda\" is not implemented for this reduction", c->row->name);
    return taper__reduce_device(c->out[0], c->args[0].t, mask, TAPER_RED_SUM, 1, c->row->name);
}
