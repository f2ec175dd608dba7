/* The walk of a reduction over any layout: which way to go through memory, and how the work is cut. The cut and the
 * order of additions depend on shape and strides alone, never on the number of threads. */
#include "ops/reduce.h"

enum {
    REDUCE_PART = 262144, /* elements of one result that are folded by one thread */
    REDUCE_STORE = 256    /* results kept before they are converted and stored */
};

const taper_reduce_loops *taper__reduce_loops(taper_compute compute) {
    return compute == TAPER_COMPUTE_F32   ? TAPER_SIMD_PICK(taper__reduce_f32)
           : compute == TAPER_COMPUTE_F64 ? TAPER_SIMD_PICK(taper__reduce_f64)
                                          : TAPER_SIMD_PICK(taper__reduce_i64);
}

typedef struct reduce_plan {
    const taper_reduction *r;
    const taper_reduce_loops *loops;
    taper_compute compute;
    taper_dtype real, wide, from;
    int nkept, ninner;
    int64_t kept_shape[TAPER_MAX_DIMS], kept_stride[TAPER_MAX_DIMS], inner_shape[TAPER_MAX_DIMS], inner_stride[TAPER_MAX_DIMS];
    int64_t outputs, inner;
    int64_t part, parts;       /* reduced elements in a part (rows, by columns); parts of each result */
    bool by_columns;           /* neighbouring results are neighbours in memory, reduced elements are not */
    int64_t cols, blocks;      /* size of the last kept dim; blocks of TAPER_REDUCE_COLUMNS in it */
    char *partial;             /* [parts][outputs] wide values when there are several parts */
} reduce_plan;

static void reduce_dim(int *n, int64_t *shapes, int64_t *strides, int64_t shape, int64_t stride) {
    if (shape == 1) return;
    if (*n && strides[*n - 1] == stride * shape) { /* one dim in memory */
        shapes[*n - 1] *= shape;
        strides[*n - 1] = stride;
        return;
    }
    shapes[*n] = shape;
    strides[(*n)++] = stride;
}

static void reduce_prepare(reduce_plan *k, const taper_reduction *r) {
    const taper_tensor *in = r->in;
    memset(k, 0, sizeof *k);
    k->r = r;
    k->from = (taper_dtype)in->dtype;
    k->compute = r->dtype == TAPER_F64 ? TAPER_COMPUTE_F64 : taper_dtype_is_float(r->dtype) ? TAPER_COMPUTE_F32 : TAPER_COMPUTE_I64;
    k->loops = taper__reduce_loops(k->compute);
    k->real = k->compute == TAPER_COMPUTE_F32 ? TAPER_F32 : k->compute == TAPER_COMPUTE_F64 ? TAPER_F64 : TAPER_I64;
    k->wide = k->compute == TAPER_COMPUTE_I64 ? TAPER_I64 : TAPER_F64;
    k->outputs = k->inner = 1;
    for (int d = 0; d < in->ndim; d++) {
        bool reduced = r->mask >> d & 1;
        *(reduced ? &k->inner : &k->outputs) *= in->shape[d];
        if (reduced) reduce_dim(&k->ninner, k->inner_shape, k->inner_stride, in->shape[d], in->strides[d]);
        else reduce_dim(&k->nkept, k->kept_shape, k->kept_stride, in->shape[d], in->strides[d]);
    }
    if (!k->ninner) {
        k->ninner = 1;
        k->inner_shape[0] = k->inner;
        k->inner_stride[0] = 1;
    }
    /* Runs go along the reduced dim that lies closest in memory. */
    int near = k->ninner - 1;
    for (int d = 0; d < k->ninner; d++)
        if (k->inner_stride[d] < k->inner_stride[near]) near = d;
    for (int d = near; d < k->ninner - 1; d++) {
        int64_t shape = k->inner_shape[d], stride = k->inner_stride[d];
        k->inner_shape[d] = k->inner_shape[d + 1], k->inner_shape[d + 1] = shape;
        k->inner_stride[d] = k->inner_stride[d + 1], k->inner_stride[d + 1] = stride;
    }
    int last = k->nkept - 1;
    k->by_columns = k->nkept && k->kept_stride[last] < k->inner_stride[k->ninner - 1] && k->kept_shape[last] >= 4;
    k->part = REDUCE_PART;
    if (k->by_columns) {
        k->cols = k->kept_shape[last];
        k->blocks = (k->cols + TAPER_REDUCE_COLUMNS - 1) / TAPER_REDUCE_COLUMNS;
        int64_t width = k->cols < TAPER_REDUCE_COLUMNS ? k->cols : TAPER_REDUCE_COLUMNS;
        k->part = REDUCE_PART / width / TAPER_REDUCE_ROWS * TAPER_REDUCE_ROWS;
    }
    k->parts = k->inner ? (k->inner + k->part - 1) / k->part : 1;
}

/* Folded values of results [at, at + n) become results. */
static void reduce_store(const reduce_plan *k, int64_t at, int64_t n, void *folded) {
    const taper_reduction *r = k->r;
    if (r->folded) memcpy((char *)r->folded + 8 * at, folded, (size_t)n * 8);
    if (!r->out) return;
    double *f = folded;
    for (int64_t i = 0; r->finish && i < n; i++) f[i] = r->finish(f[i], k->inner, r->m ? r->m[at + i] : 0, r->p);
    char *out = (char *)taper__data(r->out) + at * (int64_t)taper_dtype_size((taper_dtype)r->out->dtype);
    taper__convert(out, (taper_dtype)r->out->dtype, 1, folded, k->wide, 1, n);
}

static const char *reduce_place(const reduce_plan *k, int ndim, int64_t output) {
    int64_t at = 0;
    for (int d = ndim - 1; d >= 0; d--) {
        at += output % k->kept_shape[d] * k->kept_stride[d];
        output /= k->kept_shape[d];
    }
    return (const char *)taper__data(k->r->in) + at * (int64_t)taper_dtype_size(k->from);
}

/* Where reduced element `i` is, in elements; *left: how many follow in its run. */
static int64_t reduce_inner(const reduce_plan *k, int64_t i, int64_t *left) {
    int last = k->ninner - 1;
    int64_t at = i % k->inner_shape[last];
    *left = k->inner_shape[last] - at;
    at *= k->inner_stride[last];
    i /= k->inner_shape[last];
    for (int d = last - 1; d >= 0; d--) {
        at += i % k->inner_shape[d] * k->inner_stride[d];
        i /= k->inner_shape[d];
    }
    return at;
}

/* Reduced elements [begin, end) of one result, run by run. */
static void reduce_runs(const reduce_plan *k, const char *base, int64_t begin, int64_t end, double m, void *acc) {
    _Alignas(64) char buffer[TAPER_REDUCE_BLOCK * 8];
    int64_t stride = k->inner_stride[k->ninner - 1], size = (int64_t)taper_dtype_size(k->from), left;
    bool direct = k->from == k->real && stride == 1;
    while (begin < end) {
        const char *p = base + reduce_inner(k, begin, &left) * size;
        int64_t n = left < end - begin ? left : end - begin;
        if (!direct) {
            if (n > TAPER_REDUCE_BLOCK) n = TAPER_REDUCE_BLOCK;
            taper__convert(buffer, k->real, 1, p, k->from, stride, n);
            p = buffer;
        }
        k->loops->run[k->r->kind](acc, p, n, m, k->r->p);
        begin += n;
    }
}

static void reduce_by_runs(void *ctx, int64_t begin, int64_t end) {
    const reduce_plan *k = ctx;
    int64_t folded[REDUCE_STORE], waiting = 0;
    for (int64_t item = begin; item < end; item++) {
        int64_t output = item % k->outputs, part = item / k->outputs, from = part * k->part;
        int64_t to = from + k->part < k->inner ? from + k->part : k->inner;
        void *acc = k->partial ? (void *)(k->partial + 8 * item) : (void *)&folded[waiting++];
        k->loops->first(acc, k->r->kind, 1);
        reduce_runs(k, reduce_place(k, k->nkept, output), from, to, k->r->m ? k->r->m[output] : 0, acc);
        if (!k->partial && (waiting == REDUCE_STORE || item + 1 == end)) {
            reduce_store(k, output + 1 - waiting, waiting, folded);
            waiting = 0;
        }
    }
}

/* Rows [begin, end) of reduced elements, `cols` neighbouring results at a time. */
static void reduce_rows(const reduce_plan *k, const char *base, int cols, int64_t begin, int64_t end, const void *m, void *acc) {
    _Alignas(64) char buffer[TAPER_REDUCE_ROWS * TAPER_REDUCE_COLUMNS * 8];
    int64_t size = (int64_t)taper_dtype_size(k->from), left, real = (int64_t)taper_dtype_size(k->real);
    int64_t pitch = k->inner_stride[k->ninner - 1], stride = k->kept_stride[k->nkept - 1];
    bool direct = k->from == k->real && stride == 1;
    while (begin < end) {
        const char *p = base + reduce_inner(k, begin, &left) * size;
        int64_t n = left < end - begin ? left : end - begin, rows = pitch;
        if (!direct) {
            if (n > TAPER_REDUCE_ROWS) n = TAPER_REDUCE_ROWS;
            for (int64_t i = 0; i < n; i++)
                taper__convert(buffer + i * TAPER_REDUCE_COLUMNS * real, k->real, 1, p + i * pitch * size, k->from, stride, cols);
            p = buffer;
            rows = TAPER_REDUCE_COLUMNS;
        }
        k->loops->columns[k->r->kind](acc, p, n, rows, cols, m, k->r->p);
        begin += n;
    }
}

static void reduce_by_columns(void *ctx, int64_t begin, int64_t end) {
    const reduce_plan *k = ctx;
    int64_t folded[TAPER_REDUCE_COLUMNS], m[TAPER_REDUCE_COLUMNS] = {0}, size = (int64_t)taper_dtype_size(k->from);
    for (int64_t item = begin; item < end; item++) {
        int64_t block = item % k->blocks, outer = item / k->blocks % (k->outputs / k->cols), part = item / k->blocks / (k->outputs / k->cols);
        int64_t col = block * TAPER_REDUCE_COLUMNS, output = outer * k->cols + col, from = part * k->part;
        int64_t to = from + k->part < k->inner ? from + k->part : k->inner;
        int cols = (int)(k->cols - col < TAPER_REDUCE_COLUMNS ? k->cols - col : TAPER_REDUCE_COLUMNS);
        void *acc = k->partial ? (void *)(k->partial + 8 * (part * k->outputs + output)) : (void *)folded;
        if (k->r->m) taper__convert(m, k->real, 1, k->r->m + output, TAPER_F64, 1, cols);
        k->loops->first(acc, k->r->kind, cols);
        reduce_rows(k, reduce_place(k, k->nkept - 1, outer) + col * k->kept_stride[k->nkept - 1] * size, cols, from, to, m, acc);
        if (!k->partial) reduce_store(k, output, cols, folded);
    }
}

taper_status taper__reduce(const taper_reduction *r, const char *op) {
    reduce_plan k;
    reduce_prepare(&k, r);
    if (!k.outputs) return TAPER_OK;
    if (k.parts > 1) {
        k.partial = taper__alloc((size_t)(k.parts * k.outputs) * 8);
        if (!k.partial) return TAPER_FAIL(TAPER_MEMORY, "%s: no memory for %lld partial results", op, (long long)(k.parts * k.outputs));
    }
    int64_t each = k.inner < k.part ? k.inner : k.part; /* elements behind one item of work */
    if (k.by_columns) {
        each *= k.cols < TAPER_REDUCE_COLUMNS ? k.cols : TAPER_REDUCE_COLUMNS;
        taper__parallel_for(k.outputs / k.cols * k.blocks * k.parts, 1 + 32768 / (each + 1), reduce_by_columns, &k);
    } else {
        taper__parallel_for(k.outputs * k.parts, 1 + 32768 / (each + 1), reduce_by_runs, &k);
    }
    if (!k.partial) return TAPER_OK;
    for (int64_t part = 1; part < k.parts; part++) k.loops->join(k.partial, k.partial + 8 * part * k.outputs, r->kind, k.outputs);
    reduce_store(&k, 0, k.outputs, k.partial);
    taper__free(k.partial);
    return TAPER_OK;
}
