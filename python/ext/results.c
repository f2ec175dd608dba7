/* Several results of one call: torch.return_types, tuples with names. */
#include "ext.h"

extern PyMethodDef ext_return_type_functions[];
PyObject *ext_wrap_results(const taper_schema *s, taper_tensor **out, int n);

/* torch.return_types.max(\nvalues=...,\nindices=...) */
static PyObject *results_repr(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject *text = PyUnicode_FromFormat("%s(\n", type->tp_name);
    for (Py_ssize_t i = 0; text && i < PyTuple_GET_SIZE(self); i++)
        PyUnicode_AppendAndDel(&text, PyUnicode_FromFormat("%s%s=%R", i ? ",\n" : "", type->tp_members[i].name, PyTuple_GET_ITEM(self, i)));
    if (text) PyUnicode_AppendAndDel(&text, PyUnicode_FromString(")"));
    return text;
}

/* The struct sequence type of a row with named results, made at its first use; borrowed. */
static PyObject *results_type(const taper_schema *s) {
    static PyObject *cache; /* schema address -> type */
    if (!cache && !(cache = PyDict_New())) return NULL;
    PyObject *key = PyLong_FromVoidPtr((void *)s), *type = key ? PyDict_GetItem(cache, key) : NULL;
    if (key && !type) {
        PyStructSequence_Field fields[TAPER_MAX_OUTS + 1] = {{0}};
        char name[96];
        for (int i = 0; i < s->nresults; i++) fields[i].name = s->result_names[i];
        snprintf(name, sizeof name, "torch.return_types.%.60s", s->name);
        char *kept = PyMem_Malloc(strlen(name) + 1); /* the type keeps the pointer */
        if (kept) {
            strcpy(kept, name);
            PyStructSequence_Desc desc = {kept, NULL, fields, s->nresults};
            type = (PyObject *)PyStructSequence_NewType(&desc);
        }
        if (type) {
            ((PyTypeObject *)type)->tp_repr = results_repr;
            PyDict_SetItem(cache, key, type);
            Py_DECREF(type);
        }
    }
    Py_XDECREF(key);
    return type;
}

/* return_type(name): the type of the results of an operator, None when they have no names. */
static PyObject *return_type(PyObject *m, PyObject *name) {
    const char *want = PyUnicode_AsUTF8(name);
    (void)m;
    for (const taper_op_row *row = taper_op_rows(); want && row->name; row++) {
        const taper_schema *s = taper_schema_of(row);
        if (!s || strcmp(s->name, want) || s->nresults < 2 || !s->result_names[0] || !s->result_names[0][0]) continue;
        PyObject *type = results_type(s);
        Py_XINCREF(type);
        return type;
    }
    if (!want) return NULL;
    Py_RETURN_NONE;
}
PyMethodDef ext_return_type_functions[] = {{"return_type", return_type, METH_O, NULL}, {0}};

/* Results with names become torch.return_types. */
PyObject *ext_wrap_results(const taper_schema *s, taper_tensor **out, int n) {
    PyObject *tuple = NULL;
    if (s->result_names[0] && s->result_names[0][0]) {
        PyObject *type = results_type(s);
        tuple = type ? PyStructSequence_New((PyTypeObject *)type) : NULL;
    } else {
        tuple = PyTuple_New(n);
    }
    for (int i = 0; i < n; i++) {
        PyObject *o = tuple ? (out[i] ? ext_wrap(out[i]) : (Py_INCREF(Py_None), Py_None)) : NULL;
        if (!tuple) {
            taper_tensor_release(out[i]);
        } else if (!o) {
            Py_CLEAR(tuple);
        } else if (PyTuple_CheckExact(tuple)) {
            PyTuple_SET_ITEM(tuple, i, o);
        } else {
            PyStructSequence_SetItem(tuple, i, o);
        }
    }
    return tuple;
}
