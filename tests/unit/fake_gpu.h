/* What the tests of the GPU layer share: a fake driver (tests/cuda/fake_driver.c), so that no GPU is needed. Each scenario is a
 * process of its own, since the driver is loaded once: the program starts itself with the scenario's name and environment. The
 * fake is taken from TAPER_FAKE_DRIVER, from "fake" beside the program, or built on the spot with cc. */
#ifndef TAPER_TESTS_UNIT_FAKE_GPU_H
#define TAPER_TESTS_UNIT_FAKE_GPU_H

#include <dlfcn.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/cuda/gpu.h"

static int failed;
#define CHECK(name, condition)                                                                                         \
    do {                                                                                                               \
        if (condition)                                                                                                 \
            printf("ok cuda_%s\n", name);                                                                              \
        else                                                                                                           \
            failed = 1,                                                                                                \
            printf("not ok cuda_%s: %s is false (line %d): %s\n", name, #condition, __LINE__, taper_error_message());  \
    } while (0)
#define SAYS(text) (strstr(taper_error_message(), text) != NULL)
#define MIB ((size_t)1 << 20)

/* The fake's own state, found in the library that the layer loaded. */
typedef struct fake_state {
    int hold, fail_next, launches, loads, peers, synchronizations, context_sets;
    struct {
        char name[64];
        unsigned grid[3], block[3], shared, cluster;
        void *stream;
        uint64_t first_argument;
    } last;
    int limit_raised;
    size_t used[16];
    int live_handles, live_events, live_graphs, pinned_blocks;
} fake_state;
static fake_state *fake;

static inline void find_fake(void) {
    char path[600];
    snprintf(path, sizeof path, "%.500s/libcuda.so.1", getenv("TAPER_LIBRARY_PATH"));
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    fake_state *(*get)(void) = NULL;
    void *symbol = library ? dlsym(library, "fake_cuda_state") : NULL;
    memcpy(&get, &symbol, sizeof get);
    if (get) fake = get();
    if (!fake) {
        printf("not ok cuda_fake_driver: the layer did not load the fake driver\n");
        exit(1);
    }
}

static inline char *alloc(size_t bytes, const char *tag) {
    void *p = NULL;
    return taper__memory_alloc(&p, bytes, taper_cuda(0), tag) ? NULL : p;
}
static inline void release(void *p) { taper__memory_free(p, 0, taper_cuda(0)); }

static inline taper_cuda_kernel fake_kernel(const char *name) {
    static void *module;
    taper_cuda_kernel k;
    if (!module) taper__cuda_module_load(&module, 0, "image", "test");
    taper__cuda_module_kernel(&k, module, 0, name);
    return k;
}

/* First in a scenario: the driver must start. */
static inline bool driver_starts(void) {
    const char *why = NULL;
    void *p;
    int count = taper_cuda_device_count(&why);
    CHECK("driver_starts", count > 0 && !taper__memory_alloc(&p, 8, taper_cuda(0), "start"));
    if (!count) return printf("# %s\n", why), false;
    release(p);
    find_fake();
    return true;
}

/* ---- the parent: one process per scenario ---- */

static char folder[512], self[512];

static inline bool build_fake(void) {
    const char *given = getenv("TAPER_FAKE_DRIVER"), *cc = getenv("CC");
    char program[512], source[512], command[2400];
    struct stat st;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    snprintf(program, sizeof program, "%s", self);
    snprintf(folder, sizeof folder, "%.480s/fake", dirname(program));
    if (given) snprintf(folder, sizeof folder, "%s", given);
    snprintf(command, sizeof command, "%s/old/libcuda.so.1", folder);
    if (!stat(command, &st)) return true;
    snprintf(source, sizeof source, "%.400s", __FILE__);
    snprintf(folder, sizeof folder, "/tmp/taper-fake-XXXXXX");
    if (!mkdtemp(folder)) return false;
    char *slash = strstr(source, "unit/fake_gpu.h");
    if (slash) strcpy(slash, "cuda/fake_driver.c");
    snprintf(command, sizeof command,
             "F=%s S=%s C=%.400s; mkdir -p $F/old $F/stubs && $C -shared -fPIC -g -O1 -o $F/libcuda.so.1 $S && "
             "$C -DFAKE_OLD -shared -fPIC -g -O1 -o $F/old/libcuda.so.1 $S && cp $F/libcuda.so.1 $F/stubs/",
             folder, source, cc ? cc : "cc");
    return !system(command);
}

static inline void run(const char *label, const char *sub, const char *environment, const char *name, const char *expected) {
    printf("# scenario %s\n", label);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        char path[600], copy[400], *save = NULL;
        snprintf(path, sizeof path, "%s%s", folder, sub);
        setenv("TAPER_LIBRARY_PATH", path, 1);
        unsetenv("CUDA_VISIBLE_DEVICES");
        snprintf(copy, sizeof copy, "%s", environment);
        for (char *e = strtok_r(copy, " ", &save); e; e = strtok_r(NULL, " ", &save)) {
            char *equals = strchr(e, '=');
            *equals = 0;
            setenv(e, equals + 1, 1);
        }
        execl(self, self, name, expected, (char *)NULL);
        _exit(127);
    }
    int status = 1;
    waitpid(pid, &status, 0);
    if (status)
        failed = 1, printf("not ok cuda_scenario_%s: ended with %d\n", label, status);
    else
        printf("ok cuda_scenario_%s\n", label);
}

static inline void remove_fake(void) {
    char text[512];
    if (strncmp(folder, "/tmp/taper-fake-", 16)) return;
    snprintf(text, sizeof text, "rm -rf %.400s", folder);
    if (system(text)) failed = 1;
}

#endif
