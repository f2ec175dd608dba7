/* Loading cuDNN, and one handle per GPU. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "device/cuda/dnn.h"
#include "device/cuda/gpu.h"

enum { DNN_OLDEST = 8900 };

static taper_cudnn dnn;
static const taper_symbol dnn_symbols[] = {
    {"cudnnGetVersion", offsetof(taper_cudnn, version), false},
    {"cudnnGetCudartVersion", offsetof(taper_cudnn, cudart_version), false},
    {"cudnnGetErrorString", offsetof(taper_cudnn, error_string), false},
    {"cudnnGetLastErrorString", offsetof(taper_cudnn, last_error), true},
    {"cudnnCreate", offsetof(taper_cudnn, create), false},
    {"cudnnDestroy", offsetof(taper_cudnn, destroy), false},
    {"cudnnSetStream", offsetof(taper_cudnn, set_stream), false},
    {"cudnnBackendCreateDescriptor", offsetof(taper_cudnn, descriptor_create), false},
    {"cudnnBackendDestroyDescriptor", offsetof(taper_cudnn, descriptor_destroy), false},
    {"cudnnBackendFinalize", offsetof(taper_cudnn, descriptor_finalize), false},
    {"cudnnBackendSetAttribute", offsetof(taper_cudnn, set), false},
    {"cudnnBackendGetAttribute", offsetof(taper_cudnn, get), false},
    {"cudnnBackendExecute", offsetof(taper_cudnn, execute), false},
    {NULL, 0, false},
};

static pthread_once_t dnn_once = PTHREAD_ONCE_INIT;
static char dnn_why[1400];
static int dnn_number;
#define DNN_LOCK_4                                                                                                     \
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER
static pthread_mutex_t dnn_lock[TAPER_MAX_GPUS] = {DNN_LOCK_4, DNN_LOCK_4, DNN_LOCK_4, DNN_LOCK_4};
static void *dnn_handle[TAPER_MAX_GPUS];

static void dnn_load(void) {
    static const char *const names[] = {"libcudnn.so.9", "libcudnn.so.8", NULL};
    const char *why;
    if (!taper__driver_open(&why)) {
        snprintf(dnn_why, sizeof dnn_why, "%s", why);
        return;
    }
    if (!taper__provider_allowed("cudnn", dnn_why, sizeof dnn_why)) return;
    taper_library *library = taper__library_open(names, dnn_why, sizeof dnn_why);
    if (!library || !taper__library_table(library, dnn_symbols, &dnn, dnn_why, sizeof dnn_why)) return;
    int version = (int)dnn.version(), built_for = (int)dnn.cudart_version(), driver = taper__driver_version();
    if (version < DNN_OLDEST)
        snprintf(dnn_why, sizeof dnn_why, "%s is cuDNN %d, needed is 8.9 or later", taper__library_path(library),
                 version);
    else if (built_for / 1000 > driver / 1000)
        snprintf(dnn_why, sizeof dnn_why, "%s is built for CUDA %d.%d, the driver serves %d.%d",
                 taper__library_path(library), built_for / 1000, built_for % 1000 / 10, driver / 1000,
                 driver % 1000 / 10);
    else
        dnn_number = version;
    if (dnn_number) taper__log("cuda", "cuDNN %d from %s", dnn_number, taper__library_path(library));
}

const taper_cudnn *taper__cudnn(char *why, size_t why_size) {
    pthread_once(&dnn_once, dnn_load);
    if (!dnn_number && why) snprintf(why, why_size, "%s", dnn_why);
    return dnn_number ? &dnn : NULL;
}

int taper__cudnn_version(void) { return dnn_number; }

taper_status taper__cudnn_fail(int status, const char *call, const char *op) {
    char text[600] = "";
    if (dnn.last_error) dnn.last_error(text, sizeof text);
    bool unsupported = dnn_number >= 90000 ? status >= 3000 && status < 4000 : status == 9;
    return TAPER_FAIL(unsupported ? TAPER_NOT_IMPLEMENTED : TAPER_RUNTIME, "%s: cuDNN %d: %s in %s%s%s", op, dnn_number,
                      dnn.error_string(status), call, text[0] ? ": " : "", text);
}

taper_status taper__cudnn_enter(void **handle, int index, const char *op) {
    char why[1400];
    if (!taper__cudnn(why, sizeof why)) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: %s", op, why);
    TAPER_TRY(taper__cuda_enter(&index));
    pthread_mutex_lock(&dnn_lock[index]);
    int r = dnn_handle[index] ? 0 : dnn.create(&dnn_handle[index]);
    if (r) dnn_handle[index] = NULL;
    if (!r) r = dnn.set_stream(dnn_handle[index], taper__cuda_current(index)->handle);
    if (r) {
        pthread_mutex_unlock(&dnn_lock[index]);
        return taper__cudnn_fail(r, "cudnnCreate", op);
    }
    *handle = dnn_handle[index];
    return TAPER_OK;
}

void taper__cudnn_leave(int index) { pthread_mutex_unlock(&dnn_lock[index]); }
