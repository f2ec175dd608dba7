/* Element-wise calls on the GPU: from the call to a kernel's arguments and grid. */
#include "ops/pointwise_cuda.h"

#include "ops/pointwise_loops.h"

/* By compute type, in the order of the rows. Rows for floats only have no integer kernel: finding it fails by name. */
#define PW_ROW(image, type, row) TAPER_CUDA_KERNEL(image, "pw_" type "_" #row)
static taper_cuda_kernel pointwise_kernels[TAPER_COMPUTE_COUNT][sizeof(taper_pointwise_loops) / sizeof(taper_block_fn)] = {
    {
#define PW_N(name, ...) PW_ROW("pointwise_f32", "f32", name),
#define PW_F(name, ...) PW_ROW("pointwise_f32", "f32", name),
#include "ops/pointwise_rows.def"
#undef PW_N
#undef PW_F
    },
    {
#define PW_N(name, ...) PW_ROW("pointwise_f64", "f64", name),
#define PW_F(name, ...) PW_ROW("pointwise_f64", "f64", name),
#include "ops/pointwise_rows.def"
#undef PW_N
#undef PW_F
    },
    {
#define PW_N(name, ...) PW_ROW("pointwise_i64", "i64", name),
#define PW_F(name, ...) {0},
#include "ops/pointwise_rows.def"
#undef PW_N
#undef PW_F
    },
};

unsigned taper__pointwise_blocks(int64_t n, int each, int multiprocessors) {
    int64_t per = (int64_t)TAPER_PWA_THREADS * each, blocks = (n + per - 1) / per, most = (int64_t)multiprocessors * 32;
    return (unsigned)(blocks < 1 ? 1 : blocks < most ? blocks : most);
}

taper_cuda_geometry taper__pointwise_geometry(const taper_pointwise_args *k, int multiprocessors) {
    unsigned blocks = taper__pointwise_blocks(k->n, k->flat == 2 ? TAPER_PWA_VECTOR : 1, multiprocessors);
    return (taper_cuda_geometry){.grid = {blocks, 1, 1}, .block = {TAPER_PWA_THREADS, 1, 1}};
}

void taper__pointwise_args_fill(taper_pointwise_args *k, const taper_iter *it) {
    k->n = it->numel;
    k->ndim = it->ndim;
    k->flat = it->ndim == 1 && it->strides[0][0] == 1 ? 2 : 0;
    for (int i = 0; i < it->count; i++) {
        int64_t stride = it->strides[i][0];
        k->data[i] = it->data[i];
        k->dtype[i] = (uint8_t)it->dtype[i];
        k->step[i] = stride != 0;
        if (!it->data[i]) continue;
        if (stride != 0 && stride != 1) k->flat = 0;
        if (k->flat == 2 && stride && (uintptr_t)it->data[i] % 16) k->flat = 1;
    }
    for (int i = 0; i < it->count; i++) memcpy(k->strides[i], it->strides[i], sizeof(int64_t) * (size_t)it->ndim);
    memcpy(k->shape, it->shape, sizeof(int64_t) * (size_t)it->ndim);
    for (int d = 0; d < it->ndim; d++) k->inverse[d] = 1 / (double)it->shape[d];
}

bool taper__pointwise_rows(taper_pointwise_args *k, int operands) {
    int64_t n = k->ndim == 2 ? k->shape[1] : 0;
    if (n < TAPER_PWA_EIGHT || n % TAPER_PWA_EIGHT || k->strides[0][0] != n || k->strides[0][1] != 1) return false;
    for (int i = 0; i <= operands; i++) {
        int64_t row = k->strides[i][0], one = k->strides[i][1];
        if (!k->data[i]) continue;
        if (one != 0 && (one != 1 || row % TAPER_PWA_EIGHT || (uintptr_t)k->data[i] % 16)) return false;
    }
    for (int i = 0; i <= operands; i++) k->step[i] = k->data[i] && k->strides[i][1] != 0;
    k->flat = 3;
    return true;
}

/* Whether the float kernels have an access of eight elements for every operand. */
static bool pointwise_has_eight(const taper_pointwise_args *k, int operands) {
    for (int i = 0; i <= operands; i++) {
        int d = k->dtype[i];
        if (k->data[i] && d != TAPER_F32 && d != TAPER_BF16 && d != TAPER_F16 && d != TAPER_BOOL && d != TAPER_U8) return false;
    }
    return true;
}

/* A number operand: an argument, or a tensor of one element that lives on the CPU. */
static void pointwise_number(taper_pointwise_args *k, int i, const taper_arg *a) {
    if (a->kind == TAPER_ARG_TENSOR) {
        k->number[i] = taper__load_double(taper__data(a->t), (taper_dtype)a->t->dtype);
        k->integer[i] = taper_dtype_is_float((taper_dtype)a->t->dtype) ? (int64_t)k->number[i]
                                                                       : taper__load_int(taper__data(a->t), (taper_dtype)a->t->dtype);
    } else if (a->kind == TAPER_ARG_FLOAT) {
        k->number[i] = a->f;
        k->integer[i] = a->f > -9.2e18 && a->f < 9.2e18 ? (int64_t)a->f : INT64_MIN;
    } else {
        k->number[i] = (double)a->i;
        k->integer[i] = a->i;
    }
}

taper_status taper__pointwise_cuda(taper_call *c, int operands, taper_pointwise_class class_, taper_loop loop) {
    taper_iter it;
    taper_tensor *in[TAPER_ITER_OPERANDS] = {NULL};
    taper_pointwise_args k;
    if (!c->out[0]->numel) return TAPER_OK;
    taper_dtype dtype = taper__pointwise_dtype(c, operands, class_);
    taper_compute compute = dtype == TAPER_F64 ? TAPER_COMPUTE_F64 : taper_dtype_is_float(dtype) ? TAPER_COMPUTE_F32 : TAPER_COMPUTE_I64;
    taper_cuda_kernel *kernel = &pointwise_kernels[compute][loop.place / sizeof(taper_block_fn)];
    if (!kernel->name || operands >= TAPER_PWA_OPERANDS || c->nargs - operands > TAPER_PWA_PARAMS)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "\"%s_cuda\" not implemented for '%s'", c->row->name, taper_dtype_typename(dtype));
    for (int i = operands; i < c->nargs; i++) {
        const taper_arg *a = &c->args[i];
        bool number = a->kind == TAPER_ARG_FLOAT || a->kind == TAPER_ARG_INT || a->kind == TAPER_ARG_BOOL;
        k.params[i - operands] = number ? taper_arg_double(a) : 0;
    }
    for (int i = 0; i < operands; i++) {
        const taper_arg *a = &c->args[i];
        it.data[i + 1] = NULL;
        it.dtype[i + 1] = dtype;
        if (a->kind == TAPER_ARG_TENSOR && a->t->device.type == TAPER_CUDA) in[i] = a->t;
        else pointwise_number(&k, i + 1, a);
    }
    taper__iter_init(&it, c->out[0], in, operands);
    taper__pointwise_args_fill(&k, &it);
    bool eight = compute == TAPER_COMPUTE_F32 && pointwise_has_eight(&k, operands);
    if (eight && !k.flat) taper__pointwise_rows(&k, operands);
    if (!eight && k.flat == 2) k.flat = 1;
    taper_cuda_geometry g = taper__pointwise_geometry(&k, taper__cuda_multiprocessors(c->device.index));
    if (eight && k.flat >= 2) g.grid[0] = taper__pointwise_blocks(k.n, TAPER_PWA_EIGHT, taper__cuda_multiprocessors(c->device.index));
    void *args[1] = {&k};
    return taper__cuda_launch(kernel, c->device.index, &g, args, c->row->name);
}
