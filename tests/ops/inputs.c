/* Arguments of a case: values laid out in memory as the setup wants them, and calls with them. */
#include <math.h>
#include <stdlib.h>

#include "driver.h"

taper_dtype spec_dtype(const tensor_spec *t, taper_dtype run) { return t->dtype == TAPER_DTYPE_NONE ? run : t->dtype; }

bool spec_wants_grad(const test_case *c, const tensor_spec *t, taper_dtype run) {
    return !t->absent && !t->nograd && c->row->gradient != TAPER_GRADIENT_NONDIFF && taper_dtype_is_float(spec_dtype(t, run));
}

bool spec_is_written(const test_case *c, int tensor) {
    for (int k = 0; k < c->nargs; k++) {
        const arg_spec *a = &c->args[k];
        bool inside = tensor >= a->first && tensor < a->first + a->count;
        if (inside && (c->schema->args[k].written || (k == 0 && c->row->op->mutates))) return true;
    }
    return false;
}

static void dtype_store(void *p, taper_dtype dtype, taper_dtype rounded, double v) {
    uint64_t cell = 0;
    if (taper_dtype_is_float(dtype)) {
        if (rounded != TAPER_DTYPE_NONE && taper_dtype_is_float(rounded)) {
            taper__store_double(&cell, rounded, v);
            v = taper__load_double(&cell, rounded);
        }
        taper__store_double(p, dtype, v);
    } else {
        taper__store_int(p, dtype, (int64_t)v);
    }
}

/* Value i of the sample; `repeat`: that of the first row. */
static double spec_value(const tensor_spec *t, int64_t i, bool repeat) {
    int64_t row = t->ndim && t->shape[0] ? t->numel / t->shape[0] : 1;
    return t->values[repeat && row ? i % row : i];
}

static bool spec_repeats(const tensor_spec *t) {
    return t->ndim >= 2 && t->shape[0] > 1 && t->fill != FILL_SPD && t->fill != FILL_GIVEN;
}

/* Strides and size of the memory for a layout, in elements. */
static int64_t layout_strides(const tensor_spec *t, layout how, int64_t *strides, int64_t *offset) {
    int64_t n = 1;
    *offset = 0;
    if (how == LAYOUT_TRANSPOSED && t->ndim >= 2) {
        for (int d = 0; d < t->ndim; d++) {
            strides[d] = n;
            n *= t->shape[d] ? t->shape[d] : 1;
        }
        return n;
    }
    if (how == LAYOUT_TRANSPOSED || how == LAYOUT_SLICED) { /* every second element of rows that begin one row down */
        int64_t row = 1;
        for (int d = t->ndim - 1; d >= 0; d--) {
            strides[d] = d == t->ndim - 1 ? 2 : n;
            n *= (t->shape[d] ? t->shape[d] : 1) * (d == t->ndim - 1 ? 2 : 1) + (d == 0 && t->ndim >= 2);
            if (d == 1) row = n;
        }
        *offset = t->ndim >= 2 ? row + 1 : 1;
        return n + 3;
    }
    taper__contiguous_strides(t->ndim, t->shape, strides);
    for (int d = 0; d < t->ndim; d++) n *= t->shape[d];
    if (how == LAYOUT_EXPANDED && spec_repeats(t)) {
        strides[0] = 0;
        n /= t->shape[0];
    }
    return n ? n : 1;
}

static taper_status tensor_make(inputs *in, int i, taper_tensor **out) {
    const tensor_spec *t = &in->c->tensors[i];
    const setup *s = &in->s;
    taper_dtype dtype = spec_dtype(t, s->dtype), rounded = t->dtype == TAPER_DTYPE_NONE ? s->rounded : TAPER_DTYPE_NONE;
    if (s->meta) return taper_tensor_new(out, dtype, (taper_device){TAPER_META, 0}, t->ndim, t->shape);
    layout how = s->layout == LAYOUT_MIXED ? (layout)((i + 1) % LAYOUT_MIXED) : s->layout;
    bool repeat = (s->layout == LAYOUT_EXPANDED || s->repeat) && spec_repeats(t) && !spec_is_written(in->c, i);
    if (how == LAYOUT_EXPANDED && !repeat) how = LAYOUT_SLICED;
    int64_t strides[TAPER_MAX_DIMS], offset, n = layout_strides(t, how, strides, &offset);
    size_t e = taper_dtype_size(dtype);
    char *bytes = malloc((size_t)n * e);
    if (dtype == TAPER_BOOL)
        memset(bytes, 1, (size_t)n);
    else
        for (int64_t k = 0; k < n; k++) { /* what nobody may look at */
            if (taper_dtype_is_float(dtype))
                taper__store_double(bytes + k * (int64_t)e, dtype, NAN);
            else
                taper__store_int(bytes + k * (int64_t)e, dtype, 113);
        }
    for (int64_t k = 0; k < t->numel; k++) {
        int64_t rest = k, at = offset;
        for (int d = t->ndim - 1; d >= 0; d--) {
            at += rest % t->shape[d] * strides[d];
            rest /= t->shape[d];
        }
        dtype_store(bytes + at * (int64_t)e, dtype, rounded, spec_value(t, k, repeat));
    }
    taper_tensor *memory = NULL;
    taper_status st = taper_tensor_new(&memory, dtype, s->device, 1, &n);
    if (st == TAPER_OK) st = taper_tensor_write(memory, bytes, (size_t)n * e);
    if (st == TAPER_OK) st = taper__tensor_view(out, memory, t->ndim, t->shape, how == LAYOUT_PLAIN ? NULL : strides, offset);
    in->memory[i] = memory;
    in->before[i] = bytes;
    return st;
}

taper_status inputs_make(inputs *in, const test_case *c, const setup *s) {
    taper_status st = TAPER_OK;
    memset(in, 0, sizeof *in);
    in->c = c;
    in->s = *s;
    for (int i = 0; i < c->ntensors; i++) {
        const tensor_spec *t = &c->tensors[i];
        if (t->absent) continue;
        st = tensor_make(in, i, &in->leaf[i]);
        if (st != TAPER_OK) goto out;
        if (s->grad && spec_wants_grad(c, t, s->dtype)) TAPER_TRY_GOTO(taper_set_requires_grad(in->leaf[i], true));
        if (spec_is_written(c, i) && in->leaf[i]->requires_grad)
            TAPER_TRY_GOTO(taper_clone(&in->given[i], in->leaf[i]));
        else
            in->given[i] = taper_tensor_retain(in->leaf[i]);
    }
    for (int k = 0; k < c->nargs; k++) {
        const arg_spec *a = &c->args[k];
        in->args[k] = a->value;
        if (a->value.kind == TAPER_ARG_TENSOR) in->args[k].t = in->given[a->first];
        if (a->value.kind == TAPER_ARG_TENSORS) {
            in->args[k].ts = &in->given[a->first];
            in->args[k].count = a->count;
        }
        if (a->value.kind == TAPER_ARG_DEVICE && (s->meta || s->device.type == TAPER_CUDA))
            in->args[k].device = s->meta ? (taper_device){TAPER_META, 0} : s->device;
        if (a->seeded) {
            TAPER_TRY_GOTO(taper_generator_new_on(&in->generator, (uint64_t)a->value.i, s->device));
            in->args[k].kind = TAPER_ARG_GENERATOR;
            in->args[k].g = in->generator;
        }
        /* A factory goes where the run is. */
        if (c->schema->args[k].kind == TAPER_ARG_DEVICE && a->value.kind == TAPER_ARG_NONE && !c->ntensors && (s->meta || s->device.type == TAPER_CUDA)) {
            in->args[k].kind = TAPER_ARG_DEVICE;
            in->args[k].device = s->meta ? (taper_device){TAPER_META, 0} : s->device;
        }
    }
out:
    if (st != TAPER_OK) inputs_free(in);
    return st;
}

int inputs_touched(const inputs *in, uint32_t modifies) {
    for (int i = 0; i < in->c->ntensors; i++) {
        taper_tensor *m = in->memory[i];
        if (!m) continue;
        bool written = spec_is_written(in->c, i);
        for (int k = 0; k < in->c->nargs; k++)
            if ((modifies >> k & 1) && i >= in->c->args[k].first && i < in->c->args[k].first + in->c->args[k].count) written = true;
        size_t e = taper_dtype_size((taper_dtype)m->dtype), n = (size_t)m->numel * e;
        char *now = malloc(n), *before = in->before[i];
        bool same = taper_tensor_read(m, now, n) == TAPER_OK;
        if (written) { /* only the window */
            const taper_tensor *t = in->leaf[i];
            for (int64_t k = 0; k < t->numel; k++) {
                int64_t rest = k, at = t->offset;
                for (int d = t->ndim - 1; d >= 0; d--) {
                    at += rest % t->shape[d] * t->strides[d];
                    rest /= t->shape[d];
                }
                memcpy(now + at * (int64_t)e, before + at * (int64_t)e, e);
            }
        }
        same = same && !memcmp(now, before, n);
        free(now);
        if (!same) return i;
    }
    return -1;
}

void inputs_free(inputs *in) {
    for (int i = 0; i < MAX_TENSORS; i++) {
        taper_tensor_release(in->given[i]);
        taper_tensor_release(in->leaf[i]);
        taper_tensor_release(in->memory[i]);
        free(in->before[i]);
    }
    taper_generator_release(in->generator);
    memset(in, 0, sizeof *in);
}

void inputs_seed(const inputs *in) {
    taper_manual_seed(1234);
    for (int k = 0; k < in->c->nargs; k++)
        if (in->c->args[k].seeded) taper_generator_seed(in->generator, (uint64_t)in->c->args[k].value.i);
}

bool case_is_random(const test_case *c) {
    bool random = c->row->op->random;
    for (int k = 0; k < c->nargs; k++) random = random || c->schema->args[k].kind == TAPER_ARG_GENERATOR;
    return random || c->sample->unspecified;
}

taper_status run_op(const taper_op_row *row, const inputs *in, results *r) {
    memset(r, 0, sizeof *r);
    inputs_seed(in);
    TAPER_TRY(taper_op_call(row, in->args, in->c->nargs, r->t));
    while (r->count < TAPER_MAX_OUTS && r->t[r->count]) r->count++;
    return TAPER_OK;
}

void tensors_free(taper_tensor **t, int n) {
    for (int i = 0; i < n; i++) {
        taper_tensor_release(t[i]);
        t[i] = NULL;
    }
}

void results_free(results *r) { tensors_free(r->t, TAPER_MAX_OUTS); }

taper_tensor *random_like(const taper_tensor *t, taper_dtype rounded, uint64_t seed) {
    taper_tensor *host = NULL, *out = NULL;
    size_t e = taper_dtype_size((taper_dtype)t->dtype);
    char *bytes = malloc((size_t)t->numel * e + 1);
    for (int64_t i = 0; i < t->numel; i++) dtype_store(bytes + i * (int64_t)e, (taper_dtype)t->dtype, rounded, random_normal(&seed));
    if (taper_tensor_new(&host, (taper_dtype)t->dtype, t->device, t->ndim, t->shape) == TAPER_OK &&
        taper_tensor_write(host, bytes, (size_t)t->numel * e) == TAPER_OK)
        out = taper_tensor_retain(host);
    taper_tensor_release(host);
    free(bytes);
    return out;
}

taper_status run_grad(const inputs *in, const results *r, taper_dtype rounded, bool create_graph, taper_tensor **weights, taper_tensor **d) {
    taper_tensor *roots[TAPER_MAX_OUTS], *leaf[MAX_TENSORS], *got[MAX_TENSORS] = {NULL};
    int nroots = 0, nleaf = 0, which[MAX_TENSORS];
    for (int i = 0; i < r->count; i++) {
        if (!taper_requires_grad(r->t[i])) continue;
        if (!weights[nroots]) weights[nroots] = random_like(r->t[i], rounded, 77 + (uint64_t)i);
        if (!weights[nroots]) return TAPER_MEMORY;
        roots[nroots++] = r->t[i];
    }
    for (int i = 0; i < in->c->ntensors; i++)
        if (in->leaf[i] && taper_requires_grad(in->leaf[i])) {
            which[nleaf] = i;
            leaf[nleaf++] = in->leaf[i];
        }
    if (!nroots || !nleaf) return TAPER_OK;
    taper_status st = taper_gradients(got, roots, weights, nroots, leaf, nleaf, create_graph, create_graph, true);
    for (int i = 0; i < nleaf; i++) d[which[i]] = got[i];
    return st;
}

taper_status run_all_grad(const taper_op_row *row, const inputs *in, taper_dtype rounded, taper_tensor **d) {
    results r;
    taper_tensor *weights[TAPER_MAX_OUTS] = {NULL};
    taper_status st = run_op(row, in, &r);
    if (st == TAPER_OK) st = run_grad(in, &r, rounded, false, weights, d);
    tensors_free(weights, TAPER_MAX_OUTS);
    results_free(&r);
    return st;
}
