/* Fills n 32-bit words with a value: grid-stride, one word per thread and step. */
extern "C" __global__ void fill_u32(unsigned *out, unsigned value, long long n) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x)
        out[i] = value;
}

/* Each block reports the index of its first word when that is not below `bound`: the test of errors.cuh. */
#include "device/cuda/errors.cuh"
extern "C" __global__ void fill_report(void *record, int op, long long bound) {
    long long i = blockIdx.x;
    if (threadIdx.x == 0 && i >= bound) taper_cuda_report(record, 1, op, i, bound);
}
