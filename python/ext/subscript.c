/* x[key]: keys become items of taper/index.h. */
#include "ext.h"

enum { MAX_ITEMS = 2 * TAPER_MAX_DIMS };

typedef struct key_items {
    int n;
    taper_index_item item[MAX_ITEMS];
    PyObject *made[MAX_ITEMS]; /* tensors made from lists and arrays */
    int nmade;
} key_items;

static void key_free(key_items *k) {
    for (int i = 0; i < k->nmade; i++) Py_DECREF(k->made[i]);
}

static int slice_end(PyObject *o, bool *has, int64_t *value) {
    *has = o != Py_None;
    if (!*has) return 0;
    int ok = ext_int64(o, value);
    if (ok == 0) PyErr_SetString(PyExc_TypeError, "slice indices must be integers or None or have an __index__ method");
    return ok > 0 ? 0 : -1;
}

static int key_add(key_items *k, PyObject *o) {
    if (k->n == MAX_ITEMS) {
        PyErr_SetString(PyExc_IndexError, "too many indices");
        return -1;
    }
    taper_index_item *it = &k->item[k->n++];
    *it = (taper_index_item){0};
    if (o == Py_None) {
        it->kind = TAPER_INDEX_NEWAXIS;
    } else if (o == Py_Ellipsis) {
        it->kind = TAPER_INDEX_ELLIPSIS;
    } else if (PyBool_Check(o)) {
        it->kind = TAPER_INDEX_BOOL;
        it->start = o == Py_True;
    } else if (PySlice_Check(o)) {
        PySliceObject *s = (PySliceObject *)o;
        it->kind = TAPER_INDEX_SLICE;
        if (slice_end(s->start, &it->has_start, &it->start) < 0 || slice_end(s->stop, &it->has_stop, &it->stop) < 0 ||
            slice_end(s->step, &it->has_step, &it->step) < 0)
            return -1;
        if (it->has_step && it->step <= 0) {
            PyErr_SetString(PyExc_ValueError, "step must be greater than zero");
            return -1;
        }
    } else if (ext_is_tensor(o)) {
        taper_tensor *t = ext_t(o);
        taper_dtype d = taper_tensor_dtype(t);
        if (taper_dtype_is_float(d)) {
            PyErr_SetString(PyExc_IndexError, "tensors used as indices must be long, int, byte or bool tensors");
            return -1;
        }
        if (taper_tensor_ndim(t) == 0 && d != TAPER_BOOL && d != TAPER_U8 && taper_tensor_device(t).type == TAPER_CPU) {
            it->kind = TAPER_INDEX_INT;
            return ext_int64(o, &it->start) > 0 ? 0 : -1;
        }
        it->kind = TAPER_INDEX_TENSOR;
        it->t = t;
    } else if (PyList_Check(o) || PyTuple_Check(o) || PyObject_CheckBuffer(o)) {
        PyObject *t = ext_tensor_from(o, TAPER_DTYPE_NONE, NULL, false, false);
        if (!t) return -1;
        k->made[k->nmade++] = t;
        if (taper_tensor_numel(ext_t(t)) == 0 && taper_dtype_is_float(taper_tensor_dtype(ext_t(t)))) { /* x[[]] */
            taper_tensor *ints = NULL;
            taper_status st = taper_to(&ints, ext_t(t), NULL, TAPER_I64, false, false);
            if (st != TAPER_OK) {
                ext_raise(st);
                return -1;
            }
            Py_DECREF(t);
            t = k->made[k->nmade - 1] = ext_wrap(ints);
        }
        it->kind = TAPER_INDEX_TENSOR;
        it->t = ext_t(t);
    } else {
        it->kind = TAPER_INDEX_INT;
        int ok = ext_int64(o, &it->start);
        if (ok == 0)
            PyErr_Format(PyExc_IndexError, "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got %s)",
                         Py_TYPE(o)->tp_name);
        return ok > 0 ? 0 : -1;
    }
    return 0;
}

static int key_parse(key_items *k, PyObject *key) {
    k->n = k->nmade = 0;
    if (!PyTuple_Check(key)) return key_add(k, key);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); i++)
        if (key_add(k, PyTuple_GET_ITEM(key, i)) < 0) return -1;
    return 0;
}

PyObject *ext_getitem(PyObject *self, PyObject *key) {
    key_items k;
    taper_tensor *t = NULL;
    if (key_parse(&k, key) < 0) {
        key_free(&k);
        return NULL;
    }
    taper_status st = taper_index_get(&t, ext_t(self), k.item, k.n);
    key_free(&k);
    return st == TAPER_OK ? ext_wrap(t) : ext_raise(st);
}

int ext_setitem(PyObject *self, PyObject *key, PyObject *value) {
    key_items k;
    PyObject *t = NULL;
    taper_status st;
    if (!value) {
        PyErr_SetString(PyExc_TypeError, "Tensor does not support deleting items");
        return -1;
    }
    if (key_parse(&k, key) < 0) {
        key_free(&k);
        return -1;
    }
    taper_device device = taper_tensor_device(ext_t(self));
    t = ext_is_tensor(value) ? (Py_INCREF(value), value)
                             : ext_tensor_from(value, taper_tensor_dtype(ext_t(self)), device.type == TAPER_META ? &device : NULL, false, false);
    if (!t) {
        key_free(&k);
        return -1;
    }
    st = taper_index_set(ext_t(self), k.item, k.n, ext_t(t));
    Py_DECREF(t);
    key_free(&k);
    if (st != TAPER_OK) ext_raise(st);
    return st == TAPER_OK ? 0 : -1;
}
