/* Schemas taken apart: text of a row -> arguments and results. One block of memory per row, kept. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <taper/schema.h>

#include "engine/engine.h"

/* A block holds the schema, its tables, the numbers of list defaults and a copy of the text cut into strings. */
typedef struct schema_block {
    struct schema_block *next;
    const taper_op_row *row;
    const char *source; /* row->schema: a caller's own rows may come and go at one address */
    taper_schema schema;
    taper_schema_arg args[TAPER_MAX_ARGS];
    const char *result_names[TAPER_MAX_OUTS];
    int nnumbers;
    int64_t numbers[24];
    char text[];
} schema_block;

typedef struct schema_parse {
    const taper_op_row *row;
    schema_block *block;
    char *p; /* next character of block->text */
} schema_parse;

static taper_status schema_bad(const schema_parse *s, const char *at, const char *want) {
    const char *rest = s->row->schema + (at - s->block->text);
    return TAPER_FAIL(TAPER_VALUE, "%s: schema \"%s\": expected %s at \"%s\"", s->row->name, s->row->schema, want, rest);
}

static void schema_space(schema_parse *s) {
    while (*s->p == ' ' || *s->p == '\n') s->p++;
}

static bool schema_take(schema_parse *s, const char *word) {
    schema_space(s);
    size_t n = strlen(word);
    if (strncmp(s->p, word, n)) return false;
    s->p += n;
    return true;
}

static bool schema_is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* A name is ended by 0 later (its successor is still to be read): *length says how long it is. */
static const char *schema_name(schema_parse *s, size_t *length) {
    schema_space(s);
    char *start = s->p;
    while (schema_is_name(*s->p)) s->p++;
    *length = (size_t)(s->p - start);
    return start;
}

static bool schema_is(const char *name, size_t length, const char *word) { return strlen(word) == length && !strncmp(name, word, length); }

/* "(a)" or "(a!)" after Tensor. */
static taper_status schema_alias(schema_parse *s, bool *written) {
    if (*s->p != '(') return TAPER_OK;
    char *end = strchr(s->p, ')');
    if (!end) return schema_bad(s, s->p, "')'");
    if (end[-1] == '!') *written = true;
    s->p = end + 1;
    return TAPER_OK;
}

static taper_status schema_type(schema_parse *s, taper_schema_arg *a) {
    static const struct {
        const char *word;
        uint8_t kind;
    } types[] = {{"Tensor", TAPER_ARG_TENSOR}, {"int", TAPER_ARG_INT},          {"SymInt", TAPER_ARG_INT},
                 {"float", TAPER_ARG_FLOAT},   {"bool", TAPER_ARG_BOOL},        {"Scalar", TAPER_ARG_FLOAT},
                 {"str", TAPER_ARG_STRING},    {"ScalarType", TAPER_ARG_DTYPE}, {"Device", TAPER_ARG_DEVICE},
                 {"Generator", TAPER_ARG_GENERATOR},
                 {"MemoryFormat", TAPER_ARG_STRING}};
    size_t n;
    const char *word = schema_name(s, &n);
    a->kind = TAPER_ARG_NONE;
    for (int i = 0; i < TAPER_COUNT(types); i++)
        if (schema_is(word, n, types[i].word)) a->kind = (taper_arg_kind)types[i].kind;
    if (a->kind == TAPER_ARG_NONE) return schema_bad(s, word, "a type");
    a->scalar = schema_is(word, n, "Scalar");
    TAPER_TRY(schema_alias(s, &a->written));
    if (*s->p == '?') {
        a->optional = true;
        s->p++;
    }
    if (*s->p != '[') return TAPER_OK;
    a->list = true;
    a->optional_items = a->optional;
    a->optional = false;
    if (a->kind != TAPER_ARG_TENSOR && (a->kind != TAPER_ARG_INT || a->optional_items)) return schema_bad(s, word, "a list of Tensor or int");
    a->kind = a->kind == TAPER_ARG_TENSOR ? TAPER_ARG_TENSORS : TAPER_ARG_INTS;
    a->size = (int32_t)strtol(s->p + 1, &s->p, 10);
    if (*s->p != ']') return schema_bad(s, s->p, "']'");
    s->p++;
    TAPER_TRY(schema_alias(s, &a->written));
    if (*s->p == '?') {
        a->optional = true;
        s->p++;
    }
    return TAPER_OK;
}

static taper_status schema_number(schema_parse *s, taper_arg *v) {
    schema_space(s);
    char *end, *real_end, *start = s->p;
    errno = 0;
    long long i = strtoll(start, &end, 10);
    double f = strtod(start, &real_end);
    if (real_end == start) return schema_bad(s, start, "a number");
    if (real_end > end || errno == ERANGE) {
        v->kind = TAPER_ARG_FLOAT;
        v->f = f;
    } else {
        v->kind = TAPER_ARG_INT;
        v->i = i;
    }
    s->p = real_end;
    return TAPER_OK;
}

static taper_status schema_list(schema_parse *s, taper_schema_arg *a) {
    schema_block *b = s->block;
    int64_t *first = b->numbers + b->nnumbers;
    bool bracket = schema_take(s, "[");
    a->fallback.kind = (uint8_t)a->kind;
    a->fallback.is = first;
    if (a->kind == TAPER_ARG_TENSORS) {
        a->fallback.ts = NULL;
        return schema_take(s, "]") ? TAPER_OK : schema_bad(s, s->p, "[]");
    }
    while (!(bracket && schema_take(s, "]"))) {
        taper_arg v;
        char *at = s->p;
        TAPER_TRY(schema_number(s, &v));
        int copies = bracket ? 1 : a->size ? a->size : 1; /* int[2] x=1 means [1, 1] */
        if (v.kind != TAPER_ARG_INT) return schema_bad(s, at, "an integer");
        if (b->nnumbers + copies > TAPER_COUNT(b->numbers)) return schema_bad(s, at, "fewer numbers in defaults");
        for (; copies; copies--, a->fallback.count++) b->numbers[b->nnumbers++] = v.i;
        if (!bracket) break;
        schema_take(s, ",");
    }
    return TAPER_OK;
}

static taper_status schema_default(schema_parse *s, taper_schema_arg *a) {
    taper_arg *v = &a->fallback;
    size_t n;
    a->has_default = true;
    schema_space(s);
    char *start = s->p;
    const char *word = schema_name(s, &n);
    if (schema_is(word, n, "None")) {
        a->optional = true;
        v->kind = TAPER_ARG_NONE;
        return TAPER_OK;
    }
    if (a->kind == TAPER_ARG_DTYPE) {
        char text[32] = {0};
        memcpy(text, word, n < sizeof text ? n : sizeof text - 1);
        v->kind = TAPER_ARG_DTYPE;
        v->dtype = taper_dtype_from_name(text);
        return v->dtype == TAPER_DTYPE_NONE ? schema_bad(s, word, "a dtype") : TAPER_OK;
    }
    if (schema_is(word, n, "True") || schema_is(word, n, "False")) {
        if (a->kind != TAPER_ARG_BOOL && !a->scalar) return schema_bad(s, word, "a value of the argument's type");
        v->kind = TAPER_ARG_BOOL;
        v->i = word[0] == 'T';
        return TAPER_OK;
    }
    s->p = start;
    if (a->list) return schema_list(s, a);
    if (a->kind == TAPER_ARG_STRING) {
        char quote = *start, *end = quote == '\'' || quote == '"' ? strchr(start + 1, quote) : NULL;
        if (!end) return schema_bad(s, start, "a string in quotes");
        *end = 0; /* the quote is not needed any more */
        v->kind = TAPER_ARG_STRING;
        v->s = start + 1;
        s->p = end + 1;
        return TAPER_OK;
    }
    if (a->kind != TAPER_ARG_INT && a->kind != TAPER_ARG_FLOAT) return schema_bad(s, start, "None or a value of the argument's type");
    TAPER_TRY(schema_number(s, v));
    if (a->kind == TAPER_ARG_INT && v->kind != TAPER_ARG_INT) return schema_bad(s, start, "an integer");
    if (a->kind == TAPER_ARG_FLOAT && !a->scalar && v->kind == TAPER_ARG_INT) {
        v->f = (double)v->i;
        v->kind = TAPER_ARG_FLOAT;
    }
    return TAPER_OK;
}

static taper_status schema_arguments(schema_parse *s) {
    bool keyword_only = false;
    taper_schema *schema = &s->block->schema;
    if (schema_take(s, ")")) return TAPER_OK;
    for (;;) {
        if (schema_take(s, "*")) {
            keyword_only = true;
        } else {
            size_t n;
            if (schema->nargs == TAPER_MAX_ARGS) return schema_bad(s, s->p, "at most 16 arguments");
            taper_schema_arg *a = &s->block->args[schema->nargs++];
            a->keyword_only = keyword_only;
            TAPER_TRY(schema_type(s, a));
            a->name = schema_name(s, &n);
            if (!n) return schema_bad(s, a->name, "an argument's name");
            char *end = s->p;
            if (schema_take(s, "=")) TAPER_TRY(schema_default(s, a));
            schema_space(s);
            char after = *s->p;
            *end = 0; /* the one behind a name is a blank, '=', ',' or ')', all read by now but the last two */
            if (s->p == end) {
                s->p++;
                if (after == ')') return TAPER_OK;
                if (after != ',') return schema_bad(s, end, "',' or ')'");
                continue;
            }
        }
        if (schema_take(s, ")")) return TAPER_OK;
        if (!schema_take(s, ",")) return schema_bad(s, s->p, "',' or ')'");
    }
}

static taper_status schema_result(schema_parse *s) {
    taper_schema *schema = &s->block->schema;
    taper_schema_arg a = {0};
    schema_space(s);
    char *at = s->p;
    if (schema->nresults == TAPER_MAX_OUTS) return schema_bad(s, at, "at most 6 results");
    TAPER_TRY(schema_type(s, &a));
    if (a.kind != TAPER_ARG_TENSOR && a.kind != TAPER_ARG_TENSORS && a.kind != TAPER_ARG_BOOL) return schema_bad(s, at, "Tensor");
    schema->result_bool = a.kind == TAPER_ARG_BOOL;
    schema->result_list = schema->result_list || a.list;
    schema->nresults++;
    return TAPER_OK;
}

static taper_status schema_results(schema_parse *s) {
    if (!schema_take(s, "->")) return schema_bad(s, s->p, "'->'");
    if (!schema_take(s, "(")) return schema_result(s);
    if (schema_take(s, ")")) return TAPER_OK;
    for (;;) {
        size_t n;
        TAPER_TRY(schema_result(s));
        const char *name = schema_name(s, &n);
        if (n) s->block->result_names[s->block->schema.nresults - 1] = name;
        schema_space(s);
        char after = *s->p;
        *s->p = 0;
        if (n) s->block->text[name - s->block->text + (ptrdiff_t)n] = 0;
        if (after == ')') {
            s->p++;
            return TAPER_OK;
        }
        if (after != ',') return schema_bad(s, s->p, "',' or ')'");
        s->p++;
    }
}

static taper_status schema_parse_all(schema_parse *s) {
    taper_schema *schema = &s->block->schema;
    size_t n;
    schema->name = schema_name(s, &n);
    schema->overload = "";
    if (!n) return schema_bad(s, s->p, "a name");
    if (*s->p == '.') {
        *s->p++ = 0;
        schema->overload = schema_name(s, &n);
    }
    if (*s->p != '(') return schema_bad(s, s->p, "'('");
    *s->p++ = 0;
    TAPER_TRY(schema_arguments(s));
    TAPER_TRY(schema_results(s));
    schema_space(s);
    return *s->p ? schema_bad(s, s->p, "the end") : TAPER_OK;
}

static taper_status schema_new(schema_block **out, const taper_op_row *row) {
    size_t n = strlen(row->schema) + 1;
    schema_block *b = calloc(1, sizeof *b + n); /* not counted as live: it is never freed */
    if (!b) return TAPER_FAIL(TAPER_MEMORY, "%s: no memory for its schema", row->name);
    memcpy(b->text, row->schema, n);
    b->row = row;
    b->source = row->schema;
    b->schema.args = b->args;
    b->schema.result_names = b->result_names;
    schema_parse s = {row, b, b->text};
    taper_status st = schema_parse_all(&s);
    if (st == TAPER_OK)
        *out = b;
    else
        free(b);
    return st;
}

const taper_schema *taper_schema_of(const taper_op_row *row) {
    enum { SLOTS = 1024 };
    static schema_block *_Atomic slots[SLOTS];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    schema_block *_Atomic *slot = &slots[(uintptr_t)row / sizeof *row % SLOTS];
    for (schema_block *b = atomic_load_explicit(slot, memory_order_acquire); b; b = b->next)
        if (b->row == row && b->source == row->schema) return &b->schema;
    schema_block *found = NULL;
    pthread_mutex_lock(&lock);
    for (found = atomic_load_explicit(slot, memory_order_relaxed); found && (found->row != row || found->source != row->schema); found = found->next) {}
    if (!found && schema_new(&found, row) == TAPER_OK) {
        found->next = atomic_load_explicit(slot, memory_order_relaxed);
        atomic_store_explicit(slot, found, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
    return found ? &found->schema : NULL;
}

int taper_schema_find(const taper_schema *schema, const char *name) {
    for (int i = 0; i < schema->nargs; i++)
        if (!strcmp(schema->args[i].name, name)) return i;
    return -1;
}
