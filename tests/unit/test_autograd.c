/* The engine's semantics from C: accumulation, graphs kept and dropped, hooks, writing in place, views, modes, long chains,
 * functions of the caller's own, and every allocation of a small training step failing in turn. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <taper/autograd.h>
#include <taper/ops.h>
#include <taper/scope.h>

#include "base/base.h"

static int passed, failed;

static void check(bool ok, const char *name, const char *why) {
    if (ok) {
        passed++;
        printf("ok autograd_%s\n", name);
    } else {
        failed++;
        printf("not ok autograd_%s: %s (message: %s)\n", name, why, taper_error_message());
    }
}
#define CHECK(name, condition) check(condition, name, #condition)
#define SAYS(text) (strstr(taper_error_message(), text) != NULL)

static taper_tensor *make(taper_scope *s, const double *values, int64_t n, bool grad) {
    taper_tensor *t = NULL;
    if (taper_tensor_from_data(&t, values, TAPER_F64, 1, &n) != TAPER_OK) return NULL;
    if (grad) taper_set_requires_grad(t, true);
    return taper_scope_own(s, t);
}
static taper_tensor *leaf(taper_scope *s, double a, double b, double c) { return make(s, (double[]){a, b, c}, 3, true); }
static taper_tensor *plain(taper_scope *s, double a, double b, double c) { return make(s, (double[]){a, b, c}, 3, false); }
static taper_tensor *total(taper_scope *s, taper_tensor *t) { return tx_sum(s, t, NULL, 0, false, TAPER_DTYPE_NONE); }
static taper_tensor *add(taper_scope *s, taper_tensor *a, taper_tensor *b) { return tx_add(s, a, b, taper_int(1)); }
static taper_status backward(taper_tensor *root, bool keep, bool create) { return root ? taper_backward(&root, NULL, 1, keep, create) : TAPER_RUNTIME; }
static taper_tensor *number(taper_scope *s, double v) {
    taper_tensor *t = NULL;
    return taper_tensor_from_data(&t, &v, TAPER_F64, 0, NULL) == TAPER_OK ? taper_scope_own(s, t) : NULL;
}
/* v[at : at + n] of a vector */
static taper_tensor *part(taper_scope *s, taper_tensor *v, int64_t at, int64_t n) {
    int64_t one = 1;
    return tx_as_strided(s, v, &n, 1, &one, 1, &at);
}

static bool is(const taper_tensor *t, const double *want, int n) {
    double have[16];
    if (!t || taper_tensor_numel(t) != n || taper_tensor_read(t, have, sizeof *have * (size_t)n) != TAPER_OK) return false;
    for (int i = 0; i < n; i++)
        if (fabs(have[i] - want[i]) > 1e-12 * (1 + fabs(want[i]))) return false;
    return true;
}
#define IS(t, ...) is(t, (const double[]){__VA_ARGS__}, (int)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double)))

static void test_accumulation(void) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *x = leaf(&s, 1, 2, 3);
    CHECK("starts_without_grad", taper_grad(x) == NULL && taper_is_leaf(x));
    CHECK("first", backward(total(&s, tx_mul(&s, x, x)), false, false) == TAPER_OK && IS(taper_grad(x), 2, 4, 6));
    CHECK("adds_up", backward(total(&s, x), false, false) == TAPER_OK && IS(taper_grad(x), 3, 5, 7));
    CHECK("zeroed", taper_set_grad(x, NULL) == TAPER_OK && !taper_grad(x));
    taper_tensor *y = tx_mul(&s, x, x); /* a diamond: x used four times */
    CHECK("diamond", backward(total(&s, add(&s, y, tx_mul(&s, y, x))), false, false) == TAPER_OK && IS(taper_grad(x), 5, 16, 33));
    taper_set_grad(x, NULL);
    taper_tensor *expanded_from = tx_mul(&s, x, x);
    taper_tensor *two[2] = {total(&s, expanded_from), total(&s, x)};
    CHECK("two_roots", taper_backward(two, NULL, 2, false, false) == TAPER_OK && IS(taper_grad(x), 3, 5, 7));
    taper_set_grad(x, NULL);
    taper_tensor *v = tx_mul(&s, x, x), *g = plain(&s, 1, 0, -1);
    CHECK("given_gradient", taper_backward(&v, &g, 1, false, false) == TAPER_OK && IS(taper_grad(x), 2, 0, -6));
    CHECK("gradient_not_aliased", IS(g, 1, 0, -1) && taper_grad(x) != g);
    v = add(&s, x, x);
    CHECK("vector_root_refused", backward(v, false, false) == TAPER_RUNTIME && SAYS("grad can be implicitly created only for scalar outputs"));
    CHECK("no_history_refused",
          backward(total(&s, plain(&s, 1, 1, 1)), false, false) == TAPER_RUNTIME && SAYS("element 0 of tensors does not require grad and does not have a grad_fn"));
    g = plain(&s, 1, 2, 3);
    taper_tensor *sum = total(&s, x);
    CHECK("wrong_gradient_shape", taper_backward(&sum, &g, 1, false, false) == TAPER_RUNTIME && SAYS("Mismatch in shape"));
    taper_set_grad(x, NULL);
    CHECK("leaf_as_root", taper_backward(&x, &g, 1, false, false) == TAPER_OK && IS(taper_grad(x), 1, 2, 3));
    CHECK("leaf_as_root_copies", taper_grad(x) != g && taper_tensor_data(taper_grad(x)) != taper_tensor_data(g));
    CHECK("set_grad_shape", taper_set_grad(x, sum) == TAPER_RUNTIME && SAYS("attempting to assign a gradient of size '[]' to a tensor of size '[3]'. Please ensure"));
    taper_scope_end(&s);
}

static void test_graph_life(void) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *x = leaf(&s, 1, 2, 3), *y = total(&s, tx_mul(&s, x, x));
    CHECK("retain_graph", backward(y, true, false) == TAPER_OK && backward(y, true, false) == TAPER_OK && IS(taper_grad(x), 4, 8, 12));
    CHECK("last_walk", backward(y, false, false) == TAPER_OK);
    CHECK("second_walk_refused", backward(y, false, false) == TAPER_RUNTIME && SAYS("Trying to backward through the graph a second time"));
    taper_set_grad(x, NULL);
    taper_tensor *cube = total(&s, tx_mul(&s, tx_mul(&s, x, x), x)), *d = NULL, *dd = NULL;
    CHECK("create_graph", taper_gradients(&d, &cube, NULL, 1, &x, 1, false, true, false) == TAPER_OK && IS(d, 3, 12, 27) && taper_requires_grad(d));
    taper_tensor *dsum = total(&s, d);
    CHECK("second_order", taper_gradients(&dd, &dsum, NULL, 1, &x, 1, false, false, false) == TAPER_OK && IS(dd, 6, 12, 18));
    CHECK("gradients_leave_grad_alone", taper_grad(x) == NULL);
    taper_tensor_release(d);
    taper_tensor_release(dd);
    d = NULL;
    taper_tensor *other = leaf(&s, 0, 0, 0), *z = total(&s, x);
    CHECK("unused_refused", taper_gradients(&d, &z, NULL, 1, &other, 1, true, false, false) == TAPER_RUNTIME && SAYS("appears to not have been used in the graph") && !d);
    CHECK("unused_allowed", taper_gradients(&d, &z, NULL, 1, &other, 1, false, false, true) == TAPER_OK && !d);
    taper_tensor *no = plain(&s, 1, 1, 1);
    z = total(&s, x);
    CHECK("input_without_grad", taper_gradients(&d, &z, NULL, 1, &no, 1, false, false, true) == TAPER_RUNTIME && SAYS("does not require grad"));
    taper_tensor *mid = tx_mul(&s, x, x), *end = total(&s, tx_mul(&s, mid, mid)), *both[2] = {mid, x}, *got[2] = {NULL, NULL};
    CHECK("with_respect_to_inner", taper_gradients(got, &end, NULL, 1, both, 2, false, false, false) == TAPER_OK && IS(got[0], 2, 8, 18) && IS(got[1], 4, 32, 108));
    taper_tensor_release(got[0]);
    taper_tensor_release(got[1]);
    taper_tensor *w = leaf(&s, 2, 2, 2), *mix = total(&s, tx_mul(&s, x, w));
    CHECK("backward_inputs", taper_backward_inputs(&mix, NULL, 1, &w, 1, false, false) == TAPER_OK && IS(taper_grad(w), 1, 2, 3) && !taper_grad(x));
    taper_scope_end(&s);
}

static void test_flags(void) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *x = leaf(&s, 1, 2, 3), *y = tx_mul(&s, x, x), *d = NULL, *whole = NULL;
    CHECK("result_requires_grad", taper_requires_grad(y) && !taper_is_leaf(y));
    CHECK("grad_fn_name", !strcmp(taper_node_name(taper_grad_fn(y)), "MulBackward0"));
    taper_node *below = taper_node_input(taper_grad_fn(y), 0, NULL);
    CHECK("next_functions", below && !strcmp(taper_node_name(below), "AccumulateGrad") && taper_node_variable(below) == x);
    CHECK("nonleaf_flag_refused", taper_set_requires_grad(y, false) == TAPER_RUNTIME && SAYS("you can only change requires_grad flags of leaf variables"));
    int64_t n = 2;
    CHECK("integers_refused", taper_tensor_new(&whole, TAPER_I64, taper_cpu(), 1, &n) == TAPER_OK && taper_set_requires_grad(whole, true) == TAPER_RUNTIME &&
                                  SAYS("floating point"));
    taper_tensor_release(whole);
    CHECK("detach", taper_detach(&d, y) == TAPER_OK && !taper_requires_grad(d) && taper_tensor_data(d) == taper_tensor_data(y));
    taper_tensor_release(d);
    bool old = taper_set_grad_enabled(false);
    taper_tensor *quiet = tx_mul(&s, x, x);
    CHECK("no_grad", old && !taper_requires_grad(quiet) && !taper_grad_fn(quiet));
    taper_set_grad_enabled(true);
    CHECK("frozen_input", taper_set_requires_grad(x, false) == TAPER_OK && !taper_requires_grad(tx_mul(&s, x, x)));
    taper_set_requires_grad(x, true);
    y = tx_mul(&s, x, x);
    CHECK("detach_in_place", taper_detach_(y) == TAPER_OK && taper_is_leaf(y) && !taper_requires_grad(y));
    taper_tensor *mid = tx_mul(&s, x, x);
    CHECK("retain_grad", taper_retain_grad(mid) == TAPER_OK && backward(total(&s, tx_mul(&s, mid, mid)), false, false) == TAPER_OK && IS(taper_grad(mid), 2, 8, 18));
    taper_scope_end(&s);
}

/* ---- hooks ---- */

typedef struct hook_log {
    int calls, released;
    double factor;
    taper_tensor *target;
} hook_log;
static taper_status hook_scale(void *ctx, taper_tensor *grad, taper_tensor **replacement) {
    hook_log *log = ctx;
    log->calls++;
    if (log->factor == 0) return TAPER_OK;
    taper_scope s = TAPER_SCOPE;
    *replacement = taper_scope_keep(&s, tx_mul(&s, grad, number(&s, log->factor)));
    return taper_scope_end(&s);
}
static taper_status hook_post(void *ctx, taper_tensor *t, taper_tensor **replacement) {
    (void)replacement;
    hook_log *log = ctx;
    log->calls++;
    log->target = t;
    return taper_set_grad(t, NULL); /* what an optimiser inside the walk does */
}
static taper_status hook_fails(void *ctx, taper_tensor *t, taper_tensor **replacement) {
    (void)ctx, (void)t, (void)replacement;
    return TAPER_FAIL(TAPER_CALLBACK, "the hook says no");
}
static void hook_release(void *ctx) { ((hook_log *)ctx)->released++; }

static void test_hooks(void) {
    taper_scope s = TAPER_SCOPE;
    hook_log a = {.factor = 10}, b = {0}, c = {0};
    int64_t id, id2;
    taper_tensor *x = leaf(&s, 1, 2, 3);
    taper_register_hook(x, hook_scale, hook_release, &a, &id);
    taper_register_hook(x, hook_scale, hook_release, &b, &id2);
    CHECK("leaf_hook", backward(total(&s, x), false, false) == TAPER_OK && a.calls == 1 && b.calls == 1 && IS(taper_grad(x), 10, 10, 10));
    taper_remove_hook(x, id);
    CHECK("removed_hook", a.released == 1 && backward(total(&s, x), false, false) == TAPER_OK && a.calls == 1 && b.calls == 2 && IS(taper_grad(x), 11, 11, 11));
    taper_set_grad(x, NULL);
    taper_tensor *mid = tx_mul(&s, x, x);
    hook_log inner = {.factor = -1};
    taper_register_hook(mid, hook_scale, hook_release, &inner, &id);
    taper_retain_grad(mid);
    CHECK("inner_hook", backward(total(&s, mid), false, false) == TAPER_OK && inner.calls == 1 && IS(taper_grad(x), -2, -4, -6));
    CHECK("retain_grad_sees_hooks", IS(taper_grad(mid), -1, -1, -1));
    taper_set_grad(x, NULL);
    taper_register_post_accumulate_hook(x, hook_post, hook_release, &c, &id);
    CHECK("post_accumulate", backward(total(&s, x), false, false) == TAPER_OK && c.calls == 1 && c.target == x && !taper_grad(x));
    taper_remove_hook(x, id);
    mid = tx_mul(&s, x, x);
    CHECK("post_on_inner_refused", taper_register_post_accumulate_hook(mid, hook_post, NULL, &c, &id) == TAPER_RUNTIME);
    taper_register_hook(mid, hook_fails, NULL, NULL, &id);
    CHECK("failing_hook", backward(total(&s, mid), false, false) == TAPER_CALLBACK && SAYS("the hook says no"));
    CHECK("grad_mode_restored", taper_grad_enabled());
    taper_tensor *no = plain(&s, 1, 1, 1);
    CHECK("hook_needs_grad", taper_register_hook(no, hook_scale, NULL, &a, &id) == TAPER_RUNTIME && SAYS("doesn't require gradient"));
    taper_scope_end(&s);
    CHECK("hooks_released", b.released == 1 && c.released == 1 && inner.released == 1);
}

/* ---- writing in place ---- */

static void test_inplace(void) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *x = leaf(&s, 1, 2, 3), *two = plain(&s, 2, 2, 2);
    CHECK("leaf_in_place_refused", taper_mul_(x, two) == TAPER_RUNTIME && SAYS("a leaf Variable that requires grad is being used in an in-place operation.") && IS(x, 1, 2, 3));
    taper_tensor *window = part(&s, x, 0, 2);
    CHECK("leaf_view_in_place_refused", taper_neg_(window) == TAPER_RUNTIME && SAYS("a view of a leaf Variable that requires grad is being used in an in-place operation."));
    taper_set_grad_enabled(false);
    CHECK("leaf_in_place_without_grad", taper_mul_(x, two) == TAPER_OK && IS(x, 2, 4, 6) && taper_is_leaf(x));
    taper_set_grad_enabled(true);

    taper_tensor *y = tx_clone(&s, x), *w = leaf(&s, 1, 2, 3);
    CHECK("mul_in_place", taper_mul_(y, w) == TAPER_OK && backward(total(&s, y), false, false) == TAPER_OK && IS(taper_grad(x), 1, 2, 3) && IS(taper_grad(w), 2, 4, 6));
    taper_set_grad(x, NULL);
    y = tx_exp(&s, x); /* its result is saved */
    uint32_t version = taper_tensor_version(y);
    taper_mul_(y, two);
    CHECK("version_counts", taper_tensor_version(y) == version + 1);
    CHECK("saved_result_changed",
          backward(total(&s, y), false, false) == TAPER_RUNTIME &&
              SAYS("one of the variables needed for gradient computation has been modified by an inplace operation: [torch.DoubleTensor [3]], which is "
                   "output 0 of ExpBackward0, is at version 1; expected version 0 instead. Hint: enable anomaly detection"));
    taper_tensor *a = plain(&s, 1, 1, 1), *p = tx_mul(&s, x, a);
    taper_neg_(a);
    CHECK("saved_input_changed", backward(total(&s, p), false, false) == TAPER_RUNTIME &&
                                     SAYS("modified by an inplace operation: [torch.DoubleTensor [3]] is at version 1; expected version 0 instead."));
    y = tx_clone(&s, x);
    taper_tensor *self[2] = {y, y};
    CHECK("times_itself_in_place", taper_mul_(self[0], self[1]) == TAPER_OK && backward(total(&s, y), false, false) == TAPER_RUNTIME && SAYS("modified by an inplace operation"));
    y = tx_clone(&s, x);
    taper_set_grad(x, NULL);
    CHECK("fill_cuts", tx_fill_(&s, y, taper_int(7)) == y && backward(total(&s, y), false, false) == TAPER_OK && (!taper_grad(x) || IS(taper_grad(x), 0, 0, 0)));
    taper_scope_end(&s);
}

static void test_views(void) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *x = leaf(&s, 1, 2, 3), *w = make(&s, (double[]){5, 7}, 2, true);
    taper_tensor *y = tx_clone(&s, x), *window = part(&s, y, 1, 2), *late = part(&s, y, 0, 2);
    CHECK("write_through_window", taper_mul_(window, w) == TAPER_OK && IS(y, 1, 10, 21));
    CHECK("base_history", !strcmp(taper_node_name(taper_grad_fn(y)), "CopySlices"));
    CHECK("window_history", !strcmp(taper_node_name(taper_grad_fn(window)), "AsStridedBackward0"));
    taper_tensor *sum = total(&s, tx_mul(&s, y, y));
    CHECK("window_gradient", backward(sum, false, false) == TAPER_OK && IS(taper_grad(x), 2, 100, 294) && IS(taper_grad(w), 40, 126));
    taper_set_grad(x, NULL);
    taper_set_grad(w, NULL);
    CHECK("other_view_sees_it", backward(total(&s, late), true, false) == TAPER_RUNTIME || (IS(taper_grad(x), 1, 5, 0) && IS(taper_grad(w), 2, 0)));
    taper_set_grad(x, NULL);
    taper_set_grad(w, NULL);

    taper_tensor *base = plain(&s, 1, 2, 3), *early = part(&s, base, 0, 2);
    window = part(&s, base, 1, 2);
    CHECK("history_through_plain_base", taper_mul_(window, w) == TAPER_OK && taper_requires_grad(base) && taper_requires_grad(early));
    taper_tensor *r = tx_mul(&s, early, early);
    CHECK("early_view_records", taper_requires_grad(r) && backward(total(&s, r), false, false) == TAPER_OK && IS(taper_grad(w), 40, 0));

    taper_set_grad(w, NULL);
    base = tx_clone(&s, x);
    window = part(&s, base, 1, 2);
    taper_tensor *same = tx_copy_(&s, window, w, false);
    CHECK("copy_into_window", same && backward(total(&s, tx_mul(&s, base, base)), false, false) == TAPER_OK && IS(taper_grad(x), 2, 0, 0) && IS(taper_grad(w), 10, 14));

    taper_set_grad(x, NULL);
    base = tx_mul(&s, x, x);
    window = part(&s, base, 0, 2);
    taper_add_(base, plain(&s, 1, 1, 1), taper_int(1)); /* the base, not the view */
    CHECK("base_written_view_follows", backward(total(&s, tx_mul(&s, window, window)), false, false) == TAPER_OK && IS(taper_grad(x), 8, 40, 0));

    taper_set_grad(x, NULL);
    int64_t size[2] = {2, 3}, offset = 0;
    taper_tensor *wide = tx_expand(&s, x, size, 2);
    CHECK("expanded", backward(total(&s, wide), false, false) == TAPER_OK && IS(taper_grad(x), 2, 2, 2));
    taper_tensor *copy = tx_clone(&s, x), *spread = tx_expand(&s, copy, size, 2);
    CHECK("write_to_expanded_refused", taper_neg_(spread) == TAPER_RUNTIME && SAYS("more than one element of the written-to tensor refers to a single memory location"));
    taper_set_grad(x, NULL);
    int64_t two = 2, one = 1;
    taper_tensor *overlap = tx_as_strided(&s, tx_mul(&s, x, x), (int64_t[]){two, two}, 2, (int64_t[]){one, one}, 2, &offset);
    CHECK("overlapping_window", backward(total(&s, overlap), false, false) == TAPER_OK && IS(taper_grad(x), 2, 8, 6));
    taper_tensor *grand = tx_clone(&s, x), *v1 = part(&s, grand, 0, 3), *v2 = part(&s, v1, 1, 1);
    taper_set_grad(x, NULL);
    CHECK("view_of_view", taper_neg_(v2) == TAPER_OK && IS(grand, 1, -2, 3) && backward(total(&s, v1), false, false) == TAPER_OK && IS(taper_grad(x), 1, -1, 1));
    CHECK("detach_view_in_place_refused", taper_detach_(v1) == TAPER_RUNTIME && SAYS("Can't detach views in-place"));
    taper_scope_end(&s);
}

/* Second derivatives through a write in place. */
static void test_inplace_second(void) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *x = leaf(&s, 1, 2, 3), *y = tx_mul(&s, x, x), *d = NULL, *dd = NULL;
    taper_mul_(y, x); /* x^3 */
    taper_tensor *sum = total(&s, y);
    CHECK("in_place_first", taper_gradients(&d, &sum, NULL, 1, &x, 1, true, true, false) == TAPER_OK && IS(d, 3, 12, 27));
    taper_tensor *dsum = d ? total(&s, d) : NULL;
    CHECK("in_place_second", dsum && taper_gradients(&dd, &dsum, NULL, 1, &x, 1, false, false, false) == TAPER_OK && IS(dd, 6, 12, 18));
    taper_tensor_release(d);
    taper_tensor_release(dd);
    taper_scope_end(&s);
}

/* ---- a long chain, and what it leaves behind ---- */

static void test_chain(void) {
    enum { LENGTH = 100000 };
    int64_t live = taper__alloc_live();
    taper_scope s = TAPER_SCOPE;
    taper_tensor *x = leaf(&s, 1, 2, 3), *y = taper_tensor_retain(x), *one = number(&s, 1);
    bool ok = true;
    for (int i = 0; ok && i < LENGTH; i++) {
        taper_tensor *next = NULL;
        ok = taper_mul(&next, y, one) == TAPER_OK;
        taper_tensor_release(y);
        y = next;
    }
    CHECK("chain_built", ok);
    taper_tensor *sum = total(&s, y);
    CHECK("chain_walked", backward(sum, false, false) == TAPER_OK && IS(taper_grad(x), 1, 1, 1));
    taper_tensor_release(y);
    taper_scope_end(&s);
    CHECK("chain_leaves_nothing", taper__alloc_live() == live);
    taper_tensor *z = leaf(&s, 1, 2, 3), *t = taper_tensor_retain(z); /* freed without a walk */
    for (int i = 0; i < LENGTH; i++) {
        taper_tensor *next = NULL;
        if (taper_neg(&next, t) != TAPER_OK) break;
        taper_tensor_release(t);
        t = next;
    }
    taper_tensor_release(t);
    taper_scope_end(&s);
    CHECK("chain_freed_unwalked", taper__alloc_live() == live);
}

/* ---- functions of the caller's own ---- */

typedef struct cube {
    taper_tensor *x;
    int drops, releases;
} cube;
static taper_status cube_backward(void *ctx, taper_tensor *const *grads, taper_tensor **dinputs) {
    cube *c = ctx;
    if (!c->x) return TAPER_FAIL(TAPER_RUNTIME, "saved tensors have already been freed");
    taper_scope s = TAPER_SCOPE;
    taper_tensor *square = tx_mul(&s, c->x, c->x);
    dinputs[0] = taper_scope_keep(&s, tx_mul(&s, tx_mul(&s, grads[0], square), number(&s, 3)));
    return taper_scope_end(&s);
}
static void cube_drop(void *ctx) {
    cube *c = ctx;
    c->drops++;
    taper_tensor_release(c->x);
    c->x = NULL;
}
static void cube_release(void *ctx) {
    cube *c = ctx;
    c->releases++;
    taper_tensor_release(c->x);
    c->x = NULL;
}
static taper_tensor *cube_call(taper_scope *s, taper_tensor *x, cube *ctx) {
    bool old = taper_set_grad_enabled(false);
    taper_tensor *y = tx_mul(s, tx_mul(s, x, x), x);
    taper_set_grad_enabled(old);
    ctx->x = taper_tensor_retain(x);
    taper_function f = {"CubeBackward", cube_backward, cube_drop, cube_release, ctx};
    return taper_function_record(&y, 1, &x, 1, &f) == TAPER_OK ? y : NULL;
}

/* Gives a gradient of its own choice. */
static taper_status odd_backward(void *ctx, taper_tensor *const *grads, taper_tensor **dinputs) {
    (void)grads;
    dinputs[0] = taper_tensor_retain(ctx);
    return TAPER_OK;
}
static taper_status odd_try(taper_tensor *x, taper_tensor *gradient) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *y = NULL;
    taper_function f = {"OddBackward", odd_backward, NULL, NULL, gradient};
    taper_status st = taper_detach(&y, x);
    taper_scope_own(&s, y);
    if (st == TAPER_OK) st = taper_function_record(&y, 1, &x, 1, &f);
    if (st == TAPER_OK) st = backward(total(&s, y), false, false);
    taper_scope_end(&s);
    return st;
}

static void test_function_gradient(void) {
    taper_scope s = TAPER_SCOPE;
    int64_t size[2] = {2, 3};
    taper_tensor *x = leaf(&s, 1, 2, 3), *g = plain(&s, 4, 5, 6);
    CHECK("function_wrong_shape", odd_try(x, make(&s, (double[]){1, 2}, 2, false)) == TAPER_RUNTIME &&
                                      SAYS("Function OddBackward returned an invalid gradient at index 0 - got [2] but expected shape compatible with [3]"));
    CHECK("function_scalar_shape", odd_try(x, number(&s, 1)) == TAPER_RUNTIME && SAYS("got [] but expected shape compatible with [3]"));
    CHECK("function_other_dtype", odd_try(x, tx_to(&s, g, NULL, TAPER_F32, false, false)) == TAPER_OK && IS(taper_grad(x), 4, 5, 6) &&
                                      taper_tensor_dtype(taper_grad(x)) == TAPER_F64);
    taper_set_grad(x, NULL);
    CHECK("function_broadcast", odd_try(x, tx_expand(&s, g, size, 2)) == TAPER_OK && IS(taper_grad(x), 8, 10, 12));
    taper_scope_end(&s);
}

static void test_function(void) {
    taper_scope s = TAPER_SCOPE;
    cube ctx = {0}, again = {0}, never = {0};
    taper_tensor *x = leaf(&s, 1, 2, 3), *y = cube_call(&s, x, &ctx);
    CHECK("function_recorded", y && taper_requires_grad(y) && !strcmp(taper_node_name(taper_grad_fn(y)), "CubeBackward"));
    CHECK("function_backward", backward(total(&s, y), true, false) == TAPER_OK && IS(taper_grad(x), 3, 12, 27) && ctx.drops == 0);
    CHECK("function_drops", backward(total(&s, y), false, false) == TAPER_OK && ctx.drops == 1);
    taper_tensor *z = cube_call(&s, x, &again), *d = NULL, *dd = NULL, *sum = total(&s, z);
    CHECK("function_create_graph", taper_gradients(&d, &sum, NULL, 1, &x, 1, true, true, false) == TAPER_OK && IS(d, 3, 12, 27));
    taper_tensor *dsum = total(&s, d);
    CHECK("function_second", taper_gradients(&dd, &dsum, NULL, 1, &x, 1, false, false, false) == TAPER_OK && IS(dd, 6, 12, 18));
    taper_tensor_release(d);
    taper_tensor_release(dd);
    cube_call(&s, x, &never);
    taper_scope_end(&s);
    CHECK("function_released", ctx.releases == 1 && again.releases == 1 && never.releases == 1);
}

static void test_anomaly(void) {
    taper_scope s = TAPER_SCOPE;
    double values[3] = {NAN, 1, 1};
    taper_tensor *x = leaf(&s, 1, 2, 3), *bad = make(&s, values, 3, false);
    int old = taper_set_anomaly_mode(2);
    taper_tensor *y = total(&s, tx_mul(&s, x, bad));
    CHECK("anomaly_nan", backward(y, false, false) == TAPER_RUNTIME && SAYS("Function 'MulBackward0' returned nan values in its 0th output."));
    taper_set_anomaly_mode(old);
    taper_scope_end(&s);
}

/* ---- a training step, with every allocation failing in turn ---- */

static taper_status step(taper_tensor *const *params, taper_tensor *x) {
    taper_scope s = TAPER_SCOPE;
    taper_status st = TAPER_OK;
    taper_tensor *h = tx_tanh(&s, add(&s, tx_mm(&s, x, params[0]), params[1])), *grads[3];
    taper_tensor *loss = total(&s, tx_mul(&s, tx_mm(&s, h, params[2]), tx_mm(&s, h, params[2])));
    TAPER_TRY_GOTO(s.status);
    TAPER_TRY_GOTO(taper_backward(&loss, NULL, 1, false, false));
    taper_set_grad_enabled(false);
    for (int i = 0; i < 3; i++) {
        grads[i] = taper_grad(params[i]);
        st = grads[i] ? taper_add_(params[i], grads[i], taper_float(-0.01)) : TAPER_RUNTIME;
        if (st == TAPER_OK) st = taper_set_grad(params[i], NULL);
        if (st != TAPER_OK) break;
    }
out:
    taper_set_grad_enabled(true);
    taper_scope_end(&s);
    return st;
}

static taper_status train(void) {
    static const int64_t shapes[4][2] = {{3, 5}, {1, 5}, {5, 2}, {4, 3}};
    taper_tensor *t[4] = {NULL};
    taper_status st = TAPER_OK;
    double values[16];
    for (int i = 0; i < 16; i++) values[i] = sin(i + 1);
    for (int i = 0; i < 4; i++) {
        TAPER_TRY_GOTO(taper_tensor_from_data(&t[i], values, TAPER_F64, 2, shapes[i]));
        if (i < 3) TAPER_TRY_GOTO(taper_set_requires_grad(t[i], true));
    }
    for (int k = 0; k < 2; k++) TAPER_TRY_GOTO(step(t, t[3]));
out:
    for (int i = 0; i < 4; i++) taper_tensor_release(t[i]);
    return st;
}

static void test_out_of_memory(void) {
    bool good = train() == TAPER_OK && train() == TAPER_OK, finished = false;
    CHECK("training_step", good);
    int64_t n;
    for (n = 1; good && !finished && n < 5000; n++) {
        int64_t live = taper__alloc_live();
        taper__alloc_fail_at(n);
        taper_status st = train();
        finished = taper__alloc_would_fail();
        for (int64_t i = 1; !finished && i < n; i++) finished = taper__alloc_would_fail();
        taper__alloc_fail_at(0);
        char why[200];
        snprintf(why, sizeof why, "allocation %lld: status %s, %lld blocks left", (long long)n, taper_status_name(st), (long long)(taper__alloc_live() - live));
        good = taper__alloc_live() == live && (finished ? st == TAPER_OK : st == TAPER_MEMORY || st == TAPER_OK) && taper_grad_enabled();
        if (!good) check(false, "out_of_memory", why);
    }
    CHECK("out_of_memory_covered", good && finished && n > 60);
}

int main(void) {
    int64_t live = taper__alloc_live();
    test_accumulation();
    test_graph_life();
    test_flags();
    test_hooks();
    test_inplace();
    test_views();
    test_inplace_second();
    test_chain();
    test_function();
    test_function_gradient();
    test_anomaly();
    test_out_of_memory();
    CHECK("nothing_left", taper__alloc_live() == live);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
