/* The report for programs. */
#include "doctor/state.h"

const char *doctor_report_json(doctor *d) {
    static const char *const verdicts[] = {"ok", "unknown", "slow", "broken"};
    doctor_buffer b = {NULL, 0, 0};
    doctor_print(&b, "{\"taper\": ");
    doctor_json_text(&b, TAPER_VERSION);
    doctor_print(&b, ", \"exit_code\": %d, \"seconds\": %.3f, \"findings\": [", doctor_exit_code(d), d->seconds);
    for (int i = 0; i < d->count; i++) {
        const doctor_finding *f = &d->findings[i];
        doctor_print(&b, "%s\n  {\"check\": ", i ? "," : "");
        doctor_json_text(&b, f->check->name);
        doctor_print(&b, ", \"code\": %d, \"layer\": \"%s\", \"id\": ", f->check->code, doctor_layer_name(f->check->layer));
        doctor_json_text(&b, f->id);
        doctor_print(&b, ", \"verdict\": \"%s\", \"evidence\": ", verdicts[f->verdict]);
        doctor_json_text(&b, f->evidence);
        doctor_print(&b, ", \"cause\": ");
        doctor_json_text(&b, f->cause_en);
        doctor_print(&b, ", \"cure\": ");
        doctor_json_text(&b, f->cure_en);
        doctor_print(&b, ", \"link\": ");
        doctor_json_text(&b, f->link);
        doctor_print(&b, "}");
    }
    doctor_print(&b, "\n]}\n");
    const char *text = doctor_text(d, "%s", b.data ? b.data : "");
    taper__free(b.data);
    return text;
}
