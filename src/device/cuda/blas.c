/* cuBLASLt by run-time table. Each shape's descriptors and chosen algorithm are kept; a repeated call sets pointers
 * only. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taper/cuda.h>

#include "device/cuda/blas.h"
#include "device/cuda/launch_times.h"

/* cudaDataType, cublasComputeType_t and the attributes of cublasLt.h, the same in all three majors. */
enum { BLAS_F32 = 0, BLAS_F64 = 1, BLAS_F16 = 2, BLAS_BF16 = 14, BLAS_E4M3 = 28, BLAS_E5M2 = 29 };
enum { BLAS_COMPUTE_32F = 68, BLAS_COMPUTE_64F = 70, BLAS_COMPUTE_TF32 = 77 };
enum { BLAS_LAYOUT_BATCH = 5, BLAS_LAYOUT_STRIDE = 6 };
enum {
    BLAS_TRANS_A = 3,
    BLAS_TRANS_B = 4,
    BLAS_EPILOGUE = 7,
    BLAS_BIAS_POINTER = 8,
    BLAS_AUX_POINTER = 11,
    BLAS_AUX_LD = 12,
    BLAS_AUX_STRIDE = 13,
    BLAS_SCALE_A = 17,
    BLAS_SCALE_B = 18,
    BLAS_SCALE_D = 20,
    BLAS_FAST_ACCUMULATE = 25,
};
enum { BLAS_PREFER_WORKSPACE = 1, BLAS_PREFER_ALIGN_A = 5 }; /* then B, C, D */
enum { BLAS_WORKSPACE_HOPPER = 32 << 20, BLAS_WORKSPACE = 4 << 20, BLAS_PLANS = 1024, BLAS_PLANS_MOST = 4096 };

/* cublasLtMatmulHeuristicResult_t */
typedef struct blas_choice {
    uint64_t algorithm[8];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
} blas_choice;

static struct blas_table {
    int (*create)(void **handle);
    size_t (*version)(void);
    const char *(*status_name)(int status);
    int (*desc_create)(void **desc, int compute, int scale_type);
    int (*desc_destroy)(void *desc);
    int (*desc_set)(void *desc, int attribute, const void *value, size_t size);
    int (*layout_create)(void **layout, int type, uint64_t rows, uint64_t cols, int64_t ld);
    int (*layout_destroy)(void *layout);
    int (*layout_set)(void *layout, int attribute, const void *value, size_t size);
    int (*preference_create)(void **preference);
    int (*preference_destroy)(void *preference);
    int (*preference_set)(void *preference, int attribute, const void *value, size_t size);
    int (*heuristic)(void *handle, void *desc, void *a, void *b, void *c, void *d, void *preference, int want,
                     blas_choice *choices, int *got);
    int (*matmul)(void *handle, void *desc, const void *alpha, const void *a, void *la, const void *b, void *lb,
                  const void *beta, const void *c, void *lc, void *d, void *ld, const void *algorithm, void *workspace,
                  size_t bytes, void *stream);
} blas;

static const taper_symbol blas_symbols[] = {
    {"cublasLtCreate", offsetof(struct blas_table, create), false},
    {"cublasLtGetVersion", offsetof(struct blas_table, version), false},
    {"cublasLtGetStatusName", offsetof(struct blas_table, status_name), true},
    {"cublasLtMatmulDescCreate", offsetof(struct blas_table, desc_create), false},
    {"cublasLtMatmulDescDestroy", offsetof(struct blas_table, desc_destroy), false},
    {"cublasLtMatmulDescSetAttribute", offsetof(struct blas_table, desc_set), false},
    {"cublasLtMatrixLayoutCreate", offsetof(struct blas_table, layout_create), false},
    {"cublasLtMatrixLayoutDestroy", offsetof(struct blas_table, layout_destroy), false},
    {"cublasLtMatrixLayoutSetAttribute", offsetof(struct blas_table, layout_set), false},
    {"cublasLtMatmulPreferenceCreate", offsetof(struct blas_table, preference_create), false},
    {"cublasLtMatmulPreferenceDestroy", offsetof(struct blas_table, preference_destroy), false},
    {"cublasLtMatmulPreferenceSetAttribute", offsetof(struct blas_table, preference_set), false},
    {"cublasLtMatmulAlgoGetHeuristic", offsetof(struct blas_table, heuristic), false},
    {"cublasLtMatmul", offsetof(struct blas_table, matmul), false},
    {NULL, 0, false},
};

/* What decides descriptors and algorithm; compared as bytes. */
typedef struct blas_key {
    int64_t m, n, k, batch, lda, ldb, ldc, ldout, stride_a, stride_b, stride_c, stride_out, ldaux, stride_aux;
    int32_t epilogue;
    uint8_t dtype_a, dtype_b, dtype_out, trans_a, trans_b, tf32, fast, scales;
    uint8_t align_a, align_b, align_c, align_out; /* log2, at most 8 */
} blas_key;

typedef struct blas_plan {
    blas_key key;
    struct blas_plan *next;
    void *desc, *a, *b, *c, *d;
    blas_choice choice;
} blas_plan;

static struct {
    void *handle;
    blas_plan *plans[BLAS_PLANS];
    int count;
} blas_gpu[TAPER_MAX_GPUS];
static pthread_mutex_t blas_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t blas_once = PTHREAD_ONCE_INIT;
static char blas_why[1400];
static int blas_number;

static void blas_load(void) {
    static const char *const all[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11", NULL};
    const char *why;
    if (!taper__driver_open(&why)) {
        snprintf(blas_why, sizeof blas_why, "%s", why);
        return;
    }
    if (!taper__provider_allowed("cublaslt", blas_why, sizeof blas_why)) return;
    /* A library newer than the driver's major version does not start. */
    int major = taper__driver_version() / 1000;
    taper_library *library = taper__library_open(all + (major >= 13   ? 0
                                                        : major == 12 ? 1
                                                                      : 2),
                                                 blas_why, sizeof blas_why);
    if (!library || !taper__library_table(library, blas_symbols, &blas, blas_why, sizeof blas_why)) return;
    blas_number = (int)blas.version();
    taper__log("cuda", "cuBLASLt %d from %s", blas_number, taper__library_path(library));
}

bool taper__cublaslt_available(char *why, size_t why_size) {
    pthread_once(&blas_once, blas_load);
    if (!blas_number && why) snprintf(why, why_size, "%s", blas_why);
    return blas_number != 0;
}

int taper__cublaslt_version(void) { return blas_number; }

static atomic_bool blas_tf32;
bool taper_cuda_set_matmul_tf32(bool on) { return atomic_exchange(&blas_tf32, on); }
bool taper__cublaslt_tf32(void) { return atomic_load_explicit(&blas_tf32, memory_order_relaxed); }

static int blas_type(int dtype) {
    switch (dtype) {
    case TAPER_F32:
        return BLAS_F32;
    case TAPER_F64:
        return BLAS_F64;
    case TAPER_F16:
        return BLAS_F16;
    case TAPER_BF16:
        return BLAS_BF16;
    case TAPER_F8_E4M3:
        return BLAS_E4M3;
    case TAPER_F8_E5M2:
        return BLAS_E5M2;
    default:
        return -1;
    }
}

static const char *blas_name(int dtype) {
    static const char *const names[] = {
#define BLAS_DTYPE_NAME(name, text, ...) text,
        TAPER_DTYPE_MAP(BLAS_DTYPE_NAME)
#undef BLAS_DTYPE_NAME
    };
    return dtype < TAPER_DTYPE_COUNT ? names[dtype] : "?";
}

static bool blas_is_fp8(int dtype) { return dtype == TAPER_F8_E4M3 || dtype == TAPER_F8_E5M2; }

static uint8_t blas_align(const void *p) {
    int n = p ? __builtin_ctzll((unsigned long long)(uintptr_t)p) : 8;
    return (uint8_t)(n < 8 ? n : 8);
}

static void blas_make_key(blas_key *key, const taper_gemm *g) {
    memset(key, 0, sizeof *key); /* padding too: keys are compared as bytes */
    key->m = g->m, key->n = g->n, key->k = g->k;
    key->batch = g->batch > 1 ? g->batch : 1;
    key->lda = g->lda ? g->lda : g->trans_a ? g->m : g->k;
    key->ldb = g->ldb ? g->ldb : g->trans_b ? g->k : g->n;
    key->ldout = g->ldout ? g->ldout : g->n;
    key->ldc = g->c ? (g->ldc ? g->ldc : g->n) : key->ldout;
    if (key->batch > 1) {
        key->stride_a = g->stride_a, key->stride_b = g->stride_b, key->stride_out = g->stride_out;
        key->stride_c = g->c ? g->stride_c : g->stride_out;
        key->stride_aux = g->stride_aux;
    }
    key->epilogue = g->epilogue ? g->epilogue : TAPER_EPILOGUE_NONE;
    if (g->aux) key->ldaux = g->ldaux ? g->ldaux : g->n;
    key->dtype_a = g->dtype_a, key->dtype_b = g->dtype_b, key->dtype_out = g->dtype_out;
    key->trans_a = g->trans_a, key->trans_b = g->trans_b, key->tf32 = g->tf32, key->fast = g->fast_accumulate;
    key->scales = (uint8_t)((g->scale_a != NULL) | (g->scale_b != NULL) << 1 | (g->scale_out != NULL) << 2);
    key->align_a = blas_align(g->a), key->align_b = blas_align(g->b), key->align_out = blas_align(g->out);
    key->align_c = g->c ? blas_align(g->c) : key->align_out;
}

static size_t blas_hash(const blas_key *key) {
    uint64_t words[sizeof *key / 8], h = 0;
    memcpy(words, key, sizeof words);
    for (size_t i = 0; i < sizeof words / 8; i++) h = (h ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15), h ^= h >> 29;
    return h % BLAS_PLANS;
}

static void blas_plan_end(blas_plan *p) {
    if (!p) return;
    if (p->desc) blas.desc_destroy(p->desc);
    void *layouts[] = {p->a, p->b, p->c, p->d};
    for (int i = 0; i < 4; i++)
        if (layouts[i]) blas.layout_destroy(layouts[i]);
    free(p);
}

static int blas_layout(void **out, int dtype, int64_t rows, int64_t cols, int64_t ld, int64_t batch, int64_t stride) {
    int r = blas.layout_create(out, blas_type(dtype), (uint64_t)rows, (uint64_t)cols, ld);
    int32_t count = (int32_t)batch;
    if (!r && batch > 1) r = blas.layout_set(*out, BLAS_LAYOUT_BATCH, &count, sizeof count);
    if (!r && batch > 1) r = blas.layout_set(*out, BLAS_LAYOUT_STRIDE, &stride, sizeof stride);
    return r;
}

static int blas_set_pointers(void *desc, const taper_gemm *g) {
    const struct {
        int attribute;
        const void *pointer;
    } list[] = {{BLAS_BIAS_POINTER, g->bias},
                {BLAS_AUX_POINTER, g->aux},
                {BLAS_SCALE_A, g->scale_b},
                {BLAS_SCALE_B, g->scale_a},
                {BLAS_SCALE_D, g->scale_out}};
    int r = 0;
    for (int i = 0; i < TAPER_COUNT(list) && !r; i++)
        if (list[i].pointer) r = blas.desc_set(desc, list[i].attribute, &list[i].pointer, sizeof list[i].pointer);
    return r;
}

/* cuBLASLt is column-major: it sees each matrix transposed, so out' = op(b)' op(a)', with the operands exchanged. */
static int blas_describe(blas_plan *p, const taper_gemm *g) {
    const blas_key *k = &p->key;
    bool f64 = g->dtype_a == TAPER_F64;
    int compute = f64 ? BLAS_COMPUTE_64F : g->dtype_a == TAPER_F32 && g->tf32 ? BLAS_COMPUTE_TF32 : BLAS_COMPUTE_32F;
    int32_t ta = g->trans_b, tb = g->trans_a; /* CUBLAS_OP_N 0, CUBLAS_OP_T 1 */
    int r = blas.desc_create(&p->desc, compute, f64 ? BLAS_F64 : BLAS_F32);
    if (!r) r = blas.desc_set(p->desc, BLAS_TRANS_A, &ta, sizeof ta);
    if (!r) r = blas.desc_set(p->desc, BLAS_TRANS_B, &tb, sizeof tb);
    if (!r) r = blas.desc_set(p->desc, BLAS_EPILOGUE, &k->epilogue, sizeof k->epilogue);
    if (!r && g->aux) r = blas.desc_set(p->desc, BLAS_AUX_LD, &k->ldaux, sizeof k->ldaux);
    if (!r && g->aux && k->batch > 1) r = blas.desc_set(p->desc, BLAS_AUX_STRIDE, &k->stride_aux, sizeof k->stride_aux);
    if (!r && g->fast_accumulate) {
        int8_t fast = 1;
        r = blas.desc_set(p->desc, BLAS_FAST_ACCUMULATE, &fast, sizeof fast);
    }
    if (!r) r = blas_set_pointers(p->desc, g);
    int c_dtype = blas_is_fp8(g->dtype_out) ? TAPER_BF16 : g->dtype_out;
    if (!r)
        r = blas_layout(&p->a, g->dtype_b, g->trans_b ? g->k : g->n, g->trans_b ? g->n : g->k, k->ldb, k->batch,
                        k->stride_b);
    if (!r)
        r = blas_layout(&p->b, g->dtype_a, g->trans_a ? g->m : g->k, g->trans_a ? g->k : g->m, k->lda, k->batch,
                        k->stride_a);
    if (!r) r = blas_layout(&p->c, c_dtype, g->n, g->m, k->ldc, k->batch, k->stride_c);
    if (!r) r = blas_layout(&p->d, g->dtype_out, g->n, g->m, k->ldout, k->batch, k->stride_out);
    return r;
}

static int blas_choose(blas_plan *p, void *handle, int index) {
    void *preference = NULL;
    size_t most = taper__gpus[index].capability >= 90 ? BLAS_WORKSPACE_HOPPER : BLAS_WORKSPACE;
    uint32_t align[4] = {1u << p->key.align_b, 1u << p->key.align_a, 1u << p->key.align_c, 1u << p->key.align_out};
    int got = 0, r = blas.preference_create(&preference);
    if (!r) r = blas.preference_set(preference, BLAS_PREFER_WORKSPACE, &most, sizeof most);
    for (int i = 0; i < 4 && !r; i++)
        r = blas.preference_set(preference, BLAS_PREFER_ALIGN_A + i, &align[i], sizeof align[i]);
    if (!r) r = blas.heuristic(handle, p->desc, p->a, p->b, p->c, p->d, preference, 1, &p->choice, &got);
    if (preference) blas.preference_destroy(preference);
    enum { NOT_SUPPORTED = 15 };
    return r ? r : got < 1 ? NOT_SUPPORTED : p->choice.state;
}

static taper_status blas_failed(int r, const taper_gemm *g, const char *op, const char *what) {
    bool unsupported = r == 15 || r == 7; /* NOT_SUPPORTED, INVALID_VALUE */
    return TAPER_FAIL(unsupported ? TAPER_NOT_IMPLEMENTED : TAPER_RUNTIME,
                      "%s: cuBLASLt %d: %s (%s), %s%s x %s%s -> %s, M %lld, N %lld, K %lld, batch %lld, epilogue %d",
                      op, blas_number, blas.status_name ? blas.status_name(r) : "error", what, blas_name(g->dtype_a),
                      g->trans_a ? "^T" : "", blas_name(g->dtype_b), g->trans_b ? "^T" : "", blas_name(g->dtype_out),
                      (long long)g->m, (long long)g->n, (long long)g->k, (long long)g->batch, (int)g->epilogue);
}

/* Under the lock. */
static taper_status blas_plan_for(blas_plan **out, const taper_gemm *g, int index, const char *op) {
    blas_key key;
    blas_make_key(&key, g);
    size_t h = blas_hash(&key);
    for (blas_plan *p = blas_gpu[index].plans[h]; p; p = p->next)
        if (!memcmp(&p->key, &key, sizeof key)) {
            *out = p;
            return TAPER_OK;
        }
    if (blas_gpu[index].count >= BLAS_PLANS_MOST) { /* shapes that never repeat must not pile up */
        for (int i = 0; i < BLAS_PLANS; i++)
            for (blas_plan *p; (p = blas_gpu[index].plans[i]);) {
                blas_gpu[index].plans[i] = p->next;
                blas_plan_end(p);
            }
        blas_gpu[index].count = 0;
    }
    blas_plan *p = calloc(1, sizeof *p);
    if (!p) return TAPER_FAIL(TAPER_MEMORY, "%s: out of memory", op);
    p->key = key;
    int r = blas_describe(p, g);
    const char *what = "describing the product";
    if (!r) {
        what = "no algorithm for this case";
        r = blas_choose(p, blas_gpu[index].handle, index);
    }
    if (r) {
        blas_plan_end(p);
        return blas_failed(r, g, op, what);
    }
    p->next = blas_gpu[index].plans[h];
    blas_gpu[index].plans[h] = p;
    blas_gpu[index].count++;
    *out = p;
    return TAPER_OK;
}

taper_status taper__cublaslt_matmul(const taper_gemm *g, int index, const char *op) {
    char why[1400];
    if (!taper__cublaslt_available(why, sizeof why)) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: %s", op, why);
    if (blas_type(g->dtype_a) < 0 || blas_type(g->dtype_b) < 0 || blas_type(g->dtype_out) < 0)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: cuBLASLt has no %s x %s -> %s", op, blas_name(g->dtype_a),
                          blas_name(g->dtype_b), blas_name(g->dtype_out));
    if (blas_is_fp8(g->dtype_a) && (g->trans_a || !g->trans_b))
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: float8 products need a stored as [M, K] and b as [N, K]", op);
    TAPER_TRY(taper__cuda_enter(&index));
    void *workspace = NULL;
    blas_plan *p = NULL;
    taper_status st = TAPER_OK;
    float alpha32 = (float)g->alpha, beta32 = (float)g->beta;
    bool f64 = g->dtype_a == TAPER_F64;
    pthread_mutex_lock(&blas_lock); /* descriptors carry this call's pointers */
    if (TAPER_UNLIKELY(!blas_gpu[index].handle)) {
        int r = blas.create(&blas_gpu[index].handle);
        if (r) blas_gpu[index].handle = NULL;
        if (r) TAPER_TRY_GOTO(blas_failed(r, g, op, "starting cuBLASLt"));
    }
    TAPER_TRY_GOTO(blas_plan_for(&p, g, index, op));
    if (p->choice.workspace)
        TAPER_TRY_GOTO(taper__cuda_memory_alloc(&workspace, p->choice.workspace, index, "matmul workspace"));
    int r = blas_set_pointers(p->desc, g);
    taper_cuda_stream *stream = taper__cuda_current(index);
    void *mark = taper__times_begin(index, stream);
    if (!r)
        r = blas.matmul(blas_gpu[index].handle, p->desc, f64 ? (const void *)&g->alpha : &alpha32, g->b, p->a, g->a,
                        p->b, f64 ? (const void *)&g->beta : &beta32, g->c ? g->c : g->out, p->c, g->out, p->d,
                        &p->choice.algorithm, workspace, p->choice.workspace, stream->handle);
    if (TAPER_UNLIKELY(mark != NULL)) {
        char name[72];
        snprintf(name, sizeof name, "cublaslt %lld x %lld x %lld%s%s epilogue %d", (long long)g->m, (long long)g->n, (long long)g->k,
                 g->trans_a ? " a^T" : "", g->trans_b ? " b^T" : "", (int)p->key.epilogue);
        taper__times_end(mark, stream, name);
    }
    if (r) st = blas_failed(r, g, op, "running the product");
out:
    pthread_mutex_unlock(&blas_lock);
    if (workspace)
        taper__cuda_memory_free(workspace, 0, index); /* in stream order: the next product may have it at once */
    return st ? st : taper__cuda_launched(index, op);
}
