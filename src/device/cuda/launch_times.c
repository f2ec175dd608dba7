/* Times of kernels and vendor calls, summed by name into a table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/cuda/launch_times.h"

TAPER_KNOB(knob_times, "TAPER_CUDA_TIMES", "0", "1: events around each kernel; taper_cuda_times() and `taper bench gpt2` give their sums as a table");

enum { TIMES_MOST = 1 << 16 };
typedef struct times_record {
    taper_cu_object begin, end;
    int index;
    char name[72];
} times_record;
static pthread_mutex_t times_lock = PTHREAD_MUTEX_INITIALIZER;
static times_record *times_records;
static int times_count;

static bool times_wanted(void) {
    static _Atomic int wanted = -1; /* a race writes the same value twice */
    int known = atomic_load_explicit(&wanted, memory_order_relaxed);
    if (TAPER_LIKELY(known >= 0)) return known;
    atomic_store(&wanted, taper__knob_bool(&knob_times));
    return atomic_load(&wanted);
}

void *taper__times_begin(int index, taper_cuda_stream *s) {
    if (TAPER_LIKELY(!times_wanted()) || atomic_load(&s->pool)) return NULL;
    times_record *r = NULL;
    pthread_mutex_lock(&times_lock);
    if (!times_records) times_records = calloc(TIMES_MOST, sizeof *times_records);
    if (times_records && times_count < TIMES_MOST) r = &times_records[times_count++];
    pthread_mutex_unlock(&times_lock);
    if (!r) return NULL;
    r->index = index;
    r->name[0] = 0;
    if (!r->begin && taper__cu.event_create(&r->begin, 0)) r->begin = NULL;
    if (!r->end && taper__cu.event_create(&r->end, 0)) r->end = NULL;
    if (r->begin) taper__cu.event_record(r->begin, s->handle);
    return r;
}

void taper__times_end(void *mark, taper_cuda_stream *s, const char *name) {
    times_record *r = mark;
    if (TAPER_LIKELY(!r)) return;
    if (r->end && !taper__cu.event_record(r->end, s->handle)) snprintf(r->name, sizeof r->name, "%s", name);
}

typedef struct times_row {
    const char *name;
    double ms;
    int count;
} times_row;

static int times_by_name(const void *a, const void *b) { return strcmp(((const times_row *)a)->name, ((const times_row *)b)->name); }
static int times_by_sum(const void *a, const void *b) {
    double x = ((const times_row *)a)->ms, y = ((const times_row *)b)->ms;
    return (x < y) - (x > y);
}

/* Under the lock. Sums of equal names, longest first; *total of all. */
static int times_sum(times_row *rows, double *total) {
    int n = 0, kept = 0;
    for (int i = 0; i < times_count; i++) {
        times_record *r = &times_records[i];
        float ms = 0;
        if (r->name[0] && !taper__cu.event_elapsed(&ms, r->begin, r->end)) rows[n++] = (times_row){r->name, ms, 1};
    }
    qsort(rows, (size_t)n, sizeof *rows, times_by_name);
    *total = 0;
    for (int i = 0; i < n; i++) {
        *total += rows[i].ms;
        if (kept && !strcmp(rows[kept - 1].name, rows[i].name)) rows[kept - 1].ms += rows[i].ms, rows[kept - 1].count++;
        else rows[kept++] = rows[i];
    }
    qsort(rows, (size_t)kept, sizeof *rows, times_by_sum);
    return kept;
}

taper_status taper_cuda_times(char *text, size_t size, int rows) {
    double total = 0;
    size_t at = 0;
    if (size) text[0] = 0;
    if (!times_wanted()) return TAPER_OK;
    TAPER_TRY(taper_cuda_synchronize(-1));
    pthread_mutex_lock(&times_lock);
    times_row *sums = calloc((size_t)times_count + 1, sizeof *sums);
    int n = sums ? times_sum(sums, &total) : 0;
    for (int i = 0; i < n && i < rows && at + 1 < size; i++) {
        int wrote = snprintf(text + at, size - at, "%9.3f ms %5.1f%% %6d x  %s\n", sums[i].ms, 100 * sums[i].ms / (total > 0 ? total : 1), sums[i].count, sums[i].name);
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    if (at + 1 < size) snprintf(text + at, size - at, "%9.3f ms in all, %d launches\n", total, times_count);
    times_count = 0;
    pthread_mutex_unlock(&times_lock);
    free(sums);
    return TAPER_OK;
}
