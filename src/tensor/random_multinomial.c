/* Categories drawn with given probabilities, by PyTorch's rules.
 *
 * Several with replacement: a 53-bit uniform is looked up in the running sum of the row, summed and divided in the
 * row's own precision (f16 and bf16: in f32). One, or without replacement: the largest p / q win, largest first, q
 * exponential in the row's dtype, drawn for the whole matrix (Efraimidis and Spirakis 2006,
 * doi:10.1016/j.ipl.2005.11.003). Equal p / q rank by index; PyTorch leaves their order to its topk, which shows only
 * for f16 and bf16.
 */
#include <math.h>
#include <stdlib.h>

#include "base/base.h"
#include "tensor/random_fill.h"
#include "tensor/random_half.h"

typedef struct multinomial_pick {
    double value;
    int64_t index;
} multinomial_pick;

static double multinomial_load(taper_dtype dtype, const void *p, int64_t i) {
    if (dtype == TAPER_F32) return ((const float *)p)[i];
    if (dtype == TAPER_F64) return ((const double *)p)[i];
    return random_load16(dtype, ((const uint16_t *)p)[i]);
}

static taper_status multinomial_check(taper_dtype dtype, const void *p, int64_t rows, int64_t classes) {
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < classes; c++) {
            double v = multinomial_load(dtype, p, r * classes + c);
            if (!(v >= 0 && v <= 0x1.fffffffffffffp1023))
                return TAPER_FAIL(
                    TAPER_RUNTIME,
                    "multinomial: probability tensor contains either `inf`, `nan` or element < 0, got %g in "
                    "row %lld, category %lld",
                    v, (long long)r, (long long)c);
            sum += v;
        }
        if (!(sum > 0))
            return TAPER_FAIL(TAPER_RUNTIME,
                              "multinomial: invalid multinomial distribution (sum of probabilities <= 0), row %lld",
                              (long long)r);
    }
    return TAPER_OK;
}

/* First category whose running sum reaches u; the last sum counts as 1. */
static int64_t multinomial_find(const double *sums, int64_t classes, double u) {
    int64_t low = 0, high = classes;
    while (low < high) {
        int64_t mid = low + (high - low) / 2;
        if ((mid == classes - 1 ? 1.0 : sums[mid]) < u) low = mid + 1;
        else high = mid;
    }
    return low;
}

/* sums[classes]: scratch. */
static void multinomial_with(taper_generator *g, int64_t *out, taper_dtype dtype, const void *p, int64_t rows,
                             int64_t classes, int64_t samples, double *sums) {
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < classes; c++) {
            sum += multinomial_load(dtype, p, r * classes + c);
            if (dtype != TAPER_F64) sum = (float)sum;
            sums[c] = sum;
        }
        for (int64_t c = 0; c < classes; c++)
            sums[c] = dtype == TAPER_F64 ? sums[c] / sum : (float)sums[c] / (float)sum;
        for (int64_t s = 0; s < samples; s++) {
            uint32_t w[2];
            taper__mt_fill(&g->engine, w, 2);
            uint64_t draw = (uint64_t)(w[0] & 0x1fffffu) << 32 | w[1];
            out[r * samples + s] = multinomial_find(sums, classes, (double)draw * 0x1p-53);
        }
    }
}

/* True when a ranks below b: smaller, or equal and later. */
static bool multinomial_less(multinomial_pick a, multinomial_pick b) {
    return a.value < b.value || (a.value == b.value && a.index > b.index);
}

static int multinomial_descending(const void *a, const void *b) {
    multinomial_pick x = *(const multinomial_pick *)a, y = *(const multinomial_pick *)b;
    return multinomial_less(x, y) ? 1 : -1;
}

/* Lets the root of a heap with the lowest pick on top sink to its place. */
static void multinomial_sink(multinomial_pick *heap, int64_t n) {
    for (int64_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && multinomial_less(heap[child + 1], heap[child])) child++;
        if (!multinomial_less(heap[child], heap[i])) return;
        multinomial_pick keep = heap[i];
        heap[i] = heap[child];
        heap[child] = keep;
    }
}

static void multinomial_rise(multinomial_pick *heap, int64_t i) {
    for (int64_t up; i > 0 && multinomial_less(heap[i], heap[up = (i - 1) / 2]); i = up) {
        multinomial_pick keep = heap[i];
        heap[i] = heap[up];
        heap[up] = keep;
    }
}

/* p / q in the precision of dtype. q: one row of exponentials. */
static double multinomial_race(taper_dtype dtype, double p, const void *q, int64_t i) {
    double e = multinomial_load(dtype, q, i);
    if (dtype == TAPER_F64) return p / e;
    float v = (float)p / (float)e;
    return dtype == TAPER_F32 ? v : random_round16(dtype, v);
}

/* q[classes] of dtype and heap[samples]: scratch. */
static void multinomial_without(taper_generator *g, int64_t *out, taper_dtype dtype, const void *p, int64_t rows,
                                int64_t classes, int64_t samples, void *q, multinomial_pick *heap) {
    bool mkl = taper__random_mkl();
    uint32_t seed = mkl ? taper__random_congruential_seed(g, dtype) : 0;
    for (int64_t r = 0; r < rows; r++) {
        if (mkl) taper__random_congruential_exponential(seed, r * classes, dtype, q, classes, 1);
        else taper__random_exponential_locked(g, dtype, q, classes, 1);
        for (int64_t c = 0; c < classes; c++) {
            multinomial_pick pick = {multinomial_race(dtype, multinomial_load(dtype, p, r * classes + c), q, c), c};
            if (c < samples) {
                heap[c] = pick;
                multinomial_rise(heap, c);
            } else if (multinomial_less(heap[0], pick)) {
                heap[0] = pick;
                multinomial_sink(heap, samples);
            }
        }
        qsort(heap, (size_t)samples, sizeof *heap, multinomial_descending);
        for (int64_t s = 0; s < samples; s++) out[r * samples + s] = heap[s].index;
    }
}

taper_status taper__random_multinomial(taper_generator *g, int64_t *out, taper_dtype dtype, const void *p, int64_t rows,
                                       int64_t classes, int64_t samples, bool replacement) {
    replacement &= samples > 1;
    TAPER_TRY(multinomial_check(dtype, p, rows, classes));
    size_t picks = replacement ? 0 : (size_t)samples * sizeof(multinomial_pick);
    char *scratch = taper__alloc(picks + (size_t)classes * sizeof(double));
    if (!scratch)
        return TAPER_FAIL(TAPER_MEMORY, "multinomial: no memory for %lld categories, %lld samples", (long long)classes,
                          (long long)samples);
    g = taper__generator_lock(g);
    if (replacement) multinomial_with(g, out, dtype, p, rows, classes, samples, (double *)scratch);
    else multinomial_without(g, out, dtype, p, rows, classes, samples, scratch + picks, (multinomial_pick *)scratch);
    taper__generator_unlock(g);
    taper__free(scratch);
    return TAPER_OK;
}
