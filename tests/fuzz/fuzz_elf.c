/* Any bytes as a shared library, and as /etc/ld.so.cache. */
#include "elf_sample.h"
#include "fuzz_load.h"

#include "doctor/elf.h"

static void fuzz_texts(const char *const *list) {
    for (; *list; list++)
        for (const char *p = *list; *p; p++) fuzz_sum += (unsigned char)*p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int64_t live = taper__alloc_live();
    doctor *d = doctor_new(&(doctor_options){.root = "/nonexistent"});
    doctor_file file = {-1, (int64_t)size, data};
    doctor_elf elf = {0};
    const char *symbols[] = {"offered", "missing", "also_offered", NULL};
    if (!d) return 0;
    doctor_elf_parse(d, &elf, &file, DOCTOR_ELF_HEAD);
    doctor_elf_parse(d, &elf, &file, DOCTOR_ELF_UNDEFINED | DOCTOR_ELF_KERNELS);
    fuzz_texts(elf.needed);
    fuzz_texts(elf.wants);
    fuzz_texts(elf.offers);
    fuzz_texts(elf.undefined);
    if (doctor_elf_drop_in(&file, symbols) > 3) abort();
    doctor_ld_cache_in(d, (const char *)data, size, "libcudnn.so.9");
    doctor_free(d);
    if (taper__alloc_live() != live) abort();
    return 0;
}

#ifndef FUZZ_LIBFUZZER
static size_t seed(int number, uint8_t *out, size_t room) {
    (void)fuzz_load, (void)fuzz_collect; /* for the formats that io reads */
    if (number < 2) return elf_sample_write(out, room, number == 0);
    if (number > 2) return 0;
    uint8_t cache[128] = "glibc-ld.so.cache1.1";
    const uint32_t count = 1, entry[3] = {0x0303, 72, 90};
    memcpy(cache + 20, &count, 4);
    memcpy(cache + 48, entry, sizeof entry);
    memcpy(cache + 72, "libcudnn.so.9", 14);
    memcpy(cache + 90, "/usr/lib/libcudnn.so.9", 23);
    memcpy(out, cache, sizeof cache);
    return sizeof cache;
}
int main(int argc, char **argv) { return fuzz_main(argc, argv, seed); }
#endif
