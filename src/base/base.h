/* What every layer may use: failing, allocation, logging, knobs, the thread pool, run-time libraries. */
#ifndef TAPER_BASE_BASE_H
#define TAPER_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <taper/status.h>

#define TAPER_FAIL(status, ...) taper_fail((status), __FILE__, __LINE__, __VA_ARGS__)

/* Returns on failure; only where nothing is owned yet. A function with an `out:` label uses TAPER_TRY_GOTO. */
#define TAPER_TRY(expression)                                                                                          \
    do {                                                                                                               \
        taper_status taper_try_ = (expression);                                                                        \
        if (__builtin_expect(taper_try_ != TAPER_OK, 0)) return taper_try_;                                            \
    } while (0)

/* Needs a local `taper_status st` and a label `out`. */
#define TAPER_TRY_GOTO(expression)                                                                                     \
    do {                                                                                                               \
        st = (expression);                                                                                             \
        if (__builtin_expect(st != TAPER_OK, 0)) goto out;                                                             \
    } while (0)

#define TAPER_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define TAPER_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define TAPER_LIKELY(x) __builtin_expect(!!(x), 1)

/* ---- alloc.c: host memory for everything but tensor data ---- */
/* NULL when out of memory; the caller reports. taper__alloc_fail_at(n) makes the n-th next allocation of this thread
 * fail (n = 1: the next one; 0: off), which is how the tests reach every error path. */
void *taper__alloc(size_t bytes);
void *taper__alloc_zero(size_t bytes);
void *taper__realloc(void *p, size_t bytes);
void taper__free(void *p);
char *taper__strdup(const char *s);
TAPER_API void taper__alloc_fail_at(int64_t n);
TAPER_API int64_t taper__alloc_live(void); /* blocks not yet freed, over all threads: the leak check of the tests */
TAPER_API bool taper__alloc_would_fail(void); /* counts one allocation of another allocator against fail_at */
void taper__alloc_count(int64_t blocks); /* other allocators report their live blocks here */
extern int64_t (*taper__alloc_live_more)(void); /* or are asked: set by the CPU's tensor allocator, which counts per thread */

/* ---- status.c ---- */
taper_status taper__error_status(void); /* of the message that taper_error_message() gives */

/* ---- log.c ---- */
/* Knob TAPER_LOG is a comma list of topics: dispatch, slow, memory, cuda, io, all. Lines go to the sink, by default
 * standard error of the host program. */
bool taper__log_on(const char *topic);
void taper__log(const char *topic, const char *format, ...) TAPER_PRINTF(2, 3);

/* ---- knobs.c: environment variables, declared where used, listed by `taper knobs` ---- */
typedef struct taper_knob {
    const char *name;     /* "TAPER_NUM_THREADS" */
    const char *fallback; /* text of the default */
    const char *help;     /* one line */
    struct taper_knob *next;
    const char *value;
} taper_knob;
/* Defines a static knob and registers it at load time. */
#define TAPER_KNOB(variable, env_name, default_text, help_text)                                                        \
    static taper_knob variable = {.name = env_name, .fallback = default_text, .help = help_text};                      \
    __attribute__((constructor)) static void variable##_register(void) { taper__knob_register(&variable); }            \
    struct taper_knob /* swallow the semicolon */
void taper__knob_register(taper_knob *knob);
TAPER_API const char *taper__knob_text(const taper_knob *knob);
int64_t taper__knob_int(const taper_knob *knob);
bool taper__knob_bool(const taper_knob *knob);
TAPER_API const taper_knob *taper__knob_list(void); /* both for the tool, which links the shared library */

/* ---- pool.c: one thread pool for the process ---- */
typedef void (*taper_range_fn)(void *ctx, int64_t begin, int64_t end);
/* Runs fn over [0, n) cut into ranges of at least `grain`; ranges run on any thread; returns when all are done. The cut
 * depends on n and grain and the thread count; code whose result depends on the cut must make its own fixed blocks and
 * run over block numbers. Nested calls run inline. */
void taper__parallel_for(int64_t n, int64_t grain, taper_range_fn fn, void *ctx);
/* CPUs this process may use by affinity and cgroup quota (v1 and v2), at least 1. Reads files: keep the answer. */
int taper__cpu_count(void);

/* ---- isa.c: which instruction set the kernels may use ---- */
/* Files named *.simd.c are compiled once per level; TAPER_SIMD(name) gives their definitions a suffix, and
 * TAPER_SIMD_PICK(name) selects the best one this processor runs. */
typedef enum taper_isa { TAPER_ISA_BASE, TAPER_ISA_V3, TAPER_ISA_V4, TAPER_ISA_COUNT } taper_isa;
taper_isa taper__isa(void);
const char *taper__isa_name(taper_isa isa);
bool taper__isa_tiles(void); /* v4, and AMX with bfloat16, which the kernel of the system has let this process use */
#define TAPER_SIMD_JOIN_(a, b) a##_##b
#define TAPER_SIMD_JOIN(a, b) TAPER_SIMD_JOIN_(a, b)
#define TAPER_SIMD(name) TAPER_SIMD_JOIN(name, TAPER_SIMD_LEVEL)
#if defined(__x86_64__)
#define TAPER_SIMD_DECLARE(type, name) extern const type name##_base, name##_v3, name##_v4
#define TAPER_SIMD_PICK(name)                                                                                          \
    (taper__isa() == TAPER_ISA_V4 ? &name##_v4 : taper__isa() == TAPER_ISA_V3 ? &name##_v3 : &name##_base)
#else
#define TAPER_SIMD_DECLARE(type, name) extern const type name##_base
#define TAPER_SIMD_PICK(name) (&name##_base)
#endif

/* ---- dl.c: libraries found at run time ---- */
/* Opens the first of `names` (NULL-ended sonames, best first) found in: the folders of the knob TAPER_LIBRARY_PATH, added
 * paths and the wheels below them, the loader's path, CUDA_HOME and toolkit folders, pip wheels (nvidia/<any>/lib) of the
 * running interpreter. A stub of the toolkit is refused. Returns NULL with a sentence in why[] (what was looked for where,
 * or the loader's own words about a file that was there). Libraries stay open; only one that turns out to be of no use is
 * closed. */
typedef struct taper_library taper_library;
taper_library *taper__library_open(const char *const *names, char *why, size_t why_size);
void taper__library_close(taper_library *library);
void *taper__library_symbol(taper_library *library, const char *symbol);
const char *taper__library_path(const taper_library *library);
void taper__library_add_path(const char *folder); /* searched first; the Python package adds its site-packages */

/* Fills a struct of function pointers. The list ends with a NULL name; false with a sentence when a symbol that is not
 * optional is missing. */
typedef struct taper_symbol {
    const char *name;
    size_t offset; /* of the pointer in the table */
    bool optional;
} taper_symbol;
bool taper__library_table(taper_library *library, const taper_symbol *symbols, void *table, char *why, size_t why_size);

/* False with a sentence when the knob TAPER_PROVIDERS ("cublaslt,cudnn", "none") leaves the provider out. */
bool taper__provider_allowed(const char *provider, char *why, size_t why_size);

#endif
