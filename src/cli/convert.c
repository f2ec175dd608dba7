/* taper convert: .pt to .safetensors and back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/io.h>

#include "cli/cli.h"

static bool convert_ends(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* A flat dictionary of tensors, or the one under "state_dict" or "model" of a checkpoint. */
static const taper_item *convert_dict(const taper_item *root) {
    const char *names[] = {"state_dict", "model"};
    for (int i = 0; i < 2; i++) {
        const taper_item *inner = taper_item_find(root, names[i]);
        if (inner && !taper_item_tensor(inner)) return inner;
    }
    return root;
}

static int convert_safetensors(const taper_item *dict, const char *path) {
    int64_t n = taper_item_count(dict), kept = 0;
    const char **names = calloc((size_t)n + 1, sizeof *names);
    taper_tensor **tensors = calloc((size_t)n + 1, sizeof *tensors);
    int rc = names && tensors ? 0 : 1;
    for (int64_t i = 0; i < n && !rc; i++) {
        taper_item *key = taper_item_key(dict, i);
        const char *name = key ? taper_item_text(key, NULL) : NULL;
        taper_tensor *t = taper_item_tensor(taper_item_at(dict, i));
        if (!name || !t) {
            fprintf(stderr, "taper convert: %s is no tensor and is left out: safetensors holds tensors only\n", name ? name : "an entry");
            continue;
        }
        names[kept] = name;
        tensors[kept++] = t;
    }
    if (!rc && !kept) {
        fprintf(stderr, "taper convert: no named tensors in this file\n");
        rc = 1;
    }
    if (!rc && taper_save_safetensors(path, names, tensors, kept, NULL, NULL, 0) != TAPER_OK) rc = cli_failed("convert");
    free(names);
    free(tensors);
    return rc;
}

int cli_convert(int argc, char **argv) {
    if (argc != 3) return cli_usage("convert", "needs IN and OUT", NULL);
    bool safe = convert_ends(argv[2], ".safetensors");
    if (!safe && !convert_ends(argv[2], ".pt") && !convert_ends(argv[2], ".pth") && !convert_ends(argv[2], ".bin"))
        return cli_usage("convert", "the name must end in .safetensors, .pt, .pth or .bin:", argv[2]);
    taper_tree *tree = NULL;
    taper_load_options options = TAPER_LOAD_OPTIONS;
    options.has_device = true;
    options.device = taper_cpu();
    if (taper_load(&tree, argv[1], &options) != TAPER_OK) return cli_failed("convert");
    int rc = safe ? convert_safetensors(convert_dict(taper_tree_root(tree)), argv[2])
                  : taper_save_pt(argv[2], tree) == TAPER_OK ? 0 : cli_failed("convert");
    taper_tree_release(tree);
    return rc;
}
