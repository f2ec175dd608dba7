/* A checkpoint, written and read again: .pt and safetensors, every dtype, the optimiser's state; the same bits. */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <taper/io.h>
#include <taper/nn.h>
#include <taper/ops.h>

#include "verify/verify.h"

enum { CHECKPOINT_TENSORS = 6, CHECKPOINT_PATH = 1024 };

static const struct { const char *name; taper_dtype dtype; int64_t rows; } checkpoint_rows[CHECKPOINT_TENSORS] = {{"weight", TAPER_F32, 4096}, {"half", TAPER_F16, 512},   {"brain", TAPER_BF16, 512},
                                                                                                               {"double", TAPER_F64, 256},  {"count", TAPER_I64, 256},  {"mask", TAPER_BOOL, 128}};

static taper_status checkpoint_make(taper_tensor **t, taper_device device) {
    for (int i = 0; i < CHECKPOINT_TENSORS; i++) {
        taper_scope s = TAPER_SCOPE;
        taper_tensor *x = NULL;
        TAPER_TRY(verify_normal(&x, checkpoint_rows[i].rows, 1024, TAPER_F32, device));
        taper_scope_own(&s, x);
        if (checkpoint_rows[i].dtype == TAPER_I64) x = tx_mul(&s, x, tx_full(&s, (int64_t[]){1}, 1, taper_float(1000), TAPER_F32, &device));
        if (checkpoint_rows[i].dtype == TAPER_BOOL) x = tx_relu(&s, x);
        x = tx_to(&s, x, NULL, checkpoint_rows[i].dtype, false, false);
        if (x) t[i] = taper_tensor_retain(x);
        TAPER_TRY(taper_scope_end(&s));
    }
    return TAPER_OK;
}

static taper_status checkpoint_save(const char *path, taper_tensor **t, bool pt) {
    const char *names[CHECKPOINT_TENSORS];
    taper_tree *tree = NULL;
    for (int i = 0; i < CHECKPOINT_TENSORS; i++) names[i] = checkpoint_rows[i].name;
    if (!pt) return taper_save_safetensors(path, names, t, CHECKPOINT_TENSORS, NULL, NULL, 0);
    TAPER_TRY(taper_tree_new(&tree));
    taper_item *root = taper_tree_item(tree, TAPER_ITEM_DICT);
    taper_status st = root ? TAPER_OK : TAPER_FAIL(TAPER_MEMORY, "verify: no memory");
    for (int i = 0; i < CHECKPOINT_TENSORS && st == TAPER_OK; i++)
        st = taper_item_put(tree, root, taper_tree_text(tree, TAPER_ITEM_STRING, names[i], strlen(names[i])), taper_tree_tensor(tree, TAPER_ITEM_TENSOR, t[i]));
    if (st == TAPER_OK) taper_tree_set_root(tree, root);
    if (st == TAPER_OK) st = taper_save_pt(path, tree);
    taper_tree_release(tree);
    return st;
}

static taper_status checkpoint_read(bool *same, const char *path, taper_tensor **t, taper_device device) {
    taper_load_options options = TAPER_LOAD_OPTIONS;
    taper_tree *tree = NULL;
    options.has_device = true;
    options.device = device;
    TAPER_TRY(taper_load(&tree, path, &options));
    taper_status st = TAPER_OK;
    *same = taper_item_count(taper_tree_root(tree)) == CHECKPOINT_TENSORS;
    for (int i = 0; i < CHECKPOINT_TENSORS && *same && st == TAPER_OK; i++) {
        taper_item *item = taper_item_find(taper_tree_root(tree), checkpoint_rows[i].name);
        if (!item || !taper_item_tensor(item)) *same = false;
        else st = verify_same_bits(same, t[i], taper_item_tensor(item));
    }
    taper_tree_release(tree);
    return st;
}

static const char *checkpoint_base(const taper_verify_options *o) {
    const char *base = o->folder ? o->folder : getenv("TMPDIR");
    return base && *base ? base : "/tmp";
}

/* A child that was killed cannot. */
void verify_checkpoint_clean(const taper_verify_options *o) {
    char pattern[CHECKPOINT_PATH];
    glob_t folders, files;
    snprintf(pattern, sizeof pattern, "%s/taper-verify-%d-??????", checkpoint_base(o), (int)getpid());
    if (glob(pattern, GLOB_NOSORT, NULL, &folders)) return;
    for (size_t i = 0; i < folders.gl_pathc; i++) {
        snprintf(pattern, sizeof pattern, "%s/*", folders.gl_pathv[i]);
        if (!glob(pattern, GLOB_NOSORT | GLOB_PERIOD, NULL, &files)) {
            for (size_t k = 0; k < files.gl_pathc; k++) unlink(files.gl_pathv[k]);
            globfree(&files);
        }
        rmdir(folders.gl_pathv[i]);
    }
    globfree(&folders);
}

taper_status verify_checkpoint(verify_run *r) {
    char folder[CHECKPOINT_PATH], path[CHECKPOINT_PATH + 32];
    taper_tensor *t[CHECKPOINT_TENSORS] = {NULL};
    double rate[2][2][5] = {{{0}}}, bytes = 0, median[2][2];
    bool same[2] = {false, false};
    int rounds = r->options->quick ? 2 : 5;
    snprintf(folder, sizeof folder, "%s/taper-verify-%d-XXXXXX", checkpoint_base(r->options), (int)getppid());
    if (!mkdtemp(folder)) {
        verify_set(r, VERIFY_UNKNOWN);
        verify_say(r, "no folder can be made for it: %s: %s (--dir names another)", "无法建立临时目录: %s: %s (可用 --dir 指定)", folder, strerror(errno));
        return TAPER_OK;
    }
    taper_status st = checkpoint_make(t, r->device);
    for (int i = 0; i < CHECKPOINT_TENSORS && st == TAPER_OK; i++) bytes += (double)taper_tensor_numel(t[i]) * (double)taper_dtype_size(taper_tensor_dtype(t[i]));
    for (int pt = 0; pt < 2 && st == TAPER_OK; pt++) {
        snprintf(path, sizeof path, "%s/%s", folder, pt ? "model.pt" : "model.safetensors");
        for (int k = 0; k < rounds && st == TAPER_OK; k++) {
            double begin = verify_now(), saved = 0;
            st = checkpoint_save(path, t, pt);
            saved = verify_now();
            if (st == TAPER_OK) st = checkpoint_read(&same[pt], path, t, r->device);
            rate[pt][0][k] = bytes * 1e-6 / (saved - begin);
            rate[pt][1][k] = bytes * 1e-6 / (verify_now() - saved);
            if (!same[pt]) break;
        }
        unlink(path);
    }
    rmdir(folder);
    for (int i = 0; i < CHECKPOINT_TENSORS; i++) taper_tensor_release(t[i]);
    TAPER_TRY(st);
    for (int pt = 0; pt < 2; pt++) {
        median[pt][0] = verify_measured(r, pt ? "pt_save" : "safetensors_save", "MB/s", 1, rate[pt][0], rounds, 0);
        median[pt][1] = verify_measured(r, pt ? "pt_load_compare" : "safetensors_load_compare", "MB/s", 1, rate[pt][1], rounds, 0);
    }
    if (!same[0] || !same[1]) verify_set(r, VERIFY_FAIL);
    verify_say(r, "%.0f MB in 6 dtypes: safetensors %s%.0s (saved at %.0f MB/s, loaded and compared at %.0f), .pt %s%.0s (%.0f, %.0f)", "%.0f MB, 6 种类型: safetensors %.0s%s (写 %.0f MB/s, 读并比对 %.0f), .pt %.0s%s (%.0f, %.0f)",
               bytes * 1e-6, VERIFY_WORD(same[0], "bit-equal", "逐位一致", "DIFFERS", "不一致"), median[0][0], median[0][1], VERIFY_WORD(same[1], "bit-equal", "逐位一致", "DIFFERS", "不一致"), median[1][0], median[1][1]);
    return TAPER_OK;
}
