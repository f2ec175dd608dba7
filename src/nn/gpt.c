/* A GPT: embeddings, blocks with the norm before each branch, the token embedding as output layer. */
#include <taper/autograd.h>
#include <taper/nn.h>
#include <taper/ops.h>

#include <math.h>
#include <stdio.h>

#include "base/base.h"

/* torch.nn.Linear's names with GPT-2's numbers. */
static taper_status gpt_linear(taper_nn_linear *l, taper_params *p, const char *name, int64_t in, int64_t out, double std,
                               taper_device device) {
    taper_status status = taper_param_normal(&l->weight, p, name, "weight", device, std, 2, (int64_t[]){out, in});
    return status == TAPER_OK ? taper_param_constant(&l->bias, p, name, "bias", device, 0, 1, &out) : status;
}

static taper_status gpt_block_init(taper_nn_block *b, taper_params *p, int i, int64_t width, double std, double last_std,
                                   taper_device device) {
    char name[64];
    taper_status status;
#define GPT_PART(part, call)                                                                                           \
    snprintf(name, sizeof name, "blocks.%d." part, i);                                                                 \
    if ((status = call) != TAPER_OK) return status
    GPT_PART("ln1", taper_nn_layer_norm_init(&b->ln1, p, name, width, device));
    GPT_PART("qkv", gpt_linear(&b->qkv, p, name, width, 3 * width, std, device));
    GPT_PART("proj", gpt_linear(&b->proj, p, name, width, width, last_std, device));
    GPT_PART("ln2", taper_nn_layer_norm_init(&b->ln2, p, name, width, device));
    GPT_PART("fc", gpt_linear(&b->fc, p, name, width, 4 * width, std, device));
    GPT_PART("out", gpt_linear(&b->out, p, name, 4 * width, width, last_std, device));
#undef GPT_PART
    return TAPER_OK;
}

taper_status taper_nn_gpt_init(taper_nn_gpt *g, taper_params *p, taper_device device) {
    if (g->layers < 1 || g->layers > TAPER_NN_MAX_LAYERS || g->heads < 1 || g->width % g->heads)
        return TAPER_FAIL(TAPER_VALUE, "gpt: %lld layers, width %lld, %lld heads: need 1 to %d layers and a width that the heads divide",
                          (long long)g->layers, (long long)g->width, (long long)g->heads, TAPER_NN_MAX_LAYERS);
    double std = 0.02, last_std = std / sqrt(2 * (double)g->layers);
    taper_status status = taper_nn_embedding_init(&g->wte, p, "wte", g->vocabulary, g->width, std, device);
    if (status == TAPER_OK) status = taper_nn_embedding_init(&g->wpe, p, "wpe", g->context, g->width, std, device);
    for (int i = 0; i < g->layers && status == TAPER_OK; i++) {
        g->blocks[i].heads = g->heads;
        status = gpt_block_init(&g->blocks[i], p, i, g->width, std, last_std, device);
    }
    return status == TAPER_OK ? taper_nn_layer_norm_init(&g->ln, p, "ln", g->width, device) : status;
}

static taper_tensor *gpt_cast(taper_scope *s, bool half, taper_tensor *t) {
    taper_tensor *cast = NULL;
    if (!half || !t || s->status != TAPER_OK) return t;
    s->status = taper_cast_leaf(&cast, t, TAPER_BF16); /* an optimiser may keep copies */
    return taper_scope_own(s, cast);
}
static taper_nn_linear gpt_linear_cast(taper_scope *s, bool half, const taper_nn_linear *l) {
    return (taper_nn_linear){gpt_cast(s, half, l->weight), gpt_cast(s, half, l->bias)};
}
static taper_nn_layer_norm gpt_norm_cast(taper_scope *s, bool half, const taper_nn_layer_norm *n) {
    return (taper_nn_layer_norm){gpt_cast(s, half, n->weight), gpt_cast(s, half, n->bias), n->width, n->eps};
}

/* Several results, of which the first is wanted. */
static taper_tensor *gpt_first(taper_scope *s, taper_status status, taper_tensor **results, int n) {
    if (s->status == TAPER_OK) s->status = status;
    for (int i = n - 1; i >= 0; i--) results[i] = taper_scope_own(s, results[i]);
    return results[0];
}

/* *x becomes x + branch, the result is the norm of that. */
static taper_tensor *gpt_add_norm(taper_scope *s, bool half, const taper_nn_layer_norm *ln, taper_tensor *branch, taper_tensor **x) {
    taper_nn_layer_norm n = gpt_norm_cast(s, half, ln);
    taper_tensor *r[4] = {NULL};
    if (!branch || !*x) return NULL;
    taper_status status = taper_add_layer_norm(r, branch, *x, &n.width, 1, n.weight, n.bias, n.eps);
    *x = gpt_first(s, status, r, 4);
    return r[1];
}

/* A block of fused operators, from h, the norm of *x. The result is the second branch, still to be added to *x. */
static taper_tensor *gpt_block(taper_scope *s, bool half, const taper_nn_block *b, taper_tensor *h, taper_tensor **x) {
    taper_nn_linear in = gpt_linear_cast(s, half, &b->qkv), proj = gpt_linear_cast(s, half, &b->proj);
    taper_nn_linear fc = gpt_linear_cast(s, half, &b->fc), out = gpt_linear_cast(s, half, &b->out);
    taper_tensor *qkv = taper_nn_linear_forward(s, &in, h), *r[3] = {NULL};
    if (!qkv) return NULL;
    taper_status status = taper_flash_attention_packed(r, qkv, b->heads, true, NULL, 0);
    h = gpt_add_norm(s, half, &b->ln2, taper_nn_linear_forward(s, &proj, gpt_first(s, status, r, 2)), x);
    if (!h) return NULL;
    if (!half) return taper_nn_linear_forward(s, &out, taper_nn_gelu(s, taper_nn_linear_forward(s, &fc, h)));
    r[0] = r[1] = r[2] = NULL;
    status = taper_feed_forward(r, h, fc.weight, fc.bias, out.weight, out.bias, "tanh");
    return gpt_first(s, status, r, 3);
}

/* (batch, time, width), after the last norm. */
static taper_tensor *gpt_body(taper_scope *s, const taper_nn_gpt *g, taper_tensor *index) {
    if (taper_tensor_ndim(index) != 2 || taper_tensor_shape(index)[1] > g->context) {
        if (s->status == TAPER_OK)
            s->status = TAPER_FAIL(TAPER_VALUE, "gpt: index needs shape (batch, time) with at most %lld positions",
                                   (long long)g->context);
        return NULL;
    }
    taper_tensor *x = taper_nn_embedding_forward(s, &g->wte, index);
    x = tx_add(s, x, tx_narrow(s, g->wpe.weight, 0, 0, taper_tensor_shape(index)[1]), taper_int(1));
    taper_nn_layer_norm first = gpt_norm_cast(s, g->half, &g->blocks[0].ln1);
    x = gpt_cast(s, g->half, x);
    taper_tensor *h = taper_nn_layer_norm_forward(s, &first, x);
    for (int i = 0; i < g->layers && h; i++)
        h = gpt_add_norm(s, g->half, i + 1 < g->layers ? &g->blocks[i + 1].ln1 : &g->ln, gpt_block(s, g->half, &g->blocks[i], h, &x), &x);
    return h;
}

taper_tensor *taper_nn_gpt_forward(taper_scope *s, const taper_nn_gpt *g, taper_tensor *index) {
    return tx_linear(s, gpt_body(s, g, index), gpt_cast(s, g->half, g->wte.weight), NULL);
}

taper_tensor *taper_nn_gpt_loss(taper_scope *s, const taper_nn_gpt *g, taper_tensor *index, taper_tensor *target) {
    int64_t rows = taper_tensor_numel(target);
    taper_tensor *x = gpt_body(s, g, index), *flat = tx_reshape(s, target, &rows, 1), *r[3] = {NULL};
    x = tx_reshape(s, x, (int64_t[]){rows, g->width}, 2);
    if (!x) return NULL;
    if (g->half) { /* the logits of all positions would be the largest tensor by far */
        taper_status status = taper_linear_cross_entropy(r, x, g->wte.weight, flat, -100);
        return gpt_first(s, status, r, 3);
    }
    return tx_cross_entropy(s, tx_linear(s, x, g->wte.weight, NULL), flat, NULL, -100, "mean", 0);
}
