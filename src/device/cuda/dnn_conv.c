/* Convolutions as cuDNN execution plans: one operation per graph, the first engine of the heuristics that keeps the library's
 * promises (the same bits each time, no lower precision than asked for), kept for the next call of the same description. */
#include <stdio.h>
#include <string.h>
#include <taper/dtype.h>

#include "device/cuda/dnn.h"
#include "device/cuda/gpu.h"

/* Numbers of cudnn_graph.h, the same in versions 8.9 and 9. */
enum {
    DNN_CONVOLUTION = 1,
    DNN_ENGINE = 2,
    DNN_ENGINE_CONFIG = 3,
    DNN_HEURISTICS = 4,
    DNN_PLAN = 5,
    DNN_GRAPH = 15,
    DNN_VARIANT_PACK = 16,
    DNN_TENSOR = 17,
    DNN_TYPE_HANDLE = 0,
    DNN_TYPE_DATA_TYPE = 1,
    DNN_TYPE_INT64 = 3,
    DNN_TYPE_FLOAT = 4,
    DNN_TYPE_POINTER = 6,
    DNN_TYPE_CONVOLUTION_MODE = 7,
    DNN_TYPE_HEURISTICS_MODE = 8,
    DNN_TYPE_NOTE = 11,
    DNN_TYPE_DESCRIPTOR = 15,
    DNN_NOTE_TENSOR_CORE = 0,
    DNN_NOTE_DOWN_CONVERT = 1,
    DNN_NOTE_REDUCED_SUMS = 2,
    DNN_NOTE_FFT = 3,
    DNN_NOTE_NONDETERMINISTIC = 4,
    DNN_NOTE_WINOGRAD = 5,
    DNN_CONFIGS = 24,
    DNN_PLANS = 512, /* per GPU; a program with more shapes starts over */
};
static const int64_t dnn_workspace_most = (int64_t)1 << 30;

typedef struct dnn_plan {
    taper_cudnn_conv key;
    void *plan; /* NULL: cuDNN has none */
    int64_t workspace;
} dnn_plan;
static dnn_plan *dnn_plans[TAPER_MAX_GPUS]; /* under the GPU's cuDNN lock */
static int dnn_plan_count[TAPER_MAX_GPUS];

/* Descriptors under construction; the first failure stops everything after it. */
typedef struct dnn_build {
    const taper_cudnn *dnn;
    int status;
    void *made[8 + DNN_CONFIGS];
    int count;
} dnn_build;

static void *dnn_new(dnn_build *b, int type) {
    void *d = NULL;
    if (!b->status) b->status = b->dnn->descriptor_create(type, &d);
    if (b->status) return NULL;
    b->made[b->count++] = d;
    return d;
}
static void dnn_set(dnn_build *b, void *d, int attribute, int type, int64_t count, const void *values) {
    if (!b->status) b->status = b->dnn->set(d, attribute, type, count, values);
}
static void dnn_finalize(dnn_build *b, void *d) {
    if (!b->status) b->status = b->dnn->descriptor_finalize(d);
}

static void *dnn_tensor(dnn_build *b, int64_t id, int dtype, const int64_t *sizes, const int64_t *strides) {
    int64_t alignment = 16;
    int type = dtype == TAPER_F16 ? 2 : dtype == TAPER_BF16 ? 9 : 0;
    void *d = dnn_new(b, DNN_TENSOR);
    dnn_set(b, d, 901, DNN_TYPE_DATA_TYPE, 1, &type);
    dnn_set(b, d, 902, DNN_TYPE_INT64, 4, sizes);
    dnn_set(b, d, 903, DNN_TYPE_INT64, 4, strides);
    dnn_set(b, d, 906, DNN_TYPE_INT64, 1, &id);
    dnn_set(b, d, 900, DNN_TYPE_INT64, 1, &alignment);
    dnn_finalize(b, d);
    return d;
}

static void *dnn_graph(dnn_build *b, const taper_cudnn_conv *c, void *handle) {
    /* descriptor type; attributes of alpha, beta, the convolution, weight, input, output */
    static const int numbers[3][7] = {{10, 700, 701, 702, 703, 704, 705}, {12, 706, 707, 708, 709, 710, 711}, {11, 712, 713, 714, 715, 716, 717}};
    const int *n = numbers[c->product];
    int single = 0, mode = 1;
    int64_t dims = 2;
    float one = 1, zero = 0;
    void *x = dnn_tensor(b, 'x', c->dtype, c->x, c->x_strides), *w = dnn_tensor(b, 'w', c->dtype, c->w, c->w_strides);
    void *y = dnn_tensor(b, 'y', c->dtype, c->y, c->y_strides), *conv = dnn_new(b, DNN_CONVOLUTION);
    dnn_set(b, conv, 100, DNN_TYPE_DATA_TYPE, 1, &single);
    dnn_set(b, conv, 101, DNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    dnn_set(b, conv, 106, DNN_TYPE_INT64, 1, &dims);
    dnn_set(b, conv, 102, DNN_TYPE_INT64, 2, c->dilation);
    dnn_set(b, conv, 103, DNN_TYPE_INT64, 2, c->stride);
    dnn_set(b, conv, 104, DNN_TYPE_INT64, 2, c->padding);
    dnn_set(b, conv, 105, DNN_TYPE_INT64, 2, c->padding);
    dnn_finalize(b, conv);
    void *operation = dnn_new(b, n[0]);
    dnn_set(b, operation, n[1], DNN_TYPE_FLOAT, 1, &one);
    dnn_set(b, operation, n[2], DNN_TYPE_FLOAT, 1, &zero);
    dnn_set(b, operation, n[3], DNN_TYPE_DESCRIPTOR, 1, &conv);
    dnn_set(b, operation, n[4], DNN_TYPE_DESCRIPTOR, 1, &w);
    dnn_set(b, operation, n[5], DNN_TYPE_DESCRIPTOR, 1, &x);
    dnn_set(b, operation, n[6], DNN_TYPE_DESCRIPTOR, 1, &y);
    dnn_finalize(b, operation);
    void *graph = dnn_new(b, DNN_GRAPH);
    dnn_set(b, graph, 800, DNN_TYPE_HANDLE, 1, &handle);
    dnn_set(b, graph, 801, DNN_TYPE_DESCRIPTOR, 1, &operation);
    dnn_finalize(b, graph);
    return graph;
}

/* Whether the engine of a configuration may serve. */
static bool dnn_allowed(const taper_cudnn *dnn, const taper_cudnn_conv *c, void *config) {
    void *engine = NULL;
    int notes[32];
    int64_t count = 0;
    bool single = c->dtype == TAPER_F32, good = dnn->descriptor_create(DNN_ENGINE, &engine) == 0;
    if (!good) return false;
    good = dnn->get(config, 300, DNN_TYPE_DESCRIPTOR, 1, &count, &engine) == 0 && dnn->get(engine, 1303, DNN_TYPE_NOTE, 32, &count, notes) == 0;
    for (int64_t i = 0; good && i < count && i < 32; i++) {
        bool rounds = notes[i] == DNN_NOTE_TENSOR_CORE || notes[i] == DNN_NOTE_DOWN_CONVERT;
        if (notes[i] == DNN_NOTE_NONDETERMINISTIC || notes[i] == DNN_NOTE_REDUCED_SUMS) good = false;
        if (single && ((rounds && !c->tf32) || notes[i] == DNN_NOTE_FFT || notes[i] == DNN_NOTE_WINOGRAD)) good = false;
    }
    dnn->descriptor_destroy(engine);
    return good;
}

/* The first allowed configuration of one mode of the heuristics that can be made into a plan. */
static void dnn_choose(dnn_build *b, const taper_cudnn_conv *c, void *graph, void *handle, int mode, dnn_plan *out) {
    const taper_cudnn *dnn = b->dnn;
    void *configs[DNN_CONFIGS], *heuristics = dnn_new(b, DNN_HEURISTICS);
    int64_t count = 0;
    int made = 0;
    dnn_set(b, heuristics, 201, DNN_TYPE_DESCRIPTOR, 1, &graph);
    dnn_set(b, heuristics, 200, DNN_TYPE_HEURISTICS_MODE, 1, &mode);
    dnn_finalize(b, heuristics);
    while (!b->status && made < DNN_CONFIGS && dnn->descriptor_create(DNN_ENGINE_CONFIG, &configs[made]) == 0) made++;
    if (!b->status && dnn->get(heuristics, 202, DNN_TYPE_DESCRIPTOR, made, &count, configs) != 0) count = 0;
    for (int64_t i = 0; i < count && i < made && !out->plan; i++) {
        void *plan = NULL;
        int64_t got = 0;
        if (!dnn_allowed(dnn, c, configs[i]) || dnn->descriptor_create(DNN_PLAN, &plan)) continue;
        bool good = !dnn->set(plan, 400, DNN_TYPE_HANDLE, 1, &handle) && !dnn->set(plan, 401, DNN_TYPE_DESCRIPTOR, 1, &configs[i]) &&
                    !dnn->descriptor_finalize(plan) && !dnn->get(plan, 402, DNN_TYPE_INT64, 1, &got, &out->workspace) &&
                    out->workspace <= dnn_workspace_most;
        if (good)
            out->plan = plan;
        else
            dnn->descriptor_destroy(plan);
    }
    for (int i = 0; i < made; i++) dnn->descriptor_destroy(configs[i]);
}

static void dnn_make(const taper_cudnn *dnn, const taper_cudnn_conv *c, void *handle, dnn_plan *out) {
    static const int modes[2] = {3, 2}; /* A, and the fallback list */
    dnn_build b = {.dnn = dnn};
    *out = (dnn_plan){.key = *c};
    void *graph = dnn_graph(&b, c, handle);
    for (int i = 0; i < 2 && !b.status && !out->plan; i++) dnn_choose(&b, c, graph, handle, modes[i], out);
    while (b.count) dnn->descriptor_destroy(b.made[--b.count]);
}

static dnn_plan *dnn_find(const taper_cudnn *dnn, const taper_cudnn_conv *c, void *handle, int index) {
    dnn_plan *plans = dnn_plans[index];
    for (int i = 0; i < dnn_plan_count[index]; i++)
        if (!memcmp(&plans[i].key, c, sizeof *c)) return &plans[i];
    if (!plans && !(plans = dnn_plans[index] = taper__alloc(sizeof *plans * DNN_PLANS))) return NULL;
    if (dnn_plan_count[index] == DNN_PLANS) {
        for (int i = 0; i < DNN_PLANS; i++)
            if (plans[i].plan) dnn->descriptor_destroy(plans[i].plan);
        dnn_plan_count[index] = 0;
    }
    dnn_plan *p = &plans[dnn_plan_count[index]++];
    dnn_make(dnn, c, handle, p);
    return p;
}

taper_status taper__cudnn_conv(const taper_cudnn_conv *c, void *x, void *w, void *y, int index, const char *op) {
    void *handle = NULL, *workspace = NULL, *pack = NULL, *data[3] = {x, w, y};
    int64_t ids[3] = {'x', 'w', 'y'};
    const taper_cudnn *dnn = taper__cudnn(NULL, 0);
    taper_status st = TAPER_OK;
    TAPER_TRY(taper__cudnn_enter(&handle, index, op));
    dnn_plan *p = dnn_find(dnn, c, handle, index);
    if (!p) {
        st = TAPER_FAIL(TAPER_MEMORY, "%s: no memory for the table of cuDNN plans", op);
    } else if (!p->plan) {
        st = TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: cuDNN has no deterministic kernel for this convolution", op);
    } else {
        int r = 0;
        if (p->workspace > 0) st = taper__cuda_memory_alloc(&workspace, (size_t)p->workspace, index, op);
        if (st == TAPER_OK) r = dnn->descriptor_create(DNN_VARIANT_PACK, &pack);
        if (st == TAPER_OK && !r) r = dnn->set(pack, 1000, DNN_TYPE_INT64, 3, ids);
        if (st == TAPER_OK && !r) r = dnn->set(pack, 1001, DNN_TYPE_POINTER, 3, data);
        if (st == TAPER_OK && !r) r = dnn->set(pack, 1003, DNN_TYPE_POINTER, 1, &workspace);
        if (st == TAPER_OK && !r) r = dnn->descriptor_finalize(pack);
        if (st == TAPER_OK && !r) r = dnn->execute(handle, p->plan, pack);
        if (r) st = taper__cudnn_fail(r, "cudnnBackendExecute", op);
        if (pack) dnn->descriptor_destroy(pack);
        if (workspace) taper__cuda_memory_free(workspace, (size_t)p->workspace, index);
    }
    taper__cudnn_leave(index);
    return st == TAPER_OK ? taper__cuda_launched(index, op) : st;
}
