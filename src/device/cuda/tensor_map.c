/* Descriptors of tensors for the bulk copy engine (TMA) of sm_90 and later. */
#include <string.h>
#include <taper/dtype.h>

#include "device/cuda/gpu.h"

taper_status taper__cuda_tensor_map(void *map128, int dtype, int ndim, void *base, const uint64_t *sizes,
                                    const uint64_t *strides_bytes, const uint32_t *box, int swizzle_bytes) {
    /* CUtensorMapDataType; types without a number of their own move as unsigned integers of their size. */
    static const signed char types[TAPER_DTYPE_COUNT] = {
        [TAPER_BOOL] = 0, [TAPER_U8] = 0,   [TAPER_I8] = 0,  [TAPER_I16] = 1, [TAPER_I32] = 3,     [TAPER_I64] = 5,
        [TAPER_F16] = 6,  [TAPER_BF16] = 9, [TAPER_F32] = 7, [TAPER_F64] = 8, [TAPER_F8_E4M3] = 0, [TAPER_F8_E5M2] = 0,
    };
    static const uint32_t ones[5] = {1, 1, 1, 1, 1};
    enum { PROMOTE_256 = 3 };
    int swizzle = swizzle_bytes == 128 ? 3 : swizzle_bytes == 64 ? 2 : swizzle_bytes == 32 ? 1 : 0;
    if (ndim < 1 || ndim > 5 || dtype < 0 || dtype >= TAPER_DTYPE_COUNT)
        return TAPER_FAIL(TAPER_VALUE, "tensor map: %d dims of dtype %d, possible are 1 to 5 dims", ndim, dtype);
    if (!taper__cu.tensor_map_tiled)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED,
                          "tensor map: needs a driver for CUDA 12.0 or later, this one serves %d.%d",
                          taper__driver_version() / 1000, taper__driver_version() % 1000 / 10);
    return taper__cu_check(taper__cu.tensor_map_tiled(map128, types[dtype], (unsigned)ndim, base, sizes, strides_bytes,
                                                      box, ones, 0, swizzle, PROMOTE_256, 0),
                           "cuTensorMapEncodeTiled", NULL);
}
