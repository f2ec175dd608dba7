/* Does this machine train as it should: a checklist that runs the library itself on the CPU and on each GPU, and measures it.
 *
 * The checks run in a child process with a time limit, so that a driver that hangs or crashes is a line of the report. A program that
 * has used a GPU itself cannot fork: call this before, or from a process of its own. Apart from the HTML file that is asked for, only
 * a folder below options.folder is written, for the length of the check of checkpoints.
 */
#ifndef TAPER_VERIFY_H
#define TAPER_VERIFY_H

#include <taper/doctor.h>

TAPER_BEGIN

typedef struct taper_verify_options {
    const char *check;   /* comma list of checks; NULL: all */
    const char *folder;  /* where the checkpoint is tried; NULL: $TMPDIR or /tmp */
    const char *html;    /* file that receives the report as one HTML page; NULL */
    const char *compare[2]; /* two reports that --json wrote: nothing is run, they are put side by side; NULL */
    int gpus;            /* how many GPUs there must be; -1: any number */
    int runs;            /* all checks so many times, each time in new processes; 0: 1, at most 9 */
    int limit_seconds;   /* for the CPU, and for each GPU; 0: 120 */
    bool cpu_only, quick, chinese, colour;
    taper_doctor_format format; /* TEXT or JSON (of a comparison too); LIST: the checks themselves */
} taper_verify_options;
#define TAPER_VERIFY_OPTIONS {.gpus = -1}

/* Runs the checks, or compares, and writes the report. *exit_code: 0 healthy, 1 slow, 2 broken, 3 could not tell; of a comparison 0 no
 * significant difference for the worse, 1 slower, 2 broken now and not before. VALUE for a check that does not exist, OS and FORMAT for a
 * report that cannot be read, OS for an HTML file that cannot be written, MEMORY. */
TAPER_API taper_status taper_verify(const taper_verify_options *options, int *exit_code, taper_text_fn write, void *ctx);

TAPER_END

#endif
