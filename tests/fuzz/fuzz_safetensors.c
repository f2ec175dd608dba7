/* Any bytes as a safetensors file. */
#include "fuzz_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_load(data, size, true);
    return 0;
}

#ifndef FUZZ_LIBFUZZER
static size_t seed(int number, uint8_t *out, size_t room) {
    static const char *const keys[] = {"format", "note"}, *const values[] = {"pt", "\xc3\xa4 \"quoted\"\n"};
    const char *names[TAPER_DTYPE_COUNT];
    taper_tensor *t[TAPER_DTYPE_COUNT] = {0};
    fuzz_buffer b = {out, 0, room};
    if (number > 3) return 0;
    for (int i = 0; i < TAPER_DTYPE_COUNT; i++) {
        names[i] = taper_dtype_name((taper_dtype)i);
        taper_tensor_new(&t[i], (taper_dtype)i, taper_cpu(), number, (int64_t[]){2, 3, 1});
        if (t[i]) memset(taper__data(t[i]), i, (size_t)t[i]->numel * taper_dtype_size((taper_dtype)i));
    }
    taper_status st = taper_save_safetensors_to(fuzz_collect, &b, names, t, number == 3 ? 1 : TAPER_DTYPE_COUNT, keys,
                                                values, number ? 2 : 0);
    for (int i = 0; i < TAPER_DTYPE_COUNT; i++) taper_tensor_release(t[i]);
    return st == TAPER_OK ? b.size : 0;
}
int main(int argc, char **argv) { return fuzz_main(argc, argv, seed); }
#endif
