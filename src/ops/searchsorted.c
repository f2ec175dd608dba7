/* searchsorted, bucketize, isin: binary search in ascending rows. */
#include "ops/search.h"

typedef struct searchsorted_job {
    const char *rows, *values;
    const int64_t *sorter; /* NULL: the rows ascend as they are */
    void *out;
    bool right, narrow, whole, one_row;
    int64_t n, per_row; /* length of a row; values that look in one row */
} searchsorted_job;

/* Elements before x; NaN stands after everything. */
#define SEARCHSORTED_BODY(type)                                                                                        \
    const type *row = (const type *)j->rows + at;                                                                      \
    type x = ((const type *)j->values)[i];                                                                             \
    while (low < high) {                                                                                               \
        int64_t mid = low + (high - low) / 2, from = order ? order[mid] : mid;                                         \
        type y = row[from];                                                                                            \
        bool before = j->right ? !(y > x) && !(y != y && x == x) : !(y >= x) && !(y != y);                             \
        if (before) low = mid + 1;                                                                                     \
        else high = mid;                                                                                               \
    }

static void searchsorted_range(void *ctx, int64_t begin, int64_t end) {
    const searchsorted_job *j = ctx;
    for (int64_t i = begin; i < end; i++) {
        int64_t low = 0, high = j->n, at = j->one_row ? 0 : i / j->per_row * j->n;
        const int64_t *order = j->sorter ? j->sorter + at : NULL;
        if (j->whole) {
            SEARCHSORTED_BODY(int64_t)
        } else {
            SEARCHSORTED_BODY(double)
        }
        if (j->narrow) ((int32_t *)j->out)[i] = (int32_t)low;
        else ((int64_t *)j->out)[i] = low;
    }
}

/* sequence (.., n) and values in one wide dtype, contiguous, on the CPU. */
static void searchsorted_fill(taper_tensor *out, const taper_tensor *sequence, const taper_tensor *values, const taper_tensor *sorter, bool right) {
    searchsorted_job j = {.rows = taper__data(sequence), .values = taper__data(values), .sorter = sorter ? taper__data(sorter) : NULL, .out = taper__data(out)};
    j.right = right;
    j.narrow = out->dtype == TAPER_I32;
    j.whole = values->dtype == TAPER_I64;
    j.one_row = sequence->ndim == 1;
    j.n = sequence->shape[sequence->ndim - 1];
    j.per_row = values->ndim ? values->shape[values->ndim - 1] : 1;
    taper__parallel_for(values->numel, 2048, searchsorted_range, &j);
}

/* The search itself needs no gradient and runs on the CPU: on another device values go there and back. */
static taper_status searchsorted_make(taper_call *c, taper_scope *s, taper_tensor *sequence, taper_tensor *values, taper_tensor *sorter, bool narrow, bool right) {
    taper_device cpu = taper_cpu(), home = sequence->device;
    taper_tensor *ts[2] = {sequence, values}, *out = NULL;
    if (sequence->device.type == TAPER_META || values->device.type == TAPER_META) { /* shapes are all there is */
        TAPER_TRY(taper_full(&out, values->shape, values->ndim, taper_int(0), narrow ? TAPER_I32 : TAPER_I64, &values->device));
        c->out[0] = out;
        c->nout = 1;
        return TAPER_OK;
    }
    taper_dtype dtype = taper_dtype_is_float(taper__result_dtype(ts, 2, NULL, 0)) ? TAPER_F64 : TAPER_I64;
    sequence = tx_contiguous(s, tx_to(s, search_detach(s, sequence), &cpu, dtype, false, false));
    values = tx_contiguous(s, tx_to(s, search_detach(s, values), &cpu, dtype, false, false));
    if (sorter) sorter = tx_contiguous(s, tx_to(s, sorter, &cpu, TAPER_I64, false, false));
    TAPER_TRY(s->status);
    TAPER_TRY(taper__tensor_empty(&out, narrow ? TAPER_I32 : TAPER_I64, cpu, values->ndim, values->shape, c->row->name));
    taper_scope_own(s, out);
    searchsorted_fill(out, sequence, values, sorter, right);
    c->out[0] = taper_scope_keep(s, tx_to(s, out, &home, TAPER_DTYPE_NONE, false, false));
    c->nout = 1;
    return s->status;
}

static taper_status searchsorted_side(bool *right, const taper_arg *flag, const taper_arg *side) {
    *right = flag->i;
    if (side->kind != TAPER_ARG_STRING) return TAPER_OK;
    if (strcmp(side->s, "left") && strcmp(side->s, "right"))
        return TAPER_FAIL(TAPER_RUNTIME, "torch.searchsorted(): side can only be 'left' or 'right' but got %s", side->s);
    if (!strcmp(side->s, "left") && flag->i)
        return TAPER_FAIL(TAPER_RUNTIME, "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True");
    *right = !strcmp(side->s, "right");
    return TAPER_OK;
}
static taper_status searchsorted_check_sorter(const taper_tensor *sequence, const taper_tensor *sorter) {
    if (!sorter) return TAPER_OK;
    if (sorter->dtype != TAPER_I64) return TAPER_FAIL(TAPER_RUNTIME, "torch.searchsorted(): sorter must be a tensor of long dtype but got dtype %s", taper_dtype_typename((taper_dtype)sorter->dtype));
    if (sorter->ndim != sequence->ndim || memcmp(sorter->shape, sequence->shape, sizeof(int64_t) * (size_t)sequence->ndim))
        return TAPER_FAIL(TAPER_RUNTIME, "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor %s and got sorter tensor %s",
                          TAPER_SHAPE(sequence), TAPER_SHAPE(sorter));
    return TAPER_OK;
}
/* Every number of a sorter must be a place in its row. */
static taper_status searchsorted_check_places(taper_scope *s, taper_tensor *sorter, int64_t n) {
    if (!sorter || !sorter->numel || sorter->device.type == TAPER_META) return TAPER_OK;
    int64_t low = 0, high = 0;
    taper_tensor *least = tx_min(s, sorter), *most = tx_max(s, sorter);
    TAPER_TRY(s->status);
    TAPER_TRY(taper_tensor_item_int(least, &low));
    TAPER_TRY(taper_tensor_item_int(most, &high));
    return low < 0 || high >= n ? TAPER_FAIL(TAPER_RUNTIME, "torch.searchsorted(): sorter index out of range: %lld for rows of %lld", (long long)(low < 0 ? low : high), (long long)n)
                                : TAPER_OK;
}

static taper_status searchsorted_any(taper_call *c, taper_scope *s, taper_tensor *values) {
    taper_tensor *sequence = c->args[0].t, *sorter = TAPER_ARG_T(c, 5);
    bool right, fits = sequence->ndim == values->ndim;
    TAPER_TRY(searchsorted_side(&right, &c->args[3], &c->args[4]));
    if (!sequence->ndim) return TAPER_FAIL(TAPER_RUNTIME, "torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension");
    for (int d = 0; fits && d + 1 < values->ndim; d++) fits = values->shape[d] == sequence->shape[d];
    if (sequence->ndim != 1 && !fits)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must "
                          "match, but we got boundaries tensor %s and input value tensor %s", TAPER_SHAPE(sequence), TAPER_SHAPE(values));
    TAPER_TRY(searchsorted_check_sorter(sequence, sorter));
    TAPER_TRY(searchsorted_check_places(s, sorter, sequence->shape[sequence->ndim - 1]));
    return searchsorted_make(c, s, sequence, values, sorter, c->args[2].i, right);
}
static taper_status searchsorted_compose(taper_call *c, taper_scope *s) { return searchsorted_any(c, s, c->args[1].t); }
const taper_op taper_op_searchsorted = {
    .compose = searchsorted_compose,
    .samples = (const taper_sample[]){{"[7]:sorted, [3,4]"}, {"[2,7]:sorted, [2,5], right=true"}, {"[5]:i64=(1,2,2,2,9), [4]:i64<10, side=right, out_int32=true"},
                                      {"[5]:i64=(1,2,2,2,9), [4]:i64<10"}, {"[0], [3]"}, {"[3], [0]"}, {"[4]:i64=(7,3,5,1), [3]:i64<9, sorter=[4]:i64=(3,1,2,0)"},
                                      {"[40]:sorted, [70,90]"}, {"[2,3], [3,3]", .error = "first N-1 dimensions"}, {"[3], [3], right=true, side=left", .error = "can't be set to opposites"},
                                      {"[3], [3], sorter=[3]:i64=(0,1,3)", .error = "sorter index out of range"}, {0}},
};

static taper_status searchsorted_scalar_compose(taper_call *c, taper_scope *s) {
    taper_dtype dtype = c->args[1].kind == TAPER_ARG_FLOAT ? taper_default_dtype() : TAPER_I64;
    taper_tensor *value = tx_full(s, NULL, 0, taper_arg_scalar(&c->args[1]), dtype, &c->args[0].t->device);
    return value ? searchsorted_any(c, s, value) : s->status;
}
const taper_op taper_op_searchsorted_scalar = {
    .compose = searchsorted_scalar_compose,
    .samples = (const taper_sample[]){{"[7]:sorted, 0.1"}, {"[3]:i64=(1,3,5), 3, right=true"}, {"[], 1", .error = "should have positive dimension"}, {0}}};

static taper_status bucketize_compose(taper_call *c, taper_scope *s) {
    taper_tensor *edges = c->args[1].t;
    if (edges->ndim != 1) return TAPER_FAIL(TAPER_RUNTIME, "boundaries tensor must be 1 dimension, but got dim(%d) (shape %s)", edges->ndim, TAPER_SHAPE(edges));
    return searchsorted_make(c, s, edges, c->args[0].t, NULL, c->args[2].i, c->args[3].i);
}
const taper_op taper_op_bucketize = {
    .compose = bucketize_compose,
    .samples = (const taper_sample[]){{"[3,4], [5]:sorted"}, {"[4]:i64<9, [3]:i64=(1,3,5), right=true"}, {"[], [3]:sorted, out_int32=true"}, {"[2], [2,2]", .error = "boundaries tensor must be 1 dimension"}, {0}}};

static taper_status isin_compose(taper_call *c, taper_scope *s) {
    taper_tensor *x = c->args[0].t, *set[2] = {NULL, NULL}, *at = NULL;
    int64_t flat = -1;
    taper_tensor *both[2] = {x, c->args[1].t};
    taper_dtype dtype = taper__result_dtype(both, 2, NULL, 0);
    c->nout = 1;
    if (!c->args[1].t->numel) return taper_full(&c->out[0], x->shape, x->ndim, taper_bool(c->args[3].i), TAPER_BOOL, &x->device);
    taper_tensor *tests = tx_reshape(s, tx_to(s, search_detach(s, c->args[1].t), NULL, dtype == TAPER_BOOL ? TAPER_U8 : dtype, false, false), &flat, 1);
    x = tx_to(s, search_detach(s, x), NULL, dtype == TAPER_BOOL ? TAPER_U8 : dtype, false, false);
    TAPER_TRY(s->status);
    TAPER_TRY(taper_sort(set, tests, 0, false, true));
    taper_scope_own(s, set[0]);
    taper_scope_own(s, set[1]);
    const taper_scalar last = taper_int(tests->numel - 1);
    at = tx_clamp(s, tx_bucketize(s, x, set[0], false, false), NULL, &last);
    taper_tensor *found = tx_eq(s, tx_take(s, set[0], at), x);
    c->out[0] = taper_scope_keep(s, c->args[3].i ? tx_logical_not(s, found) : found);
    return s->status;
}
const taper_op taper_op_isin = {
    .compose = isin_compose,
    .samples = (const taper_sample[]){{"[3,4]:i64<9, [5]:i64<9"}, {"[6]:i64<3, [2,2]:i64<9, invert=true"}, {"[4]:bool, [2]:bool"}, {"[3], [0]"}, {"[0], [2]"}, {"[]:i64<3, [3]:i64<3"}, {0}}};
