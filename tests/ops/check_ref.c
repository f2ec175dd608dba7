/* ref: every CPU kernel in every dtype against the last kernel of the list in float64; two runs and one or two threads give
 * the same bits. error: what must fail does, and says why. */
#include <stdio.h>
#include <stdlib.h>

#include "driver.h"

/* The row with a kernel list of one. */
static taper_op_row ref_row(const test_case *c, const taper_kernel *k, taper_op *op, taper_kernel list[2]) {
    taper_op_row row = *c->row;
    *op = *c->row->op;
    memset(list, 0, 2 * sizeof *list);
    if (k) {
        list[0] = *k;
        op->kernels = list;
    }
    row.op = op;
    return row;
}

static const taper_kernel *ref_kernel(const taper_op *op) {
    const taper_kernel *last = NULL;
    for (const taper_kernel *k = op->kernels; k && k->run; k++)
        if (k->device == TAPER_CPU) last = k;
    return last;
}

/* Results of the reference kernel in float64, or in the dtypes of the sample when nothing in it depends on the run. */
static taper_status ref_want(const test_case *c, taper_dtype dtype, results *r, uint32_t *modifies, inputs *kept) {
    taper_op op;
    taper_kernel list[2];
    const taper_kernel *k = ref_kernel(c->row->op);
    taper_op_row row = ref_row(c, k, &op, list);
    setup s = {.dtype = TAPER_F64, .rounded = dtype};
    (void)modifies;
    TAPER_TRY(inputs_make(kept, c, &s));
    taper_status st = run_op(&row, kept, r);
    if (st == TAPER_NOT_IMPLEMENTED && k && c->row->op->kernels->device == TAPER_CPU) st = run_op(c->row, kept, r); /* the last one may decline */
    if (st != TAPER_OK) inputs_free(kept);
    return st;
}

static const char *ref_compare(const test_case *c, const results *got, const results *want, bool exact, taper_dtype dtype) {
    static char words[1300];
    words[0] = 0;
    if (got->count != want->count) {
        snprintf(words, sizeof words, "%d results, want %d", got->count, want->count);
        return words;
    }
    for (int i = 0; i < got->count; i++) {
        const taper_tensor *g = got->t[i], *w = want->t[i];
        const char *bad = "";
        bool meta_only = c->sample->unspecified && !exact;
        if (g->ndim != w->ndim || memcmp(g->shape, w->shape, sizeof(int64_t) * g->ndim))
            bad = compare_metas(g, w);
        else if (taper_dtype_is_float((taper_dtype)g->dtype) != taper_dtype_is_float((taper_dtype)w->dtype))
            bad = compare_metas(g, w);
        else if (!meta_only)
            bad = compare_tensors(g, w, tolerance(c, g->dtype == TAPER_F64 && dtype != TAPER_F64 ? dtype : (taper_dtype)g->dtype, false), exact);
        if (bad[0]) {
            snprintf(words, sizeof words, "result %d: %s", i, bad);
            return words;
        }
    }
    return words;
}

/* Arguments that the operator writes (running statistics) are results too. */
static const char *ref_compare_written(const test_case *c, const inputs *got, const inputs *want) {
    for (int i = 0; i < c->ntensors; i++) {
        if (!got->leaf[i] || c->sample->unspecified || spec_is_written(c, i)) continue;
        const char *bad = compare_tensors(got->leaf[i], want->leaf[i], tolerance(c, (taper_dtype)got->leaf[i]->dtype, false), false);
        if (bad[0]) return bad;
    }
    return "";
}

static void ref_kernel_case(const test_case *c, const taper_kernel *k, taper_dtype dtype) {
    taper_op op;
    taper_kernel list[2];
    taper_op_row row = ref_row(c, k, &op, list);
    setup s = {.dtype = dtype};
    inputs in = {0}, in2 = {0}, in3 = {0}, ref = {0};
    results got = {0}, again = {0}, serial = {0}, want = {0};
    const char *name = k ? k->name : "whole", *bad;
    taper_status st = inputs_make(&in, c, &s);
    if (st == TAPER_OK) st = run_op(&row, &in, &got);
    if (st != TAPER_OK) {
        bool declined = st == TAPER_NOT_IMPLEMENTED && (k != c->row->op->kernels || dtype == TAPER_F16 || dtype == TAPER_BF16);
        if (declined)
            skip(taper_error_message());
        else
            fail("kernel %s: %s: %s", name, taper_status_name(st), taper_error_message());
        goto out;
    }
    if (ref_want(c, dtype, &want, NULL, &ref) != TAPER_OK) {
        fail("the reference in float64: %s", taper_error_message());
        goto out;
    }
    bad = ref_compare(c, &got, &want, false, dtype);
    if (!bad[0]) bad = ref_compare_written(c, &in, &ref);
    if (bad[0]) {
        fail("kernel %s against the reference: %s", name, bad);
        goto out;
    }
    int threads = taper_num_threads();
    bool arbitrary = c->sample->unspecified && !c->row->op->random; /* empty: whatever was there */
    if (inputs_make(&in2, c, &s) != TAPER_OK || run_op(&row, &in2, &again) != TAPER_OK) {
        fail("second run: %s", taper_error_message());
        goto out;
    }
    if (!arbitrary && (bad = ref_compare(c, &again, &got, true, dtype))[0]) {
        fail("two runs differ: %s", bad);
        goto out;
    }
    taper_set_num_threads(threads == 1 ? 2 : 1);
    st = inputs_make(&in3, c, &s);
    if (st == TAPER_OK) st = run_op(&row, &in3, &serial);
    taper_set_num_threads(threads);
    if (st != TAPER_OK)
        fail("with another number of threads: %s", taper_error_message());
    else if (!arbitrary && (bad = ref_compare(c, &serial, &got, true, dtype))[0])
        fail("one thread and two differ: %s", bad);
    else
        pass();
out:
    results_free(&got);
    results_free(&again);
    results_free(&serial);
    results_free(&want);
    inputs_free(&in);
    inputs_free(&in2);
    inputs_free(&in3);
    inputs_free(&ref);
}

void check_ref(const test_case *c) {
    static const taper_dtype dtypes[] = {TAPER_F32, TAPER_F64, TAPER_F16, TAPER_BF16};
    char mode[80];
    for (int i = 0; i < (c->runs_in_dtypes ? TAPER_COUNT(dtypes) : 1); i++) {
        int kernels = 0;
        for (const taper_kernel *k = c->row->op->kernels; k && k->run; k++) {
            if (k->device != TAPER_CPU) continue;
            snprintf(mode, sizeof mode, kernels++ ? "ref %s" : "ref", k->name);
            if (begin(c, dtype_short(dtypes[i]), "cpu", mode)) ref_kernel_case(c, k, dtypes[i]);
        }
        if (!kernels && begin(c, dtype_short(dtypes[i]), "cpu", "ref")) ref_kernel_case(c, NULL, dtypes[i]);
    }
}

/* Words about shapes come with the shapes, words about dtypes with the dtype. */
static bool error_is_concrete(const char *message) {
    static const char *const about_shape[] = {"size", "shape", "dimension"}, *const about_dtype[] = {"dtype", "scalar type", "Tensor of type"};
    for (int i = 0; i < TAPER_COUNT(about_shape); i++)
        if (strstr(message, about_shape[i])) return strpbrk(message, "0123456789") != NULL;
    bool dtypes = false;
    for (int i = 0; i < TAPER_COUNT(about_dtype); i++) dtypes = dtypes || strstr(message, about_dtype[i]);
    for (int d = 0; dtypes && d < TAPER_DTYPE_COUNT; d++)
        if (strstr(message, taper_dtype_name((taper_dtype)d)) || strstr(message, taper_dtype_typename((taper_dtype)d))) return true;
    return !dtypes;
}

void check_error(const test_case *c) {
    setup s = {.dtype = TAPER_F32, .grad = true};
    if (!begin(c, "f32", "cpu", "error")) return;
    inputs in = {0};
    results r = {0};
    if (inputs_make(&in, c, &s) != TAPER_OK) {
        fail("%s", taper_error_message());
        return;
    }
    results_free(&r);
    run_op(c->row, &in, &r); /* warm up what is made once */
    results_free(&r);
    int64_t live = taper__alloc_live();
    taper_status st = run_op(c->row, &in, &r);
    const char *message = taper_error_message();
    if (st == TAPER_OK)
        fail("the call succeeded; it must fail with \"%s\"", c->sample->error);
    else if (!strstr(message, c->sample->error))
        fail("the message is \"%s\"; it must contain \"%s\"", message, c->sample->error);
    else if (!error_is_concrete(message))
        fail("the message \"%s\" does not say which shape, size or dtype", message);
    else if (r.t[0])
        fail("the call failed and still gave a result");
    else if (taper__alloc_live() != live)
        fail("the failing call leaks %lld blocks", (long long)(taper__alloc_live() - live));
    else if (inputs_touched(&in, 0) >= 0)
        fail("the failing call changed tensor %d", inputs_touched(&in, 0));
    else
        pass();
    results_free(&r);
    inputs_free(&in);
}
