/* einsum and tensordot: sums of products over named dims, as batched matrix products. */
#include "ops/op.h"

enum { EINSUM_LETTERS = 52, EINSUM_LABELS = 64 }; /* the last labels are the dims under "...", at most 12 */

typedef struct einsum_term {
    taper_tensor *t;
    int n, labels[TAPER_MAX_DIMS];
} einsum_term;

static int einsum_label(char ch) { return ch >= 'A' && ch <= 'Z' ? ch - 'A' : ch >= 'a' && ch <= 'z' ? ch - 'a' + 26 : -1; }
static int einsum_find(const einsum_term *e, int label) {
    for (int i = 0; i < e->n; i++)
        if (e->labels[i] == label) return i;
    return -1;
}
static uint64_t einsum_mask(const einsum_term *e) {
    uint64_t m = 0;
    for (int i = 0; i < e->n; i++) m |= 1ull << e->labels[i];
    return m;
}

/* Reads labels up to ',' or the arrow. dots: dims under "..."; *seen: there was one. */
static taper_status einsum_read(const char **text, int *labels, int *n, int dots, bool *seen) {
    const char *p = *text;
    *n = 0;
    *seen = false;
    for (; *p && *p != ',' && *p != '-'; p++) {
        int label = einsum_label(*p);
        if (*p == ' ') continue;
        if (*p == '.') {
            if (p[1] != '.' || p[2] != '.' || *seen)
                return TAPER_FAIL(TAPER_RUNTIME, "einsum(): found '.' in \"%s\" that is not part of the only ellipsis of a term", *text);
            p += 2;
            *seen = true;
            for (int d = 0; d < dots; d++) {
                if (*n >= TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_RUNTIME, "einsum(): more than %d dims in a term", TAPER_MAX_DIMS);
                labels[(*n)++] = EINSUM_LABELS - dots + d;
            }
            continue;
        }
        if (label < 0)
            return TAPER_FAIL(TAPER_RUNTIME, "einsum(): invalid subscript given at \"%s\", subscripts must be in [a-zA-Z]", p);
        if (*n >= TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_RUNTIME, "einsum(): more than %d dims in a term", TAPER_MAX_DIMS);
        labels[(*n)++] = label;
    }
    *text = p;
    return TAPER_OK;
}

/* Counts the subscripts of a term, to know how many dims its ellipsis stands for. */
static int einsum_count(const char *p) {
    int n = 0;
    for (; *p && *p != ',' && *p != '-'; p++) n += einsum_label(*p) >= 0;
    return n;
}

/* A label given twice: the diagonal, last. */
static void einsum_diagonals(taper_scope *s, einsum_term *e) {
    for (int i = 0; i < e->n; i++)
        for (int j = i + 1; j < e->n; j++) {
            if (e->labels[i] != e->labels[j] || !e->t) continue;
            int label = e->labels[i], n = 0;
            if (e->t->shape[i] != e->t->shape[j]) {
                s->status = TAPER_FAIL(TAPER_RUNTIME, "einsum(): dimensions of size %lld and %lld of %s share a subscript", (long long)e->t->shape[i],
                                       (long long)e->t->shape[j], TAPER_TEXT(e->t));
                return;
            }
            e->t = tx_diagonal(s, e->t, 0, i, j);
            for (int k = 0; k < e->n; k++)
                if (k != i && k != j) e->labels[n++] = e->labels[k];
            e->labels[n++] = label;
            e->n = n;
            i = -1;
            break;
        }
}

static void einsum_sum(taper_scope *s, einsum_term *e, uint64_t keep) {
    int64_t dims[TAPER_MAX_DIMS];
    int n = 0, left = 0;
    for (int i = 0; i < e->n; i++) {
        if (keep >> e->labels[i] & 1) e->labels[left++] = e->labels[i];
        else dims[n++] = i;
    }
    e->n = left;
    if (n && e->t) e->t = tx_sum(s, e->t, dims, n, false, TAPER_DTYPE_NONE);
}

/* Dims in the order of the labels given, all of which the term has. */
static taper_tensor *einsum_order(taper_scope *s, const einsum_term *e, const int *labels, int n) {
    int64_t dims[TAPER_MAX_DIMS];
    for (int i = 0; i < n; i++) dims[i] = einsum_find(e, labels[i]);
    return n > 1 ? tx_permute(s, e->t, dims, n) : e->t;
}

/* a = the product of a and b, summed over the labels of both that nobody needs any more. */
static void einsum_pair(taper_scope *s, einsum_term *a, einsum_term *b, uint64_t keep) {
    uint64_t in_a = einsum_mask(a), in_b = einsum_mask(b);
    einsum_sum(s, a, keep | in_b);
    einsum_sum(s, b, keep | in_a);
    if (!a->t || !b->t) return;
    int batch[TAPER_MAX_DIMS], both[TAPER_MAX_DIMS], only_a[TAPER_MAX_DIMS], only_b[TAPER_MAX_DIMS], nbatch = 0, nboth = 0, na = 0, nb = 0;
    int64_t shape_a[TAPER_MAX_DIMS], shape_b[TAPER_MAX_DIMS];
    memcpy(shape_a, a->t->shape, sizeof shape_a);
    memcpy(shape_b, b->t->shape, sizeof shape_b);
    for (int i = 0; i < a->n; i++) {
        int label = a->labels[i], j = einsum_find(b, label);
        if (j < 0) {
            only_a[na++] = label;
            continue;
        }
        if (shape_a[i] != shape_b[j] && shape_a[i] != 1 && shape_b[j] != 1) {
            s->status = TAPER_FAIL(TAPER_RUNTIME,
                                   "einsum(): operands do not broadcast with remapped shapes [original->remapped]: %s and %s differ at a common subscript "
                                   "(%lld and %lld)",
                                   TAPER_SHAPE(a->t), TAPER_SHAPE(b->t), (long long)shape_a[i], (long long)shape_b[j]);
            return;
        }
        shape_a[i] = shape_b[j] = shape_a[i] == 1 ? shape_b[j] : shape_a[i];
        if (keep >> label & 1) batch[nbatch++] = label;
        else both[nboth++] = label;
    }
    for (int j = 0; j < b->n; j++)
        if (einsum_find(a, b->labels[j]) < 0) only_b[nb++] = b->labels[j];
    if (nbatch + na + nb > TAPER_MAX_DIMS) {
        s->status = TAPER_FAIL(TAPER_RUNTIME, "einsum(): a product of %s and %s has more than %d dims", TAPER_SHAPE(a->t), TAPER_SHAPE(b->t), TAPER_MAX_DIMS);
        return;
    }
    a->t = tx_expand(s, a->t, shape_a, a->n);
    b->t = tx_expand(s, b->t, shape_b, b->n);
    if (!a->t || !b->t) return;
    int order_a[TAPER_MAX_DIMS], order_b[TAPER_MAX_DIMS], order[TAPER_MAX_DIMS], n = 0;
    int64_t fold_a[3] = {1, 1, 1}, fold_b[3] = {1, 1, 1}, shape[TAPER_MAX_DIMS];
#define EINSUM_SIZE(e, label) ((e)->t->shape[einsum_find(e, label)])
    for (int i = 0; i < nbatch; i++) {
        order_a[i] = order_b[i] = order[n] = batch[i];
        fold_a[0] *= shape[n++] = EINSUM_SIZE(a, batch[i]);
    }
    for (int i = 0; i < na; i++) {
        order_a[nbatch + i] = order[n] = only_a[i];
        fold_a[1] *= shape[n++] = EINSUM_SIZE(a, only_a[i]);
    }
    for (int i = 0; i < nboth; i++) {
        order_a[nbatch + na + i] = order_b[nbatch + i] = both[i];
        fold_a[2] *= EINSUM_SIZE(a, both[i]);
    }
    for (int i = 0; i < nb; i++) {
        order_b[nbatch + nboth + i] = order[n] = only_b[i];
        fold_b[2] *= shape[n++] = EINSUM_SIZE(b, only_b[i]);
    }
    fold_b[0] = fold_a[0];
    fold_b[1] = fold_a[2];
    taper_tensor *x = einsum_order(s, a, order_a, a->n), *y = einsum_order(s, b, order_b, b->n);
    x = x ? tx_reshape(s, x, fold_a, 3) : NULL;
    y = y ? tx_reshape(s, y, fold_b, 3) : NULL;
    a->t = x && y ? tx_bmm(s, x, y) : NULL;
    if (a->t) a->t = tx_reshape(s, a->t, shape, n);
    memcpy(a->labels, order, sizeof order);
    a->n = n;
}

static taper_status einsum_compose(taper_call *c, taper_scope *s) {
    const char *text = c->args[0].s, *p = text, *arrow = strstr(text, "->");
    const taper_arg *ts = &c->args[1];
    einsum_term terms[16], out = {0};
    int counts[EINSUM_LABELS] = {0}, dots = 0;
    bool seen;
    if (ts->count < 1 || ts->count > TAPER_COUNT(terms))
        return TAPER_FAIL(TAPER_VALUE, "einsum(): must provide at least one operand and at most %d, got %d", TAPER_COUNT(terms), ts->count);
    for (int k = 0; k < ts->count; k++) {
        einsum_term *e = &terms[k];
        int given = einsum_count(p), under = ts->ts[k]->ndim - given;
        e->t = ts->ts[k];
        if (under > EINSUM_LABELS - EINSUM_LETTERS) return TAPER_FAIL(TAPER_RUNTIME, "einsum(): %d dims under an ellipsis, at most 12", under);
        TAPER_TRY(einsum_read(&p, e->labels, &e->n, under > 0 ? under : 0, &seen));
        if (e->n != e->t->ndim)
            return TAPER_FAIL(TAPER_RUNTIME,
                              "einsum(): the number of subscripts in the equation (%d) does not match the number of dimensions (%d) for operand %d and no "
                              "ellipsis was given",
                              given, e->t->ndim, k);
        if (seen && under > dots) dots = under;
        for (int i = 0; i < e->n; i++) counts[e->labels[i]]++;
        if (k + 1 < ts->count && *p++ != ',') return TAPER_FAIL(TAPER_VALUE, "einsum(): more operands were provided than specified in the equation \"%s\"", text);
    }
    if (*p == ',') return TAPER_FAIL(TAPER_VALUE, "einsum(): fewer operands were provided than specified in the equation \"%s\"", text);
    if (arrow) {
        const char *q = arrow + 2;
        TAPER_TRY(einsum_read(&q, out.labels, &out.n, dots, &seen));
    } else { /* the ellipsis, then what was given once, in alphabetical order */
        for (int d = 0; d < dots; d++) out.labels[out.n++] = EINSUM_LABELS - dots + d;
        for (int label = 0; label < EINSUM_LETTERS; label++)
            if (counts[label] == 1 && out.n < TAPER_MAX_DIMS) out.labels[out.n++] = label;
    }
    for (int i = 0; i < out.n; i++)
        if (!counts[out.labels[i]] || einsum_find(&out, out.labels[i]) != i)
            return TAPER_FAIL(TAPER_RUNTIME, "einsum(): output subscript %d of \"%s\" does not appear in the equation for any input operand, or appears twice", i, text);
    for (int k = 0; k < ts->count; k++) einsum_diagonals(s, &terms[k]);
    for (int k = 1; k < ts->count && s->status == TAPER_OK; k++) {
        uint64_t keep = einsum_mask(&out);
        for (int later = k + 1; later < ts->count; later++) keep |= einsum_mask(&terms[later]);
        einsum_pair(s, &terms[0], &terms[k], keep);
    }
    if (s->status == TAPER_OK) einsum_sum(s, &terms[0], einsum_mask(&out));
    c->out[0] = s->status == TAPER_OK ? taper_scope_keep(s, einsum_order(s, &terms[0], out.labels, out.n)) : NULL;
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_einsum = {
    .compose = einsum_compose,
    .samples = (const taper_sample[]){{"ij->ji, {[2,3]}"}, {0}},
};

/* Sums of products over dims_self of self and dims_other of other, which pair up in order. */
static taper_status tensordot_compose(taper_call *c, taper_scope *s) {
    taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    const taper_arg *da = &c->args[2], *db = &c->args[3];
    einsum_term x = {.t = a, .n = a->ndim}, y = {.t = b, .n = b->ndim};
    if (da->count != db->count)
        return TAPER_FAIL(TAPER_RUNTIME, "tensordot: both dimension lists should have same length, got %d and %d", da->count, db->count);
    uint64_t keep = 0;
    for (int d = 0; d < a->ndim; d++) keep |= 1ull << (x.labels[d] = d);
    for (int d = 0; d < b->ndim; d++) keep |= 1ull << (y.labels[d] = TAPER_MAX_DIMS + d);
    for (int i = 0; i < da->count; i++) {
        int p, q;
        TAPER_TRY(taper__wrap_dim(&p, da->is[i], a->ndim, "tensordot"));
        TAPER_TRY(taper__wrap_dim(&q, db->is[i], b->ndim, "tensordot"));
        if (p >= a->ndim || q >= b->ndim || (a->shape[p] != b->shape[q] && a->shape[p] != 1 && b->shape[q] != 1))
            return TAPER_FAIL(TAPER_RUNTIME, "contracted dimensions need to match, but first has size %lld in dim %d and second has size %lld in dim %d",
                              (long long)(p < a->ndim ? a->shape[p] : 1), p, (long long)(q < b->ndim ? b->shape[q] : 1), q);
        y.labels[q] = p;
        keep &= ~(1ull << p);
    }
    einsum_pair(s, &x, &y, keep);
    c->out[0] = taper_scope_keep(s, x.t);
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_tensordot = {
    .compose = tensordot_compose,
    .samples = (const taper_sample[]){{"[2,3,4], [4,3,5], (1,2), (1,0)"}, {"[2,3], [3], (1), (0)"}, {"[2,3], [4,5], (1), (0)", .error = "contracted dimensions need to match"}, {0}},
};
