/* Captured graphs against a fake driver: what is recorded, whose memory it is, random numbers. */
#include "device/cuda/captured_random.h"
#include "fake_gpu.h"

static taper_status add(char *p, int n) {
    uint64_t to = (uintptr_t)p, by = (uint64_t)n;
    void *args[] = {&to, &by};
    taper_cuda_kernel k = fake_kernel("fake_add");
    taper_cuda_geometry g = {.grid = {1, 1, 1}, .block = {1, 1, 1}};
    return taper__cuda_launch(&k, 0, &g, args, "add");
}

static void graphs(bool patching) {
    int64_t live = taper__alloc_live();
    taper_cuda_graph *g, *g2;
    int *counter = (int *)alloc(4, "counter");
    *counter = 0;
    release(alloc(100, "warm"));
    CHECK("graph_replay_before_capture",
          !taper_cuda_graph_new(&g, NULL) && taper_cuda_graph_replay(g, NULL) == TAPER_RUNTIME);
    CHECK("graph_begin", !taper_cuda_graph_begin_capture(g, NULL) && taper_cuda_is_capturing(0));
    char *inside = alloc(100, "inside"), *big = alloc(5 * MIB, "inside");
    add((char *)counter, 5);
    taper__memory_set(inside, 1, 4, taper_cuda(0));
    CHECK("graph_capture_does_not_run", *counter == 0);
    int x = 0;
    CHECK("graph_refuses_waiting",
          taper__memory_copy(&x, taper_cpu(), counter, taper_cuda(0), 4, false) == TAPER_RUNTIME && SAYS("captured"));
    CHECK("graph_refuses_pageable",
          taper__memory_copy(counter, taper_cuda(0), &x, taper_cpu(), 4, false) == TAPER_RUNTIME && SAYS("pin"));
    release(big);
    CHECK("graph_reuses_within", alloc(5 * MIB, "again") == big);
    release(big);
    CHECK("graph_end",
          !taper_cuda_graph_end_capture(g) && !taper_cuda_is_capturing(0) && taper_cuda_graph_node_count(g) == 2);
    for (int i = 0; i < 3; i++) taper_cuda_graph_replay(g, NULL);
    CHECK("graph_replay", *counter == 15 && inside[3] == 1);
    char *outside = alloc(5 * MIB, "outside");
    CHECK("graph_memory_is_its_own", outside != big);
    taper_memory_release_cached(taper_cuda(0));
    big[0] = 9; /* free within the pool, but a replay needs it: still mapped */
    CHECK("graph_memory_stays_mapped", big[0] == 9);
    CHECK("graph_second_capture_refused", taper_cuda_graph_begin_capture(g, NULL) == TAPER_RUNTIME);
    if (patching) {
        void *function, **arguments;
        CHECK("graph_kernels", taper__cuda_graph_kernels(g) == 1 &&
                                   !taper__cuda_graph_kernel_get(g, 0, &function, &arguments) &&
                                   *(int *)arguments[1] == 5);
        uint64_t to = (uintptr_t)counter, by = 100;
        void *fresh[] = {&to, &by};
        CHECK("graph_patch",
              !taper__cuda_graph_kernel_set(g, 0, fresh) && !taper_cuda_graph_replay(g, NULL) && *counter == 115);
    }
    taper_cuda_graph_new(&g2, g);
    taper_cuda_graph_begin_capture(g2, NULL);
    char *shared = alloc(5 * MIB, "shared");
    CHECK("graph_shared_pool", shared == big);
    /* Kernels of a capture get a place to read from and count on from there; the counter itself moves with each replay. */
    uint64_t seed, offset, place, next, now[2];
    taper_cuda_set_random_state(3, 40, 0);
    CHECK("graph_random_is_read_from_memory",
          !taper__cuda_reserve_random(0, 4, &seed, &offset) && !taper__cuda_reserve_random(0, 1, &place, &next) &&
              seed == place && seed != 3 && offset == TAPER_CAPTURED_RANDOM && next == (TAPER_CAPTURED_RANDOM | 4) &&
              !taper_cuda_get_random_state(&now[0], &now[1], 0) && now[0] == 3 && now[1] == 45);
    CHECK("graph_random_drawn_again", !taper_cuda_set_random_state(3, 44, 0) && !taper__cuda_reserve_random(0, 1, &place, &next) &&
                                          next == (TAPER_CAPTURED_RANDOM | 4) &&
                                          taper_cuda_set_random_state(3, 39, 0) == TAPER_RUNTIME && SAYS("captured"));
    taper_cuda_graph_end_capture(g2);
    taper_cuda_graph_release(g2);
    taper_cuda_graph_release(g);
    shared[1] = 4;
    CHECK("graph_live_memory_outlives_graph", shared[1] == 4);
    release(shared);
    release(outside);
    release(counter);
    release(inside);
    taper_memory_release_cached(taper_cuda(0));
    CHECK("graph_leaks_nothing", taper__alloc_live() == live && fake->live_graphs == 0 && fake->used[0] == 0);
    taper_cuda_graph_new(&g, NULL);
    taper_cuda_graph_begin_capture(g, NULL);
    taper_cuda_graph_release(g);
    CHECK("graph_release_ends_capture", !taper_cuda_is_capturing(0) && !taper_cuda_synchronize(0));
}

static int scenario(const char *name) {
    if (!driver_starts()) return 1;
    graphs(strcmp(name, "old") != 0);
    return failed;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1) return scenario(argv[1]);
    if (!build_fake()) return printf("not ok cuda_graph: the fake driver could not be built\n"), 1;
    run("graph", "", "FAKE_CUDA_DEVICES=2", "graph", "");
    run("graph_driver_11_8", "/old", "FAKE_CUDA_VERSION=11080", "old", "");
    remove_fake();
    return failed;
}
