/* Judging results: magnitudes, tolerances by dtype, words for what differs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver.h"

static char compare_words[1200];

double *values_of(const taper_tensor *t) {
    size_t e = taper_dtype_size((taper_dtype)t->dtype), n = (size_t)t->numel;
    char *bytes = malloc(n * e + 1);
    double *v = malloc(n * sizeof *v + 1);
    if (taper_tensor_read(t, bytes, n * e) != TAPER_OK) {
        free(bytes);
        free(v);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) v[i] = taper__load_double(bytes + i * e, (taper_dtype)t->dtype);
    free(bytes);
    return v;
}

/* Half types carry the rounding of their format whatever the operator does; the sample's own tolerance is for float32. */
double tolerance(const test_case *c, taper_dtype dtype, bool gradient) {
    double given = c->sample->tolerance ? c->sample->tolerance : 1e-5;
    double worse = (gradient ? 4 : 1) * (c->row->gradient == TAPER_GRADIENT_COMPOSITE ? 2 : 1);
    if (dtype == TAPER_F64) return given * 1e-5 * worse;
    if (dtype == TAPER_F16) return (2e-3 + 10 * given) * worse;
    if (dtype == TAPER_BF16) return (1.6e-2 + 10 * given) * worse;
    return given * worse;
}

static const char *compare_place(const taper_tensor *t, int64_t i) {
    static char text[200];
    size_t at = 0;
    int64_t index[TAPER_MAX_DIMS];
    for (int d = t->ndim - 1; d >= 0; d--) {
        index[d] = i % t->shape[d];
        i /= t->shape[d];
    }
    text[at++] = '[';
    for (int d = 0; d < t->ndim; d++) at += (size_t)snprintf(text + at, sizeof text - at, d ? ",%lld" : "%lld", (long long)index[d]);
    snprintf(text + at, sizeof text - at, "]");
    return text;
}

const char *compare_metas(const taper_tensor *got, const taper_tensor *want) {
    compare_words[0] = 0;
    bool shape = got->ndim == want->ndim && !memcmp(got->shape, want->shape, sizeof(int64_t) * got->ndim);
    if (!shape || got->dtype != want->dtype) snprintf(compare_words, sizeof compare_words, "got %s, want %s", TAPER_TEXT(got), TAPER_TEXT(want));
    return compare_words;
}

const char *compare_tensors(const taper_tensor *got, const taper_tensor *want, double tol, bool exact) {
    compare_words[0] = 0;
    if (got->ndim != want->ndim || memcmp(got->shape, want->shape, sizeof(int64_t) * got->ndim)) return compare_metas(got, want);
    double *a = values_of(got), *b = values_of(want), square = 0, worst = 0;
    int64_t n = got->numel, bad = -1, finite = 0, count = 0;
    if (!a || !b) {
        snprintf(compare_words, sizeof compare_words, "cannot read the result: %s", taper_error_message());
        goto out;
    }
    taper_dtype d = (taper_dtype)got->dtype;
    for (int64_t i = 0; i < n; i++) {
        if (taper_dtype_is_float(d) && !exact) { /* what the reference is in the format of the result */
            uint64_t cell = 0;
            double r;
            taper__store_double(&cell, d, b[i]);
            r = taper__load_double(&cell, d);
            if (isinf(r) || isinf(a[i])) b[i] = r;
        }
        if (isfinite(b[i])) {
            square += b[i] * b[i];
            finite++;
        }
    }
    double floor = finite ? sqrt(square / (double)finite) : 0;
    if (floor < 1e-3) floor = 1e-3;
    if (!taper_dtype_is_float(d)) exact = true;
    for (int64_t i = 0; i < n; i++) {
        bool same = a[i] == b[i] || (isnan(a[i]) && isnan(b[i]));
        if (same && exact && a[i] == 0 && signbit(a[i]) != signbit(b[i])) same = false;
        if (same) continue;
        double error = fabs(a[i] - b[i]) / (fabs(b[i]) + floor);
        if (!exact && error <= tol) continue;
        count++;
        if (bad < 0 || error > worst || isnan(error)) {
            bad = i;
            worst = error;
        }
    }
    if (bad >= 0)
        snprintf(compare_words, sizeof compare_words, "%s at %s: got %.9g, want %.9g (relative error %.2g, allowed %.2g; %lld of %lld differ)",
                 TAPER_TEXT(got), compare_place(got, bad), a[bad], b[bad], worst, exact ? 0 : tol, (long long)count, (long long)n);
out:
    free(a);
    free(b);
    return compare_words;
}
