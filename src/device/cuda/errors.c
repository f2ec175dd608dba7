/* Errors that kernels found: one record per GPU in host memory that the GPU writes to, looked at whenever the host
 * waits. */
#include <string.h>

#include "device/cuda/gpu.h"

enum { ERRORS_OPERATORS = 1024 };

static struct {
    taper_cuda_error_record *host;
    taper_cu_ptr device;
} errors_record[TAPER_MAX_GPUS];

static pthread_mutex_t errors_lock = PTHREAD_MUTEX_INITIALIZER;
static const char *_Atomic errors_operator[ERRORS_OPERATORS]; /* 0 means none: a record that nobody claimed */
static int errors_operators = 1;

/* The GPU is being started: its context is current, but taper__cuda_enter would wait for us. */
taper_status taper__cuda_errors_start(int index) {
    if (errors_record[index].host) return TAPER_OK;
    void *p = NULL;
    TAPER_TRY(taper__cu_check(
        taper__cu.host_alloc(&p, sizeof(taper_cuda_error_record), TAPER_CU_HOST_PORTABLE | TAPER_CU_HOST_DEVICEMAP),
        "cuMemHostAlloc", NULL));
    memset(p, 0, sizeof(taper_cuda_error_record));
    taper_cu_result r = taper__cu.host_device_pointer(&errors_record[index].device, p, 0);
    if (r) {
        taper__cu.host_free(p);
        return taper__cu_fail(r, "cuMemHostGetDevicePointer", NULL);
    }
    errors_record[index].host = p;
    return TAPER_OK;
}

void *taper__cuda_error_record(int index) {
    return taper__cuda_enter(&index) ? NULL : (void *)(uintptr_t)errors_record[index].device;
}

int taper__cuda_operator_number(const char *op) {
    /* Names are few and static; the list only grows, so reading needs no lock. */
    for (int i = 1; i < ERRORS_OPERATORS; i++) {
        const char *known = atomic_load_explicit(&errors_operator[i], memory_order_acquire);
        if (!known) break;
        if (known == op || !strcmp(known, op)) return i;
    }
    int number = ERRORS_OPERATORS - 1;
    pthread_mutex_lock(&errors_lock);
    for (int i = 1; i < errors_operators; i++)
        if (!strcmp(errors_operator[i], op)) number = i;
    if (number == ERRORS_OPERATORS - 1 && errors_operators < ERRORS_OPERATORS - 1) {
        number = errors_operators++;
        atomic_store_explicit(&errors_operator[number], op, memory_order_release);
    }
    pthread_mutex_unlock(&errors_lock);
    return number;
}

taper_status taper__cuda_raise(int index) {
    volatile taper_cuda_error_record *r = errors_record[index].host;
    if (TAPER_LIKELY(!r || !r->code)) return TAPER_OK;
    int code = r->code, number = r->operator_;
    long long value = r->value, bound = r->bound;
    r->code = 0;
    atomic_thread_fence(memory_order_seq_cst);
    r->operator_ = 0; /* last: from here on kernels may claim it */
    const char *op = number > 0 && number < ERRORS_OPERATORS ? errors_operator[number] : NULL;
    if (!op) op = "an operator";
    switch (code) {
    case TAPER_CUDA_REPORT_INDEX:
        return TAPER_FAIL(TAPER_INDEX, "%s: index %lld is out of bounds for dimension with size %lld (cuda:%d)", op,
                          value, bound, index);
    case TAPER_CUDA_REPORT_TARGET:
        return TAPER_FAIL(TAPER_INDEX, "%s: Target %lld is out of bounds, there are %lld classes (cuda:%d)", op, value,
                          bound, index);
    case TAPER_CUDA_REPORT_PROBABILITY:
        return TAPER_FAIL(TAPER_RUNTIME,
                          "%s: probability tensor contains either `inf`, `nan` or element < 0 (row %lld, cuda:%d)", op,
                          value, index);
    default:
        return TAPER_FAIL(TAPER_RUNTIME, "%s: invalid value %lld, bound %lld (code %d, cuda:%d)", op, value, bound,
                          code, index);
    }
}
