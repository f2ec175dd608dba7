/* Topic log. Silent unless TAPER_LOG names the topic. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

TAPER_KNOB(knob_log, "TAPER_LOG", "", "comma list of topics to report on standard error: dispatch slow memory cuda io error all");

bool taper__log_on(const char *topic) {
    const char *text = taper__knob_text(&knob_log);
    if (TAPER_LIKELY(!text[0])) return false;
    size_t n = strlen(topic);
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, ",");
        if ((len == n && !memcmp(p, topic, n)) || (len == 3 && !memcmp(p, "all", 3))) return true;
        p += len + (p[len] == ',');
    }
    return false;
}

void taper__log(const char *topic, const char *format, ...) {
    if (!taper__log_on(topic)) return;
    char line[2048];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    fprintf(stderr, "taper %s: %s\n", topic, line);
}
