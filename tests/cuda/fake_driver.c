/* A libcuda that keeps its "GPUs" in host memory and does everything at once, for tests on machines without a GPU.
 *
 * Environment: FAKE_CUDA_DEVICES, FAKE_CUDA_VERSION (12040), FAKE_CUDA_MEMORY (MiB per GPU), FAKE_CUDA_INIT (result of
 * cuInit), FAKE_CUDA_NO_VMM. Compiled with -DFAKE_OLD it lacks the functions that came after CUDA 11.8.
 * fake_cuda_state() gives the tests a look inside. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define API __attribute__((visibility("default"))) int

typedef struct fake_state {
    int hold;      /* set by the test: events recorded from now on do not complete */
    int fail_next; /* result of the next launch */
    int launches, loads, peers, synchronizations, context_sets;
    struct {
        char name[64];
        unsigned grid[3], block[3], shared, cluster;
        void *stream;
        uint64_t first_argument;
    } last;
    int limit_raised; /* dynamic shared memory limit that was set last */
    size_t used[16];
    int live_handles, live_events, live_graphs, pinned_blocks;
} fake_state;
static fake_state fake;
__attribute__((visibility("default"))) fake_state *fake_cuda_state(void) { return &fake; }

static _Thread_local int current; /* GPU + 1 */
static int devices(void) {
    const char *n = getenv("FAKE_CUDA_DEVICES"), *visible = getenv("CUDA_VISIBLE_DEVICES");
    return visible && !*visible ? 0 : n ? atoi(n) : 1;
}
static size_t total(void) {
    const char *n = getenv("FAKE_CUDA_MEMORY");
    return (size_t)(n ? atoi(n) : 256) << 20;
}
enum {
    OOM = 2,
    NO_DEVICE = 100,
    INVALID_VALUE = 1,
    INVALID_CONTEXT = 201,
    NOT_FOUND = 500,
    NOT_READY = 600,
    CAPTURE_UNSUPPORTED = 900
};

API cuInit(unsigned flags) {
    (void)flags;
    const char *r = getenv("FAKE_CUDA_INIT");
    return r ? atoi(r) : devices() ? 0 : NO_DEVICE;
}
API cuDriverGetVersion(int *v) {
    const char *n = getenv("FAKE_CUDA_VERSION");
    *v = n ? atoi(n) : 12040;
    return 0;
}
API cuGetErrorName(int r, const char **t) {
    return *t = r == OOM   ? "CUDA_ERROR_OUT_OF_MEMORY"
                : r == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                : r == 1   ? "CUDA_ERROR_INVALID_VALUE"
                           : "CUDA_ERROR_FAKE",
           0;
}
API cuGetErrorString(int r, const char **t) {
    return *t = r == OOM   ? "out of memory"
                : r == 700 ? "an illegal memory access was encountered"
                : r == 1   ? "invalid argument"
                           : "fake error",
           0;
}
API cuDeviceGetCount(int *n) { return *n = devices(), 0; }
API cuDeviceGet(int *d, int i) { return i < devices() ? (*d = i, 0) : 101; }
API cuDeviceGetName(char *s, int n, int d) { return snprintf(s, (size_t)n, "Fake GPU %d", d), 0; }
API cuDeviceTotalMem_v2(size_t *n, int d) { return (void)d, *n = total(), 0; }
API cuDeviceGetUuid_v2(void *u, int d) { return memset(u, 0xa0 + d, 16), 0; }
API cuDeviceGetAttribute(int *v, int a, int d) {
    (void)d;
    *v = a == 75    ? 9
         : a == 76  ? 0
         : a == 16  ? 132
         : a == 10  ? 32
         : a == 8   ? 49152
         : a == 97  ? 232448
         : a == 39  ? 2048
         : a == 38  ? 60 << 20
         : a == 102 ? !getenv("FAKE_CUDA_NO_VMM")
                    : 0;
    return 0;
}
API cuDeviceCanAccessPeer(int *can, int a, int b) { return *can = a != b && !getenv("FAKE_CUDA_NO_PEERS"), 0; }
API cuDevicePrimaryCtxRetain(void **c, int d) { return *c = (void *)(intptr_t)(d + 1), 0; }
API cuCtxSetCurrent(void *c) { return fake.context_sets++, current = (int)(intptr_t)c, 0; }
API cuCtxGetCurrent(void **c) { return *c = (void *)(intptr_t)current, 0; }
API cuCtxEnablePeerAccess(void *c, unsigned f) { return (void)c, (void)f, fake.peers++, 0; }
API cuCtxGetStreamPriorityRange(int *l, int *g) { return *l = 0, *g = -5, 0; }
API cuMemGetInfo_v2(size_t *f, size_t *t) {
    return current ? (*t = total(), *f = *t - fake.used[current - 1], 0) : INVALID_CONTEXT;
}

/* ---- memory ---- */
typedef struct handle {
    size_t size;
    int device, mapped, released;
} handle;
static struct {
    uint64_t p;
    handle *h;
} mapping[4096];
static int mappings;
static struct {
    uint64_t p;
    size_t size;
    int device;
} plain[4096];
static int plains;

API cuMemAddressReserve(uint64_t *p, size_t size, size_t alignment, uint64_t hint, unsigned long long flags) {
    (void)alignment, (void)hint, (void)flags;
    size_t align = 2 << 20;
    char *m = mmap(NULL, size + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED) return OOM;
    char *a = (char *)(((uintptr_t)m + align - 1) & ~(align - 1));
    if (a > m) munmap(m, (size_t)(a - m));
    munmap(a + size, (size_t)(m + align - a));
    *p = (uintptr_t)a;
    return 0;
}
API cuMemAddressFree(uint64_t p, size_t size) { return munmap((void *)(uintptr_t)p, size) ? INVALID_VALUE : 0; }
API cuMemCreate(unsigned long long *out, size_t size, const int *prop, unsigned long long flags) {
    (void)flags;
    int device = prop[3];
    if (prop[0] != 1 || prop[2] != 1 || size % (2 << 20)) return INVALID_VALUE;
    if (fake.used[device] + size > total()) return OOM;
    handle *h = calloc(1, sizeof *h);
    *h = (handle){size, device, 0, 0};
    fake.used[device] += size;
    fake.live_handles++;
    *out = (uintptr_t)h;
    return 0;
}
static void handle_drop(handle *h) {
    if (h->mapped || !h->released) return;
    fake.used[h->device] -= h->size;
    fake.live_handles--;
    free(h);
}
API cuMemRelease(unsigned long long v) {
    handle *h = (handle *)(uintptr_t)v;
    h->released = 1;
    handle_drop(h);
    return 0;
}
API cuMemMap(uint64_t p, size_t size, size_t offset, unsigned long long v, unsigned long long flags) {
    handle *h = (handle *)(uintptr_t)v;
    if (offset || flags || size != h->size || h->mapped || mappings == 4096) return INVALID_VALUE;
    for (int i = 0; i < mappings; i++)
        if (mapping[i].p < p + size && p < mapping[i].p + mapping[i].h->size) return INVALID_VALUE;
    mapping[mappings].p = p;
    mapping[mappings++].h = h;
    h->mapped = 1;
    return 0;
}
API cuMemSetAccess(uint64_t p, size_t size, const int *who, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (who[3 * i] != 1 || who[3 * i + 2] != 3) return INVALID_VALUE;
    return mprotect((void *)(uintptr_t)p, size, PROT_READ | PROT_WRITE) ? INVALID_VALUE : 0;
}
API cuMemUnmap(uint64_t p, size_t size) {
    for (int i = 0; i < mappings; i++)
        if (mapping[i].p == p && mapping[i].h->size == size) {
            madvise((void *)(uintptr_t)p, size, MADV_DONTNEED);
            mprotect((void *)(uintptr_t)p, size, PROT_NONE);
            mapping[i].h->mapped = 0;
            handle_drop(mapping[i].h);
            mapping[i] = mapping[--mappings];
            return 0;
        }
    return INVALID_VALUE;
}
API cuMemGetAllocationGranularity(size_t *n, const void *prop, int option) {
    return (void)prop, (void)option, *n = 2 << 20, 0;
}
API cuMemAlloc_v2(uint64_t *p, size_t size) {
    void *m = NULL;
    if (!current) return INVALID_CONTEXT;
    if (fake.used[current - 1] + size > total() || plains == 4096 || posix_memalign(&m, 512, size)) return OOM;
    fake.used[current - 1] += size;
    plain[plains].p = *p = (uintptr_t)m;
    plain[plains].size = size;
    plain[plains++].device = current - 1;
    return 0;
}
API cuMemFree_v2(uint64_t p) {
    for (int i = 0; i < plains; i++)
        if (plain[i].p == p) {
            free((void *)(uintptr_t)p);
            fake.used[plain[i].device] -= plain[i].size;
            plain[i] = plain[--plains];
            return 0;
        }
    return INVALID_VALUE;
}
API cuMemHostAlloc(void **p, size_t size, unsigned flags) {
    return (void)flags, fake.pinned_blocks++, posix_memalign(p, 4096, size) ? OOM : 0;
}
API cuMemFreeHost(void *p) { return free(p), fake.pinned_blocks--, 0; }
API cuMemHostGetDevicePointer_v2(uint64_t *d, void *p, unsigned f) { return (void)f, *d = (uintptr_t)p, 0; }
API cuPointerGetAttributes(unsigned n, int *a, void **v, uint64_t p) { return (void)n, (void)a, *(unsigned *)v[0] = 0, (void)p, 0; }

/* ---- streams and graphs: work is a list of closures while captured, done at once otherwise ---- */
typedef struct work {
    int kind; /* 0 kernel, 1 copy, 2 set */
    void *function;
    unsigned grid[3], block[3], shared, cluster;
    void *stream;
    uint64_t argument[8], dst, src;
    void *pointers[8];
    size_t n;
    int value;
} work;
typedef struct graph {
    work *list;
    int count;
} graph;
typedef struct stream {
    graph *capture;
} stream;
typedef struct event {
    double at;
    int held;
} event;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* "fake_report" writes an error record as errors.cuh does, "fake_add" adds argument 1 to the int that argument 0 points
 * to. */
static void work_do(const work *w) {
    if (w->kind == 1) memmove((void *)(uintptr_t)w->dst, (void *)(uintptr_t)w->src, w->n);
    if (w->kind == 2) memset((void *)(uintptr_t)w->dst, w->value, w->n);
    if (w->kind) return;
    snprintf(fake.last.name, sizeof fake.last.name, "%s", (const char *)w->function);
    memcpy(fake.last.grid, w->grid, sizeof w->grid);
    memcpy(fake.last.block, w->block, sizeof w->block);
    fake.last.shared = w->shared;
    fake.last.cluster = w->cluster;
    fake.last.stream = w->stream;
    fake.last.first_argument = w->argument[0];
    fake.launches++;
    int *p = (int *)(uintptr_t)w->argument[0];
    if (!strcmp(w->function, "fake_add")) *p += (int)w->argument[1];
    if (!strcmp(w->function, "fake_report") && !p[1]) {
        p[1] = (int)w->argument[2];
        ((long long *)p)[1] = (long long)w->argument[3];
        ((long long *)p)[2] = (long long)w->argument[4];
        p[0] = (int)w->argument[1];
    }
}
static int work_queue(void *s, work w) {
    graph *g = s ? ((stream *)s)->capture : NULL;
    w.stream = s;
    if (!g) return work_do(&w), 0;
    g->list = realloc(g->list, (size_t)(g->count + 1) * sizeof w);
    g->list[g->count++] = w;
    return 0;
}

API cuMemcpyHtoDAsync_v2(uint64_t d, const void *s, size_t n, void *stream_) {
    return work_queue(stream_, (work){.kind = 1, .dst = d, .src = (uintptr_t)s, .n = n});
}
API cuMemcpyDtoHAsync_v2(void *d, uint64_t s, size_t n, void *stream_) {
    return work_queue(stream_, (work){.kind = 1, .dst = (uintptr_t)d, .src = s, .n = n});
}
API cuMemcpyDtoDAsync_v2(uint64_t d, uint64_t s, size_t n, void *stream_) {
    return work_queue(stream_, (work){.kind = 1, .dst = d, .src = s, .n = n});
}
API cuMemsetD8Async(uint64_t p, unsigned char v, size_t n, void *stream_) {
    return work_queue(stream_, (work){.kind = 2, .dst = p, .value = v, .n = n});
}
API cuStreamCreateWithPriority(void **s, unsigned f, int p) {
    return (void)f, (void)p, (*s = calloc(1, sizeof(stream))) ? 0 : OOM;
}
API cuStreamDestroy_v2(void *s) { return free(s), 0; }
API cuStreamSynchronize(void *s) { return ((stream *)s)->capture ? CAPTURE_UNSUPPORTED : (fake.synchronizations++, 0); }
API cuCtxSynchronize(void) { return current ? (fake.hold = 0, fake.synchronizations++, 0) : INVALID_CONTEXT; }
API cuStreamQuery(void *s) { return (void)s, fake.hold ? NOT_READY : 0; }
API cuStreamWaitEvent(void *s, void *e, unsigned f) { return (void)s, (void)e, (void)f, 0; }
API cuEventCreate(void **e, unsigned f) {
    return (void)f, fake.live_events++, (*e = calloc(1, sizeof(event))) ? 0 : OOM;
}
API cuEventDestroy_v2(void *e) { return free(e), fake.live_events--, 0; }
API cuEventRecord(void *e, void *s) { return (void)s, *(event *)e = (event){now(), fake.hold}, 0; }
API cuEventQuery(void *e) { return ((event *)e)->held && fake.hold ? NOT_READY : 0; }
API cuEventSynchronize(void *e) { return (void)e, 0; }
API cuEventElapsedTime(float *ms, void *a, void *b) { return *ms = (float)(((event *)b)->at - ((event *)a)->at), 0; }
API cuThreadExchangeStreamCaptureMode(int *mode) {
    static _Thread_local int now_;
    int old = now_;
    now_ = *mode;
    *mode = old;
    return 0;
}
API cuStreamBeginCapture_v2(void *s, int mode) {
    if (mode != 1 || ((stream *)s)->capture) return INVALID_VALUE;
    return ((stream *)s)->capture = calloc(1, sizeof(graph)), fake.live_graphs++, 0;
}
API cuStreamEndCapture(void *s, void **g) {
    if (!((stream *)s)->capture) return INVALID_VALUE;
    *g = ((stream *)s)->capture;
    ((stream *)s)->capture = NULL;
    return 0;
}
API cuGraphInstantiateWithFlags(void **exec, void *g, unsigned long long f) { return (void)f, *exec = g, 0; }
API cuGraphGetNodes(void *g, void **nodes, size_t *n) {
    graph *gr = g;
    for (int i = 0; nodes && i < gr->count; i++) nodes[i] = &gr->list[i];
    *n = (size_t)gr->count;
    return 0;
}
API cuGraphNodeGetType(void *node, int *type) { return *type = ((work *)node)->kind, 0; }
API cuGraphLaunch(void *exec, void *s) {
    graph *g = exec;
    for (int i = 0; i < g->count; i++) work_queue(s, g->list[i]);
    return 0;
}
API cuGraphUpload(void *e, void *s) { return (void)e, (void)s, 0; }
API cuGraphExecDestroy(void *e) { return (void)e, 0; }
API cuGraphDestroy(void *g) { return free(((graph *)g)->list), free(g), fake.live_graphs--, 0; }

/* ---- kernels: a function is its name ---- */
static int argument_count(const char *name) {
    return !strcmp(name, "fake_report") ? 5 : !strcmp(name, "fake_add") ? 2 : 1;
}
static int launch(void *f, const unsigned *grid, const unsigned *block, unsigned shared, unsigned cluster, void *s,
                  void **args) {
    if (!current) return INVALID_CONTEXT;
    if (fake.fail_next) {
        int r = fake.fail_next;
        fake.fail_next = 0;
        return r;
    }
    if (shared > 48 << 10 && (int)shared > fake.limit_raised) return INVALID_VALUE;
    work w = {.function = f, .shared = shared, .cluster = cluster};
    memcpy(w.grid, grid, sizeof w.grid);
    memcpy(w.block, block, sizeof w.block);
    for (int i = 0; args && i < argument_count(f); i++) memcpy(&w.argument[i], args[i], 8);
    return work_queue(s, w);
}
API cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void *s, void **args, void **extra) {
    (void)extra;
    return launch(f, (unsigned[]){gx, gy, gz}, (unsigned[]){bx, by, bz}, shared, 0, s, args);
}
API cuModuleLoadDataEx(void **m, const void *image, unsigned n, int *o, void **v) {
    return (void)n, (void)o, (void)v, fake.loads++, *m = (void *)(uintptr_t)image, 0;
}
API cuModuleGetFunction(void **f, void *m, const char *name) {
    return (void)m, strstr(name, "missing") ? NOT_FOUND : (*f = (void *)(uintptr_t)name, 0);
}
API cuModuleUnload(void *m) { return (void)m, 0; }
API cuFuncSetAttribute(void *f, int a, int v) {
    return (void)f, a == 8 ? v > 232448 ? INVALID_VALUE : (fake.limit_raised = v, 0) : 0;
}
API cuFuncGetAttribute(int *v, int a, void *f) { return (void)f, (void)a, *v = 0, 0; }
API cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n, void *f, int threads, size_t shared) {
    return (void)f, (void)shared, *n = 2048 / threads, 0;
}

#ifndef FAKE_OLD
API cuLibraryLoadData(void **l, const void *image, int *j, void **jv, unsigned nj, int *o, void **v, unsigned n) {
    (void)j, (void)jv, (void)nj, (void)o, (void)v, (void)n;
    return fake.loads++, *l = (void *)(uintptr_t)image, 0;
}
API cuLibraryGetKernel(void **k, void *l, const char *name) {
    return (void)l, strstr(name, "missing") ? NOT_FOUND : (*k = (void *)(uintptr_t)name, 0);
}
API cuKernelGetFunction(void **f, void *k) { return *f = k, 0; }
API cuLaunchKernelEx(const void *config, void *f, void **args, void **extra) {
    (void)extra;
    struct {
        unsigned grid[3], block[3], shared;
        void *stream, *attributes;
        unsigned count;
    } c;
    memcpy(&c, config, sizeof c);
    unsigned cluster = 0;
    for (unsigned i = 0; i < c.count; i++) {
        const int *a = (const int *)((char *)c.attributes + 72 * i);
        if (a[0] == 4) cluster = (unsigned)a[2];
    }
    return launch(f, c.grid, c.block, c.shared, cluster, c.stream, args);
}
typedef struct node_params {
    void *function;
    unsigned grid[3], block[3], shared;
    void **arguments, **extra, *kernel, *context;
} node_params;
API cuGraphKernelNodeGetParams_v2(void *node, node_params *p) {
    work *w = node;
    for (int i = 0; i < 8; i++) w->pointers[i] = &w->argument[i];
    *p = (node_params){.function = w->function, .arguments = w->pointers};
    return 0;
}
API cuGraphExecKernelNodeSetParams_v2(void *exec, void *node, const node_params *p) {
    (void)exec;
    work *w = node;
    for (int i = 0; i < argument_count(w->function); i++) memmove(&w->argument[i], p->arguments[i], 8);
    return 0;
}
API cuTensorMapEncodeTiled(void *map, int type, unsigned rank, void *base, const uint64_t *sizes,
                           const uint64_t *strides, const uint32_t *box, const uint32_t *es, int i, int swizzle, int l2,
                           int oob) {
    (void)base, (void)sizes, (void)strides, (void)box, (void)es, (void)i, (void)l2, (void)oob;
    memset(map, 0, 128);
    ((int *)map)[0] = type, ((int *)map)[1] = (int)rank, ((int *)map)[2] = swizzle;
    return 0;
}
#endif
