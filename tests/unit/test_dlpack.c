/* DLPack: layouts of the ABI, round trips, the deleter's single call, refusals. */
#include <stdio.h>
#include <taper/dlpack.h>

#include "base/base.h"
#include "tensor/tensor.h"

_Static_assert(sizeof(taper_dl_tensor) == 48 && offsetof(taper_dl_tensor, byte_offset) == 40, "DLTensor");
_Static_assert(sizeof(taper_dl_managed) == 64 && sizeof(taper_dl_managed_versioned) == 80, "DLManagedTensor");
_Static_assert(offsetof(taper_dl_managed_versioned, tensor) == 32, "DLManagedTensorVersioned");

static int failures, deleted;
static void check(bool ok, const char *name) {
    if (ok)
        printf("ok %s\n", name);
    else
        printf("not ok %s: %s\n", name, taper_error_message()), failures++;
}
static void count_delete(taper_dl_managed *m) {
    (void)m;
    deleted++;
}

static void round_trip(taper_dtype dtype) {
    taper_tensor *t = NULL, *view = NULL, *back = NULL, *second = NULL;
    taper_dl_managed *m = NULL;
    taper_dl_managed_versioned *v = NULL;
    char name[64];
    bool ok = !taper_tensor_new(&t, dtype, taper_cpu(), 3, (int64_t[]){4, 1, 6}) &&
              !taper__tensor_view(&view, t, 3, (int64_t[]){6, 1, 2}, (int64_t[]){1, 99, 12}, 6) &&
              !taper_tensor_to_dlpack(&m, view) && !taper_tensor_to_dlpack_versioned(&v, view, TAPER_DL_IS_COPIED);
    ok = ok && m->tensor.strides[1] == 1 && v->flags == TAPER_DL_IS_COPIED && v->major == 1 &&
         !taper_tensor_from_dlpack(&back, m) && !taper_tensor_from_dlpack_versioned(&second, v);
    void *data = view ? taper_tensor_data(view) : NULL;
    taper_tensor_release(t); /* the export keeps the storage */
    taper_tensor_release(view);
    ok = ok && taper_tensor_data(back) == data && back->dtype == dtype && back->shape[0] == 6 &&
         back->strides[2] == 12 && taper_tensor_data(second) == data;
    if (ok) memset(taper_tensor_data(back), 0, taper_dtype_size(dtype));
    taper_tensor_release(back);
    taper_tensor_release(second);
    snprintf(name, sizeof name, "dlpack_round_trip_%s", taper_dtype_name(dtype));
    check(ok, name);
}

int main(void) {
    int64_t live = taper__alloc_live();
    for (int d = 0; d < TAPER_DTYPE_COUNT; d++) round_trip((taper_dtype)d);

    static float data[24];
    int64_t shape[] = {2, 3}, strides[] = {4, 1}, huge[] = {INT64_MAX / 2, 1};
    taper_dl_managed good = {{data, {TAPER_DL_CPU, 0}, 2, 2, 32, 1, shape, strides, 8}, NULL, count_delete}, m = good;
    taper_tensor *t = NULL, *view = NULL;
    bool ok = !taper_tensor_from_dlpack(&t, &m) && taper_tensor_data(t) == data + 2 && t->numel == 6 && !t->contiguous;
    ok = ok && !taper__tensor_alias(&view, t);
    taper_tensor_release(t);
    ok = ok && deleted == 0;
    taper_tensor_release(view);
    check(ok && deleted == 1, "dlpack_deleter_once_after_last_view");

    t = NULL;
#define REFUSES(name, change)                                                                                          \
    m = good;                                                                                                          \
    change;                                                                                                            \
    check(taper_tensor_from_dlpack(&t, &m) == TAPER_RUNTIME && !t && deleted == 1 && taper_error_message()[0],         \
          "dlpack_refuses_" name)
    REFUSES("lanes", m.tensor.lanes = 4);
    REFUSES("complex", m.tensor.code = 5);
    REFUSES("bits", m.tensor.bits = 7);
    REFUSES("device", m.tensor.device.type = 4);
    REFUSES("dims", m.tensor.ndim = 17);
    REFUSES("negative_dims", m.tensor.ndim = -1);
    REFUSES("misaligned", m.tensor.byte_offset = 2);
    REFUSES("no_data", m.tensor.data = NULL);
    REFUSES("negative_stride", strides[0] = -4);
    strides[0] = 4;
    REFUSES("overflow", m.tensor.shape = huge);
    taper_dl_managed_versioned future = {2, 0, NULL, NULL, 0, good.tensor};
    check(taper_tensor_from_dlpack_versioned(&t, &future) == TAPER_RUNTIME && !t, "dlpack_refuses_major_version");

    int64_t odd[] = {1, 3};
    m = good, m.tensor.shape = odd, strides[0] = INT64_MIN;
    ok = !taper_tensor_from_dlpack(&t, &m) && t->contiguous;
    taper_tensor_release(t);
    check(ok && deleted == 2, "dlpack_ignores_stride_of_size_one");
    t = NULL;
    m = good, m.tensor.strides = NULL, m.tensor.data = NULL, odd[0] = 0, m.tensor.shape = odd, m.deleter = NULL;
    ok = !taper_tensor_from_dlpack(&t, &m) && t->numel == 0;
    taper_tensor_release(t);
    check(ok, "dlpack_empty_without_data");
    taper_device meta = {TAPER_META, 0};
    taper_dl_managed *out = NULL;
    t = NULL;
    ok = !taper_tensor_new(&t, TAPER_F32, meta, 1, shape) && taper_tensor_to_dlpack(&out, t) == TAPER_RUNTIME && !out;
    taper_tensor_release(t);
    check(ok, "dlpack_refuses_meta");
    /* every allocation failing in turn leaks nothing */
    t = NULL;
    ok = !taper_tensor_new(&t, TAPER_F32, taper_cpu(), 1, shape);
    int64_t before = taper__alloc_live();
    for (int n = 1; ok && n < 10; n++) {
        taper__alloc_fail_at(n);
        taper_status st = taper_tensor_to_dlpack(&out, t);
        taper__alloc_fail_at(0);
        if (st == TAPER_OK) {
            out->deleter(out);
            ok = n > 1;
            break;
        }
        ok = st == TAPER_MEMORY && taper__alloc_live() == before;
    }
    taper_tensor_release(t);
    check(ok, "dlpack_out_of_memory");
    check(taper__alloc_live() == live, "dlpack_leak");
    return failures != 0;
}
