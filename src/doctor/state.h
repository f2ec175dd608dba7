/* What the files of the frame know of a doctor. */
#ifndef TAPER_DOCTOR_STATE_H
#define TAPER_DOCTOR_STATE_H

#include "doctor/doctor.h"

typedef struct doctor_block {
    struct doctor_block *next;
    _Alignas(16) char data[];
} doctor_block;

struct doctor_facts {
    struct doctor_facts *next;
    const char *name, *end;
    char *text; /* "key value" strings, one after the other */
    size_t size;
};

struct doctor {
    doctor_options options;
    doctor_block *blocks;
    doctor_facts *facts;
    const doctor_check *running;
    doctor_finding *findings;
    int count, capacity;
    const char *recorded_env; /* the lines of .doctor/env so far */
    double seconds;
    int rung; /* of the ladder, plus 1 once it was climbed */
    struct doctor_elf *elves;           /* files looked into so far */
    const struct doctor_python *python; /* environments, once they were looked for */
    int python_count;
    const struct doctor_extension *extensions; /* of the environment that is judged */
    int extension_count;
    const struct doctor_job *job; /* of --pid, once looked at */
    struct {
        int pid, problem;
        size_t size;
        char *data;
    } environ; /* of the process asked last */
};

/* Path below the root that stands for the machine, or `path` itself. */
const char *doctor_path(doctor *d, const char *path);
/* With --record: writes the bytes under the recorded machine's name. */
void doctor_record(doctor *d, const char *path, const void *data, size_t size);
/* With --record: that `path` cannot be opened. */
void doctor_record_refusal(doctor *d, const char *path, int problem);
/* The file's bytes as doctor_read gives them, without recording them. */
char *doctor_bytes(doctor *d, const char *path, size_t *size, int *error);

#endif
