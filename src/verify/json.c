/* JSON (RFC 8259) into an array of values; strings are decoded in place in a copy of the text. */
#include "verify/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int json_fail(verify_json_text *j, const char *problem) {
    if (!j->problem) j->problem = problem;
    return -1;
}

static void json_space(verify_json_text *j) {
    while (j->at < j->size && strchr(" \t\r\n", j->copy[j->at]) && j->copy[j->at]) j->at++;
}

static int json_new(verify_json_text *j, verify_json_kind kind) {
    if (j->count >= VERIFY_JSON_VALUES) return json_fail(j, "too many values");
    if (j->count == j->capacity) {
        int capacity = j->capacity ? j->capacity * 2 : 256;
        verify_json_value *more = taper__realloc(j->values, sizeof *more * (size_t)capacity);
        if (!more) return json_fail(j, "no memory");
        j->values = more;
        j->capacity = capacity;
    }
    j->values[j->count] = (verify_json_value){.kind = kind, .first = -1, .next = -1};
    return j->count++;
}

static long json_hex(verify_json_text *j) {
    long value = 0;
    for (int i = 0; i < 4; i++, j->at++) {
        char c = j->at < j->size ? j->copy[j->at] : 0;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return json_fail(j, "a \\u wants four digits");
        value = value * 16 + digit;
    }
    return value;
}

static char *json_utf8(char *to, long c) {
    if (c < 0x80) *to++ = (char)c;
    else if (c < 0x800) *to++ = (char)(0xc0 | c >> 6), *to++ = (char)(0x80 | (c & 63));
    else if (c < 0x10000) *to++ = (char)(0xe0 | c >> 12), *to++ = (char)(0x80 | (c >> 6 & 63)), *to++ = (char)(0x80 | (c & 63));
    else *to++ = (char)(0xf0 | c >> 18), *to++ = (char)(0x80 | (c >> 12 & 63)), *to++ = (char)(0x80 | (c >> 6 & 63)), *to++ = (char)(0x80 | (c & 63));
    return to;
}

/* One escape behind its backslash; never longer than it was. */
static char *json_escape(verify_json_text *j, char *to) {
    static const char from[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
    char c = j->at < j->size ? j->copy[j->at++] : 0;
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        *to++ = plain[known - from];
        return to;
    }
    if (c != 'u') return json_fail(j, "an escape that JSON does not have"), NULL;
    long u = json_hex(j);
    if (u < 0) return NULL;
    if (u >= 0xd800 && u < 0xdc00 && j->at + 1 < j->size && j->copy[j->at] == '\\' && j->copy[j->at + 1] == 'u') {
        j->at += 2;
        long low = json_hex(j);
        if (low < 0) return NULL;
        u = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00) : 0xfffd;
    }
    return json_utf8(to, !u || (u >= 0xd800 && u < 0xe000) ? 0xfffd : u);
}

/* Behind the opening quote. */
static const char *json_string(verify_json_text *j) {
    char *begin = j->copy + j->at, *to = begin;
    for (;;) {
        if (j->at >= j->size) return json_fail(j, "a string without an end"), NULL;
        unsigned char c = (unsigned char)j->copy[j->at++];
        if (c == '"') break;
        if (c < 0x20) return json_fail(j, "a control character in a string"), NULL;
        if (c != '\\') *to++ = (char)c;
        else if (!(to = json_escape(j, to))) return NULL;
    }
    *to = 0; /* at the closing quote or before */
    return begin;
}

static int json_number(verify_json_text *j) {
    const char *begin = j->copy + j->at;
    char *end, c = *begin == '-' ? begin[1] : *begin;
    if (c < '0' || c > '9') return json_fail(j, "no value");
    size_t n = strspn(begin, "+-0123456789.eE"); /* so that strtod sees no hex, inf or nan; the text ends with 0 */
    double value = strtod(begin, &end);
    if (end != begin + n || !isfinite(value)) return json_fail(j, "a number that is none");
    int at = json_new(j, VERIFY_JSON_NUMBER);
    if (at >= 0) j->values[at].number = value;
    j->at += n;
    return at;
}

static int json_word(verify_json_text *j, const char *word, verify_json_kind kind, double number) {
    size_t n = strlen(word);
    if (j->size - j->at < n || memcmp(j->copy + j->at, word, n)) return json_fail(j, "no value");
    j->at += n;
    int at = json_new(j, kind);
    if (at >= 0) j->values[at].number = number;
    return at;
}

static int json_value(verify_json_text *j, int depth);

/* Behind the opening bracket. */
static int json_items(verify_json_text *j, bool object, int depth) {
    int self = json_new(j, object ? VERIFY_JSON_OBJECT : VERIFY_JSON_ARRAY), last = -1;
    char close = object ? '}' : ']';
    if (self < 0) return -1;
    if (depth >= VERIFY_JSON_DEPTH) return json_fail(j, "nested too deeply");
    json_space(j);
    if (j->at < j->size && j->copy[j->at] == close) return j->at++, self;
    for (;;) {
        const char *key = NULL;
        json_space(j);
        if (object) {
            if (j->at >= j->size || j->copy[j->at++] != '"') return json_fail(j, "a key wanted");
            if (!(key = json_string(j))) return -1;
            json_space(j);
            if (j->at >= j->size || j->copy[j->at++] != ':') return json_fail(j, "':' wanted");
        }
        int item = json_value(j, depth + 1);
        if (item < 0) return -1;
        j->values[item].key = key;
        if (last < 0) j->values[self].first = item;
        else j->values[last].next = item;
        last = item;
        json_space(j);
        char c = j->at < j->size ? j->copy[j->at++] : 0;
        if (c == close) return self;
        if (c != ',') return json_fail(j, "',' or an end wanted");
    }
}

static int json_value(verify_json_text *j, int depth) {
    json_space(j);
    char c = j->at < j->size ? j->copy[j->at] : 0;
    if (c == '{' || c == '[') return j->at++, json_items(j, c == '{', depth);
    if (c == 't') return json_word(j, "true", VERIFY_JSON_BOOL, 1);
    if (c == 'f') return json_word(j, "false", VERIFY_JSON_BOOL, 0);
    if (c == 'n') return json_word(j, "null", VERIFY_JSON_NULL, 0);
    if (c != '"') return json_number(j);
    j->at++;
    const char *text = json_string(j);
    int at = text ? json_new(j, VERIFY_JSON_STRING) : -1;
    if (at >= 0) j->values[at].text = text;
    return at;
}

taper_status verify_json_open(verify_json_text *j, const char *text, size_t size, const char *name) {
    *j = (verify_json_text){.size = size, .copy = taper__alloc(size + 1)};
    if (!j->copy) return TAPER_FAIL(TAPER_MEMORY, "verify: no memory for %s", name);
    memcpy(j->copy, text, size);
    j->copy[size] = 0;
    int root = json_value(j, 0);
    json_space(j);
    if (root >= 0 && j->at < j->size) root = json_fail(j, "more text behind the end");
    if (root >= 0) return TAPER_OK;
    return TAPER_FAIL(TAPER_FORMAT, "verify: %s is no JSON: %s at byte %zu", name, j->problem, j->at);
}

void verify_json_close(verify_json_text *j) {
    taper__free(j->copy);
    taper__free(j->values);
    *j = (verify_json_text){.copy = NULL};
}

const verify_json_value *verify_json_item(const verify_json_text *j, int number) { return number < 0 || number >= j->count ? NULL : &j->values[number]; }

const verify_json_value *verify_json_get(const verify_json_text *j, const verify_json_value *object, const char *key) {
    for (const verify_json_value *v = object && object->kind == VERIFY_JSON_OBJECT ? verify_json_item(j, object->first) : NULL; v; v = verify_json_item(j, v->next))
        if (v->key && !strcmp(v->key, key)) return v;
    return NULL;
}
