/* Running sums and products along a dim, and the sum of the diagonal. */
#include "ops/reduce.h"
#include "ops/scan_cuda.h"
#include "ops/vjp_expr.h"

enum { SCAN_COLUMNS = 256 };

/* self seen as [outer, n, inner]; the running value of a float is a double. */
typedef struct scan_job {
    const taper_tensor *self;
    taper_tensor *out;
    const taper_reduce_loops *loops;
    taper_dtype real;
    int64_t n, inner, blocks;
    bool product;
} scan_job;

static void scan_range(void *ctx, int64_t begin, int64_t end) {
    const scan_job *j = ctx;
    _Alignas(64) char x[SCAN_COLUMNS * 8], y[SCAN_COLUMNS * 8];
    int64_t carry[SCAN_COLUMNS];
    taper_dtype from = (taper_dtype)j->self->dtype, to = (taper_dtype)j->out->dtype;
    int64_t from_size = (int64_t)taper_dtype_size(from), to_size = (int64_t)taper_dtype_size(to);
    for (int64_t item = begin; item < end; item++) {
        int64_t outer = item / j->blocks, col = item % j->blocks * SCAN_COLUMNS, at = outer * j->n * j->inner + col;
        bool lane = j->inner == 1;
        int64_t step = lane ? SCAN_COLUMNS : 1, cols = lane ? 1 : j->inner - col < SCAN_COLUMNS ? j->inner - col : SCAN_COLUMNS;
        j->loops->first(carry, j->product ? TAPER_REDUCE_PROD : TAPER_REDUCE_SUM, cols);
        for (int64_t i = 0; i < j->n; i += step) { /* a piece of the lane, or one row of columns */
            int64_t count = lane ? (j->n - i < step ? j->n - i : step) : cols, place = at + i * j->inner;
            taper__convert(x, j->real, 1, (const char *)taper__data(j->self) + place * from_size, from, 1, count);
            if (lane) j->loops->scan(y, x, count, carry, j->product);
            else j->loops->scan_row(y, x, (int)count, carry, j->product);
            taper__convert((char *)taper__data(j->out) + place * to_size, to, 1, y, j->real, 1, count);
        }
    }
}

static taper_status scan_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    taper_dtype dtype = c->args[2].kind == TAPER_ARG_DTYPE ? c->args[2].dtype : (taper_dtype)self->dtype;
    int d;
    TAPER_TRY(taper__wrap_dim(&d, c->args[1].i, self->ndim, c->row->name));
    if (c->args[2].kind != TAPER_ARG_DTYPE && !taper_dtype_is_float(dtype)) dtype = TAPER_I64;
    return taper__out(c, 0, dtype, self->ndim, self->shape);
}
static taper_status scan_cpu(taper_call *c, bool product) {
    const taper_tensor *self = c->args[0].t;
    taper_dtype to = (taper_dtype)c->out[0]->dtype;
    scan_job j = {.self = self, .out = c->out[0], .n = 1, .inner = 1, .product = product};
    if (!self->numel) return TAPER_OK;
    int d;
    TAPER_TRY(taper__wrap_dim(&d, c->args[1].i, self->ndim, c->row->name));
    if (self->ndim) j.n = self->shape[d];
    for (int k = d + 1; k < self->ndim; k++) j.inner *= self->shape[k];
    taper_compute compute = to == TAPER_F64 ? TAPER_COMPUTE_F64 : taper_dtype_is_float(to) ? TAPER_COMPUTE_F32 : TAPER_COMPUTE_I64;
    j.real = compute == TAPER_COMPUTE_F32 ? TAPER_F32 : compute == TAPER_COMPUTE_F64 ? TAPER_F64 : TAPER_I64;
    j.loops = taper__reduce_loops(compute);
    j.blocks = (j.inner + SCAN_COLUMNS - 1) / SCAN_COLUMNS;
    taper__parallel_for(self->numel / (j.n * j.inner) * j.blocks, 1 + 32768 / (self->numel / (self->numel / (j.n * j.inner) * j.blocks) + 1),
                        scan_range, &j);
    return TAPER_OK;
}
static taper_status cumsum_cpu(taper_call *c) { return scan_cpu(c, false); }
static taper_status cumprod_cpu(taper_call *c) { return scan_cpu(c, true); }
static taper_status scan_cuda(taper_call *c, bool product) {
    int d;
    TAPER_TRY(taper__wrap_dim(&d, c->args[1].i, c->args[0].t->ndim, c->row->name));
    return taper__scan_cuda(c->out[0], c->args[0].t, d, product, c->row->name);
}
static taper_status cumsum_cuda(taper_call *c) { return scan_cuda(c, false); }
static taper_status cumprod_cuda(taper_call *c) { return scan_cuda(c, true); }
static const taper_kernel cumsum_kernels[] = {{"cpu", TAPER_CPU, NULL, cumsum_cpu}, {"cuda", TAPER_CUDA, NULL, cumsum_cuda}, {0}};
static const taper_kernel cumprod_kernels[] = {{"cpu", TAPER_CPU, NULL, cumprod_cpu}, {"cuda", TAPER_CUDA, NULL, cumprod_cuda}, {0}};

/* The sum of this element and all that follow. */
static taper_tensor *scan_back(taper_scope *s, taper_tensor *t, int64_t dim) {
    if (!t || !t->ndim) return t;
    return tx_flip(s, tx_cumsum(s, tx_flip(s, t, &dim, 1), dim, TAPER_DTYPE_NONE), &dim, 1);
}
static taper_status cumsum_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *g = scan_back(s, v->grad[0], v->args[1].i);
    v->d[0] = g && g->dtype != v->args[0].t->dtype ? tx_to(s, g, NULL, (taper_dtype)v->args[0].t->dtype, false, false) : g;
    return s->status;
}

/* Sum of g y over what follows, divided by x. Beyond the first zero of a lane nothing moves the products; for that zero
 * they are taken with a 1 in its place. */
static taper_status cumprod_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[0].t, *one = taper__number(s, 1), *g = v->grad[0];
    int64_t dim = v->args[1].i;
    taper_tensor *zero = tx_eq(s, x, taper__number(s, 0));
    taper_tensor *first = tx_logical_and(s, zero, tx_eq(s, tx_cumsum(s, zero, dim, TAPER_DTYPE_NONE), one));
    taper_tensor *filled = tx_where(s, zero, one, x), *after = tx_where(s, first, one, x);
    taper_tensor *y = tx_cumprod(s, x, dim, TAPER_DTYPE_NONE), *y_after = tx_cumprod(s, after, dim, TAPER_DTYPE_NONE);
    taper_tensor *usual = vx_drop(s, zero, vx_div(s, scan_back(s, tx_mul(s, g, y), dim), filled));
    v->d[0] = tx_where(s, first, scan_back(s, tx_mul(s, g, y_after), dim), usual);
    if (v->d[0] && v->d[0]->dtype != x->dtype) v->d[0] = tx_to(s, v->d[0], NULL, (taper_dtype)x->dtype, false, false);
    return s->status;
}

#define SCAN_SAMPLES                                                                                                   \
    {"[2,3], 1"}, {"[2,3,4], 1"}, {"[7], -1"}, {"[4]:i64<4, 0"}, {"[3]:i64<4, 0, dtype=float32"}, {"[40,30], 0"}, {"[0,3], 0"}, {"[], 0"}, \
        {"[2,3], 2", .error = "Dimension out of range"}, {0}

const taper_op taper_op_cumsum = {
    .infer = scan_infer,
    .kernels = cumsum_kernels,
    .vjp = cumsum_vjp,
    .contiguous = 1,
    .samples = (const taper_sample[]){{"[3,500], 1"},
                                      {"[300,1024], 1", .large = true},
                                      {"[3,50257], 1", .tolerance = 1e-4, .large = true},
                                      {"[70,4096], 0", .large = true},
                                      {"[5000,7], 0", .tolerance = 1e-4, .large = true},
                                      SCAN_SAMPLES},
};
const taper_op taper_op_cumprod = {
    .infer = scan_infer,
    .kernels = cumprod_kernels,
    .vjp = cumprod_vjp,
    .saves = TAPER_SAVE_ARG(0),
    .contiguous = 1,
    .samples = (const taper_sample[]){SCAN_SAMPLES},
};

static taper_status trace_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    if (self->ndim != 2) return TAPER_FAIL(TAPER_RUNTIME, "trace: expected a matrix, but got tensor with dim %d (shape %s)", self->ndim, TAPER_SHAPE(self));
    c->out[0] = taper_scope_keep(s, tx_sum(s, tx_diagonal(s, self, 0, 0, 1), NULL, 0, false, TAPER_DTYPE_NONE));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_trace = {
    .compose = trace_compose,
    .samples = (const taper_sample[]){{"[3,3]"}, {"[2,4]"}, {"[3,3]:i64"}, {"[0,3]"}, {"[3]", .error = "trace: expected a matrix"}, {0}},
};
