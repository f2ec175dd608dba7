/* What the kernels that make numbers get, and the index arithmetic they share with C. */
#ifndef TAPER_OPS_RANGE_ARGS_H
#define TAPER_OPS_RANGE_ARGS_H

#include <stdint.h>

#ifdef __CUDACC__
#define RANGE_FN static __device__ __forceinline__
#else
#define RANGE_FN static inline
#endif

typedef enum taper_range_what { TAPER_RANGE_ARANGE, TAPER_RANGE_LINSPACE, TAPER_RANGE_LOGSPACE, TAPER_RANGE_REFLECT, TAPER_RANGE_REPLICATE, TAPER_RANGE_CIRCULAR, TAPER_RANGE_TRIANGLE } taper_range_what;

typedef struct taper_range_args {
    void *out;
    int64_t n; /* elements of out */
    double start, end, step, base;
    int64_t istart, istep;
    int64_t size, left;              /* paddings: the padded dim, how far before it out begins */
    int64_t row, col, offset, count; /* triangles: the matrix, its diagonal, the elements kept */
    int upper, what, dtype;
} taper_range_args;

/* Where element i of a padded dim of n elements comes from. */
RANGE_FN int64_t taper__range_pad(int what, int64_t i, int64_t n) {
    if (what == TAPER_RANGE_REPLICATE) return i < 0 ? 0 : i >= n ? n - 1 : i;
    if (what == TAPER_RANGE_CIRCULAR) return i < 0 ? i + n : i >= n ? i - n : i;
    if (i < 0) i = -i;
    return i >= n ? 2 * (n - 1) - i : i;
}

/* Elements on and below the diagonal `offset` in the first r rows of a matrix with col columns; offset in [-r, col]. */
RANGE_FN int64_t taper__range_lower(int64_t r, int64_t col, int64_t offset) {
    const int64_t first = offset < 0 ? -offset : 0;      /* the first row that has one */
    const int64_t full = col - offset - 1;               /* from this row on all are kept */
    int64_t grow = (r < full ? r : full) - first;        /* rows with offset + row + 1 elements */
    if (r <= first || col <= 0) return 0;
    if (grow < 0) grow = 0;
    return grow * (first + offset + 1) + grow * (grow - 1) / 2 + (r - first - grow) * col;
}
/* Elements kept in the first r rows: on and below the diagonal, or on and above it. */
RANGE_FN int64_t taper__range_triangle(int64_t r, int64_t col, int64_t offset, int upper) {
    return upper ? r * col - taper__range_lower(r, col, offset - 1) : taper__range_lower(r, col, offset);
}
/* The row of kept element e of row rows. */
RANGE_FN int64_t taper__range_row(int64_t e, int64_t row, int64_t col, int64_t offset, int upper) {
    int64_t low = 0, high = row; /* triangle(low) <= e < triangle(high) */
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (taper__range_triangle(middle, col, offset, upper) <= e) low = middle;
        else high = middle;
    }
    return low;
}

#endif
