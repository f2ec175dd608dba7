/* The thread pool: one job at a time, ranges handed out by atomic counters.
 *
 * Each thread has its own part of the ranges, the same in every job of that size, so that data stays in its caches; a
 * thread that is done helps the others.
 * Workers are volunteers: a job is complete when its ranges are, whether or not a worker came, so the caller never
 * waits for a thread that sleeps or was not scheduled. Joining and closing go through one word, `gate`: bit 0 open |
 * bit 1 caller sleeps | bits 2..12 workers inside | bits 13..31 job number. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <taper/threads.h>

#include "base/base.h"

TAPER_KNOB(knob_threads, "TAPER_NUM_THREADS", "",
           "threads an operator may use; empty: OMP_NUM_THREADS, affinity, cgroup quota");
TAPER_KNOB(knob_omp, "OMP_NUM_THREADS", "", "threads an operator may use where TAPER_NUM_THREADS is not set");
TAPER_KNOB(knob_spin, "TAPER_SPIN_US", "100", "microseconds an idle pool thread spins before it sleeps");

enum {
    POOL_MAX = 1024,
    POOL_RANGES_PER_THREAD = 4, /* a thread that was held up leaves ranges to the others */
    POOL_PAUSES = 16,           /* looks at the gate between two looks at the clock */
    GATE_OPEN = 1,
    GATE_WAITED = 2,
    GATE_ONE = 4,
    GATE_INSIDE = 2047 * GATE_ONE,
    GATE_JOB = 1 << 13,
};

static struct {
    _Alignas(64) _Atomic uint32_t gate;
    /* Written by the caller before it opens the gate, read by workers inside. */
    taper_range_fn fn;
    void *ctx;
    int64_t n, parts;
    int sharers; /* threads that have a part of the ranges */
    _Alignas(64) _Atomic int sleepers;
    _Atomic uint32_t left; /* rises when the last worker left a job whose caller sleeps */
    _Atomic bool quit;
    _Alignas(64) _Atomic int busy; /* a job runs, or workers are being made */
    _Atomic int threads;           /* the setting; 0: not asked yet */
    _Atomic int invited;           /* workers with a number below this may join */
    /* Guarded by busy. */
    int workers;
    bool no_more;
    pthread_t ids[POOL_MAX];
    struct {
        _Alignas(64) _Atomic int64_t next; /* the first range of this thread's part that nobody took */
    } shares[POOL_MAX];
} pool;

static _Thread_local bool pool_within; /* this thread runs a range: a nested call must run inline */

static void pool_futex(_Atomic uint32_t *word, int op, uint32_t value) {
    syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static inline void pool_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

static int64_t pool_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- how many threads ---- */

static bool pool_read(const char *path, char *text, size_t size) {
    FILE *f = fopen(path, "re");
    if (!f) return false;
    size_t n = fread(text, 1, size - 1, f);
    fclose(f);
    text[n] = 0;
    return n > 0;
}

/* CPUs of one control group folder, rounded up; INT_MAX when it sets no limit. */
static int pool_group_cpus(const char *root, const char *group) {
    char path[PATH_MAX], text[128];
    long long quota = -1, period = 0;
    snprintf(path, sizeof path, "%s%s/cpu.max", root, group);
    if (pool_read(path, text, sizeof text)) {
        if (sscanf(text, "%lld %lld", &quota, &period) != 2) return INT_MAX; /* "max 100000" */
    } else {
        snprintf(path, sizeof path, "%s%s/cpu.cfs_quota_us", root, group);
        if (!pool_read(path, text, sizeof text) || sscanf(text, "%lld", &quota) != 1) return INT_MAX;
        snprintf(path, sizeof path, "%s%s/cpu.cfs_period_us", root, group);
        if (!pool_read(path, text, sizeof text) || sscanf(text, "%lld", &period) != 1) return INT_MAX;
    }
    if (quota <= 0 || period <= 0) return INT_MAX;
    long long cpus = (quota + period - 1) / period;
    return cpus < 1 ? 1 : cpus < INT_MAX ? (int)cpus : INT_MAX;
}

/* Every level up to the root may set a quota. In a container the path is often the host's and only the root exists. */
static int pool_quota_above(const char *root, char *group) {
    int least = INT_MAX;
    for (;;) {
        int cpus = pool_group_cpus(root, group);
        if (cpus < least) least = cpus;
        char *slash = strrchr(group, '/');
        if (!slash) return least;
        *slash = 0;
    }
}

static int pool_quota(void) {
    int least = INT_MAX;
    char line[PATH_MAX];
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        *group++ = 0;
        controllers++;
        bool v2 = !*controllers;
        bool v1 = !strcmp(controllers, "cpu") || !strncmp(controllers, "cpu,", 4) || strstr(controllers, ",cpu,") ||
                  (strlen(controllers) > 4 && !strcmp(controllers + strlen(controllers) - 4, ",cpu"));
        if (!v1 && !v2) continue;
        if (!strcmp(group, "/")) *group = 0;
        int cpus = pool_quota_above(v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu", group);
        if (cpus < least) least = cpus;
    }
    if (f) fclose(f);
    return least;
}

static int pool_affinity(void) {
    /* The kernel refuses a set smaller than its own CPU count. */
    for (size_t cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set) break;
        int failed = sched_getaffinity(0, CPU_ALLOC_SIZE(cpus), set), error = errno;
        int count = failed ? 0 : CPU_COUNT_S(CPU_ALLOC_SIZE(cpus), set);
        CPU_FREE(set);
        if (count > 0) return count;
        if (error != EINVAL) break;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

int taper__cpu_count(void) {
    int cpus = pool_affinity(), quota = pool_quota();
    return cpus < quota ? cpus : quota;
}

static int pool_default_threads(void) {
    int64_t wish = taper__knob_int(&knob_threads);
    if (wish < 1) wish = taper__knob_int(&knob_omp);
    if (wish < 1) wish = taper__cpu_count();
    return wish < POOL_MAX ? (int)wish : POOL_MAX;
}

int taper_num_threads(void) {
    int threads = atomic_load_explicit(&pool.threads, memory_order_relaxed);
    if (TAPER_LIKELY(threads)) return threads;
    int found = pool_default_threads();
    /* Another thread may have set a number meanwhile; its word counts. */
    return atomic_compare_exchange_strong(&pool.threads, &threads, found) ? found : threads;
}

taper_status taper_set_num_threads(int n) {
    if (n < 1) return TAPER_FAIL(TAPER_VALUE, "set_num_threads: got %d, need at least 1", n);
    atomic_store(&pool.threads, n < POOL_MAX ? n : POOL_MAX);
    return TAPER_OK;
}

/* ---- running ---- */

/* Begin of piece i of n, cut evenly, the longer pieces first. */
static int64_t pool_cut(int64_t n, int64_t pieces, int64_t i) {
    int64_t longer = n % pieces;
    return i * (n / pieces) + (i < longer ? i : longer);
}

static void pool_run_ranges(int me) {
    taper_range_fn fn = pool.fn;
    void *ctx = pool.ctx;
    int64_t n = pool.n, parts = pool.parts;
    int sharers = pool.sharers;
    if (me >= sharers) return; /* it was invited to an earlier, larger job */
    for (int i = 0; i < sharers; i++) {
        int share = me + i < sharers ? me + i : me + i - sharers;
        int64_t end = pool_cut(parts, sharers, share + 1);
        /* Looking first keeps the line of a share that is used up where it is. */
        while (atomic_load_explicit(&pool.shares[share].next, memory_order_relaxed) < end) {
            int64_t part = atomic_fetch_add_explicit(&pool.shares[share].next, 1, memory_order_relaxed);
            if (part < end) fn(ctx, pool_cut(n, parts, part), pool_cut(n, parts, part + 1));
        }
    }
}

/* Waits until the gate is open for a job other than `last`; false: the pool closes down. */
static bool pool_await(int number, uint32_t last, uint32_t *seen) {
    int64_t spin_until = 0;
    for (;;) {
        bool invited = number < atomic_load_explicit(&pool.invited, memory_order_relaxed);
        for (int i = 0; i < POOL_PAUSES; i++) {
            uint32_t gate = atomic_load_explicit(&pool.gate, memory_order_relaxed);
            if (invited && (gate & GATE_OPEN) && gate / GATE_JOB != last) {
                *seen = gate;
                return true;
            }
            pool_pause();
        }
        if (atomic_load_explicit(&pool.quit, memory_order_relaxed)) return false;
        int64_t now = pool_now_ns();
        if (!spin_until) spin_until = now + taper__knob_int(&knob_spin) * 1000;
        if (invited && now < spin_until) continue;
        /* Either the caller sees this sleeper after opening, or the gate has already changed and the wait returns. */
        atomic_fetch_add(&pool.sleepers, 1);
        uint32_t gate = atomic_load(&pool.gate);
        invited = number < atomic_load(&pool.invited);
        if (!atomic_load(&pool.quit) && !(invited && (gate & GATE_OPEN) && gate / GATE_JOB != last))
            pool_futex(&pool.gate, FUTEX_WAIT, gate);
        atomic_fetch_sub(&pool.sleepers, 1);
        spin_until = 0;
    }
}

static void *pool_worker(void *argument) {
    int number = (int)(intptr_t)argument;
    uint32_t last = UINT32_MAX, gate;
    pool_within = true;
    while (pool_await(number, last, &gate)) {
        if (!atomic_compare_exchange_weak_explicit(&pool.gate, &gate, gate + GATE_ONE, memory_order_acquire,
                                                   memory_order_relaxed))
            continue;
        last = gate / GATE_JOB;
        pool_run_ranges(number + 1);
        gate = atomic_fetch_sub_explicit(&pool.gate, GATE_ONE, memory_order_release) - GATE_ONE;
        if (TAPER_UNLIKELY((gate & GATE_WAITED) && !(gate & GATE_INSIDE))) {
            atomic_fetch_add(&pool.left, 1);
            pool_futex(&pool.left, FUTEX_WAKE, 1);
        }
    }
    return NULL;
}

static void pool_after_fork(void) {
    /* Only the forking thread lives on. Workers are made again at the next job. */
    atomic_store(&pool.gate, 0);
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.busy, 0);
    pool.workers = 0;
    pool.no_more = false;
}

static void pool_grow(int workers) {
    static bool registered;
    if (!registered) registered = !pthread_atfork(NULL, NULL, pool_after_fork);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are for the program's own threads */
    while (pool.workers < workers && !pool.no_more) {
        char name[32];
        pthread_t id;
        /* Fewer threads are slower and not wrong; not tried again, since it would fail at every job. */
        pool.no_more = pthread_create(&id, NULL, pool_worker, (void *)(intptr_t)pool.workers);
        if (pool.no_more) break;
        snprintf(name, sizeof name, "taper-%d", pool.workers + 1);
        pthread_setname_np(id, name);
        pool.ids[pool.workers++] = id;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (pool.no_more)
        taper__log("slow", "thread pool: only %d of %d threads could start", pool.workers + 1, workers + 1);
}

static void pool_wait_empty(uint32_t gate) {
    for (int64_t until = 0; gate & GATE_INSIDE;) {
        for (int i = 0; i < POOL_PAUSES && (gate & GATE_INSIDE); i++) {
            pool_pause();
            gate = atomic_load_explicit(&pool.gate, memory_order_acquire);
        }
        if (!(gate & GATE_INSIDE)) return;
        int64_t now = pool_now_ns();
        if (!until) until = now + taper__knob_int(&knob_spin) * 1000;
        if (now < until) continue;
        uint32_t left = atomic_load(&pool.left);
        gate = atomic_fetch_or(&pool.gate, GATE_WAITED) | GATE_WAITED;
        while ((gate & GATE_INSIDE)) {
            pool_futex(&pool.left, FUTEX_WAIT, left);
            left = atomic_load(&pool.left);
            gate = atomic_load_explicit(&pool.gate, memory_order_acquire);
        }
    }
}

static void pool_run(taper_range_fn fn, void *ctx, int64_t n, int64_t parts, int threads) {
    int invite = (parts < threads ? (int)parts : threads) - 1;
    if (TAPER_UNLIKELY(pool.workers < invite)) pool_grow(invite);
    pool.fn = fn;
    pool.ctx = ctx;
    pool.n = n;
    pool.parts = parts;
    pool.sharers = invite + 1;
    for (int i = 0; i <= invite; i++)
        atomic_store_explicit(&pool.shares[i].next, pool_cut(parts, invite + 1, i), memory_order_relaxed);
    if (atomic_load_explicit(&pool.invited, memory_order_relaxed) != invite) atomic_store(&pool.invited, invite);
    uint32_t job = atomic_load_explicit(&pool.gate, memory_order_relaxed) / GATE_JOB + 1;
    atomic_store(&pool.gate, job * GATE_JOB | GATE_OPEN);
    /* All sleepers wait on one word, so a wake may reach one that is not invited: then all have to be woken. */
    int sleepers = atomic_load(&pool.sleepers);
    if (sleepers) pool_futex(&pool.gate, FUTEX_WAKE, invite < pool.workers ? INT_MAX : (uint32_t)invite);
    pool_within = true;
    pool_run_ranges(0);
    pool_within = false;
    pool_wait_empty(atomic_fetch_and_explicit(&pool.gate, ~(uint32_t)GATE_OPEN, memory_order_acquire));
}

void taper__parallel_for(int64_t n, int64_t grain, taper_range_fn fn, void *ctx) {
    if (n <= 0) return;
    if (grain < 1) grain = 1;
    int threads;
    if (n / 2 < grain || (threads = taper_num_threads()) == 1 || pool_within ||
        atomic_load_explicit(&pool.busy, memory_order_relaxed) ||
        atomic_exchange_explicit(&pool.busy, 1, memory_order_acquire)) {
        fn(ctx, 0, n);
        return;
    }
    int64_t parts = n / grain, most = (int64_t)threads * POOL_RANGES_PER_THREAD;
    pool_run(fn, ctx, n, parts < most ? parts : most, threads);
    atomic_store_explicit(&pool.busy, 0, memory_order_release);
}

/* Idle workers end before the library can be unloaded. While a job runs they are left alone: the thread that ends the
 * process may hold a lock that a range waits for. */
__attribute__((destructor)) static void pool_end(void) {
    if (atomic_exchange(&pool.busy, 1)) return;
    atomic_store(&pool.quit, true);
    atomic_fetch_add(&pool.gate, GATE_JOB);
    pool_futex(&pool.gate, FUTEX_WAKE, INT_MAX);
    for (int i = 0; i < pool.workers; i++) pthread_join(pool.ids[i], NULL);
    pool.workers = 0;
}
