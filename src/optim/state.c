/* An optimiser's state in a safetensors file: "<parameter>.<list>" for each tensor of state, "param_groups" for the numbers of groups. */
#include "optim/optim.h"

#include <stdio.h>
#include <string.h>
#include <taper/io.h>

enum { STATE_NUMBERS = 4 };
static const char *const state_class[] = {"SGD", "Adam", "AdamW", "RMSprop"};

/* "<parameter>.<list>", ended by taper__free. */
static char *state_name(const char *parameter, const char *list) {
    size_t size = strlen(parameter) + strlen(list) + 2;
    char *name = taper__alloc(size);
    if (name) snprintf(name, size, "%s.%s", parameter, list);
    return name;
}

static taper_status state_groups(taper_tensor **out, const taper_optimizer *o) {
    double *rows = taper__alloc(sizeof *rows * STATE_NUMBERS * (size_t)o->ngroups);
    if (!rows) return TAPER_FAIL(TAPER_MEMORY, "optimizer: no memory for %d groups", o->ngroups);
    for (int g = 0; g < o->ngroups; g++) {
        const taper_optim_group *from = &o->groups[g];
        memcpy(rows + STATE_NUMBERS * g, (double[]){from->lr, from->base_lr, from->weight_decay, from->momentum}, sizeof(double) * STATE_NUMBERS);
    }
    taper_status st = taper_tensor_from_data(out, rows, TAPER_F64, 2, (int64_t[]){o->ngroups, STATE_NUMBERS});
    taper__free(rows);
    return st;
}

taper_status taper_optimizer_save(const taper_optimizer *o, const char *path) {
    int n = o->params->count, count = 0;
    taper_status st = TAPER_OK;
    taper_tensor *groups = NULL;
    const char *keys[] = {"optimizer"}, *values[] = {state_class[o->class_]};
    char **names = taper__alloc_zero(sizeof *names * (size_t)(n * o->nlists + 1));
    taper_tensor **tensors = taper__alloc(sizeof *tensors * (size_t)(n * o->nlists + 1));
    if (!names || !tensors) TAPER_TRY_GOTO(TAPER_FAIL(TAPER_MEMORY, "optimizer: no memory for %d names", n * o->nlists));
    for (int i = 0; i < n; i++)
        for (int k = 0; k < o->nlists; k++) {
            taper_tensor *t = o->state[k * n + i];
            if (!t || (o->class_ == TAPER_CLASS_SGD && !o->started[i])) continue;
            tensors[count] = t;
            names[count] = state_name(o->params->names[i], o->names[k]);
            if (!names[count++]) TAPER_TRY_GOTO(TAPER_FAIL(TAPER_MEMORY, "optimizer: no memory for a name"));
        }
    TAPER_TRY_GOTO(state_groups(&groups, o));
    tensors[count] = groups;
    names[count++] = taper__strdup("param_groups");
    if (!names[count - 1]) TAPER_TRY_GOTO(TAPER_FAIL(TAPER_MEMORY, "optimizer: no memory for a name"));
    st = taper_save_safetensors(path, (const char *const *)names, tensors, count, keys, values, 1);
out:
    for (int i = 0; names && i < n * o->nlists + 1; i++) taper__free(names[i]);
    taper__free(names);
    taper__free(tensors);
    taper_tensor_release(groups);
    return st;
}

/* The file's tensor for list k of parameter i, of the shape and dtype that the state has; NULL where SGD has none. */
static taper_status state_find(taper_tensor **out, const taper_optimizer *o, const taper_item *root, const char *path, int k, int i) {
    char *name = state_name(o->params->names[i], o->names[k]);
    if (!name) return TAPER_FAIL(TAPER_MEMORY, "optimizer: no memory for a name");
    const taper_tensor *like = o->state[k * o->params->count + i];
    taper_item *node = taper_item_find(root, name);
    taper_tensor *t = node ? taper_item_tensor(node) : NULL;
    taper_status st = TAPER_OK;
    int ndim = taper_tensor_ndim(like);
    if (!t) {
        if (o->class_ != TAPER_CLASS_SGD) st = TAPER_FAIL(TAPER_KEY, "optimizer: %s has no tensor called %s", path, name);
    } else if (taper_tensor_dtype(t) != taper_tensor_dtype(like) || taper_tensor_ndim(t) != ndim ||
               memcmp(taper_tensor_shape(t), taper_tensor_shape(like), sizeof(int64_t) * (size_t)ndim)) {
        st = TAPER_FAIL(TAPER_VALUE, "optimizer: %s in %s has another shape or dtype than the parameter's state", name, path);
    }
    taper__free(name);
    *out = t;
    return st;
}

static taper_status state_check_groups(const char **rows, const taper_optimizer *o, const taper_tree *tree, const char *path) {
    const taper_item *root = taper_tree_root(tree), *state = taper_item_state(root);
    taper_item *class_ = state ? taper_item_find(state, "optimizer") : NULL, *node = taper_item_find(root, "param_groups");
    const char *text = class_ ? taper_item_text(class_, NULL) : NULL;
    taper_tensor *t = node ? taper_item_tensor(node) : NULL;
    if (!text || !t) return TAPER_FAIL(TAPER_KEY, "optimizer: %s is not the state of an optimiser", path);
    if (strcmp(text, state_class[o->class_])) return TAPER_FAIL(TAPER_VALUE, "optimizer: %s is of %s, this is %s", path, text, state_class[o->class_]);
    if (taper_tensor_dtype(t) != TAPER_F64 || taper_tensor_numel(t) != (int64_t)STATE_NUMBERS * o->ngroups)
        return TAPER_FAIL(TAPER_VALUE, "optimizer: %s has %lld numbers for groups, this optimiser has %d groups of %d", path, (long long)taper_tensor_numel(t),
                          o->ngroups, STATE_NUMBERS);
    *rows = taper_tensor_data(t);
    return TAPER_OK;
}

/* A parameter whose first gradient came late has no state here yet. */
static taper_status state_make_late(taper_optimizer *o, const taper_item *root) {
    for (int i = 0; o->nlists && i < o->params->count; i++) {
        if (o->state[i]) continue;
        char *name = state_name(o->params->names[i], o->names[0]);
        if (!name) return TAPER_FAIL(TAPER_MEMORY, "optimizer: no memory for a name");
        bool there = taper_item_find(root, name) != NULL;
        taper__free(name);
        if (there) TAPER_TRY(taper__optimizer_state(o, i));
    }
    return TAPER_OK;
}

taper_status taper_optimizer_load(taper_optimizer *o, const char *path) {
    int n = o->params->count;
    int64_t found = 1; /* param_groups */
    const char *rows = NULL;
    taper_tree *tree = NULL;
    taper_load_options options = TAPER_LOAD_OPTIONS;
    options.has_device = true;
    options.device = taper_cpu();
    TAPER_TRY(taper_load(&tree, path, &options));
    taper_status st = state_check_groups(&rows, o, tree, path);
    if (st == TAPER_OK) st = state_make_late(o, taper_tree_root(tree));
    /* Everything is looked at before anything is written. */
    for (int write = 0; write < 2 && st == TAPER_OK; write++) {
        for (int i = 0; i < n && st == TAPER_OK; i++)
            for (int k = 0; k < o->nlists && st == TAPER_OK; k++) {
                taper_tensor *to = o->state[k * n + i], *from = NULL;
                if (!to) continue;
                st = state_find(&from, o, taper_tree_root(tree), path, k, i);
                found += from && !write;
                if (st != TAPER_OK || !write) continue;
                if (o->class_ == TAPER_CLASS_SGD) o->started[i] = from != NULL;
                if (from) st = taper_tensor_write(to, taper_tensor_data(from), (size_t)taper_tensor_numel(from) * taper_dtype_size(taper_tensor_dtype(from)));
            }
        if (st == TAPER_OK && found != taper_item_count(taper_tree_root(tree)))
            st = TAPER_FAIL(TAPER_VALUE, "optimizer: %s has %lld tensors, of which %lld are known here: it is of other parameters", path,
                            (long long)taper_item_count(taper_tree_root(tree)), (long long)found);
    }
    for (int g = 0; g < o->ngroups && st == TAPER_OK; g++) {
        double r[STATE_NUMBERS]; /* a mapped file need not be aligned */
        taper_optim_group *to = &o->groups[g];
        memcpy(r, rows + sizeof r * (size_t)g, sizeof r);
        to->lr = r[0], to->base_lr = r[1], to->weight_decay = r[2], to->momentum = r[3];
    }
    taper_tree_release(tree);
    return st;
}
