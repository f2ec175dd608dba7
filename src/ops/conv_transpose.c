/* Convolutions made of conv2d and its gradient of the input: in one dimension, transposed, and padded by name. */
#include <string.h>

#include "ops/conv.h"
#include "ops/pool.h"

/* The numbers of a call in `dims` dimensions; one value stands for all. */
static taper_status conv_list(int64_t *out, int dims, const taper_arg *a, int64_t fallback, const char *what) {
    for (int d = 0; d < dims; d++) out[d] = fallback;
    if (a->kind == TAPER_ARG_INT)
        for (int d = 0; d < dims; d++) out[d] = a->i;
    if (a->kind != TAPER_ARG_INTS || a->count == 0) return TAPER_OK;
    if (a->count != 1 && a->count != dims)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "expected %s to be a single integer value or a list of %d values to match the convolution dimensions, but got "
                          "%s=%s", what, dims, what, taper__shape_text(a->count, a->is).s);
    for (int d = 0; d < dims; d++) out[d] = a->is[a->count == 1 ? 0 : d];
    return TAPER_OK;
}

static int64_t conv_groups(const taper_arg *a) { return a->kind == TAPER_ARG_INT ? a->i : 1; }

/* A dim of size 1 before the last, which makes rows into images. */
taper_tensor *taper__rows_as_images(taper_scope *s, taper_tensor *t) {
    int64_t shape[TAPER_MAX_DIMS];
    if (!t) return NULL;
    memcpy(shape, t->shape, sizeof(int64_t) * t->ndim);
    shape[t->ndim] = shape[t->ndim - 1];
    shape[t->ndim - 1] = 1;
    return tx_reshape(s, t, shape, t->ndim + 1);
}
taper_tensor *taper__images_as_rows(taper_scope *s, taper_tensor *t) {
    int64_t shape[TAPER_MAX_DIMS];
    if (!t) return NULL;
    memcpy(shape, t->shape, sizeof(int64_t) * t->ndim);
    shape[t->ndim - 2] = shape[t->ndim - 1];
    return tx_reshape(s, t, shape, t->ndim - 1);
}

static taper_status conv_give(taper_call *c, taper_scope *s, taper_tensor *t) {
    c->out[0] = taper_scope_keep(s, t);
    c->nout = 1;
    return s->status;
}

/* ---- conv1d ---- */

static taper_status conv1d_compose(taper_call *c, taper_scope *s) {
    taper_tensor *x = c->args[0].t, *w = c->args[1].t, *b = TAPER_ARG_T(c, 2);
    int64_t n[3], groups = conv_groups(&c->args[6]);
    TAPER_TRY(taper__conv_check(x, w, b, groups, 1, "conv1d"));
    TAPER_TRY(conv_list(n, 1, &c->args[3], 1, "stride"));
    TAPER_TRY(conv_list(n + 1, 1, &c->args[4], 0, "padding"));
    TAPER_TRY(conv_list(n + 2, 1, &c->args[5], 1, "dilation"));
    int64_t kernel = n[2] * (w->shape[2] - 1) + 1, size = x->shape[x->ndim - 1] + 2 * n[1];
    if (n[1] >= 0 && n[2] > 0 && size < kernel)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "Calculated padded input size per channel: (%lld). Kernel size: (%lld). Kernel size can't be greater than "
                          "actual input size", (long long)size, (long long)kernel);
    taper_tensor *y = tx_conv2d(s, taper__rows_as_images(s, x), taper__rows_as_images(s, w), b, (int64_t[]){1, n[0]}, 2, (int64_t[]){0, n[1]}, 2,
                                (int64_t[]){1, n[2]}, 2, groups);
    return conv_give(c, s, taper__images_as_rows(s, y));
}

const taper_op taper_op_conv1d = {
    .compose = conv1d_compose,
    .samples = (const taper_sample[]){{"[2,3,7], [4,3,3], [4]"},
                                      {"[2,4,9], [6,2,3], none, 2, 1, 2, 2"},
                                      {"[3,6], [2,3,2]"},
                                      {"[1,2,8], [4,3,3]", .error = "expected input[1, 2, 8] to have 3 channels, but got 2 channels instead"},
                                      {0}},
};

/* ---- padding by name ---- */

/* "same" pads dilation * (kernel - 1) in all, the odd one at the end. The symmetric convolution with one more at the
 * beginning computes those results and one before them, which is cut off. */
static taper_status conv_padding_compose(taper_call *c, taper_scope *s, int dims, const char *op) {
    taper_tensor *x = c->args[0].t, *w = c->args[1].t, *b = TAPER_ARG_T(c, 2);
    const char *name = c->args[4].kind == TAPER_ARG_STRING ? c->args[4].s : "valid";
    int64_t stride[2], padding[2] = {0, 0}, dilation[2], groups = conv_groups(&c->args[6]), cut[2] = {0, 0};
    TAPER_TRY(taper__conv_check(x, w, b, groups, dims, op));
    TAPER_TRY(conv_list(stride, dims, &c->args[3], 1, "stride"));
    TAPER_TRY(conv_list(dilation, dims, &c->args[5], 1, "dilation"));
    if (!strcmp(name, "same")) {
        for (int d = 0; d < dims; d++) {
            if (stride[d] != 1) return TAPER_FAIL(TAPER_RUNTIME, "padding='same' is not supported for strided convolutions");
            int64_t total = dilation[d] * (w->shape[2 + d] - 1);
            cut[d] = total % 2;
            padding[d] = total / 2 + cut[d];
        }
    } else if (strcmp(name, "valid")) {
        return TAPER_FAIL(TAPER_RUNTIME, "Invalid padding string: '%s'", name);
    }
    taper_tensor *y = dims == 1 ? tx_conv1d(s, x, w, b, stride, 1, padding, 1, dilation, 1, groups)
                                : tx_conv2d(s, x, w, b, stride, 2, padding, 2, dilation, 2, groups);
    if (y && (cut[0] || cut[1])) {
        int64_t shape[4], offset = y->offset;
        memcpy(shape, y->shape, sizeof(int64_t) * y->ndim);
        for (int d = 0; d < dims; d++) {
            int at = y->ndim - dims + d;
            shape[at] -= cut[d];
            offset += cut[d] * y->strides[at];
        }
        y = tx_contiguous(s, tx_as_strided(s, y, shape, y->ndim, y->strides, y->ndim, &offset));
    }
    return conv_give(c, s, y);
}

static taper_status conv1d_padding_compose(taper_call *c, taper_scope *s) { return conv_padding_compose(c, s, 1, "conv1d"); }
static taper_status conv2d_padding_compose(taper_call *c, taper_scope *s) { return conv_padding_compose(c, s, 2, "conv2d"); }

const taper_op taper_op_conv1d_padding = {
    .compose = conv1d_padding_compose,
    .samples = (const taper_sample[]){{"[2,3,7], [4,3,3], [4], padding=same"},
                                      {"[2,3,7], [4,3,4], padding=same, dilation=3"},
                                      {"[2,3,7], [4,3,3], stride=2, padding=same", .error = "not supported for strided convolutions"},
                                      {0}},
};
const taper_op taper_op_conv2d_padding = {
    .compose = conv2d_padding_compose,
    .samples = (const taper_sample[]){{"[2,3,5,4], [4,3,3,3], [4], padding=same"},
                                      {"[2,3,5,4], [4,3,2,3], padding=same, dilation=(1,2)"},
                                      {"[2,3,5,4], [4,3,2,3], padding=valid"},
                                      {"[2,3,5,4], [4,3,2,3], padding=full", .error = "Invalid padding string: 'full'"},
                                      {0}},
};

/* ---- transposed ---- */

static const char *const conv_sides[] = {"height", "width"};

static taper_status conv_transpose_check(const taper_tensor *x, const taper_tensor *w, const taper_tensor *b, int64_t groups, int dims,
                                         const char *op) {
    if (x->ndim != dims + 1 && x->ndim != dims + 2)
        return TAPER_FAIL(TAPER_RUNTIME, "Expected %dD (unbatched) or %dD (batched) input to %s, but got input of size: %s", dims + 1,
                          dims + 2, op, TAPER_SHAPE(x));
    if (w->ndim != dims + 2)
        return TAPER_FAIL(TAPER_RUNTIME, "%s: expected weight to have %d dimensions, but got weight of size %s for input of size %s", op,
                          dims + 2, TAPER_SHAPE(w), TAPER_SHAPE(x));
    if (groups <= 0) return TAPER_FAIL(TAPER_RUNTIME, "non-positive groups is not supported");
    if (w->shape[0] % groups)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "Given groups=%lld, expected weight to be divisible by %lld at dimension 0, but got weight of size [%s] instead",
                          (long long)groups, (long long)groups, TAPER_SHAPE(w));
    if (x->shape[x->ndim - dims - 1] != w->shape[0])
        return TAPER_FAIL(TAPER_RUNTIME, "Given transposed=1, weight of size %s, expected input%s to have %lld channels, but got %lld channels instead",
                          TAPER_SHAPE(w), TAPER_SHAPE(x), (long long)w->shape[0], (long long)x->shape[x->ndim - dims - 1]);
    if (b && (b->ndim != 1 || b->shape[0] != w->shape[1] * groups))
        return TAPER_FAIL(TAPER_RUNTIME,
                          "Given transposed=1, weight of size %s, expected bias to be 1-dimensional with %lld elements, but got bias of size "
                          "%s instead", TAPER_SHAPE(w), (long long)(w->shape[1] * groups), TAPER_SHAPE(b));
    return TAPER_OK;
}

static taper_status conv_transpose_compose(taper_call *c, taper_scope *s, int dims, const char *op) {
    taper_tensor *x = c->args[0].t, *w = c->args[1].t, *b = TAPER_ARG_T(c, 2);
    int64_t stride[2], padding[2], extra[2], dilation[2], groups = conv_groups(&c->args[6]), size[4];
    TAPER_TRY(conv_transpose_check(x, w, b, groups, dims, op));
    TAPER_TRY(conv_list(stride, dims, &c->args[3], 1, "stride"));
    TAPER_TRY(conv_list(padding, dims, &c->args[4], 0, "padding"));
    TAPER_TRY(conv_list(extra, dims, &c->args[5], 0, "output_padding"));
    TAPER_TRY(conv_list(dilation, dims, &c->args[7], 1, "dilation"));
    int lead = x->ndim - dims - 1;
    if (lead) size[0] = x->shape[0];
    size[lead] = w->shape[1] * groups;
    for (int d = 0; d < dims; d++) {
        if (extra[d] < 0 || (extra[d] >= stride[d] && extra[d] >= dilation[d]))
            return TAPER_FAIL(TAPER_RUNTIME,
                              "output padding must be smaller than either stride or dilation, but got output_padding_%s: %lld stride_%s: "
                              "%lld dilation_%s: %lld", conv_sides[d + 2 - dims], (long long)extra[d], conv_sides[d + 2 - dims],
                              (long long)stride[d], conv_sides[d + 2 - dims], (long long)dilation[d]);
        size[lead + 1 + d] = (x->shape[lead + 1 + d] - 1) * stride[d] - 2 * padding[d] + dilation[d] * (w->shape[2 + d] - 1) + extra[d] + 1;
        if (size[lead + 1 + d] <= 0)
            return TAPER_FAIL(TAPER_RUNTIME, "Given input size per channel: %s. Calculated output size per channel: %s. Output size is too small",
                              taper__shape_text(dims, x->shape + lead + 1).s, taper__shape_text(d + 1, size + lead + 1).s);
    }
    taper_tensor *y;
    if (dims == 1) {
        size[lead + 2] = size[lead + 1];
        size[lead + 1] = 1;
        y = tx_conv2d_input_grad(s, size, lead + 3, taper__rows_as_images(s, w), taper__rows_as_images(s, x), (int64_t[]){1, stride[0]}, 2,
                                 (int64_t[]){0, padding[0]}, 2, (int64_t[]){1, dilation[0]}, 2, groups);
        y = taper__images_as_rows(s, y);
    } else {
        y = tx_conv2d_input_grad(s, size, lead + 3, w, x, stride, 2, padding, 2, dilation, 2, groups);
    }
    if (b && y) {
        if (b->dtype != y->dtype) b = tx_to(s, b, NULL, (taper_dtype)y->dtype, false, false); /* under autocast */
        y = tx_add(s, y, tx_reshape(s, b, (int64_t[]){b->shape[0], 1, 1}, dims + 1), taper_int(1));
    }
    return conv_give(c, s, y);
}

static taper_status conv_transpose1d_compose(taper_call *c, taper_scope *s) {
    return conv_transpose_compose(c, s, 1, "conv_transpose1d");
}
static taper_status conv_transpose2d_compose(taper_call *c, taper_scope *s) {
    return conv_transpose_compose(c, s, 2, "conv_transpose2d");
}

const taper_op taper_op_conv_transpose1d = {
    .compose = conv_transpose1d_compose,
    .samples = (const taper_sample[]){{"[2,3,5], [3,4,3], [4], stride=2, padding=1, output_padding=1"},
                                      {"[4,5], [4,2,3], groups=2"},
                                      {"[1,2,8], [3,4,3]", .error = "expected input[1, 2, 8] to have 3 channels"},
                                      {0}},
};
const taper_op taper_op_conv_transpose2d = {
    .compose = conv_transpose2d_compose,
    .samples = (const taper_sample[]){{"[2,3,4,5], [3,4,3,3], [4]"},
                                      {"[2,4,3,3], [4,2,3,2], [4], stride=(2,3), padding=(1,0), output_padding=(1,2), groups=2"},
                                      {"[3,4,4], [3,2,2,2], dilation=2"},
                                      {"[1,2,8,8], [3,4,3,3]", .error = "Given transposed=1, weight of size [3, 4, 3, 3], expected input[1, 2, 8, 8]"},
                                      {0}},
};
