/* Life of nodes: creation, iterative release of long chains, edges, and the per-tensor part. */
#include <stdlib.h>

#include "autograd/tape.h"

static _Atomic uint64_t node_clock = 1;
static char *(*node_where)(void);

void taper_set_trace_callback(char *(*where)(void)) { node_where = where; }

taper_status taper__node_new(taper_node **out, size_t bytes, const taper_node_class *class_, const char *name, int nout, int nedges) {
    size_t at = (bytes + 15) & ~(size_t)15, total = at + sizeof(taper_edge) * (size_t)nedges;
    taper_node *n = taper__cpu_alloc(total);
    if (!n) return TAPER_FAIL(TAPER_MEMORY, "autograd: no memory for a node of %zu bytes", total);
    memset(n, 0, total);
    atomic_init(&n->refs, 1);
    n->class_ = class_;
    n->name = name;
    n->nout = nout;
    n->nedges = nedges;
    n->bytes = total;
    n->edges = (taper_edge *)((char *)n + at);
    n->seq = atomic_fetch_add_explicit(&node_clock, 1, memory_order_relaxed);
    if (TAPER_UNLIKELY(taper__mode.anomaly && node_where)) n->trace = node_where();
    *out = n;
    return TAPER_OK;
}

taper_node *taper_node_retain(taper_node *n) {
    if (n) atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
    return n;
}

static void hooks_free(taper_hook *h) {
    while (h) {
        taper_hook *next = h->next;
        if (h->release) h->release(h->ctx);
        taper__free(h);
        h = next;
    }
}

taper_status taper_register_node_hook(taper_node *n, bool before, taper_node_hook hook, void (*release)(void *), void *ctx, int64_t *id) {
    taper_hook *h = taper__alloc_zero(sizeof *h), **list = &n->hooks;
    if (!h) return TAPER_FAIL(TAPER_MEMORY, "register_hook: no memory");
    *h = (taper_hook){.all = hook, .release = release, .ctx = ctx, .nr = before ? TAPER_HOOK_BEFORE : TAPER_HOOK_AFTER};
    *id = h->id = (int64_t)atomic_fetch_add_explicit(&node_clock, 1, memory_order_relaxed);
    while (*list && !(*list)->retain_grad) list = &(*list)->next;
    h->next = *list;
    *list = h;
    return TAPER_OK;
}

void taper_remove_node_hook(taper_node *n, int64_t id) {
    for (taper_hook **p = &n->hooks; *p; p = &(*p)->next) {
        taper_hook *h = *p;
        if (!h->all || h->id != id) continue;
        *p = h->next;
        if (h->release) h->release(h->ctx);
        taper__free(h);
        return;
    }
}

taper_status taper__run_node_hooks(taper_node *n, int when, taper_tensor **grads, int ngrads, taper_tensor *const *outputs, int noutputs) {
    for (taper_hook *h = n->hooks; h;) {
        taper_hook *next = h->next; /* a hook may remove itself */
        if (h->nr == when) TAPER_TRY(h->all(h->ctx, grads, ngrads, outputs, noutputs));
        h = next;
    }
    return TAPER_OK;
}

/* A chain of a hundred thousand nodes must not recurse: nodes that die while one is being freed wait in a list. */
void taper_node_release(taper_node *n) {
    static _Thread_local taper_node *waiting;
    static _Thread_local bool draining;
    if (!n || atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1) return;
    n->next = waiting;
    waiting = n;
    if (draining) return;
    draining = true;
    while (waiting) {
        n = waiting;
        waiting = n->next;
        if (!n->dropped && n->class_->drop) n->class_->drop(n);
        if (n->class_->free) n->class_->free(n);
        for (int i = 0; i < n->nedges; i++) taper_node_release(n->edges[i].node);
        hooks_free(n->hooks);
        free(n->trace);
        taper__cpu_free(n, n->bytes);
    }
    draining = false;
}

taper_status taper__autograd_of(taper_autograd **out, taper_tensor *t) {
    if (!t->grad) {
        taper_autograd *a = taper__cpu_alloc(sizeof *a);
        if (!a) return TAPER_FAIL(TAPER_MEMORY, "autograd: no memory for the gradient part of %s", TAPER_TEXT(t));
        memset(a, 0, sizeof *a);
        t->grad = a;
    }
    *out = t->grad;
    return TAPER_OK;
}

void taper__set_history(taper_tensor *t, taper_autograd *a, taper_node *n, int nr) {
    taper_node_retain(n);
    taper_node_release(a->node);
    a->node = n;
    a->nr = nr;
    a->view_version = taper_tensor_version(t);
    t->requires_grad = true;
}


void taper__autograd_free(taper_tensor *t) {
    taper_autograd *a = t->grad;
    if (!a) return;
    t->grad = NULL;
    for (taper_hook **p = a->retains_grad && a->node ? &a->node->hooks : NULL; p && *p;) {
        taper_hook *h = *p; /* the node may outlive this tensor: it must not write to it */
        if (h->ctx == a) {
            *p = h->next;
            taper__free(h);
        } else {
            p = &h->next;
        }
    }
    taper_node_release(a->node);
    taper_tensor_release(a->grad);
    taper_tensor_release(a->copy);
    if (a->copied) taper__storage_release(a->copied);
    hooks_free(a->leaf_hooks);
    taper__cpu_free(a, sizeof *a);
}

/* ---- the leaf's end of the tape ---- */

typedef struct accumulate_node {
    taper_node node;
    taper_tensor *leaf; /* +1: a leaf lives as long as something may still deliver to it */
} accumulate_node;

static taper_status accumulate_apply(taper_node *n, taper_tensor *const *grads, taper_tensor **dgrads) {
    (void)dgrads;
    return taper__accumulate(((accumulate_node *)n)->leaf, grads[0], !taper__mode.no_grad);
}

static void accumulate_drop(taper_node *n) {
    accumulate_node *a = (accumulate_node *)n;
    if (a->leaf->grad) a->leaf->grad->accumulator = NULL;
    taper_tensor_release(a->leaf);
    a->leaf = NULL;
}

static const taper_node_class accumulate_class = {accumulate_apply, accumulate_drop, NULL};

bool taper__node_is_accumulate(const taper_node *n) { return n->class_ == &accumulate_class; }
taper_tensor *taper__accumulate_tensor(const taper_node *n) { return ((const accumulate_node *)n)->leaf; }
taper_tensor *taper_node_variable(const taper_node *n) {
    return taper__node_is_accumulate(n) ? taper__accumulate_tensor(n) : NULL;
}

taper_status taper__gradient_edge(taper_edge *out, taper_tensor *t) {
    taper_autograd *a;
    out->node = NULL;
    out->nr = 0;
    if (t->base) TAPER_TRY(taper__view_refresh(t));
    if (!t->requires_grad) return TAPER_OK;
    TAPER_TRY(taper__autograd_of(&a, t));
    if (a->node) {
        out->node = taper_node_retain(a->node);
        out->nr = a->nr;
        return TAPER_OK;
    }
    if (!a->accumulator) {
        taper_node *n;
        TAPER_TRY(taper__node_new(&n, sizeof(accumulate_node), &accumulate_class, "AccumulateGrad", 1, 0));
        n->seq = 0; /* leaves come last, when every contribution is in */
        ((accumulate_node *)n)->leaf = taper_tensor_retain(t);
        a->accumulator = n;
        out->node = n;
        return TAPER_OK;
    }
    out->node = taper_node_retain(a->accumulator);
    return TAPER_OK;
}

const char *taper_node_name(const taper_node *n) { return n->name; }
int taper_node_inputs(const taper_node *n) { return n->nedges; }
taper_node *taper_node_input(const taper_node *n, int i, int *nr) {
    if (i < 0 || i >= n->nedges) return NULL;
    if (nr) *nr = n->edges[i].nr;
    return n->edges[i].node;
}
