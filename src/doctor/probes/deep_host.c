/* The probe "deep_host": what one core, all cores and the memory of this process do. Its keys: threads (CPUs this process may use, a quota
 * counted in, at most 16), steps (millions of dependent multiply-adds a second on one core; four clocks each on x86), cores (how many times that all
 * threads reach together), steal (percent of the machine's time that the hypervisor took meanwhile), throttled_ms (by the cgroup's quota
 * meanwhile), runnable (load average before), memory_gbs (copies by all threads, read and written), shm_gbs (writing /dev/shm), fork_us,
 * loader_one and loader_all (images a second that one process, and as many as there are threads, crop, flip, normalise and put into shared memory). */
#include "doctor/probes/deep.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor/probes/deep_host.h"

enum { HOST_THREADS = 16, HOST_COPY = 64 << 20, HOST_SHM = 128 << 20, LOADER_FROM = 256, LOADER_SIDE = 224, LOADER_IMAGES = 4 };
enum { LOADER_BATCH = LOADER_IMAGES * 3 * LOADER_SIDE * LOADER_SIDE };

static int64_t host_number(const char *path, const char *key) {
    char text[8192];
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (n <= 0) return -1;
    text[n] = 0;
    const char *at = strstr(text, key);
    return at ? strtoll(at + strlen(key), NULL, 10) : -1;
}

/* Ticks of all CPUs: the sum, and those stolen. */
static void host_ticks(int64_t *all, int64_t *stolen) {
    char text[512];
    int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    *all = *stolen = 0;
    if (n <= 0) return;
    text[n] = 0;
    char *at = text + strcspn(text, " ");
    for (int i = 0; i < 8; i++) {
        int64_t value = strtoll(at, &at, 10);
        *all += value;
        if (i == 7) *stolen = value;
    }
}

typedef struct host_work {
    pthread_t thread;
    double seconds;
    uint64_t steps, sum;
    char *from, *to;
} host_work;

/* Each step waits for the one before it, so that the clock alone decides. */
static void *host_count(void *arg) {
    host_work *w = arg;
    uint64_t x = w->sum | 1;
    double until = deep_now() + w->seconds, start = deep_now();
    while (deep_now() < until) {
        for (int i = 0; i < 1 << 16; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            __asm__ volatile("" : "+r"(x));
        }
        w->steps += 1 << 16;
    }
    w->seconds = deep_now() - start;
    w->sum = x;
    return NULL;
}

static void *host_copy(void *arg) {
    host_work *w = arg;
    double until = deep_now() + w->seconds, start = deep_now();
    while (deep_now() < until || !w->steps) {
        memcpy(w->to, w->from, HOST_COPY);
        __asm__ volatile("" : : "r"(w->to) : "memory");
        w->steps += 2 * HOST_COPY;
    }
    w->seconds = deep_now() - start;
    return NULL;
}

/* Steps a second over n threads. */
static double host_together(host_work *works, int n, void *(*work)(void *), double seconds) {
    double rate = 0;
    int started = 0;
    for (int i = 0; i < n; i++, started++) {
        works[i].seconds = seconds;
        works[i].steps = 0;
        if (pthread_create(&works[i].thread, NULL, work, &works[i])) break;
    }
    for (int i = 0; i < started; i++) {
        pthread_join(works[i].thread, NULL);
        rate += (double)works[i].steps / works[i].seconds;
    }
    return rate;
}

static void host_memory(doctor_out *o, host_work *works, int n) {
    int ready = 0;
    for (int i = 0; i < n; i++, ready++) {
        works[i].from = malloc(HOST_COPY), works[i].to = malloc(HOST_COPY);
        if (!works[i].from || !works[i].to) break;
        memset(works[i].from, 1, HOST_COPY), memset(works[i].to, 2, HOST_COPY);
    }
    if (ready) doctor_say(o, "memory_gbs", "%.1f", host_together(works, ready, host_copy, 0.3) * 1e-9);
}

static void host_shm(doctor_out *o) {
    struct statvfs room;
    char path[] = "/dev/shm/taper-doctor-XXXXXX";
    if (statvfs("/dev/shm", &room) || (uint64_t)room.f_bavail * room.f_frsize < (uint64_t)HOST_SHM * 4) return;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) return;
    unlink(path);
    void *map = ftruncate(fd, HOST_SHM) ? MAP_FAILED : mmap(NULL, HOST_SHM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) {
        double start = deep_now();
        memset(map, 1, HOST_SHM);
        doctor_say(o, "shm_gbs", "%.2f", HOST_SHM / (deep_now() - start) * 1e-9);
        munmap(map, HOST_SHM);
    }
    close(fd);
}

static void host_fork(doctor_out *o) {
    double best = 1;
    for (int i = 0; i < 10; i++) {
        double start = deep_now();
        pid_t child = fork();
        if (child == 0) kill(getpid(), SIGKILL); /* ends without a word of what the parent still holds */
        if (child < 0 || waitpid(child, NULL, 0) < 0) return;
        double seconds = deep_now() - start;
        if (seconds < best) best = seconds;
    }
    doctor_say(o, "fork_us", "%.0f", best * 1e6);
}

/* One batch as a loader's worker makes it. */
static void host_batch(float *to, const unsigned char *from, uint64_t *random) {
    for (int i = 0; i < LOADER_IMAGES; i++) {
        *random = *random * 6364136223846793005u + 1442695040888963407u;
        int top = (int)(*random >> 40) % (LOADER_FROM - LOADER_SIDE), left = (int)(*random >> 50) % (LOADER_FROM - LOADER_SIDE), flip = (int)(*random >> 63);
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < LOADER_SIDE; y++) {
                const unsigned char *row = from + (c * LOADER_FROM + top + y) * LOADER_FROM + left;
                for (int x = 0; x < LOADER_SIDE; x++) *to++ = ((float)row[flip ? LOADER_SIDE - 1 - x : x] / 255.0f - 0.45f) / 0.225f;
            }
    }
}

/* Images a second of n processes; 0 when they cannot be had. Before there are threads. */
static double host_loader(int n, double seconds) {
    typedef struct loader_slot {
        _Alignas(64) volatile uint64_t images;
        double seconds;
        float batch[LOADER_BATCH];
    } loader_slot;
    size_t bytes = sizeof(loader_slot) * (size_t)n;
    loader_slot *slots = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned char *from = malloc(3 * LOADER_FROM * LOADER_FROM);
    pid_t children[HOST_THREADS] = {0};
    double rate = 0;
    for (int i = 0; from && i < 3 * LOADER_FROM * LOADER_FROM; i++) from[i] = (unsigned char)(i * 2654435761u >> 24);
    for (int i = 0; from && slots != MAP_FAILED && i < n; i++) {
        children[i] = fork();
        if (children[i]) continue;
        uint64_t random = (uint64_t)i;
        double start = deep_now();
        for (double now = start; now < start + seconds; now = deep_now()) {
            host_batch(slots[i].batch, from, &random);
            slots[i].images += LOADER_IMAGES;
            slots[i].seconds = deep_now() - start;
        }
        kill(getpid(), SIGKILL);
    }
    for (int i = 0; i < n; i++)
        if (children[i] > 0) waitpid(children[i], NULL, 0);
    for (int i = 0; slots != MAP_FAILED && i < n; i++)
        if (slots[i].seconds > 0) rate += (double)slots[i].images / slots[i].seconds;
    if (slots != MAP_FAILED) munmap(slots, bytes);
    free(from);
    return rate;
}

static void host_run(doctor_out *o, void *ctx) {
    static host_work works[HOST_THREADS];
    const host_settings *s = ctx;
    cpu_set_t set;
    double load = 0;
    int threads = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    if (s->quota > 0 && threads > s->quota + 0.99) threads = (int)(s->quota + 0.99);
    if (threads > HOST_THREADS) threads = HOST_THREADS;
    host_fork(o); /* before there are threads, as is the loader */
    doctor_say(o, "loader_one", "%.0f", host_loader(1, 0.25));
    doctor_say(o, "loader_all", "%.0f", host_loader(threads, 0.4));
    if (getloadavg(&load, 1) == 1) doctor_say(o, "runnable", "%.1f", load);
    doctor_say(o, "threads", "%d", threads);
    double one = 0;
    for (int i = 0; i < 3; i++) {
        double rate = host_together(works, 1, host_count, 0.15);
        if (rate > one) one = rate;
    }
    if (one <= 0) return;
    doctor_say(o, "steps", "%.1f", one * 1e-6);
    int64_t all, stolen, all_after, stolen_after, throttled = host_number(s->cpu_stat, s->unit > 1 ? "throttled_time " : "throttled_usec ");
    host_ticks(&all, &stolen);
    doctor_say(o, "cores", "%.2f", host_together(works, threads, host_count, 0.6) / one);
    host_ticks(&all_after, &stolen_after);
    if (all_after > all) doctor_say(o, "steal", "%.1f", 100.0 * (double)(stolen_after - stolen) / (double)(all_after - all));
    if (throttled >= 0) doctor_say(o, "throttled_ms", "%.0f", (double)(host_number(s->cpu_stat, s->unit > 1 ? "throttled_time " : "throttled_usec ") - throttled) / (1e3 * s->unit));
    host_memory(o, works, threads);
    host_shm(o);
}

const doctor_facts *doctor_host(doctor *d, host_settings *s) { return doctor_probe(d, "deep_host", host_run, s, 15000); }
