/* Any bytes as a wheel (a zip with METADATA and libraries), as packed bytes, as a library with GPU code, as a table, and as what a
 * user writes for a GPU, an image or a version. */
#include "doctor/compat.h"
#include "doctor/inflate.h"
#include "fuzz_load.h"

static bool fuzz_piece(void *ctx, const unsigned char *data, size_t size) {
    (void)ctx;
    for (size_t i = 0; i < size; i++) fuzz_sum += data[i];
    return true;
}

static void fuzz_words(const uint8_t *data, size_t size) {
    static compat_answer answer;
    char *text = malloc(size + 1);
    if (!text) return;
    memcpy(text, data, size);
    text[size] = 0;
    compat_question questions[] = {{.gpu = text, .driver = text, .image = text}, {.gpu = "A100", .driver = "535.54.03", .torch_version = text, .cuda = text}, {.gpu = text, .toolkit = text},
                                   {.gpu = "8.0", .driver = "535.54.03", .cuda = "12.4", .architectures = text, .ptx = text}};
    for (int i = 0; i < TAPER_COUNT(questions); i++) {
        doctor_buffer b = {NULL, 0, 0};
        if (!compat_answer_question(&questions[i], &answer)) abort();
        compat_report_text(&b, &answer, i & 1, true, false);
        compat_report_json(&b, &answer);
        for (size_t k = 0; k < b.size; k++)
            if (!b.data[k] || b.data[k] == 0x1b) abort();
        taper__free(b.data);
    }
    doctor_table table = {.name = "fuzz"};
    if (doctor_table_parse(&table, text))
        for (int row = 0; row < table.rows; row++)
            for (int c = 0; c < table.columns; c++) fuzz_sum += (unsigned)strlen(doctor_cell(&table, row, table.head[c]));
    taper__free((void *)table.cells);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    doctor_table_open("gpus"); /* read once and kept: no leak */
    int64_t live = taper__alloc_live();
    (void)fuzz_load; /* of the readers of checkpoints */
    compat_wheel wheel = {.is_torch = true};
    compat_kernels kernels = {.found = 0};
    compat_wheel_bytes(&wheel, data, size);
    if (strlen(wheel.architectures) >= sizeof wheel.architectures || strlen(wheel.why) >= sizeof wheel.why) abort();
    doctor_inflate(data, size, 1 << 20, fuzz_piece, NULL);
    compat_scan_kernels(&kernels, data, size);
    if (size < 4096) fuzz_words(data, size);
    if (taper__alloc_live() != live) abort();
    return 0;
}

#ifndef FUZZ_LIBFUZZER
/* 0: a wheel; 1: packed bytes; 2: a library; 3: a table; then words. */
static size_t seed(int number, uint8_t *out, size_t room) {
    static const char *const words[] = {"gpu\tcc\tsource\n# c\nA\t8.0\thttps://x\nB\t9.0?\thttps://y\n", "pytorch/pytorch:2.7.0-cuda11.8-cudnn9-devel", "NVIDIA A100-SXM4-40GB", "525.60.13", "2.7.0+cu126", "8.0;9.0a;12.0?"};
    static const uint8_t packed[] = {0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x40, 0x27, 0x01, 0x00};
    uint8_t library[200] = {0x7f, 'E', 'L', 'F', 0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0, 104, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 64, 0, 0, 0, 40};
    library[20 + 28] = 90;
    fuzz_buffer b = {out, 0, room};
    if (number == 0) {
        const char *meta = "Name: torch\nVersion: 2.6.0\nRequires-Dist: nvidia-cuda-runtime-cu12==12.4.127\n\n";
        taper_sink sink;
        taper_zip_writer zip = {.sink = &sink};
        if (taper__sink_function(&sink, fuzz_collect, &b)) return 0;
        taper_status st = taper__zip_add(&zip, "torch-2.6.0.dist-info/METADATA", meta, strlen(meta));
        if (!st) st = taper__zip_add(&zip, "torch/lib/a.so", library, sizeof library);
        if (!st) st = taper__zip_finish(&zip);
        taper__zip_writer_free(&zip);
        taper__sink_close(&sink, st);
    } else if (number == 1) {
        fuzz_collect(&b, packed, sizeof packed);
    } else if (number == 2) {
        fuzz_collect(&b, library, sizeof library);
    } else if (number < 3 + TAPER_COUNT(words)) {
        fuzz_collect(&b, words[number - 3], strlen(words[number - 3]));
    }
    return b.size;
}
int main(int argc, char **argv) { return fuzz_main(argc, argv, seed); }
#endif
