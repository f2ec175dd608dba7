/* Captured graphs: record what a stream is given, then run it again with one call. */
#include "device/cuda/gpu.h"
#include "device/cuda/random.h"

struct taper_cuda_graph {
    int index;
    taper_cuda_stream *capturing; /* between begin and end */
    taper_cuda_stream *replayed;  /* where the last replay went */
    taper_captured_random *random;
    taper_cuda_pool *pool;
    taper_cu_object graph, exec;
    taper_cu_object *kernels; /* [kernel_count], nodes in the order of the capture */
    size_t node_count, kernel_count;
};

taper_status taper_cuda_graph_new(taper_cuda_graph **out, taper_cuda_graph *share) {
    taper_cuda_graph *g = taper__alloc_zero(sizeof *g);
    if (!g) return TAPER_FAIL(TAPER_MEMORY, "CUDAGraph: out of memory");
    g->index = share ? share->index : -1;
    if (share && share->pool) g->pool = taper__cuda_pool_retain(share->pool);
    *out = g;
    return TAPER_OK;
}

static void graph_reset(taper_cuda_graph *g) {
    if (g->exec) taper__cu.graph_exec_destroy(g->exec);
    if (g->graph) taper__cu.graph_destroy(g->graph);
    taper__captured_random_end(&g->random, g->index);
    taper_cuda_stream_release(g->replayed);
    taper__free(g->kernels);
    g->replayed = NULL;
    g->graph = g->exec = NULL;
    g->kernels = NULL;
    g->node_count = g->kernel_count = 0;
}

void taper_cuda_graph_release(taper_cuda_graph *g) {
    if (!g) return;
    int index = g->index;
    if (index >= 0 && !taper__cuda_enter(&index)) {
        if (g->capturing) {
            taper__cu.capture_end(g->capturing->handle, &g->graph);
            g->random = taper__cuda_pool_capture_ended(g->pool);
        }
        graph_reset(g);
        taper__cuda_pool_release(g->pool);
    }
    taper__free(g);
}

taper_status taper_cuda_graph_begin_capture(taper_cuda_graph *g, taper_cuda_stream *s) {
    int index = s ? s->index : -1;
    TAPER_TRY(taper__cuda_enter(&index));
    if (!s) s = taper__cuda_current(index);
    if (g->capturing || g->exec)
        return TAPER_FAIL(TAPER_RUNTIME, "CUDAGraph: this graph has been captured; make a new one");
    if (atomic_load(&s->pool))
        return TAPER_FAIL(TAPER_RUNTIME, "CUDAGraph: the stream is being captured by another graph");
    if (g->index >= 0 && g->index != index)
        return TAPER_FAIL(TAPER_RUNTIME, "CUDAGraph: the shared pool is on cuda:%d, the stream on cuda:%d", g->index,
                          index);
    if (!g->pool) TAPER_TRY(taper__cuda_pool_new(&g->pool, index));
    g->index = index;
    TAPER_TRY(taper__cu_check(taper__cu.capture_begin(s->handle, TAPER_CU_CAPTURE_THREAD_LOCAL), "cuStreamBeginCapture",
                              "CUDAGraph"));
    g->capturing = s;
    taper__cuda_pool_capture_begins(g->pool, s);
    return TAPER_OK;
}

static taper_status graph_list(taper_cuda_graph *g) {
    taper_status st = TAPER_OK;
    taper_cu_object *nodes = NULL;
    TAPER_TRY(taper__cu_check(taper__cu.graph_nodes(g->graph, NULL, &g->node_count), "cuGraphGetNodes", "CUDAGraph"));
    if (!g->node_count) return TAPER_OK;
    nodes = taper__alloc(g->node_count * sizeof *nodes);
    if (!nodes) return TAPER_FAIL(TAPER_MEMORY, "CUDAGraph: out of memory for a list of %zu nodes", g->node_count);
    TAPER_TRY_GOTO(
        taper__cu_check(taper__cu.graph_nodes(g->graph, nodes, &g->node_count), "cuGraphGetNodes", "CUDAGraph"));
    for (size_t i = 0; i < g->node_count; i++) {
        int type = -1;
        TAPER_TRY_GOTO(taper__cu_check(taper__cu.graph_node_type(nodes[i], &type), "cuGraphNodeGetType", "CUDAGraph"));
        if (type == 0) nodes[g->kernel_count++] = nodes[i];
    }
    g->kernels = nodes;
    nodes = NULL;
out:
    taper__free(nodes);
    return st;
}

taper_status taper_cuda_graph_end_capture(taper_cuda_graph *g) {
    taper_cuda_stream *s = g->capturing;
    if (!s) return TAPER_FAIL(TAPER_RUNTIME, "CUDAGraph: end_capture without begin_capture");
    int index = g->index;
    TAPER_TRY(taper__cuda_enter(&index));
    taper_cu_result r = taper__cu.capture_end(s->handle, &g->graph);
    g->capturing = NULL;
    g->random = taper__cuda_pool_capture_ended(g->pool);
    taper_status st =
        taper__cu_check(r, "cuStreamEndCapture", "CUDAGraph: something in the capture waited or used another stream");
    if (!st) st = graph_list(g);
    if (!st)
        st = taper__cu_check(taper__cu.graph_instantiate(&g->exec, g->graph, 0), "cuGraphInstantiateWithFlags",
                             "CUDAGraph");
    /* The first replay would otherwise pay for the upload. */
    if (!st) st = taper__cu_check(taper__cu.graph_upload(g->exec, s->handle), "cuGraphUpload", "CUDAGraph");
    if (st) graph_reset(g);
    return st;
}

/* The words that the kernels read are written in front of the replay, and after the one before it. */
static taper_status graph_set_random(taper_cuda_graph *g, taper_cuda_stream *s) {
    taper_cuda_stream *mine = taper__cuda_thread.stream[g->index];
    if (g->replayed && g->replayed != s) TAPER_TRY(taper_cuda_stream_wait_stream(s, g->replayed));
    if (g->replayed != s) {
        taper_cuda_stream_release(g->replayed);
        g->replayed = taper_cuda_stream_retain(s);
    }
    taper__cuda_thread.stream[g->index] = s;
    taper_status st = taper__captured_random_replay(g->random, g->index);
    taper__cuda_thread.stream[g->index] = mine;
    return st;
}

taper_status taper_cuda_graph_replay(taper_cuda_graph *g, taper_cuda_stream *s) {
    if (!g->exec) return TAPER_FAIL(TAPER_RUNTIME, "CUDAGraph: replay of a graph that has not been captured");
    int index = g->index;
    TAPER_TRY(taper__cuda_enter(&index));
    if (!s) s = taper__cuda_current(index);
    if (g->random) TAPER_TRY(graph_set_random(g, s));
    return taper__cu_check(taper__cu.graph_launch(g->exec, s->handle), "cuGraphLaunch", "CUDAGraph");
}

int64_t taper_cuda_graph_node_count(const taper_cuda_graph *g) { return (int64_t)g->node_count; }

int64_t taper__cuda_graph_kernels(taper_cuda_graph *g) { return (int64_t)g->kernel_count; }

static taper_status graph_kernel(taper_cuda_graph *g, int64_t i, taper_cu_kernel_node *params) {
    if (!taper__cu.graph_kernel_get || !taper__cu.graph_kernel_set)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "CUDAGraph: patching needs a driver for CUDA 12.0 or later");
    if (i < 0 || i >= (int64_t)g->kernel_count)
        return TAPER_FAIL(TAPER_INDEX, "CUDAGraph: kernel %lld of %zu", (long long)i, g->kernel_count);
    return taper__cu_check(taper__cu.graph_kernel_get(g->kernels[i], params), "cuGraphKernelNodeGetParams",
                           "CUDAGraph");
}

taper_status taper__cuda_graph_kernel_get(taper_cuda_graph *g, int64_t i, void **function, void ***arguments) {
    taper_cu_kernel_node params = {0};
    TAPER_TRY(graph_kernel(g, i, &params));
    *function = params.function;
    *arguments = params.arguments;
    return TAPER_OK;
}

taper_status taper__cuda_graph_kernel_set(taper_cuda_graph *g, int64_t i, void **arguments) {
    taper_cu_kernel_node params = {0};
    TAPER_TRY(graph_kernel(g, i, &params));
    params.arguments = arguments;
    params.extra = NULL;
    return taper__cu_check(taper__cu.graph_kernel_set(g->exec, g->kernels[i], &params),
                           "cuGraphExecKernelNodeSetParams", "CUDAGraph");
}
