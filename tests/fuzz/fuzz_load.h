/* Loads bytes as a file, then touches all that came out. Built by libFuzzer (-fsanitize=fuzzer) with FUZZ_LIBFUZZER
 * defined, else with a main that mutates seed files in a fixed random order: fuzz_x [rounds [seed files...]]. */
#ifndef TAPER_FUZZ_LOAD_H
#define TAPER_FUZZ_LOAD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned fuzz_sum;

/* Every byte of every tensor, every node once (the marks make shared nodes cheap). */
static void fuzz_touch(taper_item *n) {
    if (!n || taper_item_mark(n)) return;
    taper_item_set_mark(n, 1);
    size_t bytes;
    const char *text = taper_item_text(n, &bytes);
    for (size_t i = 0; text && i <= bytes; i++) fuzz_sum += (unsigned char)text[i];
    taper_tensor *t = taper_item_tensor(n);
    size_t size = t ? (size_t)t->numel * taper_dtype_size((taper_dtype)t->dtype) : 0;
    if (t && size < 1 << 20) {
        unsigned char *copy = malloc(size + 1);
        if (taper_tensor_read(t, copy, size) == TAPER_OK)
            for (size_t i = 0; i < size; i++) fuzz_sum += copy[i];
        free(copy);
    }
    for (int64_t i = 0; i < taper_item_count(n); i++) {
        fuzz_touch(taper_item_key(n, i));
        fuzz_touch(taper_item_at(n, i));
    }
    fuzz_touch(taper_item_state(n));
}

static bool fuzz_discard(void *ctx, const void *data, size_t n) {
    (void)ctx, (void)data, (void)n;
    return true;
}

static void fuzz_load(const uint8_t *data, size_t size, bool verify) {
    taper_tree *tree = NULL;
    taper_load_options options = TAPER_LOAD_OPTIONS;
    options.no_verify = !verify;
    options.has_device = true;
    options.device = taper_cpu();
    int64_t live = taper__alloc_live();
    taper_status st = taper_load_memory(&tree, data, size, &options);
    if (st == TAPER_OK) {
        fuzz_touch(taper_tree_root(tree));
        taper_save_pt_to(fuzz_discard, NULL, tree); /* what was read can be written */
    }
    if ((st == TAPER_OK) != (tree != NULL) || (st != TAPER_OK && !taper_error_message()[0])) abort();
    taper_tree_release(tree);
    if (taper__alloc_live() != live) abort();
}

#ifndef FUZZ_LIBFUZZER
static uint64_t fuzz_state = 0x9e3779b97f4a7c15u;
static uint64_t fuzz_random(void) {
    fuzz_state ^= fuzz_state << 13, fuzz_state ^= fuzz_state >> 7, fuzz_state ^= fuzz_state << 17;
    return fuzz_state;
}

static size_t fuzz_mutate(uint8_t *d, size_t n, size_t room) {
    static const uint8_t odd[] = {0,   1,   0x7f, 0x80, 0xff, '(', 't', 'R', 'u', 'e',
                                  'q', 'h', '}',  ']',  '"',  '[', ',', '9', '-'};
    for (int k = (int)(fuzz_random() % 4); k >= 0 && n; k--) {
        size_t at = fuzz_random() % n, span = 1 + fuzz_random() % 16;
        switch (fuzz_random() % 8) {
        case 0:
            d[at] ^= (uint8_t)(1 << fuzz_random() % 8);
            break;
        case 1:
            d[at] = (uint8_t)fuzz_random();
            break;
        case 2:
            d[at] = odd[fuzz_random() % sizeof odd];
            break;
        case 3: /* delete */
            if (span > n - at) span = n - at;
            memmove(d + at, d + at + span, n - at - span);
            n -= span;
            break;
        case 4: /* repeat */
            if (span > n - at) span = n - at;
            if (n + span > room) break;
            memmove(d + at + span, d + at, n - at);
            n += span;
            break;
        case 5:
            n = at + (fuzz_random() % 4 ? n - at : 0);
            break;
        case 6:
            for (size_t i = at; i < n && i < at + 8; i++) d[i] = (uint8_t)(fuzz_random() % 2 ? 0xff : 0);
            break;
        default: /* copy from elsewhere */
            if (span > n - at) span = n - at;
            memmove(d + at, d + fuzz_random() % (n - span + 1), span);
        }
    }
    return n;
}

/* Seeds: the files named, else those that seed() makes. */
static int fuzz_main(int argc, char **argv, size_t (*seed)(int number, uint8_t *out, size_t room)) {
    enum { ROOM = 1 << 16, SEEDS = 64 };
    static uint8_t seeds[SEEDS][ROOM];
    size_t sizes[SEEDS];
    int count = 0;
    long rounds = argc > 1 ? atol(argv[1]) : 20000;
    for (int i = 2; i < argc && count < SEEDS; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (!f) return fprintf(stderr, "cannot open %s\n", argv[i]), 1;
        sizes[count] = fread(seeds[count], 1, ROOM / 2, f);
        fclose(f);
        count++;
    }
    while (argc < 3 && count < SEEDS && (sizes[count] = seed(count, seeds[count], ROOM / 2))) count++;
    if (!count) return fprintf(stderr, "no seeds\n"), 1;
    for (int i = 0; i < count; i++) LLVMFuzzerTestOneInput(seeds[i], sizes[i]);
    for (long r = 0; r < rounds; r++) {
        static uint8_t work[ROOM];
        size_t k = fuzz_random() % (size_t)count, n = sizes[k];
        memcpy(work, seeds[k], n);
        n = fuzz_mutate(work, n, ROOM);
        uint8_t *exact = malloc(n + 1); /* one byte too far is seen by the sanitizer */
        memcpy(exact, work, n);
        exact = realloc(exact, n ? n : 1);
        LLVMFuzzerTestOneInput(exact, n);
        free(exact);
    }
    printf("ok %s %ld mutations of %d seeds\n", argv[0], rounds, count);
    return 0;
}

typedef struct fuzz_buffer {
    uint8_t *out;
    size_t size, room;
} fuzz_buffer;
static bool fuzz_collect(void *ctx, const void *data, size_t n) {
    fuzz_buffer *b = ctx;
    if (n > b->room - b->size) return false;
    memcpy(b->out + b->size, data, n);
    b->size += n;
    return true;
}
#endif
#endif
