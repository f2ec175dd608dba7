/* A loader: workers make batches of images (crop, flip, normalise) in page-locked memory while the device computes on the last one. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taper/cuda.h>
#include <taper/ops.h>
#include <taper/scope.h>
#include <taper/threads.h>

#include "verify/verify.h"

enum { LOADER_BATCH = 64, LOADER_PIXELS = 3 * 32 * 32, LOADER_BATCHES = 96, LOADER_WORKERS = 8, LOADER_SLOTS = 2 * LOADER_WORKERS };

typedef struct loader {
    pthread_mutex_t lock;
    pthread_cond_t made, freed;
    int slots, next, wanted; /* next batch to make; batches up to here may be made */
    int state[LOADER_SLOTS]; /* the batch that is ready there, -1 */
    bool stop;
    taper_tensor *slot[LOADER_SLOTS];
    float *data[LOADER_SLOTS]; /* of slot */
    taper_cuda_event *copied[LOADER_SLOTS];
} loader;

static uint32_t loader_hash(uint32_t x) {
    x ^= x >> 16, x *= 0x7feb352du, x ^= x >> 15, x *= 0x846ca68bu;
    return x ^ x >> 16;
}

/* Sample `index` of a data set that is computed: 36 x 36 bytes, cropped to 32 x 32, perhaps mirrored, scaled, then normalised. */
static void loader_sample(float *out, uint32_t index) {
    uint32_t pick = loader_hash(index), top = pick & 3, left = pick >> 2 & 3;
    bool mirror = pick & 16;
    double sum = 0, squares = 0;
    for (uint32_t c = 0; c < 3; c++)
        for (uint32_t y = 0; y < 32; y++)
            for (uint32_t x = 0; x < 32; x++) {
                uint32_t from = mirror ? 31 - x : x;
                float v = (float)(loader_hash(index * 3888u + (c * 36 + y + top) * 36 + from + left) & 255) / 255.0f;
                out[(c * 32 + y) * 32 + x] = v;
                sum += v, squares += (double)v * v;
            }
    float mean = (float)(sum / LOADER_PIXELS), scale = (float)(1 / (squares / LOADER_PIXELS - (sum / LOADER_PIXELS) * (sum / LOADER_PIXELS) + 1e-6));
    for (int i = 0; i < LOADER_PIXELS; i++) out[i] = (out[i] - mean) * scale;
}

static void loader_fill(float *data, int batch) {
    for (int i = 0; i < LOADER_BATCH; i++) loader_sample(data + (size_t)i * LOADER_PIXELS, (uint32_t)(batch * LOADER_BATCH + i));
}

static void *loader_work(void *ctx) {
    loader *l = ctx;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->stop && (l->next >= l->wanted || l->next >= LOADER_BATCHES)) pthread_cond_wait(&l->freed, &l->lock);
        if (l->stop) break;
        int batch = l->next++;
        pthread_mutex_unlock(&l->lock);
        loader_fill(l->data[batch % l->slots], batch);
        pthread_mutex_lock(&l->lock);
        l->state[batch % l->slots] = batch;
        pthread_cond_broadcast(&l->made);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* What the device does with a batch: a small network's forward pass; the sum tells that every byte came through. */
static taper_status loader_use(taper_tensor **sum, taper_tensor *x, taper_tensor *weight) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *h = tx_relu(&s, tx_mm(&s, x, weight)), *all = tx_sum(&s, h, NULL, 0, false, TAPER_F64);
    if (all) *sum = taper_tensor_retain(all);
    return taper_scope_end(&s);
}

/* Batch `i` goes to the device from its slot, and is used. */
static taper_status loader_send(verify_run *r, loader *l, int i, taper_tensor *weight, taper_tensor **sum) {
    int slot = i % l->slots;
    if (r->device.type != TAPER_CUDA) return loader_use(sum, l->slot[slot], weight);
    taper_tensor *there = NULL;
    taper_status st = taper_to(&there, l->slot[slot], &r->device, TAPER_DTYPE_NONE, true, true);
    if (st == TAPER_OK) st = taper_cuda_event_record(l->copied[slot], NULL);
    if (st == TAPER_OK) st = loader_use(sum, there, weight);
    taper_tensor_release(there);
    return st;
}

/* All batches with `workers` threads (0: in this one); batches per second, and the part of the time spent waiting for a batch. */
static taper_status loader_run(verify_run *r, loader *l, int workers, taper_tensor *weight, double *sums, double *rate, double *waited) {
    pthread_t threads[LOADER_WORKERS];
    taper_tensor *sum[LOADER_BATCHES] = {NULL};
    int started = 0;
    taper_status st = TAPER_OK;
    l->next = 0, l->stop = false, l->wanted = l->slots;
    for (int i = 0; i < l->slots; i++) l->state[i] = -1;
    while (started < workers && !pthread_create(&threads[started], NULL, loader_work, l)) started++;
    if (started < workers) st = TAPER_FAIL(TAPER_OS, "verify: thread %d of %d cannot be started", started + 1, workers);
    double begin = verify_now(), idle = 0;
    for (int i = 0; i < LOADER_BATCHES && st == TAPER_OK; i++) {
        double before = verify_now();
        if (!workers) loader_fill(l->data[i % l->slots], i);
        pthread_mutex_lock(&l->lock);
        while (workers && l->state[i % l->slots] != i) pthread_cond_wait(&l->made, &l->lock);
        pthread_mutex_unlock(&l->lock);
        idle += verify_now() - before;
        st = loader_send(r, l, i, weight, &sum[i]);
        /* The slot before this one is free once its copy is through. */
        if (st == TAPER_OK && i && r->device.type == TAPER_CUDA) st = taper_cuda_event_synchronize(l->copied[(i - 1) % l->slots]);
        pthread_mutex_lock(&l->lock);
        l->wanted = i + l->slots;
        pthread_cond_broadcast(&l->freed);
        pthread_mutex_unlock(&l->lock);
    }
    if (st == TAPER_OK && r->device.type == TAPER_CUDA) st = taper_cuda_synchronize(r->device.index);
    double seconds = verify_now() - begin;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->freed);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < LOADER_BATCHES; i++) {
        if (st == TAPER_OK) st = taper_tensor_item_double(sum[i], &sums[i]);
        taper_tensor_release(sum[i]);
    }
    *rate = LOADER_BATCHES / seconds;
    *waited = idle / seconds;
    return st;
}

static taper_status loader_slots(verify_run *r, loader *l, bool pinned) {
    for (int i = 0; i < l->slots; i++) {
        taper_tensor *t = NULL;
        taper_device cpu = taper_cpu();
        TAPER_TRY(taper_zeros(&t, (int64_t[]){LOADER_BATCH, LOADER_PIXELS}, 2, TAPER_F32, &cpu));
        taper_status st = TAPER_OK;
        if (pinned) st = taper_tensor_pin(&l->slot[i], t);
        else l->slot[i] = taper_tensor_retain(t);
        taper_tensor_release(t);
        TAPER_TRY(st);
        l->data[i] = taper_tensor_data(l->slot[i]);
        if (r->device.type == TAPER_CUDA) TAPER_TRY(taper_cuda_event_new(&l->copied[i], false, false));
    }
    return TAPER_OK;
}

taper_status verify_loader(verify_run *r) {
    loader l = {.lock = PTHREAD_MUTEX_INITIALIZER, .made = PTHREAD_COND_INITIALIZER, .freed = PTHREAD_COND_INITIALIZER};
    taper_tensor *weight = NULL;
    double sums[2][LOADER_BATCHES], rate[2][5] = {{0}}, waited[2] = {0};
    int cpus = taper_num_threads(), workers = cpus < 2 ? 1 : cpus < LOADER_WORKERS ? cpus : LOADER_WORKERS, rounds = r->options->quick ? 1 : 5;
    bool gpu = r->device.type == TAPER_CUDA;
    taper_status st;
    l.slots = 2 * workers;
    TAPER_TRY_GOTO(loader_slots(r, &l, gpu));
    TAPER_TRY_GOTO(verify_normal(&weight, LOADER_PIXELS, 128, TAPER_F32, r->device));
    for (int k = 0; k < rounds; k++)
        for (int i = 0; i < 2; i++) TAPER_TRY_GOTO(loader_run(r, &l, i ? workers : 0, weight, sums[i], &rate[i][k], &waited[i]));
    char name[VERIFY_NAME];
    snprintf(name, sizeof name, "workers_%d", workers);
    double none = verify_measured(r, "workers_0", "batches/s", 1, rate[0], rounds, 0), many = verify_measured(r, name, "batches/s", 1, rate[1], rounds, 0);
    verify_value(r, "waiting", "ratio", 0, waited[1]);
    bool same = !memcmp(sums[0], sums[1], sizeof sums[0]);
    if (!same) verify_set(r, VERIFY_FAIL);
    else if (cpus >= 4 && many < 1.3 * none) verify_set(r, VERIFY_SLOW);
    verify_say(r, "batches of 64 images%s%.0s: %.0f/s without workers, %.0f/s with %d (%.1f times); waiting for data %.0f %% and %.0f %% of the time; batches %s%.0s",
               "每批 64 张图%.0s%s: 无 worker %.0f 批/秒, 多线程 %.0f 批/秒 (%d 个 worker, %.1f 倍); 等待数据的时间占 %.0f %% 与 %.0f %%; 各批%.0s%s", VERIFY_WORD(gpu, " in pinned memory", " (锁页内存)", "", ""), none, many, workers, many / none, 100 * waited[0], 100 * waited[1], VERIFY_WORD(same, "equal", "一致", "DIFFER", "不一致"));
out:
    for (int i = 0; i < l.slots; i++) {
        taper_tensor_release(l.slot[i]);
        taper_cuda_event_release(l.copied[i]);
    }
    taper_tensor_release(weight);
    return st;
}
