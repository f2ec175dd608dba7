/* Launches of running sums and products, and of medians. */
#include "ops/scan_cuda.h"

#define SCAN_ROW(type) \
    {TAPER_CUDA_KERNEL("scan", "scan_lanes_" type), TAPER_CUDA_KERNEL("scan", "scan_columns_" type), TAPER_CUDA_KERNEL("scan", "scan_columns4_" type)}
static taper_cuda_kernel scan_kernels[3][3] = {SCAN_ROW("f32"), SCAN_ROW("f64"), SCAN_ROW("i64")};
static taper_cuda_kernel median_kernels[3] = {TAPER_CUDA_KERNEL("median", "median_f32"), TAPER_CUDA_KERNEL("median", "median_f64"),
                                              TAPER_CUDA_KERNEL("median", "median_i64")};

static int scan_type(taper_dtype dtype) { return dtype == TAPER_F64 ? 1 : taper_dtype_is_float(dtype) ? 0 : 2; }

void taper__scan_cut(taper_scan_args *k) {
    enum { BLOCKS = 2112, ROWS = 64, COLUMNS = 512 }; /* blocks that fill a large GPU; rows of a column that are worth a thread of their own */
    bool four = k->inner == 1 ? k->n % 4 == 0 : k->inner >= COLUMNS && k->inner % 4 == 0;
    int64_t across = TAPER_SCAN_THREADS * (four ? 4 : 1), lines = k->inner == 1 ? k->outer : k->outer * ((k->inner + across - 1) / across);
    k->wide = four && ((uintptr_t)k->in | (uintptr_t)k->out) % 16 == 0; /* an address may change the kernel, not the chunks */
    int64_t least = k->inner == 1 ? 4 * TAPER_SCAN_TILE : ROWS, chunks = (BLOCKS + lines - 1) / lines;
    if (chunks > k->n / least) chunks = k->n / least;
    if (chunks < 1) chunks = 1;
    k->chunk = (k->n + chunks - 1) / chunks;
    if (k->inner == 1 && chunks > 1) k->chunk = (k->chunk + TAPER_SCAN_TILE - 1) / TAPER_SCAN_TILE * TAPER_SCAN_TILE;
    k->chunks = (int)((k->n + k->chunk - 1) / k->chunk);
}

static unsigned scan_limit(int64_t n, int64_t most) { return (unsigned)(n < most ? n : most); }

static taper_status scan_launch(taper_scan_args *k, int type, int index, const char *op) {
    taper_cuda_geometry g = {.block = {TAPER_SCAN_THREADS, 1, 1}};
    void *args[1] = {k};
    int64_t across = TAPER_SCAN_THREADS * (k->wide ? 4 : 1);
    if (k->inner == 1) {
        g.grid[0] = (unsigned)k->chunks;
        g.grid[1] = scan_limit(k->outer, 65535);
        g.grid[2] = 1;
    } else {
        g.grid[0] = (unsigned)((k->inner + across - 1) / across);
        g.grid[1] = (unsigned)k->chunks;
        g.grid[2] = scan_limit(k->outer, 65535);
    }
    return taper__cuda_launch(&scan_kernels[type][k->inner == 1 ? 0 : 1 + k->wide], index, &g, args, op);
}

taper_status taper__scan_cuda(taper_tensor *out, const taper_tensor *self, int dim, bool product, const char *op) {
    taper_scan_args k = {.in = taper__data(self), .out = taper__data(out), .outer = 1, .n = 1, .inner = 1, .dtype_in = self->dtype,
                         .dtype_out = out->dtype, .product = product};
    int type = scan_type((taper_dtype)out->dtype), index = self->device.index;
    if (!self->numel) return TAPER_OK;
    if (self->ndim) k.n = self->shape[dim];
    for (int d = 0; d < self->ndim; d++)
        if (d != dim) *(d < dim ? &k.outer : &k.inner) *= self->shape[d];
    taper__scan_cut(&k);
    if (k.chunks == 1) return scan_launch(&k, type, index, op);
    size_t bytes = (size_t)k.outer * (size_t)k.chunks * (size_t)k.inner * (type ? 8 : 4);
    taper_scan_args totals = k, scan = k;
    TAPER_TRY(taper__memory_alloc(&totals.totals, bytes, self->device, op));
    totals.out = NULL;
    scan.in = scan.out = totals.totals;
    scan.n = scan.chunk = k.chunks;
    scan.chunks = 1;
    if (scan.inner == 1) scan.wide = 0;
    scan.dtype_in = scan.dtype_out = type == 0 ? TAPER_F32 : type == 1 ? TAPER_F64 : TAPER_I64;
    k.before = totals.totals;
    taper_status st = scan_launch(&totals, type, index, op);
    if (st == TAPER_OK) st = scan_launch(&scan, type, index, op);
    if (st == TAPER_OK) st = scan_launch(&k, type, index, op);
    taper__memory_free(totals.totals, bytes, self->device);
    return st;
}

taper_status taper__median_cuda(taper_tensor *values, taper_tensor *places, const taper_tensor *self, int64_t n, int64_t inner) {
    taper_median_args k = {.in = taper__data(self), .values = taper__data(values), .places = places ? taper__data(places) : NULL,
                           .lines = values->numel, .n = n, .inner = inner, .inner_inverse = 1 / (double)inner, .dtype = self->dtype};
    if (!values->numel) return TAPER_OK;
    taper_cuda_geometry g = {.grid = {scan_limit(k.lines, 1 << 30), 1, 1}, .block = {TAPER_SCAN_THREADS, 1, 1}};
    void *args[1] = {&k};
    return taper__cuda_launch(&median_kernels[scan_type((taper_dtype)self->dtype)], self->device.index, &g, args, "median");
}
