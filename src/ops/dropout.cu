/* Zeros and ones with one probability, dropout and its gradient. Element i has 16 bits of Philox number i / 8 of the call's
 * offset: the low half of word i % 8 / 2 where i is even, else the high half. */
#include "ops/elements.cuh"
#include "tensor/philox.h"

EL_FN uint32_t drop_part(const taper__philox4 &w, int j) { return j % 2 ? w.x[j / 2] >> 16 : w.x[j / 2] & 0xffff; }

/* Bit j: a 32-bit number is at least `bound`. Its high half decides unless it is that of bound (1 in 65536); then a low half is
 * taken from Philox numbers that nothing else uses. */
EL_FN unsigned drop_keep(uint64_t seed, uint64_t offset, uint64_t index, uint32_t bound) {
    const taper__philox4 w = taper__philox(seed, offset, index);
    const uint32_t high = bound >> 16;
    unsigned keep = 0;
    bool tie = false;
#pragma unroll
    for (int j = 0; j < 8; j++) {
        const uint32_t part = drop_part(w, j);
        keep |= part > high ? 1u << j : 0u;
        tie |= part == high;
    }
    if (tie) {
        const taper__philox4 more = taper__philox(seed, offset, index | UINT64_C(1) << 63);
#pragma unroll
        for (int j = 0; j < 8; j++)
            if (drop_part(w, j) == high && drop_part(more, j) >= (bound & 0xffff)) keep |= 1u << j;
    }
    return keep;
}

/* Eight bytes of 0 or 1. */
EL_FN uint2 drop_bytes(unsigned keep) {
    const unsigned low = keep & 15, high = keep >> 4;
    return make_uint2((low * 0x204081u) & 0x01010101u, (high * 0x204081u) & 0x01010101u);
}

/* A warp takes tiles of 256 elements. Each lane draws for eight neighbours; then lanes read and write 16 bytes side by side, and take
 * the bits of those elements from the lane that drew them. */
#define DROP_TILES(n)                                                                                                  \
    const int lane = threadIdx.x & 31;                                                                                 \
    const int64_t warps = gridDim.x * (int64_t)(blockDim.x / 32);                                                      \
    for (int64_t tile = blockIdx.x * (int64_t)(blockDim.x / 32) + threadIdx.x / 32; tile * 256 < (n); tile += warps)

EL_FN float4 drop_four(float4 v, unsigned keep, float scale) {
    return make_float4(keep & 1 ? v.x * scale : 0.0f, keep & 2 ? v.y * scale : 0.0f, keep & 4 ? v.z * scale : 0.0f, keep & 8 ? v.w * scale : 0.0f);
}

/* 1 where a 32-bit number is at least bound; bound 2^32: all 0. */
extern "C" __global__ void __launch_bounds__(256) random_bernoulli(void *out, long long n, int dtype, unsigned long long bound, unsigned long long seed_,
                                                                   unsigned long long offset_) {
    const bool wide = (uintptr_t)out % 16 == 0 && (dtype == TAPER_F32 || dtype == TAPER_F16 || dtype == TAPER_BF16 || dtype == TAPER_BOOL || dtype == TAPER_U8);
    uint64_t seed = seed_, offset = offset_;
    taper_captured_random_read(&seed, &offset);
    DROP_TILES(n) {
        const int64_t at = tile * 256 + lane * 8;
        const unsigned keep = bound >> 32 ? 0 : drop_keep(seed, offset, (uint64_t)(at / 8), (uint32_t)bound);
        if (!wide || tile * 256 + 256 > n) {
            for (int j = 0; j < 8 && at + j < n; j++) el_store<int>(out, at + j, dtype, (int)(keep >> j & 1));
        } else if (dtype == TAPER_F32) {
#pragma unroll
            for (int pass = 0; pass < 2; pass++)
                ((float4 *)((float *)out + tile * 256))[pass * 32 + lane] =
                    drop_four(make_float4(1, 1, 1, 1), __shfl_sync(0xffffffffu, keep, pass * 16 + lane / 2) >> lane % 2 * 4, 1);
        } else if (dtype == TAPER_BOOL || dtype == TAPER_U8) {
            *(uint2 *)((uint8_t *)out + at) = drop_bytes(keep);
        } else {
            float v[8];
#pragma unroll
            for (int j = 0; j < 8; j++) v[j] = keep >> j & 1 ? 1.0f : 0.0f;
            el_store8(out, at, dtype, v);
        }
    }
}

EL_FN void drop_one(void *out, const void *x, int64_t at, int dtype, bool keep, double scale) {
    if (dtype == TAPER_F64) ((double *)out)[at] = keep ? ((const double *)x)[at] * scale : 0;
    else el_store<float>(out, at, dtype, keep ? el_load<float>(x, at, dtype) * (float)scale : 0.0f);
}
/* x times scale where kept, else 0. */
EL_FN void drop_eight(void *out, const void *x, int64_t at, int dtype, unsigned keep, float scale) {
    float v[8];
    el_load8(v, x, at, dtype);
#pragma unroll
    for (int j = 0; j < 8; j++) v[j] = keep >> j & 1 ? v[j] * scale : 0.0f;
    el_store8(out, at, dtype, v);
}
template <int DTYPE> EL_FN void drop_tile(void *out, const void *x, int64_t base, int lane, unsigned keep, double scale) {
    if (DTYPE == TAPER_BF16 || DTYPE == TAPER_F16) {
        drop_eight(out, x, base + lane * 8, DTYPE, keep, (float)scale);
    } else if (DTYPE == TAPER_F32) {
        const float4 *from = (const float4 *)((const float *)x + base);
        float4 v[2];
#pragma unroll
        for (int pass = 0; pass < 2; pass++) v[pass] = from[pass * 32 + lane];
#pragma unroll
        for (int pass = 0; pass < 2; pass++)
            ((float4 *)((float *)out + base))[pass * 32 + lane] =
                drop_four(v[pass], __shfl_sync(0xffffffffu, keep, pass * 16 + lane / 2) >> lane % 2 * 4, (float)scale);
    } else {
        const double2 *from = (const double2 *)((const double *)x + base);
        double2 v[4];
#pragma unroll
        for (int pass = 0; pass < 4; pass++) v[pass] = from[pass * 32 + lane];
#pragma unroll
        for (int pass = 0; pass < 4; pass++) {
            const unsigned bits = __shfl_sync(0xffffffffu, keep, pass * 8 + lane / 4) >> lane % 4 * 2;
            ((double2 *)((double *)out + base))[pass * 32 + lane] = make_double2(bits & 1 ? v[pass].x * scale : 0, bits & 2 ? v[pass].y * scale : 0);
        }
    }
}

/* All in the same order of memory. */
template <int DTYPE>
EL_FN void drop_forward(void *out, uint8_t *mask, const void *x, int64_t n, uint32_t bound, double scale, uint64_t seed, uint64_t offset) {
    const bool aligned = ((uintptr_t)out | (uintptr_t)mask | (uintptr_t)x) % 16 == 0;
    taper_captured_random_read(&seed, &offset);
    DROP_TILES(n) {
        const int64_t at = tile * 256 + lane * 8;
        const unsigned keep = drop_keep(seed, offset, (uint64_t)(at / 8), bound);
        if (aligned && tile * 256 + 256 <= n) {
            *(uint2 *)(mask + at) = drop_bytes(keep);
            drop_tile<DTYPE>(out, x, tile * 256, lane, keep, scale);
        } else {
            for (int j = 0; j < 8 && at + j < n; j++) {
                mask[at + j] = keep >> j & 1;
                drop_one(out, x, at + j, DTYPE, keep >> j & 1, scale);
            }
        }
    }
}

/* Bytes that are not 0, as bits. */
EL_FN unsigned drop_bits(uint2 m) {
    unsigned keep = 0;
#pragma unroll
    for (int j = 0; j < 8; j++) keep |= ((j < 4 ? m.x : m.y) >> 8 * (j % 4) & 255 ? 1u : 0u) << j;
    return keep;
}
template <int DTYPE> EL_FN void drop_backward(void *out, const void *g, const uint8_t *mask, int64_t n, double scale) {
    const bool aligned = ((uintptr_t)out | (uintptr_t)mask | (uintptr_t)g) % 16 == 0;
    DROP_TILES(n) {
        const int64_t at = tile * 256 + lane * 8;
        if (aligned && tile * 256 + 256 <= n) {
            drop_tile<DTYPE>(out, g, tile * 256, lane, drop_bits(*(const uint2 *)(mask + at)), scale);
        } else {
            for (int j = 0; j < 8 && at + j < n; j++) drop_one(out, g, at + j, DTYPE, mask[at + j] != 0, scale);
        }
    }
}

#define DROP(name, DTYPE)                                                                                              \
    extern "C" __global__ void __launch_bounds__(256, 6) random_dropout_##name(void *out, uint8_t *mask, const void *x, long long n, unsigned bound, double scale, \
                                                                            unsigned long long seed, unsigned long long offset) { \
        drop_forward<DTYPE>(out, mask, x, n, bound, scale, seed, offset);                                              \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256, 6) random_dropout_back_##name(void *out, const void *g, const uint8_t *mask, long long n, double scale) { \
        drop_backward<DTYPE>(out, g, mask, n, scale);                                                                  \
    }
DROP(f32, TAPER_F32)
DROP(f16, TAPER_F16)
DROP(bf16, TAPER_BF16)
DROP(f64, TAPER_F64)
