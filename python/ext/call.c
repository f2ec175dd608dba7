/* Operators as Python functions and methods: one generic trampoline over the rows and their schemas. */
#include "ext.h"

enum { MAX_OVERLOADS = 8, MAX_INTS = 64, MAX_LIST = 1024 };

typedef struct ext_op {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *name;
    bool inplace;
    int count;
    const taper_op_row *rows[MAX_OVERLOADS];
} ext_op;

/* Room for the lists one call may carry. */
typedef struct ext_room {
    int ints_used, list_used;
    int64_t ints[MAX_INTS];
    taper_tensor **list;
    taper_tensor *small[32];
    taper_tensor **lists[TAPER_MAX_ARGS];
    int nlists;
} ext_room;

static void room_free(ext_room *r) {
    for (int i = 0; i < r->nlists; i++) PyMem_Free(r->lists[i]);
}

int ext_int64(PyObject *o, int64_t *out) {
    if (PyLong_Check(o)) {
        *out = PyLong_AsLongLong(o);
        return *out == -1 && PyErr_Occurred() ? -1 : 1;
    }
    if (PyFloat_Check(o) || PyUnicode_Check(o) || o == Py_None) return 0;
    if (ext_is_tensor(o)) {
        taper_tensor *t = ext_t(o);
        if (taper_tensor_numel(t) != 1 || taper_dtype_is_float(taper_tensor_dtype(t))) return 0;
        taper_status st = taper_tensor_item_int(t, out);
        if (st != TAPER_OK) {
            ext_raise(st);
            return -1;
        }
        return 1;
    }
    if (!PyIndex_Check(o)) return 0;
    PyObject *n = PyNumber_Index(o);
    if (!n) {
        PyErr_Clear();
        return 0;
    }
    *out = PyLong_AsLongLong(n);
    Py_DECREF(n);
    return *out == -1 && PyErr_Occurred() ? -1 : 1;
}

int ext_number(PyObject *o, taper_arg *out) {
    out->count = 0;
    if (PyFloat_Check(o)) {
        out->kind = TAPER_ARG_FLOAT;
        out->f = PyFloat_AS_DOUBLE(o);
        return 1;
    }
    if (PyBool_Check(o)) {
        out->kind = TAPER_ARG_BOOL;
        out->i = o == Py_True;
        return 1;
    }
    if (PyLong_Check(o)) {
        out->kind = TAPER_ARG_INT;
        out->i = PyLong_AsLongLong(o);
        if (out->i == -1 && PyErr_Occurred()) {
            PyErr_Clear(); /* beyond 64 bits: as a float, like an overflowing literal */
            out->kind = TAPER_ARG_FLOAT;
            out->f = PyLong_AsDouble(o);
            if (PyErr_Occurred()) return -1;
        }
        return 1;
    }
    if (ext_is_tensor(o)) {
        taper_tensor *t = ext_t(o);
        if (taper_tensor_numel(t) != 1) return 0;
        bool is_float = taper_dtype_is_float(taper_tensor_dtype(t));
        out->kind = is_float ? TAPER_ARG_FLOAT : taper_tensor_dtype(t) == TAPER_BOOL ? TAPER_ARG_BOOL : TAPER_ARG_INT;
        taper_status st = is_float ? taper_tensor_item_double(t, &out->f) : taper_tensor_item_int(t, &out->i);
        if (st != TAPER_OK) {
            ext_raise(st);
            return -1;
        }
        return 1;
    }
    PyNumberMethods *nb = Py_TYPE(o)->tp_as_number; /* NumPy scalars */
    if (!nb || PySequence_Check(o)) return 0;
    if (nb->nb_index) {
        int r = ext_int64(o, &out->i);
        out->kind = TAPER_ARG_INT;
        if (r) return r;
    }
    if (!nb->nb_float) return 0;
    PyObject *f = PyNumber_Float(o);
    if (!f) {
        PyErr_Clear();
        return 0;
    }
    out->kind = TAPER_ARG_FLOAT;
    out->f = PyFloat_AS_DOUBLE(f);
    Py_DECREF(f);
    return 1;
}

static int get_ints(ext_room *r, PyObject *o, taper_arg *out) {
    out->kind = TAPER_ARG_INTS;
    out->is = r->ints + r->ints_used;
    if (!PyList_Check(o) && !PyTuple_Check(o)) {
        int ok = r->ints_used < MAX_INTS ? ext_int64(o, &r->ints[r->ints_used]) : 0;
        if (ok > 0) {
            r->ints_used++;
            out->count = 1;
        }
        return ok;
    }
    Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
    if (n > MAX_INTS - r->ints_used) {
        PyErr_Format(PyExc_ValueError, "too many sizes: %zd", n);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        int ok = ext_int64(PySequence_Fast_GET_ITEM(o, i), &r->ints[r->ints_used + i]);
        if (ok <= 0) return ok;
    }
    r->ints_used += (int)n;
    out->count = (int32_t)n;
    return 1;
}

static int get_tensors(ext_room *r, PyObject *o, bool holes, taper_arg *out) {
    if (!PyList_Check(o) && !PyTuple_Check(o)) return 0;
    Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
    taper_tensor **ts = r->small + r->list_used;
    if (n + r->list_used > (Py_ssize_t)(sizeof r->small / sizeof *r->small)) {
        ts = PyMem_Malloc(sizeof *ts * (size_t)(n + 1));
        if (!ts) {
            PyErr_NoMemory();
            return -1;
        }
        r->lists[r->nlists++] = ts;
    } else {
        r->list_used += (int)n;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PySequence_Fast_GET_ITEM(o, i);
        if (item == Py_None && holes)
            ts[i] = NULL;
        else if (ext_is_tensor(item))
            ts[i] = ext_t(item);
        else
            return 0;
    }
    out->kind = TAPER_ARG_TENSORS;
    out->count = (int32_t)n;
    out->ts = ts;
    return 1;
}

/* Converts one object to one schema argument: 1 yes, 0 does not fit, -1 error. */
static int get_arg(ext_room *r, const taper_op_row *row, const taper_schema *s, int k, PyObject *o, taper_arg *out) {
    out->count = 0;
    if (o == Py_None && (s->args[k].optional || s->args[k].kind == TAPER_ARG_GENERATOR || s->args[k].kind == TAPER_ARG_DTYPE ||
                         s->args[k].kind == TAPER_ARG_DEVICE)) {
        out->kind = TAPER_ARG_NONE;
        out->t = NULL;
        return 1;
    }
    if (s->args[k].scalar) return ext_number(o, out);
    switch (s->args[k].kind) { /* on the kind of an argument, not on an operator */
    case TAPER_ARG_TENSOR:
        if (ext_is_tensor(o)) {
            out->kind = TAPER_ARG_TENSOR;
            out->t = ext_t(o);
            return 1;
        }
        return row->op->pointwise && k > 0 && !ext_is_tensor(o) ? ext_number(o, out) : 0;
    case TAPER_ARG_TENSORS: return get_tensors(r, o, s->args[k].optional_items, out);
    case TAPER_ARG_INT: out->kind = TAPER_ARG_INT; return ext_int64(o, &out->i);
    case TAPER_ARG_FLOAT: {
        int ok = ext_number(o, out);
        if (ok > 0) {
            out->f = taper_arg_double(out);
            out->kind = TAPER_ARG_FLOAT;
        }
        return ok;
    }
    case TAPER_ARG_BOOL:
        if (!PyBool_Check(o)) {
            if (strcmp(Py_TYPE(o)->tp_name, "numpy.bool_") && strcmp(Py_TYPE(o)->tp_name, "numpy.bool")) return 0;
            out->i = PyObject_IsTrue(o) > 0;
        } else {
            out->i = o == Py_True;
        }
        out->kind = TAPER_ARG_BOOL;
        return 1;
    case TAPER_ARG_INTS: return get_ints(r, o, out);
    case TAPER_ARG_DTYPE: out->kind = TAPER_ARG_DTYPE; return ext_dtype_of(o, &out->dtype);
    case TAPER_ARG_DEVICE: out->kind = TAPER_ARG_DEVICE; return ext_device_of(o, &out->device);
    case TAPER_ARG_STRING:
        if (!PyUnicode_Check(o)) {
            out->kind = TAPER_ARG_STRING;
            out->s = ext_format_of(o);
            return out->s != NULL;
        }
        out->kind = TAPER_ARG_STRING;
        out->s = PyUnicode_AsUTF8(o);
        return out->s ? 1 : -1;
    case TAPER_ARG_GENERATOR:
        if (!PyObject_TypeCheck(o, &ext_generator_type)) return 0;
        out->kind = TAPER_ARG_GENERATOR;
        out->g = ((ext_generator_object *)o)->g;
        return 1;
    default: return 0;
    }
}

static int find_arg(const taper_schema *s, const char *name) {
    for (int k = 0; k < s->nargs; k++)
        if (!strcmp(s->args[k].name, name)) return k;
    static const char *const same[][2] = {{"axis", "dim"}, {"keepdims", "keepdim"}, {"input", "self"}, {"axes", "dims"}, {"x", "self"}, {"other", "tensor2"}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (!strcmp(name, same[i][0]))
            for (int k = 0; k < s->nargs; k++)
                if (!strcmp(s->args[k].name, same[i][1])) return k;
    return -1;
}

typedef struct ext_extra { /* keywords every operator takes, beside its schema */
    PyObject *out;
    int requires_grad;
} ext_extra;

static bool factory_word(const char *w) {
    return !strcmp(w, "layout") || !strcmp(w, "pin_memory") || !strcmp(w, "names") || !strcmp(w, "memory_format") || !strcmp(w, "non_blocking");
}

/* 1: filled; 0: does not fit, with a reason; -1: an exception is set. */
static int parse(ext_room *r, const taper_op_row *row, const taper_schema *s, PyObject *const *args, Py_ssize_t n, PyObject *kwnames,
                 taper_arg *out, ext_extra *extra, char *why, size_t why_size) {
    bool given[TAPER_MAX_ARGS] = {false};
    int positional = 0;
    while (positional < s->nargs && !s->args[positional].keyword_only) positional++;
    Py_ssize_t k = 0;
    for (Py_ssize_t i = 0; i < n; i++, k++) {
        if (k >= positional) {
            snprintf(why, why_size, "%s() takes %d positional arguments but %zd were given", s->name, positional, n);
            return 0;
        }
        bool last = k == positional - 1;
        if (s->args[k].kind == TAPER_ARG_INTS && last && n - i > 1 && !PyList_Check(args[i]) && !PyTuple_Check(args[i])) {
            int64_t *is = r->ints + r->ints_used; /* view(2, 3): the rest are the sizes */
            for (Py_ssize_t j = i; j < n; j++) {
                int ok = r->ints_used < MAX_INTS ? ext_int64(args[j], &r->ints[r->ints_used]) : 0;
                if (ok < 0) return -1;
                if (!ok) {
                    snprintf(why, why_size, "%s(): argument '%s' must be tuple of ints, but found element of type %s at pos %zd", s->name,
                             s->args[k].name, Py_TYPE(args[j])->tp_name, j + 1);
                    return 0;
                }
                r->ints_used++;
            }
            out[k] = (taper_arg){.kind = TAPER_ARG_INTS, .count = (int32_t)(n - i), .is = is};
            given[k] = true;
            k++;
            break;
        }
        if (s->args[k].kind == TAPER_ARG_TENSORS && last && n - i > 1 && ext_is_tensor(args[i])) {
            taper_tensor **ts = PyMem_Malloc(sizeof *ts * (size_t)(n - i)); /* cat-like functions given tensors one by one */
            if (!ts) {
                PyErr_NoMemory();
                return -1;
            }
            r->lists[r->nlists++] = ts;
            for (Py_ssize_t j = i; j < n; j++) {
                if (!ext_is_tensor(args[j])) {
                    snprintf(why, why_size, "%s(): argument %zd must be Tensor, not %s", s->name, j + 1, Py_TYPE(args[j])->tp_name);
                    return 0;
                }
                ts[j - i] = ext_t(args[j]);
            }
            out[k] = (taper_arg){.kind = TAPER_ARG_TENSORS, .count = (int32_t)(n - i), .ts = ts};
            given[k] = true;
            k++;
            break;
        }
        int ok = get_arg(r, row, s, (int)k, args[i], &out[k]);
        if (ok < 0) return -1;
        if (!ok) {
            snprintf(why, why_size, "%s(): argument '%s' (position %zd) must be %s, not %s", s->name, strcmp(s->args[k].name, "self") ? s->args[k].name : "input", i + 1,
                     s->args[k].kind == TAPER_ARG_TENSOR ? "Tensor" : s->args[k].kind == TAPER_ARG_TENSORS ? "tuple of Tensors"
                     : s->args[k].kind == TAPER_ARG_INTS ? "tuple of ints" : s->args[k].kind == TAPER_ARG_INT ? "int"
                     : s->args[k].kind == TAPER_ARG_BOOL ? "bool" : s->args[k].kind == TAPER_ARG_STRING ? "str"
                     : s->args[k].kind == TAPER_ARG_DTYPE ? "torch.dtype" : s->args[k].kind == TAPER_ARG_DEVICE ? "torch.device"
                     : s->args[k].scalar ? "Number" : "float", Py_TYPE(args[i])->tp_name);
            return 0;
        }
        given[k] = true;
    }
    Py_ssize_t nkw = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < nkw; i++) {
        const char *name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(kwnames, i));
        PyObject *value = args[n + i];
        if (!name) return -1;
        int at = find_arg(s, name);
        if (at < 0 && !strcmp(name, "out")) {
            extra->out = value == Py_None ? NULL : value;
            continue;
        }
        if (at < 0 && !strcmp(name, "requires_grad")) {
            extra->requires_grad = PyObject_IsTrue(value);
            if (extra->requires_grad < 0) return -1;
            continue;
        }
        if (at < 0 && factory_word(name)) continue;
        if (at < 0) {
            snprintf(why, why_size, "%s() got an unexpected keyword argument '%s'", s->name, name);
            return 0;
        }
        if (given[at]) {
            snprintf(why, why_size, "%s() got multiple values for argument '%s'", s->name, name);
            return 0;
        }
        int ok = get_arg(r, row, s, at, value, &out[at]);
        if (ok < 0) return -1;
        if (!ok) {
            snprintf(why, why_size, "%s(): argument '%s' has the wrong type: %s", s->name, name, Py_TYPE(value)->tp_name);
            return 0;
        }
        given[at] = true;
    }
    for (int a = 0; a < s->nargs; a++) {
        if (given[a]) continue;
        if (s->args[a].has_default || s->args[a].optional) {
            out[a] = s->args[a].has_default ? s->args[a].fallback : (taper_arg){.kind = TAPER_ARG_NONE};
            continue;
        }
        if (s->args[a].kind == TAPER_ARG_INTS && a == positional - 1 && n <= a) { /* randn(): no sizes is the empty shape */
            if (n == a && strcmp(s->args[a].name, "size") == 0) {
                out[a] = (taper_arg){.kind = TAPER_ARG_INTS, .count = 0, .is = r->ints};
                continue;
            }
        }
        snprintf(why, why_size, "%s() missing 1 required positional arguments: \"%s\"", s->name, s->args[a].name);
        return 0;
    }
    return 1;
}

PyObject *ext_wrap_results(const taper_schema *s, taper_tensor **out, int n);
extern PyMethodDef ext_return_type_functions[];

static PyObject *call_parsed(const taper_op_row *row, const taper_schema *s, taper_arg *args, bool inplace, const ext_extra *extra, PyObject *self) {
    taper_tensor *out[TAPER_MAX_OUTS] = {NULL};
    taper_status st;
    if (ext_have_default_device) /* `with torch.device(...)`: factories without a device of their own */
        for (int k = 0; k < s->nargs; k++) {
            if (args[k].kind == TAPER_ARG_TENSOR || args[k].kind == TAPER_ARG_TENSORS) break;
            if (s->args[k].kind == TAPER_ARG_DEVICE && args[k].kind == TAPER_ARG_NONE) {
                args[k].kind = TAPER_ARG_DEVICE;
                args[k].device = ext_default_device;
            }
        }
    if (inplace) {
        EXT_TRY(taper_op_call_inplace(row, args, s->nargs));
        Py_INCREF(self);
        return self;
    }
    if (extra && extra->out && !ext_is_tensor(extra->out) && s->nresults < 2)
        return PyErr_Format(PyExc_TypeError, "%s(): argument 'out' must be Tensor, not %s", s->name, Py_TYPE(extra->out)->tp_name);
    if (extra && extra->out && s->result_list) return PyErr_Format(PyExc_TypeError, "%s() takes no argument 'out'", s->name);
    if (extra && extra->out && s->nresults == 1) {
        EXT_TRY(taper_op_call_out(row, args, s->nargs, ext_t(extra->out)));
        Py_INCREF(extra->out);
        return extra->out;
    }
    if (s->result_list) {
        taper_tensor **list = NULL;
        int count = 0;
        EXT_TRY(taper_op_call_list(row, args, s->nargs, &list, &count));
        PyObject *tuple = PyTuple_New(count);
        for (int i = 0; i < count; i++) {
            PyObject *o = ext_wrap(list[i]);
            if (tuple && o)
                PyTuple_SET_ITEM(tuple, i, o);
            else
                Py_CLEAR(tuple);
        }
        taper_op_list_free(list);
        return tuple;
    }
    st = taper_op_call(row, args, s->nargs, out);
    if (st != TAPER_OK) return ext_raise(st);
    if (s->nresults == 0) Py_RETURN_NONE;
    if (extra && extra->requires_grad > 0) {
        st = taper_set_requires_grad(out[0], true);
        if (st != TAPER_OK) {
            taper_tensor_release(out[0]);
            return ext_raise(st);
        }
    }
    if (s->result_bool) {
        int64_t yes = 0;
        st = taper_tensor_device(out[0]).type == TAPER_META ? taper_fail(TAPER_NOT_IMPLEMENTED, __FILE__, __LINE__, "%s: a tensor on meta has no values", s->name)
                                                            : taper_tensor_item_int(out[0], &yes);
        taper_tensor_release(out[0]);
        return st == TAPER_OK ? PyBool_FromLong(yes != 0) : ext_raise(st);
    }
    if (s->nresults == 1) return ext_wrap(out[0]);
    PyObject *r = ext_wrap_results(s, out, s->nresults);
    if (r && extra && extra->out && PyTuple_Check(extra->out))
        for (int i = 0; i < s->nresults && i < PyTuple_GET_SIZE(extra->out); i++) {
            taper_tensor *same = NULL;
            PyObject *to = PyTuple_GET_ITEM(extra->out, i), *from = PyTuple_GET_ITEM(r, i);
            if (!ext_is_tensor(to) || !ext_is_tensor(from)) {
                PyErr_Format(PyExc_TypeError, "%s(): argument 'out' must be tuple of Tensors, but found element of type %s", s->name, Py_TYPE(to)->tp_name);
                Py_DECREF(r);
                return NULL;
            }
            st = taper_copy_(&same, ext_t(to), ext_t(from), false);
            taper_tensor_release(same);
            if (st != TAPER_OK) {
                Py_DECREF(r);
                return ext_raise(st);
            }
        }
    return r;
}

PyObject *ext_call_row(const taper_op_row *row, taper_arg *args, int n) {
    (void)n;
    return call_parsed(row, taper_schema_of(row), args, false, NULL, NULL);
}

static PyObject *op_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
    ext_op *op = (ext_op *)callable;
    Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    char why[512] = "";
    for (int i = 0; i < op->count; i++) {
        const taper_op_row *row = op->rows[i];
        const taper_schema *s = taper_schema_of(row);
        if (!s) return PyErr_Format(PyExc_RuntimeError, "%s: malformed schema: %s", row->name, row->schema);
        taper_arg values[TAPER_MAX_ARGS];
        ext_extra extra = {NULL, -1};
        ext_room room;
        room.ints_used = room.list_used = room.nlists = 0;
        int ok = parse(&room, row, s, args, n, kwnames, values, &extra, why, sizeof why);
        PyObject *r = NULL;
        if (ok > 0) r = call_parsed(row, s, values, op->inplace, &extra, n ? args[0] : NULL);
        room_free(&room);
        if (ok) return ok > 0 ? r : NULL;
    }
    if (op->count > 1) {
        char got[256] = "";
        for (Py_ssize_t i = 0; i < n && strlen(got) < 200; i++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.40s", i ? ", " : "", Py_TYPE(args[i])->tp_name);
        return PyErr_Format(PyExc_TypeError, "%U() received an invalid combination of arguments - got (%s), but expected one of its %d forms; the last: %s",
                            op->name, got, op->count, why);
    }
    return PyErr_Format(PyExc_TypeError, "%s", why);
}

static PyObject *op_repr(PyObject *self) { return PyUnicode_FromFormat("<built-in method %U of type object>", ((ext_op *)self)->name); }
static PyObject *op_bind(PyObject *self, PyObject *obj, PyObject *type) {
    (void)type;
    if (!obj || obj == Py_None) {
        Py_INCREF(self);
        return self;
    }
    return PyMethod_New(self, obj);
}
/* The schemas of its forms, and what their rows say of themselves (python/taper/_op_docs.py). */
static PyObject *op_get_doc(PyObject *self, void *unused) {
    const ext_op *op = (const ext_op *)self;
    PyObject *module = PyImport_ImportModule("taper._op_docs"), *docs = module ? PyObject_GetAttrString(module, "DOCS") : NULL;
    PyObject *text = PyUnicode_FromString("");
    (void)unused;
    if (!docs) PyErr_Clear(); /* the extension without the package */
    for (int i = 0; text && i < op->count; i++) PyUnicode_AppendAndDel(&text, PyUnicode_FromFormat("%s\n", op->rows[i]->schema));
    for (int i = 0; text && docs && i < op->count; i++) {
        PyObject *said = PyDict_GetItemString(docs, op->rows[i]->name);
        if (said && PyUnicode_Contains(text, said) == 0) PyUnicode_AppendAndDel(&text, PyUnicode_FromFormat("\n%U\n", said));
    }
    if (text && op->inplace) PyUnicode_AppendAndDel(&text, PyUnicode_FromString("\nIn place: the result is written into the first tensor.\n"));
    Py_XDECREF(docs);
    Py_XDECREF(module);
    return text;
}
static PyObject *op_get_name(PyObject *self, void *unused) {
    (void)unused;
    PyObject *n = ((ext_op *)self)->name;
    Py_INCREF(n);
    return n;
}
static PyObject *op_get_module(PyObject *self, void *unused) {
    (void)self, (void)unused;
    return PyUnicode_FromString("torch");
}
static PyObject *op_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    return PyUnicode_FromFormat("%U", ((ext_op *)self)->name);
}
static PyGetSetDef op_getset[] = {{"__doc__", op_get_doc, NULL, NULL, NULL},
                                  {"__name__", op_get_name, NULL, NULL, NULL},
                                  {"__qualname__", op_get_name, NULL, NULL, NULL},
                                  {"__module__", op_get_module, NULL, NULL, NULL},
                                  {0}};
static PyMethodDef op_methods[] = {{"__reduce__", op_reduce, METH_NOARGS, NULL}, {0}};
static PyTypeObject method_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "torch._C.OperatorMethod",
                                   .tp_basicsize = sizeof(ext_op),
                                   .tp_vectorcall_offset = offsetof(ext_op, call),
                                   .tp_call = PyVectorcall_Call,
                                   .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
                                   .tp_repr = op_repr,
                                   .tp_descr_get = op_bind,
                                   .tp_getset = op_getset,
                                   .tp_methods = op_methods};
static PyTypeObject function_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "builtin_function_or_method",
                                     .tp_basicsize = sizeof(ext_op),
                                     .tp_vectorcall_offset = offsetof(ext_op, call),
                                     .tp_call = PyVectorcall_Call,
                                     .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
                                     .tp_repr = op_repr,
                                     .tp_getset = op_getset,
                                     .tp_methods = op_methods};

static int add_row(PyObject *dict, PyTypeObject *type, const char *name, const taper_op_row *row, bool inplace) {
    ext_op *op = (ext_op *)PyDict_GetItemString(dict, name);
    if (op && (Py_TYPE(op) == type)) {
        if (op->count < MAX_OVERLOADS) op->rows[op->count++] = row;
        return 0;
    }
    if (op && type == &method_type) return 0; /* the type has its own */
    op = PyObject_New(ext_op, type);
    if (!op) return -1;
    op->call = op_call;
    op->name = PyUnicode_FromString(name);
    op->inplace = inplace;
    op->count = 1;
    op->rows[0] = row;
    int r = PyDict_SetItemString(dict, name, (PyObject *)op);
    Py_DECREF(op);
    return r;
}

int ext_ops_init(PyObject *m) {
    if (PyType_Ready(&method_type) < 0 || PyType_Ready(&function_type) < 0) return -1;
    PyObject *ops = PyModule_New("torch._C.ops"), *dict = ops ? PyModule_GetDict(ops) : NULL, *methods = ext_tensor_type.tp_dict;
    if (!ops) return -1;
    for (const taper_op_row *row = taper_op_rows(); row->name; row++) {
        const taper_schema *s = taper_schema_of(row);
        if (!s) {
            PyErr_Format(PyExc_ImportError, "operator %s has a malformed schema: %s", row->name, row->schema);
            return -1;
        }
        if (add_row(dict, &function_type, s->name, row, false) < 0) return -1;
        bool method = s->nargs > 0 && s->args[0].kind == TAPER_ARG_TENSOR && !s->args[0].keyword_only && !s->args[0].optional;
        if (method && add_row(methods, &method_type, s->name, row, false) < 0) return -1;
        if (row->inplace) {
            char name[80];
            snprintf(name, sizeof name, "%.70s_", s->name);
            if (add_row(dict, &function_type, name, row, true) < 0 || (method && add_row(methods, &method_type, name, row, true) < 0)) return -1;
        }
    }
    static const char *const aliases[][2] = {{"multiply", "mul"}, {"subtract", "sub"}, {"divide", "div"}, {"true_divide", "div"}, {"absolute", "abs"},
        {"negative", "neg"}, {"clip", "clamp"}, {"greater", "gt"}, {"greater_equal", "ge"}, {"less", "lt"}, {"less_equal", "le"}, {"not_equal", "ne"},
        {"concat", "cat"}, {"concatenate", "cat"}, {"swapaxes", "transpose"}, {"swapdims", "transpose"}, {"moveaxis", "movedim"}, {"special_erf", "erf"},
        {"arccos", "acos"}, {"arcsin", "asin"}, {"arctan", "atan"}, {"arctan2", "atan2"}, {"fix", "trunc"}, {"multiply_", "mul_"}, {"subtract_", "sub_"},
        {"divide_", "div_"}, {"clip_", "clamp_"}, {"absolute_", "abs_"}, {"negative_", "neg_"}, {"ger", "outer"}, {"row_stack", "vstack"}};
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        PyObject *f = PyDict_GetItemString(dict, aliases[i][1]), *g = PyDict_GetItemString(methods, aliases[i][1]);
        if (f && !PyDict_GetItemString(dict, aliases[i][0])) PyDict_SetItemString(dict, aliases[i][0], f);
        if (g && !PyDict_GetItemString(methods, aliases[i][0])) PyDict_SetItemString(methods, aliases[i][0], g);
    }
    if (ext_add_functions(ops, ext_data_functions) < 0 || ext_add_functions(m, ext_return_type_functions) < 0) return -1;
    PyType_Modified(&ext_tensor_type);
    return PyModule_AddObject(m, "ops", ops);
}
