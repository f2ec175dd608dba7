/* The doctor: why a machine does not train, or trains slowly, and what mends it. Needs no GPU, no Python and no engine.
 *
 * Reports are text in UTF-8 that the caller's function receives in pieces.
 */
#ifndef TAPER_DOCTOR_H
#define TAPER_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include <taper/status.h>

TAPER_BEGIN

typedef void (*taper_text_fn)(void *ctx, const char *text, size_t bytes);

typedef enum taper_doctor_format { TAPER_DOCTOR_TEXT, TAPER_DOCTOR_JSON, TAPER_DOCTOR_LIST } taper_doctor_format;

typedef struct taper_doctor_options {
    const char *check;  /* comma list of checks or layers; NULL: all */
    const char *data;   /* folder of the training data, for the checks of storage; NULL: the working folder */
    const char *root;   /* a recorded machine instead of this one; NULL */
    const char *record; /* folder that receives what the checks read, to be a root elsewhere; NULL */
    const char *log;    /* the log of a failed job to explain, instead of the machine; NULL */
    int pid;            /* a process of one's own to look at instead of the machine; 0: none */
    bool deep;          /* also measure: copies, launches, products, links, disk; takes up to a minute */
    bool chinese, verbose, colour;
    taper_doctor_format format; /* LIST: the checks themselves; nothing is run */
} taper_doctor_options;

/* Runs the checks and writes the report. *exit_code: 0 healthy, 1 slow, 2 broken, 3 could not tell. VALUE for a check that does
 * not exist, MEMORY. */
TAPER_API taper_status taper_doctor(const taper_doctor_options *options, int *exit_code, taper_text_fn write, void *ctx);

TAPER_END

#endif
