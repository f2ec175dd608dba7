/* Who holds GPU memory: the rows of the out-of-memory message. */
#include <stdio.h>
#include <string.h>

#include "device/cuda/memory.h"

enum { REPORT_TAGS = 512, REPORT_ROWS = 10 };

typedef struct report_tag {
    const char *tag;
    int64_t blocks;
    size_t bytes;
} report_tag;

typedef struct report_list {
    report_tag tag[REPORT_TAGS];
    int count;
} report_list;

taper_bytes_text taper__bytes_text(size_t bytes) {
    taper_bytes_text t;
    double n = (double)bytes;
    if (bytes < 1024)
        snprintf(t.s, sizeof t.s, "%zu bytes", bytes);
    else if (bytes < 1 << 20)
        snprintf(t.s, sizeof t.s, "%.2f KiB", n / 1024);
    else if (bytes < 1 << 30)
        snprintf(t.s, sizeof t.s, "%.2f MiB", n / (1 << 20));
    else
        snprintf(t.s, sizeof t.s, "%.2f GiB", n / (1 << 30));
    return t;
}

static void report_add(taper_block *b, void *ctx) {
    report_list *l = ctx;
    if (b->state != TAPER_BLOCK_USED && b->state != TAPER_BLOCK_PENDING) return;
    const char *tag = b->tag ? b->tag : "(no name)";
    int i = 0;
    while (i < l->count && l->tag[i].tag != tag && strcmp(l->tag[i].tag, tag)) i++;
    if (i == REPORT_TAGS) i--;
    if (i == l->count) l->tag[l->count++] = (report_tag){.tag = i < REPORT_TAGS - 1 ? tag : "others"};
    l->tag[i].blocks++;
    l->tag[i].bytes += b->asked;
}

static void report_sort(report_list *l) {
    for (int i = 1; i < l->count; i++)
        for (int k = i; k > 0 && l->tag[k].bytes > l->tag[k - 1].bytes; k--) {
            report_tag t = l->tag[k];
            l->tag[k] = l->tag[k - 1];
            l->tag[k - 1] = t;
        }
}

void taper__memory_rows(char *text, size_t size, int rows, int index) {
    static report_list lists[TAPER_MAX_GPUS]; /* too large for a thread's stack; under the lock of the GPU */
    report_list *l = &lists[index];
    l->count = 0;
    taper__block_each(index, report_add, l);
    report_sort(l);
    size_t n = (size_t)snprintf(text, size, "  %-28s %8s %12s", "held by", "blocks", "memory");
    report_tag rest = {.tag = "others"};
    for (int i = 0; i < l->count; i++) {
        const report_tag *t = &l->tag[i];
        if (i >= rows - 1 && l->count > rows) {
            rest.blocks += t->blocks;
            rest.bytes += t->bytes;
            if (i < l->count - 1) continue;
            t = &rest;
        }
        if (n < size)
            n += (size_t)snprintf(text + n, size - n, "\n  %-28.28s %8lld %12s", t->tag, (long long)t->blocks,
                                  taper__bytes_text(t->bytes).s);
    }
    if (!l->count && n < size) snprintf(text + n, size - n, "\n  nothing");
}

void taper__memory_failure(char *text, size_t size, size_t bytes, const char *tag, int index) {
    taper_gpu_memory *m = &taper__gpu_memory[index];
    size_t free_bytes = 0, total = 0;
    taper__cu.mem_info(&free_bytes, &total);
    size_t small = taper__arena_largest_free(&m->small), large = taper__arena_largest_free(&m->large);
    size_t cached = m->reserved - m->allocated < m->reserved ? m->reserved - m->allocated : 0;
    /* The first sentences are torch's: scripts look for them. */
    size_t n = (size_t)snprintf(
        text, size,
        "CUDA out of memory. Tried to allocate %s. GPU %d has a total capacity of %s of which %s is free. "
        "Of the allocated memory %s is allocated by taper, and %s is reserved by taper but unallocated "
        "(largest piece %s). Asked for by %s%s%s.\n",
        taper__bytes_text(bytes).s, index, taper__bytes_text(total).s, taper__bytes_text(free_bytes).s,
        taper__bytes_text(m->allocated).s, taper__bytes_text(cached).s,
        taper__bytes_text(large > small ? large : small).s, tag ? tag : "(no name)",
        m->limit ? "; the limit that was set is " : "", m->limit ? taper__bytes_text(m->limit).s : "");
    if (n < size) taper__memory_rows(text + n, size - n, REPORT_ROWS, index);
}
