/* Picks the instruction-set level once. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "base/base.h"

TAPER_KNOB(knob_isa, "TAPER_ISA", "best", "instruction set of the CPU kernels: base, v3 (AVX2), v4 (AVX-512), best (v4 with AMX where there is one)");

static const char *const isa_names[] = {"base", "v3", "v4"};

static taper_isa isa_detect(void) {
    taper_isa best = TAPER_ISA_BASE;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) {
        best = TAPER_ISA_V3;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd"))
            best = TAPER_ISA_V4;
    }
#endif
    const char *wish = taper__knob_text(&knob_isa);
    for (int i = 0; i < (int)best; i++)
        if (!strcmp(wish, isa_names[i])) return (taper_isa)i;
    return best;
}

taper_isa taper__isa(void) {
    static _Atomic int known = -1; /* two threads may find out at once: the same value */
    int isa = atomic_load_explicit(&known, memory_order_relaxed);
    if (TAPER_UNLIKELY(isa < 0)) {
        isa = (int)isa_detect();
        atomic_store_explicit(&known, isa, memory_order_relaxed);
    }
    return (taper_isa)isa;
}

static bool isa_detect_tiles(void) {
#if defined(__x86_64__)
    enum { ISA_REQUEST_PERMISSION = 0x1023, ISA_TILE_DATA = 18 }; /* arch_prctl of Linux 5.16 */
    unsigned a, b, c, d;
    if (taper__isa() != TAPER_ISA_V4 || !strcmp(taper__knob_text(&knob_isa), "v4")) return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) || !(d >> 24 & 1)) return false;
    return !syscall(SYS_arch_prctl, ISA_REQUEST_PERMISSION, ISA_TILE_DATA);
#else
    return false;
#endif
}

bool taper__isa_tiles(void) {
    static _Atomic int known = -1;
    int tiles = atomic_load_explicit(&known, memory_order_relaxed);
    if (TAPER_UNLIKELY(tiles < 0)) {
        tiles = isa_detect_tiles();
        atomic_store_explicit(&known, tiles, memory_order_relaxed);
    }
    return tiles;
}

const char *taper__isa_name(taper_isa isa) { return isa_names[isa]; }
