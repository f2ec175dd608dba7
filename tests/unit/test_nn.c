/* Layers, buffers and containers of the C API: first values and three steps of training against numbers of PyTorch
 * (nn_numbers.h), modes, layers of the program's own, errors, moves. */
#include "nn_networks.h"

static void against_torch(const network *w) {
    char name[80];
    taper_params p = TAPER_PARAMS;
    taper_nn_sequential net;
    taper_optimizer *o = NULL;
    taper_sgd_options options = TAPER_SGD_OPTIONS;
    float y[12], again[12];
    bool ok;
    options.lr = 0.1;
    options.momentum = 0.9;
    taper_manual_seed(11);
    snprintf(name, sizeof name, "%s_build", w->name);
    CHECK(name, w->make(&net, &p, taper_cpu()) == TAPER_OK);
    ok = p.count == w->count;
    for (int i = 0; ok && i < p.count; i++) ok = !strcmp(p.names[i], w->names[i]);
    snprintf(name, sizeof name, "%s_names", w->name);
    CHECK(name, ok);
    snprintf(name, sizeof name, "%s_first_values", w->name);
    CHECK(name, same_values(&p, w->first, w->values, 0));
    ok = taper_sgd_new(&o, &p, options) == TAPER_OK;
    for (int i = 0; i < 3 && ok; i++) {
        double loss = 0;
        ok = step(w, &net, &p, o, i, &loss) == TAPER_OK && fabs(loss - w->losses[i]) <= 2e-5 * fabs(loss);
        if (!ok) printf("# loss %.9g, PyTorch has %.9g\n", loss, w->losses[i]);
    }
    snprintf(name, sizeof name, "%s_losses", w->name);
    CHECK(name, ok);
    snprintf(name, sizeof name, "%s_trained_values", w->name);
    CHECK(name, same_values(&p, w->trained, w->values, 5e-5));
    taper_nn_sequential_train(&net, false);
    ok = outputs(w, &net, 3, y) == TAPER_OK && near(y, w->evaluated, 12, 2e-4);
    for (int i = 0; !ok && i < 12; i++) printf("# %.9g, PyTorch has %.9g\n", y[i], w->evaluated[i]);
    snprintf(name, sizeof name, "%s_evaluated", w->name);
    CHECK(name, ok);
    ok = outputs(w, &net, 3, again) == TAPER_OK && !memcmp(y, again, sizeof y) && same_values(&p, w->trained, w->values, 5e-5);
    snprintf(name, sizeof name, "%s_evaluation_changes_nothing", w->name);
    CHECK(name, ok);
    taper_nn_sequential_train(&net, true);
    ok = outputs(w, &net, 3, again) == TAPER_OK && memcmp(y, again, sizeof y) && !same_values(&p, w->trained, w->values, 5e-5);
    snprintf(name, sizeof name, "%s_training_moves_buffers", w->name);
    CHECK(name, ok);
    taper_optimizer_release(o);
    taper_nn_sequential_release(&net);
    taper_params_release(&p);
}

/* ---- buffers ---- */

static void buffers(void) {
    taper_params p = TAPER_PARAMS;
    taper_nn_batch_norm n;
    taper_tensor *odd = NULL;
    taper_status st = taper_nn_batch_norm_init(&n, &p, "norm", 5, NULL, taper_cpu());
    CHECK("buffers_are_marked", st == TAPER_OK && p.count == 5 && !p.buffers[0] && !p.buffers[1] && p.buffers[2] && p.buffers[3] && p.buffers[4] &&
                                    !strcmp(p.names[4], "norm.num_batches_tracked") && taper_tensor_ndim(n.num_batches_tracked) == 0);
    CHECK("buffers_want_no_gradient", taper_requires_grad(n.weight) && !taper_requires_grad(n.running_mean) && taper_params_numel(&p) == 10);
    st = taper_tensor_new(&odd, TAPER_I64, taper_cpu(), 1, (int64_t[]){2});
    CHECK("integer_parameter_is_refused", st == TAPER_OK && taper_params_add(&p, "odd", odd) == TAPER_RUNTIME && p.count == 5);
    CHECK("buffer_name_is_taken", taper_params_add_buffer(&p, "norm.bias", odd) == TAPER_VALUE && strstr(taper_error_message(), "norm.bias"));
    CHECK("integer_buffer", taper_params_add_buffer(&p, "odd", odd) == TAPER_OK && taper_params_find(&p, "odd") == odd);
    taper_tensor_release(odd);
    taper_params_release(&p);
}

/* ---- dropout, and layers of the program's own ---- */

static void dropout(void) {
    taper_nn_dropout d = TAPER_NN_DROPOUT;
    taper_scope s = TAPER_SCOPE;
    float y[1000];
    int zeros = 0;
    bool scaled = true;
    d.p = 0.25;
    taper_manual_seed(3);
    taper_tensor *x = tx_full(&s, (int64_t[]){1000}, 1, taper_int(3), TAPER_F32, NULL), *kept = taper_nn_dropout_forward(&s, &d, x);
    if (s.status == TAPER_OK) s.status = taper_tensor_read(kept, y, sizeof y);
    for (int i = 0; i < 1000; i++) {
        zeros += y[i] == 0;
        scaled = scaled && (y[i] == 0 || y[i] == 4);
    }
    CHECK("dropout_in_training", s.status == TAPER_OK && scaled && zeros > 200 && zeros < 300);
    d.training = false;
    kept = taper_nn_dropout_forward(&s, &d, x);
    CHECK("dropout_in_evaluation", s.status == TAPER_OK && taper_tensor_storage(kept) == taper_tensor_storage(x));
    d = (taper_nn_dropout){1.5, true};
    CHECK("dropout_refuses", !taper_nn_dropout_forward(&s, &d, x) && strstr(taper_error_message(), "has to be between 0 and 1, but got 1.5"));
    taper_scope_end(&s);
}

typedef struct residual {
    taper_nn_linear in, out;
    taper_nn_dropout drop;
    int released;
} residual;
static taper_tensor *residual_forward(taper_scope *s, void *ctx, taper_tensor *x) {
    residual *r = ctx;
    taper_tensor *y = taper_nn_dropout_forward(s, &r->drop, tx_relu(s, taper_nn_linear_forward(s, &r->in, x)));
    return tx_add(s, x, taper_nn_linear_forward(s, &r->out, y), taper_int(1));
}
static void residual_train(void *ctx, bool training) { ((residual *)ctx)->drop.training = training; }
static void residual_release(void *ctx) { ((residual *)ctx)->released++; }

static taper_status residual_add(taper_nn_sequential *net, residual *r) {
    char name[200];
    snprintf(name, sizeof name, "%s.in", taper_nn_sequential_next(net));
    taper_status st = taper_nn_linear_init(&r->in, net->params, name, 4, 8, true, net->device);
    snprintf(name, sizeof name, "%s.out", taper_nn_sequential_next(net));
    if (st == TAPER_OK) st = taper_nn_linear_init(&r->out, net->params, name, 8, 4, true, net->device);
    r->drop = (taper_nn_dropout){0.5, true};
    r->released = 0;
    return st == TAPER_OK ? taper_nn_sequential_add(net, (taper_nn_layer){"Residual", residual_forward, residual_train, residual_release, r}) : st;
}

static void own_layer(void) {
    taper_params p = TAPER_PARAMS;
    taper_nn_sequential net;
    taper_scope s = TAPER_SCOPE;
    residual r, second;
    double a = 0, b = 1;
    taper_nn_sequential_init(&net, &p, "body", taper_cpu());
    taper_nn_sequential_dropout(&net, 0.5);
    taper_nn_sequential_train(&net, false);
    taper_status st = residual_add(&net, &r);
    CHECK("own_layer", st == TAPER_OK && net.count == 2 && p.count == 4 && !strcmp(p.names[0], "body.1.in.weight") && !strcmp(p.names[3], "body.1.out.bias"));
    CHECK("added_layer_takes_the_mode", !r.drop.training && !((taper_nn_dropout *)net.layers[0].ctx)->training);
    taper_tensor *x = tx_full(&s, (int64_t[]){2, 4}, 2, taper_int(1), TAPER_F32, NULL);
    taper_tensor *y = tx_sum(&s, taper_nn_sequential_forward(&s, &net, x), NULL, 0, false, TAPER_DTYPE_NONE);
    taper_tensor *z = tx_sum(&s, residual_forward(&s, &r, x), NULL, 0, false, TAPER_DTYPE_NONE);
    if (s.status == TAPER_OK) s.status = taper_tensor_item_double(y, &a);
    if (s.status == TAPER_OK) s.status = taper_tensor_item_double(z, &b);
    CHECK("own_layer_forward", s.status == TAPER_OK && a == b);
    taper_nn_sequential_train(&net, true);
    CHECK("own_layer_train", r.drop.training);
    taper_nn_sequential_linear(&net, 5, 2, true);
    CHECK("forward_names_the_layer", !taper_nn_sequential_forward(&s, &net, x) && s.status == TAPER_RUNTIME &&
                                         strstr(taper_error_message(), "sequential body.2 (Linear): ") && strstr(taper_error_message(), "(2x4 and 5x2)"));
    s.status = TAPER_OK;
    st = taper_nn_sequential_conv2d(&net, 3, 4, 3, &(taper_nn_conv_options){.groups = 2});
    CHECK("groups_must_divide", st == TAPER_VALUE && strstr(taper_error_message(), "in_channels must be divisible by groups"));
    CHECK("adders_stop_after_a_failure", taper_nn_sequential_linear(&net, 1, 1, true) == TAPER_VALUE && net.count == 3);
    CHECK("own_layer_is_released_at_a_failure", residual_add(&net, &second) == TAPER_VALUE && second.released == 1);
    CHECK("broken_container_does_not_run", !taper_nn_sequential_forward(&s, &net, x) && s.status == TAPER_VALUE);
    taper_scope_end(&s);
    taper_nn_sequential_release(&net);
    CHECK("own_layer_is_released_once", r.released == 1);
    taper_params_release(&p);
}

/* Results of inner layers go at once. */
static void memory(void) {
    taper_params p = TAPER_PARAMS;
    taper_nn_sequential net, empty;
    taper_scope s = TAPER_SCOPE;
    taper_memory_stats before, after;
    taper_nn_sequential_init(&empty, &p, "", taper_cpu());
    taper_nn_sequential_init(&net, &p, "", taper_cpu());
    for (int i = 0; i < 10; i++) taper_nn_sequential_function(&net, "Tanh", tx_tanh);
    taper_tensor *x = tx_full(&s, (int64_t[]){1 << 18}, 1, taper_int(1), TAPER_F32, NULL);
    taper_status st = taper_memory_reset_peak(taper_cpu());
    if (st == TAPER_OK) st = taper_memory_get_stats(&before, taper_cpu());
    taper_tensor *y = taper_nn_sequential_forward(&s, &net, x);
    if (st == TAPER_OK) st = taper_memory_get_stats(&after, taper_cpu());
    CHECK("inner_results_go_at_once", st == TAPER_OK && y && net.count == 10 && after.allocated - before.allocated < 3 << 19 &&
                                          after.peak_allocated - before.allocated < 5 << 19);
    CHECK("empty_container", taper_nn_sequential_forward(&s, &empty, x) == x);
    taper_scope_end(&s);
    taper_nn_sequential_release(&net);
    taper_nn_sequential_release(&empty);
}

static void refusals(void) {
    taper_params p = TAPER_PARAMS;
    taper_nn_conv c;
    taper_nn_group_norm g;
    taper_nn_embedding e;
    taper_nn_sequential net;
    taper_nn_conv_options options = TAPER_NN_CONV_OPTIONS;
    char longer[400];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    options.groups = 2;
    CHECK("conv_out_channels", taper_nn_conv1d_init(&c, &p, "c", 4, 3, 3, &options, taper_cpu()) == TAPER_VALUE &&
                                   strstr(taper_error_message(), "out_channels must be divisible by groups, got 3 and 2"));
    options.groups = -1;
    CHECK("conv_groups_negative", taper_nn_conv2d_init(&c, &p, "c", 4, 3, 3, &options, taper_cpu()) == TAPER_VALUE);
    CHECK("group_norm_refuses", taper_nn_group_norm_init(&g, &p, "g", 3, 4, taper_cpu()) == TAPER_VALUE);
    CHECK("nothing_was_added", p.count == 0);
    CHECK("embedding_padding_outside", taper_nn_embedding_init(&e, &p, "e", 3, 2, 1, taper_cpu()) == TAPER_OK &&
                                           taper_nn_embedding_set_padding(&e, 3) == TAPER_VALUE && taper_nn_embedding_set_padding(&e, -4) == TAPER_VALUE);
    float w[6];
    CHECK("embedding_padding_from_the_end", taper_nn_embedding_set_padding(&e, -1) == TAPER_OK && e.padding_idx == 2 &&
                                                taper_tensor_read(e.weight, w, sizeof w) == TAPER_OK && w[3] != 0 && w[4] == 0 && w[5] == 0);
    CHECK("long_name", taper_nn_sequential_init(&net, &p, longer, taper_cpu()) == TAPER_VALUE && taper_nn_sequential_linear(&net, 1, 1, true) == TAPER_VALUE);
    CHECK("long_parameter_name", taper_nn_conv1d_init(&c, &p, longer, 1, 1, 1, NULL, taper_cpu()) == TAPER_VALUE && p.count == 1);
    taper_params_release(&p);
}

/* ---- moves ---- */

static void moves(const network *w) {
    taper_params p = TAPER_PARAMS;
    taper_nn_sequential net;
    taper_scope s = TAPER_SCOPE;
    taper_device meta = {TAPER_META, 0}, cpu = taper_cpu();
    taper_tensor *x = NULL;
    double loss = 0;
    char name[80];
    taper_manual_seed(11);
    bool ok = w->make(&net, &p, cpu) == TAPER_OK && step(w, &net, &p, NULL, 0, &loss) == TAPER_OK;
    taper_tensor *weight = p.tensors[0], *count = p.tensors[p.count - 1];
    ok = ok && taper_params_to(&p, NULL, TAPER_F64) == TAPER_OK && p.tensors[0] == weight && taper_tensor_dtype(weight) == TAPER_F64 &&
         taper_is_leaf(weight) && taper_requires_grad(weight) && taper_grad(weight) && taper_tensor_dtype(taper_grad(weight)) == TAPER_F64;
    for (int i = 0; i < p.count; i++) ok = ok && (taper_tensor_dtype(p.tensors[i]) == TAPER_F64 || taper_tensor_dtype(p.tensors[i]) == TAPER_I64);
    snprintf(name, sizeof name, "%s_to_dtype", w->name);
    CHECK(name, ok && count == p.tensors[p.count - 1]);
    s.status = w->input(&x, 1);
    x = taper_scope_own(&s, x);
    if (taper_tensor_dtype(x) == TAPER_F32) x = tx_to(&s, x, NULL, TAPER_F64, false, false);
    taper_tensor *y = tx_sum(&s, taper_nn_sequential_forward(&s, &net, x), NULL, 0, false, TAPER_DTYPE_NONE);
    if (s.status == TAPER_OK) s.status = taper_backward(&y, NULL, 1, false, false);
    snprintf(name, sizeof name, "%s_trains_in_the_new_dtype", w->name);
    CHECK(name, s.status == TAPER_OK && taper_tensor_dtype(y) == TAPER_F64);
    snprintf(name, sizeof name, "%s_to_integers_is_refused", w->name);
    CHECK(name, taper_params_to(&p, NULL, TAPER_I32) == TAPER_TYPE && taper_tensor_dtype(weight) == TAPER_F64);
    snprintf(name, sizeof name, "%s_to_meta", w->name);
    ok = taper_params_to(&p, &meta, TAPER_DTYPE_NONE) == TAPER_OK;
    for (int i = 0; i < p.count; i++) ok = ok && taper_tensor_device(p.tensors[i]).type == TAPER_META;
    y = taper_nn_sequential_forward(&s, &net, tx_to(&s, x, &meta, TAPER_DTYPE_NONE, false, false));
    CHECK(name, ok && y && taper_tensor_device(y).type == TAPER_META && taper_tensor_shape(y)[0] == 4 && taper_tensor_shape(y)[1] == 3);
    snprintf(name, sizeof name, "%s_from_meta_is_refused", w->name);
    CHECK(name, taper_params_to(&p, &cpu, TAPER_DTYPE_NONE) == TAPER_NOT_IMPLEMENTED && taper_tensor_device(weight).type == TAPER_META);
    taper_scope_end(&s);
    taper_nn_sequential_release(&net);
    taper_params_release(&p);
    snprintf(name, sizeof name, "%s_made_on_meta", w->name);
    CHECK(name, w->make(&net, &p, meta) == TAPER_OK && taper_tensor_device(p.tensors[0]).type == TAPER_META);
    taper_nn_sequential_release(&net);
    taper_params_release(&p);
}

/* The same network on the GPU: made there, moved there, and after a step. */
static void gpu(const network *w) {
    char name[80];
    const char *why = NULL;
    snprintf(name, sizeof name, "%s_cuda", w->name);
    if (!taper_cuda_device_count(&why)) {
        printf("ok nn_%s # skipped: %s\n", name, why);
        return;
    }
    taper_params p[2] = {TAPER_PARAMS, TAPER_PARAMS};
    taper_nn_sequential net[2];
    taper_device device = taper_cuda(0);
    taper_scope s = TAPER_SCOPE;
    float y[2][12];
    bool ok = true;
    for (int k = 0; k < 2; k++) {
        taper_tensor *x = NULL;
        taper_manual_seed(11);
        ok = ok && w->make(&net[k], &p[k], k ? taper_cpu() : device) == TAPER_OK && (!k || taper_params_to(&p[k], &device, TAPER_DTYPE_NONE) == TAPER_OK) &&
             same_values(&p[k], w->first, w->values, 0);
        if (ok) s.status = w->input(&x, 0);
        x = tx_to(&s, taper_scope_own(&s, x), &device, TAPER_DTYPE_NONE, false, false);
        taper_tensor *out = taper_nn_sequential_forward(&s, &net[k], x), *l = tx_sum(&s, tx_mul(&s, out, out), NULL, 0, false, TAPER_DTYPE_NONE);
        if (s.status == TAPER_OK) s.status = taper_backward(&l, NULL, 1, false, false);
        taper_nn_sequential_train(&net[k], false);
        out = taper_nn_sequential_forward(&s, &net[k], x);
        if (s.status == TAPER_OK) s.status = taper_tensor_read(out, y[k], sizeof y[k]);
        taper_device cpu = taper_cpu();
        for (int i = 0; ok && i < p[k].count; i++) ok = p[k].buffers[i] || taper_tensor_device(taper_grad(p[k].tensors[i])).type == TAPER_CUDA;
        ok = ok && s.status == TAPER_OK && taper_params_to(&p[k], &cpu, TAPER_DTYPE_NONE) == TAPER_OK;
        for (int i = 0; ok && i < p[k].count; i++) ok = p[k].buffers[i] || taper_tensor_device(taper_grad(p[k].tensors[i])).type == TAPER_CPU;
    }
    CHECK(name, ok && !memcmp(y[0], y[1], sizeof y[0]));
    taper_scope_end(&s);
    for (int k = 0; k < 2; k++) {
        taper_nn_sequential_release(&net[k]);
        taper_params_release(&p[k]);
    }
}

int main(void) {
    for (int i = 0; i < COUNT(networks); i++) {
        against_torch(&networks[i]);
        moves(&networks[i]);
        gpu(&networks[i]);
    }
    buffers();
    dropout();
    own_layer();
    memory();
    refusals();
    return failed;
}
