/* Small tensor work that several checks need: operands, differences, bits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <taper/nn.h>
#include <taper/ops.h>

#include "doctor/tables.h"
#include "verify/verify.h"

double verify_part(taper_device device, const char *column) {
    taper_cuda_properties gpu = {.size = sizeof gpu};
    const doctor_table *t = doctor_table_open("gpus");
    if (!t || device.type != TAPER_CUDA || taper_cuda_get_properties(&gpu, device.index) != TAPER_OK) return 0;
    int row = doctor_table_find(t, 0, "nvml_name", gpu.name);
    return row < 0 ? 0 : doctor_cell_number(t, row, column, 0);
}

taper_status verify_normal(taper_tensor **out, int64_t rows, int64_t columns, taper_dtype dtype, taper_device device) {
    taper_scope s = TAPER_SCOPE;
    int64_t shape[] = {rows, columns};
    taper_device cpu = taper_cpu();
    bool large = rows * columns > 1 << 22; /* the CPU's numbers are the same on every machine, but slow to make */
    taper_tensor *t = tx_randn(&s, shape, 2, NULL, TAPER_F32, large ? &device : &cpu);
    t = tx_to(&s, t, &device, dtype, false, false);
    if (t) *out = taper_tensor_retain(t);
    return taper_scope_end(&s);
}

/* Contiguous bytes of t, freed with taper__free. */
static taper_status tensors_bytes(char **out, size_t *bytes, taper_tensor *t) {
    *bytes = (size_t)taper_tensor_numel(t) * taper_dtype_size(taper_tensor_dtype(t));
    *out = taper__alloc(*bytes + 1);
    if (!*out) return TAPER_FAIL(TAPER_MEMORY, "verify: no memory for %zu bytes", *bytes);
    taper_status st = taper_tensor_read(t, *out, *bytes);
    if (st != TAPER_OK) {
        taper__free(*out);
        *out = NULL;
    }
    return st;
}

taper_status verify_same_bits(bool *same, taper_tensor *a, taper_tensor *b) {
    char *x = NULL, *y = NULL;
    size_t nx, ny;
    taper_status st = tensors_bytes(&x, &nx, a);
    if (st == TAPER_OK) st = tensors_bytes(&y, &ny, b);
    if (st == TAPER_OK) *same = nx == ny && taper_tensor_dtype(a) == taper_tensor_dtype(b) && !memcmp(x, y, nx);
    taper__free(x);
    taper__free(y);
    return st;
}

taper_status verify_difference(double *out, taper_tensor *a, taper_tensor *b) {
    char *x = NULL, *y = NULL;
    size_t nx, ny = 0;
    double worst = 0, squares = 0;
    taper_status st = tensors_bytes(&x, &nx, a);
    if (st == TAPER_OK) st = tensors_bytes(&y, &ny, b);
    if (st == TAPER_OK && (nx != ny || taper_tensor_dtype(a) != TAPER_F32 || taper_tensor_dtype(b) != TAPER_F32))
        st = TAPER_FAIL(TAPER_RUNTIME, "verify: results of %zu and %zu bytes cannot be compared", nx, ny);
    for (size_t i = 0; st == TAPER_OK && i < nx / 4; i++) {
        double d = fabs((double)((float *)(void *)x)[i] - (double)((float *)(void *)y)[i]);
        if (!(d <= worst)) worst = d; /* NaN too */
        squares += (double)((float *)(void *)y)[i] * (double)((float *)(void *)y)[i];
    }
    if (st == TAPER_OK) *out = squares > 0 ? worst / sqrt(squares / (double)(nx / 4)) : worst;
    taper__free(x);
    taper__free(y);
    return st;
}
