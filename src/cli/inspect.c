/* taper inspect: what a file holds, one line each. */
#include <inttypes.h>
#include <stdio.h>
#include <taper/io.h>

#include "cli/cli.h"

typedef struct inspect_sum {
    int64_t tensors, elements, bytes;
} inspect_sum;

static void inspect_node(const taper_item *node, const char *path, int depth, inspect_sum *sum) {
    taper_tensor *t = taper_item_tensor(node);
    if (t) {
        char shape[256] = "";
        int used = 0;
        for (int i = 0; i < taper_tensor_ndim(t); i++)
            used += snprintf(shape + used, sizeof shape - (size_t)used, "%s%" PRId64, i ? ", " : "", taper_tensor_shape(t)[i]);
        int64_t bytes = taper_tensor_numel(t) * (int64_t)taper_dtype_size(taper_tensor_dtype(t));
        printf("%-48s %-14s [%s] %" PRId64 " bytes\n", *path ? path : ".", taper_dtype_name(taper_tensor_dtype(t)), shape, bytes);
        sum->tensors++;
        sum->elements += taper_tensor_numel(t);
        sum->bytes += bytes;
        return;
    }
    taper_item_kind kind = taper_item_get_kind(node);
    bool dict = kind == TAPER_ITEM_DICT || kind == TAPER_ITEM_ORDERED_DICT || kind == TAPER_ITEM_COUNTER;
    bool list = kind == TAPER_ITEM_LIST || kind == TAPER_ITEM_TUPLE || kind == TAPER_ITEM_SIZE || kind == TAPER_ITEM_SET ||
                kind == TAPER_ITEM_FROZEN_SET;
    if ((dict || list) && depth < 32) {
        for (int64_t i = 0; i < taper_item_count(node); i++) {
            char below[1024], number[32];
            const taper_item *key = dict ? taper_item_key(node, i) : NULL;
            snprintf(number, sizeof number, "%" PRId64, key ? taper_item_integer(key) : i);
            const char *name = key && taper_item_text(key, NULL) ? taper_item_text(key, NULL) : number;
            snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", name);
            inspect_node(taper_item_at(node, i), below, depth + 1, sum);
        }
        if (!taper_item_count(node)) printf("%-48s %s, empty\n", *path ? path : ".", taper_item_kind_name(kind));
        return;
    }
    printf("%-48s %-14s ", *path ? path : ".", taper_item_kind_name(kind));
    if (taper_item_text(node, NULL)) printf("%.60s\n", taper_item_text(node, NULL));
    else if (kind == TAPER_ITEM_FLOAT) printf("%g\n", taper_item_number(node));
    else printf("%" PRId64 "\n", taper_item_integer(node));
}

int cli_inspect(int argc, char **argv) {
    if (argc != 2) return cli_usage("inspect", "needs one file", NULL);
    taper_tree *tree = NULL;
    taper_load_options options = TAPER_LOAD_OPTIONS;
    options.has_device = true;
    options.device = taper_cpu();
    if (taper_load(&tree, argv[1], &options) != TAPER_OK) return cli_failed("inspect");
    inspect_sum sum = {0};
    inspect_node(taper_tree_root(tree), "", 0, &sum);
    printf("%" PRId64 " tensors, %" PRId64 " elements, %" PRId64 " bytes\n", sum.tensors, sum.elements, sum.bytes);
    taper_tree_release(tree);
    return 0;
}
