/* The profiler on a GPU: each operator's time there, measured by events on its stream. */
#include <stdio.h>
#include <string.h>

#include <taper/cuda.h>
#include <taper/ops.h>
#include <taper/profile.h>
#include <taper/scope.h>

static int failed;
static void check(bool ok, const char *name) {
    printf(ok ? "ok %s\n" : "not ok %s: %s\n", name, taper_error_message());
    failed |= !ok;
}

int main(void) {
    taper_scope s = TAPER_SCOPE;
    taper_device gpu = taper_cuda(0);
    int64_t count = 0, lost = 0, shape[2] = {4096, 4096};
    taper_tensor *x = tx_ones(&s, shape, 2, TAPER_F32, &gpu), *warm = tx_mm(&s, x, x);
    tx_add(&s, x, warm, taper_int(1)); /* the first call of a kernel loads its code */
    taper_cuda_stream *stream = NULL;
    if (s.status == TAPER_OK) s.status = taper_cuda_stream_current(&stream, 0);
    if (s.status == TAPER_OK) s.status = taper_cuda_stream_synchronize(stream);
    check(s.status == TAPER_OK && taper_profile_start(true, true) == TAPER_OK, "start");
    tx_add(&s, x, warm, taper_int(1));
    tx_mm(&s, x, x);
    tx_ones(&s, shape, 1, TAPER_F32, NULL); /* on the CPU: no GPU time */
    check(taper_profile_stop() == TAPER_OK && s.status == TAPER_OK, "stop");
    const taper_profile_event *e = taper_profile_events(&count, &lost);
    bool named = count == 3 && !strcmp(e[0].name, "add") && !strcmp(e[1].name, "mm") && !strcmp(e[2].name, "ones");
    check(named, "names");
    if (named) {
        printf("# add %.1f us, mm %.1f us\n", e[0].gpu_time, e[1].gpu_time);
        check(e[0].device.type == TAPER_CUDA && e[0].gpu_time > 10 && e[0].gpu_time < 5000, "pointwise_time");
        check(e[1].gpu_time > 1000 && e[1].gpu_time < 50000, "product_time");             /* 137 GFLOP in f32 */
        check(e[1].gpu_begin >= e[0].gpu_begin + e[0].gpu_time - 1, "one_after_the_other"); /* one stream */
        check(e[1].end - e[1].begin < 1000 * (int64_t)e[1].gpu_time, "the_host_does_not_wait");
        check(e[2].gpu_time == -1, "cpu_has_no_gpu_time");
    }
    taper_profile_clear();
    taper_cuda_stream_release(stream);
    taper_scope_end(&s);
    return failed;
}
