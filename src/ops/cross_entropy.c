/* cross_entropy: softmax and nll_loss in one pass over the input, forward and backward. */
#include "ops/class_loss.h"
#include "ops/softmax.h"

#include <math.h>

typedef struct entropy_job {
    taper_class_shape s;
    const void *x;
    void *lse, *d;     /* lse: read by the backward pass */
    const int64_t *t;
    const double *w;   /* of positions */
    const void *class_weight;
    double smoothing, weight_sum; /* weight_sum: of all classes */
    const double *g;   /* of positions: the gradient times what the reduction does */
    int64_t ignore, blocks;
    bool wide;
    const taper_softmax_loops *loops;
} entropy_job;

/* Start and width of block i: rows of classes, or columns of neighbours. */
static int64_t entropy_block(const entropy_job *j, int64_t i, int64_t *first, int *cols) {
    int64_t column = i % j->blocks * TAPER_SOFTMAX_COLUMNS;
    *cols = (int)(j->s.inner - column < TAPER_SOFTMAX_COLUMNS ? j->s.inner - column : TAPER_SOFTMAX_COLUMNS);
    *first = i / j->blocks * j->s.inner + column;
    return i / j->blocks * j->s.classes * j->s.inner + column;
}

static void entropy_lse(void *ctx, int64_t begin, int64_t end) {
    const entropy_job *j = ctx;
    int64_t k = j->s.inner, n = j->s.classes, first;
    for (int64_t b = begin; b < end; b++) {
        int cols;
        int64_t at = entropy_block(j, b, &first, &cols);
        if (!j->wide && k == 1) {
            ((float *)j->lse)[first] = j->loops->row_lse((const float *)j->x + at, n);
        } else if (!j->wide) {
            j->loops->columns_lse((float *)j->lse + first, (const float *)j->x + at, n, k, cols);
        } else {
            for (int q = 0; q < cols; q++) {
                const double *x = (const double *)j->x + at + q;
                double m = -INFINITY, sum = 0;
                for (int64_t i = 0; i < n; i++) m = x[i * k] > m ? x[i * k] : m;
                for (int64_t i = 0; i < n; i++) sum += exp(x[i * k] - m);
                ((double *)j->lse)[first + q] = m + log(sum);
            }
        }
    }
}

static double entropy_class_weight(const entropy_job *j, int64_t c) { return j->class_weight ? taper__class_load(j->class_weight, j->wide, c) : 1; }

/* d = g (a p - b): b is what the smoothed target puts on each class, a its sum. */
static void entropy_backward(void *ctx, int64_t begin, int64_t end) {
    const entropy_job *j = ctx;
    int64_t k = j->s.inner, n = j->s.classes, first;
    double part = j->smoothing / (double)n;
    for (int64_t b = begin; b < end; b++) {
        int cols;
        int64_t at = entropy_block(j, b, &first, &cols);
        float scale[TAPER_SOFTMAX_COLUMNS];
        for (int q = 0; q < cols; q++) {
            int64_t i = first + q;
            double a = j->t[i] == j->ignore ? 0 : j->g[i] * ((1 - j->smoothing) * j->w[i] + part * j->weight_sum);
            scale[q] = (float)a;
            for (int64_t c = 0; j->wide && c < n; c++)
                ((double *)j->d)[at + q + c * k] = a * exp(((const double *)j->x)[at + q + c * k] - ((const double *)j->lse)[i]);
        }
        if (!j->wide && k == 1)
            j->loops->row_scaled((float *)j->d + at, (const float *)j->x + at, n, ((const float *)j->lse)[first], scale[0]);
        else if (!j->wide)
            j->loops->columns_scaled((float *)j->d + at, (const float *)j->x + at, n, k, cols, (const float *)j->lse + first, scale);
        for (int q = 0; q < cols; q++) {
            int64_t i = first + q, to = at + q;
            if (j->t[i] == j->ignore) {
                for (int64_t c = 0; c < n; c++) taper__class_store(j->d, j->wide, to + c * k, 0);
                continue;
            }
            double hit = taper__class_load(j->d, j->wide, to + j->t[i] * k) - j->g[i] * (1 - j->smoothing) * j->w[i];
            taper__class_store(j->d, j->wide, to + j->t[i] * k, hit);
            for (int64_t c = 0; part != 0 && c < n; c++)
                taper__class_store(j->d, j->wide, to + c * k,
                                   taper__class_load(j->d, j->wide, to + c * k) - j->g[i] * part * entropy_class_weight(j, c));
        }
    }
}

static void entropy_for(entropy_job *j, taper_range_fn fn) {
    int64_t cols = j->s.inner < TAPER_SOFTMAX_COLUMNS ? j->s.inner : TAPER_SOFTMAX_COLUMNS;
    taper__parallel_for(j->s.n * j->blocks, 1 + 16384 / (j->s.classes * cols + 1), fn, j);
}

static taper_status entropy_job_set(entropy_job *j, const taper_call *c, const taper_tensor *x, const taper_tensor *target, const taper_tensor *weight,
                                    int64_t ignore, double smoothing) {
    memset(j, 0, sizeof *j);
    TAPER_TRY(taper__class_shape(&j->s, c, x, target, weight));
    j->x = taper__data(x);
    j->t = taper__data(target);
    j->w = c->workspace;
    j->class_weight = weight ? taper__data(weight) : NULL;
    j->smoothing = smoothing;
    j->ignore = ignore;
    j->wide = x->dtype == TAPER_F64;
    j->blocks = (j->s.inner + TAPER_SOFTMAX_COLUMNS - 1) / TAPER_SOFTMAX_COLUMNS;
    j->loops = TAPER_SIMD_PICK(taper__softmax_loops);
    for (int64_t i = 0; i < j->s.classes; i++) j->weight_sum += entropy_class_weight(j, i);
    return taper__class_weights(c->workspace, &j->s, target, weight, ignore);
}

static taper_status cross_entropy_forward_infer(taper_call *c) {
    const taper_tensor *input = c->args[0].t, *target = c->args[1].t;
    taper_class_shape s;
    taper_reduction r;
    TAPER_TRY(taper__class_shape(&s, c, input, target, TAPER_ARG_T(c, 2)));
    TAPER_TRY(taper__reduction(&r, &c->args[4], "cross_entropy"));
    taper_dtype stats = input->dtype == TAPER_F64 ? TAPER_F64 : TAPER_F32;
    c->nondiff = 6;
    TAPER_TRY(taper__out(c, 0, (taper_dtype)input->dtype, r == TAPER_LOSS_NONE ? target->ndim : 0, target->shape));
    TAPER_TRY(taper__out(c, 1, stats, target->ndim, target->shape));
    return taper__out(c, 2, stats, 0, NULL);
}
static size_t cross_entropy_workspace(const taper_call *c) {
    const taper_tensor *target = c->args[!strcmp(c->row->name, "cross_entropy_backward") ? 2 : 1].t;
    return (size_t)(2 * target->numel + 1) * sizeof(double);
}

static taper_status cross_entropy_forward_cpu(taper_call *c) {
    entropy_job j;
    taper_reduction r;
    double sum = 0, total = 0;
    TAPER_TRY(taper__reduction(&r, &c->args[4], "cross_entropy"));
    TAPER_TRY(entropy_job_set(&j, c, c->args[0].t, c->args[1].t, TAPER_ARG_T(c, 2), c->args[3].i, c->args[5].f));
    j.lse = taper__data(c->out[1]);
    entropy_for(&j, entropy_lse);
    double part = j.smoothing / (double)j.s.classes;
    for (int64_t i = 0; i < j.s.positions; i++) {
        double loss = 0;
        if (j.t[i] != j.ignore) {
            int64_t at = i / j.s.inner * j.s.classes * j.s.inner + i % j.s.inner;
            double lse = taper__class_load(j.lse, j.wide, i), spread = 0;
            for (int64_t k = 0; part != 0 && k < j.s.classes; k++)
                spread += entropy_class_weight(&j, k) * (lse - taper__class_load(j.x, j.wide, at + k * j.s.inner));
            loss = (1 - j.smoothing) * j.w[i] * (lse - taper__class_load(j.x, j.wide, at + j.t[i] * j.s.inner)) + part * spread;
            total += j.w[i];
        }
        sum += loss;
        if (r == TAPER_LOSS_NONE) taper__class_store(taper__data(c->out[0]), j.wide, i, loss);
    }
    if (r != TAPER_LOSS_NONE) taper__class_store(taper__data(c->out[0]), j.wide, 0, r == TAPER_LOSS_SUM ? sum : sum / total);
    taper__class_store(taper__data(c->out[2]), j.wide, 0, total);
    return TAPER_OK;
}
static const taper_kernel cross_entropy_forward_kernels[] = {{"cuda", TAPER_CUDA, NULL, taper__cross_entropy_cuda}, {"cpu", TAPER_CPU, NULL, cross_entropy_forward_cpu}, {0}};

static taper_status cross_entropy_forward_vjp(taper_vjp *v) {
    taper_tensor *w = v->args[2].kind == TAPER_ARG_TENSOR ? v->args[2].t : NULL;
    if (v->grad[0])
        v->d[0] = tx_cross_entropy_backward(v->scope, v->grad[0], v->args[0].t, v->args[1].t, w, v->out[1], v->out[2], v->args[3].i, v->args[4].s,
                                            v->args[5].f);
    return v->scope->status;
}
const taper_op taper_op_cross_entropy_forward = {
    .infer = cross_entropy_forward_infer,
    .kernels = cross_entropy_forward_kernels,
    .vjp = cross_entropy_forward_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1) | TAPER_SAVE_ARG(2) | TAPER_SAVE_OUT(1) | TAPER_SAVE_OUT(2),
    .workspace = cross_entropy_workspace,
    .contiguous = 7,
    .upcast = true,
    .grad_name = "NllLossBackward0",
    .samples = (const taper_sample[]){{"[3,4], [3]:i64<4, -, -100, mean, 0.0"}, {"[3,4,2], [3,2]:i64<4, [4]:pos:nograd, 1, sum, 0.1"}, {0}},
};

static taper_status cross_entropy_backward_infer(taper_call *c) {
    const taper_tensor *x = c->args[1].t;
    taper_class_shape s;
    TAPER_TRY(taper__class_shape(&s, c, x, c->args[2].t, TAPER_ARG_T(c, 3)));
    if (c->args[4].t->numel != s.positions || (c->args[4].t->dtype == TAPER_F64) != (x->dtype == TAPER_F64))
        return TAPER_FAIL(TAPER_RUNTIME, "cross_entropy_backward: lse %s does not belong to the input %s", TAPER_TEXT(c->args[4].t), TAPER_TEXT(x));
    return taper__out(c, 0, (taper_dtype)x->dtype, x->ndim, x->shape);
}
static taper_status cross_entropy_backward_cpu(taper_call *c) {
    entropy_job j;
    taper_reduction r;
    const taper_tensor *g = c->args[0].t, *total = c->args[5].t;
    TAPER_TRY(taper__reduction(&r, &c->args[7], "cross_entropy"));
    TAPER_TRY(entropy_job_set(&j, c, c->args[1].t, c->args[2].t, TAPER_ARG_T(c, 3), c->args[6].i, c->args[8].f));
    j.lse = taper__data(c->args[4].t);
    j.d = taper__data(c->out[0]);
    double *each = (double *)c->workspace + j.s.positions, over = r == TAPER_LOSS_MEAN ? 1 / taper__class_load(taper__data(total), total->dtype == TAPER_F64, 0) : 1;
    for (int64_t i = 0; i < j.s.positions; i++) each[i] = over * taper__class_load(taper__data(g), g->dtype == TAPER_F64, r == TAPER_LOSS_NONE ? i : 0);
    j.g = each;
    entropy_for(&j, entropy_backward);
    return TAPER_OK;
}
static const taper_kernel cross_entropy_backward_kernels[] = {{"cuda", TAPER_CUDA, NULL, taper__cross_entropy_backward_cuda}, {"cpu", TAPER_CPU, NULL, cross_entropy_backward_cpu}, {0}};

/* d = g (a p - b). In g it is linear: <h, d(1)>. In x: g a p (h - <h, p>), with -g a = the class sums of -g b, which is the same
 * operator with p = 0, that is with an infinite lse. */
static taper_status cross_entropy_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *h = v->grad[0], *g = v->args[0].t, *x = v->args[1].t, *t = v->args[2].t, *lse = v->args[4].t, *total = v->args[5].t;
    taper_tensor *w = v->args[3].kind == TAPER_ARG_TENSOR ? v->args[3].t : NULL;
    const char *reduction = v->args[7].s;
    int64_t ignore = v->args[6].i, dim = x->ndim > 1;
    double smoothing = v->args[8].f;
    if (v->need[0]) {
        taper_tensor *one = tx_full(s, g->shape, g->ndim, taper_int(1), (taper_dtype)g->dtype, &g->device);
        taper_tensor *d = one ? tx_mul(s, h, tx_cross_entropy_backward(s, one, x, t, w, lse, total, ignore, reduction, smoothing)) : NULL;
        bool none = !strcmp(reduction, "none");
        v->d[0] = d ? tx_sum(s, d, none ? &dim : NULL, none, false, TAPER_DTYPE_NONE) : NULL;
    }
    if (v->need[1]) {
        taper_tensor *far = tx_full(s, lse->shape, lse->ndim, taper_float(INFINITY), (taper_dtype)lse->dtype, &lse->device);
        taper_tensor *b = far ? tx_cross_entropy_backward(s, g, x, t, w, far, total, ignore, reduction, smoothing) : NULL;
        taper_tensor *logp = tx_log_softmax(s, x, dim, TAPER_DTYPE_NONE);
        taper_tensor *sum = b ? tx_sum(s, b, &dim, 1, true, TAPER_DTYPE_NONE) : NULL;
        taper_tensor *d = sum && logp ? tx_neg(s, tx_mul(s, tx_mul(s, h, tx_exp(s, logp)), sum)) : NULL;
        v->d[1] = d ? tx_log_softmax_backward(s, d, logp, dim) : NULL;
    }
    return s->status;
}
const taper_op taper_op_cross_entropy_backward = {
    .infer = cross_entropy_backward_infer,
    .kernels = cross_entropy_backward_kernels,
    .vjp = cross_entropy_backward_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1) | TAPER_SAVE_ARG(2) | TAPER_SAVE_ARG(3) | TAPER_SAVE_ARG(4) | TAPER_SAVE_ARG(5),
    .workspace = cross_entropy_workspace,
    .contiguous = 0x3f,
    .upcast = true,
    /* lse is a function of the input, which the differences would hold still. */
    .samples = (const taper_sample[]){{"[3], [3,4], [3]:i64<4, -, [3]:nograd, []:nograd, -100, none, 0.0", .no_grad_check = true}, {0}},
};

/* Targets that are probabilities: an expression over log_softmax. */
static taper_status cross_entropy_probabilities(taper_call *c, taper_scope *s) {
    taper_tensor *x = c->args[0].t, *target = c->args[1].t, *w = TAPER_ARG_T(c, 2);
    int64_t dim = x->ndim > 1, classes = x->shape[dim];
    double smoothing = c->args[5].f;
    taper_reduction r;
    TAPER_TRY(taper__reduction(&r, &c->args[4], "cross_entropy"));
    if (!taper_dtype_is_float((taper_dtype)target->dtype))
        return TAPER_FAIL(TAPER_RUNTIME, "Expected floating point type for target with class probabilities, got %s (input %s, target %s)",
                          taper_dtype_typename((taper_dtype)target->dtype), TAPER_TEXT(x), TAPER_TEXT(target));
    if (c->args[3].i >= 0) return TAPER_FAIL(TAPER_RUNTIME, "ignore_index is not supported for floating point target");
    if (w && (w->ndim != 1 || w->numel != classes))
        return TAPER_FAIL(TAPER_RUNTIME, "cross_entropy: weight tensor should be defined either for all %lld classes or no classes but got weight tensor of shape: %s",
                          (long long)classes, TAPER_SHAPE(w));
    if (smoothing > 0)
        target = tx_add(s, tx_mul(s, target, taper__number(s, 1 - smoothing)), taper__number(s, smoothing / (double)classes), taper_int(1));
    taper_tensor *loss = tx_mul(s, tx_log_softmax(s, x, dim, TAPER_DTYPE_NONE), target);
    if (w && loss) {
        int64_t shape[TAPER_MAX_DIMS];
        for (int d = 0; d < x->ndim; d++) shape[d] = d == dim ? classes : 1;
        loss = tx_mul(s, loss, tx_view(s, w, shape, x->ndim));
    }
    loss = loss ? tx_neg(s, tx_sum(s, loss, r == TAPER_LOSS_NONE ? &dim : NULL, r == TAPER_LOSS_NONE, false, TAPER_DTYPE_NONE)) : NULL;
    if (r == TAPER_LOSS_MEAN && loss) loss = tx_mul(s, loss, taper__number(s, (double)classes / (double)x->numel));
    c->out[0] = taper_scope_keep(s, loss);
    c->nout = 1;
    return s->status;
}

static taper_status cross_entropy_compose(taper_call *c, taper_scope *s) {
    taper_tensor *x = c->args[0].t, *target = c->args[1].t, *out[TAPER_MAX_OUTS] = {NULL};
    double smoothing = c->args[5].f;
    if (smoothing < 0 || smoothing > 1) return TAPER_FAIL(TAPER_RUNTIME, "label_smoothing must be between 0.0 and 1.0. Got: %g", smoothing);
    if (x->ndim && x->ndim == target->ndim && !memcmp(x->shape, target->shape, sizeof(int64_t) * x->ndim)) return cross_entropy_probabilities(c, s);
    TAPER_TRY(taper_cross_entropy_forward(out, x, target, TAPER_ARG_T(c, 2), c->args[3].i, c->args[4].kind == TAPER_ARG_STRING ? c->args[4].s : "mean",
                                          smoothing));
    for (int k = 1; k < 3; k++) taper_scope_own(s, out[k]);
    c->out[0] = out[0];
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_cross_entropy = {
    .compose = cross_entropy_compose,
    .samples = (const taper_sample[]){{"[3,4], [3]:i64<4"},
                                      {"[3,4], [3]:i64<4, [4]:pos:nograd, 1, label_smoothing=0.1"},
                                      {"[3,40], [3]:i64<40, reduction=none"},
                                      {"[2,4,3,2], [2,3,2]:i64<4, reduction=sum, label_smoothing=0.2"},
                                      {"[4], []:i64<4"},
                                      {"[3,4], [3,4]:prob"},
                                      {"[3,4], [3,4]:prob, [4]:pos:nograd, reduction=none, label_smoothing=0.1"},
                                      {"[3,4], [2]:i64<4", .error = "Expected input batch_size (3) to match target batch_size (2)"},
                                      {"[3,4], [3]:i64<4, label_smoothing=2.0", .error = "label_smoothing must be between 0.0 and 1.0"},
                                      {"[3,4], [3,4]:i64<4", .error = "Expected floating point type for target with class probabilities"},
                                      {0}},
};
