/* dtype, device, Size, layout, memory_format and the exceptions. */
#include "ext.h"

PyObject *ext_out_of_memory;
bool ext_have_default_device;
taper_device ext_default_device;

PyObject *ext_raise(taper_status st) {
    const char *name = taper_status_exception(st);
    PyObject *type = PyExc_RuntimeError;
    if (st == TAPER_CALLBACK && PyErr_Occurred()) return NULL; /* the callback's own exception */
    if (st == TAPER_MEMORY) {
        type = ext_out_of_memory;
    } else {
        PyObject *builtins = PyEval_GetBuiltins(), *found = builtins ? PyDict_GetItemString(builtins, name) : NULL;
        if (found) type = found;
    }
    PyObject *text = PyUnicode_DecodeUTF8(taper_error_message(), (Py_ssize_t)strlen(taper_error_message()), "replace");
    if (text) PyErr_SetObject(type, text);
    Py_XDECREF(text);
    taper_error_clear();
    return NULL;
}

/* ---- dtype ---- */

static ext_dtype_object dtypes[TAPER_DTYPE_COUNT];

static PyObject *dtype_repr(PyObject *self) { return PyUnicode_FromFormat("torch.%s", taper_dtype_name(((ext_dtype_object *)self)->d)); }
static PyObject *dtype_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    return PyUnicode_FromString(taper_dtype_name(((ext_dtype_object *)self)->d));
}
static PyObject *dtype_get(PyObject *self, void *what) {
    taper_dtype d = ((ext_dtype_object *)self)->d;
    if (what == (void *)0) return PyBool_FromLong(taper_dtype_is_float(d));
    if (what == (void *)1) return PyBool_FromLong(0);
    if (what == (void *)2) return PyLong_FromSize_t(taper_dtype_size(d));
    return PyBool_FromLong(d != TAPER_BOOL && d != TAPER_U8);
}
static PyGetSetDef dtype_getset[] = {{"is_floating_point", dtype_get, NULL, NULL, (void *)0},
                                     {"is_complex", dtype_get, NULL, NULL, (void *)1},
                                     {"itemsize", dtype_get, NULL, NULL, (void *)2},
                                     {"is_signed", dtype_get, NULL, NULL, (void *)3},
                                     {0}};
static PyMethodDef dtype_methods[] = {{"__reduce__", dtype_reduce, METH_NOARGS, NULL}, {0}};
PyTypeObject ext_dtype_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "torch.dtype",
                               .tp_basicsize = sizeof(ext_dtype_object),
                               .tp_flags = Py_TPFLAGS_DEFAULT,
                               .tp_repr = dtype_repr,
                               .tp_getset = dtype_getset,
                               .tp_methods = dtype_methods};

PyObject *ext_dtype(taper_dtype d) {
    if ((unsigned)d >= TAPER_DTYPE_COUNT) Py_RETURN_NONE;
    Py_INCREF((PyObject *)&dtypes[d]);
    return (PyObject *)&dtypes[d];
}

bool ext_dtype_of(PyObject *o, taper_dtype *out) {
    if (Py_TYPE(o) == &ext_dtype_type)
        *out = ((ext_dtype_object *)o)->d;
    else if (o == (PyObject *)&PyFloat_Type)
        *out = TAPER_F64;
    else if (o == (PyObject *)&PyLong_Type)
        *out = TAPER_I64;
    else if (o == (PyObject *)&PyBool_Type)
        *out = TAPER_BOOL;
    else
        return false;
    return true;
}

/* ---- device ---- */

typedef struct ext_device_object {
    PyObject_HEAD
    taper_device d;
    bool has_index;
    PyObject *saved; /* default devices to go back to */
} ext_device_object;

PyObject *ext_device(taper_device d, bool has_index) {
    ext_device_object *o = PyObject_New(ext_device_object, &ext_device_type);
    if (!o) return NULL;
    o->d = d;
    o->has_index = has_index;
    o->saved = NULL;
    return (PyObject *)o;
}

static int device_current(taper_device *d) {
    if (d->type == TAPER_CUDA && d->index < 0) {
        int i = 0;
        if (taper_cuda_current_device(&i) != TAPER_OK) i = 0;
        d->index = (int8_t)i;
    }
    if (d->index < 0) d->index = 0;
    return 1;
}

int ext_device_of(PyObject *o, taper_device *out) {
    if (Py_TYPE(o) == &ext_device_type) {
        *out = ((ext_device_object *)o)->d;
        return device_current(out);
    }
    if (PyUnicode_Check(o)) {
        const char *s = PyUnicode_AsUTF8(o);
        taper_status st = s ? taper_device_parse(out, s) : TAPER_VALUE;
        if (st != TAPER_OK) {
            if (s) ext_raise(st);
            return -1;
        }
        return device_current(out);
    }
    if (PyLong_Check(o) && !PyBool_Check(o)) {
        long index = PyLong_AsLong(o);
        if (index == -1 && PyErr_Occurred()) return -1;
        if (index < 0 || index > INT8_MAX) {
            PyErr_Format(PyExc_RuntimeError, "Device index must be between 0 and %d, got %ld", INT8_MAX, index);
            return -1;
        }
        *out = taper_cuda((int)index);
        return 1;
    }
    return 0;
}

static PyObject *device_new(PyTypeObject *type, PyObject *args, PyObject *kw) {
    (void)type;
    PyObject *what = NULL;
    int index = -1;
    static char *names[] = {"type", "index", NULL};
    if (kw && PyDict_GetItemString(kw, "device")) {
        what = PyDict_GetItemString(kw, "device");
    } else if (!PyArg_ParseTupleAndKeywords(args, kw, "O|i", names, &what, &index)) {
        return NULL;
    }
    taper_device d;
    if (Py_TYPE(what) == &ext_device_type) {
        Py_INCREF(what);
        return what;
    }
    if (PyUnicode_Check(what)) {
        const char *s = PyUnicode_AsUTF8(what);
        if (!s) return NULL;
        EXT_TRY(taper_device_parse(&d, s));
        bool has = strchr(s, ':') != NULL;
        if (index > INT8_MAX) return PyErr_Format(PyExc_RuntimeError, "Device index must be between 0 and %d, got %d", INT8_MAX, index);
        if (index >= 0) {
            d.index = (int8_t)index;
            has = true;
        }
        return ext_device(d, has);
    }
    int r = ext_device_of(what, &d);
    if (r < 0) return NULL;
    if (!r) return PyErr_Format(PyExc_TypeError, "device(): argument 'type' (position 1) must be str, not %s", Py_TYPE(what)->tp_name);
    return ext_device(d, true);
}

static const char *const device_words[] = {"cpu", "cuda", "meta"};
static PyObject *device_repr(PyObject *self) {
    ext_device_object *o = (ext_device_object *)self;
    return o->has_index ? PyUnicode_FromFormat("device(type='%s', index=%d)", device_words[o->d.type], o->d.index)
                        : PyUnicode_FromFormat("device(type='%s')", device_words[o->d.type]);
}
static PyObject *device_str(PyObject *self) {
    ext_device_object *o = (ext_device_object *)self;
    return o->has_index ? PyUnicode_FromFormat("%s:%d", device_words[o->d.type], o->d.index) : PyUnicode_FromString(device_words[o->d.type]);
}
static PyObject *device_compare(PyObject *a, PyObject *b, int op) {
    if (Py_TYPE(b) != &ext_device_type || (op != Py_EQ && op != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
    ext_device_object *x = (ext_device_object *)a, *y = (ext_device_object *)b;
    bool same = x->d.type == y->d.type && x->has_index == y->has_index && (!x->has_index || x->d.index == y->d.index);
    return PyBool_FromLong(same == (op == Py_EQ));
}
static Py_hash_t device_hash(PyObject *self) {
    ext_device_object *o = (ext_device_object *)self;
    return o->d.type * 64 + (o->has_index ? o->d.index + 1 : 0);
}
static PyObject *device_get(PyObject *self, void *what) {
    ext_device_object *o = (ext_device_object *)self;
    if (!what) return PyUnicode_FromString(device_words[o->d.type]);
    if (!o->has_index) Py_RETURN_NONE;
    return PyLong_FromLong(o->d.index);
}
static PyObject *device_enter(PyObject *self, PyObject *unused) {
    (void)unused;
    ext_device_object *o = (ext_device_object *)self;
    if (!o->saved && !(o->saved = PyList_New(0))) return NULL;
    PyObject *old = ext_have_default_device ? ext_device(ext_default_device, true) : (Py_INCREF(Py_None), Py_None);
    if (!old || PyList_Append(o->saved, old) < 0) return NULL;
    Py_DECREF(old);
    ext_default_device = o->d;
    device_current(&ext_default_device);
    ext_have_default_device = true;
    Py_INCREF(self);
    return self;
}
static PyObject *device_exit(PyObject *self, PyObject *args) {
    (void)args;
    ext_device_object *o = (ext_device_object *)self;
    Py_ssize_t n = o->saved ? PyList_GET_SIZE(o->saved) : 0;
    if (n) {
        PyObject *old = PyList_GET_ITEM(o->saved, n - 1);
        ext_have_default_device = old != Py_None;
        if (old != Py_None) ext_default_device = ((ext_device_object *)old)->d;
        PyList_SetSlice(o->saved, n - 1, n, NULL);
    }
    Py_RETURN_FALSE;
}
static PyObject *device_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    ext_device_object *o = (ext_device_object *)self;
    return o->has_index ? Py_BuildValue("O(si)", &ext_device_type, device_words[o->d.type], o->d.index)
                        : Py_BuildValue("O(s)", &ext_device_type, device_words[o->d.type]);
}
static void device_free(PyObject *self) {
    Py_XDECREF(((ext_device_object *)self)->saved);
    PyObject_Free(self);
}
static PyGetSetDef device_getset[] = {{"type", device_get, NULL, NULL, NULL}, {"index", device_get, NULL, NULL, (void *)1}, {0}};
static PyMethodDef device_methods[] = {{"__enter__", device_enter, METH_NOARGS, NULL},
                                       {"__exit__", device_exit, METH_VARARGS, NULL},
                                       {"__reduce__", device_reduce, METH_NOARGS, NULL},
                                       {0}};
PyTypeObject ext_device_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "torch.device",
                                .tp_basicsize = sizeof(ext_device_object),
                                .tp_flags = Py_TPFLAGS_DEFAULT,
                                .tp_new = device_new,
                                .tp_dealloc = device_free,
                                .tp_repr = device_repr,
                                .tp_str = device_str,
                                .tp_hash = device_hash,
                                .tp_richcompare = device_compare,
                                .tp_getset = device_getset,
                                .tp_methods = device_methods};

/* ---- Size: a tuple with a name ---- */

PyTypeObject *ext_size_type;

PyObject *ext_size(const int64_t *shape, int n) {
    PyObject *tuple = ext_size_type->tp_alloc(ext_size_type, n);
    for (int i = 0; tuple && i < n; i++) PyTuple_SET_ITEM(tuple, i, PyLong_FromLongLong(shape[i]));
    return tuple;
}
static PyObject *size_repr(PyObject *self) {
    PyObject *list = PySequence_List(self), *r = list ? PyUnicode_FromFormat("torch.Size(%R)", list) : NULL;
    Py_XDECREF(list);
    return r;
}
static PyObject *size_numel(PyObject *self, PyObject *unused) {
    (void)unused;
    long long n = 1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); i++) n *= PyLong_AsLongLong(PyTuple_GET_ITEM(self, i));
    return PyLong_FromLongLong(n);
}
static PyObject *size_from_tuple(PyObject *t) { /* takes over t */
    if (!t || !PyTuple_Check(t)) return t;
    PyObject *r = PyObject_CallFunctionObjArgs((PyObject *)ext_size_type, t, NULL);
    Py_DECREF(t);
    return r;
}
static PyObject *size_slice(PyObject *self, PyObject *key) { return size_from_tuple(PyTuple_Type.tp_as_mapping->mp_subscript(self, key)); }
static PyObject *size_concat(PyObject *a, PyObject *b) {
    if (!PyTuple_Check(a) || !PyTuple_Check(b)) Py_RETURN_NOTIMPLEMENTED;
    return size_from_tuple(PyTuple_Type.tp_as_sequence->sq_concat(a, b));
}
static PyObject *size_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *t = PySequence_Tuple(self), *plain = t ? PyTuple_GetSlice(t, 0, PyTuple_GET_SIZE(t)) : NULL;
    Py_XDECREF(t);
    PyObject *list = plain ? PySequence_List(plain) : NULL;
    Py_XDECREF(plain);
    t = list ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    return t ? Py_BuildValue("O(N)", ext_size_type, t) : NULL;
}
static PyMethodDef size_methods[] = {{"numel", size_numel, METH_NOARGS, NULL}, {"__reduce__", size_reduce, METH_NOARGS, NULL}, {0}};
static PyMappingMethods size_mapping = {NULL, size_slice, NULL};
static PySequenceMethods size_sequence = {.sq_concat = size_concat};
static PyTypeObject size_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "torch.Size", .tp_base = &PyTuple_Type, .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                                 .tp_repr = size_repr, .tp_as_mapping = &size_mapping, .tp_as_sequence = &size_sequence, .tp_methods = size_methods};

/* ---- layout and memory_format: names only ---- */

typedef struct word_object {
    PyObject_HEAD
    const char *name;
} word_object;
static PyObject *word_repr(PyObject *self) { return PyUnicode_FromFormat("torch.%s", ((word_object *)self)->name); }
static PyObject *word_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    return PyUnicode_FromString(((word_object *)self)->name);
}
static PyMethodDef word_methods[] = {{"__reduce__", word_reduce, METH_NOARGS, NULL}, {0}};
static PyTypeObject layout_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "torch.layout", .tp_basicsize = sizeof(word_object),
                                   .tp_flags = Py_TPFLAGS_DEFAULT, .tp_repr = word_repr, .tp_methods = word_methods};
static PyTypeObject format_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "torch.memory_format", .tp_basicsize = sizeof(word_object),
                                   .tp_flags = Py_TPFLAGS_DEFAULT, .tp_repr = word_repr, .tp_methods = word_methods};

const char *ext_format_of(PyObject *o) { return Py_TYPE(o) == &format_type ? ((word_object *)o)->name : NULL; }

static int add_word(PyObject *m, PyTypeObject *type, const char *name) {
    word_object *w = PyObject_New(word_object, type);
    if (!w) return -1;
    w->name = name;
    return PyModule_AddObject(m, name, (PyObject *)w);
}

int ext_types_init(PyObject *m) {
    static const struct {
        const char *alias, *name;
    } aliases[] = {{"float", "float32"}, {"double", "float64"}, {"half", "float16"}, {"long", "int64"}, {"int", "int32"}, {"short", "int16"}};
    if (PyType_Ready(&ext_dtype_type) < 0 || PyType_Ready(&ext_device_type) < 0 || PyType_Ready(&layout_type) < 0 ||
        PyType_Ready(&format_type) < 0 || PyType_Ready(&ext_generator_type) < 0)
        return -1;
    for (int i = 0; i < TAPER_DTYPE_COUNT; i++) {
        PyObject_Init((PyObject *)&dtypes[i], &ext_dtype_type);
        dtypes[i].d = (taper_dtype)i;
        Py_INCREF(&dtypes[i]);
        if (PyModule_AddObject(m, taper_dtype_name((taper_dtype)i), (PyObject *)&dtypes[i]) < 0) return -1;
    }
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (PyModule_AddObject(m, aliases[i].alias, ext_dtype(taper_dtype_from_name(aliases[i].name))) < 0) return -1;
    /* A tuple has no mp_length of its own to inherit: subscription alone is replaced. */
    size_mapping.mp_length = PyTuple_Type.tp_as_mapping->mp_length;
    if (PyType_Ready(&size_type) < 0) return -1;
    ext_size_type = &size_type;
    PyObject *memory = PyErr_NewException("torch.OutOfMemoryError", PyExc_RuntimeError, NULL);
    if (!memory) return -1;
    ext_out_of_memory = memory;
    Py_INCREF(memory);
    ext_generator_object *g = (ext_generator_object *)ext_generator_type.tp_alloc(&ext_generator_type, 0);
    if (!g) return -1;
    g->g = taper_generator_retain(taper_generator_default());
    const struct {
        const char *name;
        PyObject *value;
    } things[] = {{"dtype", (PyObject *)&ext_dtype_type},         {"device", (PyObject *)&ext_device_type}, {"Size", (PyObject *)ext_size_type},
                  {"layout", (PyObject *)&layout_type},           {"memory_format", (PyObject *)&format_type}, {"OutOfMemoryError", memory},
                  {"Generator", (PyObject *)&ext_generator_type}, {"default_generator", (PyObject *)g}};
    for (size_t i = 0; i < sizeof things / sizeof *things; i++) {
        Py_INCREF(things[i].value);
        if (PyModule_AddObject(m, things[i].name, things[i].value) < 0) return -1;
    }
    return add_word(m, &layout_type, "strided") | add_word(m, &layout_type, "sparse_coo") | add_word(m, &format_type, "contiguous_format") |
           add_word(m, &format_type, "channels_last") | add_word(m, &format_type, "channels_last_3d") |
           add_word(m, &format_type, "preserve_format");
}
