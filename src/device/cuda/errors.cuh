/* How a kernel reports a bad value: it writes one record and goes on, with a value in range. The first report wins. */
#ifndef TAPER_DEVICE_CUDA_ERRORS_CUH
#define TAPER_DEVICE_CUDA_ERRORS_CUH

/* The layout of taper_cuda_error_record in cuda.h. */
struct taper_cuda_report_record {
    int code, operator_;
    long long value, bound;
};

/* code: TAPER_CUDA_REPORT_... of cuda.h; op: the number that taper__cuda_operator_number() gave to the launch. */
__device__ __forceinline__ void taper_cuda_report(void *record, int code, int op, long long value, long long bound) {
    taper_cuda_report_record *r = static_cast<taper_cuda_report_record *>(record);
    if (atomicCAS(&r->operator_, 0, op)) return;
    r->value = value;
    r->bound = bound;
    __threadfence_system();
    *static_cast<volatile int *>(&r->code) = code;
}

#endif
