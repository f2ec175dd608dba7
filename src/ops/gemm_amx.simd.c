/* Kernels that use the tile registers of AMX: float32 products as sums of products of bfloat16.
 *
 * A float is split into three numbers of 8 bits each, high, middle and low, exactly. Of the nine products of two such
 * sums three are below 2^-25 of the whole, less than half a unit in the last place of a float, and left out; the other six are
 * summed in float32, smallest first in each step. The unit is fast enough that six cost less than half of one multiply-add
 * in vectors. It reads denormals as zero and gives none: in a strip of larger
 * numbers one below 2^-100 is exact to 2^-126 only. A strip of small numbers takes vectors and is exact to 2^-133. */
#include "ops/gemm_amx.h"

#if defined(TAPER_SIMD_v4)
#include "ops/gemm_vec.h"

/* bits << 1 (no sign): from here on the high part could round to infinity, or is infinity or NaN. */
#define AMX_LARGE 0xfe000000u
/* Below, the low parts of numbers come near the denormals. */
#define AMX_SMALL (64u << 24)

#define AMX_TARGET __attribute__((target("amx-tile,amx-bf16")))

typedef struct amx_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} amx_config;

AMX_TARGET static void amx_begin(void) {
    amx_config c = {.palette = 1};
    for (int i = 0; i < 8; i++) c.row_bytes[i] = 64, c.rows[i] = GEMM_AMX_SIDE;
    __asm__ volatile("" ::"r"(&c) : "memory"); /* some compilers believe that the next line reads eight bytes */
    _tile_loadconfig(&c);
}

AMX_TARGET static void amx_end(void) { _tile_release(); }

/* ---- packing ---- */

typedef struct amx_parts {
    __m512i part[GEMM_AMX_PARTS]; /* each in the upper half of its lanes */
} amx_parts;

/* Rounded to 8 bits, halves away from zero. */
VEC_INLINE __m512i amx_round(__m512 x) {
    const __m512i half = _mm512_set1_epi32(0x8000), high = _mm512_set1_epi32((int)0xffff0000);
    return _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(x), half), high);
}

VEC_INLINE amx_parts amx_split(__m512 x, __m512i *most) {
    amx_parts p;
    *most = _mm512_max_epu32(*most, _mm512_slli_epi32(_mm512_castps_si512(x), 1));
    p.part[0] = amx_round(x);
    __m512 rest = _mm512_sub_ps(x, _mm512_castsi512_ps(p.part[0]));
    p.part[1] = amx_round(rest);
    p.part[2] = _mm512_castps_si512(_mm512_sub_ps(rest, _mm512_castsi512_ps(p.part[1])));
    return p;
}

/* For numbers that are not plain: all bits count, the parts of infinity are infinity and zeros. */
VEC_INLINE amx_parts amx_split_any(__m512 x) {
    const __m512i high = _mm512_set1_epi32((int)0xffff0000);
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), inf = _mm512_fpclass_ps_mask(x, 0x18);
    amx_parts p;
    p.part[0] = _mm512_and_si512(_mm512_castps_si512(x), high);
    p.part[0] = _mm512_mask_mov_epi32(p.part[0], nan, _mm512_set1_epi32(0x7fc00000));
    __m512 rest = _mm512_maskz_sub_ps((__mmask16) ~(nan | inf), x, _mm512_castsi512_ps(p.part[0]));
    p.part[1] = _mm512_and_si512(_mm512_castps_si512(rest), high);
    p.part[2] = _mm512_castps_si512(_mm512_sub_ps(rest, _mm512_castsi512_ps(p.part[1])));
    return p;
}

/* The tile at `to` with rows and columns exchanged, a pair of bfloat16 being one element. */
static void amx_turn(char *to) {
    f32_vec r[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) r[i] = _mm512_load_ps((const float *)(to + 64 * i));
    f32_transpose(r);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) _mm512_store_ps((float *)(to + 64 * i), r[i]);
}

VEC_INLINE __mmask16 amx_first(int64_t n) { return n >= 16 ? 0xffff : n > 0 ? (__mmask16)((1u << n) - 1) : 0; }

/* One strip of floats; any: see amx_split_any. Returns the largest number's bits, without sign. */
VEC_INLINE uint32_t amx_pack(const bool any, char *to, const float *src, int64_t across, int64_t along, int width,
                             int64_t k, bool of_b, int64_t ahead) {
    __m512i odd = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27, 25, 23, 21,
                                   19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    const __m512i high = _mm512_set1_epi32((int)0xffff0000); /* the low part of a denormal has bits below */
    __m512i most = _mm512_setzero_si512();
    const __mmask16 wide = amx_first(width);
    const int64_t next = GEMM_AMX_SIDE * across - k; /* of rows: from the end of these to the next strip's */
    for (int64_t p = 0; p < k; p += GEMM_AMX_STEP, to += GEMM_AMX_PARTS * GEMM_AMX_TILE) {
        const __mmask16 first = amx_first(k - p), second = amx_first(k - p - 16);
        const int64_t far = 2 * GEMM_AMX_STEP + (p + 2 * GEMM_AMX_STEP < k ? 0 : next);
        for (int i = 0; i < 16; i++) {
            __m512 x, y; /* numbers whose parts become pairs of neighbours */
            if (along == 1) {
                const float *from = src + i * across + p;
                _mm_prefetch((const char *)(from + far), _MM_HINT_T0);
                _mm_prefetch((const char *)(from + far + 16), _MM_HINT_T0);
                x = _mm512_maskz_loadu_ps(i < width ? first : 0, from);
                y = _mm512_maskz_loadu_ps(i < width ? second : 0, from + 16);
            } else {
                const float *from = src + (p + 2 * i) * along;
                _mm_prefetch((const char *)(from + ahead), _MM_HINT_T0);
                _mm_prefetch((const char *)(from + along + ahead), _MM_HINT_T0);
                x = _mm512_maskz_loadu_ps(p + 2 * i < k ? wide : 0, from);
                y = _mm512_maskz_loadu_ps(p + 2 * i + 1 < k ? wide : 0, from + along);
            }
            amx_parts a = any ? amx_split_any(x) : amx_split(x, &most), b = any ? amx_split_any(y) : amx_split(y, &most);
            for (int s = 0; s < GEMM_AMX_PARTS; s++) {
                __m512i pairs = along == 1 ? _mm512_permutex2var_epi16(a.part[s], odd, b.part[s])
                                           : _mm512_ternarylogic_epi32(_mm512_srli_epi32(a.part[s], 16), b.part[s], high,
                                                                       0xf8 /* a | (b & high) */);
                _mm512_store_si512(to + s * GEMM_AMX_TILE + 64 * i, pairs);
            }
        }
        if ((along == 1) == of_b)
            for (int s = 0; s < GEMM_AMX_PARTS; s++) amx_turn(to + s * GEMM_AMX_TILE);
    }
    return _mm512_reduce_max_epu32(most);
}

static bool amx_pack_f32(char *to, const void *src, int64_t across, int64_t along, int width, int64_t k, bool of_b,
                         int64_t ahead) {
    uint32_t most = along == 1 ? amx_pack(false, to, src, across, 1, width, k, of_b, ahead)
                               : amx_pack(false, to, src, 1, along, width, k, of_b, ahead);
    if (most < AMX_LARGE && (most >= AMX_SMALL || most == 0)) return true;
    amx_pack(true, to, src, across, along, width, k, of_b, ahead);
    return false;
}

static bool amx_pack_bf16(char *to, const void *source, int64_t across, int64_t along, int width, int64_t k, bool of_b,
                          int64_t ahead) {
    (void)ahead;
    const uint16_t *src = source;
    const __mmask16 wide = amx_first(width);
    for (int64_t p = 0; p < k; p += GEMM_AMX_STEP, to += GEMM_AMX_TILE) {
        const __mmask32 part = k - p >= 32 ? ~(__mmask32)0 : ((__mmask32)1 << (k - p)) - 1;
        for (int i = 0; i < 16; i++) {
            __m512i pairs;
            if (along == 1) {
                pairs = _mm512_maskz_loadu_epi16(i < width ? part : 0, src + i * across + p);
            } else {
                const uint16_t *from = src + (p + 2 * i) * along;
                __m256i x = _mm256_maskz_loadu_epi16(p + 2 * i < k ? wide : 0, from);
                __m256i y = _mm256_maskz_loadu_epi16(p + 2 * i + 1 < k ? wide : 0, from + along);
                pairs = _mm512_or_si512(_mm512_cvtepu16_epi32(x), _mm512_slli_epi32(_mm512_cvtepu16_epi32(y), 16));
            }
            _mm512_store_si512(to + 64 * i, pairs);
        }
        if ((along == 1) == of_b) amx_turn(to);
    }
    return true;
}

/* ---- products: tiles 0 to 3 hold sums, 4 and 5 strips of A, 6 and 7 strips of B ---- */

#define AMX_A(rows, part)                                                                                              \
    do {                                                                                                               \
        _tile_loadd(4, a0 + (part) * GEMM_AMX_TILE, 64);                                                               \
        if (rows > 1) _tile_loadd(5, a1 + (part) * GEMM_AMX_TILE, 64);                                                 \
    } while (0)
#define AMX_B(cols, part)                                                                                              \
    do {                                                                                                               \
        _tile_loadd(6, b0 + (part) * GEMM_AMX_TILE, 64);                                                               \
        if (cols > 1) _tile_loadd(7, b1 + (part) * GEMM_AMX_TILE, 64);                                                 \
    } while (0)
#define AMX_PRODUCT(rows, cols)                                                                                        \
    do {                                                                                                               \
        _tile_dpbf16ps(0, 4, 6);                                                                                       \
        if (cols > 1) _tile_dpbf16ps(1, 4, 7);                                                                         \
        if (rows > 1) _tile_dpbf16ps(2, 5, 6);                                                                         \
        if (rows > 1 && cols > 1) _tile_dpbf16ps(3, 5, 7);                                                             \
    } while (0)
#define AMX_ENDS(rows, cols, verb, at, row)                                                                            \
    do {                                                                                                               \
        verb(0, at, (row) * 4);                                                                                        \
        if (cols > 1) verb(1, at + 16, (row) * 4);                                                                     \
        if (rows > 1) verb(2, at + 16 * (row), (row) * 4);                                                             \
        if (rows > 1 && cols > 1) verb(3, at + 16 * (row) + 16, (row) * 4);                                            \
    } while (0)

/* Neighbours in this order share an operand; B, which comes from farther away, is loaded only once. */
#define AMX_FLOAT(rows, cols)                                                                                          \
    do {                                                                                                               \
        AMX_B(cols, 2);                                                                                                \
        AMX_A(rows, 0);                                                                                                \
        AMX_PRODUCT(rows, cols);                                                                                       \
        AMX_B(cols, 1);                                                                                                \
        AMX_PRODUCT(rows, cols);                                                                                       \
        AMX_A(rows, 1);                                                                                                \
        AMX_PRODUCT(rows, cols);                                                                                       \
        AMX_B(cols, 0);                                                                                                \
        AMX_PRODUCT(rows, cols);                                                                                       \
        AMX_A(rows, 2);                                                                                                \
        AMX_PRODUCT(rows, cols);                                                                                       \
        AMX_A(rows, 0);                                                                                                \
        AMX_PRODUCT(rows, cols);                                                                                       \
    } while (0)
#define AMX_BF16(rows, cols)                                                                                           \
    do {                                                                                                               \
        AMX_A(rows, 0);                                                                                                \
        AMX_B(cols, 0);                                                                                                \
        AMX_PRODUCT(rows, cols);                                                                                       \
    } while (0)

#define AMX_TILE(name, parts, rows, cols, STEP)                                                                        \
    AMX_TARGET static void name(int64_t steps, const char *a0, const char *a1, const char *b0, const char *b1,         \
                                float *out, int64_t out_row, const float *first, int64_t first_row) {                  \
        if (first) {                                                                                                     \
            AMX_ENDS(rows, cols, _tile_loadd, first, first_row);                                                       \
        } else {                                                                                                       \
            _tile_zero(0);                                                                                             \
            _tile_zero(1);                                                                                             \
            _tile_zero(2);                                                                                             \
            _tile_zero(3);                                                                                             \
        }                                                                                                              \
        for (int64_t p = 0; p < steps; p++) {                                                                          \
            STEP(rows, cols);                                                                                          \
            a0 += parts * GEMM_AMX_TILE, b0 += parts * GEMM_AMX_TILE;                                                  \
            if (rows > 1) a1 += parts * GEMM_AMX_TILE;                                                                 \
            if (cols > 1) b1 += parts * GEMM_AMX_TILE;                                                                 \
        }                                                                                                              \
        AMX_ENDS(rows, cols, _tile_stored, out, out_row);                                                              \
        (void)a1, (void)b1;                                                                                            \
    }
#define AMX_TILES(type, parts, STEP)                                                                                   \
    AMX_TILE(amx_##type##_11, parts, 1, 1, STEP)                                                                       \
    AMX_TILE(amx_##type##_12, parts, 1, 2, STEP)                                                                       \
    AMX_TILE(amx_##type##_21, parts, 2, 1, STEP)                                                                       \
    AMX_TILE(amx_##type##_22, parts, 2, 2, STEP)                                                                       \
    static void amx_##type(int64_t steps, const char *a0, const char *a1, const char *b0, const char *b1, float *out,  \
                           int64_t out_row, const float *first, int64_t first_row) {                                   \
        (a1 ? b1 ? amx_##type##_22 : amx_##type##_21                                                                   \
            : b1 ? amx_##type##_12 : amx_##type##_11)(steps, a0, a1, b0, b1, out, out_row, first, first_row);          \
    }
AMX_TILES(f32, GEMM_AMX_PARTS, AMX_FLOAT)
AMX_TILES(bf16, 1, AMX_BF16)

/* ---- the rest, in vectors ---- */

VEC_INLINE __m512 amx_whole(const char *tiles, int odd) {
    __m512 x = _mm512_setzero_ps();
    for (int s = GEMM_AMX_PARTS; s-- > 0;) {
        __m512i pairs = _mm512_load_si512(tiles + s * GEMM_AMX_TILE);
        pairs = odd ? _mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000)) : _mm512_slli_epi32(pairs, 16);
        x = _mm512_add_ps(x, _mm512_castsi512_ps(pairs));
    }
    return x;
}

static void amx_any(int64_t steps, const char *a0, const char *a1, const char *b0, const char *b1, float *out,
                    int64_t out_row, const float *first, int64_t first_row) {
    (void)first, (void)first_row;
    for (int half = 0; half < (a1 ? 2 : 1); half++) {
        const char *strip = half ? a1 : a0;
        for (int i = 0; i < 16; i++) {
            __m512 x0 = _mm512_setzero_ps(), x1 = x0;
            for (int64_t p = 0; p < steps; p++) {
                int64_t at = p * GEMM_AMX_PARTS * GEMM_AMX_TILE;
                float a[2][16];
                for (int odd = 0; odd < 2; odd++) _mm512_storeu_ps(a[odd], amx_whole(strip + at + 64 * i, odd));
                for (int q = 0; q < 32; q++) {
                    __m512 av = _mm512_set1_ps(a[q % 2][q / 2]);
                    x0 = _mm512_fmadd_ps(av, amx_whole(b0 + at + 64 * (q / 2), q % 2), x0);
                    if (b1) x1 = _mm512_fmadd_ps(av, amx_whole(b1 + at + 64 * (q / 2), q % 2), x1);
                }
            }
            _mm512_storeu_ps(out + (half * 16 + i) * out_row, x0);
            if (b1) _mm512_storeu_ps(out + (half * 16 + i) * out_row + 16, x1);
        }
    }
}

static void amx_finish(const float *x, int rows, int cols, float *c, int64_t c_row, const gemm_tail *tail) {
    const __m512 alpha = _mm512_set1_ps((float)tail->alpha), beta = _mm512_set1_ps((float)tail->beta);
    for (int v = 0; v * 16 < cols; v++) {
        const __mmask16 part = amx_first(cols - v * 16);
        const __m512 bias =
            tail->bias ? _mm512_maskz_loadu_ps(part, (const float *)tail->bias + v * 16) : _mm512_setzero_ps();
        for (int i = 0; i < rows; i++) {
            float *to = c + i * c_row + v * 16;
            __m512 y = _mm512_mul_ps(_mm512_loadu_ps(x + i * 32 + v * 16), alpha);
            if (tail->beta != 0) y = _mm512_fmadd_ps(beta, _mm512_maskz_loadu_ps(part, to), y);
            if (tail->bias) y = _mm512_add_ps(y, bias);
            if (tail->relu) y = f32_relu(y);
            _mm512_mask_storeu_ps(to, part, y);
        }
    }
}

const gemm_amx_kernels TAPER_SIMD(taper__gemm_amx_kernels) = {
    .begin = amx_begin,
    .end = amx_end,
    .pack = {amx_pack_f32, amx_pack_bf16},
    .tile = {amx_f32, amx_bf16},
    .any = amx_any,
    .finish = amx_finish,
};
#else
const gemm_amx_kernels TAPER_SIMD(taper__gemm_amx_kernels) = {0};
#endif
