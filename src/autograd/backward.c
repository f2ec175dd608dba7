/* The walk back: nodes in falling order of creation, each when everything above it has delivered. No recursion. */
#include <stdlib.h>

#include "autograd/tape.h"

/* Gradients waiting at one node. */
typedef struct slot {
    taper_node *node; /* +1 */
    taper_tensor **grads; /* node->nout, +1 each */
    uint64_t owned;       /* bit i: grads[i] is ours alone and may be added to in place */
    bool needed;          /* for gradients with respect to given inputs: lies on a way to one */
} slot;

typedef struct walk {
    slot *slots; /* hash table by node */
    size_t size, used;
    taper_node **heap; /* by seq, largest first */
    int64_t heap_count, heap_size;
    bool create_graph;
    bool prune; /* only nodes marked needed run */
} walk;

static size_t walk_hash(const taper_node *n, size_t size) { return (size_t)(((uintptr_t)n >> 4) * 0x9E3779B97F4A7C15u >> 20) & (size - 1); }

static slot *walk_find(walk *w, const taper_node *n) {
    if (!w->size) return NULL;
    for (size_t h = walk_hash(n, w->size);; h = (h + 1) & (w->size - 1)) {
        if (w->slots[h].node == n) return &w->slots[h];
        if (!w->slots[h].node) return NULL;
    }
}

static taper_status walk_grow(walk *w) {
    size_t size = w->size ? 2 * w->size : 256;
    slot *slots = taper__alloc_zero(size * sizeof *slots);
    if (!slots) return TAPER_FAIL(TAPER_MEMORY, "backward: no memory for %zu nodes", size);
    for (size_t i = 0; i < w->size; i++) {
        if (!w->slots[i].node) continue;
        size_t h = walk_hash(w->slots[i].node, size);
        while (slots[h].node) h = (h + 1) & (size - 1);
        slots[h] = w->slots[i];
    }
    taper__free(w->slots);
    w->slots = slots;
    w->size = size;
    return TAPER_OK;
}

/* Slots are never taken out during a walk, only emptied, so open addressing stays simple. */
static taper_status walk_slot(walk *w, taper_node *n, slot **out, bool *fresh) {
    if (4 * (w->used + 1) > 3 * w->size) TAPER_TRY(walk_grow(w));
    size_t h = walk_hash(n, w->size);
    while (w->slots[h].node && w->slots[h].node != n) h = (h + 1) & (w->size - 1);
    *fresh = !w->slots[h].node;
    if (*fresh) {
        w->slots[h].node = taper_node_retain(n);
        w->used++;
    }
    *out = &w->slots[h];
    return TAPER_OK;
}

static taper_status heap_push(walk *w, taper_node *n) {
    if (w->heap_count == w->heap_size) {
        int64_t size = w->heap_size ? 2 * w->heap_size : 64;
        taper_node **heap = taper__realloc(w->heap, sizeof *heap * (size_t)size);
        if (!heap) return TAPER_FAIL(TAPER_MEMORY, "backward: no memory for %lld waiting nodes", (long long)size);
        w->heap = heap;
        w->heap_size = size;
    }
    int64_t i = w->heap_count++;
    while (i > 0 && w->heap[(i - 1) / 2]->seq < n->seq) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = n;
    return TAPER_OK;
}

static taper_node *heap_pop(walk *w) {
    taper_node *top = w->heap[0], *n = w->heap[--w->heap_count];
    int64_t i = 0;
    for (;;) {
        int64_t k = 2 * i + 1;
        if (k >= w->heap_count) break;
        if (k + 1 < w->heap_count && w->heap[k + 1]->seq > w->heap[k]->seq) k++;
        if (w->heap[k]->seq <= n->seq) break;
        w->heap[i] = w->heap[k];
        i = k;
    }
    if (w->heap_count) w->heap[i] = n;
    return top;
}

/* Adds grad (borrowed) to what waits at the edge. */
static taper_status walk_deliver(walk *w, taper_edge e, taper_tensor *grad) {
    slot *s;
    bool fresh;
    if (w->prune) {
        slot *known = walk_find(w, e.node);
        if (!known || !known->needed) return TAPER_OK;
    }
    TAPER_TRY(walk_slot(w, e.node, &s, &fresh));
    if (!s->grads) {
        s->grads = taper__alloc_zero(sizeof *s->grads * (size_t)e.node->nout);
        if (!s->grads) return TAPER_FAIL(TAPER_MEMORY, "backward: no memory for the gradients of %s", e.node->name);
        TAPER_TRY(heap_push(w, e.node));
    }
    taper_tensor *have = s->grads[e.nr];
    if (!have) {
        s->grads[e.nr] = taper_tensor_retain(grad);
        return TAPER_OK;
    }
    if (!w->create_graph && e.nr < 64 && (s->owned >> e.nr & 1)) return taper_add_(have, grad, taper_int(1));
    taper_tensor *sum = NULL;
    TAPER_TRY(taper_add(&sum, have, grad, taper_int(1)));
    taper_tensor_release(have);
    s->grads[e.nr] = sum;
    if (e.nr < 64) s->owned |= (uint64_t)1 << e.nr;
    return TAPER_OK;
}

taper_status taper__run_hooks(taper_hook *hooks, int nr, taper_tensor **grad) {
    for (taper_hook *h = hooks; h;) {
        taper_hook *next = h->next; /* a hook may remove itself */
        if (h->nr == nr && *grad) {
            taper_tensor *other = NULL;
            TAPER_TRY(h->call(h->ctx, *grad, &other));
            if (other) {
                taper_tensor_release(*grad);
                *grad = other;
            }
        }
        h = next;
    }
    return TAPER_OK;
}

static taper_status walk_check_nan(taper_node *n, taper_tensor *const *dgrads) {
    for (int i = 0; i < n->nedges; i++) {
        if (!dgrads[i] || dgrads[i]->device.type == TAPER_META) continue;
        taper_tensor *total = NULL;
        double value;
        TAPER_TRY(taper_sum(&total, dgrads[i], NULL, 0, false, TAPER_DTYPE_NONE));
        taper_status st = taper_tensor_item_double(total, &value);
        taper_tensor_release(total);
        if (st != TAPER_OK) return st;
        if (value != value)
            return TAPER_FAIL(TAPER_RUNTIME, "Function '%s' returned nan values in its %dth output.%s%s", n->name, i,
                              n->trace ? " The node was made here:\n" : "", n->trace ? n->trace : "");
    }
    return TAPER_OK;
}

static taper_status walk_run_node(walk *w, taper_node *n, taper_tensor **grads, bool keep) {
    enum { FEW = 24 };
    taper_tensor *few[FEW] = {NULL}, **dgrads = few;
    taper_status st = TAPER_OK;
    if (n->nedges > FEW) {
        dgrads = taper__alloc_zero(sizeof *dgrads * (size_t)n->nedges);
        if (!dgrads) return TAPER_FAIL(TAPER_MEMORY, "backward: no memory for %d gradients of %s", n->nedges, n->name);
    }
    st = n->class_->apply(n, grads, dgrads);
    if (st != TAPER_OK && n->trace) {
        taper_fail_within(st, "\n");
        taper_fail_within(st, n->trace);
        taper_fail_within(st, "Error detected in the gradient of a call made here:\n");
    }
    if (st == TAPER_OK && taper__mode.anomaly > 1) st = walk_check_nan(n, dgrads);
    if (st == TAPER_OK && n->hooks) st = taper__run_node_hooks(n, TAPER_HOOK_AFTER, dgrads, n->nedges, grads, n->nout);
    for (int i = 0; i < n->nedges; i++) {
        if (st == TAPER_OK && dgrads[i] && n->edges[i].node) st = walk_deliver(w, n->edges[i], dgrads[i]);
        taper_tensor_release(dgrads[i]);
    }
    if (!keep && !taper__node_is_accumulate(n) && !n->dropped) {
        if (n->class_->drop) n->class_->drop(n);
        n->dropped = true;
    }
    if (dgrads != few) taper__free(dgrads);
    return st;
}

static taper_status walk_loop(walk *w, bool keep, const taper_edge *targets, int ntargets, taper_tensor **out) {
    while (w->heap_count) {
        taper_node *n = heap_pop(w);
        slot *s = walk_find(w, n);
        taper_tensor **grads = s->grads;
        s->grads = NULL;
        s->owned = 0;
        taper_status st = TAPER_OK;
        for (int i = 0; st == TAPER_OK && n->hooks && i < n->nout; i++) st = taper__run_hooks(n->hooks, i, &grads[i]);
        if (st == TAPER_OK && n->hooks) st = taper__run_node_hooks(n, TAPER_HOOK_BEFORE, grads, n->nout, NULL, 0);
        bool target = false;
        for (int k = 0; st == TAPER_OK && k < ntargets; k++)
            if (targets[k].node == n) {
                target = true;
                taper_tensor_release(out[k]);
                out[k] = taper_tensor_retain(grads[targets[k].nr]);
            }
        /* Nothing lies below a leaf; a target node still runs when another target lies below it. */
        bool run = !(target && taper__node_is_accumulate(n));
        if (w->prune && taper__node_is_accumulate(n)) run = false;
        if (st == TAPER_OK && run) st = walk_run_node(w, n, grads, keep);
        for (int i = 0; i < n->nout; i++) taper_tensor_release(grads[i]);
        taper__free(grads);
        if (st != TAPER_OK) return st;
    }
    return TAPER_OK;
}

static int walk_by_seq(const void *a, const void *b) {
    uint64_t x = (*(taper_node *const *)a)->seq, y = (*(taper_node *const *)b)->seq;
    return x < y ? -1 : x > y;
}

/* Nodes seen so far, each once. */
typedef struct node_list {
    taper_node **at;
    int64_t count, size;
} node_list;

static taper_status list_add(walk *w, node_list *l, taper_node *n) {
    slot *s;
    bool fresh;
    if (!n) return TAPER_OK;
    TAPER_TRY(walk_slot(w, n, &s, &fresh));
    if (!fresh) return TAPER_OK;
    if (l->count == l->size) {
        int64_t size = l->size ? 2 * l->size : 256;
        taper_node **at = taper__realloc(l->at, sizeof *at * (size_t)size);
        if (!at) return TAPER_FAIL(TAPER_MEMORY, "backward: no memory for %lld nodes", (long long)size);
        l->at = at;
        l->size = size;
    }
    l->at[l->count++] = n;
    return TAPER_OK;
}

/* Marks the nodes from which a target can be reached, so that nothing else runs. */
static taper_status walk_mark(walk *w, const taper_edge *roots, int nroots, const taper_edge *targets, int ntargets) {
    node_list l = {0};
    taper_status st = TAPER_OK;
    for (int i = 0; i < nroots; i++) TAPER_TRY_GOTO(list_add(w, &l, roots[i].node));
    for (int64_t i = 0; i < l.count; i++)
        for (int e = 0; e < l.at[i]->nedges; e++) TAPER_TRY_GOTO(list_add(w, &l, l.at[i]->edges[e].node));
    if (l.count) qsort(l.at, (size_t)l.count, sizeof *l.at, walk_by_seq);
    for (int64_t i = 0; i < l.count; i++) { /* inputs before users, so one pass is enough */
        taper_node *n = l.at[i];
        bool needed = false;
        for (int k = 0; k < ntargets; k++) needed = needed || targets[k].node == n;
        for (int e = 0; e < n->nedges && !needed; e++) {
            slot *below = n->edges[e].node ? walk_find(w, n->edges[e].node) : NULL;
            needed = below && below->needed;
        }
        walk_find(w, n)->needed = needed;
    }
    w->prune = true;
out:
    taper__free(l.at);
    return st;
}

static taper_status walk_root(taper_tensor *root, taper_tensor *grad, taper_scope *scope, taper_tensor **out) {
    if (!taper_requires_grad(root))
        return TAPER_FAIL(TAPER_RUNTIME, "element 0 of tensors does not require grad and does not have a grad_fn");
    if (grad) {
        if (grad->ndim != root->ndim || memcmp(grad->shape, root->shape, sizeof(int64_t) * root->ndim))
            return TAPER_FAIL(TAPER_RUNTIME, "Mismatch in shape: grad_output[0] has a shape of torch.Size(%s) and output[0] has a shape of "
                                             "torch.Size(%s).", TAPER_SHAPE(grad), TAPER_SHAPE(root));
        *out = grad;
        return TAPER_OK;
    }
    if (root->numel != 1)
        return TAPER_FAIL(TAPER_RUNTIME, "grad can be implicitly created only for scalar outputs, got %s", TAPER_TEXT(root));
    *out = tx_full(scope, root->shape, root->ndim, taper_int(1), (taper_dtype)root->dtype, &root->device);
    return scope->status;
}

static taper_status walk_all(taper_tensor *const *roots, taper_tensor *const *grads, int nroots, const taper_edge *targets,
                             int ntargets, taper_tensor **out, bool keep, bool create_graph) {
    taper_status st = TAPER_OK;
    walk w = {.create_graph = create_graph};
    taper_scope scope = TAPER_SCOPE;
    taper_edge *edges = taper__alloc_zero(sizeof *edges * (size_t)(nroots + 1));
    bool old = taper_set_grad_enabled(create_graph);
    if (!edges) {
        st = TAPER_FAIL(TAPER_MEMORY, "backward: no memory for %d roots", nroots);
        goto out;
    }
    for (int i = 0; i < nroots; i++) {
        taper_tensor *unused;
        TAPER_TRY_GOTO(walk_root(roots[i], grads ? grads[i] : NULL, &scope, &unused));
        TAPER_TRY_GOTO(taper__gradient_edge(&edges[i], roots[i]));
    }
    if (targets) TAPER_TRY_GOTO(walk_mark(&w, edges, nroots, targets, ntargets));
    for (int i = 0; i < nroots; i++) {
        taper_tensor *g = NULL;
        TAPER_TRY_GOTO(walk_root(roots[i], grads ? grads[i] : NULL, &scope, &g));
        TAPER_TRY_GOTO(walk_deliver(&w, edges[i], g));
    }
    TAPER_TRY_GOTO(walk_loop(&w, keep, targets, ntargets, out));
out:
    for (size_t i = 0; i < w.size; i++) {
        slot *s = &w.slots[i];
        if (!s->node) continue;
        for (int k = 0; s->grads && k < s->node->nout; k++) taper_tensor_release(s->grads[k]);
        taper__free(s->grads);
        taper_node_release(s->node);
    }
    taper__free(w.slots);
    taper__free(w.heap);
    for (int i = 0; edges && i < nroots; i++) taper_node_release(edges[i].node);
    taper__free(edges);
    taper_scope_end(&scope);
    taper_set_grad_enabled(old);
    return st;
}

taper_status taper_backward(taper_tensor *const *roots, taper_tensor *const *grads, int nroots, bool retain_graph, bool create_graph) {
    return walk_all(roots, grads, nroots, NULL, 0, NULL, retain_graph || create_graph, create_graph);
}

static taper_status gradients_run(taper_tensor **out, taper_tensor *const *roots, taper_tensor *const *grads, int nroots,
                                  taper_tensor *const *inputs, int ninputs, bool keep, bool create_graph, bool allow_unused) {
    taper_status st = TAPER_OK;
    taper_tensor **found = taper__alloc_zero(sizeof *found * (size_t)(ninputs + 1));
    taper_edge *targets = taper__alloc_zero(sizeof *targets * (size_t)(ninputs + 1));
    if (!found || !targets) {
        st = TAPER_FAIL(TAPER_MEMORY, "grad: no memory for %d inputs", ninputs);
        goto out;
    }
    for (int i = 0; i < ninputs; i++) {
        if (!taper_requires_grad(inputs[i])) {
            st = TAPER_FAIL(TAPER_RUNTIME, "One of the differentiated Tensors does not require grad");
            goto out;
        }
        TAPER_TRY_GOTO(taper__gradient_edge(&targets[i], inputs[i]));
    }
    TAPER_TRY_GOTO(walk_all(roots, grads, nroots, targets, ninputs, found, keep, create_graph));
    for (int i = 0; i < ninputs && !allow_unused; i++)
        if (!found[i]) {
            st = TAPER_FAIL(TAPER_RUNTIME, "One of the differentiated Tensors appears to not have been used in the graph. Set "
                                           "allow_unused=True if this is the desired behavior.");
            goto out;
        }
    for (int i = 0; i < ninputs; i++) {
        out[i] = found[i];
        found[i] = NULL;
    }
out:
    for (int i = 0; i < ninputs; i++) {
        if (found) taper_tensor_release(found[i]);
        if (targets) taper_node_release(targets[i].node);
    }
    taper__free(found);
    taper__free(targets);
    return st;
}

taper_status taper_gradients(taper_tensor **out, taper_tensor *const *roots, taper_tensor *const *grads, int nroots,
                             taper_tensor *const *inputs, int ninputs, bool retain_graph, bool create_graph, bool allow_unused) {
    return gradients_run(out, roots, grads, nroots, inputs, ninputs, retain_graph || create_graph, create_graph, allow_unused);
}

taper_status taper_backward_inputs(taper_tensor *const *roots, taper_tensor *const *grads, int nroots, taper_tensor *const *inputs,
                                   int ninputs, bool retain_graph, bool create_graph) {
    taper_status st = TAPER_OK;
    taper_tensor **found = taper__alloc_zero(sizeof *found * (size_t)(ninputs + 1));
    if (!found) return TAPER_FAIL(TAPER_MEMORY, "backward: no memory for %d inputs", ninputs);
    TAPER_TRY_GOTO(gradients_run(found, roots, grads, nroots, inputs, ninputs, retain_graph || create_graph, create_graph, true));
    for (int i = 0; i < ninputs; i++)
        if (found[i]) TAPER_TRY_GOTO(taper__accumulate(inputs[i], found[i], create_graph));
out:
    for (int i = 0; i < ninputs; i++) taper_tensor_release(found[i]);
    taper__free(found);
    return st;
}
