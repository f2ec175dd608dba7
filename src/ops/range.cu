/* Numbers by rule: arange, linspace, logspace, sources of padded elements, indices of triangles. */
#include "ops/elements.cuh"
#include "ops/range_args.h"

/* As the dtype rounds it. */
EL_FN double range_round(double x, int dtype) {
    return dtype == TAPER_F16 ? (double)__half2float(__float2half_rn((float)x)) : dtype == TAPER_BF16 ? (double)__bfloat162float(__float2bfloat16_rn((float)x)) : x;
}

/* From either end to the middle, each operation in the dtype, doubles for integers. */
EL_FN double range_between(const taper_range_args &k, int64_t i) {
    const bool low = i < k.n / 2;
    const double steps = (double)(low ? i : k.n - 1 - i), from = low ? k.start : k.end;
    double x;
    if (k.dtype == TAPER_F32) x = (double)fmaf(low ? (float)k.step : -(float)k.step, (float)steps, (float)from);
    else if (k.dtype == TAPER_F16 || k.dtype == TAPER_BF16) {
        const double walked = range_round(range_round(steps, k.dtype) * k.step, k.dtype);
        x = range_round(low ? from + walked : from - walked, k.dtype);
    } else x = fma(low ? k.step : -k.step, steps, from);
    if (k.what != TAPER_RANGE_LOGSPACE) return x;
    return k.dtype == TAPER_F32 ? (double)powf((float)k.base, (float)x) : pow(k.base, x);
}

extern "C" __global__ void __launch_bounds__(256) range_make(const __grid_constant__ taper_range_args k) {
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < k.n; i += gridDim.x * (int64_t)blockDim.x) {
        if (k.what >= TAPER_RANGE_REFLECT) {
            int64_t v;
            if (k.what == TAPER_RANGE_TRIANGLE) {
                const int64_t e = i < k.count ? i : i - k.count, r = taper__range_row(e, k.row, k.col, k.offset, k.upper);
                const int64_t first = k.upper ? (r + k.offset > 0 ? r + k.offset : 0) : 0;
                v = i < k.count ? r : first + e - taper__range_triangle(r, k.col, k.offset, k.upper);
            } else v = taper__range_pad(k.what, i - k.left, k.size);
            el_store<int64_t>(k.out, i, k.dtype, v);
        } else if (k.what == TAPER_RANGE_ARANGE && k.dtype <= TAPER_I64) {
            el_store<int64_t>(k.out, i, k.dtype, k.istart + i * k.istep);
        } else {
            const double x = k.what == TAPER_RANGE_ARANGE ? k.start + k.step * (double)i : range_between(k, i);
            if (k.dtype <= TAPER_I64) el_store<int64_t>(k.out, i, k.dtype, (int64_t)x);
            else el_store<double>(k.out, i, k.dtype, x);
        }
    }
}
