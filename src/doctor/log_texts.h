/* Error texts of logs and what they mean. */
#ifndef TAPER_DOCTOR_LOG_TEXTS_H
#define TAPER_DOCTOR_LOG_TEXTS_H

#include "doctor/doctor.h"

typedef struct doctor_log_text {
    const char *id;
    doctor_verdict verdict;
    const char *text[3]; /* all of them in one line, whatever the case of the letters */
    const char *en, *zh, *cure, *cure_zh, *link;
} doctor_log_text;
extern const doctor_log_text doctor_log_texts[]; /* ends with a NULL id; where two fit a line the first counts */

#endif
