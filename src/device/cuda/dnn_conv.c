/* Convolutions as cuDNN execution plans: one operation per graph, the first engine of the heuristics that keeps the library's
 * promises (the same bits each time, no lower precision than asked for), kept for the next call of the same description. */
#include <string.h>
#include <taper/dtype.h>

#include "device/cuda/dnn_graph.h"
#include "device/cuda/gpu.h"

enum { DNN_X = 1, DNN_W, DNN_Y };
enum { DNN_PLANS = 512 }; /* per GPU; a program with more shapes starts over */
static const int64_t dnn_workspace_most = (int64_t)1 << 30;

typedef struct dnn_plan {
    taper_cudnn_conv key;
    taper_dnn_plan plan;
} dnn_plan;
static dnn_plan *dnn_plans[TAPER_MAX_GPUS]; /* under the GPU's cuDNN lock */
static int dnn_plan_count[TAPER_MAX_GPUS];

static taper_dnn_tensor dnn_tensor(taper_dnn_graph *g, int64_t id, int dtype, const int64_t *sizes, const int64_t *strides) {
    return taper__dnn_tensor(g, id, dtype == TAPER_F16 ? TAPER_DNN_HALF : dtype == TAPER_BF16 ? TAPER_DNN_BFLOAT16 : TAPER_DNN_FLOAT, sizes, strides);
}

static void dnn_make(const taper_cudnn *dnn, const taper_cudnn_conv *c, void *handle, dnn_plan *out) {
    taper_dnn_graph g;
    unsigned refused = TAPER_DNN_NOTE_NONDETERMINISTIC | TAPER_DNN_NOTE_REDUCED_SUMS;
    if (c->dtype == TAPER_F32) refused |= TAPER_DNN_NOTE_FFT | TAPER_DNN_NOTE_WINOGRAD | (c->tf32 ? 0 : TAPER_DNN_NOTE_TENSOR_CORE | TAPER_DNN_NOTE_DOWN_CONVERT);
    taper__dnn_graph_begin(&g, dnn);
    taper_dnn_tensor x = dnn_tensor(&g, DNN_X, c->dtype, c->x, c->x_strides), w = dnn_tensor(&g, DNN_W, c->dtype, c->w, c->w_strides);
    taper_dnn_tensor y = dnn_tensor(&g, DNN_Y, c->dtype, c->y, c->y_strides);
    taper__dnn_convolution(&g, c, &x, &w, &y);
    out->key = *c;
    taper__dnn_graph_plan(&g, handle, refused, dnn_workspace_most, &out->plan);
    taper__dnn_graph_end(&g);
}

static dnn_plan *dnn_find(const taper_cudnn *dnn, const taper_cudnn_conv *c, void *handle, int index) {
    dnn_plan *plans = dnn_plans[index];
    for (int i = 0; i < dnn_plan_count[index]; i++)
        if (!memcmp(&plans[i].key, c, sizeof *c)) return &plans[i];
    if (!plans && !(plans = dnn_plans[index] = taper__alloc(sizeof *plans * DNN_PLANS))) return NULL;
    if (dnn_plan_count[index] == DNN_PLANS) {
        for (int i = 0; i < DNN_PLANS; i++)
            if (plans[i].plan.plan) dnn->descriptor_destroy(plans[i].plan.plan);
        dnn_plan_count[index] = 0;
    }
    dnn_plan *p = &plans[dnn_plan_count[index]++];
    dnn_make(dnn, c, handle, p);
    return p;
}

taper_status taper__cudnn_conv(const taper_cudnn_conv *c, void *x, void *w, void *y, int index, const char *op) {
    void *handle = NULL, *workspace = NULL, *data[3] = {x, w, y};
    int64_t ids[3] = {DNN_X, DNN_W, DNN_Y};
    const taper_cudnn *dnn = taper__cudnn(NULL, 0);
    taper_status st = TAPER_OK;
    TAPER_TRY(taper__cudnn_enter(&handle, index, op));
    dnn_plan *p = dnn_find(dnn, c, handle, index);
    if (!p) {
        st = TAPER_FAIL(TAPER_MEMORY, "%s: no memory for the table of cuDNN plans", op);
    } else if (!p->plan.plan) {
        st = TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: cuDNN has no deterministic kernel for this convolution", op);
    } else {
        if (p->plan.workspace > 0) st = taper__cuda_memory_alloc(&workspace, (size_t)p->plan.workspace, index, op);
        if (st == TAPER_OK) {
            int r = taper__dnn_run(dnn, handle, &p->plan, 3, ids, data, workspace);
            if (r) st = taper__cudnn_fail(r, "cudnnBackendExecute", op);
        }
        if (workspace) taper__cuda_memory_free(workspace, (size_t)p->plan.workspace, index);
    }
    taper__cudnn_leave(index);
    return st == TAPER_OK ? taper__cuda_launched(index, op) : st;
}
