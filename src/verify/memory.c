/* GPU memory: given back when freed, an out-of-memory that does no harm; copies by their speed. */
#include <stdio.h>
#include <string.h>

#include <taper/cuda.h>
#include <taper/ops.h>

#include "verify/verify.h"

static taper_status memory_grid(taper_tensor **out, int64_t rows, taper_device device) {
    return taper_full(out, (int64_t[]){rows, 1 << 20}, 2, taper_float(1.5), TAPER_F32, &device);
}

taper_status verify_memory(verify_run *r) {
    taper_memory_stats before = {0}, held = {0}, after = {0};
    taper_tensor *t[8] = {NULL}, *huge = NULL, *sum = NULL;
    size_t room = 0, total = 0, room_after = 0;
    double value = 0;
    taper_status st = taper_memory_release_cached(r->device);
    if (st == TAPER_OK) st = taper_memory_get_stats(&before, r->device);
    if (st == TAPER_OK) st = taper_cuda_mem_info(&room, &total, r->device.index);
    for (int i = 0; i < 8 && st == TAPER_OK; i++) st = memory_grid(&t[i], 16, r->device); /* 64 MiB each */
    if (st == TAPER_OK) st = taper_memory_get_stats(&held, r->device);
    for (int i = 0; i < 8; i++) taper_tensor_release(t[i]);
    TAPER_TRY(st);
    TAPER_TRY(taper_cuda_synchronize(r->device.index));
    TAPER_TRY(taper_memory_release_cached(r->device));
    TAPER_TRY(taper_memory_get_stats(&after, r->device));
    TAPER_TRY(taper_cuda_mem_info(&room_after, &total, r->device.index));
    bool given_back = after.allocated == before.allocated && after.live_blocks == before.live_blocks && after.reserved <= before.reserved && held.allocated >= before.allocated + ((size_t)512 << 20);
    taper_status refused = memory_grid(&huge, (int64_t)(total >> 22) + 1024, r->device); /* more than there is */
    taper_tensor_release(huge);
    taper_error_clear();
    st = memory_grid(&huge, 4, r->device);
    if (st == TAPER_OK) st = taper_sum(&sum, huge, NULL, 0, false, TAPER_DTYPE_NONE);
    if (st == TAPER_OK) st = taper_tensor_item_double(sum, &value);
    taper_tensor_release(huge);
    taper_tensor_release(sum);
    bool recovered = refused == TAPER_MEMORY && st == TAPER_OK && value == 1.5 * 4 * 0x1p20;
    verify_value(r, "held", "MiB", 0, (double)(held.allocated - before.allocated) / 0x1p20);
    verify_value(r, "overhead", "MiB", 0, ((double)total - (double)room) / 0x1p20);
    if (!given_back || !recovered) verify_set(r, VERIFY_FAIL);
    verify_say(r, "512 MiB taken and %s%.0s (%.1f GiB free before, %.1f after); out of memory %s%.0s, and the next sum is %s%.0s",
               "申请 512 MiB, %.0s%s (之前空闲 %.1f GiB, 之后 %.1f); 显存不足时%.0s%s, 其后的求和%.0s%s", VERIFY_WORD(given_back, "given back", "已归还", "NOT given back", "没有归还"), (double)room / 0x1p30, (double)room_after / 0x1p30,
               VERIFY_WORD(refused == TAPER_MEMORY, "is an error", "正常报错", "is NO error", "没有报错"), VERIFY_WORD(recovered, "right", "正确", "WRONG", "错误"));
    return TAPER_OK;
}

typedef struct copies {
    taper_tensor *from, *to;
    bool non_blocking;
} copies;

static taper_status copies_step(void *ctx) {
    copies *c = ctx;
    taper_tensor *same = NULL;
    taper_status st = taper_copy_(&same, c->to, c->from, c->non_blocking);
    taper_tensor_release(same);
    return st;
}

static taper_status copies_rate(verify_run *r, double *rate, const char *name, taper_tensor *to, taper_tensor *from, double bytes, double expected) {
    double samples[VERIFY_SAMPLES];
    int count = 0;
    copies c = {from, to, true};
    TAPER_TRY(verify_time(r, copies_step, &c, 0.2, samples, &count));
    for (int i = 0; i < count; i++) samples[i] = bytes * 1e-9 / samples[i];
    *rate = verify_measured(r, name, "GB/s", 1, samples, count, expected);
    return TAPER_OK;
}

taper_status verify_copies(verify_run *r) {
    taper_tensor *host = NULL, *pinned = NULL, *gpu = NULL, *other = NULL, *back = NULL;
    taper_device cpu = taper_cpu();
    double rate[5] = {0}, bytes = 256 * 0x1p20, peak = verify_part(r->device, "bw_gbs");
    bool same = false;
    taper_status st;
    TAPER_TRY_GOTO(memory_grid(&host, 64, cpu));
    TAPER_TRY_GOTO(memory_grid(&gpu, 64, r->device));
    TAPER_TRY_GOTO(memory_grid(&other, 64, r->device));
    TAPER_TRY_GOTO(taper_tensor_pin(&pinned, host));
    TAPER_TRY_GOTO(copies_rate(r, &rate[0], "to_gpu_pinned", gpu, pinned, bytes, 0));
    TAPER_TRY_GOTO(copies_rate(r, &rate[1], "from_gpu_pinned", pinned, gpu, bytes, 0));
    TAPER_TRY_GOTO(copies_rate(r, &rate[2], "to_gpu_pageable", gpu, host, bytes, 0));
    TAPER_TRY_GOTO(copies_rate(r, &rate[3], "from_gpu_pageable", host, gpu, bytes, 0));
    TAPER_TRY_GOTO(copies_rate(r, &rate[4], "in_gpu", other, gpu, 2 * bytes, peak));
    TAPER_TRY_GOTO(taper_to(&back, other, &cpu, TAPER_DTYPE_NONE, false, false));
    TAPER_TRY_GOTO(verify_same_bits(&same, back, host));
    if (!same) verify_set(r, VERIFY_FAIL);
    else if ((peak > 0 && rate[4] < 0.6 * peak) || rate[0] < 3 || rate[1] < 3) verify_set(r, VERIFY_SLOW); /* 3 GB/s is PCIe 3.0 x4: no slot for a GPU */
    verify_say(r, "to the GPU %.1f GB/s pinned, %.1f pageable; back %.1f and %.1f; within it %.0f GB/s (its memory: %.0f)%s%.0s",
               "拷入 GPU: 锁页 %.1f GB/s, 普通 %.1f; 拷出 %.1f 与 %.1f; 卡内 %.0f GB/s (显存标称 %.0f)%.0s%s", rate[0], rate[2], rate[1], rate[3], rate[4], peak, VERIFY_WORD(same, "", "", " - the bytes that came back are WRONG", " - 拷回的数据错误"));
out:
    taper_tensor_release(host);
    taper_tensor_release(pinned);
    taper_tensor_release(gpu);
    taper_tensor_release(other);
    taper_tensor_release(back);
    return st;
}
