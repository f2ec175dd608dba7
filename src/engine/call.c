/* One call, top to bottom: autocast, infer, memory for the results, kernel, versions, record. */
#include <stdio.h>

#include <taper/autograd.h>
#include <taper/schema.h>

#include "engine/engine.h"

_Thread_local taper_mode taper__mode;

/* Tensors made for one call and dropped at its end: casts, contiguous copies. */
typedef struct call_temps {
    int count;
    taper_tensor *t[2 * TAPER_MAX_ARGS];
} call_temps;

static void temps_release(call_temps *temps) {
    for (int i = 0; i < temps->count; i++) taper_tensor_release(temps->t[i]);
}

static bool call_is_float(const taper_tensor *t) { return t && taper_dtype_is_float((taper_dtype)t->dtype); }

/* Where the call runs: the first tensor decides, except that a 0-dim CPU tensor follows the others. */
static void call_find_device(taper_call *c) {
    c->device = taper_cpu();
    bool found = false;
    for (int k = 0; k < c->nargs; k++) {
        const taper_arg *a = &c->args[k];
        if (a->kind == TAPER_ARG_DEVICE && !found) c->device = a->device;
        int n = a->kind == TAPER_ARG_TENSOR ? 1 : a->kind == TAPER_ARG_TENSORS ? a->count : 0;
        for (int j = 0; j < n; j++) {
            const taper_tensor *t = a->kind == TAPER_ARG_TENSOR ? a->t : a->ts[j];
            if (!t) continue;
            if (!found || (c->device.type == TAPER_CPU && t->device.type != TAPER_CPU)) c->device = t->device;
            found = true;
            if (t->ndim) return;
        }
    }
}

/* A view made before its base got a history has it too. */
static inline bool call_needs_grad(const taper_tensor *t) { return t->requires_grad || (TAPER_UNLIKELY(t->base != NULL) && taper_requires_grad(t)); }

static bool call_arg_needs_grad(const taper_arg *a) {
    if (a->kind == TAPER_ARG_TENSOR) return call_needs_grad(a->t);
    if (a->kind == TAPER_ARG_TENSORS)
        for (int j = 0; j < a->count; j++)
            if (a->ts[j] && call_needs_grad(a->ts[j])) return true;
    return false;
}

static bool call_wants_grad(const taper_call *c) {
    if (taper__mode.no_grad || c->row->gradient == TAPER_GRADIENT_NONDIFF) return false;
    for (int k = 0; k < c->nargs; k++)
        if (call_arg_needs_grad(&c->args[k])) return true;
    return false;
}

/* In place, the kernel overwrites what the gradient may want to read of self: that gets a copy, with the history self has now. */
static taper_status call_keep_original(taper_call *c, const taper_tensor *target, call_temps *temps) {
    const taper_op *op = c->row->op;
    bool keep = (op->saves & TAPER_SAVE_ARG(0)) && c->args[0].kind == TAPER_ARG_TENSOR && c->args[0].t == target;
    if (keep && op->saves_when[0]) {
        keep = false;
        for (int k = 0; k < c->nargs; k++) keep = keep || ((op->saves_when[0] >> k & 1) && call_arg_needs_grad(&c->args[k]));
    }
    if (!keep) return TAPER_OK;
    taper_tensor *copy = NULL;
    TAPER_TRY(taper__copy_with_history(&copy, c->args[0].t));
    temps->t[temps->count++] = copy;
    c->args[0].t = copy;
    return TAPER_OK;
}

static taper_status call_cast(taper_call *c, call_temps *temps, taper_dtype to, bool lowp_only) {
    for (int k = 0; k < c->nargs; k++) {
        taper_arg *a = &c->args[k];
        if (a->kind != TAPER_ARG_TENSOR || !call_is_float(a->t) || a->t->dtype == to || a->t->dtype == TAPER_F64) continue;
        if (lowp_only && a->t->dtype != TAPER_F16 && a->t->dtype != TAPER_BF16) continue;
        if (a->t->device.type != c->device.type) continue;
        taper_tensor *t = NULL;
        TAPER_TRY(taper__autocast_cast(&t, a->t, to));
        temps->t[temps->count++] = t;
        a->t = t;
    }
    return TAPER_OK;
}

static taper_status call_autocast(taper_call *c, call_temps *temps) {
    int type = c->device.type;
    if (TAPER_LIKELY(!taper__mode.autocast[type]) || c->row->autocast == TAPER_AUTOCAST_NONE) return TAPER_OK;
    taper_dtype low = taper__mode.autocast_dtype[type] ? (taper_dtype)taper__mode.autocast_dtype[type]
                      : type == TAPER_CUDA            ? TAPER_F16
                                                      : TAPER_BF16;
    if (c->row->autocast == TAPER_AUTOCAST_LOWP) return call_cast(c, temps, low, false);
    if (c->row->autocast == TAPER_AUTOCAST_FP32) return call_cast(c, temps, TAPER_F32, true);
    int widest = -1;
    for (int k = 0; k < c->nargs; k++)
        if (c->args[k].kind == TAPER_ARG_TENSOR && call_is_float(c->args[k].t)) {
            int d = c->args[k].t->dtype;
            widest = widest < 0 ? d : (int)taper_dtype_promote((taper_dtype)widest, (taper_dtype)d);
        }
    return widest < 0 ? TAPER_OK : call_cast(c, temps, (taper_dtype)widest, false);
}

static taper_status call_allocate(taper_call *c) {
    if (c->device.type == TAPER_META) return TAPER_OK;
    for (int i = 0; i < c->nout; i++) {
        taper_tensor *t = c->out[i];
        if (!t || ((c->views | c->same) >> i & 1) || t->storage) continue;
        TAPER_TRY(taper__storage_new(&t->storage, (size_t)t->numel * taper_dtype_size((taper_dtype)t->dtype), t->device,
                                     c->row->name));
        t->device = t->storage->device;
    }
    return TAPER_OK;
}

/* The engine's part of `contiguous` and `upcast`: kernels then see plain arrays of a dtype they know. */
static taper_status call_prepare(taper_call *c, call_temps *temps, bool upcast) {
    for (int k = 0; k < c->nargs; k++) {
        taper_arg *a = &c->args[k];
        if (a->kind != TAPER_ARG_TENSOR) continue;
        taper_tensor *t = NULL;
        bool low = upcast && (a->t->dtype == TAPER_F16 || a->t->dtype == TAPER_BF16);
        if (!low && (a->t->contiguous || !(c->row->op->contiguous >> k & 1))) continue;
        TAPER_TRY(taper__tensor_empty(&t, low ? TAPER_F32 : (taper_dtype)a->t->dtype, a->t->device, a->t->ndim, a->t->shape,
                                      c->row->name));
        temps->t[temps->count++] = t;
        TAPER_TRY(taper__copy_data(t, a->t));
        a->t = t;
    }
    return TAPER_OK;
}

static taper_status call_choose(const taper_call *c, const taper_kernel **out) {
    char reasons[512];
    int at = 0;
    reasons[0] = 0;
    for (const taper_kernel *k = c->row->op->kernels; k && k->run; k++) {
        const char *why = NULL;
        if (k->device != c->device.type) continue;
        if (!k->supports || k->supports(c, &why)) {
            *out = k;
            return TAPER_OK;
        }
        taper__log("dispatch", "%s: %s declines: %s", c->row->name, k->name, why ? why : "no reason given");
        at += snprintf(reasons + at, sizeof reasons - (size_t)at, "; %s: %s", k->name, why ? why : "no reason given");
        if (at >= (int)sizeof reasons) at = (int)sizeof reasons - 1;
    }
    const taper_tensor *t = c->out[0];
    return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: no kernel for %s on %s%s", c->row->name, t ? TAPER_TEXT(t) : "these arguments",
                      taper__device_text(c->device).s, reasons);
}

static taper_status call_kernel(taper_call *c) {
    const taper_op *op = c->row->op;
    bool compute = c->nout == 0; /* nothing to give back: it writes into its arguments */
    for (int i = 0; i < c->nout; i++)
        if (c->out[i] && !((c->views | c->same) >> i & 1)) compute = true;
    if (!compute || c->device.type == TAPER_META) return TAPER_OK;
    const taper_kernel *kernel = NULL;
    TAPER_TRY(call_choose(c, &kernel));
    if (TAPER_LIKELY(!op->contiguous && !op->upcast && !op->workspace)) return kernel->run(c);

    taper_status st = TAPER_OK;
    call_temps temps;
    temps.count = 0; /* the rest is not looked at: clearing it would cost as much as a small kernel */
    taper_tensor *low[TAPER_MAX_OUTS] = {NULL};
    taper_arg args[TAPER_MAX_ARGS];
    memcpy(args, c->args, sizeof args);
    size_t workspace = 0;
    bool upcast = op->upcast && c->device.type == TAPER_CPU;
    TAPER_TRY_GOTO(call_prepare(c, &temps, upcast));
    for (int i = 0; upcast && i < c->nout; i++) {
        taper_tensor *t = c->out[i];
        if (!t || (t->dtype != TAPER_F16 && t->dtype != TAPER_BF16)) continue;
        taper_tensor *wide = NULL;
        TAPER_TRY_GOTO(taper__tensor_empty(&wide, TAPER_F32, t->device, t->ndim, t->shape, c->row->name));
        low[i] = t;
        c->out[i] = wide;
    }
    if (op->workspace) {
        workspace = op->workspace(c);
        if (workspace) TAPER_TRY_GOTO(taper__memory_alloc(&c->workspace, workspace, c->device, c->row->name));
    }
    TAPER_TRY_GOTO(kernel->run(c));
    for (int k = 0; k < c->nargs; k++) /* running statistics went to a copy: bring them home */
        if ((c->modifies >> k & 1) && c->args[k].t != args[k].t) TAPER_TRY_GOTO(taper__copy_data(args[k].t, c->args[k].t));
    for (int i = 0; i < c->nout; i++)
        if (low[i]) TAPER_TRY_GOTO(taper__copy_data(low[i], c->out[i]));
out:
    for (int i = 0; i < c->nout; i++)
        if (low[i]) {
            taper_tensor_release(c->out[i]);
            c->out[i] = low[i];
        }
    if (c->workspace) taper__memory_free(c->workspace, workspace, c->device);
    c->workspace = NULL;
    memcpy(c->args, args, sizeof args);
    temps_release(&temps);
    return st;
}

static taper_status call_check_target(const taper_call *c, const taper_tensor *target, const char *what) {
    const taper_tensor *r = c->out[0];
    if (taper_dtype_kind((taper_dtype)r->dtype) > taper_dtype_kind((taper_dtype)target->dtype))
        return TAPER_FAIL(TAPER_RUNTIME, "%s%s: result type %s can't be cast to the desired output type %s", c->row->name, what,
                          taper_dtype_typename((taper_dtype)r->dtype), taper_dtype_typename((taper_dtype)target->dtype));
    if (!taper_device_equal(r->device, target->device))
        return TAPER_FAIL(TAPER_RUNTIME, "%s%s: Expected all tensors to be on the same device, but the result is on %s and the output on %s",
                          c->row->name, what, taper__device_text(r->device).s, taper__device_text(target->device).s);
    return TAPER_OK;
}

/* True when the kernel may write straight over the target: same dtype and no argument seen through another window. */
static bool call_can_write(const taper_call *c, const taper_tensor *target, bool inplace) {
    if (c->out[0]->dtype != target->dtype || taper__has_internal_overlap(target)) return false;
    bool over_self = inplace && c->row->op->over_self;
    if (!c->row->op->pointwise && !over_self && (inplace || !target->contiguous)) return false;
    for (int k = 0; k < c->nargs; k++) {
        const taper_arg *a = &c->args[k];
        if (a->kind != TAPER_ARG_TENSOR && a->kind != TAPER_ARG_TENSORS) continue;
        int n = a->kind == TAPER_ARG_TENSORS ? a->count : 1;
        for (int j = 0; j < n; j++) {
            const taper_tensor *t = a->kind == TAPER_ARG_TENSORS ? a->ts[j] : a->t;
            taper_overlap o = t ? taper__overlap(target, t) : TAPER_OVERLAP_NO;
            if (o == TAPER_OVERLAP_PARTIAL || o == TAPER_OVERLAP_MAYBE) return false;
            if (o == TAPER_OVERLAP_FULL && !c->row->op->pointwise && !(over_self && k == 0)) return false;
        }
    }
    return true;
}

/* The target takes on the shape and strides of the view that infer made; what it was is kept for the gradient. */
static taper_status call_relayout(taper_call *c, taper_tensor *target, call_temps *temps) {
    taper_tensor *view = c->out[0], *was = NULL;
    TAPER_TRY(taper__alias_with_history(&was, target));
    temps->t[temps->count++] = was;
    c->args[0].t = was;
    taper__tensor_set_layout(target, view->ndim, view->shape, view->strides);
    target->offset = view->offset;
    c->views = 0;
    taper_tensor_release(view);
    c->out[0] = taper_tensor_retain(target);
    return TAPER_OK;
}

/* Makes sure that the result fits the target; out= is resized. */
static taper_status call_fit_target(const taper_call *c, taper_tensor *target, bool inplace) {
    TAPER_TRY(call_check_target(c, target, inplace ? "_" : " out="));
    const taper_tensor *r = c->out[0];
    bool same_shape = r->ndim == target->ndim && !memcmp(r->shape, target->shape, sizeof(int64_t) * r->ndim);
    if (!same_shape) {
        if (inplace)
            return TAPER_FAIL(TAPER_RUNTIME, "%s_: output with shape %s doesn't match the broadcast shape %s", c->row->name,
                              TAPER_SHAPE(target), TAPER_SHAPE(r));
        size_t bytes = (size_t)(target->offset + r->numel) * taper_dtype_size((taper_dtype)target->dtype);
        if (target->storage && target->storage->bytes < bytes) TAPER_TRY(taper__storage_resize(target->storage, bytes));
        taper__tensor_set_layout(target, r->ndim, r->shape, NULL);
    }
    if (taper__has_internal_overlap(target))
        return TAPER_FAIL(TAPER_RUNTIME,
                          "%s_: unsupported operation: more than one element of the written-to tensor refers to a single "
                          "memory location. Please clone() the tensor before performing the operation.",
                          c->row->name);
    return TAPER_OK;
}

/* Element by element, writing over a part of what is read has no meaning that one could rely on. */
static taper_status call_refuse_partial(const taper_call *c, const taper_tensor *target) {
    if (!c->row->op->pointwise) return TAPER_OK;
    for (int k = 0; k < c->nargs; k++)
        if (c->args[k].kind == TAPER_ARG_TENSOR && c->args[k].t != target && taper__overlap(target, c->args[k].t) == TAPER_OVERLAP_PARTIAL)
            return TAPER_FAIL(TAPER_RUNTIME, "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
                                             "location. Please clone() the tensor before performing the operation.");
    return TAPER_OK;
}

/* Runs the kernel with its result in `target` (self of an in-place call, or out=). */
static taper_status call_into(taper_call *c, taper_tensor *target, bool inplace) {
    TAPER_TRY(call_fit_target(c, target, inplace));
    TAPER_TRY(call_refuse_partial(c, target));
    bool computed = !((c->views | c->same) & 1); /* a view has nothing to run: its elements are copied */
    c->views &= (uint8_t)~1u;
    c->same &= (uint8_t)~1u;
    if (computed && call_can_write(c, target, inplace)) {
        taper_tensor_release(c->out[0]);
        c->out[0] = taper_tensor_retain(target);
        return call_kernel(c);
    }
    if (computed) {
        TAPER_TRY(call_allocate(c));
        TAPER_TRY(call_kernel(c));
    }
    TAPER_TRY(taper__copy_data(target, c->out[0]));
    taper_tensor_release(c->out[0]);
    c->out[0] = taper_tensor_retain(target);
    return TAPER_OK;
}

static taper_status call_compose(taper_call *c, taper_tensor *target) {
    taper_scope scope = TAPER_SCOPE;
    taper_tensor *same = NULL;
    if (target) TAPER_TRY(taper__check_inplace(c, target, call_wants_grad(c)));
    if (c->inplace && c->args[0].t->requires_grad) /* what the parts save must not be what is written at the end */
        c->args[0].t = tx_clone(&scope, c->args[0].t);
    taper_status st = scope.status;
    if (st == TAPER_OK) st = c->row->op->compose(c, &scope);
    if (st == TAPER_OK) st = scope.status;
    if (st == TAPER_OK && target && c->out[0] != target) {
        TAPER_TRY_GOTO(call_fit_target(c, target, c->inplace));
        TAPER_TRY_GOTO(taper_copy_(&same, target, c->out[0], false));
        taper_tensor_release(c->out[0]);
        c->out[0] = same;
    }
out:
    taper_scope_end(&scope);
    return st;
}

static taper_status call_do(taper_call *c, taper_tensor *target) {
    const taper_op *op = c->row->op;
    taper_status st;
    call_temps temps;
    temps.count = 0;
    call_find_device(c);
    TAPER_TRY_GOTO(call_autocast(c, &temps));
    if (op->compose) {
        st = call_compose(c, target);
        goto out;
    }
    if (TAPER_UNLIKELY(!op->infer)) {
        st = TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: the operator has no implementation", c->row->name);
        goto out;
    }
    bool recording = call_wants_grad(c);
    TAPER_TRY_GOTO(op->infer(c));
    if (target) {
        TAPER_TRY_GOTO(taper__check_inplace(c, target, recording));
        if (TAPER_UNLIKELY(op->relayout)) {
            TAPER_TRY_GOTO(call_relayout(c, target, &temps));
        } else {
            if (recording && c->inplace) TAPER_TRY_GOTO(call_keep_original(c, target, &temps));
            TAPER_TRY_GOTO(call_into(c, target, c->inplace));
        }
        taper__bump_version(target);
    } else {
        TAPER_TRY_GOTO(call_allocate(c));
        TAPER_TRY_GOTO(call_kernel(c));
    }
    for (int k = 0; c->modifies && k < c->nargs; k++)
        if (c->modifies >> k & 1) {
            if (c->args[k].kind == TAPER_ARG_TENSOR) taper__bump_version(c->args[k].t);
            for (int j = 0; c->args[k].kind == TAPER_ARG_TENSORS && j < c->args[k].count; j++) taper__bump_version(c->args[k].ts[j]);
        }
    if (TAPER_UNLIKELY(c->views) && !taper__mode.no_grad) /* results that look into another tensor know which */
        for (int i = 0; i < c->nout; i++)
            if ((c->views >> i & 1) && !c->out[i]->base && c->row->gradient == TAPER_GRADIENT_DIFF) {
                taper_tensor *seen = c->args[0].t;
                c->out[i]->base = taper_tensor_retain(seen->base ? seen->base : seen);
            }
    if (TAPER_UNLIKELY(taper__mode.inference) && !target)
        for (int i = 0; i < c->nout; i++)
            if (c->out[i] && !((c->views | c->same) >> i & 1)) c->out[i]->inference = true;
    if (recording) st = taper__record(c);
out:
    temps_release(&temps);
    return st;
}

static inline taper_status call_run(taper_call *c, taper_tensor *target) {
    if (TAPER_LIKELY(!__atomic_load_n(&taper__profiling, __ATOMIC_RELAXED))) return call_do(c, target);
    call_find_device(c);
    return taper__profile_call(c, target, call_do);
}

/* Bit k: argument k must be a tensor or a list of tensors. From the schema, kept for rows of the table (bit 31: known). */
static uint32_t call_required_slow(const taper_op_row *row) {
    const taper_schema *schema = taper_schema_of(row);
    uint32_t mask = UINT32_C(1) << 31;
    for (int k = 0; schema && k < schema->nargs; k++)
        if (!schema->args[k].optional && !schema->args[k].has_default && (schema->args[k].kind == TAPER_ARG_TENSOR || schema->args[k].kind == TAPER_ARG_TENSORS))
            mask |= UINT32_C(1) << k;
    return mask;
}
static inline uint32_t call_required(const taper_op_row *row) {
    size_t at = (size_t)(row - taper__op_rows);
    if (TAPER_UNLIKELY(at >= taper__op_count)) return call_required_slow(row); /* a caller's own row */
    uint32_t mask = atomic_load_explicit(&taper__op_required[at], memory_order_relaxed);
    if (TAPER_UNLIKELY(!mask)) atomic_store_explicit(&taper__op_required[at], mask = call_required_slow(row), memory_order_relaxed);
    return mask;
}
static taper_status call_missing(const taper_op_row *row, int k) {
    const taper_schema *schema = taper_schema_of(row);
    const char *name = schema ? schema->args[k].name : "?";
    taper_status earlier = taper__error_status(); /* calls in a row without a look at their status: the first fault is the one to tell */
    if (earlier == TAPER_OK) return TAPER_FAIL(TAPER_TYPE, "%s(): argument '%s' (position %d) must be Tensor, not None", row->name, name, k + 1);
    return TAPER_FAIL(earlier, "%s(): argument '%s' (position %d) is NULL, and an earlier call failed: %s", row->name, name, k + 1, taper_error_message());
}

static taper_status call_start(taper_call *c, const taper_op_row *row, const taper_arg *args, int nargs) {
    memset(c, 0, offsetof(taper_call, args));
    memset((char *)c + offsetof(taper_call, out), 0, sizeof *c - offsetof(taper_call, out));
    if (nargs > TAPER_MAX_ARGS) return TAPER_FAIL(TAPER_TYPE, "%s: %d arguments, at most %d", row->name, nargs, TAPER_MAX_ARGS);
    c->row = row;
    c->nargs = nargs;
    uint32_t required = call_required(row);
    memcpy(c->args, args, sizeof *args * (size_t)nargs);
    for (int k = 0; k < nargs; k++) {
        if (TAPER_UNLIKELY(args[k].kind == TAPER_ARG_NONE) && required >> k & 1) return call_missing(row, k);
        if (args[k].kind == TAPER_ARG_DEVICE && args[k].device.type == TAPER_CUDA && args[k].device.index < 0) { /* "cuda": the current one, from here on */
            int index = -1;
            TAPER_TRY(taper_cuda_current_device(&index));
            c->args[k].device.index = (int8_t)index;
        }
    }
    return TAPER_OK;
}

static void call_drop(taper_call *c) {
    for (int i = 0; i < c->list_count; i++) taper_tensor_release(c->list[i]);
    taper__free(c->list);
    for (int i = 0; i < TAPER_MAX_OUTS; i++) taper_tensor_release(c->out[i]);
}

taper_status taper_op_call(const taper_op_row *row, const taper_arg *args, int nargs, taper_tensor **out) {
    taper_call c;
    TAPER_TRY(call_start(&c, row, args, nargs));
    c.inplace = row->op->mutates;
    taper_status st = call_run(&c, row->op->mutates ? args[0].t : NULL);
    if (TAPER_UNLIKELY(st != TAPER_OK)) {
        call_drop(&c);
        return st;
    }
    if (TAPER_UNLIKELY(c.list != NULL)) {
        if (c.list_count > TAPER_MAX_OUTS) {
            st = TAPER_FAIL(TAPER_VALUE, "%s: %d results; taper_op_call_list gives more than %d", row->name, c.list_count, TAPER_MAX_OUTS);
            call_drop(&c);
            return st;
        }
        for (int i = 0; i < c.list_count; i++) out[i] = c.list[i];
        taper__free(c.list);
        return TAPER_OK;
    }
    for (int i = 0; i < c.nout; i++) out[i] = c.out[i];
    return TAPER_OK;
}

taper_status taper_op_call_list(const taper_op_row *row, const taper_arg *args, int nargs, taper_tensor ***list, int *count) {
    taper_call c;
    TAPER_TRY(call_start(&c, row, args, nargs));
    taper_status st = call_run(&c, NULL);
    if (st == TAPER_OK && !c.list) { /* few results, from infer */
        st = taper__out_list(&c, c.nout);
        for (int i = 0; st == TAPER_OK && i < c.nout; i++) {
            c.list[i] = c.out[i];
            c.out[i] = NULL;
        }
    }
    if (st != TAPER_OK) {
        call_drop(&c);
        return st;
    }
    *list = c.list;
    *count = c.list_count;
    return TAPER_OK;
}

void taper_op_list_free(taper_tensor **list) { taper__free(list); }

taper_status taper_op_call_inplace(const taper_op_row *row, const taper_arg *args, int nargs) {
    taper_call c;
    TAPER_TRY(call_start(&c, row, args, nargs));
    if (args[0].kind != TAPER_ARG_TENSOR) return TAPER_FAIL(TAPER_TYPE, "%s_: the first argument must be a tensor", row->name);
    c.inplace = true;
    taper_status st = call_run(&c, args[0].t);
    call_drop(&c);
    return st;
}

taper_status taper_op_call_out(const taper_op_row *row, const taper_arg *args, int nargs, taper_tensor *target) {
    taper_call c;
    TAPER_TRY(call_start(&c, row, args, nargs));
    c.out_given = target;
    taper_status st = call_run(&c, target);
    call_drop(&c);
    return st;
}
