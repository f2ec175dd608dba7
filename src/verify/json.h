/* A small JSON reader for reports: at most a fixed depth and number of values, any bytes are safe. */
#ifndef TAPER_VERIFY_JSON_H
#define TAPER_VERIFY_JSON_H

#include "base/base.h"

enum { VERIFY_JSON_DEPTH = 16, VERIFY_JSON_VALUES = 200000 };
typedef enum verify_json_kind { VERIFY_JSON_NULL, VERIFY_JSON_BOOL, VERIFY_JSON_NUMBER, VERIFY_JSON_STRING, VERIFY_JSON_ARRAY, VERIFY_JSON_OBJECT } verify_json_kind;
typedef struct verify_json_value {
    verify_json_kind kind;
    const char *key, *text; /* key: in an object; text: of a string, UTF-8, 0-ended (a \u0000 is U+FFFD) */
    double number;          /* finite; of a bool 0 or 1 */
    int first, next;        /* items of an array or object, -1 at the end */
} verify_json_value;
typedef struct verify_json_text {
    char *copy;
    verify_json_value *values; /* [0] is the root */
    int count, capacity;
    size_t at, size;
    const char *problem;
} verify_json_text;
/* FORMAT with the byte where for text that is not JSON; VALUE for too much of it, MEMORY. End it with verify_json_close in any case. */
taper_status verify_json_open(verify_json_text *j, const char *text, size_t size, const char *name);
void verify_json_close(verify_json_text *j);
const verify_json_value *verify_json_get(const verify_json_text *j, const verify_json_value *object, const char *key); /* NULL */
const verify_json_value *verify_json_item(const verify_json_text *j, int number);                                   /* NULL for -1 */

#endif
