/* embedding on the GPU, forward and backward. A bad index is raised when the host next waits for the GPU. */
#include "ops/embedding.h"

#include "device/cuda/cuda.h"

static taper_cuda_kernel embedding_rows = TAPER_CUDA_KERNEL("embedding", "embedding_rows"),
                         embedding_backward[2] = {TAPER_CUDA_KERNEL("embedding", "embedding_backward_f32"),
                                                  TAPER_CUDA_KERNEL("embedding", "embedding_backward_f64")};

taper_status taper__embedding_cuda(taper_call *c) {
    const taper_tensor *w = c->args[0].t, *index = c->args[1].t;
    void *out = taper__data(c->out[0]), *table = taper__data(w), *at = taper__data(index), *record = taper__cuda_error_record(c->device.index);
    long long count = index->numel, rows = w->shape[0], dim = w->shape[1];
    int dtype = w->dtype, index_dtype = index->dtype, op = taper__cuda_operator_number("embedding");
    if (!c->out[0]->numel) return TAPER_OK;
    if (!rows) return TAPER_FAIL(TAPER_INDEX, "index out of range in self (embedding of %lld indices in a table without rows)", count);
    taper_cuda_geometry g = {.grid = {(unsigned)(count < 1 << 30 ? count : 1 << 30), 1, 1}, .block = {dim >= 256 ? 256 : 64, 1, 1}};
    void *args[] = {&out, &table, &at, &count, &rows, &dim, &dtype, &index_dtype, &record, &op};
    return taper__cuda_launch(&embedding_rows, c->device.index, &g, args, "embedding");
}

taper_status taper__embedding_dense_backward_cuda(taper_call *c) {
    const taper_tensor *grad = c->args[0].t, *index = c->args[1].t;
    void *out = taper__data(c->out[0]), *from = taper__data(grad), *at = taper__data(index);
    long long count = index->numel, dim = c->out[0]->shape[1], rows = c->out[0]->shape[0], padding = c->args[3].i;
    int dtype = grad->dtype, index_dtype = index->dtype, scale = c->args[4].i != 0;
    if (!c->out[0]->numel) return TAPER_OK;
    taper_cuda_geometry g = {.grid = {(unsigned)rows, (unsigned)((dim + 511) / 512), 1}, .block = {128, 1, 1}};
    void *args[] = {&out, &from, &at, &count, &dim, &padding, &dtype, &index_dtype, &scale};
    return taper__cuda_launch(&embedding_backward[dtype == TAPER_F64], c->device.index, &g, args, "embedding_dense_backward");
}
