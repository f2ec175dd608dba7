/* Nearest and bilinear resampling. Each result mixes two rows and two columns of its plane; nearest has the weight of the second
 * at zero. Both are linear, so that the gradient of each gradient is the resampling itself. */
#include <math.h>

#include "device/cuda/cuda.h"
#include "ops/pool.h"
#include "ops/upsample_args.h"

/* Result i of a dim takes (1 - weight) of lo and weight of hi. */
typedef struct upsample_axis {
    int64_t in, out;
    int64_t *lo, *hi;
    double *weight;
} upsample_axis;

typedef struct upsample_job {
    upsample_axis axis[2];
    const void *from;
    void *to;
    bool nearest;
} upsample_job;

/* Torch computes positions in float, except bilinear ones of double tensors. */
static void upsample_axis_fill(upsample_axis *a, bool nearest, bool align, bool wide, double factor) {
    for (int64_t i = 0; i < a->out; i++) {
        a->weight[i] = 0;
        if (nearest) {
            float scale = factor > 0 ? (float)(1 / factor) : (float)a->in / (float)a->out;
            int64_t at = a->out == a->in ? i : a->out == 2 * a->in ? i / 2 : (int64_t)floorf((float)i * scale);
            a->lo[i] = a->hi[i] = at < a->in ? at : a->in - 1;
            continue;
        }
        double scale, at;
        if (align)
            scale = a->out > 1 ? (double)(a->in - 1) / (double)(a->out - 1) : 0;
        else
            scale = factor > 0 ? 1 / factor : (double)a->in / (double)a->out;
        if (wide)
            at = align ? scale * (double)i : scale * ((double)i + 0.5) - 0.5;
        else
            at = align ? (float)scale * (float)i : (float)scale * ((float)i + 0.5f) - 0.5f;
        at = at > 0 ? at : 0;
        int64_t lo = (int64_t)at < a->in - 1 ? (int64_t)at : a->in - 1;
        double weight = at - (double)lo;
        a->lo[i] = lo;
        a->hi[i] = lo + (lo < a->in - 1);
        a->weight[i] = weight < 0 ? 0 : weight > 1 ? 1 : weight;
    }
}

#define UPSAMPLE_LOOPS(T, X)                                                                                           \
    static void upsample_forward_##X(void *ctx, int64_t begin, int64_t end) {                                          \
        const upsample_job *j = ctx;                                                                                   \
        const upsample_axis *r = &j->axis[0], *c = &j->axis[1];                                                        \
        for (int64_t p = begin; p < end; p++) {                                                                        \
            const T *x = (const T *)j->from + p * r->in * c->in;                                                       \
            T *y = (T *)j->to + p * r->out * c->out;                                                                   \
            for (int64_t i = 0; i < r->out; i++) {                                                                     \
                const T *a = x + r->lo[i] * c->in, *b = x + r->hi[i] * c->in;                                          \
                T v = (T)r->weight[i], u = 1 - v;                                                                      \
                for (int64_t k = 0; k < c->out; k++, y++) {                                                            \
                    int64_t lo = c->lo[k], hi = c->hi[k];                                                              \
                    T s = (T)c->weight[k], t = 1 - s;                                                                  \
                    *y = j->nearest ? a[lo] : u * (t * a[lo] + s * a[hi]) + v * (t * b[lo] + s * b[hi]);               \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void upsample_backward_##X(void *ctx, int64_t begin, int64_t end) {                                         \
        const upsample_job *j = ctx;                                                                                   \
        const upsample_axis *r = &j->axis[0], *c = &j->axis[1];                                                        \
        for (int64_t p = begin; p < end; p++) {                                                                        \
            const T *g = (const T *)j->from + p * r->out * c->out;                                                     \
            T *x = (T *)j->to + p * r->in * c->in;                                                                     \
            memset(x, 0, sizeof(T) * (size_t)(r->in * c->in));                                                         \
            for (int64_t i = 0; i < r->out; i++) {                                                                     \
                T *a = x + r->lo[i] * c->in, *b = x + r->hi[i] * c->in;                                                \
                T v = (T)r->weight[i], u = 1 - v;                                                                      \
                for (int64_t k = 0; k < c->out; k++, g++) {                                                            \
                    int64_t lo = c->lo[k], hi = c->hi[k];                                                              \
                    T s = (T)c->weight[k], t = 1 - s;                                                                  \
                    a[lo] += u * t * *g;                                                                               \
                    if (j->nearest) continue;                                                                          \
                    a[hi] += u * s * *g;                                                                               \
                    b[lo] += v * t * *g;                                                                               \
                    b[hi] += v * s * *g;                                                                               \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
UPSAMPLE_LOOPS(float, f32)
UPSAMPLE_LOOPS(double, f64)

/* The arguments of all four rows, wherever they stand. */
typedef struct upsample_args {
    int64_t in[2], out[2], planes;
    bool nearest, align;
    double factor[2];
} upsample_args;

static taper_status upsample_read(upsample_args *u, const taper_call *c, bool nearest, bool back) {
    const taper_arg *args = c->args, *size = &args[1];
    const int64_t *shape = back ? args[2].is : args[0].t->shape;
    int ndim = back ? args[2].count : args[0].t->ndim, k = back ? 3 : 2;
    if (size->count != 2)
        return TAPER_FAIL(TAPER_RUNTIME, "It is expected output_size equals to 2, but got size %d", size->count);
    if (ndim != 4) return TAPER_FAIL(TAPER_RUNTIME, "It is expected input_size equals to 4, but got size %d (input %s)", ndim, taper__shape_text(ndim, shape).s);
    *u = (upsample_args){.in = {shape[2], shape[3]}, .out = {size->is[0], size->is[1]}, .planes = shape[0] * shape[1], .nearest = nearest};
    if (!nearest) u->align = args[k++].i;
    for (int d = 0; d < 2; d++)
        if (args[k + d].kind != TAPER_ARG_NONE) u->factor[d] = taper_arg_double(&args[k + d]);
    if (u->in[0] <= 0 || u->in[1] <= 0 || u->out[0] <= 0 || u->out[1] <= 0)
        return TAPER_FAIL(TAPER_RUNTIME, "Input and output sizes should be greater than 0, but got input (H: %lld, W: %lld) output (H: %lld, W: %lld)",
                          (long long)u->in[0], (long long)u->in[1], (long long)u->out[0], (long long)u->out[1]);
    return taper__need_float(args[0].t, c->row->name);
}

static taper_status upsample_infer(taper_call *c, bool nearest, bool back) {
    upsample_args u;
    const taper_tensor *t = c->args[0].t;
    TAPER_TRY(upsample_read(&u, c, nearest, back));
    const int64_t *lead = back ? c->args[2].is : t->shape;
    int64_t small[4] = {lead[0], lead[1], u.in[0], u.in[1]}, large[4] = {lead[0], lead[1], u.out[0], u.out[1]};
    if (back && (t->ndim != 4 || memcmp(t->shape, large, sizeof large)))
        return TAPER_FAIL(TAPER_RUNTIME, "Expected grad_output to have the same shape as output; output.size: %s but got grad_output.size: %s",
                          taper__shape_text(4, large).s, TAPER_SHAPE(t));
    return taper__out(c, 0, (taper_dtype)t->dtype, 4, back ? small : large);
}

static taper_status upsample_cpu(taper_call *c, bool nearest, bool back) {
    upsample_args u;
    TAPER_TRY(upsample_read(&u, c, nearest, back));
    bool wide = c->out[0]->dtype == TAPER_F64;
    upsample_job j = {.from = taper__data(c->args[0].t), .to = taper__data(c->out[0]), .nearest = nearest};
    int64_t n = u.out[0] + u.out[1], *block = taper__alloc(sizeof *block * 3 * (size_t)n);
    if (!block) return TAPER_FAIL(TAPER_MEMORY, "%s: no memory for %lld positions", c->row->name, (long long)n);
    int64_t *at = block;
    for (int d = 0; d < 2; d++) {
        j.axis[d] = (upsample_axis){u.in[d], u.out[d], at, at + u.out[d], (double *)(at + 2 * u.out[d])};
        upsample_axis_fill(&j.axis[d], nearest, u.align, wide, u.factor[d]);
        at += 3 * u.out[d];
    }
    taper__parallel_for(u.planes, 1 + 8192 / (u.out[0] * u.out[1]),
                        back ? (wide ? upsample_backward_f64 : upsample_backward_f32) : (wide ? upsample_forward_f64 : upsample_forward_f32), &j);
    taper__free(block);
    return TAPER_OK;
}

#define UPSAMPLE_KERNEL(name) {TAPER_CUDA_KERNEL("upsample", "upsample_" name "_f32"), TAPER_CUDA_KERNEL("upsample", "upsample_" name "_f64")}
static taper_cuda_kernel upsample_kernels[2][2] = {UPSAMPLE_KERNEL("forward"), UPSAMPLE_KERNEL("backward")};

static taper_status upsample_cuda(taper_call *c, bool nearest, bool back) {
    upsample_args u;
    taper_tensor *to = c->out[0];
    TAPER_TRY(upsample_read(&u, c, nearest, back));
    if (!to->numel) return TAPER_OK;
    bool wide = to->dtype == TAPER_F64;
    taper_upsample_args a = {.from = taper__data(c->args[0].t), .to = taper__data(to), .planes = u.planes, .nearest = nearest, .align = u.align,
                             .wide = wide, .dtype = to->dtype};
    for (int d = 0; d < 2; d++) {
        if (u.in[d] > INT32_MAX || u.out[d] > INT32_MAX)
            return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: planes of %s are more than the GPU kernel takes", c->row->name, taper__shape_text(2, u.out).s);
        a.in[d] = (int)u.in[d], a.out[d] = (int)u.out[d];
        a.factor[d] = u.factor[d];
    }
    int64_t blocks = (to->numel + 255) / 256;
    taper_cuda_geometry g = {.grid = {(unsigned)(blocks < 1 << 30 ? blocks : 1 << 30), 1, 1}, .block = {256, 1, 1}};
    void *args[] = {&a};
    return taper__cuda_launch(&upsample_kernels[back][wide], to->device.index, &g, args, c->row->name);
}

static const double *upsample_factor(const taper_arg *a) { return a->kind == TAPER_ARG_NONE ? NULL : &a->f; }

#define UPSAMPLE_ROW(name, nearest, back)                                                                              \
    static taper_status name##_infer(taper_call *c) { return upsample_infer(c, nearest, back); }                       \
    static taper_status name##_cpu(taper_call *c) { return upsample_cpu(c, nearest, back); }                           \
    static taper_status name##_cuda(taper_call *c) { return upsample_cuda(c, nearest, back); }                         \
    static const taper_kernel name##_kernels[] = {{"cpu", TAPER_CPU, NULL, name##_cpu}, {"cuda", TAPER_CUDA, NULL, name##_cuda}, {0}};
UPSAMPLE_ROW(upsample_nearest2d, true, false)
UPSAMPLE_ROW(upsample_nearest2d_backward, true, true)
UPSAMPLE_ROW(upsample_bilinear2d, false, false)
UPSAMPLE_ROW(upsample_bilinear2d_backward, false, true)

static taper_status upsample_nearest2d_vjp(taper_vjp *v) {
    v->d[0] = tx_upsample_nearest2d_backward(v->scope, v->grad[0], v->args[1].is, 2, v->args[0].t->shape, 4, upsample_factor(&v->args[2]),
                                             upsample_factor(&v->args[3]));
    return v->scope->status;
}
static taper_status upsample_nearest2d_backward_vjp(taper_vjp *v) {
    v->d[0] = tx_upsample_nearest2d(v->scope, v->grad[0], v->args[1].is, 2, upsample_factor(&v->args[3]), upsample_factor(&v->args[4]));
    return v->scope->status;
}
static taper_status upsample_bilinear2d_vjp(taper_vjp *v) {
    v->d[0] = tx_upsample_bilinear2d_backward(v->scope, v->grad[0], v->args[1].is, 2, v->args[0].t->shape, 4, v->args[2].i,
                                              upsample_factor(&v->args[3]), upsample_factor(&v->args[4]));
    return v->scope->status;
}
static taper_status upsample_bilinear2d_backward_vjp(taper_vjp *v) {
    v->d[0] = tx_upsample_bilinear2d(v->scope, v->grad[0], v->args[1].is, 2, v->args[3].i, upsample_factor(&v->args[4]),
                                     upsample_factor(&v->args[5]));
    return v->scope->status;
}

const taper_op taper_op_upsample_nearest2d = {
    .infer = upsample_nearest2d_infer,
    .kernels = upsample_nearest2d_kernels,
    .vjp = upsample_nearest2d_vjp,
    .contiguous = 1 << 0,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,2,3], (4,6)"},
                                      {"[1,2,4,5], (7,3)"},
                                      {"[1,2,3,3], (7,7), 2.5, 2.5"},
                                      {"[1,5,4], (2,2)", .error = "It is expected input_size equals to 4, but got size 3"},
                                      {0}},
};
const taper_op taper_op_upsample_nearest2d_backward = {
    .infer = upsample_nearest2d_backward_infer,
    .kernels = upsample_nearest2d_backward_kernels,
    .vjp = upsample_nearest2d_backward_vjp,
    .contiguous = 1 << 0,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,4,6], (4,6), (2,3,2,3)"},
                                      {"[1,2,4,6], (4,5), (1,2,2,3)", .error = "but got grad_output.size: [1, 2, 4, 6]"},
                                      {0}},
};
const taper_op taper_op_upsample_bilinear2d = {
    .infer = upsample_bilinear2d_infer,
    .kernels = upsample_bilinear2d_kernels,
    .vjp = upsample_bilinear2d_vjp,
    .contiguous = 1 << 0,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,2,3], (4,6), false"},
                                      {"[1,2,4,5], (7,3), true"},
                                      {"[1,2,3,3], (7,7), false, 2.5, 2.5"},
                                      {"[1,5,4], (2,2), false", .error = "It is expected input_size equals to 4, but got size 3"},
                                      {0}},
};
const taper_op taper_op_upsample_bilinear2d_backward = {
    .infer = upsample_bilinear2d_backward_infer,
    .kernels = upsample_bilinear2d_backward_kernels,
    .vjp = upsample_bilinear2d_backward_vjp,
    .contiguous = 1 << 0,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,4,6], (4,6), (2,3,2,3), false"},
                                      {"[1,2,4,6], (4,5), (1,2,2,3), true", .error = "but got grad_output.size: [1, 2, 4, 6]"},
                                      {0}},
};

static taper_status upsample_nearest1d_compose(taper_call *c, taper_scope *s) {
    taper_tensor *x = c->args[0].t;
    const taper_arg *size = &c->args[1];
    if (x->ndim != 3) return TAPER_FAIL(TAPER_RUNTIME, "It is expected input_size equals to 3, but got size %d (input %s)", x->ndim, TAPER_SHAPE(x));
    if (size->count != 1) return TAPER_FAIL(TAPER_RUNTIME, "It is expected output_size equals to 1, but got size %d", size->count);
    taper_tensor *y = tx_upsample_nearest2d(s, taper__rows_as_images(s, x), (int64_t[]){1, size->is[0]}, 2, NULL, upsample_factor(&c->args[2]));
    c->out[0] = taper_scope_keep(s, taper__images_as_rows(s, y));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_upsample_nearest1d = {
    .compose = upsample_nearest1d_compose,
    .samples = (const taper_sample[]){{"[2,3,4], (8)"}, {"[2,3,4], (10), 2.5"}, {"[3,4], (8)", .error = "It is expected input_size equals to 3, but got size 2"}, {0}},
};
