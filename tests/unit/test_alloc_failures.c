/* Each allocation of a training step, a save and a load fails in turn: the call ends in MEMORY or succeeds, nothing leaks, and the
 * work can be done right afterwards. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <taper/autograd.h>
#include <taper/io.h>
#include <taper/ops.h>
#include <taper/optim.h>
#include <taper/threads.h>

#include "base/base.h"

static int failed;

typedef struct bench {
    taper_nn_gpt g;
    taper_params p;
    taper_tensor *x, *y;
    taper_optimizer *o;
    char path[64];
} bench;

static taper_status forward_backward_step(bench *b) {
    taper_scope s = TAPER_SCOPE;
    double loss, norm;
    taper_tensor *l = taper_nn_gpt_loss(&s, &b->g, b->x, b->y);
    if (s.status == TAPER_OK) s.status = taper_tensor_item_double(l, &loss);
    if (s.status == TAPER_OK) s.status = taper_params_zero_grad(&b->p);
    if (s.status == TAPER_OK) s.status = taper_backward(&l, NULL, 1, false, false);
    if (s.status == TAPER_OK) s.status = taper_params_clip_grad(&b->p, 1, &norm);
    if (s.status == TAPER_OK) s.status = taper_optimizer_step(b->o);
    taper_status zero = taper_params_zero_grad(&b->p);
    taper_status st = taper_scope_end(&s);
    return st == TAPER_OK ? zero : st;
}
static taper_status build(bench *b) {
    taper_params p = TAPER_PARAMS;
    taper_optimizer *o = NULL;
    taper_nn_gpt g = b->g;
    taper_adamw_options options = TAPER_ADAMW_OPTIONS;
    taper_status st = taper_nn_gpt_init(&g, &p, taper_cpu());
    if (st == TAPER_OK) st = taper_adamw_new(&o, &p, options);
    taper_optimizer_release(o);
    taper_params_release(&p);
    return st;
}
static taper_status save(bench *b) { return taper_params_save(&b->p, b->path); }
static taper_status load(bench *b) { return taper_params_load(&b->p, b->path); }
static taper_status save_pt(bench *b) {
    taper_tree *tree = NULL;
    char path[80];
    snprintf(path, sizeof path, "%s.pt", b->path);
    TAPER_TRY(taper_tree_new(&tree));
    taper_item *root = taper_tree_item(tree, TAPER_ITEM_DICT);
    taper_status st = root ? TAPER_OK : TAPER_MEMORY;
    for (int i = 0; i < b->p.count && st == TAPER_OK; i++) {
        taper_item *key = taper_tree_text(tree, TAPER_ITEM_STRING, b->p.names[i], strlen(b->p.names[i]));
        taper_item *value = taper_tree_tensor(tree, TAPER_ITEM_TENSOR, b->p.tensors[i]);
        st = key && value ? taper_item_put(tree, root, key, value) : TAPER_MEMORY;
    }
    if (st == TAPER_OK) {
        taper_tree_set_root(tree, root);
        st = taper_save_pt(path, tree);
    }
    taper_tree_release(tree);
    return st;
}
static taper_status load_pt(bench *b) {
    taper_tree *tree = NULL;
    char path[80];
    snprintf(path, sizeof path, "%s.pt", b->path);
    taper_status st = taper_load(&tree, path, NULL);
    taper_tree_release(tree);
    return st;
}

/* Nobody looks at the status between the calls: the last one tells what the first had. */
static taper_status unchecked(bench *b) {
    taper_tensor *t[3] = {NULL};
    (void)!taper_add(&t[0], b->x, b->y, taper_int(1));
    (void)!taper_mul(&t[1], t[0], b->x);
    taper_status st = taper_relu(&t[2], t[1]);
    for (int i = 0; i < 3; i++) taper_tensor_release(t[i]);
    return st;
}
static void test_null_operand(bench *b) {
    taper_tensor *t = NULL;
    taper_error_clear();
    taper_status first = taper_mul(&t, NULL, b->x);
    bool ok = first == TAPER_TYPE && strstr(taper_error_message(), "argument 'self' (position 1) must be Tensor");
    taper_error_clear();
    (void)!taper_view(&t, b->x, (int64_t[]){5}, 1);
    taper_status second = taper_mul(&t, t, b->x);
    ok = ok && second == TAPER_RUNTIME && strstr(taper_error_message(), "argument 'self' (position 1) is NULL, and an earlier call failed: ") &&
         strstr(taper_error_message(), "shape '[5]' is invalid for input of size 12");
    if (!ok) failed = 1;
    printf(ok ? "ok null_operand\n" : "not ok null_operand: %s: %s\n", taper_status_name(second), taper_error_message());
}

static void each_allocation(const char *name, taper_status (*work)(bench *), bench *b) {
    int64_t n = 1, failures = 0;
    for (int i = 0; i < 3; i++) /* what is made once and kept */
        if (work(b) != TAPER_OK) {
            failed = 1, printf("not ok alloc_failures_%s: %s\n", name, taper_error_message());
            return;
        }
    for (;; n += n < 2000 ? 1 : 13) {
        int64_t live = taper__alloc_live();
        taper__alloc_fail_at(n);
        taper_status st = work(b);
        bool unused = false;
        for (int64_t i = 0; i < n && !unused; i++) unused = taper__alloc_would_fail();
        taper__alloc_fail_at(0);
        failures += st != TAPER_OK;
        if (taper__alloc_live() != live || (st != TAPER_OK && st != TAPER_MEMORY) || (st == TAPER_MEMORY && !*taper_error_message())) {
            failed = 1, printf("not ok alloc_failures_%s: allocation %lld: %s, %lld blocks left: %s\n", name, (long long)n, taper_status_name(st),
                               (long long)(taper__alloc_live() - live), taper_error_message());
            return;
        }
        if (unused) break;
    }
    bool again = work(b) == TAPER_OK;
    if (!again || !failures || !taper_grad_enabled()) failed = 1;
    printf("%s alloc_failures_%s # %lld allocations, %lld failures\n", again && failures && taper_grad_enabled() ? "ok" : "not ok", name, (long long)n, (long long)failures);
}

int main(void) {
    bench b = {.g = {.layers = 1, .width = 8, .heads = 2, .vocabulary = 11, .context = 6}};
    int64_t x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1}, y[12] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1, 2};
    taper_adamw_options options = TAPER_ADAMW_OPTIONS;
    snprintf(b.path, sizeof b.path, "/tmp/taper-alloc-%ld", (long)getpid());
    taper_set_num_threads(1);
    taper_status st = taper_nn_gpt_init(&b.g, &b.p, taper_cpu());
    if (st == TAPER_OK) st = taper_adamw_new(&b.o, &b.p, options);
    if (st == TAPER_OK) st = taper_tensor_from_data(&b.x, x, TAPER_I64, 2, (int64_t[]){2, 6});
    if (st == TAPER_OK) st = taper_tensor_from_data(&b.y, y, TAPER_I64, 2, (int64_t[]){2, 6});
    if (st != TAPER_OK) {
        printf("not ok alloc_failures_start: %s\n", taper_error_message());
        return 1;
    }
    each_allocation("build", build, &b);
    test_null_operand(&b);
    each_allocation("unchecked", unchecked, &b);
    each_allocation("step", forward_backward_step, &b);
    each_allocation("save_safetensors", save, &b);
    each_allocation("load_safetensors", load, &b);
    each_allocation("save_pt", save_pt, &b);
    each_allocation("load_pt", load_pt, &b);
    char pt[80];
    snprintf(pt, sizeof pt, "%s.pt", b.path);
    unlink(b.path);
    unlink(pt);
    taper_tensor_release(b.x);
    taper_tensor_release(b.y);
    taper_optimizer_release(b.o);
    taper_params_release(&b.p);
    return failed;
}
