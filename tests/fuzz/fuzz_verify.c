/* Any bytes as a report: read, judged, compared with itself and another, written as JSON, text and HTML. */
#include "fuzz_load.h"
#include "verify/json.h"
#include "verify/verify.h"

static const char good[] =
    "{\"taper_verify\": 1, \"taper\": \"0.1.0\", \"when\": \"2026-01-01T00:00:00Z\", \"host\": \"h\\u00e9\", \"exit\": 0, \"machine\": [\"CPU\", \"cuBLASLt 12.1.3\"], \"checks\": ["
    "{\"id\": \"gpu0.speed\", \"where\": \"gpu 0\", \"state\": \"slow\", \"text\": \"t<&\\\"\", \"seconds\": 1.5, \"figures\": [{\"name\": \"a\", \"unit\": \"GB/s\", \"better\": \"higher\", "
    "\"value\": 10, \"low\": 9, \"high\": 11, \"expected\": 20}, {\"name\": \"b\", \"unit\": \"ms\", \"better\": \"lower\", \"value\": 1e-3}], \"series\": [{\"name\": \"s\", \"x_unit\": \"size\", "
    "\"y_unit\": \"TFLOP/s\", \"x\": [1, 2, 4, 16], \"y\": [1, 2.5, -3, 0]}]}, {\"id\": \"cpu.x\", \"where\": \"cpu\", \"state\": \"pass\", \"text\": \"\", \"figures\": []}]}";

static void fuzz_written(doctor_buffer *b, bool json) {
    for (size_t i = 0; i < b->size; i++)
        if (!b->data[i] || b->data[i] == 0x1b) abort();
    verify_json_text j;
    if (json && b->size && verify_json_open(&j, b->data, b->size, "written") != TAPER_OK) abort(); /* what we write, we read */
    if (json && b->size) verify_json_close(&j);
    taper__free(b->data);
    *b = (doctor_buffer){NULL, 0, 0};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    (void)fuzz_load; /* of the readers of checkpoints */
    static verify_change changes[4096];
    int64_t live = taper__alloc_live();
    taper_verify_options o = TAPER_VERIFY_OPTIONS;
    doctor *d = doctor_new(&(taper_doctor_options){.chinese = false});
    verify_report *r = d ? doctor_keep(d, 2 * sizeof *r) : NULL;
    if (!r) abort();
    r[0].owner = r[1].owner = d;
    if (verify_parse(&r[1], good, sizeof good - 1, "good") != TAPER_OK) abort();
    taper_status st = verify_parse(&r[0], (const char *)data, size, "fuzz");
    if (st != TAPER_OK && !taper_error_message()[0]) abort();
    if (st == TAPER_OK) {
        const char *names[2] = {"a", "b"};
        doctor_buffer b = {NULL, 0, 0};
        verify_json(&b, &r[0]);
        fuzz_written(&b, true);
        verify_text(&b, &r[0], &o);
        fuzz_written(&b, false);
        verify_html(&b, &r[0], true);
        fuzz_written(&b, false);
        for (int i = 0; i < 3; i++) {
            const verify_report *both[2] = {&r[i == 1], &r[i == 2]};
            int count = verify_compare(both[0], both[1], changes, TAPER_COUNT(changes));
            if (!i && verify_compare_code(changes, count)) abort(); /* nothing differs from itself */
            verify_compare_json(&b, both, names, changes, count);
            fuzz_written(&b, true);
            verify_compare_text(&b, both, names, changes, count, &o);
            fuzz_written(&b, false);
            verify_compare_html(&b, both, names, changes, count, false);
            fuzz_written(&b, false);
        }
    }
    doctor_free(d);
    if (taper__alloc_live() != live) abort();
    return 0;
}

#ifndef FUZZ_LIBFUZZER
static size_t seed(int number, uint8_t *out, size_t room) {
    static const char *const texts[] = {good, "{\"taper_verify\": 1, \"checks\": [{\"id\": \"\\ud83d\\ude00\\u0000\\u001b\"}, {\"id\": \"a\"}, {\"id\": \"a\"}]}", "[[[[{}]]], -1e5, true, false, null, \"\\\\\"]"};
    fuzz_buffer b = {out, 0, room};
    if (number < TAPER_COUNT(texts)) fuzz_collect(&b, texts[number], strlen(texts[number]));
    return b.size;
}
int main(int argc, char **argv) { return fuzz_main(argc, argv, seed); }
#endif
