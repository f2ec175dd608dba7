/* Picks the instruction-set level once. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

TAPER_KNOB(knob_isa, "TAPER_ISA", "best", "instruction set of the CPU kernels: base, v3 (AVX2), v4 (AVX-512), best");

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

const char *taper__isa_name(taper_isa isa) { return isa_names[isa]; }
