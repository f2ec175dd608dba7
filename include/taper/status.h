/* Status values and the message that goes with them.
 *
 * Every fallible function returns a taper_status. When it is not TAPER_OK, taper_error_message() says what was wrong,
 * with the operator, shapes, dtypes and devices, what would be right, and the file and line that noticed.
 */
#ifndef TAPER_STATUS_H
#define TAPER_STATUS_H

#include <taper/export.h>

TAPER_BEGIN

/* X(name, text, Python exception). The one list of error classes. */
#define TAPER_STATUS_MAP(X)                                                                                            \
    X(OK, "ok", "")                                                                                                    \
    X(RUNTIME, "operation failed", "RuntimeError")                                                                     \
    X(VALUE, "invalid value", "ValueError")                                                                            \
    X(TYPE, "invalid type", "TypeError")                                                                               \
    X(INDEX, "index out of range", "IndexError")                                                                       \
    X(KEY, "no such key", "KeyError")                                                                                  \
    X(MEMORY, "out of memory", "OutOfMemoryError")                                                                     \
    X(NOT_IMPLEMENTED, "not implemented", "NotImplementedError")                                                       \
    X(OS, "system call failed", "OSError")                                                                             \
    X(FORMAT, "malformed file", "ValueError")                                                                          \
    X(DEVICE, "device unavailable", "RuntimeError")                                                                    \
    X(CALLBACK, "callback failed", "RuntimeError")

typedef enum taper_status {
#define TAPER_STATUS_ENUM(name, text, exception) TAPER_##name,
    TAPER_STATUS_MAP(TAPER_STATUS_ENUM)
#undef TAPER_STATUS_ENUM
    TAPER_STATUS_COUNT
} taper_status;

/* Text of the newest error on the calling thread; "" when the last public call succeeded. Borrowed until the next call. */
TAPER_API const char *taper_error_message(void);

/* Name ("VALUE"), text ("invalid value") and Python exception of a status; never NULL. */
TAPER_API const char *taper_status_name(taper_status status);
TAPER_API const char *taper_status_text(taper_status status);
TAPER_API const char *taper_status_exception(taper_status status);

/* Records a message and returns status: `return taper_fail(TAPER_VALUE, __FILE__, __LINE__, "f: n is %d, need > 0", n);`
 * One function, so that one breakpoint catches every error. */
TAPER_API taper_status taper_fail(taper_status status, const char *file, int line, const char *format, ...)
    TAPER_PRINTF(4, 5);

/* Puts `operator: ` or other context in front of the recorded message; keeps the status. */
TAPER_API taper_status taper_fail_within(taper_status status, const char *context);

/* Forgets the recorded message. */
TAPER_API void taper_error_clear(void);

TAPER_END

#endif
