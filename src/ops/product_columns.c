/* Slopes of gelu and sums of columns after a product on the GPU, in one reading of it. */
#include "ops/product_columns.h"

#include "device/cuda/cuda.h"
#include "ops/product.h"

static taper_cuda_kernel columns_kernels[2][3] = {
    {TAPER_CUDA_KERNEL("product_columns", "product_columns_f32"), TAPER_CUDA_KERNEL("product_columns", "product_columns_f16"),
     TAPER_CUDA_KERNEL("product_columns", "product_columns_bf16")},
    {TAPER_CUDA_KERNEL("product_columns", "product_slope_f32"), TAPER_CUDA_KERNEL("product_columns", "product_slope_f16"),
     TAPER_CUDA_KERNEL("product_columns", "product_slope_bf16")}};
static taper_cuda_kernel columns_join = TAPER_CUDA_KERNEL("product_columns", "product_columns_join");

taper_status taper__product_columns_cuda(const taper_tensor *t, int64_t m, int64_t n, const taper_tensor *aux, bool by_tanh, taper_tensor *sums) {
    taper_columns_args g = {.c = taper__data(t), .aux = aux ? taper__data(aux) : NULL, .sums = sums ? taper__data(sums) : NULL, .m = m, .n = n,
                            .by_tanh = by_tanh, .dtype = t->dtype};
    int which = t->dtype == TAPER_F32 ? 0 : t->dtype == TAPER_F16 ? 1 : t->dtype == TAPER_BF16 ? 2 : -1, each = which ? 8 : 4, index = t->device.index;
    if (which < 0 || !m || !n || n % each || ((uintptr_t)g.c | (uintptr_t)g.aux) % 16 || (aux && aux->dtype != t->dtype) ||
        (sums && sums->dtype != t->dtype))
        return TAPER_NOT_IMPLEMENTED;
    int64_t wide = (n + 32 * each - 1) / (32 * each), most = (m + TAPER_COLUMNS_ROWS - 1) / TAPER_COLUMNS_ROWS, chunks = TAPER_COLUMNS_BLOCKS / wide;
    if (wide > INT32_MAX) return TAPER_NOT_IMPLEMENTED;
    chunks = chunks < 1 ? 1 : chunks > most ? most : chunks;
    g.rows_each = (m + chunks - 1) / chunks;
    g.chunks = (int)((m + g.rows_each - 1) / g.rows_each);
    size_t bytes = (size_t)g.chunks * (size_t)n * sizeof(float);
    void *partial = NULL;
    if (sums) TAPER_TRY(taper__memory_alloc(&partial, bytes, t->device, "product"));
    g.partial = partial;
    taper_cuda_geometry geometry = {.grid = {(unsigned)wide, (unsigned)g.chunks, 1}, .block = {TAPER_COLUMNS_THREADS, 1, 1}};
    void *args[1] = {&g};
    taper_status st = taper__cuda_launch(&columns_kernels[aux != NULL][which], index, &geometry, args, "product");
    if (st == TAPER_OK && sums) {
        geometry.grid[0] = (unsigned)((n + 31) / 32), geometry.grid[1] = 1;
        st = taper__cuda_launch(&columns_join, index, &geometry, args, "product");
    }
    if (sums) taper__memory_free(partial, bytes, t->device);
    return st;
}
