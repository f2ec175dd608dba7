/* Element-wise losses, as expressions of other operators. Each reduces by the word mean, sum or none. */
#include "ops/class_loss.h"

/* "none", "mean", "sum", and for kl_div "batchmean". */
static taper_status losses_done(taper_call *c, taper_scope *s, taper_tensor *loss, const taper_arg *reduction) {
    c->out[0] = taper_scope_keep(s, taper__reduced(s, loss, reduction, c->row->name));
    c->nout = 1;
    return s->status;
}
static taper_tensor *losses_number(taper_scope *s, double v) { return taper__number(s, v); }
static taper_tensor *losses_minus(taper_scope *s, taper_tensor *a, taper_tensor *b) { return a && b ? tx_add(s, a, b, taper_int(-1)) : NULL; }
static taper_tensor *losses_times(taper_scope *s, taper_tensor *a, double f) { return a ? tx_mul(s, a, losses_number(s, f)) : NULL; }

static taper_status mse_loss_compose(taper_call *c, taper_scope *s) {
    taper_tensor *d = losses_minus(s, c->args[0].t, c->args[1].t);
    return losses_done(c, s, d ? tx_mul(s, d, d) : NULL, &c->args[2]);
}
const taper_op taper_op_mse_loss = {
    .compose = mse_loss_compose,
    .samples = (const taper_sample[]){{"[2,3], [2,3]"}, {"[2,3], [3], reduction=none"}, {"[2,3], [2,3], sum"}, {"[2,3], [4]", .error = "must match the size of tensor b (4)"}, {0}},
};

static taper_status l1_loss_compose(taper_call *c, taper_scope *s) {
    taper_tensor *d = losses_minus(s, c->args[0].t, c->args[1].t);
    return losses_done(c, s, d ? tx_abs(s, d) : NULL, &c->args[2]);
}
const taper_op taper_op_l1_loss = {
    .compose = l1_loss_compose,
    .samples = (const taper_sample[]){{"[2,3], [2,3]"}, {"[2,3], [3], reduction=none"}, {"[2,3], [2,3], sum"}, {"[2,3], [2,3], max", .error = "is not a valid value for reduction"}, {0}},
};

/* scale d^2 within |d| < edge, slope (|d| - edge / 2) beyond; equal values and slopes at the edge. */
static taper_tensor *losses_bend(taper_scope *s, taper_tensor *d, double edge, double scale, double slope) {
    taper_tensor *a = d ? tx_abs(s, d) : NULL;
    if (!a) return NULL;
    taper_tensor *near = losses_times(s, tx_mul(s, d, d), scale);
    taper_tensor *far = losses_times(s, tx_add(s, a, losses_number(s, edge / 2), taper_int(-1)), slope);
    return near && far ? tx_where(s, tx_lt(s, a, losses_number(s, edge)), near, far) : NULL;
}

static taper_status smooth_l1_loss_compose(taper_call *c, taper_scope *s) {
    double beta = c->args[3].f;
    if (beta < 0) return TAPER_FAIL(TAPER_RUNTIME, "smooth_l1_loss does not support negative values for beta. (got %g)", beta);
    taper_tensor *d = losses_minus(s, c->args[0].t, c->args[1].t);
    return losses_done(c, s, !d ? NULL : beta == 0 ? tx_abs(s, d) : losses_bend(s, d, beta, 0.5 / beta, 1), &c->args[2]);
}
const taper_op taper_op_smooth_l1_loss = {
    .compose = smooth_l1_loss_compose,
    .samples = (const taper_sample[]){{"[2,3], [2,3]"}, {"[2,3], [2,3], none, 0.5"}, {"[2,3], [2,3], sum, 0.0"}, {"[2,3], [2,3], beta=-1.0", .error = "does not support negative values for beta"}, {0}},
};

static taper_status huber_loss_compose(taper_call *c, taper_scope *s) {
    double delta = c->args[3].f;
    if (delta <= 0) return TAPER_FAIL(TAPER_RUNTIME, "huber_loss does not support non-positive values for delta. (got %g)", delta);
    return losses_done(c, s, losses_bend(s, losses_minus(s, c->args[0].t, c->args[1].t), delta, 0.5, delta), &c->args[2]);
}
const taper_op taper_op_huber_loss = {
    .compose = huber_loss_compose,
    .samples = (const taper_sample[]){{"[2,3], [2,3]"}, {"[2,3], [2,3], none, 0.5"}, {"[2,3], [2,3], delta=0.0", .error = "does not support non-positive values for delta"}, {0}},
};

/* The logarithm, at least -100 so that a wrong certainty costs a finite amount. */
static taper_tensor *losses_log(taper_scope *s, taper_tensor *x) {
    taper_tensor *log = x ? tx_log(s, x) : NULL;
    return log ? tx_clamp_min(s, log, losses_number(s, -100)) : NULL;
}
static taper_status binary_cross_entropy_compose(taper_call *c, taper_scope *s) {
    taper_tensor *x = c->args[0].t, *t = c->args[1].t, *w = TAPER_ARG_T(c, 2);
    if (x->ndim != t->ndim || memcmp(x->shape, t->shape, sizeof(int64_t) * x->ndim))
        return TAPER_FAIL(TAPER_VALUE, "Using a target size (torch.Size(%s)) that is different to the input size (torch.Size(%s)) is deprecated. Please ensure "
                                       "they have the same size.", TAPER_SHAPE(t), TAPER_SHAPE(x));
    taper_tensor *one = losses_number(s, 1), *yes = losses_log(s, x), *no = losses_log(s, losses_minus(s, one, x));
    if (!yes || !no) return s->status;
    taper_tensor *loss = tx_add(s, tx_mul(s, t, yes), tx_mul(s, losses_minus(s, one, t), no), taper_int(1));
    loss = loss ? tx_neg(s, loss) : NULL;
    return losses_done(c, s, loss && w ? tx_mul(s, loss, w) : loss, &c->args[3]);
}
const taper_op taper_op_binary_cross_entropy = {
    .compose = binary_cross_entropy_compose,
    .samples = (const taper_sample[]){{"[2,3]:unit, [2,3]:unit:nograd", .tolerance = 1e-4}, {"[2,3]:unit, [2,3]:unit:nograd, [3]:pos:nograd, none", .tolerance = 1e-4}, {"[2,3]:unit, [3]:unit", .error = "that is different to the input size"}, {0}},
};

/* (1 - t) x - (1 + (p - 1) t) log sigmoid(x) */
static taper_status binary_cross_entropy_with_logits_compose(taper_call *c, taper_scope *s) {
    taper_tensor *x = c->args[0].t, *t = c->args[1].t, *w = TAPER_ARG_T(c, 2), *p = TAPER_ARG_T(c, 4), *one = losses_number(s, 1);
    if (x->ndim != t->ndim || memcmp(x->shape, t->shape, sizeof(int64_t) * x->ndim))
        return TAPER_FAIL(TAPER_VALUE, "Target size (torch.Size(%s)) must be the same as input size (torch.Size(%s))", TAPER_SHAPE(t), TAPER_SHAPE(x));
    taper_tensor *log = tx_log_sigmoid(s, x);
    if (p && log) log = tx_mul(s, log, tx_add(s, tx_mul(s, losses_minus(s, p, one), t), one, taper_int(1)));
    taper_tensor *rest = losses_minus(s, one, t), *loss = rest && log ? losses_minus(s, tx_mul(s, rest, x), log) : NULL;
    return losses_done(c, s, loss && w ? tx_mul(s, loss, w) : loss, &c->args[3]);
}
const taper_op taper_op_binary_cross_entropy_with_logits = {
    .compose = binary_cross_entropy_with_logits_compose,
    .samples = (const taper_sample[]){{"[2,3], [2,3]:unit:nograd"}, {"[2,3], [2,3]:unit:nograd, [3]:pos:nograd, none, [3]:pos:nograd"}, {"[2,3], [3]:unit", .error = "must be the same as input size"}, {0}},
};

static taper_status kl_div_compose(taper_call *c, taper_scope *s) {
    taper_tensor *x = c->args[0].t, *t = c->args[1].t, *loss;
    taper_arg sum = {.kind = TAPER_ARG_STRING, .s = "sum"};
    bool batch = c->args[2].kind == TAPER_ARG_STRING && !strcmp(c->args[2].s, "batchmean");
    if (c->args[3].i) {
        taper_tensor *d = losses_minus(s, t, x);
        loss = d ? tx_mul(s, tx_exp(s, t), d) : NULL;
    } else {
        loss = losses_minus(s, tx_xlogy(s, t, t), tx_mul(s, t, x));
    }
    if (!batch || !loss) return losses_done(c, s, loss, &c->args[2]);
    loss = taper__reduced(s, loss, &sum, "kl_div");
    c->out[0] = taper_scope_keep(s, losses_times(s, loss, x->ndim && x->shape[0] ? 1 / (double)x->shape[0] : 1));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_kl_div = {
    .compose = kl_div_compose,
    .samples = (const taper_sample[]){{"[2,3], [2,3]:prob:nograd"}, {"[2,3], [2,3], batchmean, true"}, {"[2,3], [2,3]:prob:nograd, none"}, {"[2,3], [2,3], max", .error = "is not a valid value for reduction"}, {0}},
};
