/* The answer as text for people and as JSON for programs. */
#include "doctor/compat.h"

#include <stdio.h>
#include <string.h>

/* Writes a sentence with its arguments in place of {1} to {4}. */
static void report_say(doctor_buffer *b, compat_say say, bool chinese, const char *const *arguments) {
    for (const char *s = compat_sentence(say, chinese); *s;) {
        size_t n = strcspn(s, "{");
        doctor_print(b, "%.*s", (int)n, s);
        s += n;
        if (*s != '{') break;
        int i = s[1] - '1';
        if (i >= 0 && i < COMPAT_ARGUMENTS && s[2] == '}') {
            const char *text = arguments && arguments[i] ? arguments[i] : "";
            if (!strcmp(text, "on")) text = compat_sentence(COMPAT_SAY_word_on, chinese);
            if (!strcmp(text, "off")) text = compat_sentence(COMPAT_SAY_word_off, chinese);
            doctor_print(b, "%s", text);
            s += 3;
        } else {
            doctor_print(b, "{");
            s++;
        }
    }
}

static void report_line(doctor_buffer *b, compat_say say, bool chinese, const char *p, const char *q, const char *r, const char *s) {
    const char *arguments[COMPAT_ARGUMENTS] = {p, q, r, s};
    report_say(b, say, chinese, arguments);
}

/* The pages that the rows of the answer rest on, each once; their numbers stand behind the sentences. */
typedef struct report_sources {
    const char *page[64];
    int length[64], count;
} report_sources;

static int report_source(report_sources *s, const char *page, int length) {
    for (int i = 0; i < s->count; i++)
        if (s->length[i] == length && !strncmp(s->page[i], page, (size_t)length)) return i + 1;
    if (s->count == TAPER_COUNT(s->page)) return 0;
    s->page[s->count] = page;
    s->length[s->count] = length;
    return ++s->count;
}

static void report_cite(doctor_buffer *b, report_sources *s, const compat_reason *r, bool all) {
    const char *page = doctor_cell(r->table, r->row, "source");
    for (int shown = 0; *page && (all || !shown); shown++) {
        int n = (int)strcspn(page, " "), number = report_source(s, page, n);
        if (number) doctor_print(b, "%s%d", shown ? "," : " [", number);
        page += n + (page[n] == ' ');
    }
    if (*doctor_cell(r->table, r->row, "source")) doctor_print(b, "]");
}

static void report_marked(doctor_buffer *b, const compat_reason *r, bool chinese, bool colour) {
    static const char *const colours[] = {"\033[32m", "\033[1;31m", "\033[1;36m", "\033[2m"};
    static const compat_say marks[] = {COMPAT_SAY_mark_good, COMPAT_SAY_mark_bad, COMPAT_SAY_mark_unsure, COMPAT_SAY_mark_note};
    const char *mark = compat_sentence(marks[r->mark], chinese);
    doctor_print(b, "  %s%s%s ", colour ? colours[r->mark] : "", mark, colour ? "\033[0m" : "");
}

static const char *report_arch(const compat_answer *a) {
    const char *arch = a->gpu.count ? doctor_cell(doctor_table_open("gpus"), a->gpu.rows[0], "arch") : doctor_cell(doctor_table_open("cc"), a->gpu.cc_row, "arch");
    return *arch ? arch : "?";
}

static void report_head(doctor_buffer *b, const compat_answer *a, bool chinese) {
    char count[16];
    snprintf(count, sizeof count, "%d", a->gpu.count);
    doctor_print(b, "  %s: ", compat_sentence(COMPAT_SAY_head_gpu, chinese));
    if (a->gpu.cc) report_line(b, a->gpu.count > 1 ? COMPAT_SAY_text_models : COMPAT_SAY_text_cc, chinese, a->gpu.name, a->gpu.cc, report_arch(a), count);
    else doctor_print(b, "%s", *a->gpu.name ? a->gpu.name : "?");
    doctor_print(b, "\n  %s: ", compat_sentence(COMPAT_SAY_head_driver, chinese));
    if (*a->driver && *a->driver_cuda) report_line(b, COMPAT_SAY_text_driver, chinese, a->driver, a->driver_cuda, NULL, NULL);
    else doctor_print(b, "%s", *a->driver ? a->driver : "?");
    doctor_print(b, "\n  %s: ", compat_sentence(COMPAT_SAY_head_code, chinese));
    if (*a->torch_version) report_line(b, COMPAT_SAY_text_build, chinese, a->torch_version, *a->cuda ? a->cuda : "?", NULL, NULL);
    else if (a->code.own) report_line(b, COMPAT_SAY_text_file, chinese, *a->cuda ? a->cuda : "?", NULL, NULL, NULL);
    else if (*a->cuda) report_line(b, COMPAT_SAY_text_toolkit, chinese, a->cuda, NULL, NULL, NULL);
    else doctor_print(b, "?");
    doctor_print(b, "\n");
}

/* " (pytorch/pytorch:TAG)" of a build; nothing where no image is known. */
static const char *report_tag(char out[96], int row) {
    const char *tag = doctor_cell(doctor_table_open("torch_builds"), row, "docker_tag");
    *out = 0;
    if (*tag) snprintf(out, 96, " (pytorch/pytorch:%.*sruntime)", (int)(strcspn(tag, "{") < 60 ? strcspn(tag, "{") : 60), tag);
    return out;
}

static void report_advice(doctor_buffer *b, const compat_answer *a, bool chinese) {
    const doctor_table *t = doctor_table_open("torch_builds");
    char tag[96];
    if (a->driver_least) {
        report_line(b, COMPAT_SAY_text_needs, chinese, a->driver_least, a->driver_full ? a->driver_full : "?", NULL, NULL);
        doctor_print(b, "\n");
    }
    if (!a->gpu.cc || !*a->driver) return;
    if (a->best >= 0) {
        report_line(b, COMPAT_SAY_text_best, chinese, a->torch_version, doctor_cell(t, a->best, "cuda"),
                    compat_sentence(compat_verdict_say(a->best_verdict), chinese), report_tag(tag, a->best));
        doctor_print(b, "\n");
    } else if (doctor_table_find(t, 0, "torch", a->torch_version) >= 0) {
        report_line(b, COMPAT_SAY_text_best_none, chinese, a->torch_version, NULL, NULL, NULL);
        doctor_print(b, "\n");
    }
    if (a->newest >= 0)
        report_line(b, COMPAT_SAY_text_newest, chinese, doctor_cell(t, a->newest, "torch"), doctor_cell(t, a->newest, "cuda"),
                    compat_sentence(compat_verdict_say(a->newest_verdict), chinese), report_tag(tag, a->newest));
    else report_line(b, COMPAT_SAY_text_newest_none, chinese, NULL, NULL, NULL, NULL);
    doctor_print(b, "\n");
}

void compat_report_text(doctor_buffer *b, const compat_answer *a, bool chinese, bool verbose, bool colour) {
    static const char *const tones[] = {"\033[1;32m", "\033[1;32m", "\033[1;33m", "\033[1;33m", "\033[1;36m", "\033[1;31m"};
    report_sources sources = {.count = 0};
    doctor_print(b, "taper compat: %s%s%s\n", colour ? tones[a->verdict] : "", compat_sentence(compat_verdict_say(a->verdict), chinese), colour ? "\033[0m" : "");
    report_head(b, a, chinese);
    doctor_print(b, "\n");
    for (int i = 0; i < a->reason_count; i++) {
        const compat_reason *r = &a->reasons[i];
        report_marked(b, r, chinese, colour);
        report_say(b, r->say, chinese, r->arguments);
        report_cite(b, &sources, r, true);
        doctor_print(b, "\n");
    }
    if (a->feature_count) doctor_print(b, "\n%s\n", compat_sentence(COMPAT_SAY_text_features, chinese));
    for (int i = 0; i < a->feature_count; i++) {
        const compat_reason *r = &a->features[i];
        if (i && !strcmp(a->features[i - 1].topic, r->topic)) doctor_print(b, "      %*s", 14, "");
        else {
            report_marked(b, r, chinese, colour);
            doctor_print(b, " %-13s ", r->topic);
        }
        report_say(b, r->say, chinese, r->arguments);
        report_cite(b, &sources, r, verbose);
        doctor_print(b, "\n");
    }
    doctor_print(b, "\n");
    report_advice(b, a, chinese);
    if (sources.count) doctor_print(b, "\n%s\n", compat_sentence(COMPAT_SAY_text_sources, chinese));
    for (int i = 0; i < sources.count; i++) {
        bool unread = !strncmp(sources.page[i], "unopened:", 9);
        int skip = unread ? 9 : 0;
        doctor_print(b, "  [%d] %.*s%s%s\n", i + 1, sources.length[i] - skip, sources.page[i] + skip, unread ? " " : "", unread ? compat_sentence(COMPAT_SAY_text_unread, chinese) : "");
    }
}

/* ---- JSON ---- */
static void report_pair(doctor_buffer *b, const char *name, const char *text) {
    doctor_print(b, ", \"%s\": ", name);
    doctor_json_text(b, text && *text ? text : NULL);
}

static void report_reasons_json(doctor_buffer *b, const char *name, const compat_reason *list, int count) {
    static const char *const marks[] = {"yes", "no", "unknown", "note"};
    doctor_print(b, ",\n \"%s\": [", name);
    for (int i = 0; i < count; i++) {
        const compat_reason *r = &list[i];
        doctor_buffer text = {NULL, 0, 0};
        report_say(&text, r->say, false, r->arguments);
        doctor_print(b, "%s\n  {\"topic\": ", i ? "," : "");
        doctor_json_text(b, r->topic);
        doctor_print(b, ", \"mark\": \"%s\"", marks[r->mark]);
        report_pair(b, "text", text.data);
        if (r->table) {
            doctor_print(b, ", \"table\": \"%s\", \"row\": %d", r->table->name, r->row + 1);
            report_pair(b, "key", doctor_cell(r->table, r->row, r->table->head[0]));
            report_pair(b, "source", doctor_cell(r->table, r->row, "source"));
        }
        doctor_print(b, "}");
        taper__free(text.data);
    }
    doctor_print(b, "\n ]");
}

static void report_build_json(doctor_buffer *b, const char *name, int row, compat_verdict verdict) {
    const doctor_table *t = doctor_table_open("torch_builds");
    doctor_print(b, ",\n \"%s\": ", name);
    if (row < 0) {
        doctor_print(b, "null");
        return;
    }
    doctor_print(b, "{\"verdict\": \"%s\"", compat_verdict_name(verdict));
    report_pair(b, "torch", doctor_cell(t, row, "torch"));
    report_pair(b, "cuda", doctor_cell(t, row, "cuda"));
    report_pair(b, "image", doctor_cell(t, row, "docker_tag"));
    report_pair(b, "source", doctor_cell(t, row, "source"));
    doctor_print(b, "}");
}

void compat_report_json(doctor_buffer *b, const compat_answer *a) {
    doctor_print(b, "{\"taper\": ");
    doctor_json_text(b, TAPER_VERSION);
    doctor_print(b, ", \"exit_code\": %d, \"verdict\": \"%s\"", compat_exit_code(a), compat_verdict_name(a->verdict));
    report_pair(b, "gpu", a->gpu.name);
    report_pair(b, "compute_capability", a->gpu.cc);
    report_pair(b, "driver", a->driver);
    report_pair(b, "driver_reports_cuda", a->driver_cuda);
    report_pair(b, "torch", a->torch_version);
    report_pair(b, "cuda", a->cuda);
    report_pair(b, "driver_needed", a->driver_least);
    report_pair(b, "driver_needed_for_all", a->driver_full);
    report_reasons_json(b, "reasons", a->reasons, a->reason_count);
    report_reasons_json(b, "features", a->features, a->feature_count);
    report_build_json(b, "best_of_this_torch", a->best, a->best_verdict);
    report_build_json(b, "newest", a->newest, a->newest_verdict);
    doctor_print(b, "\n}\n");
}
