/* Turns a finished call into a node: which tensors to keep, what to remember of the others, where gradients go. */
#include <pthread.h>
#include <stdio.h>

#include "autograd/tape.h"

/* A tensor argument or result, as the node keeps it: the tensor, or only its shape. */
typedef struct saved_tensor {
    taper_tensor *t; /* +1; NULL: only the layout below */
    uint32_t version;
    uint8_t dtype, ndim;
    taper_device device;
    bool output, present;
    int at; /* of shape and strides in op_node.sizes */
    int64_t offset;
} saved_tensor;

typedef struct op_node {
    taper_node node;
    const taper_op_row *row;
    int nargs, nslots, list_arg, nlist;
    uint64_t seed, offset;
    taper_arg args[TAPER_MAX_ARGS]; /* numbers; ints point into .sizes; tensors into .saved by .i */
    saved_tensor *saved;            /* nslots of arguments, then nout of results */
    int64_t *sizes;
} op_node;

/* "max_pool2d" -> "MaxPool2DBackward0": made once per row, kept for the life of the process. */
static const char *record_name(const taper_op_row *row) {
    enum { SLOTS = 2048 };
    static struct {
        const taper_op_row *_Atomic row; /* set when text is complete */
        char text[48];
    } names[SLOTS];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (row->op->grad_name) return row->op->grad_name;
    size_t h = ((uintptr_t)row / sizeof *row) % SLOTS;
    const taper_op_row *there;
    while ((there = atomic_load_explicit(&names[h].row, memory_order_acquire)) && there != row) h = (h + 1) % SLOTS;
    if (there) return names[h].text;
    pthread_mutex_lock(&lock);
    while ((there = names[h].row) && there != row) h = (h + 1) % SLOTS; /* another thread may have been here */
    if (!there) {
        char *p = names[h].text;
        bool up = true;
        for (const char *s = row->name; *s && p < names[h].text + 36; s++) {
            if (*s == '_') {
                up = true;
                continue;
            }
            *p++ = (char)(up && *s >= 'a' && *s <= 'z' ? *s - 32 : *s);
            up = *s >= '0' && *s <= '9';
        }
        memcpy(p, "Backward0", 10);
        atomic_store_explicit(&names[h].row, row, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
    return names[h].text;
}

static taper_status op_node_apply(taper_node *n, taper_tensor *const *grads, taper_tensor **dgrads);

static void op_node_drop(taper_node *n) {
    op_node *o = (op_node *)n;
    for (int i = 0; i < o->nslots + n->nout; i++) {
        taper_tensor_release(o->saved[i].t);
        o->saved[i].t = NULL;
    }
}

static const taper_node_class op_node_class = {op_node_apply, op_node_drop, NULL};

static taper_status record_save(op_node *o, saved_tensor *s, const taper_tensor *t, bool keep, bool output, uint32_t age, int *at) {
    if (!t) return TAPER_OK;
    s->present = true;
    s->output = output;
    s->dtype = t->dtype;
    s->ndim = t->ndim;
    s->device = t->device;
    s->offset = t->offset;
    s->at = *at;
    int64_t *sizes = o->sizes + *at;
    for (int d = 0; d < t->ndim; d++) { /* in one loop: as two copies the compiler makes slow string instructions of them */
        sizes[d] = t->shape[d];
        sizes[t->ndim + d] = t->strides[d];
    }
    *at += 2 * t->ndim;
    if (!keep) return TAPER_OK;
    if (TAPER_UNLIKELY(t->inference))
        return TAPER_FAIL(TAPER_RUNTIME, "Inference tensors cannot be saved for backward. To work around you can make a clone to get a normal tensor "
                                         "and use it in autograd.");
    s->version = taper_tensor_version(t) - age;
    if (!output) {
        s->t = taper_tensor_retain((taper_tensor *)t);
        return TAPER_OK;
    }
    return taper__tensor_alias(&s->t, t); /* without history: the result would otherwise own the node that owns it */
}

static const taper_tensor *record_arg(const taper_call *c, int k, int j) {
    return c->args[k].kind == TAPER_ARG_TENSOR ? c->args[k].t : c->args[k].ts[j];
}

taper_status taper__record(taper_call *c) {
    const taper_op *op = c->row->op;
    taper_status st = TAPER_OK;
    int nslots = 0, nsizes = 0;
    uint16_t need = 0;
    for (int k = 0; k < c->nargs; k++) {
        const taper_arg *a = &c->args[k];
        int count = a->kind == TAPER_ARG_TENSOR ? 1 : a->kind == TAPER_ARG_TENSORS ? a->count : 0;
        for (int j = 0; j < count; j++, nslots++) {
            const taper_tensor *t = record_arg(c, k, j);
            if (t) nsizes += 2 * t->ndim;
            if (t && (t->requires_grad || (t->base && t->base->requires_grad))) need |= (uint16_t)(1u << k);
        }
        if (a->kind == TAPER_ARG_INTS) nsizes += a->count;
        if (a->kind == TAPER_ARG_STRING) nsizes += (int)(strlen(a->s) / 8 + 1);
    }
    for (int i = 0; i < c->nout; i++)
        if (c->out[i]) nsizes += 2 * c->out[i]->ndim;
    size_t head = (sizeof(op_node) + 15) & ~(size_t)15, saved = sizeof(saved_tensor) * (size_t)(nslots + c->nout);
    taper_node *n = NULL;
    TAPER_TRY(taper__node_new(&n, head + saved + sizeof(int64_t) * (size_t)nsizes, &op_node_class, record_name(c->row), c->nout, nslots));
    op_node *o = (op_node *)n;
    o->row = c->row;
    o->nargs = c->nargs;
    o->nslots = nslots;
    o->list_arg = -1;
    o->seed = c->seed;
    o->offset = c->offset;
    o->saved = (saved_tensor *)((char *)o + head);
    o->sizes = (int64_t *)((char *)o->saved + saved);
    int slot = 0, at = 0;
    for (int k = 0; k < c->nargs; k++) {
        const taper_arg *a = &c->args[k];
        o->args[k] = *a;
        if (a->kind == TAPER_ARG_INTS) {
            memcpy(o->sizes + at, a->is, sizeof(int64_t) * (size_t)a->count);
            o->args[k].is = o->sizes + at;
            at += a->count;
        } else if (a->kind == TAPER_ARG_STRING) {
            o->args[k].s = strcpy((char *)(o->sizes + at), a->s);
            at += (int)(strlen(a->s) / 8 + 1);
        } else if (a->kind == TAPER_ARG_TENSOR || a->kind == TAPER_ARG_TENSORS) {
            int count = a->kind == TAPER_ARG_TENSOR ? 1 : a->count;
            bool keep = op->saves >> k & 1;
            if (keep && op->saves_when[k] && !(op->saves_when[k] & need)) keep = false;
            if (a->kind == TAPER_ARG_TENSORS) {
                o->list_arg = k;
                o->nlist = count;
            }
            o->args[k].i = slot;
            for (int j = 0; j < count; j++, slot++) {
                taper_tensor *t = (taper_tensor *)record_arg(c, k, j);
                /* In place, the kernel already replaced what the target's memory held. */
                uint32_t age = c->inplace && t && t->storage && t->storage == c->out[0]->storage ? 1 : 0;
                TAPER_TRY_GOTO(record_save(o, &o->saved[slot], t, keep, false, age, &at));
                if (t && taper_dtype_is_float((taper_dtype)t->dtype)) TAPER_TRY_GOTO(taper__gradient_edge(&n->edges[slot], t));
            }
        }
    }
    for (int i = 0; i < c->nout; i++)
        TAPER_TRY_GOTO(record_save(o, &o->saved[nslots + i], c->out[i], op->saves >> (TAPER_MAX_ARGS + i) & 1, true, 0, &at));
    if (c->inplace && !op->relayout) { /* a new layout changes no element: the base of a view has no news */
        if (taper_dtype_is_float((taper_dtype)c->out[0]->dtype)) TAPER_TRY_GOTO(taper__rebase_history(c->out[0], n));
    } else {
        for (int i = 0; i < c->nout; i++) {
            taper_tensor *t = c->out[i];
            taper_autograd *a;
            if (!t || ((c->same | c->nondiff) >> i & 1) || !taper_dtype_is_float((taper_dtype)t->dtype)) continue;
            TAPER_TRY_GOTO(taper__autograd_of(&a, t));
            taper__set_history(t, a, n, i);
        }
    }
out:
    taper_node_release(n);
    return st;
}

/* ", which is output 0 of MulBackward0," or nothing for a leaf. */
static taper_text record_maker(const op_node *o, int i) {
    taper_text text;
    const saved_tensor *s = &o->saved[i];
    const taper_autograd *a = s->t->grad;
    const taper_node *maker = s->output ? &o->node : a ? a->node : NULL;
    text.s[0] = 0;
    if (maker) snprintf(text.s, sizeof text.s, ", which is output %d of %s,", s->output ? i - o->nslots : a->nr, maker->name);
    return text;
}

/* The saved tensor, or one with its shape and no data; owned by the scope. */
static taper_status record_unpack(op_node *o, int i, taper_scope *scope, taper_tensor **out) {
    saved_tensor *s = &o->saved[i];
    *out = NULL;
    if (!s->present) return TAPER_OK;
    taper_tensor *t = NULL;
    const int64_t *shape = o->sizes + s->at, *strides = shape + s->ndim;
    if (s->t && taper_tensor_version(s->t) != s->version)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "one of the variables needed for gradient computation has been modified by an inplace operation: "
                          "[torch.%s%sTensor %s]%s is at version %u; expected version %u instead. Hint: %s",
                          s->device.type == TAPER_CUDA ? "cuda." : "", taper_dtype_typename((taper_dtype)s->dtype),
                          taper__shape_text(s->ndim, shape).s, record_maker(o, i).s, taper_tensor_version(s->t), s->version,
                          taper__mode.anomaly ? "the backtrace further above shows the operation that failed to compute its gradient."
                                              : "enable anomaly detection to find the operation that failed to compute its gradient, "
                                                "with torch.autograd.set_detect_anomaly(True).");
    if (s->t && !s->output) {
        *out = taper_scope_own(scope, taper_tensor_retain(s->t));
        return scope->status;
    }
    if (s->t) {
        TAPER_TRY(taper__tensor_alias(&t, s->t));
        *out = taper_scope_own(scope, t);
        if (!taper__mode.no_grad && *out) { /* create_graph: the result's own history */
            taper_autograd *a;
            TAPER_TRY(taper__autograd_of(&a, t));
            taper__set_history(t, a, &o->node, i - o->nslots);
        }
        return scope->status;
    }
    TAPER_TRY(taper__tensor_shell(&t, (taper_dtype)s->dtype, s->device));
    taper__tensor_set_layout(t, s->ndim, shape, strides);
    t->offset = s->offset;
    *out = taper_scope_own(scope, t);
    return scope->status;
}

/* A gradient has the shape and the dtype of its argument. */
static taper_status record_fit(const op_node *o, int slot, taper_scope *scope, taper_tensor **d) {
    const saved_tensor *s = &o->saved[slot];
    const int64_t *shape = o->sizes + s->at;
    if (!*d) return TAPER_OK;
    if (TAPER_UNLIKELY((*d)->ndim != s->ndim || memcmp((*d)->shape, shape, sizeof *shape * s->ndim)))
        return TAPER_FAIL(TAPER_RUNTIME, "Function %s returned an invalid gradient at index %d - got %s but expected shape compatible with %s",
                          o->node.name, slot, TAPER_SHAPE(*d), taper__shape_text(s->ndim, shape).s);
    if (TAPER_UNLIKELY((*d)->dtype != s->dtype)) *d = tx_to(scope, *d, NULL, (taper_dtype)s->dtype, false, false);
    return scope->status;
}

static taper_status op_node_apply(taper_node *n, taper_tensor *const *grads, taper_tensor **dgrads) {
    op_node *o = (op_node *)n;
    const taper_op *op = o->row->op;
    if (n->dropped)
        return TAPER_FAIL(TAPER_RUNTIME, "Trying to backward through the graph a second time (or directly access saved tensors after they "
                                         "have already been freed). Saved intermediate values of the graph are freed when you call "
                                         ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
                                         "graph a second time or if you need to access saved tensors after calling backward.");
    if (!op->vjp)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: the operator has no gradient (its vjp slot is empty)", o->row->name);
    taper_status st = TAPER_OK;
    taper_scope scope = TAPER_SCOPE;
    taper_tensor *list[64], **dlist = list, *ddlist[64], **dd = ddlist;
    bool needs[64], *need_list = needs;
    taper_vjp v;
    memset(&v, 0, sizeof v);
    v.row = o->row;
    v.scope = &scope;
    v.nargs = o->nargs;
    v.nout = n->nout;
    v.seed = o->seed;
    v.offset = o->offset;
    if (o->nlist > 64) {
        dlist = taper__alloc(((2 * sizeof(taper_tensor *)) + 1) * (size_t)o->nlist);
        if (!dlist) return TAPER_FAIL(TAPER_MEMORY, "%s: no memory for %d gradients", n->name, o->nlist);
        dd = dlist + o->nlist;
        need_list = (bool *)(dd + o->nlist);
    }
    for (int i = 0; i < n->nout; i++) {
        v.grad[i] = grads[i];
        TAPER_TRY_GOTO(record_unpack(o, o->nslots + i, &scope, &v.out[i]));
    }
    for (int k = 0; k < o->nargs; k++) {
        v.args[k] = o->args[k];
        if (o->args[k].kind == TAPER_ARG_TENSOR) {
            int slot = (int)o->args[k].i;
            v.need[k] = n->edges[slot].node != NULL;
            TAPER_TRY_GOTO(record_unpack(o, slot, &scope, &v.args[k].t));
        } else if (o->args[k].kind == TAPER_ARG_TENSORS) {
            int slot = (int)o->args[k].i;
            for (int j = 0; j < o->nlist; j++) {
                need_list[j] = n->edges[slot + j].node != NULL;
                v.need[k] = v.need[k] || need_list[j];
                dd[j] = NULL;
                TAPER_TRY_GOTO(record_unpack(o, slot + j, &scope, &dlist[j]));
            }
            v.args[k].ts = dlist;
            v.nlist = o->nlist;
            v.need_list = need_list;
            v.dlist = dd;
        }
    }
    TAPER_TRY_GOTO(op->vjp(&v));
    TAPER_TRY_GOTO(scope.status);
    for (int k = 0; k < o->nargs; k++)
        if (o->args[k].kind == TAPER_ARG_TENSOR && v.need[k]) TAPER_TRY_GOTO(record_fit(o, (int)o->args[k].i, &scope, &v.d[k]));
    for (int j = 0; j < o->nlist; j++)
        if (need_list[j]) TAPER_TRY_GOTO(record_fit(o, (int)o->args[o->list_arg].i + j, &scope, &dd[j]));
    for (int k = 0; k < o->nargs; k++)
        if (o->args[k].kind == TAPER_ARG_TENSOR && v.need[k]) dgrads[o->args[k].i] = taper_tensor_retain(v.d[k]);
    for (int j = 0; j < o->nlist; j++)
        if (need_list[j]) dgrads[o->args[o->list_arg].i + j] = taper_tensor_retain(dd[j]);
out:
    taper_scope_end(&scope);
    if (dlist != list) taper__free(dlist);
    return st;
}
