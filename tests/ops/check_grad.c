/* grad: in float64 against central differences, with random weights on the results; in the other dtypes against float64.
 * gradgrad: the gradient of the gradient, with respect to the inputs and to the weights, against differences of the gradient. */
#include <math.h>
#include <stdlib.h>

#include "driver.h"

enum { GRAD_ELEMENTS = 48 };

/* Inputs in float64 with one value moved; the caller sets it back. */
typedef struct grad_point {
    const test_case *c;
    taper_tensor *weights[TAPER_MAX_OUTS]; /* of the results that carry a gradient, in order */
    uint32_t roots;                        /* which results those are */
} grad_point;

/* sum(weights * results) at the present values. */
static taper_status grad_value(const grad_point *p, double *out) {
    setup s = {.dtype = TAPER_F64};
    inputs in;
    results r = {0};
    TAPER_TRY(inputs_make(&in, p->c, &s));
    taper_status st = run_op(p->c->row, &in, &r);
    *out = 0;
    for (int i = 0, k = 0; st == TAPER_OK && i < r.count; i++) {
        if (!(p->roots >> i & 1)) continue;
        double *a = values_of(r.t[i]), *w = values_of(p->weights[k++]);
        for (int64_t j = 0; j < r.t[i]->numel; j++) *out += a[j] * w[j];
        free(a);
        free(w);
    }
    results_free(&r);
    inputs_free(&in);
    return st;
}

/* Values that a tensor of the case has: all, or a fixed choice of some. */
static int64_t grad_pick(int64_t n, int64_t k) { return n <= GRAD_ELEMENTS ? k : (k * 7919 + 13) % n; }

static bool grad_can_check(const test_case *c, int i, taper_dtype run) {
    const tensor_spec *t = &c->tensors[i];
    return spec_wants_grad(c, t, run) && spec_dtype(t, run) == TAPER_F64;
}

/* d, the gradients found, against differences; all zero where NULL. */
static bool grad_against_numbers(const test_case *c, grad_point *p, taper_tensor **d, double tol) {
    for (int i = 0; i < c->ntensors; i++) {
        tensor_spec *t = (tensor_spec *)&c->tensors[i];
        if (!grad_can_check(c, i, TAPER_F64)) continue;
        double *have = d[i] ? values_of(d[i]) : NULL, floor = 0;
        for (int64_t k = 0; have && k < t->numel; k++) floor += have[k] * have[k];
        floor = have && t->numel ? sqrt(floor / (double)t->numel) : 0;
        for (int64_t k = 0; k < t->numel && k < GRAD_ELEMENTS; k++) {
            int64_t at = grad_pick(t->numel, k);
            double kept = t->values[at], h = 1e-5 * (1 + fabs(kept)), up = 0, down = 0;
            t->values[at] = kept + h;
            taper_status st = grad_value(p, &up);
            t->values[at] = kept - h;
            if (st == TAPER_OK) st = grad_value(p, &down);
            t->values[at] = kept;
            if (st != TAPER_OK) {
                fail("a call near the sample's values: %s", taper_error_message());
                free(have);
                return false;
            }
            double want = (up - down) / (2 * h), got = have ? have[at] : 0;
            if (fabs(got - want) <= tol * (fabs(want) + floor + 0.1) || (isnan(got) && isnan(want))) continue;
            fail("gradient of %s, element %lld of %s: got %.9g, differences give %.9g%s", c->schema->args[0].name ? "tensor" : "", (long long)at,
                 taper__shape_text(t->ndim, t->shape).s, got, want, d[i] ? "" : " (no gradient arrived)");
            free(have);
            return false;
        }
        free(have);
    }
    return true;
}

static void grad_numeric(const test_case *c) {
    setup s = {.dtype = TAPER_F64, .grad = true};
    inputs in = {0};
    results r = {0};
    grad_point p = {.c = c};
    taper_tensor *d[MAX_TENSORS] = {NULL};
    taper_status st = inputs_make(&in, c, &s);
    if (st == TAPER_OK) st = run_op(c->row, &in, &r);
    if (st == TAPER_OK) st = run_grad(&in, &r, TAPER_DTYPE_NONE, false, p.weights, d);
    if (st != TAPER_OK) {
        fail("%s: %s", taper_status_name(st), taper_error_message());
        goto out;
    }
    for (int i = 0; i < r.count; i++) p.roots |= (uint32_t)taper_requires_grad(r.t[i]) << i;
    for (int i = 0; i < r.count; i++)
        if ((p.roots >> i & 1) && r.t[i]->dtype != TAPER_F64) {
            skip("the result is too coarse for differences");
            goto out;
        }
    if (!p.roots && c->row->gradient == TAPER_GRADIENT_DIFF) {
        fail("the row says DIFF, yet no result requires a gradient");
        goto out;
    }
    bool free_of_inputs = !p.roots; /* zeros_like: the values must not depend on the inputs */
    for (int i = 0, k = 0; free_of_inputs && i < r.count; i++)
        if (r.t[i]->dtype == TAPER_F64) {
            p.weights[k++] = random_like(r.t[i], TAPER_DTYPE_NONE, 5);
            p.roots |= 1u << i;
        }
    for (int i = 0; i < c->ntensors; i++) {
        const char *bad = d[i] ? compare_metas(d[i], in.leaf[i]) : "";
        if (bad[0]) {
            fail("gradient %d: %s", i, bad);
            goto out;
        }
    }
    double tol = c->sample->tolerance > 1e-5 ? c->sample->tolerance : 1e-6;
    if (grad_against_numbers(c, &p, d, tol < 1e-6 ? 1e-6 : tol)) pass();
out:
    tensors_free(p.weights, TAPER_MAX_OUTS);
    tensors_free(d, MAX_TENSORS);
    results_free(&r);
    inputs_free(&in);
}

static void grad_against_f64(const test_case *c, taper_dtype dtype) {
    setup low = {.dtype = dtype, .grad = true}, wide = {.dtype = TAPER_F64, .rounded = dtype, .grad = true};
    inputs a = {0}, b = {0};
    taper_tensor *da[MAX_TENSORS] = {NULL}, *db[MAX_TENSORS] = {NULL};
    taper_status st = inputs_make(&a, c, &low);
    if (st == TAPER_OK) st = run_all_grad(c->row, &a, dtype, da);
    if (st == TAPER_NOT_IMPLEMENTED && dtype != TAPER_F32) {
        skip(taper_error_message());
        goto out;
    }
    if (st == TAPER_OK) st = inputs_make(&b, c, &wide);
    if (st == TAPER_OK) st = run_all_grad(c->row, &b, dtype, db);
    if (st != TAPER_OK) {
        fail("%s: %s", taper_status_name(st), taper_error_message());
        goto out;
    }
    for (int i = 0; i < c->ntensors; i++) {
        const char *bad = "";
        if (!da[i] != !db[i]) {
            fail("gradient %d arrives in one dtype only", i);
            goto out;
        }
        if (da[i]) bad = compare_metas(da[i], a.leaf[i]);
        if (da[i] && !bad[0] && !c->sample->no_grad_check) bad = compare_tensors(da[i], db[i], tolerance(c, dtype, true), false);
        if (bad[0]) {
            fail("gradient %d against float64: %s", i, bad);
            goto out;
        }
    }
    pass();
out:
    tensors_free(da, MAX_TENSORS);
    tensors_free(db, MAX_TENSORS);
    inputs_free(&a);
    inputs_free(&b);
}

static bool grad_any(const test_case *c) {
    for (int i = 0; i < c->ntensors; i++)
        if (spec_wants_grad(c, &c->tensors[i], TAPER_F64)) return true;
    return false;
}

void check_grad(const test_case *c) {
    static const taper_dtype dtypes[] = {TAPER_F32, TAPER_F16, TAPER_BF16};
    if (c->row->gradient == TAPER_GRADIENT_NONDIFF || !grad_any(c)) return;
    bool numeric = false;
    for (int i = 0; i < c->ntensors; i++) numeric = numeric || grad_can_check(c, i, TAPER_F64);
    if (numeric && !c->sample->no_grad_check && begin(c, "f64", "cpu", "grad")) grad_numeric(c);
    for (int i = 0; i < (c->runs_in_dtypes ? TAPER_COUNT(dtypes) : 1); i++)
        if (begin(c, dtype_short(dtypes[i]), "cpu", "grad")) grad_against_f64(c, dtypes[i]);
}

/* ---- second derivatives ---- */

typedef struct second_point {
    const test_case *c;
    taper_tensor *weights[TAPER_MAX_OUTS]; /* of the results */
    double *shift[TAPER_MAX_OUTS];         /* values of the weights, moved in the differences */
    taper_tensor *v[MAX_TENSORS];          /* of the gradients */
} second_point;

/* sum(v * gradient) at the present inputs and weights. */
static taper_status second_value(second_point *p, double *out) {
    setup s = {.dtype = TAPER_F64, .grad = true};
    inputs in;
    taper_tensor *d[MAX_TENSORS] = {NULL};
    taper_status st = TAPER_OK;
    for (int i = 0; i < TAPER_MAX_OUTS; i++)
        if (p->weights[i]) TAPER_TRY(taper_tensor_write(p->weights[i], p->shift[i], (size_t)p->weights[i]->numel * 8));
    TAPER_TRY(inputs_make(&in, p->c, &s));
    results r = {0};
    *out = 0;
    TAPER_TRY_GOTO(run_op(p->c->row, &in, &r));
    TAPER_TRY_GOTO(run_grad(&in, &r, TAPER_DTYPE_NONE, false, p->weights, d));
    for (int i = 0; i < p->c->ntensors; i++) {
        if (!d[i] || !p->v[i]) continue;
        double *a = values_of(d[i]), *b = values_of(p->v[i]);
        for (int64_t k = 0; k < d[i]->numel; k++) *out += a[k] * b[k];
        free(a);
        free(b);
    }
out:
    tensors_free(d, MAX_TENSORS);
    results_free(&r);
    inputs_free(&in);
    return st;
}

static bool second_compare(second_point *p, double *values, int64_t n, const taper_tensor *got, const char *what, double tol) {
    double *have = got ? values_of(got) : NULL, floor = 0;
    bool ok = true;
    for (int64_t k = 0; have && k < n; k++) floor += have[k] * have[k];
    floor = have && n ? sqrt(floor / (double)n) : 0;
    for (int64_t k = 0; ok && k < n && k < GRAD_ELEMENTS / 2; k++) {
        int64_t at = grad_pick(n, k);
        double kept = values[at], h = 1e-5 * (1 + fabs(kept)), up = 0, down = 0;
        values[at] = kept + h;
        taper_status st = second_value(p, &up);
        values[at] = kept - h;
        if (st == TAPER_OK) st = second_value(p, &down);
        values[at] = kept;
        double want = (up - down) / (2 * h), g = have ? have[at] : 0;
        if (st != TAPER_OK) {
            fail("the gradient near the sample's values: %s", taper_error_message());
            ok = false;
        } else if (!(fabs(g - want) <= tol * (fabs(want) + floor + 0.1)) && !(isnan(g) && isnan(want))) {
            fail("second derivative, %s element %lld: got %.9g, differences give %.9g%s", what, (long long)at, g, want,
                 got ? "" : " (the gradient has no history)");
            ok = false;
        }
    }
    free(have);
    return ok;
}

void check_gradgrad(const test_case *c) {
    setup s = {.dtype = TAPER_F64, .grad = true};
    inputs in = {0};
    results r = {0};
    second_point p = {.c = c};
    taper_tensor *d[MAX_TENSORS] = {NULL}, *roots[MAX_TENSORS], *weights[MAX_TENSORS], *wrt[MAX_TENSORS + TAPER_MAX_OUTS],
                 *second[MAX_TENSORS + TAPER_MAX_OUTS] = {NULL};
    int nroots = 0, nwrt = 0, tensor_of[MAX_TENSORS];
    bool numeric = false;
    for (int i = 0; i < c->ntensors; i++) numeric = numeric || grad_can_check(c, i, TAPER_F64);
    if (c->row->gradient == TAPER_GRADIENT_NONDIFF || c->sample->no_grad_check || !numeric) return;
    if (!begin(c, "f64", "cpu", "gradgrad")) return;
    taper_status st = TAPER_OK;
    TAPER_TRY_GOTO(inputs_make(&in, c, &s));
    TAPER_TRY_GOTO(run_op(c->row, &in, &r));
    for (int i = 0, k = 0; i < r.count; i++) {
        if (!taper_requires_grad(r.t[i])) continue;
        if (r.t[i]->dtype != TAPER_F64) {
            skip("the result is too coarse for differences");
            goto clean;
        }
        p.weights[k] = random_like(r.t[i], TAPER_DTYPE_NONE, 77 + (uint64_t)i);
        p.shift[k] = values_of(p.weights[k]);
        TAPER_TRY_GOTO(taper_set_requires_grad(p.weights[k], true));
        k++;
    }
    TAPER_TRY_GOTO(run_grad(&in, &r, TAPER_DTYPE_NONE, true, p.weights, d));
    for (int i = 0; i < c->ntensors; i++) {
        if (!d[i]) continue;
        p.v[i] = random_like(d[i], TAPER_DTYPE_NONE, 991 + (uint64_t)i);
        if (!taper_requires_grad(d[i])) continue;
        roots[nroots] = d[i];
        weights[nroots++] = p.v[i];
    }
    for (int i = 0; i < c->ntensors; i++)
        if (in.leaf[i] && grad_can_check(c, i, TAPER_F64)) {
            tensor_of[nwrt] = i;
            wrt[nwrt++] = in.leaf[i];
        }
    int ninputs = nwrt;
    for (int i = 0; i < TAPER_MAX_OUTS && p.weights[i]; i++) wrt[nwrt++] = p.weights[i];
    if (nroots) TAPER_TRY_GOTO(taper_gradients(second, roots, weights, nroots, wrt, nwrt, false, false, true));
    /* The walk is over: weights become plain numbers to move. */
    for (int i = 0; i < TAPER_MAX_OUTS && p.weights[i]; i++) TAPER_TRY_GOTO(taper_set_requires_grad(p.weights[i], false));
    double tol = c->sample->tolerance > 1e-5 ? c->sample->tolerance : 1e-5;
    bool ok = true;
    for (int i = 0; ok && i < ninputs; i++) {
        const tensor_spec *t = &c->tensors[tensor_of[i]];
        ok = second_compare(&p, t->values, t->numel, second[i], "input", tol);
    }
    for (int i = 0; ok && i < TAPER_MAX_OUTS && p.weights[i]; i++)
        ok = second_compare(&p, p.shift[i], p.weights[i]->numel, second[ninputs + i], "weight", tol);
    if (ok) pass();
    goto clean;
out:
    if (st == TAPER_NOT_IMPLEMENTED)
        skip(taper_error_message());
    else
        fail("%s: %s", taper_status_name(st), taper_error_message());
clean:
    tensors_free(second, MAX_TENSORS + TAPER_MAX_OUTS);
    tensors_free(d, MAX_TENSORS);
    tensors_free(p.v, MAX_TENSORS);
    tensors_free(p.weights, TAPER_MAX_OUTS);
    for (int i = 0; i < TAPER_MAX_OUTS; i++) free(p.shift[i]);
    results_free(&r);
    inputs_free(&in);
}
