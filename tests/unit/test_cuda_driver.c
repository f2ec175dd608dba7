/* Drivers that cannot be used and why, and the vendor libraries, against a fake driver. */
#include "device/cuda/blas.h"
#include "device/cuda/dnn.h"
#include "device/cuda/nvrtc.h"
#include "fake_gpu.h"

/* Vendor libraries load against the fake driver too, where the machine has them; NVRTC even works. */
static void providers_off(void) {
    char why[600] = "";
    CHECK("providers_off_blas", !taper__cublaslt_available(why, sizeof why) &&
                                    strstr(why, "cublaslt is switched off by TAPER_PROVIDERS=none"));
    CHECK("providers_off_dnn", !taper__cudnn(why, sizeof why) && strstr(why, "cudnn is switched off"));
    CHECK("providers_off_nvrtc", !taper__nvrtc_available(why, sizeof why) && strstr(why, "nvrtc is switched off"));
    taper_gemm g = {.m = 1, .n = 1, .k = 1, .dtype_a = TAPER_F32, .dtype_b = TAPER_F32, .dtype_out = TAPER_F32};
    CHECK("providers_off_matmul",
          taper__cublaslt_matmul(&g, 0, "linear") == TAPER_NOT_IMPLEMENTED && SAYS("linear: cublaslt is switched off"));
}

static void providers_found(void) {
    char why[600] = "";
    void *cubin = NULL;
    size_t bytes = 0;
    if (taper__cublaslt_available(why, sizeof why))
        CHECK("cublaslt_version", taper__cublaslt_version() >= 110000);
    else
        CHECK("cublaslt_reason", strstr(why, "libcublasLt.so.1"));
    if (taper__cudnn(why, sizeof why))
        CHECK("cudnn_version", taper__cudnn_version() >= 8900);
    else
        CHECK("cudnn_reason", strstr(why, "cu"));
    if (!taper__nvrtc_available(why, sizeof why)) {
        CHECK("nvrtc_reason", strstr(why, "libnvrtc.so.1"));
        return;
    }
    CHECK("nvrtc_compile", !taper__nvrtc_compile(&cubin, &bytes, "extern \"C\" __global__ void f(int *p) { *p = 1; }",
                                                 "f.cu", NULL, 0) &&
                               bytes > 500 && !memcmp(cubin, "\177ELF", 4));
    taper__free(cubin);
    const char *const options[] = {"-DVALUE=wrong", NULL};
    CHECK("nvrtc_error",
          taper__nvrtc_compile(&cubin, &bytes, "int f() { return VALUE; }", "g.cu", options, 0) == TAPER_RUNTIME &&
              SAYS("g.cu(1)") && SAYS("wrong"));
}

static int scenario(const char *name, const char *expected) {
    if (!strcmp(name, "bad")) {
        const char *why = NULL;
        void *p;
        CHECK("bad_driver_count", taper_cuda_device_count(&why) == 0);
        printf("# %s\n", why);
        CHECK("bad_driver_sentence", strstr(why, expected));
        CHECK("bad_driver_alloc", taper__memory_alloc(&p, 8, taper_cuda(0), "x") == TAPER_DEVICE && SAYS(expected));
        CHECK("bad_driver_pinned", !taper__pinned_alloc(8));
        return failed;
    }
    if (!driver_starts()) return 1;
    if (!strcmp(name, "providers_off")) providers_off();
    else providers_found();
    return failed;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1) return scenario(argv[1], argc > 2 ? argv[2] : "");
    if (!build_fake()) return printf("not ok cuda_driver: the fake driver could not be built\n"), 1;
    char text[512];
    taper__driver_sentence(text, sizeof text, 304, NULL, 13 /* EACCES */);
    CHECK("sentence_permission", strstr(text, "may not open the GPU (/dev/nvidiactl: Permission denied)"));
    taper__driver_sentence(text, sizeof text, 100, NULL, 2 /* ENOENT */);
    CHECK("sentence_no_node", strstr(text, "there is no /dev/nvidiactl"));
    run("providers_off", "", "TAPER_PROVIDERS=none", "providers_off", "");
    run("providers", "", "FAKE_CUDA_VERSION=13000", "providers", "");
    run("no_device", "", "FAKE_CUDA_INIT=100", "bad", "No CUDA GPUs are available");
    run("hidden_devices", "", "CUDA_VISIBLE_DEVICES=", "bad", "CUDA_VISIBLE_DEVICES=\"\" hides all of them");
    run("unknown_device", "", "FAKE_CUDA_INIT=100 CUDA_VISIBLE_DEVICES=7", "bad",
        "sees none with CUDA_VISIBLE_DEVICES=\"7\"");
    run("old_driver", "", "FAKE_CUDA_VERSION=11040", "bad",
        "The NVIDIA driver on your system is too old (found version 11040");
    run("stub_folder", "/stubs", "", "bad", "stub, which is for linking only");
    run("stub_result", "", "FAKE_CUDA_INIT=34", "bad", "stub, which is for linking only");
    run("mismatch", "", "FAKE_CUDA_INIT=803", "bad", "different versions");
    run("compat", "", "FAKE_CUDA_INIT=804", "bad", "forward-compatibility");
    run("fabric", "", "FAKE_CUDA_INIT=802", "bad", "nvidia-fabricmanager");
    run("exclusive", "", "FAKE_CUDA_INIT=46", "bad", "busy or unavailable");
    run("unknown", "", "FAKE_CUDA_INIT=999", "bad", "nvidia_uvm");
    void *real = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!real)
        run("no_library", "/nowhere", "", "bad", "Found no NVIDIA driver on your system: libcuda.so.1 was not found");
    remove_fake();
    return failed;
}
