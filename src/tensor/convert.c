/* taper__convert: elements of any type to any type, any strides, in blocks that stay in the first cache. */
#include "tensor/convert.h"

#include "base/base.h"
#include "tensor/tensor.h"

TAPER_SIMD_DECLARE(taper_convert_kernels, taper__convert_kernels);

enum { CONVERT_BLOCK = 512 };

float taper__f16_to_f32(uint16_t h) { return convert_f16_unpack(h); }
uint16_t taper__f32_to_f16(float f) { return convert_f16_pack(f); }

/* Where a type without a direct step goes first. Every chain ends within three steps: int -> float -> half. */
static taper_dtype convert_next(taper_dtype from, taper_dtype to) {
    if (from == TAPER_F64 || from == TAPER_I64) return TAPER_F32; /* only the small floats are left as goals */
    if (!taper_dtype_is_float(from)) return taper_dtype_is_float(to) ? TAPER_F32 : TAPER_I64;
    return TAPER_F32;
}

static void convert_run(const taper_convert_kernels *k, void *dst, taper_dtype to, const void *src, taper_dtype from,
                        int64_t n) {
    _Alignas(64) unsigned char middle[2][CONVERT_BLOCK * 8];
    for (int turn = 0; !k->step[from][to]; turn ^= 1) {
        taper_dtype next = convert_next(from, to);
        k->step[from][next](middle[turn], src, n);
        src = middle[turn];
        from = next;
    }
    k->step[from][to](dst, src, n);
}

#define CONVERT_MOVE(T)                                                                                                \
    for (int64_t i = 0; i < n; i++) ((T *)dst)[i * dst_stride] = ((const T *)src)[i * src_stride]

static void convert_move(void *dst, int64_t dst_stride, const void *src, int64_t src_stride, int64_t n, size_t size) {
    if (dst_stride == 1 && src_stride == 1) {
        memmove(dst, src, (size_t)n * size);
        return;
    }
    switch (size) {
    case 1:
        CONVERT_MOVE(uint8_t);
        break;
    case 2:
        CONVERT_MOVE(uint16_t);
        break;
    case 4:
        CONVERT_MOVE(uint32_t);
        break;
    default:
        CONVERT_MOVE(uint64_t);
        break;
    }
}

void taper__convert(void *dst, taper_dtype to, int64_t dst_stride, const void *src, taper_dtype from,
                    int64_t src_stride, int64_t n) {
    size_t to_size = taper_dtype_size(to), from_size = taper_dtype_size(from);
    if (n <= 0) return;
    if (to == from) {
        convert_move(dst, dst_stride, src, src_stride, n, to_size);
        return;
    }
    const taper_convert_kernels *k = TAPER_SIMD_PICK(taper__convert_kernels);
    if (dst_stride == 1 && src_stride == 1 && k->step[from][to]) {
        k->step[from][to](dst, src, n);
        return;
    }
    _Alignas(64) unsigned char in[CONVERT_BLOCK * 8], out[CONVERT_BLOCK * 8];
    char *d = dst;
    const char *s = src;
    while (n > 0) {
        int64_t m = n < CONVERT_BLOCK ? n : CONVERT_BLOCK;
        if (src_stride != 1) convert_move(in, 1, s, src_stride, m, from_size);
        convert_run(k, dst_stride == 1 ? (void *)d : (void *)out, to,
                    src_stride == 1 ? (const void *)s : (const void *)in, from, m);
        if (dst_stride != 1) convert_move(d, dst_stride, out, 1, m, to_size);
        d += m * dst_stride * (int64_t)to_size;
        s += m * src_stride * (int64_t)from_size;
        n -= m;
    }
}

double taper__load_double(const void *p, taper_dtype dtype) {
    uint16_t h;
    float f;
    double d;
    switch (dtype) {
    case TAPER_F16:
        return memcpy(&h, p, 2), convert_f16_unpack(h);
    case TAPER_BF16:
        return memcpy(&h, p, 2), taper__bf16_to_f32(h);
    case TAPER_F32:
        return memcpy(&f, p, 4), f;
    case TAPER_F64:
        return memcpy(&d, p, 8), d;
    case TAPER_F8_E4M3:
        return convert_e4m3_unpack(*(const uint8_t *)p);
    case TAPER_F8_E5M2:
        return convert_e5m2_unpack(*(const uint8_t *)p);
    default:
        return (double)taper__load_int(p, dtype);
    }
}

int64_t taper__load_int(const void *p, taper_dtype dtype) {
    int16_t i16;
    int32_t i32;
    int64_t i64;
    switch (dtype) {
    case TAPER_BOOL:
        return *(const uint8_t *)p != 0;
    case TAPER_U8:
        return *(const uint8_t *)p;
    case TAPER_I8:
        return *(const int8_t *)p;
    case TAPER_I16:
        return memcpy(&i16, p, 2), i16;
    case TAPER_I32:
        return memcpy(&i32, p, 4), i32;
    case TAPER_I64:
        return memcpy(&i64, p, 8), i64;
    default:
        return convert_f64_i64(taper__load_double(p, dtype));
    }
}

void taper__store_double(void *p, taper_dtype dtype, double v) {
    uint16_t h;
    float f = (float)v;
    switch (dtype) {
    case TAPER_BOOL:
        *(uint8_t *)p = v != 0;
        break;
    case TAPER_F16:
        h = convert_f16_pack(f), memcpy(p, &h, 2);
        break;
    case TAPER_BF16:
        h = taper__f32_to_bf16(f), memcpy(p, &h, 2);
        break;
    case TAPER_F32:
        memcpy(p, &f, 4);
        break;
    case TAPER_F64:
        memcpy(p, &v, 8);
        break;
    case TAPER_F8_E4M3:
        *(uint8_t *)p = convert_e4m3_pack(f);
        break;
    case TAPER_F8_E5M2:
        *(uint8_t *)p = convert_e5m2_pack(f);
        break;
    case TAPER_U8:
    case TAPER_I64:
        taper__store_int(p, dtype, convert_f64_i64(v));
        break;
    default:
        taper__store_int(p, dtype, convert_f64_i32(v));
        break;
    }
}

void taper__store_int(void *p, taper_dtype dtype, int64_t v) {
    uint16_t h;
    int16_t i16 = (int16_t)v;
    int32_t i32 = (int32_t)v;
    float f = (float)v;
    double d = (double)v;
    switch (dtype) {
    case TAPER_BOOL:
        *(uint8_t *)p = v != 0;
        break;
    case TAPER_U8:
    case TAPER_I8:
        *(uint8_t *)p = (uint8_t)v;
        break;
    case TAPER_I16:
        memcpy(p, &i16, 2);
        break;
    case TAPER_I32:
        memcpy(p, &i32, 4);
        break;
    case TAPER_I64:
        memcpy(p, &v, 8);
        break;
    case TAPER_F16:
        h = convert_f16_pack(f), memcpy(p, &h, 2);
        break;
    case TAPER_BF16:
        h = taper__f32_to_bf16(f), memcpy(p, &h, 2);
        break;
    case TAPER_F32:
        memcpy(p, &f, 4);
        break;
    case TAPER_F64:
        memcpy(p, &d, 8);
        break;
    case TAPER_F8_E4M3:
        *(uint8_t *)p = convert_e4m3_pack(f);
        break;
    case TAPER_F8_E5M2:
        *(uint8_t *)p = convert_e5m2_pack(f);
        break;
    default:
        break;
    }
}
