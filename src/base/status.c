/* Status names and the per-thread message. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

enum { MESSAGE_SIZE = 4096 };
/* A pointer, not the text itself: a library that is opened at run time (Python does) gets a few hundred bytes of the fast
 * thread storage that other variables of this library need, and 4 KiB here made dlopen fail. */
static _Thread_local char *message;
static _Thread_local taper_status message_status;
static char message_lost[] = "out of memory, also for the message";
static pthread_key_t message_key;
static pthread_once_t message_once = PTHREAD_ONCE_INIT;

static void message_free(void *text) {
    message = NULL;
    free(text);
}
static void message_init(void) { pthread_key_create(&message_key, message_free); }

static void message_set(const char text[MESSAGE_SIZE]) {
    pthread_once(&message_once, message_init);
    if (!message || message == message_lost) {
        message = malloc(MESSAGE_SIZE);
        if (message) pthread_setspecific(message_key, message);
        else message = message_lost;
    }
    if (message != message_lost) memcpy(message, text, MESSAGE_SIZE);
}

static const struct {
    const char *name, *text, *exception;
} statuses[] = {
#define STATUS_ROW(name, text, exception) {#name, text, exception},
    TAPER_STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
};

const char *taper_error_message(void) { return message ? message : ""; }
void taper_error_clear(void) {
    if (message == message_lost) message = NULL;
    if (message) message[0] = 0;
    message_status = TAPER_OK;
}
taper_status taper__error_status(void) { return message_status; }

static int status_index(taper_status s) { return (unsigned)s < TAPER_STATUS_COUNT ? (int)s : TAPER_RUNTIME; }
const char *taper_status_name(taper_status s) { return statuses[status_index(s)].name; }
const char *taper_status_text(taper_status s) { return statuses[status_index(s)].text; }
const char *taper_status_exception(taper_status s) { return statuses[status_index(s)].exception; }

taper_status taper_fail(taper_status status, const char *file, int line, const char *format, ...) {
    char text[MESSAGE_SIZE]; /* arguments may point into the old message */
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    message_set(text);
    message_status = status;
    /* Where it was noticed is for us, not for the user's eyes: the log has it. */
    const char *base = strrchr(file, '/');
    taper__log("error", "%s: %s (%s:%d)", taper_status_name(status), text, base ? base + 1 : file, line);
    return status;
}

taper_status taper_fail_within(taper_status status, const char *context) {
    char text[MESSAGE_SIZE];
    snprintf(text, sizeof text, "%s%.*s", context, (int)(sizeof text - strlen(context) - 1), taper_error_message());
    message_set(text);
    return status;
}
