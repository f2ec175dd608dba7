/* CRC-32 (polynomial 0x04c11db7) and CRC-32C (Castagnoli, 0x1edc6f41), reflected, eight bytes a step; long CRC-32 by
 * carry-less multiplication where the processor has it (Gopal et al., Intel 2009: fold 64 bytes at a time). */
#include <pthread.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "io/io.h"

typedef uint32_t crc_tables[8][256];
static crc_tables crc_zip, crc_castagnoli;
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

/* Row 0: a byte's remainder; row k: the same byte followed by k zero bytes. */
static void crc_fill(crc_tables t, uint32_t polynomial) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? polynomial : 0);
        t[0][i] = c;
    }
    for (int row = 1; row < 8; row++)
        for (int i = 0; i < 256; i++) t[row][i] = t[row - 1][i] >> 8 ^ t[0][t[row - 1][i] & 255];
}
static void crc_init(void) {
    crc_fill(crc_zip, 0xedb88320u);
    crc_fill(crc_castagnoli, 0x82f63b78u);
}

/* The bare register: without the inversions before and after. */
static uint32_t crc_run(const uint32_t t[8][256], uint32_t crc, const unsigned char *p, size_t n) {
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t v = io_little(p, 8) ^ crc;
        crc = t[7][v & 255] ^ t[6][v >> 8 & 255] ^ t[5][v >> 16 & 255] ^ t[4][v >> 24 & 255] ^ t[3][v >> 32 & 255] ^
              t[2][v >> 40 & 255] ^ t[1][v >> 48 & 255] ^ t[0][v >> 56];
    }
    while (n--) crc = crc >> 8 ^ t[0][(crc ^ *p++) & 255];
    return crc;
}

#if defined(__x86_64__)
#define CRC_FOLD(x, k) _mm_xor_si128(_mm_clmulepi64_si128(x, k, 0x00), _mm_clmulepi64_si128(x, k, 0x11))

/* Folds a multiple of 64 bytes, at least 64, into 16 with the same remainder; these the tables finish. */
__attribute__((target("pclmul,sse4.1"))) static uint32_t crc_fold(uint32_t crc, const unsigned char *p, size_t n) {
    const __m128i far = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);  /* x^(512-32), x^(512+32) mod P, reflected */
    const __m128i near = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0); /* x^(128-32), x^(128+32) */
    const __m128i *v = (const __m128i *)p;
    __m128i x[4];
    unsigned char rest[16];
    for (int i = 0; i < 4; i++) x[i] = _mm_loadu_si128(v + i);
    x[0] = _mm_xor_si128(x[0], _mm_cvtsi32_si128((int)crc));
    for (v += 4, n -= 64; n > 0; v += 4, n -= 64)
        for (int i = 0; i < 4; i++) x[i] = _mm_xor_si128(CRC_FOLD(x[i], far), _mm_loadu_si128(v + i));
    for (int i = 0; i < 3; i++) x[i + 1] = _mm_xor_si128(CRC_FOLD(x[i], near), x[i + 1]);
    _mm_storeu_si128((__m128i *)rest, x[3]);
    return crc_run((const uint32_t(*)[256])crc_zip, 0, rest, 16);
}
#endif

uint32_t taper__crc32(uint32_t crc, const void *data, size_t n) {
    const unsigned char *p = data;
    pthread_once(&crc_once, crc_init);
    crc = ~crc;
#if defined(__x86_64__)
    size_t bulk = n & ~(size_t)63;
    if (bulk && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
        crc = crc_fold(crc, p, bulk);
        p += bulk;
        n -= bulk;
    }
#endif
    return ~crc_run((const uint32_t(*)[256])crc_zip, crc, p, n);
}
uint32_t taper__crc32c(uint32_t crc, const void *data, size_t n) {
    pthread_once(&crc_once, crc_init);
    return ~crc_run((const uint32_t(*)[256])crc_castagnoli, ~crc, data, n);
}
