/* Elements of any dtype in GPU memory, read into and written from a compute type. The dtype is a run-time number that
 * all threads share, so the switch costs a uniform branch, and one kernel serves every mix of dtypes. */
#ifndef TAPER_OPS_ELEMENTS_CUH
#define TAPER_OPS_ELEMENTS_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <stdint.h>
#include <taper/dtype.h>

#define EL_FN static __device__ __forceinline__

template <class R> EL_FN R el_load(const void *p, int64_t at, int dtype) {
    switch (dtype) {
    case TAPER_BOOL:
    case TAPER_U8: return (R)((const uint8_t *)p)[at];
    case TAPER_I8: return (R)((const int8_t *)p)[at];
    case TAPER_I16: return (R)((const int16_t *)p)[at];
    case TAPER_I32: return (R)((const int32_t *)p)[at];
    case TAPER_I64: return (R)((const int64_t *)p)[at];
    case TAPER_F16: return (R)__half2float(((const __half *)p)[at]);
    case TAPER_BF16: return (R)__bfloat162float(((const __nv_bfloat16 *)p)[at]);
    case TAPER_F32: return (R)((const float *)p)[at];
    case TAPER_F64: return (R)((const double *)p)[at];
    case TAPER_F8_E4M3: return (R)__half2float(__half(__nv_cvt_fp8_to_halfraw(((const uint8_t *)p)[at], __NV_E4M3)));
    default: return (R)__half2float(__half(__nv_cvt_fp8_to_halfraw(((const uint8_t *)p)[at], __NV_E5M2)));
    }
}

/* at / size for numbers that are not negative and below 2^53; inverse: 1.0 / size. 64-bit division would be a call. */
EL_FN int64_t el_divide(int64_t at, int64_t size, double inverse) {
    if ((at | size) >> 32 == 0) return (unsigned)at / (unsigned)size;
    const int64_t q = (int64_t)((double)at * inverse), r = at - q * size;
    return q + (r >= size) - (r < 0);
}

/* Small integers take the low bits of the 64-bit integer, as the CPU's conversions do. */
template <class R> EL_FN void el_store(void *p, int64_t at, int dtype, R v) {
    switch (dtype) {
    case TAPER_BOOL: ((uint8_t *)p)[at] = v != (R)0; break;
    case TAPER_U8: ((uint8_t *)p)[at] = (uint8_t)(int64_t)v; break;
    case TAPER_I8: ((int8_t *)p)[at] = (int8_t)(int64_t)v; break;
    case TAPER_I16: ((int16_t *)p)[at] = (int16_t)(int64_t)v; break;
    case TAPER_I32: ((int32_t *)p)[at] = (int32_t)(int64_t)v; break;
    case TAPER_I64: ((int64_t *)p)[at] = (int64_t)v; break;
    case TAPER_F16: ((__half *)p)[at] = __float2half_rn((float)v); break;
    case TAPER_BF16: ((__nv_bfloat16 *)p)[at] = __float2bfloat16_rn((float)v); break;
    case TAPER_F32: ((float *)p)[at] = (float)v; break;
    case TAPER_F64: ((double *)p)[at] = (double)v; break;
    case TAPER_F8_E4M3: ((uint8_t *)p)[at] = __nv_cvt_float_to_fp8((float)v, __NV_NOSAT, __NV_E4M3); break;
    default: ((uint8_t *)p)[at] = __nv_cvt_float_to_fp8((float)v, __NV_NOSAT, __NV_E5M2); break;
    }
}

/* Four neighbours from a multiple of four on, where p is aligned to 16 bytes: one wide access for the usual dtypes. */
template <class R> EL_FN void el_load4(R *v, const void *p, int64_t at, int dtype) {
    if (dtype == TAPER_F32) {
        float4 x = *(const float4 *)((const float *)p + at);
        v[0] = (R)x.x, v[1] = (R)x.y, v[2] = (R)x.z, v[3] = (R)x.w;
    } else if (dtype == TAPER_BF16) {
        uint2 x = *(const uint2 *)((const uint16_t *)p + at);
        v[0] = (R)__uint_as_float(x.x << 16), v[1] = (R)__uint_as_float(x.x & 0xffff0000u);
        v[2] = (R)__uint_as_float(x.y << 16), v[3] = (R)__uint_as_float(x.y & 0xffff0000u);
    } else if (dtype == TAPER_F16) {
        uint2 x = *(const uint2 *)((const uint16_t *)p + at);
        float2 low = __half22float2(*(__half2 *)&x.x), high = __half22float2(*(__half2 *)&x.y);
        v[0] = (R)low.x, v[1] = (R)low.y, v[2] = (R)high.x, v[3] = (R)high.y;
    } else if (dtype == TAPER_F64) {
        double2 x = *(const double2 *)((const double *)p + at), y = *(const double2 *)((const double *)p + at + 2);
        v[0] = (R)x.x, v[1] = (R)x.y, v[2] = (R)y.x, v[3] = (R)y.y;
    } else if (dtype == TAPER_I64) {
        longlong2 x = *(const longlong2 *)((const int64_t *)p + at), y = *(const longlong2 *)((const int64_t *)p + at + 2);
        v[0] = (R)x.x, v[1] = (R)x.y, v[2] = (R)y.x, v[3] = (R)y.y;
    } else if (dtype == TAPER_I32) {
        int4 x = *(const int4 *)((const int32_t *)p + at);
        v[0] = (R)x.x, v[1] = (R)x.y, v[2] = (R)x.z, v[3] = (R)x.w;
    } else if (dtype == TAPER_BOOL || dtype == TAPER_U8) {
        uchar4 x = *(const uchar4 *)((const uint8_t *)p + at);
        v[0] = (R)x.x, v[1] = (R)x.y, v[2] = (R)x.z, v[3] = (R)x.w;
    } else {
#pragma unroll 1
        for (int i = 0; i < 4; i++) {
            R x = el_load<R>(p, at + i, dtype);
            v[0] = i == 0 ? x : v[0], v[1] = i == 1 ? x : v[1], v[2] = i == 2 ? x : v[2], v[3] = i == 3 ? x : v[3];
        }
    }
}

template <class R> EL_FN void el_store4(void *p, int64_t at, int dtype, const R *v) {
    if (dtype == TAPER_F32) {
        *(float4 *)((float *)p + at) = make_float4((float)v[0], (float)v[1], (float)v[2], (float)v[3]);
    } else if (dtype == TAPER_BF16) {
        __nv_bfloat162 low = __floats2bfloat162_rn((float)v[0], (float)v[1]), high = __floats2bfloat162_rn((float)v[2], (float)v[3]);
        *(uint2 *)((uint16_t *)p + at) = make_uint2(*(unsigned *)&low, *(unsigned *)&high);
    } else if (dtype == TAPER_F16) {
        __half2 low = __floats2half2_rn((float)v[0], (float)v[1]), high = __floats2half2_rn((float)v[2], (float)v[3]);
        *(uint2 *)((uint16_t *)p + at) = make_uint2(*(unsigned *)&low, *(unsigned *)&high);
    } else if (dtype == TAPER_F64) {
        *(double2 *)((double *)p + at) = make_double2((double)v[0], (double)v[1]);
        *(double2 *)((double *)p + at + 2) = make_double2((double)v[2], (double)v[3]);
    } else if (dtype == TAPER_I64) {
        *(longlong2 *)((int64_t *)p + at) = make_longlong2((int64_t)v[0], (int64_t)v[1]);
        *(longlong2 *)((int64_t *)p + at + 2) = make_longlong2((int64_t)v[2], (int64_t)v[3]);
    } else if (dtype == TAPER_I32) {
        *(int4 *)((int32_t *)p + at) = make_int4((int)(int64_t)v[0], (int)(int64_t)v[1], (int)(int64_t)v[2], (int)(int64_t)v[3]);
    } else if (dtype == TAPER_BOOL) {
        *(uchar4 *)((uint8_t *)p + at) = make_uchar4(v[0] != (R)0, v[1] != (R)0, v[2] != (R)0, v[3] != (R)0);
    } else {
#pragma unroll 1
        for (int i = 0; i < 4; i++) el_store<R>(p, at + i, dtype, i == 0 ? v[0] : i == 1 ? v[1] : i == 2 ? v[2] : v[3]);
    }
}

/* Eight neighbours of float32, float16, bfloat16, bool or uint8, from a multiple of eight on. */
EL_FN void el_load8(float *v, const void *p, int64_t at, int dtype) {
    if (dtype == TAPER_BF16) {
        const uint4 x = *(const uint4 *)((const uint16_t *)p + at);
        const unsigned u[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
        for (int i = 0; i < 4; i++) v[2 * i] = __uint_as_float(u[i] << 16), v[2 * i + 1] = __uint_as_float(u[i] & 0xffff0000u);
    } else if (dtype == TAPER_F16) {
        const uint4 x = *(const uint4 *)((const uint16_t *)p + at);
        const unsigned u[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float2 f = __half22float2(*(const __half2 *)&u[i]);
            v[2 * i] = f.x, v[2 * i + 1] = f.y;
        }
    } else if (dtype == TAPER_F32) {
        const float4 x = *(const float4 *)((const float *)p + at), y = *(const float4 *)((const float *)p + at + 4);
        v[0] = x.x, v[1] = x.y, v[2] = x.z, v[3] = x.w, v[4] = y.x, v[5] = y.y, v[6] = y.z, v[7] = y.w;
    } else {
        const uint2 x = *(const uint2 *)((const uint8_t *)p + at);
#pragma unroll
        for (int i = 0; i < 8; i++) v[i] = (float)((i < 4 ? x.x : x.y) >> 8 * (i % 4) & 255);
    }
}
EL_FN void el_store8(void *p, int64_t at, int dtype, const float *v) {
    if (dtype == TAPER_BF16) {
        unsigned u[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const __nv_bfloat162 b = __floats2bfloat162_rn(v[2 * i], v[2 * i + 1]);
            u[i] = *(const unsigned *)&b;
        }
        *(uint4 *)((uint16_t *)p + at) = make_uint4(u[0], u[1], u[2], u[3]);
    } else if (dtype == TAPER_F16) {
        unsigned u[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const __half2 h = __floats2half2_rn(v[2 * i], v[2 * i + 1]);
            u[i] = *(const unsigned *)&h;
        }
        *(uint4 *)((uint16_t *)p + at) = make_uint4(u[0], u[1], u[2], u[3]);
    } else if (dtype == TAPER_F32) {
        *(float4 *)((float *)p + at) = make_float4(v[0], v[1], v[2], v[3]);
        *(float4 *)((float *)p + at + 4) = make_float4(v[4], v[5], v[6], v[7]);
    } else {
        unsigned u[2] = {0, 0};
#pragma unroll
        for (int i = 0; i < 8; i++) u[i / 4] |= (dtype == TAPER_BOOL ? (unsigned)(v[i] != 0) : (unsigned)(uint8_t)(int64_t)v[i]) << 8 * (i % 4);
        *(uint2 *)((uint8_t *)p + at) = make_uint2(u[0], u[1]);
    }
}

#endif
