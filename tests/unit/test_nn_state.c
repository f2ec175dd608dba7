/* State dicts of the C API: both file formats, files that PyTorch wrote, what does not fit; and each allocation of making,
 * training, moving, saving and loading a network failed in turn. */
#include <unistd.h>

#include <taper/io.h>
#include <taper/threads.h>

#include "base/base.h"
#include "nn_networks.h"

static char file[2][80]; /* safetensors, .pt */

static void files(const network *w) {
    static const char *const formats[] = {"safetensors", "pt"};
    taper_params p = TAPER_PARAMS, q = TAPER_PARAMS;
    taper_nn_sequential net, other;
    float a[12], b[12];
    char name[80];
    double loss;
    taper_manual_seed(11);
    bool ok = w->make(&net, &p, taper_cpu()) == TAPER_OK && step(w, &net, &p, NULL, 0, &loss) == TAPER_OK;
    taper_nn_sequential_train(&net, false);
    ok = ok && outputs(w, &net, 1, a) == TAPER_OK;
    for (int f = 0; f < 2; f++) {
        taper_manual_seed(12);
        bool fine = ok && taper_params_save(&p, file[f]) == TAPER_OK && w->make(&other, &q, taper_cpu()) == TAPER_OK;
        taper_nn_sequential_train(&other, false);
        fine = fine && outputs(w, &other, 1, b) == TAPER_OK && memcmp(a, b, sizeof a); /* or loading would prove nothing */
        fine = fine && taper_params_load(&q, file[f]) == TAPER_OK && outputs(w, &other, 1, b) == TAPER_OK && !memcmp(a, b, sizeof a);
        int64_t batches = 0;
        for (int i = 0; i < q.count; i++)
            if (strstr(q.names[i], "num_batches_tracked")) fine = fine && taper_tensor_item_int(q.tensors[i], &batches) == TAPER_OK && batches == 1;
        snprintf(name, sizeof name, "%s_save_and_load_%s", w->name, formats[f]);
        CHECK(name, fine && batches == 1);
        taper_nn_sequential_release(&other);
        taper_params_release(&q);
    }
    taper_tree *tree = NULL;
    ok = ok && taper_load(&tree, file[1], NULL) == TAPER_OK && taper_item_get_kind(taper_tree_root(tree)) == TAPER_ITEM_ORDERED_DICT;
    for (int64_t i = 0; ok && i < taper_item_count(taper_tree_root(tree)); i++) {
        taper_item *item = taper_item_at(taper_tree_root(tree), i);
        ok = taper_item_get_kind(item) == TAPER_ITEM_TENSOR && !taper_requires_grad(taper_item_tensor(item));
    }
    taper_tree_release(tree);
    snprintf(name, sizeof name, "%s_pt_is_a_state_dict", w->name);
    CHECK(name, ok);
    unsigned char head[4] = {0};
    FILE *stream = fopen(file[1], "rb");
    if (stream) ok = ok && fread(head, 1, 4, stream) == 4 && !memcmp(head, "PK\3\4", 4), fclose(stream);
    snprintf(name, sizeof name, "%s_pt_is_a_zip", w->name);
    CHECK(name, ok && stream);
    taper_nn_sequential_release(&net);
    taper_params_release(&p);
}

static taper_status two(taper_params *p, const char *first, const char *second, int64_t rows) {
    taper_tensor *t;
    taper_status st = taper_param_constant(&t, p, "", first, taper_cpu(), (double)rows, 2, (int64_t[]){rows, 3});
    return st == TAPER_OK ? taper_param_constant(&t, p, "", second, taper_cpu(), 7, 1, (int64_t[]){2}) : st;
}

static void mismatches(void) {
    taper_params p = TAPER_PARAMS, other = TAPER_PARAMS, wide = TAPER_PARAMS;
    int missing = -1, unexpected = -1;
    float x[6], y[9];
    taper_status st = two(&p, "weight", "bias", 2);
    if (st == TAPER_OK) st = two(&other, "weight", "gain", 2);
    if (st == TAPER_OK) st = two(&wide, "weight", "bias", 3);
    for (int f = 0; f < 2; f++) {
        if (st == TAPER_OK) st = taper_params_save(&p, file[f]);
        CHECK(f ? "pt_names_differ" : "safetensors_names_differ",
              st == TAPER_OK && taper_params_load(&other, file[f]) == TAPER_KEY && strstr(taper_error_message(), "Missing key(s) in state_dict: \"gain\".") &&
                  strstr(taper_error_message(), "Unexpected key(s) in state_dict: \"bias\"."));
        CHECK(f ? "pt_shapes_differ" : "safetensors_shapes_differ",
              taper_params_load(&wide, file[f]) == TAPER_VALUE &&
                  strstr(taper_error_message(), "size mismatch for weight: copying a param with shape torch.Size([2, 3]) from checkpoint, the shape in "
                                                "current model is torch.Size([3, 3])"));
    }
    CHECK("refused_load_changes_nothing", taper_tensor_read(wide.tensors[0], y, sizeof y) == TAPER_OK && y[0] == 3);
    memset(taper_tensor_data(other.tensors[0]), 0, 24);
    CHECK("partial_load", taper_params_load_partial(&other, file[0], &missing, &unexpected) == TAPER_OK && missing == 1 && unexpected == 1 &&
                              taper_tensor_read(other.tensors[0], x, sizeof x) == TAPER_OK && x[5] == 2);
    CHECK("load_a_file_that_is_not_there", taper_params_load(&p, "/nowhere/at.all") == TAPER_OS);
    taper_params many = TAPER_PARAMS;
    taper_tensor *t;
    for (int i = 0; i < 200 && st == TAPER_OK; i++) {
        char name[64];
        snprintf(name, sizeof name, "a_parameter_with_a_long_name_%d", i);
        st = taper_param_constant(&t, &many, "", name, taper_cpu(), 0, 0, NULL);
    }
    CHECK("many_names_are_counted", st == TAPER_OK && taper_params_load(&many, file[0]) == TAPER_KEY && strstr(taper_error_message(), " more.") &&
                                        strstr(taper_error_message(), "\"a_parameter_with_a_long_name_9\"") && strstr(taper_error_message(), "\"weight\", \"bias\""));
    taper_params_release(&p);
    taper_params_release(&other);
    taper_params_release(&wide);
    taper_params_release(&many);
}

/* Files that PyTorch and the safetensors package wrote: the values of image_trained. */
static void foreign_files(const network *w) {
    static const char *const paths[] = {"tests/golden/nn_image.pt", "tests/golden/nn_image.safetensors"};
    for (int f = 0; f < 2; f++) {
        taper_params p = TAPER_PARAMS;
        taper_nn_sequential net;
        CHECK(f ? "load_a_file_of_safetensors" : "load_a_file_of_torch", w->make(&net, &p, taper_cpu()) == TAPER_OK &&
                                                                             taper_params_load(&p, paths[f]) == TAPER_OK && same_values(&p, w->trained, w->values, 0));
        taper_nn_sequential_release(&net);
        taper_params_release(&p);
    }
}

/* A checkpoint {"epoch": 3, "model": state}, as training scripts write it, with values of another dtype. */
static void checkpoint(void) {
    taper_params p = TAPER_PARAMS;
    taper_tree *tree = NULL;
    float x[6];
    taper_status st = two(&p, "weight", "bias", 2);
    if (st == TAPER_OK) st = taper_params_to(&p, NULL, TAPER_F64);
    if (st == TAPER_OK) st = taper_tree_new(&tree);
    if (st == TAPER_OK) {
        taper_item *root = taper_tree_item(tree, TAPER_ITEM_DICT), *model = taper_tree_item(tree, TAPER_ITEM_DICT);
        for (int i = 0; i < 2 && st == TAPER_OK; i++)
            st = taper_item_put(tree, model, taper_tree_text(tree, TAPER_ITEM_STRING, p.names[i], strlen(p.names[i])),
                                taper_tree_tensor(tree, TAPER_ITEM_PARAMETER, p.tensors[i]));
        if (st == TAPER_OK) st = taper_item_put(tree, root, taper_tree_text(tree, TAPER_ITEM_STRING, "epoch", 5), taper_tree_integer(tree, TAPER_ITEM_INT, 3));
        if (st == TAPER_OK) st = taper_item_put(tree, root, taper_tree_text(tree, TAPER_ITEM_STRING, "model", 5), model);
        taper_tree_set_root(tree, root);
        if (st == TAPER_OK) st = taper_save_pt(file[1], tree);
    }
    taper_tree_release(tree);
    taper_params_release(&p);
    if (st == TAPER_OK) st = two(&p, "weight", "bias", 2);
    if (st == TAPER_OK) memset(taper_tensor_data(p.tensors[0]), 0, 24);
    CHECK("load_a_checkpoint", st == TAPER_OK && taper_params_load(&p, file[1]) == TAPER_OK && taper_tensor_read(p.tensors[0], x, sizeof x) == TAPER_OK && x[5] == 2);
    taper_params_release(&p);
}

/* From the GPU into a file, and from there to the CPU and to the GPU again. */
static void gpu_files(const network *w) {
    static const char *const names[] = {"cuda_safetensors", "cuda_pt"};
    const char *why = NULL;
    if (!taper_cuda_device_count(&why)) {
        printf("ok nn_cuda_files # skipped: %s\n", why);
        return;
    }
    taper_device gpu = taper_cuda(0);
    for (int f = 0; f < 2; f++) {
        taper_params p[3] = {TAPER_PARAMS, TAPER_PARAMS, TAPER_PARAMS};
        taper_nn_sequential net[3];
        bool ok = true;
        for (int k = 0; k < 3; k++) {
            taper_manual_seed(k ? 12 : 11);
            ok = w->make(&net[k], &p[k], k == 1 ? taper_cpu() : gpu) == TAPER_OK && ok && same_values(&p[k], w->first, w->values, 0) == !k;
        }
        ok = ok && taper_params_save(&p[0], file[f]) == TAPER_OK;
        for (int k = 1; k < 3; k++) ok = ok && taper_params_load(&p[k], file[f]) == TAPER_OK && same_values(&p[k], w->first, w->values, 0);
        CHECK(names[f], ok && taper_tensor_device(p[2].tensors[0]).type == TAPER_CUDA);
        for (int k = 0; k < 3; k++) {
            taper_nn_sequential_release(&net[k]);
            taper_params_release(&p[k]);
        }
    }
}

/* ---- each allocation fails in turn ---- */

typedef struct sweep {
    const network *w;
    taper_nn_sequential net;
    taper_params p;
    bool wide;
} sweep;
static taper_status sweep_build(sweep *b) {
    taper_params p = TAPER_PARAMS;
    taper_nn_sequential net;
    taper_status st = b->w->make(&net, &p, taper_cpu());
    taper_nn_sequential_release(&net);
    taper_params_release(&p);
    return st;
}
static taper_status sweep_step(sweep *b) {
    double loss;
    taper_status st = step(b->w, &b->net, &b->p, NULL, 0, &loss), zero = taper_params_zero_grad(&b->p);
    return st == TAPER_OK ? zero : st;
}
/* There and back, so that each run starts alike; a failure leaves all tensors as they were. */
static taper_status sweep_to(sweep *b) {
    taper_dtype next = b->wide ? TAPER_F32 : TAPER_F64;
    taper_status st = taper_params_to(&b->p, NULL, next);
    if (st == TAPER_OK) b->wide = !b->wide;
    for (int i = 0; i < b->p.count; i++) {
        taper_dtype dtype = taper_tensor_dtype(b->p.tensors[i]);
        if (dtype != TAPER_I64 && dtype != (b->wide ? TAPER_F64 : TAPER_F32)) return TAPER_RUNTIME;
    }
    return st;
}
static taper_status sweep_save(sweep *b) { return taper_params_save(&b->p, file[0]); }
static taper_status sweep_load(sweep *b) { return taper_params_load(&b->p, file[0]); }
static taper_status sweep_save_pt(sweep *b) { return taper_params_save(&b->p, file[1]); }
static taper_status sweep_load_pt(sweep *b) { return taper_params_load(&b->p, file[1]); }

static void each_allocation(const char *name, taper_status (*work)(sweep *), sweep *b) {
    int64_t failures = 0;
    taper_status st = TAPER_OK;
    for (int i = 0; i < 4; i++) /* what is made once and kept */
        if (st == TAPER_OK) st = work(b);
    bool unused = st != TAPER_OK, ok = st == TAPER_OK;
    for (int64_t n = 1; ok && !unused; n++) {
        int64_t live = taper__alloc_live();
        taper__alloc_fail_at(n);
        st = work(b);
        for (int64_t i = 0; i < n && !unused; i++) unused = taper__alloc_would_fail();
        taper__alloc_fail_at(0);
        failures += st != TAPER_OK;
        ok = (st == TAPER_OK || (st == TAPER_MEMORY && *taper_error_message())) && taper__alloc_live() == live;
        if (!ok) printf("# allocation %lld: %s, %lld blocks left\n", (long long)n, taper_status_name(st), (long long)(taper__alloc_live() - live));
    }
    char text[120];
    snprintf(text, sizeof text, "%s_each_allocation_%s", b->w->name, name);
    CHECK(text, ok && failures && work(b) == TAPER_OK && taper_grad_enabled());
    printf("# %lld failures\n", (long long)failures);
}

static void allocations(const network *w) {
    sweep b = {.w = w, .p = TAPER_PARAMS};
    double loss;
    taper_set_num_threads(1);
    if (w->make(&b.net, &b.p, taper_cpu()) != TAPER_OK) failed = 1, printf("not ok nn_%s_each_allocation\n", w->name);
    each_allocation("build", sweep_build, &b);
    each_allocation("step", sweep_step, &b);
    if (step(w, &b.net, &b.p, NULL, 0, &loss) != TAPER_OK) failed = 1, printf("not ok nn_%s_each_allocation\n", w->name);
    each_allocation("to", sweep_to, &b); /* gradients too */
    if (b.wide) sweep_to(&b);
    each_allocation("save_safetensors", sweep_save, &b);
    each_allocation("load_safetensors", sweep_load, &b);
    each_allocation("save_pt", sweep_save_pt, &b);
    each_allocation("load_pt", sweep_load_pt, &b);
    taper_nn_sequential_release(&b.net);
    taper_params_release(&b.p);
}

int main(void) {
    snprintf(file[0], sizeof file[0], "/tmp/taper-nn-%ld.safetensors", (long)getpid());
    snprintf(file[1], sizeof file[1], "/tmp/taper-nn-%ld.pt", (long)getpid());
    for (int i = 0; i < COUNT(networks); i++) files(&networks[i]);
    mismatches();
    foreign_files(&networks[0]);
    checkpoint();
    gpu_files(&networks[0]);
    for (int i = 0; i < COUNT(networks); i++) allocations(&networks[i]);
    unlink(file[0]);
    unlink(file[1]);
    return failed;
}
