/* Environment knobs: each is declared beside its use and listed here. */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static taper_knob *head;

void taper__knob_register(taper_knob *knob) {
    const char *env = getenv(knob->name);
    knob->value = env ? env : knob->fallback;
    knob->next = head;
    head = knob;
}

/* A knob read before its constructor ran (another constructor calling us) still has its default. */
const char *taper__knob_text(const taper_knob *knob) { return knob->value ? knob->value : knob->fallback; }
int64_t taper__knob_int(const taper_knob *knob) { return strtoll(taper__knob_text(knob), NULL, 0); }
bool taper__knob_bool(const taper_knob *knob) {
    const char *t = taper__knob_text(knob);
    return *t && strcmp(t, "0") && strcmp(t, "no") && strcmp(t, "off") && strcmp(t, "false");
}
const taper_knob *taper__knob_list(void) { return head; }
