/* inplace: name_ gives what name gives, also through a window and for the gradient. out: out= gives the same, resized. */
#include "driver.h"

/* What the target holds in the end when it keeps its own dtype. */
static const char *target_compare(const test_case *c, taper_tensor *target, taper_tensor *want) {
    static char words[600];
    taper_tensor *cast = NULL;
    if (taper_to(&cast, want, NULL, (taper_dtype)target->dtype, false, false) != TAPER_OK) return taper_error_message();
    const char *bad = compare_tensors(target, cast, tolerance(c, (taper_dtype)target->dtype, false), target->dtype == want->dtype && !c->sample->unspecified && c->row->op->pointwise);
    size_t n = strlen(bad);
    memcpy(words, bad, (n < sizeof words ? n : sizeof words - 1) + 1);
    taper_tensor_release(cast);
    return words;
}

/* Is the out-of-place result one that in place must refuse? */
static bool inplace_refused(const taper_tensor *self, const taper_tensor *result) {
    return taper_dtype_kind((taper_dtype)result->dtype) > taper_dtype_kind((taper_dtype)self->dtype) || result->ndim != self->ndim ||
           memcmp(result->shape, self->shape, sizeof(int64_t) * self->ndim);
}

static void inplace_case(const test_case *c, taper_dtype dtype, layout how) {
    setup s = {.dtype = dtype, .layout = how};
    inputs a = {0}, b = {0};
    results want = {0};
    taper_status st = inputs_make(&b, c, &s);
    if (st == TAPER_OK) st = inputs_make(&a, c, &s);
    if (st == TAPER_OK) st = run_op(c->row, &b, &want);
    if (st != TAPER_OK) {
        if (st == TAPER_NOT_IMPLEMENTED && dtype != TAPER_F32) skip(taper_error_message());
        else fail("out of place: %s", taper_error_message());
        goto out;
    }
    taper_tensor *self = a.args[0].t;
    uint32_t version = taper_tensor_version(self);
    inputs_seed(&a);
    st = taper_op_call_inplace(c->row, a.args, c->nargs);
    if (inplace_refused(self, want.t[0])) {
        if (st == TAPER_OK)
            fail("%s_ was allowed, though the result is %s and self %s", c->row->name, TAPER_TEXT(want.t[0]), TAPER_TEXT(self));
        else if (taper_tensor_version(self) != version || inputs_touched(&a, 0) >= 0)
            fail("the refused call changed its argument");
        else
            pass();
        goto out;
    }
    if (st != TAPER_OK) {
        fail("%s_: %s", c->row->name, taper_error_message());
        goto out;
    }
    const char *bad = target_compare(c, self, want.t[0]);
    if (bad[0])
        fail("%s_ against %s: %s", c->row->name, c->row->name, bad);
    else if (taper_tensor_version(self) <= version && inputs_touched(&a, 0) >= 0)
        fail("%s_ did not raise the version of its argument (still %u)", c->row->name, version);
    else if (inputs_touched(&a, 1) >= 0)
        fail("%s_ wrote outside its argument, to the memory of tensor %d", c->row->name, inputs_touched(&a, 1));
    else
        pass();
out:
    results_free(&want);
    inputs_free(&a);
    inputs_free(&b);
}

/* The gradient through clone(x).name_() is that of name(x). */
static void inplace_grad(const test_case *c) {
    setup s = {.dtype = TAPER_F64, .grad = true};
    inputs a = {0}, b = {0};
    results r = {0};
    taper_tensor *da[MAX_TENSORS] = {NULL}, *db[MAX_TENSORS] = {NULL}, *weights[TAPER_MAX_OUTS] = {NULL}, *self = NULL;
    taper_status st = TAPER_OK;
    TAPER_TRY_GOTO(inputs_make(&b, c, &s));
    TAPER_TRY_GOTO(run_op(c->row, &b, &r));
    if (inplace_refused(b.args[0].t, r.t[0])) {
        pass();
        goto clean;
    }
    TAPER_TRY_GOTO(run_grad(&b, &r, TAPER_DTYPE_NONE, false, weights, db));
    results_free(&r);
    TAPER_TRY_GOTO(inputs_make(&a, c, &s));
    TAPER_TRY_GOTO(taper_clone(&self, a.args[0].t));
    a.args[0].t = self;
    inputs_seed(&a);
    TAPER_TRY_GOTO(taper_op_call_inplace(c->row, a.args, c->nargs));
    r.t[r.count = 0] = taper_tensor_retain(self);
    r.count = 1;
    TAPER_TRY_GOTO(run_grad(&a, &r, TAPER_DTYPE_NONE, false, weights, da));
    const char *bad = "";
    for (int i = 0; i < c->ntensors && !bad[0]; i++) {
        if (!da[i] != !db[i])
            bad = "a gradient arrives one way only";
        else if (da[i])
            bad = compare_tensors(da[i], db[i], 1e-9, false);
    }
    if (bad[0])
        fail("the gradient in place: %s", bad);
    else
        pass();
    goto clean;
out:
    fail("%s", taper_error_message());
clean:
    tensors_free(weights, TAPER_MAX_OUTS);
    tensors_free(da, MAX_TENSORS);
    tensors_free(db, MAX_TENSORS);
    taper_tensor_release(self);
    results_free(&r);
    inputs_free(&a);
    inputs_free(&b);
}

void check_inplace(const test_case *c) {
    if (!c->row->inplace || c->args[0].value.kind != TAPER_ARG_TENSOR) return;
    if (begin(c, "f32", "cpu", "inplace")) inplace_case(c, TAPER_F32, LAYOUT_PLAIN);
    if (begin(c, "f32", "cpu", "inplace transposed")) inplace_case(c, TAPER_F32, LAYOUT_TRANSPOSED);
    if (begin(c, "f32", "cpu", "inplace sliced")) inplace_case(c, TAPER_F32, LAYOUT_SLICED);
    if (c->runs_in_dtypes && begin(c, "f16", "cpu", "inplace")) inplace_case(c, TAPER_F16, LAYOUT_PLAIN);
    if (c->runs_in_dtypes && begin(c, "f16", "cpu", "inplace sliced")) inplace_case(c, TAPER_F16, LAYOUT_SLICED);
    bool grads = c->row->gradient != TAPER_GRADIENT_NONDIFF && !c->sample->no_grad_check && c->tensors[c->args[0].first].dtype == TAPER_DTYPE_NONE;
    if (grads && begin(c, "f64", "cpu", "inplace grad")) inplace_grad(c);
}

/* A target of the given shape filled with numbers that must not survive. */
static taper_tensor *target_new(taper_dtype dtype, int ndim, const int64_t *shape, bool transposed) {
    taper_tensor *t = NULL, *view = NULL;
    int64_t turned[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
    for (int d = 0; d < ndim; d++) turned[d] = shape[transposed ? ndim - 1 - d : d];
    if (taper_tensor_new(&t, dtype, taper_cpu(), ndim, turned) != TAPER_OK) return NULL;
    memset(taper_tensor_data(t), 0x3b, (size_t)t->numel * taper_dtype_size(dtype));
    if (!transposed) return t;
    for (int d = 0; d < ndim; d++) strides[d] = t->strides[ndim - 1 - d];
    if (taper__tensor_view(&view, t, ndim, shape, strides, 0) != TAPER_OK) view = NULL;
    taper_tensor_release(t);
    return view;
}

static const char *out_try(const test_case *c, const inputs *in, taper_tensor *want, taper_tensor *target) {
    uint32_t version = target ? taper_tensor_version(target) : 0;
    const char *bad = "no memory";
    inputs_seed(in);
    if (target && taper_op_call_out(c->row, in->args, c->nargs, target) != TAPER_OK)
        bad = taper_error_message();
    else if (target && target->numel && taper_tensor_version(target) <= version)
        bad = "the version of the target was not raised";
    else if (target && c->sample->unspecified && !c->row->op->random)
        bad = target->numel == want->numel ? "" : compare_metas(target, want);
    else if (target)
        bad = target_compare(c, target, want);
    taper_tensor_release(target);
    return bad;
}

void check_out(const test_case *c) {
    setup s = {.dtype = TAPER_F32};
    inputs in = {0};
    results want = {0};
    if (c->schema->nresults != 1 || c->schema->result_list || c->row->op->mutates) return;
    for (int i = 0; i < c->ntensors; i++)
        if (spec_is_written(c, i)) return;
    if (!begin(c, "f32", "cpu", "out")) return;
    taper_status st = inputs_make(&in, c, &s);
    if (st == TAPER_OK) st = run_op(c->row, &in, &want);
    if (st != TAPER_OK) {
        fail("%s", taper_error_message());
        goto out;
    }
    taper_tensor *w = want.t[0];
    int64_t zero = 0;
    taper_dtype d = (taper_dtype)w->dtype;
    bool view = false;
    for (int i = 0; i < c->ntensors; i++) view = view || (in.given[i] && in.given[i]->storage == w->storage);
    if (view) { /* a window has no out= form: it must say so or do it right */
        const char *bad = out_try(c, &in, w, target_new(d, w->ndim, w->shape, false));
        if (bad[0] && !strstr(bad, "out=")) fail("a view with out=: %s", bad);
        else pass();
        goto out;
    }
    const char *bad = out_try(c, &in, w, target_new(d, w->ndim, w->shape, false)), *what = "same shape";
    if (!bad[0]) what = "empty, to be resized", bad = out_try(c, &in, w, target_new(d, 1, &zero, false));
    if (!bad[0] && !case_is_random(c)) what = "transposed", bad = out_try(c, &in, w, target_new(d, w->ndim, w->shape, true));
    if (!bad[0] && d == TAPER_F32 && !case_is_random(c)) what = "float64", bad = out_try(c, &in, w, target_new(TAPER_F64, w->ndim, w->shape, false));
    if (!bad[0] && inputs_touched(&in, 0) >= 0) bad = "an argument was written";
    if (bad[0])
        fail("out= (%s): %s", what, bad);
    else
        pass();
out:
    results_free(&want);
    inputs_free(&in);
}
