/* nll_loss: minus the input at the target's class, weighted and averaged. */
#include "ops/class_loss.h"

taper_status taper__reduction(taper_reduction *out, const taper_arg *a, const char *op) {
    static const char *const words[] = {"none", "mean", "sum"};
    const char *text = a->kind == TAPER_ARG_STRING ? a->s : "mean";
    for (int i = 0; i < 3; i++)
        if (!strcmp(text, words[i])) {
            *out = (taper_reduction)i;
            return TAPER_OK;
        }
    return TAPER_FAIL(TAPER_VALUE, "%s is not a valid value for reduction (%s takes 'none', 'mean' or 'sum')", text, op);
}

taper_tensor *taper__reduced(taper_scope *s, taper_tensor *loss, const taper_arg *reduction, const char *op) {
    taper_reduction r;
    if (s->status == TAPER_OK) s->status = taper__reduction(&r, reduction, op);
    if (s->status != TAPER_OK || !loss || r == TAPER_LOSS_NONE) return loss;
    taper_tensor *sum = tx_sum(s, loss, NULL, 0, false, TAPER_DTYPE_NONE);
    return r == TAPER_LOSS_SUM || !sum ? sum : tx_mul(s, sum, taper__number(s, 1 / (double)loss->numel));
}

taper_status taper__class_shape(taper_class_shape *out, const taper_call *c, const taper_tensor *input, const taper_tensor *target,
                                const taper_tensor *weight) {
    const char *op = c->row->name;
    if (!input->ndim) return TAPER_FAIL(TAPER_VALUE, "%s: Expected 1 or more dimensions (got %s)", op, TAPER_TEXT(input));
    TAPER_TRY(taper__need_float(input, op));
    int class_dim = input->ndim > 1;
    *out = (taper_class_shape){1, input->shape[class_dim], 1, 1};
    if (class_dim) {
        out->n = input->shape[0];
        if (target->ndim < 1 || target->shape[0] != out->n)
            return TAPER_FAIL(TAPER_VALUE, "Expected input batch_size (%lld) to match target batch_size (%lld).", (long long)out->n,
                              (long long)(target->ndim ? target->shape[0] : 1));
    }
    bool fits = target->ndim == input->ndim - 1;
    for (int d = 2; d < input->ndim; d++) {
        out->inner *= input->shape[d];
        if (fits && target->shape[d - 1] != input->shape[d]) fits = false;
    }
    if (!fits) {
        int64_t want[TAPER_MAX_DIMS];
        for (int d = 0; d < input->ndim - 1; d++) want[d] = input->shape[d ? d + 1 : 0];
        return TAPER_FAIL(TAPER_RUNTIME, "Expected target size %s, got %s (%s of %s)", taper__shape_text(input->ndim - 1, want).s, TAPER_SHAPE(target), op,
                          TAPER_TEXT(input));
    }
    out->positions = out->n * out->inner;
    if (target->dtype != TAPER_I64)
        return TAPER_FAIL(TAPER_RUNTIME, "expected scalar type Long but found %s: target of %s is %s", taper_dtype_typename((taper_dtype)target->dtype), op,
                          TAPER_TEXT(target));
    if (weight && (weight->ndim != 1 || weight->numel != out->classes))
        return TAPER_FAIL(TAPER_RUNTIME, "weight tensor should be defined either for all %lld classes or no classes but got weight tensor of shape: %s",
                          (long long)out->classes, TAPER_SHAPE(weight));
    if (weight && weight->dtype != input->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "expected scalar type %s but found %s: weight of %s is %s, input %s", taper_dtype_typename((taper_dtype)input->dtype),
                          taper_dtype_typename((taper_dtype)weight->dtype), op, TAPER_TEXT(weight), TAPER_TEXT(input));
    return taper__need_same_device(c);
}

taper_status taper__class_weights(double *weights, const taper_class_shape *s, const taper_tensor *target, const taper_tensor *weight,
                                  int64_t ignore) {
    const int64_t *t = taper__data(target);
    for (int64_t i = 0; i < s->positions; i++) {
        if (t[i] == ignore) {
            weights[i] = -1;
            continue;
        }
        if (t[i] < 0 || t[i] >= s->classes)
            return TAPER_FAIL(TAPER_INDEX, "Target %lld is out of bounds. (%lld classes)", (long long)t[i], (long long)s->classes);
        weights[i] = weight ? taper__load_double((char *)taper__data(weight) + (size_t)t[i] * taper_dtype_size((taper_dtype)weight->dtype), (taper_dtype)weight->dtype) : 1;
    }
    return TAPER_OK;
}

static taper_status nll_loss_forward_infer(taper_call *c) {
    const taper_tensor *input = c->args[0].t, *target = c->args[1].t;
    taper_class_shape s;
    taper_reduction r;
    TAPER_TRY(taper__class_shape(&s, c, input, target, TAPER_ARG_T(c, 2)));
    TAPER_TRY(taper__reduction(&r, &c->args[4], "nll_loss"));
    c->nondiff = 2;
    TAPER_TRY(taper__out(c, 0, (taper_dtype)input->dtype, r == TAPER_LOSS_NONE ? target->ndim : 0, target->shape));
    return taper__out(c, 1, (taper_dtype)input->dtype, 0, NULL);
}
static size_t nll_loss_workspace(const taper_call *c) {
    const taper_tensor *target = c->args[!strcmp(c->row->name, "nll_loss_backward") ? 2 : 1].t;
    return (size_t)(2 * target->numel + 1) * sizeof(double);
}

static taper_status nll_loss_forward_cpu(taper_call *c) {
    const taper_tensor *input = c->args[0].t, *target = c->args[1].t;
    taper_class_shape s;
    taper_reduction r;
    TAPER_TRY(taper__class_shape(&s, c, input, target, TAPER_ARG_T(c, 2)));
    TAPER_TRY(taper__reduction(&r, &c->args[4], "nll_loss"));
    double *w = c->workspace, sum = 0, total = 0;
    TAPER_TRY(taper__class_weights(w, &s, target, TAPER_ARG_T(c, 2), c->args[3].i));
    const int64_t *t = taper__data(target);
    bool wide = input->dtype == TAPER_F64;
    for (int64_t i = 0; i < s.positions; i++) {
        double loss = w[i] == -1 && t[i] == c->args[3].i
                          ? 0
                          : -w[i] * taper__class_load(taper__data(input), wide, (i / s.inner * s.classes + t[i]) * s.inner + i % s.inner);
        if (t[i] != c->args[3].i) total += w[i];
        sum += loss;
        if (r == TAPER_LOSS_NONE) taper__class_store(taper__data(c->out[0]), wide, i, loss);
    }
    if (r != TAPER_LOSS_NONE) taper__class_store(taper__data(c->out[0]), wide, 0, r == TAPER_LOSS_SUM ? sum : sum / total);
    taper__class_store(taper__data(c->out[1]), wide, 0, total);
    return TAPER_OK;
}
static const taper_kernel nll_loss_forward_kernels[] = {{"cuda", TAPER_CUDA, NULL, taper__nll_loss_cuda}, {"cpu", TAPER_CPU, NULL, nll_loss_forward_cpu}, {0}};

static taper_status nll_loss_forward_vjp(taper_vjp *v) {
    taper_tensor *w = v->args[2].kind == TAPER_ARG_TENSOR ? v->args[2].t : NULL;
    if (v->grad[0])
        v->d[0] = tx_nll_loss_backward(v->scope, v->grad[0], v->args[0].t, v->args[1].t, w, v->args[3].i, v->args[4].s, v->out[1]);
    return v->scope->status;
}
const taper_op taper_op_nll_loss_forward = {
    .infer = nll_loss_forward_infer,
    .kernels = nll_loss_forward_kernels,
    .vjp = nll_loss_forward_vjp,
    .saves = TAPER_SAVE_ARG(1) | TAPER_SAVE_ARG(2) | TAPER_SAVE_OUT(1),
    .workspace = nll_loss_workspace,
    .contiguous = 7,
    .upcast = true,
    .grad_name = "NllLossBackward0",
    .samples = (const taper_sample[]){{"[3,4], [3]:i64<4, -, -100, mean"}, {"[3,4,2], [3,2]:i64<4, [4]:pos:nograd, 1, sum"}, {0}},
};

/* Only the shape and dtype of input are looked at. */
static taper_status nll_loss_backward_infer(taper_call *c) {
    const taper_tensor *input = c->args[1].t;
    taper_class_shape s;
    TAPER_TRY(taper__class_shape(&s, c, input, c->args[2].t, TAPER_ARG_T(c, 3)));
    return taper__out(c, 0, (taper_dtype)input->dtype, input->ndim, input->shape);
}
static taper_status nll_loss_backward_cpu(taper_call *c) {
    const taper_tensor *g = c->args[0].t, *target = c->args[2].t;
    taper_tensor *d = c->out[0];
    taper_class_shape s;
    taper_reduction r;
    TAPER_TRY(taper__class_shape(&s, c, d, target, TAPER_ARG_T(c, 3)));
    TAPER_TRY(taper__reduction(&r, &c->args[5], "nll_loss"));
    double *w = c->workspace;
    TAPER_TRY(taper__class_weights(w, &s, target, TAPER_ARG_T(c, 3), c->args[4].i));
    const int64_t *t = taper__data(target);
    taper_dtype dtype = (taper_dtype)d->dtype;
    size_t size = taper_dtype_size(dtype), g_size = taper_dtype_size((taper_dtype)g->dtype);
    if (d->numel) memset(taper__data(d), 0, (size_t)d->numel * size);
    double over = r == TAPER_LOSS_MEAN ? 1 / taper__load_double(taper__data(c->args[6].t), (taper_dtype)c->args[6].t->dtype) : 1;
    for (int64_t i = 0; i < s.positions; i++) {
        if (t[i] == c->args[4].i) continue;
        int64_t at = (i / s.inner * s.classes + t[i]) * s.inner + i % s.inner;
        double grad = taper__load_double((char *)taper__data(g) + (r == TAPER_LOSS_NONE ? (size_t)i * g_size : 0), (taper_dtype)g->dtype);
        taper__store_double((char *)taper__data(d) + (size_t)at * size, dtype, -w[i] * over * grad);
    }
    return TAPER_OK;
}
static const taper_kernel nll_loss_backward_kernels[] = {{"cuda", TAPER_CUDA, NULL, taper__nll_loss_backward_cuda}, {"cpu", TAPER_CPU, NULL, nll_loss_backward_cpu}, {0}};
/* The loss is linear in its input, so the transpose of the gradient is the loss itself. */
static taper_status nll_loss_backward_vjp(taper_vjp *v) {
    taper_tensor *w = v->args[3].kind == TAPER_ARG_TENSOR ? v->args[3].t : NULL;
    if (v->need[0]) v->d[0] = tx_nll_loss(v->scope, v->grad[0], v->args[2].t, w, v->args[4].i, v->args[5].s);
    return v->scope->status;
}
const taper_op taper_op_nll_loss_backward = {
    .infer = nll_loss_backward_infer,
    .kernels = nll_loss_backward_kernels,
    .vjp = nll_loss_backward_vjp,
    .saves = TAPER_SAVE_ARG(2) | TAPER_SAVE_ARG(3),
    .workspace = nll_loss_workspace,
    .contiguous = 1 | 1 << 2 | 1 << 3,
    .samples = (const taper_sample[]){{"[3]:f32, [3,4]:f32:nograd, [3]:i64<4, -, -100, none, []:f32:nograd"}, {"[]:f32, [3,4]:f32:nograd, [3]:i64<4, -, 1, sum, []:f32:nograd"}, {0}},
};

static taper_status nll_loss_compose(taper_call *c, taper_scope *s) {
    taper_tensor *out[TAPER_MAX_OUTS] = {NULL};
    TAPER_TRY(taper_nll_loss_forward(out, c->args[0].t, c->args[1].t, TAPER_ARG_T(c, 2), c->args[3].i, c->args[4].kind == TAPER_ARG_STRING ? c->args[4].s : "mean"));
    taper_scope_own(s, out[1]);
    c->out[0] = out[0];
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_nll_loss = {
    .compose = nll_loss_compose,
    .samples = (const taper_sample[]){{"[3,4], [3]:i64<4"},
                                      {"[3,4], [3]:i64<4, [4]:pos:nograd, 1"},
                                      {"[3,4], [3]:i64<4, reduction=none"},
                                      {"[2,4,3,2], [2,3,2]:i64<4, reduction=sum"},
                                      {"[4], []:i64<4"},
                                      {"[3,4], [2]:i64<4", .error = "Expected input batch_size (3) to match target batch_size (2)"},
                                      {"[3,4], [3]", .error = "expected scalar type Long but found"},
                                      {"[3,4], [3]:i64<4, reduction=max", .error = "max is not a valid value for reduction"},
                                      {0}},
};
