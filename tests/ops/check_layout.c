/* strided: arguments seen through transposed, sliced and expanded windows give what contiguous ones give, forward and
 * backward, and nothing outside a window is touched. */
#include "driver.h"

static const char *const layout_names[] = {"plain", "transposed", "sliced", "expanded", "mixed"};

static void strided_case(const test_case *c, taper_dtype dtype, layout how) {
    bool repeat = how == LAYOUT_EXPANDED;
    setup strided = {.dtype = dtype, .layout = how}, plain = {.dtype = dtype, .repeat = repeat};
    inputs a = {0}, b = {0};
    results ra = {0}, rb = {0};
    taper_tensor *da[MAX_TENSORS] = {NULL}, *db[MAX_TENSORS] = {NULL};
    const char *bad = "";
    taper_status st = inputs_make(&b, c, &plain);
    if (st == TAPER_OK) st = run_op(c->row, &b, &rb);
    if (st != TAPER_OK) {
        if (st == TAPER_NOT_IMPLEMENTED && dtype != TAPER_F32) skip(taper_error_message());
        else fail("contiguous: %s", taper_error_message());
        goto out;
    }
    st = inputs_make(&a, c, &strided);
    if (st == TAPER_OK) st = run_op(c->row, &a, &ra);
    if (st != TAPER_OK) {
        const char *message = taper_error_message();
        if (strstr(message, "contiguous()") || strstr(message, ".reshape(")) skip(message); /* refused, with the cure */
        else fail("%s: %s", layout_names[how], message);
        goto out;
    }
    for (int i = 0; i < ra.count && i < rb.count && !bad[0]; i++) {
        bad = compare_metas(ra.t[i], rb.t[i]);
        if (!bad[0] && !case_is_random(c)) bad = compare_tensors(ra.t[i], rb.t[i], tolerance(c, dtype, false), false);
    }
    if (bad[0] || ra.count != rb.count) {
        fail("%s against contiguous: %s", layout_names[how], bad);
        goto out;
    }
    uint32_t modifies = 0; /* known to infer only: an argument that changed in the contiguous run may change here */
    for (int k = 0; k < c->nargs; k++)
        for (int i = c->args[k].first; i < c->args[k].first + c->args[k].count; i++)
            if (b.leaf[i] && taper_tensor_version(b.leaf[i]) > 1) modifies |= 1u << k;
    int touched = inputs_touched(&a, modifies);
    if (touched >= 0) {
        fail("%s: the call wrote to tensor %d where it must not", layout_names[how], touched);
        goto out;
    }
    for (int i = 0; i < c->ntensors && !bad[0]; i++)
        if (a.leaf[i] && !case_is_random(c)) bad = compare_tensors(a.leaf[i], b.leaf[i], tolerance(c, dtype, false), false);
    if (bad[0]) {
        fail("%s: a written argument: %s", layout_names[how], bad);
        goto out;
    }
    if (c->row->gradient == TAPER_GRADIENT_NONDIFF || c->sample->no_grad_check || case_is_random(c)) {
        pass();
        goto out;
    }
    inputs_free(&a);
    inputs_free(&b);
    strided.grad = plain.grad = true;
    st = inputs_make(&a, c, &strided);
    if (st == TAPER_OK) st = run_all_grad(c->row, &a, TAPER_DTYPE_NONE, da);
    if (st == TAPER_OK) st = inputs_make(&b, c, &plain);
    if (st == TAPER_OK) st = run_all_grad(c->row, &b, TAPER_DTYPE_NONE, db);
    for (int i = 0; st == TAPER_OK && i < c->ntensors && !bad[0]; i++) {
        if (!da[i] != !db[i])
            bad = "a gradient arrives in one layout only";
        else if (da[i])
            bad = compare_tensors(da[i], db[i], tolerance(c, dtype, true), false);
    }
    if (st != TAPER_OK)
        fail("gradient, %s: %s", layout_names[how], taper_error_message());
    else if (bad[0])
        fail("gradient, %s against contiguous: %s", layout_names[how], bad);
    else
        pass();
out:
    tensors_free(da, MAX_TENSORS);
    tensors_free(db, MAX_TENSORS);
    results_free(&ra);
    results_free(&rb);
    inputs_free(&a);
    inputs_free(&b);
}

void check_strided(const test_case *c) {
    char mode[40] = "strided ";
    if (!c->ntensors || c->sample->strides_matter) return;
    for (layout how = LAYOUT_TRANSPOSED; how < LAYOUT_COUNT; how++) {
        strcpy(mode + 8, layout_names[how]);
        if (begin(c, "f32", "cpu", mode)) strided_case(c, TAPER_F32, how);
        if (c->runs_in_dtypes && how == LAYOUT_MIXED && begin(c, "bf16", "cpu", mode)) strided_case(c, TAPER_BF16, how);
    }
}
