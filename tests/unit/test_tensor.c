/* Tensors and storages: layout, windows, overlap, bounds, wrapped memory, reading, resizing, versions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/autograd.h>
#include <taper/ops.h>
#include <taper/scope.h>

#include "tensor/tensor.h"

static int passed, failed;

static void check(bool ok, const char *name, const char *why) {
    if (ok) {
        passed++;
        printf("ok tensor_%s\n", name);
    } else {
        failed++;
        printf("not ok tensor_%s: %s (message: %s)\n", name, why, taper_error_message());
    }
}
#define CHECK(name, condition) check(condition, name, #condition)
#define SAYS(text) (strstr(taper_error_message(), text) != NULL)
#define DIMS(...) (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__}
#define INTS(...) (const int64_t[]){__VA_ARGS__}, (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* 0, 1, 2 ... as float32 */
static taper_tensor *count_up(int ndim, const int64_t *shape) {
    taper_tensor *t = NULL;
    if (taper_tensor_new(&t, TAPER_F32, taper_cpu(), ndim, shape) != TAPER_OK) return NULL;
    float *p = taper_tensor_data(t);
    for (int64_t i = 0; i < taper_tensor_numel(t); i++) p[i] = (float)i;
    return t;
}

static bool holds(const taper_tensor *t, const float *want, int n) {
    float have[64];
    if (!t || taper_tensor_numel(t) != n || taper_tensor_read(t, have, sizeof *have * (size_t)n) != TAPER_OK) return false;
    return !memcmp(have, want, sizeof *have * (size_t)n);
}
#define HOLDS(t, ...) holds(t, (const float[]){__VA_ARGS__}, (int)(sizeof((const float[]){__VA_ARGS__}) / sizeof(float)))

static bool strides_are(const taper_tensor *t, int ndim, const int64_t *want) {
    return t && t->ndim == ndim && !memcmp(t->strides, want, sizeof *want * (size_t)ndim);
}

static void test_new(void) {
    taper_tensor *t = NULL;
    CHECK("new", taper_tensor_new(&t, TAPER_F32, taper_cpu(), DIMS(2, 3, 4)) == TAPER_OK && taper_tensor_numel(t) == 24 && taper_tensor_is_contiguous(t));
    CHECK("new_strides", strides_are(t, DIMS(12, 4, 1)));
    CHECK("aligned", ((uintptr_t)taper_tensor_data(t) & 63) == 0);
    taper_tensor_release(t);
    t = NULL;
    CHECK("scalar", taper_tensor_new(&t, TAPER_I64, taper_cpu(), 0, NULL) == TAPER_OK && taper_tensor_ndim(t) == 0 && taper_tensor_numel(t) == 1);
    taper_tensor_release(t);
    t = NULL;
    CHECK("empty", taper_tensor_new(&t, TAPER_F32, taper_cpu(), DIMS(3, 0, 2)) == TAPER_OK && taper_tensor_numel(t) == 0 && taper_tensor_is_contiguous(t));
    CHECK("empty_strides", strides_are(t, DIMS(2, 2, 1)));
    taper_tensor_release(t);
    t = NULL;
    CHECK("negative_size", taper_tensor_new(&t, TAPER_F32, taper_cpu(), DIMS(2, -1)) != TAPER_OK && !t && SAYS("negative dimension -1: [2, -1]"));
    CHECK("too_large", taper_tensor_new(&t, TAPER_F32, taper_cpu(), DIMS(INT64_MAX / 4, 1024)) != TAPER_OK && !t && SAYS("overflowed"));
    CHECK("no_memory", taper_tensor_new(&t, TAPER_F32, taper_cpu(), DIMS((int64_t)1 << 56)) == TAPER_MEMORY && !t && SAYS("bytes"));
    int64_t many[17] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    CHECK("too_many_dims", taper_tensor_new(&t, TAPER_F32, taper_cpu(), 17, many) != TAPER_OK && SAYS("at most 16"));
    CHECK("sixteen_dims", taper_tensor_new(&t, TAPER_F32, taper_cpu(), 16, many) == TAPER_OK);
    taper_tensor_release(t);
    t = NULL;
    CHECK("bad_dtype", taper_tensor_new(&t, (taper_dtype)77, taper_cpu(), DIMS(2)) == TAPER_TYPE && !t);
    CHECK("meta", taper_tensor_new(&t, TAPER_F32, (taper_device){TAPER_META, 0}, DIMS((int64_t)1 << 50)) == TAPER_OK && !taper_tensor_data(t));
    float x;
    CHECK("meta_has_no_data", taper_tensor_read(t, &x, 4) != TAPER_OK);
    taper_tensor_release(t);
    taper_tensor_release(NULL);
    CHECK("retain_null", taper_tensor_retain(NULL) == NULL);
}

static void test_views(void) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *t = taper_scope_own(&s, count_up(DIMS(2, 3)));
    taper_tensor *turned = tx_transpose(&s, t, 0, 1);
    CHECK("transpose", HOLDS(turned, 0, 3, 1, 4, 2, 5) && !taper_tensor_is_contiguous(turned) && strides_are(turned, DIMS(1, 3)));
    CHECK("transpose_shares", taper_tensor_data(turned) == taper_tensor_data(t));
    CHECK("transpose_dim_one", taper_tensor_is_contiguous(tx_transpose(&s, tx_view(&s, t, INTS(6, 1)), 0, 1)));
    CHECK("view_split", HOLDS(tx_view(&s, t, INTS(3, -1)), 0, 1, 2, 3, 4, 5) && s.status == TAPER_OK);
    taper_tensor *bad = NULL;
    CHECK("view_of_transposed_refused", taper_view(&bad, turned, INTS(6)) == TAPER_RUNTIME && !bad && SAYS("view size is not compatible") && SAYS(".reshape"));
    CHECK("reshape_copies", HOLDS(tx_reshape(&s, turned, INTS(6)), 0, 3, 1, 4, 2, 5));
    CHECK("view_keeps_split_dim", HOLDS(tx_view(&s, turned, INTS(3, 1, 2)), 0, 3, 1, 4, 2, 5));
    CHECK("view_two_unknowns", taper_view(&bad, t, INTS(-1, -1)) != TAPER_OK && !bad);
    CHECK("view_unknown_of_empty", taper_view(&bad, tx_view(&s, tx_full(&s, INTS(0, 3), taper_int(1), TAPER_F32, NULL), INTS(0)), INTS(-1, 0)) != TAPER_OK && !bad);
    taper_tensor *wide = tx_expand(&s, tx_view(&s, t, INTS(2, 1, 3)), INTS(2, 2, 3));
    CHECK("expand", HOLDS(wide, 0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5) && strides_are(wide, DIMS(3, 0, 1)));
    CHECK("expand_overlaps", taper__has_internal_overlap(wide) && !taper__has_internal_overlap(turned));
    CHECK("as_strided", HOLDS(tx_as_strided(&s, t, INTS(2, 2), INTS(1, 2), &(int64_t){1}), 1, 3, 2, 4));
    CHECK("as_strided_beyond", taper_as_strided(&bad, t, INTS(2, 2), INTS(3, 3), NULL) != TAPER_OK && !bad && SAYS("out of bounds for storage of size 24"));
    CHECK("as_strided_last_fits", taper_as_strided(&bad, t, INTS(2, 2), INTS(3, 2), NULL) == TAPER_OK);
    taper_tensor_release(bad);
    bad = NULL;
    CHECK("as_strided_negative_offset", taper_as_strided(&bad, t, INTS(1), INTS(1), &(int64_t){-1}) != TAPER_OK && !bad);
    CHECK("as_strided_negative_stride", taper_as_strided(&bad, t, INTS(2), INTS(-1), &(int64_t){3}) != TAPER_OK && !bad && SAYS("Negative strides"));
    CHECK("as_strided_huge", taper_as_strided(&bad, t, INTS(3), INTS(INT64_MAX / 2), NULL) != TAPER_OK && !bad);
    CHECK("as_strided_empty_anywhere", taper_as_strided(&bad, t, INTS(0), INTS(1), &(int64_t){6}) == TAPER_OK);
    taper_tensor_release(bad);
    taper_tensor *w = tx_as_strided(&s, t, INTS(2), INTS(3), &(int64_t){2});
    CHECK("view_of_view_offset", HOLDS(tx_view(&s, w, INTS(2, 1)), 2, 5) && taper_tensor_offset(tx_view(&s, w, INTS(2, 1))) == 2);
    taper_scope_end(&s);
}

static void test_storage_outlives(void) {
    taper_tensor *t = count_up(DIMS(4)), *w = NULL;
    int64_t at = 1;
    CHECK("window", taper_as_strided(&w, t, INTS(2), INTS(2), &at) == TAPER_OK);
    taper_tensor_release(t);
    CHECK("window_outlives_tensor", HOLDS(w, 1, 3));
    taper_tensor_release(w);
}

static void test_overlap(void) {
    taper_tensor *t = count_up(DIMS(4, 4)), *a = NULL, *b = NULL;
    taper__tensor_view(&a, t, 2, (int64_t[]){2, 4}, (int64_t[]){4, 1}, 0);
    taper__tensor_view(&b, t, 2, (int64_t[]){2, 4}, (int64_t[]){4, 1}, 8);
    CHECK("overlap_none", taper__overlap(a, b) == TAPER_OVERLAP_NO);
    CHECK("overlap_self", taper__overlap(a, a) == TAPER_OVERLAP_FULL && taper__overlap(t, t) == TAPER_OVERLAP_FULL);
    b->offset = 4;
    CHECK("overlap_partial", taper__overlap(a, b) == TAPER_OVERLAP_PARTIAL);
    taper_tensor_release(b);
    taper__tensor_view(&b, t, 2, (int64_t[]){2, 4}, (int64_t[]){4, 1}, 0);
    CHECK("overlap_same_window", taper__overlap(a, b) == TAPER_OVERLAP_FULL);
    taper_tensor_release(b);
    taper__tensor_view(&b, t, 2, (int64_t[]){4, 2}, (int64_t[]){4, 1}, 0);
    CHECK("overlap_columns", taper__overlap(a, b) == TAPER_OVERLAP_MAYBE || taper__overlap(a, b) == TAPER_OVERLAP_PARTIAL);
    CHECK("dense", taper__is_dense(2, (int64_t[]){3, 2}, (int64_t[]){1, 3}) && !taper__is_dense(2, (int64_t[]){3, 2}, (int64_t[]){2, 6}));
    taper_tensor_release(a);
    taper_tensor_release(b);
    taper_tensor_release(t);
}

/* The result of writing over what is read: as if the right side were computed first. */
static void test_overlapping_write(void) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *t = taper_scope_own(&s, count_up(DIMS(6)));
    taper_tensor *low = tx_as_strided(&s, t, INTS(5), INTS(1), &(int64_t){0}), *high = tx_as_strided(&s, t, INTS(5), INTS(1), &(int64_t){1});
    CHECK("shifted_add", taper_add_(high, low, taper_int(1)) == TAPER_RUNTIME && SAYS("refer to a single memory location"));
    taper_tensor *m = taper_scope_own(&s, count_up(DIMS(2, 2))), *turned = tx_transpose(&s, m, 0, 1);
    CHECK("transposed_add", taper_add_(m, turned, taper_int(1)) == TAPER_RUNTIME && SAYS("refer to a single memory location"));
    taper_tensor *n = taper_scope_own(&s, count_up(DIMS(2, 3))), *row = tx_as_strided(&s, n, INTS(3), INTS(1), &(int64_t){0});
    CHECK("broadcast_row_of_itself", taper_add_(n, row, taper_int(1)) == TAPER_RUNTIME && SAYS("refer to a single memory location"));
    taper_tensor *column = tx_as_strided(&s, m, INTS(2, 1), INTS(2, 1), &(int64_t){0}); /* has gaps: right, as if it were a copy */
    CHECK("multiplied_by_own_column", taper_mul_(m, column) == TAPER_OK && HOLDS(m, 0, 0, 4, 6));
    taper_scope_end(&s);
}

static int releases;
static void count_release(void *ctx) {
    (void)ctx;
    releases++;
}

static void test_wrap(void) {
    float data[6] = {0, 1, 2, 3, 4, 5};
    taper_tensor *t = NULL, *v = NULL;
    CHECK("wrap", taper_tensor_wrap(&t, data, sizeof data, TAPER_F32, taper_cpu(), 2, (int64_t[]){3, 2}, (int64_t[]){1, 3}, count_release, data) == TAPER_OK);
    CHECK("wrap_strides", HOLDS(t, 0, 3, 1, 4, 2, 5) && taper_tensor_data(t) == data);
    CHECK("wrap_view", taper_transpose(&v, t, 0, 1) == TAPER_OK);
    taper_tensor_release(t);
    CHECK("wrap_kept_by_view", releases == 0 && HOLDS(v, 0, 1, 2, 3, 4, 5));
    taper_tensor_release(v);
    CHECK("wrap_released_once", releases == 1);
    t = NULL;
    CHECK("wrap_too_small", taper_tensor_wrap(&t, data, sizeof data, TAPER_F64, taper_cpu(), 1, (int64_t[]){4}, NULL, count_release, data) == TAPER_VALUE && !t && releases == 1);
    CHECK("wrap_stride_too_far", taper_tensor_wrap(&t, data, sizeof data, TAPER_F32, taper_cpu(), 1, (int64_t[]){3}, (int64_t[]){3}, NULL, NULL) == TAPER_VALUE && !t);
    CHECK("wrap_negative_stride", taper_tensor_wrap(&t, data, sizeof data, TAPER_F32, taper_cpu(), 1, (int64_t[]){3}, (int64_t[]){-1}, NULL, NULL) == TAPER_VALUE && !t);
    CHECK("wrap_huge_stride", taper_tensor_wrap(&t, data, sizeof data, TAPER_F32, taper_cpu(), 1, (int64_t[]){3}, (int64_t[]){INT64_MAX}, NULL, NULL) == TAPER_VALUE && !t);
    CHECK("wrap_empty", taper_tensor_wrap(&t, NULL, 0, TAPER_F32, taper_cpu(), 1, (int64_t[]){0}, NULL, count_release, NULL) == TAPER_OK);
    taper_tensor_release(t);
    CHECK("wrap_empty_released", releases == 2);
}

static void test_read_write(void) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *t = taper_scope_own(&s, count_up(DIMS(2, 3))), *turned = tx_transpose(&s, t, 0, 1);
    float six[6] = {9, 8, 7, 6, 5, 4};
    uint32_t version = taper_tensor_version(t);
    CHECK("write_strided", taper_tensor_write(turned, six, sizeof six) == TAPER_OK && HOLDS(t, 9, 7, 5, 8, 6, 4));
    CHECK("write_raises_version", taper_tensor_version(t) == version + 1 && taper_tensor_version(turned) == version + 1);
    CHECK("read_wrong_size", taper_tensor_read(t, six, 20) == TAPER_VALUE && SAYS("24 bytes"));
    double x;
    int64_t i;
    CHECK("item_of_many", taper_tensor_item_double(t, &x) != TAPER_OK && SAYS("a Tensor with 6 elements cannot be converted to Scalar"));
    taper_tensor *one = tx_as_strided(&s, t, INTS(1, 1), INTS(1, 1), &(int64_t){1});
    CHECK("item", taper_tensor_item_double(one, &x) == TAPER_OK && x == 7 && taper_tensor_item_int(one, &i) == TAPER_OK && i == 7);
    taper_scope_end(&s);
}

static void test_version(void) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *t = taper_scope_own(&s, count_up(DIMS(4))), *d = NULL;
    uint32_t v = taper_tensor_version(t);
    tx_add(&s, t, t, taper_int(1));
    CHECK("reading_keeps_version", taper_tensor_version(t) == v);
    taper_add_(t, t, taper_int(1));
    CHECK("writing_raises_version", taper_tensor_version(t) == v + 1);
    taper_neg_(tx_as_strided(&s, t, INTS(1), INTS(1), &(int64_t){3}));
    CHECK("writing_a_view_raises_it", taper_tensor_version(t) == v + 2);
    CHECK("detach_shares_version", taper_detach(&d, t) == TAPER_OK && taper_neg_(d) == TAPER_OK && taper_tensor_version(t) == v + 3);
    taper_tensor_release(d);
    taper_scope_end(&s);
}

static void test_out(void) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *a = taper_scope_own(&s, count_up(DIMS(2, 2))), *big = taper_scope_own(&s, count_up(DIMS(8)));
    taper_tensor *tail = tx_as_strided(&s, big, INTS(2), INTS(1), &(int64_t){6}); /* room for two; four are coming */
    const taper_op_row *add = taper_op_find("add");
    taper_arg args[3] = {{.kind = TAPER_ARG_TENSOR, .t = a}, {.kind = TAPER_ARG_TENSOR, .t = a}, {.kind = TAPER_ARG_INT, .i = 1}};
    CHECK("out_grows_behind_offset", taper_op_call_out(add, args, 3, tail) == TAPER_OK && HOLDS(tail, 0, 2, 4, 6));
    CHECK("out_keeps_what_is_before", holds(tx_as_strided(&s, big, INTS(6), INTS(1), &(int64_t){0}), (float[]){0, 1, 2, 3, 4, 5}, 6));
    float data[2];
    taper_tensor *fixed = NULL;
    taper_tensor_wrap(&fixed, data, sizeof data, TAPER_F32, taper_cpu(), 1, (int64_t[]){2}, NULL, NULL, NULL);
    CHECK("out_of_foreign_memory_is_not_resized", taper_op_call_out(add, args, 3, fixed) == TAPER_RUNTIME && SAYS("not resizable") && taper_tensor_numel(fixed) == 2);
    taper_tensor_release(fixed);
    taper_tensor *ints = tx_full(&s, INTS(2, 2), taper_int(0), TAPER_I64, NULL);
    CHECK("out_of_lower_kind", taper_op_call_out(add, args, 3, ints) == TAPER_RUNTIME && SAYS("result type Float can't be cast to the desired output type Long"));
    taper_set_requires_grad(a, true);
    taper_tensor *free_one = tx_full(&s, INTS(2, 2), taper_float(0), TAPER_F32, NULL);
    CHECK("out_with_gradient_refused", taper_op_call_out(add, args, 3, free_one) == TAPER_RUNTIME && SAYS("add(): functions with out=... arguments don't support automatic differentiation"));
    taper_scope_end(&s);
}

int main(void) {
    int64_t live = taper__alloc_live();
    test_new();
    test_views();
    test_storage_outlives();
    test_overlap();
    test_overlapping_write();
    test_wrap();
    test_read_write();
    test_version();
    test_out();
    CHECK("nothing_left", taper__alloc_live() == live);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
