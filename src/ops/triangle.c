/* Triangles and diagonals of matrices: tril, triu, their indices, eye, diag, diag_embed, diagflat. */
#include "ops/range_cuda.h"
#include "ops/triangle_cuda.h"

static taper_status triangle_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    if (self->ndim < 2) return TAPER_FAIL(TAPER_RUNTIME, "%s: input tensor must have at least 2 dimensions, got %s", c->row->name, TAPER_TEXT(self));
    return taper__out(c, 0, (taper_dtype)self->dtype, self->ndim, self->shape);
}

typedef struct triangle_job {
    const char *src;
    char *dst;
    int64_t rows, cols, diagonal, e;
    bool upper;
} triangle_job;

static void triangle_rows(void *ctx, int64_t begin, int64_t end) {
    const triangle_job *j = ctx;
    int64_t row_bytes = j->cols * j->e;
    for (int64_t r = begin; r < end; r++) {
        int64_t edge = r % j->rows + j->diagonal + (j->upper ? 0 : 1); /* lower keeps [0, edge), upper [edge, cols) */
        edge = edge < 0 ? 0 : edge > j->cols ? j->cols : edge;
        const char *p = j->src + r * row_bytes;
        char *o = j->dst + r * row_bytes;
        int64_t cut = edge * j->e;
        if (j->upper) {
            memset(o, 0, (size_t)cut);
            memcpy(o + cut, p + cut, (size_t)(row_bytes - cut));
        } else {
            memcpy(o, p, (size_t)cut);
            memset(o + cut, 0, (size_t)(row_bytes - cut));
        }
    }
}
static taper_status triangle_run(taper_call *c, bool upper) {
    const taper_tensor *self = c->args[0].t;
    if (!self->numel) return TAPER_OK;
    triangle_job j = {taper__data(self), taper__data(c->out[0]), self->shape[self->ndim - 2], self->shape[self->ndim - 1], c->args[1].i,
                      (int64_t)taper_dtype_size((taper_dtype)self->dtype), upper};
    taper__parallel_for(self->numel / j.cols, 1 + 32768 / j.cols, triangle_rows, &j);
    return TAPER_OK;
}
static taper_status tril_cpu(taper_call *c) { return triangle_run(c, false); }
static taper_status triu_cpu(taper_call *c) { return triangle_run(c, true); }
static taper_status tril_gpu(taper_call *c) { return taper__triangle_cuda(c->out[0], c->args[0].t, c->args[1].i, false, "tril"); }
static taper_status triu_gpu(taper_call *c) { return taper__triangle_cuda(c->out[0], c->args[0].t, c->args[1].i, true, "triu"); }
static const taper_kernel tril_kernels[] = {{"cpu", TAPER_CPU, NULL, tril_cpu}, {"cuda", TAPER_CUDA, NULL, tril_gpu}, {0}};
static const taper_kernel triu_kernels[] = {{"cpu", TAPER_CPU, NULL, triu_cpu}, {"cuda", TAPER_CUDA, NULL, triu_gpu}, {0}};
static taper_status tril_vjp(taper_vjp *v) {
    v->d[0] = tx_tril(v->scope, v->grad[0], v->args[1].i);
    return v->scope->status;
}
static taper_status triu_vjp(taper_vjp *v) {
    v->d[0] = tx_triu(v->scope, v->grad[0], v->args[1].i);
    return v->scope->status;
}
static const taper_sample triangle_samples[] = {{"[3,4]"}, {"[4,3], -1"}, {"[2,3,3], 1"}, {"[2,2], 5"}, {"[0,3]"}, {"[3,3]:i64"}, {"[3]", .error = "at least 2 dimensions"}, {0}};
const taper_op taper_op_tril = {.infer = triangle_infer, .kernels = tril_kernels, .vjp = tril_vjp, .contiguous = 1, .samples = triangle_samples};
const taper_op taper_op_triu = {.infer = triangle_infer, .kernels = triu_kernels, .vjp = triu_vjp, .contiguous = 1, .samples = triangle_samples};

/* ---- indices ---- */

static int64_t triangle_first(int64_t r, int64_t offset, int64_t col, bool upper) {
    int64_t at = upper ? r + offset : 0;
    return at < 0 ? 0 : at > col ? col : at;
}
static int64_t triangle_last(int64_t r, int64_t offset, int64_t col, bool upper) {
    int64_t at = upper ? col : r + offset + 1;
    return at < 0 ? 0 : at > col ? col : at;
}

static taper_status triangle_indices(taper_call *c, taper_scope *s, bool upper) {
    int64_t row = c->args[0].i, col = c->args[1].i, offset = c->args[2].i, shape[2] = {2, 0};
    taper_device device = c->args[4].kind == TAPER_ARG_DEVICE ? c->args[4].device : taper_cpu();
    taper_tensor *t = NULL;
    if (row < 0) return TAPER_FAIL(TAPER_RUNTIME, "row must be non-negative, got%lld", (long long)row);
    if (col < 0) return TAPER_FAIL(TAPER_RUNTIME, "col must be non-negative, got%lld", (long long)col);
    /* Beyond these nothing changes; then only rows that have an element are walked. */
    offset = offset < -row ? -row : offset > col ? col : offset;
    int64_t first = !col ? row : !upper && offset < 0 ? -offset : 0, last = upper && row > col - offset ? col - offset : row;
    if (last - first > INT64_MAX / 16 / (col ? col : 1) || last - first > (int64_t)1 << 32)
        return TAPER_FAIL(TAPER_MEMORY, "%s: no memory for the indices of %lld rows and %lld columns", c->row->name, (long long)row, (long long)col);
    shape[1] = taper__range_triangle(row, col, offset, upper);
    if (device.type == TAPER_CUDA) {
        taper_range_args k = {.row = row, .col = col, .offset = offset, .upper = upper, .count = shape[1], .what = TAPER_RANGE_TRIANGLE};
        TAPER_TRY(taper__tensor_empty(&t, c->args[3].kind == TAPER_ARG_DTYPE ? c->args[3].dtype : TAPER_I64, device, 2, shape, c->row->name));
        taper_scope_own(s, t);
        TAPER_TRY(taper__range_cuda(t, &k, c->row->name));
        c->nout = 1;
        c->out[0] = taper_scope_keep(s, t);
        return s->status;
    }
    TAPER_TRY(taper__tensor_empty(&t, TAPER_I64, taper_cpu(), 2, shape, c->row->name));
    int64_t *p = taper__data(t), *q = p + shape[1];
    for (int64_t r = first; r < last; r++)
        for (int64_t k = triangle_first(r, offset, col, upper); k < triangle_last(r, offset, col, upper); k++) {
            *p++ = r;
            *q++ = k;
        }
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, tx_to(s, taper_scope_own(s, t), &device, c->args[3].kind == TAPER_ARG_DTYPE ? c->args[3].dtype : TAPER_I64, false, false));
    return s->status;
}
static taper_status tril_indices_compose(taper_call *c, taper_scope *s) { return triangle_indices(c, s, false); }
static taper_status triu_indices_compose(taper_call *c, taper_scope *s) { return triangle_indices(c, s, true); }
static const taper_sample triangle_indices_samples[] = {{"3, 3"}, {"3, 4, 1"}, {"4, 2, -1"}, {"70, 60, 3"}, {"3, 4, -9"}, {"3, 4, 9"}, {"0, 2"}, {"2, 2, dtype=int32"}, {"-1, 2", .error = "row must be non-negative"}, {0}};
const taper_op taper_op_tril_indices = {.compose = tril_indices_compose, .samples = triangle_indices_samples};
const taper_op taper_op_triu_indices = {.compose = triu_indices_compose, .samples = triangle_indices_samples};

/* ---- eye and diagonals ---- */

static taper_status eye_make(taper_call *c, taper_scope *s, int64_t n, int64_t m, const taper_arg *dtype, const taper_arg *device) {
    int64_t shape[2] = {n, m};
    taper_device at = device->kind == TAPER_ARG_DEVICE ? device->device : taper_cpu();
    if (n < 0) return TAPER_FAIL(TAPER_RUNTIME, "n must be greater or equal to 0, got %lld", (long long)n);
    if (m < 0) return TAPER_FAIL(TAPER_RUNTIME, "m must be greater or equal to 0, got %lld", (long long)m);
    taper_tensor *t = tx_zeros(s, shape, 2, dtype->kind == TAPER_ARG_DTYPE ? dtype->dtype : taper_default_dtype(), &at);
    tx_fill_(s, tx_diagonal(s, t, 0, 0, 1), taper_int(1));
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, t);
    return s->status;
}
static taper_status eye_compose(taper_call *c, taper_scope *s) { return eye_make(c, s, c->args[0].i, c->args[0].i, &c->args[1], &c->args[2]); }
static taper_status eye_m_compose(taper_call *c, taper_scope *s) { return eye_make(c, s, c->args[0].i, c->args[1].i, &c->args[2], &c->args[3]); }
const taper_op taper_op_eye = {.compose = eye_compose, .samples = (const taper_sample[]){{"3"}, {"0"}, {"2, dtype=bool"}, {"-1", .error = "got -1"}, {0}}};
const taper_op taper_op_eye_m = {.compose = eye_m_compose, .samples = (const taper_sample[]){{"3, 2"}, {"2, 4, dtype=int64"}, {"2, -1", .error = "got -1"}, {0}}};

static taper_status diag_embed_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    int a, b, n = self->ndim + 1, from = 0;
    int64_t offset = c->args[1].i, shape[TAPER_MAX_DIMS];
    if (!self->ndim) return TAPER_FAIL(TAPER_INDEX, "diag_embed: Dimension out of range: the input must have at least one dim, got %s", TAPER_TEXT(self));
    if (n > TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "diag_embed: at most %d dims, got %s", TAPER_MAX_DIMS - 1, TAPER_SHAPE(self));
    TAPER_TRY(taper__wrap_dim(&a, c->args[2].i, n, "diag_embed"));
    TAPER_TRY(taper__wrap_dim(&b, c->args[3].i, n, "diag_embed"));
    if (a == b) return TAPER_FAIL(TAPER_RUNTIME, "diagonal dimensions cannot be identical %d, %d", a, b);
    int64_t side = self->shape[self->ndim - 1] + (offset < 0 ? -offset : offset);
    for (int d = 0; d < n; d++) shape[d] = d == a || d == b ? side : self->shape[from++];
    taper_tensor *t = tx_zeros(s, shape, n, (taper_dtype)self->dtype, &self->device);
    tx_copy_(s, tx_diagonal(s, t, offset, a, b), self, false);
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, t);
    return s->status;
}
static taper_status diag_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    if (self->ndim != 1 && self->ndim != 2) return TAPER_FAIL(TAPER_RUNTIME, "diag(): Supports 1D or 2D tensors. Got %dD: %s", self->ndim, TAPER_TEXT(self));
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, self->ndim == 1 ? tx_diag_embed(s, self, c->args[1].i, 0, 1) : tx_clone(s, tx_diagonal(s, self, c->args[1].i, 0, 1)));
    return s->status;
}
static taper_status diagflat_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, tx_diag_embed(s, tx_reshape(s, self, &self->numel, 1), c->args[1].i, 0, 1));
    return s->status;
}
const taper_op taper_op_diag_embed = {
    .compose = diag_embed_compose, .samples = (const taper_sample[]){{"[3]"}, {"[2,3], 1"}, {"[2,3], -1, 0, 2"}, {"[2], 0, 1, 1", .error = "cannot be identical"}, {0}}};
const taper_op taper_op_diag = {.compose = diag_compose, .samples = (const taper_sample[]){{"[3]"}, {"[3], -1"}, {"[3,4], 1"}, {"[2,2,2]", .error = "Supports 1D or 2D"}, {0}}};
const taper_op taper_op_diagflat = {.compose = diagflat_compose, .samples = (const taper_sample[]){{"[3]"}, {"[2,2], 1"}, {0}}};
