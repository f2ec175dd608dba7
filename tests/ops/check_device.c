/* meta: shapes and dtypes without data are those of the real call. cuda: results and gradients against the CPU. autocast: the
 * dtypes that the row's class promises. */
#include <stdio.h>

#include "driver.h"

void check_meta(const test_case *c) {
    setup real = {.dtype = TAPER_F32}, meta = {.dtype = TAPER_F32, .meta = true};
    inputs a = {0}, b = {0};
    results ra = {0}, rb = {0};
    const char *bad = "";
    bool factory = !c->ntensors;
    if (factory) {
        factory = false;
        for (int k = 0; k < c->nargs; k++) factory = factory || c->schema->args[k].kind == TAPER_ARG_DEVICE;
        if (!factory) return;
    }
    if (!begin(c, "f32", "meta", "meta")) return;
    taper_status st = inputs_make(&a, c, &real);
    if (st == TAPER_OK) st = run_op(c->row, &a, &ra);
    if (st == TAPER_OK) st = inputs_make(&b, c, &meta);
    if (st != TAPER_OK) {
        fail("%s", taper_error_message());
        goto out;
    }
    st = run_op(c->row, &b, &rb);
    if (st == TAPER_NOT_IMPLEMENTED && strstr(taper_error_message(), "meta")) {
        skip(taper_error_message()); /* the shape depends on the data */
        goto out;
    }
    if (st != TAPER_OK) {
        fail("on meta: %s", taper_error_message());
        goto out;
    }
    for (int i = 0; i < ra.count && i < rb.count && !bad[0]; i++) {
        if (rb.t[i]->device.type != TAPER_META && ra.t[i]->device.type != TAPER_META) bad = "the result is not on meta";
        rb.t[i]->device = ra.t[i]->device; /* compared without it */
        if (!bad[0]) bad = compare_metas(rb.t[i], ra.t[i]);
        rb.t[i]->device = (taper_device){TAPER_META, 0};
        if (!bad[0] && memcmp(rb.t[i]->strides, ra.t[i]->strides, sizeof(int64_t) * ra.t[i]->ndim)) bad = "strides differ";
    }
    if (ra.count != rb.count) bad = "another number of results";
    if (bad[0])
        fail("meta: %s", bad);
    else
        pass();
out:
    results_free(&ra);
    results_free(&rb);
    inputs_free(&a);
    inputs_free(&b);
}

/* Arguments that the call may have written (state, running statistics) are results too. bits: the same to the last one. */
static const char *cuda_compare_arguments(const test_case *c, const inputs *got, const inputs *want, bool bits) {
    const char *bad = "";
    for (int i = 0; i < c->ntensors && !bad[0]; i++) {
        if (!got->leaf[i] || !want->leaf[i]) continue;
        taper_dtype d = (taper_dtype)got->leaf[i]->dtype;
        bad = compare_tensors(got->leaf[i], want->leaf[i], bits ? 0 : tolerance(c, d, false) * (d == TAPER_F64 ? 1 : 2), bits);
    }
    return bad;
}

static void cuda_case(const test_case *c, taper_dtype dtype) {
    setup gpu = {.dtype = dtype, .device = taper_cuda(0)}, cpu = {.dtype = dtype == TAPER_F64 ? TAPER_F64 : dtype};
    inputs a = {0}, b = {0};
    results ra = {0}, rb = {0}, again = {0};
    taper_tensor *da[MAX_TENSORS] = {NULL}, *db[MAX_TENSORS] = {NULL};
    const char *bad = "";
    bool arbitrary = c->sample->unspecified || c->row->op->random;
    taper_status st = inputs_make(&b, c, &cpu);
    if (st == TAPER_OK) st = run_op(c->row, &b, &rb);
    if (st != TAPER_OK) {
        if (st == TAPER_NOT_IMPLEMENTED) skip(taper_error_message());
        else fail("on the CPU: %s", taper_error_message());
        goto out;
    }
    st = inputs_make(&a, c, &gpu);
    if (st == TAPER_OK) st = run_op(c->row, &a, &ra);
    if (st != TAPER_OK) {
        fail("%s", taper_error_message());
        goto out;
    }
    for (int i = 0; i < ra.count && i < rb.count && !bad[0]; i++) {
        taper_dtype d = (taper_dtype)ra.t[i]->dtype;
        if (arbitrary) {
            rb.t[i]->device = ra.t[i]->device;
            bad = compare_metas(ra.t[i], rb.t[i]);
            rb.t[i]->device = taper_cpu();
        } else {
            bad = compare_tensors(ra.t[i], rb.t[i], tolerance(c, d, false) * (dtype == TAPER_F64 ? 1 : 2), false);
        }
    }
    if (!bad[0] && !arbitrary) bad = cuda_compare_arguments(c, &a, &b, false);
    if (bad[0] || ra.count != rb.count) {
        fail("against the CPU: %s", bad);
        goto out;
    }
    if (!arbitrary) {
        inputs twice = {0};
        st = inputs_make(&twice, c, &gpu);
        if (st == TAPER_OK) st = run_op(c->row, &twice, &again);
        for (int i = 0; st == TAPER_OK && i < again.count && !bad[0]; i++) bad = compare_tensors(again.t[i], ra.t[i], 0, true);
        if (st == TAPER_OK && !bad[0]) bad = cuda_compare_arguments(c, &twice, &a, true);
        inputs_free(&twice);
        if (st != TAPER_OK || bad[0]) {
            fail("two runs differ: %s", bad[0] ? bad : taper_error_message());
            goto out;
        }
    }
    if (c->row->gradient != TAPER_GRADIENT_NONDIFF && !arbitrary && !c->sample->no_grad_check) {
        inputs_free(&a);
        inputs_free(&b);
        gpu.grad = cpu.grad = true;
        st = inputs_make(&a, c, &gpu);
        if (st == TAPER_OK) st = run_all_grad(c->row, &a, dtype, da);
        if (st == TAPER_OK) st = inputs_make(&b, c, &cpu);
        if (st == TAPER_OK) st = run_all_grad(c->row, &b, dtype, db);
        for (int i = 0; st == TAPER_OK && i < c->ntensors && !bad[0]; i++)
            if (da[i] && db[i]) bad = compare_tensors(da[i], db[i], 2 * tolerance(c, dtype, true), false);
        if (st != TAPER_OK || bad[0]) {
            fail("gradient against the CPU: %s", bad[0] ? bad : taper_error_message());
            goto out;
        }
    }
    st = taper_cuda_synchronize(0);
    if (st != TAPER_OK)
        fail("%s", taper_error_message());
    else
        pass();
out:
    tensors_free(da, MAX_TENSORS);
    tensors_free(db, MAX_TENSORS);
    results_free(&ra);
    results_free(&rb);
    results_free(&again);
    inputs_free(&a);
    inputs_free(&b);
}

void check_cuda(const test_case *c) {
    static const taper_dtype dtypes[] = {TAPER_F32, TAPER_F64, TAPER_F16, TAPER_BF16};
    for (int i = 0; i < (c->runs_in_dtypes ? TAPER_COUNT(dtypes) : 1); i++)
        if (begin(c, dtype_short(dtypes[i]), "cuda", "cuda")) cuda_case(c, dtypes[i]);
}

void check_autocast(const test_case *c) {
    if (c->row->autocast != TAPER_AUTOCAST_LOWP && c->row->autocast != TAPER_AUTOCAST_FP32) return;
    if (!c->runs_in_dtypes || c->row->op->compose) return; /* a composite: its parts decide */
    for (int i = 0; i < c->ntensors; i++)
        if (c->tensors[i].dtype == TAPER_F64) return; /* float64 stays as it is */
    if (!begin(c, "bf16", "cpu", "autocast")) return;
    bool low = c->row->autocast == TAPER_AUTOCAST_LOWP;
    setup s = {.dtype = low ? TAPER_F32 : TAPER_BF16, .grad = true};
    inputs in = {0};
    results r = {0};
    taper_tensor *d[MAX_TENSORS] = {NULL}, *weights[TAPER_MAX_OUTS] = {NULL};
    taper_set_autocast(TAPER_CPU, true, TAPER_BF16, true);
    taper_status st = inputs_make(&in, c, &s);
    if (st == TAPER_OK) st = run_op(c->row, &in, &r);
    taper_set_autocast(TAPER_CPU, false, TAPER_DTYPE_NONE, true);
    bool explicit_dtype = false;
    for (int k = 0; k < c->nargs; k++) explicit_dtype = explicit_dtype || c->args[k].value.kind == TAPER_ARG_DTYPE;
    for (int i = 0; st == TAPER_OK && !explicit_dtype && i < r.count; i++) {
        taper_dtype got = (taper_dtype)r.t[i]->dtype, want = low ? TAPER_BF16 : TAPER_F32;
        if (!taper_dtype_is_float(got) || got == want || i > 0) continue;
        fail("under autocast to bfloat16 the result is %s, the class of the row gives %s", taper_dtype_name(got), taper_dtype_name(want));
        goto out;
    }
    if (st == TAPER_OK) st = run_grad(&in, &r, TAPER_DTYPE_NONE, false, weights, d);
    if (st != TAPER_OK) {
        fail("under autocast: %s", taper_error_message());
        goto out;
    }
    for (int i = 0; i < c->ntensors; i++) {
        const char *bad = d[i] ? compare_metas(d[i], in.leaf[i]) : "";
        if (!bad[0]) continue;
        fail("gradient under autocast: %s", bad);
        goto out;
    }
    pass();
out:
    tensors_free(weights, TAPER_MAX_OUTS);
    tensors_free(d, MAX_TENSORS);
    results_free(&r);
    inputs_free(&in);
}
