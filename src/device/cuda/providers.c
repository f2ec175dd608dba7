/* What was found of the libraries that make a GPU faster, in words. */
#include <stdio.h>
#include <string.h>

#include <taper/cuda.h>

#include "device/cuda/blas.h"
#include "device/cuda/dnn.h"
#include "device/cuda/driver.h"
#include "device/cuda/nvrtc.h"

static size_t providers_line(char *text, size_t size, size_t at, const char *name, bool found, int version, int digits, const char *why) {
    char number[48] = "";
    if (found && version && digits == 3) snprintf(number, sizeof number, " %d.%d.%d", version / 10000, version / 100 % 100, version % 100);
    else if (found && version) snprintf(number, sizeof number, " %d.%d", version / 1000, version % 1000 / 10);
    int n = snprintf(text + (at < size ? at : size), at < size ? size - at : 0, "%s%s%s\n", name, found ? number : ": ", found ? "" : why);
    return at + (n > 0 ? (size_t)n : 0);
}

void taper_cuda_describe_providers(char *text, size_t size) {
    char why[512] = "";
    const char *none = NULL;
    size_t at = 0;
    if (!size) return;
    bool gpus = taper_cuda_device_count(&none) > 0;
    at = providers_line(text, size, at, "CUDA driver", gpus, taper__driver_version(), 2, none ? none : "");
    bool found = taper__cublaslt_available(why, sizeof why);
    int blas = taper__cublaslt_version(); /* 130100: two digits each; 12 and older: 120805 */
    at = providers_line(text, size, at, "cuBLASLt", found, blas, 3, why);
    found = taper__cudnn(why, sizeof why) != NULL;
    int dnn = taper__cudnn_version();
    if (dnn >= 90000) dnn = dnn / 10000 * 10000 + dnn / 100 % 100 * 100 + dnn % 100;
    else if (dnn) dnn = dnn / 1000 * 10000 + dnn / 100 % 10 * 100 + dnn % 100;
    at = providers_line(text, size, at, "cuDNN", found, dnn, 3, why);
    found = taper__nvrtc_available(why, sizeof why);
    at = providers_line(text, size, at, "NVRTC", found, 0, 2, why);
    found = taper__nvml_count(why, sizeof why) > 0;
    providers_line(text, size, at, "NVML", found, 0, 2, why);
}
