/* Any bytes as a .pt file: as they are (checksums not compared, or nothing would get past them), and as the pickle
 * inside a well-formed zip with two storages. */
#include "fuzz_load.h"

typedef struct fuzz_zip {
    uint8_t *data;
    size_t size, room;
} fuzz_zip;
static bool fuzz_grow(void *ctx, const void *data, size_t n) {
    fuzz_zip *z = ctx;
    if (n > z->room - z->size) z->data = realloc(z->data, z->room = 2 * z->room + n + 1024);
    memcpy(z->data + z->size, data, n);
    z->size += n;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t storage[64] = {1, 2, 3};
    fuzz_load(data, size, false);
    if (size < 2 || data[0] != 0x80) return 0;
    fuzz_zip out = {0};
    taper_sink sink;
    taper_zip_writer zip = {.sink = &sink};
    if (taper__sink_function(&sink, fuzz_grow, &out)) return 0;
    taper_status st = taper__zip_add(&zip, "a/data.pkl", data, size);
    if (st == TAPER_OK) st = taper__zip_add(&zip, "a/data/0", storage, 64);
    if (st == TAPER_OK) st = taper__zip_add(&zip, "a/data/1", storage, 8);
    if (st == TAPER_OK) st = taper__zip_finish(&zip);
    taper__zip_writer_free(&zip);
    taper__sink_close(&sink, st);
    fuzz_load(out.data, out.size, true);
    free(out.data);
    return 0;
}

#ifndef FUZZ_LIBFUZZER
static taper_item *seed_tree(taper_tree *t, int number) {
    taper_tensor *a = NULL, *v = NULL;
    taper_tensor_new(&a, number & 1 ? TAPER_F8_E4M3 : TAPER_F32, taper_cpu(), 2, (int64_t[]){2, 4});
    memset(taper__data(a), 7, a->storage->bytes);
    taper__tensor_view(&v, a, 1, (int64_t[]){2}, (int64_t[]){4}, 1);
    taper_item *root = taper_tree_item(t, TAPER_ITEM_ORDERED_DICT), *list = taper_tree_item(t, TAPER_ITEM_LIST), *n;
    taper_item_put(t, root, taper_tree_text(t, TAPER_ITEM_STRING, "w", 1), taper_tree_tensor(t, TAPER_ITEM_TENSOR, a));
    taper_item_put(t, root, taper_tree_text(t, TAPER_ITEM_STRING, "v", 1),
                   taper_tree_tensor(t, TAPER_ITEM_PARAMETER, v));
    taper_item_put(t, root, taper_tree_text(t, TAPER_ITEM_STRING, "l", 1), list);
    for (int k = TAPER_ITEM_LIST; k <= TAPER_ITEM_COUNTER && number > 1; k++) {
        n = taper_tree_item(t, (taper_item_kind)k);
        if (k < TAPER_ITEM_DICT)
            taper_item_append(t, n, taper_tree_integer(t, TAPER_ITEM_INT, k * 1000000007LL));
        else
            taper_item_put(t, n, taper_tree_integer(t, TAPER_ITEM_BOOL, 1), taper_tree_float(t, 0.5));
        taper_item_append(t, list, n);
    }
    taper_item_append(t, list, taper_tree_text(t, TAPER_ITEM_BYTES, "\xff\x00\x80", 3));
    taper_item_append(t, list, taper_tree_text(t, TAPER_ITEM_DEVICE, "cpu", 3));
    taper_item_append(t, list, taper_tree_integer(t, TAPER_ITEM_DTYPE, TAPER_F16));
    n = taper_tree_item(t, TAPER_ITEM_DICT);
    taper_item_put(t, n, taper_tree_text(t, TAPER_ITEM_STRING, "_metadata", 9),
                   root == list ? NULL : taper_tree_item(t, TAPER_ITEM_NONE));
    taper_item_set_state(root, n);
    taper_tensor_release(a);
    taper_tensor_release(v);
    return root;
}

/* Even numbers: a whole file; odd ones: its pickle alone. */
static size_t seed(int number, uint8_t *out, size_t room) {
    fuzz_buffer b = {out, 0, room};
    taper_tree *t = NULL;
    if (number > 7 || taper_tree_new(&t)) return 0;
    taper_tree_set_root(t, seed_tree(t, number / 2));
    if (number % 2 == 0) {
        taper_save_pt_to(fuzz_collect, &b, t);
    } else {
        taper_bytes pickle = {0};
        taper_storages storages = {0};
        if (!taper__pickle_write(&pickle, &storages, t)) fuzz_collect(&b, pickle.data, pickle.size);
        taper__free(pickle.data);
        taper__free(storages.tensors);
    }
    taper_tree_release(t);
    return b.size;
}
int main(int argc, char **argv) { return fuzz_main(argc, argv, seed); }
#endif
