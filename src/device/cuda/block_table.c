/* From an address to its block: open addressing, one table per GPU, under the GPU's memory lock. */
#include <stdlib.h>

#include "device/cuda/arena.h"

static struct {
    taper_block **slot;
    size_t room, count; /* room: a power of two, at most half full */
} table[TAPER_MAX_GPUS];

static size_t table_hash(uint64_t p, size_t room) {
    return (size_t)((p / TAPER_ARENA_UNIT) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (room - 1);
}

static size_t table_slot(int index, uint64_t p) {
    size_t room = table[index].room, i = table_hash(p, room);
    while (table[index].slot[i] && table[index].slot[i]->p != p) i = (i + 1) & (room - 1);
    return i;
}

taper_block *taper__block_find(int index, uint64_t p) {
    return table[index].room ? table[index].slot[table_slot(index, p)] : NULL;
}

static bool table_grow(int index) {
    size_t old_room = table[index].room;
    taper_block **old = table[index].slot, **slot = calloc(old_room ? old_room * 2 : 1024, sizeof *slot);
    if (!slot) return false;
    table[index].slot = slot;
    table[index].room = old_room ? old_room * 2 : 1024;
    for (size_t i = 0; i < old_room; i++)
        if (old[i]) slot[table_slot(index, old[i]->p)] = old[i];
    free(old);
    return true;
}

bool taper__block_add(taper_block *b) {
    int index = b->arena->index;
    if (2 * (table[index].count + 1) > table[index].room && !table_grow(index)) return false;
    table[index].slot[table_slot(index, b->p)] = b;
    table[index].count++;
    return true;
}

void taper__block_remove(taper_block *b) {
    int index = b->arena->index;
    size_t room = table[index].room, i = table_slot(index, b->p);
    if (!table[index].slot[i]) return;
    table[index].slot[i] = NULL;
    table[index].count--;
    /* Those behind that were pushed past the emptied slot move up. */
    for (size_t k = (i + 1) & (room - 1); table[index].slot[k]; k = (k + 1) & (room - 1)) {
        taper_block *moved = table[index].slot[k];
        table[index].slot[k] = NULL;
        table[index].slot[table_slot(index, moved->p)] = moved;
    }
}

void taper__block_each(int index, void (*fn)(taper_block *b, void *ctx), void *ctx) {
    for (size_t i = 0; i < table[index].room; i++)
        if (table[index].slot[i]) fn(table[index].slot[i], ctx);
}
