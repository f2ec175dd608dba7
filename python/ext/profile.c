/* The profiler's events as tuples; names as PyTorch's tables have them. */
#include <taper/profile.h>

#include "ext.h"

static PyObject *profile_start(PyObject *m, PyObject *args) {
    int shapes, gpu;
    (void)m;
    if (!PyArg_ParseTuple(args, "pp", &shapes, &gpu)) return NULL;
    EXT_TRY(taper_profile_start(shapes, gpu));
    Py_RETURN_NONE;
}

/* "aten::add_" for a row and whether it wrote into its argument; kept in `known`, since finding a row takes a walk. */
static PyObject *profile_name(PyObject *known, const taper_profile_event *e) {
    PyObject *key = PyLong_FromLongLong((long long)(2 * (intptr_t)e->name + e->inplace));
    PyObject *name = key ? PyDict_GetItemWithError(known, key) : NULL;
    Py_XINCREF(name);
    if (key && !name && !PyErr_Occurred()) {
        const taper_op_row *row = taper_op_find(e->name);
        const taper_schema *s = row ? taper_schema_of(row) : NULL;
        name = PyUnicode_FromFormat(s ? "aten::%s%s" : "%s%s", s ? s->name : e->name, e->inplace ? "_" : "");
        if (name && PyDict_SetItem(known, key, name) < 0) Py_CLEAR(name);
    }
    Py_XDECREF(key);
    return name;
}

/* [(name, begin ns, end ns, own ns, thread, GPU or -1, begin us on the GPU, us on the GPU, shapes)] in the order of their ends. */
static PyObject *profile_stop(PyObject *m, PyObject *unused) {
    int64_t count = 0, lost = 0;
    taper_status st;
    (void)m, (void)unused;
    Py_BEGIN_ALLOW_THREADS
    st = taper_profile_stop();
    Py_END_ALLOW_THREADS
    if (st != TAPER_OK) return ext_raise(st);
    const taper_profile_event *e = taper_profile_events(&count, &lost);
    PyObject *list = PyList_New((Py_ssize_t)count), *known = PyDict_New();
    if (!known) Py_CLEAR(list);
    for (int64_t i = 0; list && i < count; i++) {
        PyObject *name = profile_name(known, &e[i]);
        PyObject *tuple = name ? Py_BuildValue("(NLLLIidds)", name, (long long)e[i].begin, (long long)e[i].end, (long long)e[i].self, (unsigned)e[i].thread,
                                               e[i].gpu_time >= 0 ? e[i].device.index : -1, e[i].gpu_begin, e[i].gpu_time, e[i].shapes) : NULL;
        if (tuple)
            PyList_SET_ITEM(list, (Py_ssize_t)i, tuple);
        else
            Py_CLEAR(list);
    }
    Py_XDECREF(known);
    taper_profile_clear();
    return list;
}

static PyObject *profile_running(PyObject *m, PyObject *unused) { (void)m, (void)unused; return PyBool_FromLong(taper_profile_running()); }

PyMethodDef ext_profile_functions[] = {{"profile_start", profile_start, METH_VARARGS, NULL},
                                       {"profile_stop", profile_stop, METH_NOARGS, NULL},
                                       {"profile_running", profile_running, METH_NOARGS, NULL}, {0}};
