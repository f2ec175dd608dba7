/* What users write: names of GPUs, image tags, versions. */
#include "doctor/compat.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_WORDS = 12, NAMES_WORD = 24 };

/* A name as small words: "NVIDIA A100-SXM4-40GB" is a100 sxm4 40 gb. Words that only say who made it are left out, so is what
 * follows MIG (the instance). */
typedef struct names_words {
    char word[NAMES_WORDS][NAMES_WORD];
    int count;
} names_words;

static bool names_idle(const char *word) {
    static const char *const idle[] = {"nvidia", "tesla", "geforce", "quadro", "gpu", "graphics", "card", "device", "generation"};
    for (int i = 0; i < TAPER_COUNT(idle); i++)
        if (!strcmp(word, idle[i])) return true;
    return false;
}

static names_words names_split(const char *text) {
    names_words w = {{{0}}, 0};
    for (const unsigned char *s = (const unsigned char *)text; *s && w.count < NAMES_WORDS;) {
        int n = 0;
        while (*s && (!isalnum(*s) || *s >= 0x80)) s++;
        while (*s < 0x80 && isalnum(*s)) {
            if (n && isdigit(s[-1]) && isalpha(*s)) break; /* 3090ti, 80gb */
            if (n == 3 && isdigit(*s) && (!memcmp(w.word[w.count], "rtx", 3) || !memcmp(w.word[w.count], "gtx", 3))) break; /* rtx3090 */
            if (n < NAMES_WORD - 1) w.word[w.count][n++] = (char)tolower(*s);
            s++;
        }
        w.word[w.count][n] = 0;
        if (!strcmp(w.word[w.count], "mig")) break;
        if (n && !names_idle(w.word[w.count])) w.count++;
        else memset(w.word[w.count], 0, NAMES_WORD);
    }
    return w;
}

/* A word of letters alone may be the start of the row's: sxm means sxm5. */
static bool names_within(const names_words *asked, const names_words *row) {
    for (int i = 0; i < asked->count; i++) {
        bool letters = !strpbrk(asked->word[i], "0123456789"), found = false;
        for (int k = 0; k < row->count; k++)
            found |= letters && strlen(asked->word[i]) > 2 ? !strncmp(row->word[k], asked->word[i], strlen(asked->word[i])) : !strcmp(row->word[k], asked->word[i]);
        if (!found) return false;
    }
    return asked->count > 0 && asked->count <= row->count;
}

/* "8.0", "sm_80", "sm80", "compute_120" give "8.0", "12.0". */
static bool names_cc(char out[16], const char *text) {
    const char *s = text;
    static const char *const before[] = {"sm_", "compute_", "sm", "cc"};
    for (int i = 0; i < TAPER_COUNT(before); i++)
        if (!strncasecmp(s, before[i], strlen(before[i]))) {
            s += strlen(before[i]);
            break;
        }
    size_t n = strspn(s, "0123456789");
    if (n >= 1 && n <= 2 && s[n] == '.' && strspn(s + n + 1, "0123456789") == 1 && !s[n + 2]) return snprintf(out, 16, "%s", s) < 16;
    if (s == text || n < 2 || n > 3 || (s[n] && strcmp(s + n, "a") && strcmp(s + n, "f"))) return false;
    return snprintf(out, 16, "%.*s.%c", (int)n - 1, s, s[n - 1]) < 16;
}

/* The driver that this row's GPU needs: when it was first listed, else its branch, else the architecture's. */
static void names_floor(compat_gpu *gpu, int row) {
    const doctor_table *t = doctor_table_open("gpus"), *cc = doctor_table_open("cc");
    static const char *const columns[] = {"first_driver_listing_it", "min_driver_branch"};
    const char *floor = NULL;
    const doctor_table *from = t;
    int at = row;
    bool weak = false;
    for (int i = 0; i < 2 && !floor && row >= 0; i++)
        if (*doctor_cell(t, row, columns[i])) {
            floor = doctor_cell(t, row, columns[i]);
            weak = doctor_cell_weak(t, row, columns[i]);
        }
    if (!floor && gpu->cc_row >= 0 && *doctor_cell(cc, gpu->cc_row, "driver")) {
        from = cc;
        at = gpu->cc_row;
        floor = doctor_cell(cc, at, "driver");
        weak = doctor_cell_weak(cc, at, "driver");
    }
    if (!floor) return;
    int order = gpu->floor ? doctor_version_order(floor, gpu->floor) : -1;
    if (order < 0 || (!order && !weak)) {
        gpu->floor = floor;
        gpu->floor_weak = weak;
        gpu->floor_table = from;
        gpu->floor_row = at;
    }
    if (!gpu->floor_all || doctor_version_order(floor, gpu->floor_all) > 0) gpu->floor_all = floor;
}

bool compat_find_gpu(compat_gpu *gpu, const char *name, compat_answer *answer) {
    const doctor_table *t = doctor_table_open("gpus"), *cc = doctor_table_open("cc");
    char number[16] = "";
    int length = 0;
    *gpu = (compat_gpu){.class = "", .host = "", .cc_row = -1, .floor_row = -1};
    for (const unsigned char *s = (const unsigned char *)name; *s && length < (int)sizeof gpu->name - 1; s++)
        gpu->name[length++] = *s >= 0x20 && *s < 0x7f ? (char)*s : '?';
    if (names_cc(number, name)) {
        gpu->cc_row = doctor_table_find(cc, 0, "cc", number);
        int row = doctor_table_find(t, 0, "cc", number);
        gpu->cc = gpu->cc_row >= 0 ? doctor_cell(cc, gpu->cc_row, "cc") : row >= 0 ? doctor_cell(t, row, "cc") : NULL;
        if (row >= 0 && gpu->cc_row < 0) gpu->class = doctor_cell(t, row, "class"); /* Jetson */
        if (!gpu->cc && answer) compat_add(answer, false, "gpu", COMPAT_UNSURE, COMPAT_SAY_cc_unknown, NULL, -1, number, NULL, NULL, NULL);
        if (gpu->cc) names_floor(gpu, -1);
        return gpu->cc != NULL;
    }
    names_words asked = names_split(name);
    bool same = false;
    for (int pass = 0; pass < 2 && !gpu->count; pass++) /* the same words, then more than those */
        for (int row = 0; t && row < t->rows; row++) {
            names_words own = names_split(doctor_cell(t, row, "gpu")), nvml = names_split(doctor_cell(t, row, "nvml_name"));
            bool hit = false;
            for (int k = 0; k < 2; k++) {
                const names_words *w = k ? &nvml : &own;
                hit |= names_within(&asked, w) && (pass || w->count == asked.count);
            }
            if (hit && gpu->count < TAPER_COUNT(gpu->rows)) gpu->rows[gpu->count++] = row;
            same |= hit && !pass;
        }
    if (!gpu->count) {
        if (answer) compat_add(answer, false, "gpu", COMPAT_UNSURE, COMPAT_SAY_gpu_unknown, NULL, -1, gpu->name, NULL, NULL, NULL);
        return false;
    }
    for (int i = 1; i < gpu->count; i++)
        if (strcmp(doctor_cell(t, gpu->rows[i], "cc"), doctor_cell(t, gpu->rows[0], "cc"))) {
            if (answer)
                compat_add(answer, false, "gpu", COMPAT_UNSURE, COMPAT_SAY_gpu_ambiguous, t, gpu->rows[0], gpu->name, doctor_cell(t, gpu->rows[0], "gpu"),
                           doctor_cell(t, gpu->rows[i], "gpu"), NULL);
            return false;
        }
    gpu->cc = doctor_cell(t, gpu->rows[0], "cc");
    gpu->cc_row = doctor_table_find(cc, 0, "cc", gpu->cc);
    gpu->class = doctor_cell(t, gpu->rows[0], "class");
    gpu->host = doctor_cell(t, gpu->rows[0], "host");
    for (int i = 0; i < gpu->count; i++) {
        if (strcmp(gpu->class, doctor_cell(t, gpu->rows[i], "class"))) gpu->class = "";
        if (strcmp(gpu->host, doctor_cell(t, gpu->rows[i], "host"))) gpu->host = "";
        names_floor(gpu, gpu->rows[i]);
    }
    if (same && gpu->count == 1) snprintf(gpu->name, sizeof gpu->name, "%s", doctor_cell(t, gpu->rows[0], "gpu"));
    return true;
}

bool compat_read_cuda(char out[16], const char *text) {
    const char *s = text;
    bool cu = !strncasecmp(s, "cu", 2);
    if (cu) s += !strncasecmp(s, "cuda", 4) ? 4 : 2;
    size_t n = strspn(s, "0123456789");
    if (!n || n > 3) return false;
    if (s[n] == '.') {
        size_t minor = strspn(s + n + 1, "0123456789");
        if (!minor || minor > 2) return false;
        const char *end = s + n + 1 + minor;
        if (*end == '.') end += 1 + strspn(end + 1, "0123456789");
        if (*end) return false;
        snprintf(out, 16, "%.*s", (int)(n + 1 + minor), s);
        return true;
    }
    if (s[n] || !cu || n < 2) return false;
    snprintf(out, 16, "%.*s.%c", (int)n - 1, s, s[n - 1]); /* cu126, cu92 */
    return true;
}

bool compat_read_torch(char minor[16], char variant[16], const char *text) {
    const char *s = text + (*text == 'v' || *text == 'V');
    size_t major = strspn(s, "0123456789");
    *variant = 0;
    if (!major || major > 2 || s[major] != '.') return false;
    size_t second = strspn(s + major + 1, "0123456789"), n = major + 1 + second;
    if (!second || second > 2) return false;
    snprintf(minor, 16, "%.*s", (int)n, s);
    if (s[n] == '.') n += 1 + strspn(s + n + 1, "0123456789");
    n += strspn(s + n, "abcdefghijklmnopqrstuvwxyz0123456789."); /* rc1, .post2, a0 */
    if (s[n] == '+') snprintf(variant, 16, "%.15s", s + n + 1);
    else if (s[n]) return false;
    return true;
}

bool compat_read_image(compat_image *out, const char *image) {
    const char *colon = strrchr(image, ':'), *tag = colon ? colon + 1 : image;
    char head[64] = "", variant[16], text[128];
    *out = (compat_image){.official = true, .exact = true};
    if (colon) {
        size_t n = (size_t)(colon - image);
        if (n >= sizeof head) return false;
        memcpy(head, image, n);
        out->official = !strcmp(head, "pytorch/pytorch") || !strcmp(head, "docker.io/pytorch/pytorch") || !strcmp(head, "index.docker.io/pytorch/pytorch");
    }
    if (strlen(tag) >= sizeof text) return false;
    snprintf(text, sizeof text, "%s", tag);
    int part = 0;
    bool any = false;
    char *save = NULL;
    for (char *word = strtok_r(text, "-", &save); word; word = strtok_r(NULL, "-", &save), part++) {
        char own[16];
        if (part == 0) {
            if (compat_read_torch(own, variant, word) && !*variant) {
                snprintf(out->torch_version, sizeof out->torch_version, "%.15s", word);
                any = true;
                int points = 0;
                for (const char *c = word; *c; c++) points += *c == '.';
                out->exact &= points == 2 && isdigit((unsigned char)*word) && doctor_version_valid(word) && !strchr(word, '?');
            } else {
                out->exact = false;
            }
        } else if (!strncmp(word, "cuda", 4) && compat_read_cuda(own, word)) {
            snprintf(out->cuda, sizeof out->cuda, "%s", own);
            out->exact &= part == 1 && !strcmp(word + 4, own);
            any = true;
        } else if (!strncmp(word, "cudnn", 5) && strspn(word + 5, "0123456789") == strlen(word + 5) && word[5] && strlen(word) < 8) {
            out->cudnn = atoi(word + 5);
            out->exact &= part == 2;
        } else if (!strcmp(word, "runtime") || !strcmp(word, "devel")) {
            snprintf(out->kind, sizeof out->kind, "%s", word);
            out->exact &= part == 3;
        } else {
            out->exact = false;
        }
    }
    out->exact &= part == 4 && out->cudnn && *out->cuda && *out->torch_version && *out->kind;
    return any;
}
