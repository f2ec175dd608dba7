/* The demo's text: one file, or every .c .h .md .py file below a folder. */
#include "cli/demo.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TEXT_MOST = 8 << 20 };

static bool text_append(demo_text *text, const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    char block[65536];
    size_t n;
    while ((n = fread(block, 1, sizeof block, f)) > 0 && text->size < TEXT_MOST) {
        uint8_t *more = realloc(text->bytes, text->size + n);
        if (!more) break;
        text->bytes = more;
        memcpy(more + text->size, block, n);
        text->size += n;
    }
    fclose(f);
    text->files++;
    return true;
}

static int text_is_wanted(const struct dirent *e) {
    const char *dot = strrchr(e->d_name, '.');
    if (e->d_name[0] == '.' || !strcmp(e->d_name, "build")) return 0;
    if (e->d_type == DT_DIR || !dot) return e->d_type == DT_DIR;
    return !strcmp(dot, ".c") || !strcmp(dot, ".h") || !strcmp(dot, ".md") || !strcmp(dot, ".py");
}

/* In sorted order, so that a run can be repeated. */
static void text_folder(demo_text *text, const char *folder) {
    struct dirent **entries;
    int n = scandir(folder, &entries, text_is_wanted, alphasort);
    for (int i = 0; i < n; i++) {
        char path[4096];
        int length = snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (length < (int)sizeof path) {
            if (entries[i]->d_type == DT_DIR) text_folder(text, path);
            else text_append(text, path);
        }
        free(entries[i]);
    }
    if (n >= 0) free(entries);
}

bool demo_text_read(demo_text *text, const char *path) {
    struct stat st;
    *text = (demo_text){0};
    if (stat(path, &st)) {
        fprintf(stderr, "taper demo: cannot read %s: %s\n", path, strerror(errno));
        return false;
    }
    if (S_ISDIR(st.st_mode)) text_folder(text, path);
    else text_append(text, path);
    if (text->size >= 4096) return true;
    fprintf(stderr, "taper demo: %s has %zu bytes of text, need 4096; --data names a file or a folder with .c .h .md .py files\n",
            path, text->size);
    free(text->bytes);
    return false;
}
