/* Nodes of the tape. A node owns what its gradient needs and points at the nodes its inputs came from. */
#ifndef TAPER_AUTOGRAD_TAPE_H
#define TAPER_AUTOGRAD_TAPE_H

#include <taper/autograd.h>

#include "engine/engine.h"

typedef struct taper_edge {
    taper_node *node;
    int nr;
} taper_edge;

typedef struct taper_node_class {
    /* grads[nout]: borrowed, may be NULL. dgrads[nedges]: +1 each, NULL: zero or not needed. */
    taper_status (*apply)(taper_node *n, taper_tensor *const *grads, taper_tensor **dgrads);
    void (*drop)(taper_node *n); /* releases what was saved; the node can no longer be applied */
    void (*free)(taper_node *n); /* last rites, also after a drop; may be NULL */
} taper_node_class;

enum { TAPER_HOOK_BEFORE = -2, TAPER_HOOK_AFTER = -3 };
typedef struct taper_hook {
    struct taper_hook *next;
    taper_grad_hook call;
    void (*release)(void *);
    void *ctx;
    int64_t id;
    int nr;           /* of the node's result; -1: after accumulation; TAPER_HOOK_BEFORE, TAPER_HOOK_AFTER: of the node itself */
    taper_node_hook all; /* in place of call for hooks of the node itself */
    bool retain_grad; /* the built-in hook of retain_grad: ctx is the tensor's autograd part */
} taper_hook;

struct taper_node {
    _Atomic int refs;
    int nout, nedges;
    const taper_node_class *class_;
    const char *name;
    uint64_t seq; /* rises with creation; inputs are always lower, so falling order is a walk */
    size_t bytes;
    bool dropped;
    taper_edge *edges;
    taper_hook *hooks;
    char *trace; /* where it was made, under anomaly mode */
    taper_node *next; /* of the list of nodes being freed */
};

typedef struct taper_autograd {
    taper_node *node; /* grad_fn, +1 */
    int nr;
    taper_node *accumulator; /* not counted: it clears this when it goes */
    taper_tensor *grad;
    taper_hook *leaf_hooks; /* of a leaf: moved to no node, so that they outlive a graph */
    uint32_t view_version;  /* of the storage when `node` of a view was made */
    bool retains_grad;
    taper_tensor *copy;     /* of a leaf: see taper_set_leaf_copy; it holds what `copied` held at that version */
    taper_storage *copied;
    uint32_t copied_version;
} taper_autograd;

taper_status taper__autograd_of(taper_autograd **out, taper_tensor *t);
taper_status taper__node_new(taper_node **out, size_t bytes, const taper_node_class *class_, const char *name, int nout, int nedges);
/* Where the gradient of t goes; +1 on the node; node NULL when t needs none. */
taper_status taper__gradient_edge(taper_edge *out, taper_tensor *t);
/* Brings the history of a view up to date after its base changed in place. */
taper_status taper__view_refresh(taper_tensor *t);
/* t was just written in place by n (its result 0): n becomes its history, or its base's through a slice. */
taper_status taper__rebase_history(taper_tensor *t, taper_node *n);
void taper__set_history(taper_tensor *t, taper_autograd *a, taper_node *n, int nr);
taper_status taper__accumulate(taper_tensor *leaf, taper_tensor *grad, bool create_graph);
bool taper__node_is_accumulate(const taper_node *n);
taper_tensor *taper__accumulate_tensor(const taper_node *n);
taper_status taper__run_node_hooks(taper_node *n, int when, taper_tensor **grads, int ngrads, taper_tensor *const *outputs, int noutputs);
taper_status taper__run_hooks(taper_hook *hooks, int nr, taper_tensor **grad);

#endif
