/* Variables that slow a job down and are left on after a day of debugging: of this process, or of a running job. */
#ifndef TAPER_DOCTOR_SWITCHES_H
#define TAPER_DOCTOR_SWITCHES_H

#include <stdbool.h>

typedef struct doctor_switch {
    const char *name, *value; /* value NULL: anything but empty, 0, OFF */
    const char *en, *zh;      /* what it costs */
} doctor_switch;
extern const doctor_switch doctor_switches[]; /* the last has no name */
/* Whether `value` of the variable, which may be NULL, is the one that costs. */
bool doctor_switch_on(const doctor_switch *s, const char *value);

#endif
