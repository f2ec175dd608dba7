/* The Tensor type: life, attributes, number and sequence protocols. Operators become methods in call.c. */
#include "ext.h"

PyObject *ext_wrap_as(PyTypeObject *type, taper_tensor *t) {
    ext_tensor *o = (ext_tensor *)type->tp_alloc(type, 0);
    if (!o) {
        taper_tensor_release(t);
        return NULL;
    }
    o->t = t;
    taper_tensor_set_frontend(t, o);
    return (PyObject *)o;
}

PyObject *ext_wrap(taper_tensor *t) {
    PyObject *known = taper_tensor_frontend(t);
    if (known) { /* the tensor has a Python object already: the same one comes back */
        Py_INCREF(known);
        taper_tensor_release(t);
        return known;
    }
    return ext_wrap_as(&ext_tensor_type, t);
}

PyObject *ext_borrow(taper_tensor *t) {
    if (!t) Py_RETURN_NONE;
    return ext_wrap(taper_tensor_retain(t));
}

static void tensor_free(PyObject *self) {
    ext_tensor *o = (ext_tensor *)self;
    PyObject_GC_UnTrack(self);
    if (o->weak) PyObject_ClearWeakRefs(self);
    Py_CLEAR(o->dict);
    if (o->t) {
        if (taper_tensor_frontend(o->t) == o) taper_tensor_set_frontend(o->t, NULL);
        taper_tensor_release(o->t);
    }
    Py_TYPE(self)->tp_free(self); /* the deallocator of a Python subclass ends its own type */
}
static int tensor_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((ext_tensor *)self)->dict);
    return 0;
}
static int tensor_clear(PyObject *self) {
    Py_CLEAR(((ext_tensor *)self)->dict);
    return 0;
}

/* torch.Tensor(2, 3), torch.Tensor([1, 2]): the old constructor, always the default dtype. */
static PyObject *tensor_new(PyTypeObject *type, PyObject *args, PyObject *kw) {
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    taper_tensor *t = NULL;
    (void)kw;
    if (n == 1 && !PyLong_Check(PyTuple_GET_ITEM(args, 0)) && Py_TYPE(PyTuple_GET_ITEM(args, 0)) != ext_size_type) {
        PyObject *o = ext_tensor_from(PyTuple_GET_ITEM(args, 0), taper_default_dtype(), NULL, false, false);
        if (!o || type == &ext_tensor_type) return o;
        EXT_TRY(taper_detach(&t, ext_t(o)));
        Py_DECREF(o);
        return ext_wrap_as(type, t);
    }
    int64_t shape[TAPER_MAX_DIMS];
    PyObject *sizes = n == 1 && Py_TYPE(PyTuple_GET_ITEM(args, 0)) == ext_size_type ? PyTuple_GET_ITEM(args, 0) : args;
    n = PyTuple_GET_SIZE(sizes);
    if (n > TAPER_MAX_DIMS) return PyErr_Format(PyExc_ValueError, "Tensor(): %zd dimensions, at most %d", n, TAPER_MAX_DIMS);
    for (Py_ssize_t i = 0; i < n; i++)
        if (ext_int64(PyTuple_GET_ITEM(sizes, i), &shape[i]) <= 0)
            return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "new(): sizes must be ints, not %s", Py_TYPE(PyTuple_GET_ITEM(sizes, i))->tp_name);
    if (n == 0) shape[0] = 0;
    EXT_TRY(taper_tensor_new(&t, taper_default_dtype(), ext_have_default_device ? ext_default_device : taper_cpu(), n ? (int)n : 1, shape));
    return ext_wrap_as(type, t);
}

static PyObject *tensor_make_subclass(PyObject *unused, PyObject *args) {
    PyTypeObject *cls;
    PyObject *data;
    int grad = 0;
    (void)unused;
    if (!PyArg_ParseTuple(args, "O!O!|p", &PyType_Type, &cls, &ext_tensor_type, &data, &grad)) return NULL;
    taper_tensor *t = NULL;
    EXT_TRY(taper_detach(&t, ext_t(data)));
    taper_status st = grad ? taper_set_requires_grad(t, true) : TAPER_OK;
    if (st != TAPER_OK) {
        taper_tensor_release(t);
        return ext_raise(st);
    }
    return ext_wrap_as(cls, t);
}
static PyObject *tensor_as_subclass(PyObject *self, PyObject *cls) {
    if (!PyType_Check(cls)) return PyErr_Format(PyExc_TypeError, "as_subclass(): expected a class");
    taper_tensor *t = NULL;
    EXT_TRY(taper_detach(&t, ext_t(self)));
    return ext_wrap_as((PyTypeObject *)cls, t);
}

/* ---- numbers ---- */

/* One row with up to three given values; numbers stand for tensors in element-wise rows. */
static PyObject *tensor_row(const taper_op_row *row, const char *name, PyObject *a, PyObject *b, bool inplace) {
    if (!row) return PyErr_Format(PyExc_NotImplementedError, "%s: this build has no such operator", name);
    const taper_schema *s = taper_schema_of(row);
    taper_arg args[TAPER_MAX_ARGS];
    PyObject *given[2] = {a, b};
    int n = b ? 2 : 1;
    for (int i = 0; i < n; i++) {
        if (ext_is_tensor(given[i])) {
            args[i] = (taper_arg){.kind = TAPER_ARG_TENSOR, .t = ext_t(given[i])};
            continue;
        }
        int ok = row->op->pointwise || s->args[i].scalar ? ext_number(given[i], &args[i]) : 0;
        if (ok < 0) return NULL;
        if (!ok) Py_RETURN_NOTIMPLEMENTED;
    }
    if (!s) return ext_raise(TAPER_VALUE);
    for (int k = n; k < s->nargs; k++) args[k] = s->args[k].has_default ? s->args[k].fallback : (taper_arg){.kind = TAPER_ARG_NONE};
    if (inplace) {
        EXT_TRY(taper_op_call_inplace(row, args, s->nargs));
        Py_INCREF(a);
        return a;
    }
    taper_tensor *out[TAPER_MAX_OUTS];
    EXT_TRY(taper_op_call(row, args, s->nargs, out));
    return ext_wrap(out[0]);
}

static const taper_op_row *tensor_find(const taper_op_row **cache, const char *name) {
    if (!*cache) *cache = taper_op_find(name);
    return *cache;
}

#define BINARY(slot, row_name)                                                                                         \
    static PyObject *tensor_##slot(PyObject *a, PyObject *b) {                                                         \
        static const taper_op_row *row;                                                                                \
        return tensor_row(tensor_find(&row, #row_name), #row_name, a, b, false);                                       \
    }
#define BINARY_INPLACE(slot, row_name)                                                                                 \
    BINARY(slot, row_name)                                                                                             \
    static PyObject *tensor_i##slot(PyObject *a, PyObject *b) {                                                        \
        static const taper_op_row *row;                                                                                \
        return tensor_row(tensor_find(&row, #row_name), #row_name, a, b, true);                                        \
    }
#define UNARY(slot, row_name)                                                                                          \
    static PyObject *tensor_##slot(PyObject *a) {                                                                      \
        static const taper_op_row *row;                                                                                \
        return tensor_row(tensor_find(&row, #row_name), #row_name, a, NULL, false);                                    \
    }
BINARY_INPLACE(add, add)
BINARY_INPLACE(sub, sub)
BINARY_INPLACE(mul, mul)
BINARY_INPLACE(truediv, div)
BINARY_INPLACE(floordiv, floor_divide)
BINARY_INPLACE(remainder, remainder)
BINARY_INPLACE(and, bitwise_and)
BINARY_INPLACE(or, bitwise_or)
BINARY_INPLACE(xor, bitwise_xor)
BINARY_INPLACE(lshift, bitwise_left_shift)
BINARY_INPLACE(rshift, bitwise_right_shift)
BINARY(matmul, matmul)
UNARY(negative, neg)
UNARY(absolute, abs)
UNARY(invert, bitwise_not)
BINARY_INPLACE(power2, pow)
static PyObject *tensor_power(PyObject *a, PyObject *b, PyObject *mod) {
    if (mod != Py_None) return PyErr_Format(PyExc_TypeError, "pow(): a modulus is not supported");
    return tensor_power2(a, b);
}
static PyObject *tensor_ipower(PyObject *a, PyObject *b, PyObject *mod) {
    (void)mod;
    return tensor_ipower2(a, b);
}
static PyObject *tensor_positive(PyObject *a) {
    Py_INCREF(a);
    return a;
}
static int tensor_bool(PyObject *self) {
    double v;
    taper_tensor *t = ext_t(self);
    if (taper_tensor_numel(t) != 1) {
        PyErr_SetString(PyExc_RuntimeError, taper_tensor_numel(t) == 0 ? "Boolean value of Tensor with no values is ambiguous"
                                                                       : "Boolean value of Tensor with more than one value is ambiguous");
        return -1;
    }
    taper_status st = taper_tensor_item_double(t, &v);
    if (st != TAPER_OK) {
        ext_raise(st);
        return -1;
    }
    return v != 0;
}
static PyObject *tensor_float(PyObject *self) {
    double v;
    if (taper_tensor_numel(ext_t(self)) != 1)
        return PyErr_Format(PyExc_RuntimeError, "a Tensor with %lld elements cannot be converted to Scalar", (long long)taper_tensor_numel(ext_t(self)));
    EXT_TRY(taper_tensor_item_double(ext_t(self), &v));
    return PyFloat_FromDouble(v);
}
static PyObject *tensor_int(PyObject *self) {
    PyObject *item = ext_item(ext_t(self)), *n = item ? PyNumber_Long(item) : NULL;
    Py_XDECREF(item);
    return n;
}
static PyObject *tensor_index(PyObject *self) {
    if (taper_tensor_numel(ext_t(self)) != 1 || taper_dtype_is_float(taper_tensor_dtype(ext_t(self))))
        return PyErr_Format(PyExc_TypeError, "only integer tensors of a single element can be converted to an index");
    return tensor_int(self);
}
static PyNumberMethods tensor_number = {.nb_add = tensor_add, .nb_subtract = tensor_sub, .nb_multiply = tensor_mul, .nb_remainder = tensor_remainder,
    .nb_power = tensor_power, .nb_negative = tensor_negative, .nb_positive = tensor_positive, .nb_absolute = tensor_absolute, .nb_bool = tensor_bool,
    .nb_invert = tensor_invert, .nb_lshift = tensor_lshift, .nb_rshift = tensor_rshift, .nb_and = tensor_and, .nb_xor = tensor_xor, .nb_or = tensor_or,
    .nb_int = tensor_int, .nb_float = tensor_float, .nb_inplace_add = tensor_iadd, .nb_inplace_subtract = tensor_isub,
    .nb_inplace_multiply = tensor_imul, .nb_inplace_remainder = tensor_iremainder, .nb_inplace_power = tensor_ipower, .nb_inplace_and = tensor_iand,
    .nb_inplace_or = tensor_ior, .nb_inplace_xor = tensor_ixor, .nb_inplace_lshift = tensor_ilshift, .nb_inplace_rshift = tensor_irshift,
    .nb_floor_divide = tensor_floordiv, .nb_true_divide = tensor_truediv, .nb_inplace_floor_divide = tensor_ifloordiv,
    .nb_inplace_true_divide = tensor_itruediv, .nb_index = tensor_index, .nb_matrix_multiply = tensor_matmul};

static PyObject *tensor_compare(PyObject *a, PyObject *b, int op) {
    static const char *const names[] = {"lt", "le", "eq", "ne", "gt", "ge"};
    static const taper_op_row *rows[6];
    taper_arg probe;
    if (!ext_is_tensor(b) && ext_number(b, &probe) <= 0) {
        PyErr_Clear();
        Py_RETURN_NOTIMPLEMENTED;
    }
    return tensor_row(tensor_find(&rows[op], names[op]), names[op], a, b, false);
}
static Py_hash_t tensor_hash(PyObject *self) { return _Py_HashPointer(self); }

/* ---- sequence ---- */

static Py_ssize_t tensor_length(PyObject *self) {
    taper_tensor *t = ext_t(self);
    if (taper_tensor_ndim(t) == 0) {
        PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
        return -1;
    }
    return (Py_ssize_t)taper_tensor_shape(t)[0];
}
static PyObject *tensor_iter(PyObject *self) {
    if (taper_tensor_ndim(ext_t(self)) == 0) return PyErr_Format(PyExc_TypeError, "iteration over a 0-d tensor");
    Py_ssize_t n = tensor_length(self);
    PyObject *list = PyList_New(n);
    for (Py_ssize_t i = 0; list && i < n; i++) {
        PyObject *k = PyLong_FromSsize_t(i), *o = k ? ext_getitem(self, k) : NULL;
        Py_XDECREF(k);
        if (!o)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, o);
    }
    PyObject *it = list ? PyObject_GetIter(list) : NULL;
    Py_XDECREF(list);
    return it;
}
static int tensor_contains(PyObject *self, PyObject *value) {
    PyObject *same = tensor_compare(self, value, Py_EQ);
    if (!same || same == Py_NotImplemented) {
        Py_XDECREF(same);
        if (!PyErr_Occurred()) PyErr_Format(PyExc_RuntimeError, "Tensor.__contains__ only supports Tensor or scalar, but you passed in a %s.", Py_TYPE(value)->tp_name);
        return -1;
    }
    PyObject *any = PyObject_CallMethod(same, "any", NULL);
    Py_DECREF(same);
    int r = any ? PyObject_IsTrue(any) : -1;
    Py_XDECREF(any);
    return r;
}
static PyMappingMethods tensor_mapping = {tensor_length, ext_getitem, ext_setitem};
static PySequenceMethods tensor_sequence = {.sq_length = tensor_length, .sq_contains = tensor_contains};

/* ---- attributes ---- */

static PyObject *get_shape(PyObject *self, void *u) { (void)u; return ext_size(taper_tensor_shape(ext_t(self)), taper_tensor_ndim(ext_t(self))); }
static PyObject *get_dtype(PyObject *self, void *u) { (void)u; return ext_dtype(taper_tensor_dtype(ext_t(self))); }
static PyObject *get_device(PyObject *self, void *u) {
    (void)u;
    taper_device d = taper_tensor_device(ext_t(self));
    return ext_device(d, d.type == TAPER_CUDA);
}
static PyObject *get_ndim(PyObject *self, void *u) { (void)u; return PyLong_FromLong(taper_tensor_ndim(ext_t(self))); }
static PyObject *get_is_cuda(PyObject *self, void *u) { return PyBool_FromLong(taper_tensor_device(ext_t(self)).type == (taper_device_type)(intptr_t)u); }
static PyObject *get_false(PyObject *self, void *u) { (void)self, (void)u; Py_RETURN_FALSE; }
static PyObject *get_none(PyObject *self, void *u) { (void)self, (void)u; Py_RETURN_NONE; }
static PyObject *get_itemsize(PyObject *self, void *u) { (void)u; return PyLong_FromSize_t(taper_dtype_size(taper_tensor_dtype(ext_t(self)))); }
static PyObject *get_nbytes(PyObject *self, void *u) {
    (void)u;
    return PyLong_FromSize_t(taper_dtype_size(taper_tensor_dtype(ext_t(self))) * (size_t)taper_tensor_numel(ext_t(self)));
}
static PyObject *get_version(PyObject *self, void *u) {
    (void)u;
    if (taper_is_inference(ext_t(self))) return PyErr_Format(PyExc_RuntimeError, "Inference tensors do not track version counter.");
    return PyLong_FromUnsignedLong(taper_tensor_version(ext_t(self)));
}
static PyObject *get_layout(PyObject *self, void *u) {
    (void)self, (void)u;
    PyObject *m = PyImport_ImportModule("taper._C"), *w = m ? PyObject_GetAttrString(m, "strided") : NULL;
    Py_XDECREF(m);
    return w;
}
static PyObject *get_requires_grad(PyObject *self, void *u) { (void)u; return PyBool_FromLong(taper_requires_grad(ext_t(self))); }
static int set_requires_grad(PyObject *self, PyObject *v, void *u) {
    (void)u;
    int on = v ? PyObject_IsTrue(v) : 0;
    if (on < 0) return -1;
    taper_status st = taper_set_requires_grad(ext_t(self), on);
    if (st != TAPER_OK) ext_raise(st);
    return st == TAPER_OK ? 0 : -1;
}
static PyObject *get_grad(PyObject *self, void *u) { (void)u; return ext_borrow(taper_grad(ext_t(self))); }
static int set_grad(PyObject *self, PyObject *v, void *u) {
    (void)u;
    if (v && v != Py_None && !ext_is_tensor(v)) {
        PyErr_Format(PyExc_TypeError, "assigned grad expected to be a Tensor or None but got grad of type %s", Py_TYPE(v)->tp_name);
        return -1;
    }
    taper_status st = taper_set_grad(ext_t(self), v && v != Py_None ? ext_t(v) : NULL);
    if (st != TAPER_OK) ext_raise(st);
    return st == TAPER_OK ? 0 : -1;
}
static PyObject *get_is_leaf(PyObject *self, void *u) { (void)u; return PyBool_FromLong(taper_is_leaf(ext_t(self))); }
static PyObject *get_grad_fn(PyObject *self, void *u) { (void)u; return ext_node(taper_grad_fn(ext_t(self))); }
static PyObject *get_data(PyObject *self, void *u) {
    taper_tensor *t = NULL;
    (void)u;
    EXT_TRY(taper_detach(&t, ext_t(self)));
    return ext_wrap(t);
}
static int set_data(PyObject *self, PyObject *v, void *u) {
    (void)u;
    if (!v || !ext_is_tensor(v)) {
        PyErr_SetString(PyExc_TypeError, "Variable data has to be a tensor");
        return -1;
    }
    taper_status st = taper_tensor_set_data(ext_t(self), ext_t(v));
    if (st != TAPER_OK) ext_raise(st);
    return st == TAPER_OK ? 0 : -1;
}
static PyObject *get_transposed(PyObject *self, void *last_two) {
    int n = taper_tensor_ndim(ext_t(self));
    if (n < 2) {
        Py_INCREF(self);
        return self;
    }
    taper_tensor *t = NULL;
    if (last_two || n == 2)
        EXT_TRY(taper_transpose(&t, ext_t(self), n - 2, n - 1));
    else
        return PyErr_Format(PyExc_RuntimeError, "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is not supported; use `x.mT`.");
    return ext_wrap(t);
}
static PyObject *get_retains(PyObject *self, void *u) { (void)u; return PyBool_FromLong(taper_retains_grad(ext_t(self))); }
static PyObject *get_base(PyObject *self, void *u) { (void)u; return ext_borrow(taper_tensor_base(ext_t(self))); }
static PyObject *get_self(PyObject *self, void *u) { (void)u; Py_INCREF(self); return self; }
static PyObject *get_dict(PyObject *self, void *u) { return PyObject_GenericGetDict(self, u); }

static PyGetSetDef tensor_getset[] = {
    {"shape", get_shape, NULL, NULL, NULL}, {"dtype", get_dtype, NULL, NULL, NULL}, {"device", get_device, NULL, NULL, NULL},
    {"ndim", get_ndim, NULL, NULL, NULL}, {"is_cuda", get_is_cuda, NULL, NULL, (void *)TAPER_CUDA}, {"is_meta", get_is_cuda, NULL, NULL, (void *)TAPER_META},
    {"is_cpu", get_is_cuda, NULL, NULL, (void *)TAPER_CPU}, {"is_sparse", get_false, NULL, NULL, NULL}, {"is_quantized", get_false, NULL, NULL, NULL},
    {"is_mps", get_false, NULL, NULL, NULL}, {"is_xpu", get_false, NULL, NULL, NULL}, {"is_nested", get_false, NULL, NULL, NULL}, {"itemsize", get_itemsize, NULL, NULL, NULL},
    {"nbytes", get_nbytes, NULL, NULL, NULL}, {"_version", get_version, NULL, NULL, NULL}, {"layout", get_layout, NULL, NULL, NULL},
    {"requires_grad", get_requires_grad, set_requires_grad, NULL, NULL}, {"grad", get_grad, set_grad, NULL, NULL}, {"_grad", get_grad, set_grad, NULL, NULL},
    {"is_leaf", get_is_leaf, NULL, NULL, NULL}, {"grad_fn", get_grad_fn, NULL, NULL, NULL}, {"data", get_data, set_data, NULL, NULL},
    {"T", get_transposed, NULL, NULL, NULL}, {"mT", get_transposed, NULL, NULL, (void *)1}, {"H", get_transposed, NULL, NULL, NULL},
    {"retains_grad", get_retains, NULL, NULL, NULL}, {"_base", get_base, NULL, NULL, NULL}, {"real", get_self, NULL, NULL, NULL}, {"names", get_none, NULL, NULL, NULL},
    {"__dict__", get_dict, NULL, NULL, NULL}, {0}};

static PyObject *m_size(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kw) {
    int nd = taper_tensor_ndim(ext_t(self));
    int64_t d;
    if (kw && PyTuple_GET_SIZE(kw)) n += PyTuple_GET_SIZE(kw);
    if (!n || args[0] == Py_None) return get_shape(self, NULL);
    if (ext_int64(args[0], &d) <= 0) return PyErr_Format(PyExc_TypeError, "size(): argument 'dim' must be int, not %s", Py_TYPE(args[0])->tp_name);
    if (d < -nd || d >= nd) return PyErr_Format(PyExc_IndexError, "Dimension out of range (expected to be in range of [%d, %d], but got %lld)", -nd, nd - 1, (long long)d);
    return PyLong_FromLongLong(taper_tensor_shape(ext_t(self))[d < 0 ? d + nd : d]);
}
static PyObject *m_stride(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    int nd = taper_tensor_ndim(ext_t(self));
    int64_t d;
    if (!n) {
        PyObject *t = PyTuple_New(nd);
        for (int i = 0; t && i < nd; i++) PyTuple_SET_ITEM(t, i, PyLong_FromLongLong(taper_tensor_strides(ext_t(self))[i]));
        return t;
    }
    if (ext_int64(args[0], &d) <= 0 || d < -nd || d >= nd) return PyErr_Format(PyExc_IndexError, "Dimension out of range (expected to be in range of [%d, %d])", -nd, nd - 1);
    return PyLong_FromLongLong(taper_tensor_strides(ext_t(self))[d < 0 ? d + nd : d]);
}
static PyObject *m_dim(PyObject *self, PyObject *u) { (void)u; return get_ndim(self, NULL); }
static PyObject *m_numel(PyObject *self, PyObject *u) { (void)u; return PyLong_FromLongLong(taper_tensor_numel(ext_t(self))); }
static PyObject *m_element_size(PyObject *self, PyObject *u) { (void)u; return get_itemsize(self, NULL); }
static PyObject *m_data_ptr(PyObject *self, PyObject *u) { (void)u; return PyLong_FromVoidPtr(taper_tensor_data(ext_t(self))); }
static PyObject *m_storage_offset(PyObject *self, PyObject *u) { (void)u; return PyLong_FromLongLong(taper_tensor_offset(ext_t(self))); }
static PyObject *m_is_contiguous(PyObject *self, PyObject *args, PyObject *kw) {
    PyObject *format = kw ? PyDict_GetItemString(kw, "memory_format") : NULL;
    if (!format && PyTuple_GET_SIZE(args)) format = PyTuple_GET_ITEM(args, 0);
    PyObject *text = format ? PyObject_Repr(format) : NULL;
    bool last = text && strstr(PyUnicode_AsUTF8(text), "channels_last");
    Py_XDECREF(text);
    return PyBool_FromLong(last ? taper_tensor_is_channels_last(ext_t(self)) : taper_tensor_is_contiguous(ext_t(self)));
}
static PyObject *m_item(PyObject *self, PyObject *u) { (void)u; return ext_item(ext_t(self)); }
static PyObject *m_tolist(PyObject *self, PyObject *u) { (void)u; return ext_tolist(ext_t(self)); }
static PyObject *m_detach(PyObject *self, PyObject *u) { return get_data(self, u); }
static PyObject *m_is_float(PyObject *self, PyObject *u) { (void)u; return PyBool_FromLong(taper_dtype_is_float(taper_tensor_dtype(ext_t(self)))); }
static PyObject *m_false(PyObject *self, PyObject *u) { (void)self, (void)u; Py_RETURN_FALSE; }
static PyObject *m_self(PyObject *self, PyObject *u) { (void)u; Py_INCREF(self); return self; }
static PyObject *call_utils(const char *module, const char *name, PyObject *self, PyObject *arg) {
    PyObject *m = PyImport_ImportModule(module), *f = m ? PyObject_GetAttrString(m, name) : NULL;
    PyObject *r = f ? PyObject_CallFunctionObjArgs(f, self, arg, NULL) : NULL;
    Py_XDECREF(m);
    Py_XDECREF(f);
    return r;
}
static PyObject *m_reduce(PyObject *self, PyObject *protocol) { return call_utils("taper._utils", "_reduce_tensor", self, protocol); }
static PyObject *m_deepcopy(PyObject *self, PyObject *memo) { return call_utils("taper._utils", "_deepcopy_tensor", self, memo); }
static PyObject *m_format(PyObject *self, PyObject *spec) {
    if (!PyUnicode_Check(spec)) return PyErr_Format(PyExc_TypeError, "__format__() argument must be str, not %s", Py_TYPE(spec)->tp_name);
    if (PyUnicode_GetLength(spec) == 0) return PyObject_Str(self);
    if (taper_tensor_ndim(ext_t(self)) == 0) {
        PyObject *item = ext_item(ext_t(self)), *r = item ? PyObject_Format(item, spec) : NULL;
        Py_XDECREF(item);
        return r;
    }
    return PyErr_Format(PyExc_TypeError, "unsupported format string passed to Tensor.__format__");
}
static PyObject *m_is_inference(PyObject *self, PyObject *u) { (void)u; return PyBool_FromLong(taper_is_inference(ext_t(self))); }
static PyMethodDef tensor_methods[] = {
    {"size", (PyCFunction)(void (*)(void))m_size, METH_FASTCALL | METH_KEYWORDS, NULL}, {"stride", (PyCFunction)(void (*)(void))m_stride, METH_FASTCALL, NULL},
    {"dim", m_dim, METH_NOARGS, NULL}, {"ndimension", m_dim, METH_NOARGS, NULL}, {"numel", m_numel, METH_NOARGS, NULL}, {"nelement", m_numel, METH_NOARGS, NULL},
    {"element_size", m_element_size, METH_NOARGS, NULL}, {"data_ptr", m_data_ptr, METH_NOARGS, NULL}, {"storage_offset", m_storage_offset, METH_NOARGS, NULL},
    {"is_contiguous", (PyCFunction)(void (*)(void))m_is_contiguous, METH_VARARGS | METH_KEYWORDS, NULL}, {"item", m_item, METH_NOARGS, NULL},
    {"tolist", m_tolist, METH_NOARGS, NULL}, {"detach", m_detach, METH_NOARGS, NULL}, {"is_floating_point", m_is_float, METH_NOARGS, NULL},
    {"is_complex", m_false, METH_NOARGS, NULL}, {"is_shared", m_false, METH_NOARGS, NULL}, {"share_memory_", m_self, METH_NOARGS, NULL},
    {"is_inference", m_is_inference, METH_NOARGS, NULL}, {"conj", m_self, METH_NOARGS, NULL}, {"resolve_conj", m_self, METH_NOARGS, NULL}, {"resolve_neg", m_self, METH_NOARGS, NULL},
    {"numpy", (PyCFunction)(void (*)(void))ext_numpy, METH_VARARGS, NULL}, {"__reduce_ex__", m_reduce, METH_O, NULL}, {"__deepcopy__", m_deepcopy, METH_O, NULL},
    {"_memory", ext_memory, METH_NOARGS, NULL}, {"__format__", m_format, METH_O, NULL}, {"_make_subclass", tensor_make_subclass, METH_VARARGS | METH_STATIC, NULL}, {"as_subclass", tensor_as_subclass, METH_O, NULL}, {0}};

PyTypeObject ext_tensor_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "torch.Tensor",
                                .tp_basicsize = sizeof(ext_tensor),
                                .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
                                .tp_new = tensor_new,
                                .tp_dealloc = tensor_free,
                                .tp_traverse = tensor_traverse,
                                .tp_clear = tensor_clear,
                                .tp_dictoffset = offsetof(ext_tensor, dict),
                                .tp_weaklistoffset = offsetof(ext_tensor, weak),
                                .tp_repr = ext_tensor_repr,
                                .tp_hash = tensor_hash,
                                .tp_richcompare = tensor_compare,
                                .tp_iter = tensor_iter,
                                .tp_as_number = &tensor_number,
                                .tp_as_mapping = &tensor_mapping,
                                .tp_as_sequence = &tensor_sequence,
                                .tp_getset = tensor_getset,
                                .tp_methods = tensor_methods};

/* Gives Tensor a method written in Python (its signature is not one operator's). */
static PyObject *add_method(PyObject *m, PyObject *args) {
    const char *name;
    PyObject *f;
    (void)m;
    if (!PyArg_ParseTuple(args, "sO", &name, &f)) return NULL;
    if (PyDict_SetItemString(ext_tensor_type.tp_dict, name, f) < 0) return NULL;
    PyType_Modified(&ext_tensor_type);
    Py_RETURN_NONE;
}
static PyMethodDef tensor_functions[] = {{"add_tensor_method", add_method, METH_VARARGS, NULL}, {0}};

int ext_tensor_init(PyObject *m) {
    if (PyType_Ready(&ext_tensor_type) < 0) return -1;
    for (PyMethodDef *d = ext_grad_methods; d->ml_name; d++) {
        PyObject *f = PyDescr_NewMethod(&ext_tensor_type, d);
        if (!f || PyDict_SetItemString(ext_tensor_type.tp_dict, d->ml_name, f) < 0) return -1;
        Py_DECREF(f);
    }
    PyDict_SetItemString(ext_tensor_type.tp_dict, "__array_priority__", PyLong_FromLong(1000));
    Py_INCREF(&ext_tensor_type);
    if (PyModule_AddObject(m, "Tensor", (PyObject *)&ext_tensor_type) < 0) return -1;
    return ext_add_functions(m, tensor_functions);
}
