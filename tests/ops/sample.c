/* The language of samples (docs/operators.md) -> test_case. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver.h"

typedef struct reader {
    test_case *c;
    const char *p;
    char *why;
    size_t size;
    uint64_t seed;
} reader;

static bool sample_bad(reader *r, const char *format, ...) {
    int n = snprintf(r->why, r->size, "sample \"%s\": ", r->c->sample->args);
    va_list ap;
    va_start(ap, format);
    vsnprintf(r->why + n, r->size - (size_t)n, format, ap);
    va_end(ap);
    return false;
}

static void sample_space(reader *r) {
    while (*r->p == ' ') r->p++;
}

static bool sample_take(reader *r, char c) {
    sample_space(r);
    if (*r->p != c) return false;
    r->p++;
    return true;
}

static bool sample_word(reader *r, const char *word) {
    size_t n = strlen(word);
    if (strncmp(r->p, word, n) || isalnum((unsigned char)r->p[n]) || r->p[n] == '_') return false;
    r->p += n;
    return true;
}

static void spec_prob(tensor_spec *t) {
    int64_t n = t->ndim ? t->shape[t->ndim - 1] : 1;
    for (int64_t at = 0; at + n <= t->numel && n; at += n) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += t->values[at + i];
        for (int64_t i = 0; i < n; i++) t->values[at + i] /= sum;
    }
}

/* a a^T / n + 1: symmetric, positive definite, in the last two dims. */
static void spec_spd(tensor_spec *t) {
    int64_t n = t->ndim >= 2 ? t->shape[t->ndim - 1] : 0;
    double *a = malloc(sizeof *a * (size_t)(n * n + 1));
    for (int64_t at = 0; n && at + n * n <= t->numel; at += n * n) {
        memcpy(a, t->values + at, sizeof *a * (size_t)(n * n));
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) {
                double sum = i == j;
                for (int64_t k = 0; k < n; k++) sum += a[i * n + k] * a[j * n + k] / (double)n;
                t->values[at + i * n + j] = sum;
            }
    }
    free(a);
}

static int sample_order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void spec_draw(tensor_spec *t, uint64_t *seed) {
    bool is_unsigned = t->dtype == TAPER_U8;
    for (int64_t i = 0; i < t->numel; i++) {
        double u = random_uniform(seed);
        switch (t->fill) {
        case FILL_POSITIVE: t->values[i] = 0.1 + 1.9 * u; break;
        case FILL_UNIT: t->values[i] = 0.001 + 0.998 * u; break;
        case FILL_PROB: t->values[i] = 0.1 + 1.9 * u; break;
        case FILL_BOOL: t->values[i] = u < 0.5; break;
        case FILL_BELOW: t->values[i] = t->below > 0 ? (double)(int64_t)(u * (double)t->below) : is_unsigned ? (double)(int64_t)(u * 10) : (double)((int64_t)(u * 19) - 9); break;
        case FILL_GIVEN: break;
        default: t->values[i] = random_normal(seed);
        }
    }
    int64_t n = t->ndim ? t->shape[t->ndim - 1] : 1;
    if (t->fill == FILL_PROB) spec_prob(t);
    if (t->fill == FILL_SPD) spec_spd(t);
    if (t->fill == FILL_SORTED)
        for (int64_t at = 0; n && at < t->numel; at += n) qsort(t->values + at, (size_t)n, sizeof(double), sample_order);
}

static bool sample_given(reader *r, tensor_spec *t) {
    if (!sample_take(r, '(')) return sample_bad(r, "'=' of a tensor needs (values)");
    t->fill = FILL_GIVEN;
    int64_t n = 0;
    while (!sample_take(r, ')')) {
        char *end;
        double v = strtod(r->p, &end);
        if (end == r->p) return sample_bad(r, "a number expected at \"%s\"", r->p);
        r->p = end;
        if (n < t->numel) t->values[n] = v;
        n++;
        sample_take(r, ',');
    }
    return n == t->numel || sample_bad(r, "%lld values for a tensor of %lld", (long long)n, (long long)t->numel);
}

static bool sample_tensor(reader *r, tensor_spec *t) {
    static const struct {
        const char *word;
        int dtype;
    } dtypes[] = {{"i64", TAPER_I64}, {"i32", TAPER_I32}, {"i16", TAPER_I16}, {"i8", TAPER_I8},   {"u8", TAPER_U8},
                  {"f64", TAPER_F64}, {"f32", TAPER_F32}, {"f16", TAPER_F16}, {"bf16", TAPER_BF16}};
    memset(t, 0, sizeof *t);
    t->dtype = TAPER_DTYPE_NONE;
    t->numel = 1;
    r->p++; /* [ */
    while (!sample_take(r, ']')) {
        char *end;
        int64_t n = strtoll(r->p, &end, 10);
        if (end == r->p || t->ndim == TAPER_MAX_DIMS) return sample_bad(r, "a size expected at \"%s\"", r->p);
        r->p = end;
        t->shape[t->ndim++] = n;
        t->numel *= n;
        sample_take(r, ',');
    }
    t->values = calloc((size_t)t->numel + 1, sizeof *t->values);
    while (*r->p == ':') {
        r->p++;
        int dtype = -1;
        for (int i = 0; i < TAPER_COUNT(dtypes); i++)
            if (dtype < 0 && sample_word(r, dtypes[i].word)) dtype = dtypes[i].dtype;
        if (dtype >= 0) {
            t->dtype = (taper_dtype)dtype;
            if (!taper_dtype_is_float(t->dtype)) t->fill = FILL_BELOW;
            if (*r->p == '<') t->below = strtoll(r->p + 1, (char **)&r->p, 10);
        } else if (sample_word(r, "bool")) {
            t->dtype = TAPER_BOOL;
            t->fill = FILL_BOOL;
        } else if (sample_word(r, "pos")) {
            t->fill = FILL_POSITIVE;
        } else if (sample_word(r, "unit")) {
            t->fill = FILL_UNIT;
        } else if (sample_word(r, "prob")) {
            t->fill = FILL_PROB;
        } else if (sample_word(r, "sorted")) {
            t->fill = FILL_SORTED;
        } else if (sample_word(r, "spd")) {
            t->fill = FILL_SPD;
        } else if (sample_word(r, "nograd")) {
            t->nograd = true;
        } else {
            return sample_bad(r, "unknown modifier at \":%s\"", r->p);
        }
    }
    if (*r->p == '=') {
        r->p++;
        if (!sample_given(r, t)) return false;
    }
    if (t->dtype == TAPER_DTYPE_NONE) r->c->runs_in_dtypes = true;
    spec_draw(t, &r->seed);
    return true;
}

static tensor_spec *sample_new_tensor(reader *r) {
    return r->c->ntensors < MAX_TENSORS ? &r->c->tensors[r->c->ntensors++] : NULL;
}

static bool sample_tensor_list(reader *r, arg_spec *a) {
    a->value.kind = TAPER_ARG_TENSORS;
    a->first = r->c->ntensors;
    r->p++;
    while (!sample_take(r, '}')) {
        tensor_spec *t = sample_new_tensor(r);
        sample_space(r);
        if (!t || ++a->count > MAX_LIST) return sample_bad(r, "more tensors than the driver holds");
        if (*r->p == '-') {
            t->absent = true;
            r->p++;
        } else if (*r->p != '[' || !sample_tensor(r, t)) {
            return r->why[0] ? false : sample_bad(r, "a tensor expected at \"%s\"", r->p);
        }
        sample_take(r, ',');
    }
    return true;
}

static bool sample_ints(reader *r, arg_spec *a) {
    a->value.kind = TAPER_ARG_INTS;
    r->p++;
    while (!sample_take(r, ')')) {
        char *end;
        sample_space(r);
        int64_t n = strtoll(r->p, &end, 10);
        if (end == r->p || a->value.count == TAPER_COUNT(a->ints)) return sample_bad(r, "an integer expected at \"%s\"", r->p);
        r->p = end;
        a->ints[a->value.count++] = n;
        sample_take(r, ',');
    }
    return true;
}

static bool sample_number(reader *r, arg_spec *a) {
    char *end, *real_end;
    long long i = strtoll(r->p, &end, 10);
    double f = strtod(r->p, &real_end);
    if (real_end == r->p) return false;
    bool whole = real_end == end;
    a->value.kind = whole ? TAPER_ARG_INT : TAPER_ARG_FLOAT;
    if (whole)
        a->value.i = i;
    else
        a->value.f = f;
    r->p = real_end;
    return true;
}

/* A word: its meaning follows from the argument's type. */
static bool sample_text(reader *r, arg_spec *a, const taper_schema_arg *want) {
    size_t n = 0;
    bool quoted = *r->p == '\'';
    if (quoted) r->p++;
    while (*r->p && (quoted ? *r->p != '\'' : *r->p != ',' && *r->p != ' ') && n < sizeof a->text - 1) a->text[n++] = *r->p++;
    if (quoted && *r->p == '\'') r->p++;
    a->text[n] = 0;
    if (want->kind == TAPER_ARG_STRING) {
        a->value.kind = TAPER_ARG_STRING;
    } else if (want->kind == TAPER_ARG_DTYPE) {
        a->value.kind = TAPER_ARG_DTYPE;
        a->value.dtype = taper_dtype_from_name(a->text);
        if (a->value.dtype == TAPER_DTYPE_NONE) return sample_bad(r, "%s is no dtype", a->text);
    } else if (want->kind == TAPER_ARG_DEVICE) {
        a->value.kind = TAPER_ARG_DEVICE;
        if (taper_device_parse(&a->value.device, a->text) != TAPER_OK) return sample_bad(r, "%s", taper_error_message());
    } else {
        return sample_bad(r, "\"%s\" does not fit argument %s", a->text, want->name);
    }
    return true;
}

static bool sample_value(reader *r, arg_spec *a, const taper_schema_arg *want) {
    sample_space(r);
    bool digit = isdigit((unsigned char)r->p[1]) || r->p[1] == '.' || r->p[1] == 'i';
    if (*r->p == '[') {
        tensor_spec *t = sample_new_tensor(r);
        a->value.kind = TAPER_ARG_TENSOR;
        a->first = r->c->ntensors - 1;
        a->count = 1;
        return t ? sample_tensor(r, t) : sample_bad(r, "more tensors than the driver holds");
    }
    if (*r->p == '{') return sample_tensor_list(r, a);
    if (*r->p == '(') return sample_ints(r, a);
    /* The word none is a value of a str argument: reduction=none. */
    if ((*r->p == '-' && !digit) || (want->kind != TAPER_ARG_STRING && sample_word(r, "none"))) {
        if (*r->p == '-') r->p++;
        a->value.kind = TAPER_ARG_NONE;
        return true;
    }
    if (want->kind == TAPER_ARG_STRING || want->kind == TAPER_ARG_DTYPE || want->kind == TAPER_ARG_DEVICE) return sample_text(r, a, want);
    if (sample_word(r, "true") || sample_word(r, "false")) {
        a->value.kind = TAPER_ARG_BOOL;
        a->value.i = r->p[-2] == 'u'; /* tr-u-e, fal-s-e */
        return true;
    }
    if (!sample_number(r, a)) return sample_bad(r, "\"%s\" does not fit argument %s", r->p, want->name);
    if (want->kind == TAPER_ARG_GENERATOR) a->seeded = true;
    if (want->kind == TAPER_ARG_FLOAT && !want->scalar && a->value.kind == TAPER_ARG_INT) {
        a->value.kind = TAPER_ARG_FLOAT;
        a->value.f = (double)a->value.i;
    }
    if (want->kind == TAPER_ARG_INTS && a->value.kind == TAPER_ARG_INT) { /* dim=1; int[2] takes one number for both */
        int64_t n = a->value.i;
        a->value.kind = TAPER_ARG_INTS;
        a->value.count = 0;
        do a->ints[a->value.count++] = n;
        while (a->value.count < want->size);
    }
    return true;
}

/* Which kinds an argument of the schema takes. */
static bool sample_fits(const test_case *c, const arg_spec *a, const taper_schema_arg *want) {
    int kind = a->value.kind;
    bool number = kind == TAPER_ARG_INT || kind == TAPER_ARG_FLOAT || kind == TAPER_ARG_BOOL;
    if (kind == TAPER_ARG_NONE) return want->optional;
    if (a->seeded) return want->kind == TAPER_ARG_GENERATOR;
    if (want->scalar) return number;
    if (want->kind == TAPER_ARG_TENSOR && number) return c->row->op->pointwise;
    return kind == (int)want->kind;
}

static bool sample_defaults(reader *r, const bool *set) {
    test_case *c = r->c;
    for (int k = 0; k < c->nargs; k++) {
        const taper_schema_arg *want = &c->schema->args[k];
        if (!set[k]) {
            if (!want->has_default) return sample_bad(r, "argument %s is missing", want->name);
            c->args[k].value = want->fallback;
            continue;
        }
        if (!sample_fits(c, &c->args[k], want)) return sample_bad(r, "the value given does not fit argument %s", want->name);
        if (c->args[k].value.kind == TAPER_ARG_INTS) c->args[k].value.is = c->args[k].ints;
        if (c->args[k].value.kind == TAPER_ARG_STRING) c->args[k].value.s = c->args[k].text;
    }
    return true;
}

bool case_read(test_case *c, const taper_op_row *row, int index, char *why, size_t size) {
    memset(c, 0, sizeof *c);
    c->row = row;
    c->index = index;
    c->sample = &row->op->samples[index];
    c->schema = taper_schema_of(row);
    why[0] = 0;
    if (!c->schema) {
        snprintf(why, size, "%s", taper_error_message());
        return false;
    }
    c->nargs = c->schema->nargs;
    reader r = {c, c->sample->args, why, size, 1469598103934665603u};
    for (const char *p = row->name; *p; p++) r.seed = (r.seed ^ (unsigned char)*p) * 1099511628211u;
    r.seed += (uint64_t)index * 7919;
    bool set[TAPER_MAX_ARGS] = {false};
    int position = 0;
    sample_space(&r);
    while (*r.p) {
        int k = position;
        size_t n = 0;
        while (isalnum((unsigned char)r.p[n]) || r.p[n] == '_') n++;
        if (n && r.p[n] == '=' && isalpha((unsigned char)r.p[0])) {
            char name[64] = {0};
            memcpy(name, r.p, n < sizeof name ? n : sizeof name - 1);
            k = taper_schema_find(c->schema, name);
            if (k < 0) return sample_bad(&r, "no argument is called %s", name);
            r.p += n + 1;
        } else {
            position++;
            if (k < c->nargs && c->schema->args[k].keyword_only) return sample_bad(&r, "argument %s goes by name only", c->schema->args[k].name);
        }
        if (k >= c->nargs) return sample_bad(&r, "more arguments than \"%s\" has", row->schema);
        if (set[k]) return sample_bad(&r, "argument %s is given twice", c->schema->args[k].name);
        set[k] = true;
        if (!sample_value(&r, &c->args[k], &c->schema->args[k])) return false;
        sample_space(&r);
        if (*r.p && !sample_take(&r, ',')) return sample_bad(&r, "',' expected at \"%s\"", r.p);
        sample_space(&r);
    }
    return sample_defaults(&r, set);
}

void case_free(test_case *c) {
    for (int i = 0; i < c->ntensors; i++) free(c->tensors[i].values);
}
