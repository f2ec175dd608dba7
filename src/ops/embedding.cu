/* Rows of a table, and the gradient of the table in the order of the indices, without atomics. */
#include "device/cuda/errors.cuh"
#include "ops/elements.cuh"

/* One block per index; a bad one is reported and read as row 0. */
extern "C" __global__ void __launch_bounds__(256) embedding_rows(void *out, const void *table, const void *index, long long count, long long rows,
                                                                 long long dim, int dtype, int index_dtype, void *record, int op) {
    for (int64_t i = blockIdx.x; i < count; i += gridDim.x) {
        int64_t k = el_load<int64_t>(index, i, index_dtype);
        if (k < 0 || k >= rows) {
            if (threadIdx.x == 0) taper_cuda_report(record, 1, op, k, rows);
            k = 0;
        }
        if (dtype == TAPER_F64)
            for (int64_t c = threadIdx.x; c < dim; c += blockDim.x) ((double *)out)[i * dim + c] = ((const double *)table)[k * dim + c];
        else
            for (int64_t c = threadIdx.x; c < dim; c += blockDim.x)
                el_store<float>(out, i * dim + c, dtype, el_load<float>(table, k * dim + c, dtype));
    }
}

/* One block per row of the table and 512 columns: it looks through all indices and adds what is its own. */
template <class R> EL_FN void embedding_sum(void *out, const void *grad, const void *index, int64_t count, int64_t dim, int64_t padding, int dtype,
                                            int index_dtype, int scale) {
    __shared__ int mine[128];
    const int64_t row = blockIdx.x, col = blockIdx.y * (int64_t)512 + threadIdx.x;
    R sum[4] = {0, 0, 0, 0};
    int64_t seen = 0;
    for (int64_t base = 0; base < count && row != padding; base += 128) {
        const int64_t i = base + threadIdx.x;
        const int hit = i < count && el_load<int64_t>(index, i, index_dtype) == row;
        mine[threadIdx.x] = hit;
        if (__syncthreads_or(hit)) {
#pragma unroll 1
            for (int j = 0; j < 128; j++) {
                if (!mine[j]) continue;
                seen++;
#pragma unroll
                for (int q = 0; q < 4; q++)
                    if (col + q * 128 < dim) sum[q] += el_load<R>(grad, (base + j) * dim + col + q * 128, dtype);
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int q = 0; q < 4; q++)
        if (col + q * 128 < dim) el_store<R>(out, row * dim + col + q * 128, dtype, scale && seen ? sum[q] / (R)seen : sum[q]);
}
#define EMBEDDING_BACKWARD(name, R)                                                                                    \
    extern "C" __global__ void __launch_bounds__(128) embedding_backward_##name(void *out, const void *grad, const void *index, long long count, \
                                                                                long long dim, long long padding, int dtype, int index_dtype, int scale) { \
        embedding_sum<R>(out, grad, index, count, dim, padding, dtype, index_dtype, scale);                            \
    }
EMBEDDING_BACKWARD(f32, float)
EMBEDDING_BACKWARD(f64, double)
