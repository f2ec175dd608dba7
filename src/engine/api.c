/* The typed C functions of ops.def (taper_<name>, taper_<name>_, tx_<name>) and the table of rows, made by the
 * preprocessor from the rows themselves. */
#include "engine/engine.h"

static inline taper_arg taper__arg_tensor(taper_tensor *t) { return (taper_arg){.kind = t ? TAPER_ARG_TENSOR : TAPER_ARG_NONE, .t = t}; }
static inline taper_arg taper__arg_tensors(taper_tensor *const *ts, int n) {
    return (taper_arg){.kind = TAPER_ARG_TENSORS, .count = n, .ts = ts};
}
static inline taper_arg taper__arg_int(int64_t i) { return (taper_arg){.kind = TAPER_ARG_INT, .i = i}; }
static inline taper_arg taper__arg_optional_int(const int64_t *i) {
    return i ? taper__arg_int(*i) : (taper_arg){.kind = TAPER_ARG_NONE};
}
static inline taper_arg taper__arg_float(double f) { return (taper_arg){.kind = TAPER_ARG_FLOAT, .f = f}; }
static inline taper_arg taper__arg_optional_float(const double *f) {
    return f ? taper__arg_float(*f) : (taper_arg){.kind = TAPER_ARG_NONE};
}
static inline taper_arg taper__arg_bool(bool b) { return (taper_arg){.kind = TAPER_ARG_BOOL, .i = b}; }
static inline taper_arg taper__arg_ints(const int64_t *is, int n) {
    return (taper_arg){.kind = is ? TAPER_ARG_INTS : TAPER_ARG_NONE, .count = n, .is = is};
}
static inline taper_arg taper__arg_scalar(taper_scalar s) { return (taper_arg){.kind = s.kind, .i = s.i}; }
static inline taper_arg taper__arg_optional_scalar(const taper_scalar *s) {
    return s ? taper__arg_scalar(*s) : (taper_arg){.kind = TAPER_ARG_NONE};
}
static inline taper_arg taper__arg_dtype(taper_dtype d) {
    return (taper_arg){.kind = d == TAPER_DTYPE_NONE ? TAPER_ARG_NONE : TAPER_ARG_DTYPE, .dtype = d};
}
static inline taper_arg taper__arg_device(const taper_device *d) {
    return d ? (taper_arg){.kind = TAPER_ARG_DEVICE, .device = *d} : (taper_arg){.kind = TAPER_ARG_NONE};
}
static inline taper_arg taper__arg_string(const char *s) {
    return (taper_arg){.kind = s ? TAPER_ARG_STRING : TAPER_ARG_NONE, .s = s};
}
static inline taper_arg taper__arg_generator(taper_generator *g) {
    return (taper_arg){.kind = g ? TAPER_ARG_GENERATOR : TAPER_ARG_NONE, .g = g};
}

/* Row numbers, private to this file. */
enum {
#define TAPER_OP(name, ...) ROW_##name,
#define TAPER_OP_INPLACE(name, ...) ROW_##name,
#include <taper/ops.def>
#undef TAPER_OP
#undef TAPER_OP_INPLACE
    ROW_COUNT
};

#define TAPER_OP(name, ...) extern const taper_op taper_op_##name;
#define TAPER_OP_INPLACE(name, ...) extern const taper_op taper_op_##name;
#include <taper/ops.def>
#undef TAPER_OP
#undef TAPER_OP_INPLACE

const taper_op_row taper__op_rows[] = {
#define TAPER_OP(name, schema, autocast, gradient, params) \
    {#name, schema, TAPER_AUTOCAST_##autocast, TAPER_GRADIENT_##gradient, false, &taper_op_##name},
#define TAPER_OP_INPLACE(name, schema, autocast, gradient, params) \
    {#name, schema, TAPER_AUTOCAST_##autocast, TAPER_GRADIENT_##gradient, true, &taper_op_##name},
#include <taper/ops.def>
#undef TAPER_OP
#undef TAPER_OP_INPLACE
    {0},
};

const size_t taper__op_count = ROW_COUNT;
_Atomic uint32_t taper__op_required[ROW_COUNT];
const taper_op_row *taper_op_rows(void) { return taper__op_rows; }

const taper_op_row *taper_op_find(const char *name) {
    for (int i = 0; i < ROW_COUNT; i++)
        if (!strcmp(taper__op_rows[i].name, name)) return &taper__op_rows[i];
    return NULL;
}

#define TAPER_OP(name, schema, autocast, gradient, params) \
    taper_status taper_##name(taper_tensor **out, TAPER_PROTOTYPE params) { \
        const taper_arg args[] = {TAPER_VALUES params}; \
        return taper_op_call(&taper__op_rows[ROW_##name], args, TAPER_COUNT(args), out); \
    } \
    taper_tensor *tx_##name(taper_scope *scope_, TAPER_PROTOTYPE params) { \
        taper_tensor *out[TAPER_MAX_OUTS] = {NULL}; \
        if (scope_->status != TAPER_OK) return NULL; \
        scope_->status = taper_##name(out, TAPER_NAMES params); \
        return scope_->status == TAPER_OK ? taper_scope_own(scope_, out[0]) : NULL; \
    }
#define TAPER_OP_INPLACE(name, schema, autocast, gradient, params) \
    TAPER_OP(name, schema, autocast, gradient, params) \
    taper_status taper_##name##_(TAPER_PROTOTYPE params) { \
        const taper_arg args[] = {TAPER_VALUES params}; \
        return taper_op_call_inplace(&taper__op_rows[ROW_##name], args, TAPER_COUNT(args)); \
    }
#include <taper/ops.def>
#undef TAPER_OP
#undef TAPER_OP_INPLACE
