/* Libraries found at run time: vendors put them in the loader's path, in toolkit folders and in Python wheels. */
#include <dlfcn.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

TAPER_KNOB(knob_path, "TAPER_LIBRARY_PATH", "",
           "folders (a:b) searched first for libcuda, cuBLASLt, cuDNN, NCCL and the like");
TAPER_KNOB(knob_providers, "TAPER_PROVIDERS", "",
           "comma list of vendor libraries that may be used, or none; empty: all");

struct taper_library {
    void *handle;
    struct taper_library *next;
    char path[PATH_MAX];
};

enum { DL_ADDED_MAX = 16 };
static pthread_mutex_t dl_lock = PTHREAD_MUTEX_INITIALIZER;
static taper_library *dl_open; /* all of them, for leak checkers: they stay as long as the process */
static char dl_added[DL_ADDED_MAX][PATH_MAX];
static int dl_added_count;

/* One search. `seen` collects the folders that were looked into, `problem` the first file that was there but unusable.
 */
typedef struct dl_search {
    const char *name;
    taper_library *found;
    char seen[512], problem[1024];
} dl_search;

static void dl_note(char *text, size_t size, const char *format, ...) {
    size_t n = strlen(text);
    va_list ap;
    va_start(ap, format);
    vsnprintf(text + n, size - n, format, ap);
    va_end(ap);
}

/* The toolkit's stubs are for linking on machines without a driver: every call of theirs fails. */
static bool dl_is_stub(const char *path) {
    char real[PATH_MAX];
    return strstr(path, "/stubs/") || (realpath(path, real) && strstr(real, "/stubs/"));
}

/* Opens a file, or a plain soname through the loader. */
static bool dl_try(dl_search *s, const char *path) {
    bool plain = !strchr(path, '/');
    if (!plain && access(path, F_OK)) return false;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *words = dlerror();
        bool absent = plain && words && strstr(words, "No such file");
        if (!absent && !s->problem[0])
            dl_note(s->problem, sizeof s->problem, "%s cannot be loaded (%s)", path, words ? words : "no reason given");
        return false;
    }
    struct link_map *map = NULL;
    if (!dlinfo(handle, RTLD_DI_LINKMAP, &map) && map && map->l_name[0]) path = map->l_name;
    if (dl_is_stub(path)) {
        if (!s->problem[0])
            dl_note(
                s->problem, sizeof s->problem,
                "%s is the CUDA toolkit's stub, which is for linking only; remove its folder from LD_LIBRARY_PATH and "
                "install the driver (in a container: start it with --gpus all)",
                path);
        dlclose(handle);
        return false;
    }
    /* Not from taper__alloc: a leak check of our own would count it. */
    s->found = malloc(sizeof *s->found);
    if (!s->found) {
        dlclose(handle);
        return false;
    }
    s->found->handle = handle;
    pthread_mutex_lock(&dl_lock);
    s->found->next = dl_open;
    dl_open = s->found;
    pthread_mutex_unlock(&dl_lock);
    snprintf(s->found->path, sizeof s->found->path, "%s", path);
    return true;
}

static bool dl_try_folder(dl_search *s, const char *folder) {
    char path[PATH_MAX];
    if (access(folder, F_OK)) return false;
    if (!strstr(s->seen, folder)) dl_note(s->seen, sizeof s->seen, "%s%s", s->seen[0] ? ", " : "", folder);
    if (snprintf(path, sizeof path, "%s/%s", folder, s->name) >= (int)sizeof path) return false;
    return dl_try(s, path);
}

/* Folders that match a pattern; later names of one family are newer, so the last goes first. */
static bool dl_try_glob(dl_search *s, const char *pattern) {
    glob_t g;
    bool found = false;
    if (glob(pattern, 0, NULL, &g)) return false;
    for (size_t i = g.gl_pathc; i-- > 0 && !found;) found = dl_try_folder(s, g.gl_pathv[i]);
    globfree(&g);
    return found;
}

/* A list "a:b". */
static bool dl_try_list(dl_search *s, const char *list) {
    char folder[PATH_MAX];
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ":");
        if (n && n < sizeof folder) {
            memcpy(folder, p, n);
            folder[n] = 0;
            if (dl_try_folder(s, folder)) return true;
        }
        p += n + (p[n] == ':');
    }
    return false;
}

/* NVIDIA's wheels: nvidia/cublas/lib, nvidia/cudnn/lib, ...; since CUDA 13 most in nvidia/cu13/lib. */
static bool dl_try_site(dl_search *s, const char *site) {
    char pattern[PATH_MAX];
    if (snprintf(pattern, sizeof pattern, "%s/nvidia/*/lib", site) >= (int)sizeof pattern) return false;
    return dl_try_glob(s, pattern);
}

/* A Python installation or environment: lib/python3.x/site-packages below `prefix`. */
static bool dl_try_prefix(dl_search *s, const char *prefix) {
    static const char *const below[] = {"lib/python3*/site-packages", "lib/python3*/dist-packages",
                                        "lib/python3/dist-packages", "local/lib/python3*/dist-packages",
                                        "lib64/python3*/site-packages"};
    char pattern[PATH_MAX];
    for (int i = 0; i < TAPER_COUNT(below); i++) {
        if (snprintf(pattern, sizeof pattern, "%s/%s/nvidia/*/lib", prefix, below[i]) >= (int)sizeof pattern)
            return false;
        if (dl_try_glob(s, pattern)) return true;
    }
    return false;
}

/* bin/python3 -> its prefix. */
static bool dl_try_program(dl_search *s, char *program) {
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(program, '/');
        if (!slash || slash == program) return false;
        *slash = 0;
    }
    return dl_try_prefix(s, program);
}

static bool dl_try_python(dl_search *s) {
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n > 0) {
        path[n] = 0;
        if (dl_try_program(s, path)) return true;
    }
    const char *environments[] = {getenv("VIRTUAL_ENV"), getenv("CONDA_PREFIX")};
    for (int i = 0; i < TAPER_COUNT(environments); i++) {
        if (environments[i] && *environments[i] && dl_try_prefix(s, environments[i])) return true;
    }
    /* For programs that are not Python: the interpreter that the shell would start. */
    for (const char *p = getenv("PATH"); p && *p;) {
        size_t len = strcspn(p, ":");
        if (len && snprintf(path, sizeof path, "%.*s/python3", (int)len, p) < (int)sizeof path && !access(path, X_OK)) {
            char real[PATH_MAX];
            bool resolved = realpath(path, real) != NULL;
            return dl_try_program(s, path) || (resolved && dl_try_program(s, real));
        }
        p += len + (p[len] == ':');
    }
    return false;
}

static bool dl_try_toolkits(dl_search *s) {
    static const char *const variables[] = {"CUDA_HOME", "CUDA_PATH", "CUDA_ROOT"};
    static const char *const below[] = {"lib64", "lib"};
    static const char *const patterns[] = {"/usr/local/cuda/lib64", "/usr/local/cuda-*/lib64", "/opt/cuda/lib64",
                                           "/usr/lib/cuda/lib64",
                                           /* where containers, WSL and NixOS put the driver */
                                           "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib", "/run/opengl-driver/lib"};
    char folder[PATH_MAX];
    for (int i = 0; i < TAPER_COUNT(variables); i++) {
        const char *home = getenv(variables[i]);
        for (int k = 0; home && *home && k < TAPER_COUNT(below); k++)
            if (snprintf(folder, sizeof folder, "%s/%s", home, below[k]) < (int)sizeof folder &&
                dl_try_folder(s, folder))
                return true;
    }
    for (int i = 0; i < TAPER_COUNT(patterns); i++)
        if (dl_try_glob(s, patterns[i])) return true;
    const char *conda = getenv("CONDA_PREFIX");
    return conda && *conda && snprintf(folder, sizeof folder, "%s/lib", conda) < (int)sizeof folder &&
           dl_try_folder(s, folder);
}

static bool dl_try_added(dl_search *s) {
    pthread_mutex_lock(&dl_lock);
    int n = dl_added_count;
    pthread_mutex_unlock(&dl_lock); /* entries are only ever added */
    for (int i = 0; i < n; i++)
        if (dl_try_folder(s, dl_added[i]) || dl_try_site(s, dl_added[i])) return true;
    return false;
}

taper_library *taper__library_open(const char *const *names, char *why, size_t why_size) {
    dl_search s = {0};
    /* A folder that the user named wins with any of the names; elsewhere the best name wins wherever it is. */
    for (int i = 0; names[i] && !s.found; i++) {
        s.name = names[i];
        dl_try_list(&s, taper__knob_text(&knob_path));
    }
    for (int i = 0; names[i] && !s.found; i++) {
        s.name = names[i];
        if (dl_try_added(&s) || dl_try(&s, s.name) || dl_try_toolkits(&s) || dl_try_python(&s)) break;
    }
    if (s.found) {
        taper__log("cuda", "%s: %s", s.name, s.found->path);
        return s.found;
    }
    char list[256] = "";
    for (int i = 0; names[i]; i++) dl_note(list, sizeof list, "%s%s", i ? " or " : "", names[i]);
    if (s.problem[0])
        snprintf(why, why_size, "%s", s.problem);
    else if (s.seen[0])
        snprintf(why, why_size, "%s was not found in the loader's path nor in %s", list, s.seen);
    else
        snprintf(why, why_size, "%s was not found in the loader's path", list);
    taper__log("cuda", "%s", why);
    return NULL;
}

void taper__library_close(taper_library *library) {
    if (!library) return;
    pthread_mutex_lock(&dl_lock);
    taper_library **at = &dl_open;
    while (*at != library) at = &(*at)->next;
    *at = library->next;
    pthread_mutex_unlock(&dl_lock);
    dlclose(library->handle);
    free(library);
}

void *taper__library_symbol(taper_library *library, const char *symbol) { return dlsym(library->handle, symbol); }
const char *taper__library_path(const taper_library *library) { return library->path; }

bool taper__library_table(taper_library *library, const taper_symbol *symbols, void *table, char *why,
                          size_t why_size) {
    for (const taper_symbol *s = symbols; s->name; s++) {
        void *p = dlsym(library->handle, s->name);
        if (!p && !s->optional) {
            snprintf(why, why_size, "%s has no function %s", library->path, s->name);
            return false;
        }
        memcpy((char *)table + s->offset, &p, sizeof p);
    }
    return true;
}

void taper__library_add_path(const char *folder) {
    pthread_mutex_lock(&dl_lock);
    bool known = false;
    for (int i = 0; i < dl_added_count; i++) known |= !strcmp(dl_added[i], folder);
    if (!known && dl_added_count < DL_ADDED_MAX && strlen(folder) < PATH_MAX)
        strcpy(dl_added[dl_added_count++], folder);
    pthread_mutex_unlock(&dl_lock);
}

bool taper__provider_allowed(const char *provider, char *why, size_t why_size) {
    const char *list = taper__knob_text(&knob_providers);
    if (!*list) return true;
    size_t n = strlen(provider);
    for (const char *p = list; *p;) {
        size_t len = strcspn(p, ",");
        if (len == n && !memcmp(p, provider, n)) return true;
        p += len + (p[len] == ',');
    }
    snprintf(why, why_size, "%s is switched off by TAPER_PROVIDERS=%s", provider, list);
    return false;
}
