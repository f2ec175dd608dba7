/* Copies of weights in low precision, gradient scaling and autocast of the C API on the CPU. */
#include "optim_problem.h"

/* ---- copies in low precision ---- */
static bool copied(const taper_params *p, taper_dtype dtype) {
    for (int i = 0; i < p->count; i++) {
        taper_tensor *copy = taper_leaf_copy(p->tensors[i], dtype), *want = NULL;
        bool was = taper_set_grad_enabled(false);
        bool same = copy && taper_to(&want, p->tensors[i], NULL, dtype, false, false) == TAPER_OK && copy != want &&
                    !memcmp(taper_tensor_data(copy), taper_tensor_data(want), 2 * (size_t)taper_tensor_numel(want));
        taper_set_grad_enabled(was);
        taper_tensor_release(want);
        if (!same) return false;
    }
    return true;
}

static taper_status learn(taper_nn_gpt *g, taper_params *p, taper_optimizer *o, double *loss) {
    int64_t x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1}, y[12] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1, 2};
    taper_tensor *in[2] = {NULL, NULL};
    taper_scope s = TAPER_SCOPE;
    s.status = taper_tensor_from_data(&in[0], x, TAPER_I64, 2, (int64_t[]){2, 6});
    if (s.status == TAPER_OK) s.status = taper_tensor_from_data(&in[1], y, TAPER_I64, 2, (int64_t[]){2, 6});
    taper_tensor *l = s.status == TAPER_OK ? taper_nn_gpt_loss(&s, g, in[0], in[1]) : NULL;
    if (s.status == TAPER_OK) s.status = taper_params_zero_grad(p);
    if (s.status == TAPER_OK) s.status = taper_backward(&l, NULL, 1, false, false);
    if (s.status == TAPER_OK) s.status = taper_optimizer_step(o);
    if (s.status == TAPER_OK) s.status = taper_tensor_item_double(l, loss);
    taper_tensor_release(in[0]);
    taper_tensor_release(in[1]);
    return taper_scope_end(&s);
}

/* A model in bfloat16 trains with the same bits whether its weights are cast at each call or kept. */
static void copies_in_gpt(void) {
    taper_params p[2] = {TAPER_PARAMS, TAPER_PARAMS};
    taper_optimizer *o[2] = {NULL, NULL};
    taper_nn_gpt g[2];
    taper_adamw_options a = TAPER_ADAMW_OPTIONS;
    a.lr = 1e-2;
    a.clip_norm = 1;
    taper_status st = TAPER_OK;
    double loss[2][6] = {{0}};
    bool held = true, same = true;
    for (int k = 0; k < 2 && st == TAPER_OK; k++) {
        g[k] = (taper_nn_gpt){.layers = 2, .width = 16, .heads = 2, .vocabulary = 11, .context = 6, .half = true};
        taper_manual_seed(11);
        st = taper_nn_gpt_init(&g[k], &p[k], taper_cpu());
        if (st == TAPER_OK) st = taper_adamw_new(&o[k], &p[k], a);
        if (st == TAPER_OK) st = taper_optimizer_group(o[k], taper_chooses_vectors, NULL, 1e-2, 0, NULL);
        if (st == TAPER_OK && k) st = taper_optimizer_keep_copies(o[k], TAPER_BF16);
        for (int t = 0; t < 6 && st == TAPER_OK; t++) {
            st = learn(&g[k], &p[k], o[k], &loss[k][t]);
            if (k) held = held && copied(&p[k], TAPER_BF16);
        }
    }
    for (int i = 0; i < p[0].count && st == TAPER_OK; i++)
        same = same && !memcmp(taper_tensor_data(p[0].tensors[i]), taper_tensor_data(p[1].tensors[i]), 4 * (size_t)taper_tensor_numel(p[0].tensors[i]));
    CHECK("copies_gpt_same_bits", st == TAPER_OK && same && !memcmp(loss[0], loss[1], sizeof loss[0]) && loss[0][5] < loss[0][0]);
    CHECK("copies_are_the_parameters", held);
    for (int k = 0; k < 2; k++) {
        taper_optimizer_release(o[k]);
        taper_params_release(&p[k]);
    }
}

static void copies_follow(void) {
    taper_params p = TAPER_PARAMS;
    taper_optimizer *o = NULL, *sgd = NULL;
    taper_grad_scaler *g = NULL;
    float other[4] = {9, 8, 7, 6};
    taper_tensor *cast = NULL, *cast_again = NULL;
    taper_status st = problem(&p);
    if (st == TAPER_OK) st = make(&o, &p, ADAM_ALL);
    if (st == TAPER_OK) st = make(&sgd, &p, SGD);
    CHECK("copies_refused", st == TAPER_OK && taper_optimizer_keep_copies(sgd, TAPER_BF16) == TAPER_NOT_IMPLEMENTED && taper_optimizer_keep_copies(o, TAPER_F32) == TAPER_VALUE);
    if (st == TAPER_OK) st = taper_optimizer_keep_copies(o, TAPER_F16);
    CHECK("copies_made", st == TAPER_OK && copied(&p, TAPER_F16) && !taper_leaf_copy(p.tensors[0], TAPER_BF16));
    if (st == TAPER_OK) st = taper_tensor_write(p.tensors[1], other, sizeof other);
    CHECK("copies_end_with_a_write", st == TAPER_OK && !taper_leaf_copy(p.tensors[1], TAPER_F16) && taper_leaf_copy(p.tensors[0], TAPER_F16));
    if (st == TAPER_OK) st = taper_grad_scaler_new(&g, taper_cpu(), (taper_grad_scaler_options)TAPER_GRAD_SCALER_OPTIONS);
    if (st == TAPER_OK) st = gradients(&p, 0, 65536);
    if (st == TAPER_OK) ((float *)taper_tensor_data(taper_grad(p.tensors[0])))[3] = INFINITY;
    if (st == TAPER_OK) st = taper_grad_scaler_step(g, o);
    CHECK("copies_after_step_left_out", st == TAPER_OK && copied(&p, TAPER_F16));
    if (st == TAPER_OK) st = steps(&p, o, 0, 2);
    CHECK("copies_after_steps", st == TAPER_OK && copied(&p, TAPER_F16));
    /* The gradient of a cast arrives at the leaf, in its dtype. */
    taper_scope s = TAPER_SCOPE;
    if (st == TAPER_OK) st = taper_params_zero_grad(&p);
    if (st == TAPER_OK) st = taper_cast_leaf(&cast, p.tensors[1], TAPER_F16);
    if (st == TAPER_OK) st = taper_cast_leaf(&cast_again, p.tensors[1], TAPER_BF16);
    taper_tensor *l = st == TAPER_OK ? tx_sum(&s, tx_mul(&s, cast, cast), NULL, 0, false, TAPER_DTYPE_NONE) : NULL;
    if (l) st = taper_backward(&l, NULL, 1, false, false);
    taper_tensor *grad = taper_grad(p.tensors[1]);
    bool right = st == TAPER_OK && l && grad && taper_tensor_dtype(grad) == TAPER_F32 && taper_tensor_data(cast) == taper_tensor_data(taper_leaf_copy(p.tensors[1], TAPER_F16)) &&
                 taper_requires_grad(cast_again) && taper_tensor_dtype(cast_again) == TAPER_BF16;
    for (int i = 0; i < 4 && right; i++)
        right = fabsf(((float *)taper_tensor_data(grad))[i] - 2 * ((float *)taper_tensor_data(p.tensors[1]))[i]) < 2e-3f * fabsf(((float *)taper_tensor_data(grad))[i]);
    CHECK("copies_gradient", right);
    taper_scope_end(&s);
    taper_tensor_release(cast);
    taper_tensor_release(cast_again);
    CHECK("copy_of_other_shape", taper_set_leaf_copy(p.tensors[0], p.tensors[0]) == TAPER_RUNTIME);
    taper_optimizer_release(o);
    CHECK("copies_end_with_optimizer", !taper_leaf_copy(p.tensors[0], TAPER_F16));
    taper_optimizer_release(sgd);
    taper_grad_scaler_release(g);
    taper_params_release(&p);
}

/* ---- gradient scaling ---- */

/* With a scale of a power of two the scaled run has the bits of the plain one; a step with inf changes nothing. */
static void scaling(kind k, bool clip, bool unscale) {
    taper_params p = TAPER_PARAMS, q = TAPER_PARAMS;
    taper_optimizer *plain = NULL, *scaled = NULL;
    taper_grad_scaler *g = NULL;
    taper_grad_scaler_options options = TAPER_GRAD_SCALER_OPTIONS;
    options.init_scale = 1024, options.growth_interval = 3;
    double scale = 0, want = 1024;
    int64_t good = 0;
    float x[10], y[10];
    bool same = true, right = true;
    char name[64];
    taper_status st = problem(&p);
    if (st == TAPER_OK) st = problem(&q);
    taper_adamw_options clipped = TAPER_ADAMW_OPTIONS;
    clipped.clip_norm = 2;
    if (st == TAPER_OK) st = clip ? taper_adamw_new(&plain, &p, clipped) : make(&plain, &p, k);
    if (st == TAPER_OK) st = clip ? taper_adamw_new(&scaled, &q, clipped) : make(&scaled, &q, k);
    if (st == TAPER_OK) st = taper_grad_scaler_new(&g, taper_cpu(), options);
    for (int t = 0; t < 8 && st == TAPER_OK; t++) {
        bool bad = t == 0 || t == 5;
        st = taper_grad_scaler_get(g, &scale, &good);
        right = right && scale == want;
        if (st == TAPER_OK) st = gradients(&q, t, scale);
        if (st == TAPER_OK && bad) ((float *)taper_tensor_data(taper_grad(q.tensors[1])))[2] = t ? NAN : INFINITY;
        values(&q, x);
        if (st == TAPER_OK && unscale) st = taper_grad_scaler_unscale(g, scaled);
        if (st == TAPER_OK) st = taper_grad_scaler_step(g, scaled);
        if (st == TAPER_OK) st = taper_grad_scaler_update(g);
        values(&q, y);
        if (bad) right = right && !memcmp(x, y, sizeof x);
        else if (st == TAPER_OK) st = steps(&p, plain, t, t + 1);
        values(&p, x);
        same = same && !memcmp(x, y, sizeof x);
        if (bad) want /= 2;
        if (t == 3) want *= 2; /* the third good one */
    }
    snprintf(name, sizeof name, "scaler_%s%s%s", cases[k].name, clip ? "_clip" : "", unscale ? "_unscale" : "");
    CHECK(name, st == TAPER_OK && same && right);
    if (st == TAPER_OK) st = taper_grad_scaler_get(g, &scale, &good);
    CHECK("scaler_state", st == TAPER_OK && scale == want && good == 2);
    taper_grad_scaler_release(g);
    taper_optimizer_release(plain);
    taper_optimizer_release(scaled);
    taper_params_release(&p);
    taper_params_release(&q);
}

static void scaler_order(void) {
    taper_params p = TAPER_PARAMS, q = TAPER_PARAMS;
    taper_optimizer *o = NULL, *other = NULL;
    taper_grad_scaler *g = NULL;
    taper_grad_scaler_options options = TAPER_GRAD_SCALER_OPTIONS, bad[] = {{1, 1, 0.5, 1}, {1, 2, 1, 1}, {0, 2, 0.5, 1}, {1, 2, 0.5, 0}};
    double scale = 0;
    float before[10], after[10], x[10];
    taper_status st = problem(&p);
    if (st == TAPER_OK) st = problem(&q);
    if (st == TAPER_OK) st = make(&o, &p, ADAM);
    if (st == TAPER_OK) st = make(&other, &q, SGD_ALL);
    bool refused = true;
    for (int i = 0; i < TAPER_COUNT(bad); i++) refused = refused && taper_grad_scaler_new(&g, taper_cpu(), bad[i]) == TAPER_VALUE && !g;
    CHECK("scaler_refusals", refused);
    if (st == TAPER_OK) st = taper_grad_scaler_new(&g, taper_cpu(), options);
    CHECK("scaler_update_first", st == TAPER_OK && taper_grad_scaler_update(g) == TAPER_RUNTIME);
    st = gradients(&p, 0, 65536);
    if (st == TAPER_OK) st = gradients(&q, 0, 65536);
    ((float *)taper_tensor_data(taper_grad(p.tensors[0])))[0] = -INFINITY;
    values(&p, before);
    values(&q, x);
    CHECK("scaler_unscale", st == TAPER_OK && taper_grad_scaler_unscale(g, o) == TAPER_OK);
    CHECK("scaler_unscale_twice", taper_grad_scaler_unscale(g, o) == TAPER_RUNTIME);
    CHECK("scaler_step", taper_grad_scaler_step(g, o) == TAPER_OK && taper_grad_scaler_step(g, other) == TAPER_OK);
    CHECK("scaler_step_twice", taper_grad_scaler_step(g, o) == TAPER_RUNTIME && taper_grad_scaler_unscale(g, o) == TAPER_RUNTIME);
    values(&p, after);
    CHECK("scaler_one_of_two", !memcmp(before, after, sizeof after)); /* the other one steps */
    values(&q, after);
    CHECK("scaler_other_of_two", memcmp(x, after, sizeof after));
    st = taper_grad_scaler_update(g);
    if (st == TAPER_OK) st = taper_grad_scaler_get(g, &scale, NULL);
    CHECK("scaler_backs_off_for_both", st == TAPER_OK && scale == 32768);
    int64_t good = 0;
    CHECK("scaler_set", taper_grad_scaler_set(g, 512, 7) == TAPER_OK && taper_grad_scaler_get(g, &scale, &good) == TAPER_OK && scale == 512 && good == 7 &&
                            taper_grad_scaler_set(g, 0, 0) == TAPER_VALUE && taper_grad_scaler_set(g, 1, 2000) == TAPER_VALUE);
    taper_grad_scaler_release(g);
    taper_optimizer_release(o);
    taper_optimizer_release(other);
    taper_params_release(&p);
    taper_params_release(&q);
}

/* A loss made under autocast in bfloat16, scaled and differentiated. */
static void autocast(void) {
    taper_scope s = TAPER_SCOPE;
    taper_params p = TAPER_PARAMS;
    taper_grad_scaler *g = NULL;
    taper_dtype inner = TAPER_DTYPE_NONE, product = TAPER_DTYPE_NONE, outside = TAPER_DTYPE_NONE;
    taper_nn_linear l;
    taper_status st = taper_nn_linear_init(&l, &p, "l", 3, 2, true, taper_cpu());
    if (st == TAPER_OK) st = taper_grad_scaler_new(&g, taper_cpu(), (taper_grad_scaler_options)TAPER_GRAD_SCALER_OPTIONS);
    int64_t shape[] = {4, 3};
    taper_tensor *x = tx_ones(&s, shape, 2, TAPER_F32, NULL), *loss = NULL;
    taper_set_autocast(TAPER_CPU, true, TAPER_BF16, true);
    bool on = taper_autocast_enabled(TAPER_CPU, &inner);
    taper_tensor *y = taper_nn_linear_forward(&s, &l, x);
    if (y) product = taper_tensor_dtype(y);
    taper_set_autocast(TAPER_CPU, false, TAPER_DTYPE_NONE, true);
    bool off = taper_autocast_enabled(TAPER_CPU, NULL);
    taper_tensor *z = taper_nn_linear_forward(&s, &l, x);
    if (z) outside = taper_tensor_dtype(z);
    CHECK("autocast_region", st == TAPER_OK && on && !off && inner == TAPER_BF16 && product == TAPER_BF16 && outside == TAPER_F32);
    /* A copy that an optimiser keeps takes the place of autocast's own: wrong numbers in it are seen in the result. */
    taper_optimizer *o = NULL;
    if (st == TAPER_OK) st = taper_adamw_new(&o, &p, (taper_adamw_options)TAPER_ADAMW_OPTIONS);
    if (st == TAPER_OK) st = taper_optimizer_keep_copies(o, TAPER_BF16);
    taper_set_autocast(TAPER_CPU, true, TAPER_BF16, true);
    taper_tensor *kept = taper_nn_linear_forward(&s, &l, x), *changed = NULL;
    taper_autocast_clear_cache();
    if (st == TAPER_OK) memset(taper_tensor_data(taper_leaf_copy(l.weight, TAPER_BF16)), 0, 12);
    if (st == TAPER_OK) memset(taper_tensor_data(taper_leaf_copy(l.bias, TAPER_BF16)), 0, 4);
    changed = taper_nn_linear_forward(&s, &l, x);
    taper_set_autocast(TAPER_CPU, false, TAPER_DTYPE_NONE, true);
    static const uint16_t zeros[8] = {0};
    CHECK("autocast_with_copies", st == TAPER_OK && y && kept && changed && !memcmp(taper_tensor_data(y), taper_tensor_data(kept), 16) &&
                                      !memcmp(taper_tensor_data(changed), zeros, 16) && memcmp(taper_tensor_data(y), zeros, 16));
    taper_optimizer_release(o);
    if (y) loss = taper_grad_scaler_scale(&s, g, tx_sum(&s, tx_to(&s, y, NULL, TAPER_F32, false, false), NULL, 0, false, TAPER_DTYPE_NONE));
    if (s.status == TAPER_OK && loss) s.status = taper_backward(&loss, NULL, 1, false, false);
    taper_tensor *grad = taper_grad(l.bias);
    CHECK("autocast_scaled_gradient", s.status == TAPER_OK && grad && taper_tensor_dtype(grad) == TAPER_F32 && ((float *)taper_tensor_data(grad))[0] == 4 * 65536.0f);
    taper_scope_end(&s);
    taper_grad_scaler_release(g);
    taper_params_release(&p);
}

int main(void) {
    copies_in_gpt();
    copies_follow();
    scaling(ADAMW, false, false);
    scaling(ADAM_ALL, false, true);
    scaling(SGD_NESTEROV, false, false);
    scaling(SGD_ALL, false, false);
    scaling(RMSPROP_ALL, false, true);
    scaling(ADAMW, true, false);
    scaling(ADAMW, true, true);
    scaler_order();
    autocast();
    return failed;
}
