/* How lists of tensors are cut into launches and chunks: each element of each tensor belongs to exactly one chunk. */
#include <stdio.h>
#include <string.h>

#include <taper/dtype.h>

#include "ops/optim_geometry.h"

static int failed;
static void check(const char *name, bool good, const char *why) {
    if (good) {
        printf("ok optim_geometry_%s\n", name);
    } else {
        failed = 1;
        printf("not ok optim_geometry_%s: %s\n", name, why);
    }
}

static taper_optim_entry entry(int64_t numel) {
    static _Alignas(16) float memory[8];
    return (taper_optim_entry){.data = {memory}, .dtype = {TAPER_F32}, .numel = numel};
}

static void chunks(void) {
    int64_t s = TAPER_OPTIM_STRETCH;
    check("chunks", taper__optim_chunks(0) == 0 && taper__optim_chunks(1) == 1 && taper__optim_chunks(s) == 1 && taper__optim_chunks(s + 1) == 2 && taper__optim_chunks(100 * s) == 100,
          "ceiling of the division");
}

/* Every chunk finds its tensor, for lists with empty tensors at every place. */
static void finding(void) {
    static const int64_t lists[][6] = {{1, 1, 1, 1, 1, 1}, {0, 1, 0, 8193, 0, 0}, {0, 0, 0, 20000, 1, 0}, {8192, 8192, 0, 0, 0, 16385}, {5, 0, 0, 0, 0, 5}, {100000, 0, 3, 0, 70000, 1}};
    bool good = true;
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        taper_optim_table t = {.count = 0};
        int64_t count = 0, seen[6] = {0}, at = 0;
        for (int i = 0; i < 6; i++) {
            taper_optim_entry e = entry(lists[l][i]);
            good = good && taper__optim_add(&t, &e, &count) && t.item[i].first == at;
            at += taper__optim_chunks(lists[l][i]);
        }
        good = good && count == at;
        for (int64_t c = 0; c < count; c++) {
            int i = taper__optim_find(&t, (unsigned)c);
            int64_t from = (c - t.item[i].first) * TAPER_OPTIM_STRETCH;
            good = good && from >= 0 && from < t.item[i].numel;
            seen[i] += t.item[i].numel - from < TAPER_OPTIM_STRETCH ? t.item[i].numel - from : TAPER_OPTIM_STRETCH;
        }
        for (int i = 0; i < 6; i++) good = good && seen[i] == lists[l][i];
    }
    check("find", good, "a chunk belongs to no element, or an element to no chunk");
}

static void full(void) {
    taper_optim_table t = {.count = 0};
    int64_t count = 0;
    taper_optim_entry e = entry(3), large = entry((int64_t)TAPER_OPTIM_STRETCH * INT32_MAX), one = entry(1);
    int added = 0;
    while (taper__optim_add(&t, &e, &count)) added++;
    check("table_full", added == TAPER_OPTIM_ITEMS && t.count == TAPER_OPTIM_ITEMS && count == TAPER_OPTIM_ITEMS, "more or fewer than the table holds");
    t.count = 0, count = 0;
    bool alone = taper__optim_add(&t, &large, &count) && t.count == 1 && count == INT32_MAX;
    check("grid_full", alone && !taper__optim_add(&t, &one, &count) && t.count == 1 && count == INT32_MAX, "a launch of more chunks than a grid has blocks");
    check("fits_parameters", sizeof(taper_optim_table) + sizeof(taper_optim_common) <= 4096 && sizeof(taper_optim_steps) + sizeof(taper_optim_common) <= 4096,
          "a kernel's parameters are more than 4 KB");
}

/* wide: every array begins at a multiple of 16 bytes; plain: every one is float32, but the copy is float16 or bfloat16. Absent arrays do not
 * count. */
static void flags(void) {
    static _Alignas(16) char memory[64];
    bool good = true;
    for (int k = 0; k < TAPER_OPTIM_LISTS; k++)
        for (int shift = 0; shift < 3; shift++) {
            taper_optim_table t = {.count = 0};
            taper_optim_entry e = {.numel = 8};
            int64_t count = 0;
            for (int j = 0; j < TAPER_OPTIM_LISTS; j++) e.data[j] = j == 3 && k != 3 ? NULL : memory, e.dtype[j] = j == 3 && k != 3 ? TAPER_I8 : j == TAPER_OPTIM_COPY ? TAPER_F16 : TAPER_F32;
            if (shift == 1) e.data[k] = memory + 4;
            if (shift == 2) e.dtype[k] = TAPER_BF16;
            taper__optim_add(&t, &e, &count);
            good = good && t.item[0].wide == (shift != 1) && t.item[0].plain == (shift != 2 || k == TAPER_OPTIM_COPY);
            e.dtype[TAPER_OPTIM_COPY] = TAPER_F32;
            t.count = 0;
            taper__optim_add(&t, &e, &count);
            good = good && !t.item[0].plain;
        }
    check("flags", good, "wide or plain is wrong");
}

int main(void) {
    chunks();
    finding();
    full();
    flags();
    return failed;
}
