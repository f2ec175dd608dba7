/* Python data in and out: numbers, nested lists, buffers and NumPy arrays. */
#include "ext.h"

PyObject *ext_item(taper_tensor *t) {
    if (taper_tensor_numel(t) != 1)
        return PyErr_Format(PyExc_RuntimeError, "a Tensor with %lld elements cannot be converted to Scalar", (long long)taper_tensor_numel(t));
    if (taper_dtype_is_float(taper_tensor_dtype(t))) {
        double v;
        EXT_TRY(taper_tensor_item_double(t, &v));
        return PyFloat_FromDouble(v);
    }
    int64_t v;
    EXT_TRY(taper_tensor_item_int(t, &v));
    return taper_tensor_dtype(t) == TAPER_BOOL ? PyBool_FromLong(v != 0) : PyLong_FromLongLong(v);
}

static PyObject *list_level(taper_dtype d, int ndim, const int64_t *shape, const char **p) {
    if (ndim == 0) {
        PyObject *o = taper_dtype_is_float(d) ? PyFloat_FromDouble(*(const double *)*p)
                      : d == TAPER_BOOL       ? PyBool_FromLong((long)*(const int64_t *)*p)
                                              : PyLong_FromLongLong(*(const int64_t *)*p);
        *p += 8;
        return o;
    }
    PyObject *l = PyList_New((Py_ssize_t)shape[0]);
    for (int64_t i = 0; l && i < shape[0]; i++) {
        PyObject *o = list_level(d, ndim - 1, shape + 1, p);
        if (!o)
            Py_CLEAR(l);
        else
            PyList_SET_ITEM(l, (Py_ssize_t)i, o);
    }
    return l;
}

PyObject *ext_tolist(taper_tensor *t) {
    taper_dtype d = taper_tensor_dtype(t), wide = taper_dtype_is_float(d) ? TAPER_F64 : TAPER_I64;
    taper_tensor *host = NULL;
    taper_device cpu = taper_cpu();
    size_t bytes = (size_t)taper_tensor_numel(t) * 8;
    char *buffer = PyMem_Malloc(bytes ? bytes : 8);
    if (!buffer) return PyErr_NoMemory();
    taper_status st = taper_to(&host, t, &cpu, wide, false, false);
    if (st == TAPER_OK) st = taper_tensor_read(host, buffer, bytes);
    taper_tensor_release(host);
    const char *p = buffer;
    PyObject *r = st == TAPER_OK ? list_level(d, taper_tensor_ndim(t), taper_tensor_shape(t), &p) : ext_raise(st);
    PyMem_Free(buffer);
    return r;
}

/* ---- nested lists ---- */

typedef struct list_scan {
    int ndim;
    int64_t shape[TAPER_MAX_DIMS];
    bool floats, ints, bools, wide; /* what the numbers are; wide: NumPy doubles keep float64 */
    taper_dtype tensors;            /* promoted dtype of tensors among the items */
} list_scan;

static bool is_list(PyObject *o) { return PyList_Check(o) || PyTuple_Check(o) || PyRange_Check(o); }

static int scan_kind(list_scan *s, PyObject *o) {
    taper_arg a;
    if (ext_is_tensor(o)) {
        taper_dtype d = taper_tensor_dtype(ext_t(o));
        s->tensors = s->tensors == TAPER_DTYPE_NONE ? d : taper_dtype_promote(s->tensors, d);
    }
    int ok = ext_number(o, &a);
    if (ok < 0) return -1;
    if (!ok) {
        PyErr_Format(PyExc_TypeError, "new(): data must be a sequence of numbers (got %s)", Py_TYPE(o)->tp_name);
        return -1;
    }
    if (ext_is_tensor(o)) return 0;
    s->floats = s->floats || a.kind == TAPER_ARG_FLOAT;
    s->ints = s->ints || a.kind == TAPER_ARG_INT;
    s->bools = s->bools || a.kind == TAPER_ARG_BOOL || !strncmp(Py_TYPE(o)->tp_name, "numpy.bool", 10);
    return 0;
}

static int scan(list_scan *s, PyObject *o, int depth) {
    if (!is_list(o) && !(ext_is_tensor(o) && taper_tensor_ndim(ext_t(o)) > 0) && !(PySequence_Check(o) && !PyUnicode_Check(o) && !ext_is_tensor(o))) {
        if (depth != s->ndim) {
            PyErr_Format(PyExc_ValueError, "expected sequence of length %lld at dim %d (got a number)", (long long)s->shape[depth], depth);
            return -1;
        }
        return scan_kind(s, o);
    }
    Py_ssize_t n = PySequence_Size(o);
    if (n < 0) return -1;
    if (depth >= s->ndim || s->shape[depth] != n) {
        PyErr_Format(PyExc_ValueError, "expected sequence of length %lld at dim %d (got %zd)", (long long)(depth < s->ndim ? s->shape[depth] : 0), depth, n);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PySequence_GetItem(o, i);
        int r = item ? scan(s, item, depth + 1) : -1;
        Py_XDECREF(item);
        if (r < 0) return -1;
    }
    return 0;
}

static int fill(PyObject *o, bool floats, char **p) {
    if (is_list(o) || (PySequence_Check(o) && !PyUnicode_Check(o) && !(ext_is_tensor(o) && taper_tensor_ndim(ext_t(o)) == 0))) {
        Py_ssize_t n = PySequence_Size(o);
        for (Py_ssize_t i = 0; i < n; i++) {
            PyObject *item = PySequence_GetItem(o, i);
            int r = item ? fill(item, floats, p) : -1;
            Py_XDECREF(item);
            if (r < 0) return -1;
        }
        return 0;
    }
    taper_arg a;
    if (ext_number(o, &a) <= 0) return -1;
    if (floats)
        *(double *)*p = taper_arg_double(&a);
    else
        *(int64_t *)*p = a.kind == TAPER_ARG_FLOAT ? (int64_t)a.f : a.i;
    *p += 8;
    return 0;
}

static PyObject *from_list(PyObject *data, taper_dtype dtype, const taper_device *device) {
    list_scan s = {.tensors = TAPER_DTYPE_NONE};
    PyObject *o = data;
    Py_INCREF(o);
    while (is_list(o) || (PySequence_Check(o) && !PyUnicode_Check(o) && !(ext_is_tensor(o) && taper_tensor_ndim(ext_t(o)) == 0))) {
        Py_ssize_t n = PySequence_Size(o);
        if (n < 0 || s.ndim == TAPER_MAX_DIMS) {
            Py_DECREF(o);
            return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "too many dimensions '%s'", Py_TYPE(data)->tp_name);
        }
        s.shape[s.ndim++] = n;
        PyObject *first = n ? PySequence_GetItem(o, 0) : NULL;
        Py_DECREF(o);
        o = first;
        if (!o) break;
    }
    Py_XDECREF(o);
    if (PyErr_Occurred() || scan(&s, data, 0) < 0) return NULL;
    taper_dtype natural = s.floats                            ? (s.tensors != TAPER_DTYPE_NONE && taper_dtype_is_float(s.tensors) ? s.tensors : taper_default_dtype())
                          : s.tensors != TAPER_DTYPE_NONE     ? s.tensors
                          : s.ints                            ? TAPER_I64
                          : s.bools                           ? TAPER_BOOL
                                                              : taper_default_dtype();
    bool floats = s.floats || taper_dtype_is_float(natural);
    int64_t n = 1;
    for (int d = 0; d < s.ndim; d++) n *= s.shape[d];
    char *buffer = PyMem_Malloc((size_t)n * 8 + 8), *p = buffer;
    if (!buffer) return PyErr_NoMemory();
    if (fill(data, floats, &p) < 0) {
        PyMem_Free(buffer);
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "tensor(): data must be numbers");
    }
    taper_tensor *wide = NULL, *t = NULL;
    taper_status st = taper_tensor_from_data(&wide, buffer, floats ? TAPER_F64 : TAPER_I64, s.ndim, s.shape);
    PyMem_Free(buffer);
    if (st == TAPER_OK) st = taper_to(&t, wide, device, dtype == TAPER_DTYPE_NONE ? natural : dtype, false, false);
    taper_tensor_release(wide);
    return st == TAPER_OK ? ext_wrap(t) : ext_raise(st);
}

/* ---- buffers ---- */

static taper_dtype buffer_dtype(const Py_buffer *b) {
    const char *f = b->format ? b->format : "B";
    if (*f == '<' || *f == '=' || *f == '@' || *f == '|') f++;
    if (f[1]) return TAPER_DTYPE_NONE;
    switch (*f) {
    case '?': return TAPER_BOOL;
    case 'B': return TAPER_U8;
    case 'b': case 'c': return TAPER_I8;
    case 'h': return TAPER_I16;
    case 'i': case 'l': case 'q': return b->itemsize == 4 ? TAPER_I32 : b->itemsize == 8 ? TAPER_I64 : TAPER_DTYPE_NONE;
    case 'e': return TAPER_F16;
    case 'f': return TAPER_F32;
    case 'd': return TAPER_F64;
    default: return TAPER_DTYPE_NONE;
    }
}

static void buffer_release(void *ctx) {
    PyGILState_STATE g = PyGILState_Ensure();
    PyBuffer_Release(ctx);
    PyMem_Free(ctx);
    PyGILState_Release(g);
}

/* A tensor over the memory of any object with a buffer. */
static PyObject *from_buffer(PyObject *o) {
    Py_buffer *b = PyMem_Malloc(sizeof *b);
    if (!b) return PyErr_NoMemory();
    if (PyObject_GetBuffer(o, b, PyBUF_STRIDES | PyBUF_FORMAT | PyBUF_WRITABLE) < 0) {
        PyErr_Clear();
        if (PyObject_GetBuffer(o, b, PyBUF_STRIDES | PyBUF_FORMAT) < 0) {
            PyMem_Free(b);
            return NULL;
        }
    }
    taper_dtype d = buffer_dtype(b);
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
    bool fits = d != TAPER_DTYPE_NONE && b->ndim <= TAPER_MAX_DIMS;
    size_t span = (size_t)b->itemsize;
    for (int i = 0; fits && i < b->ndim; i++) {
        shape[i] = b->shape[i];
        if (b->strides[i] < 0) {
            PyErr_SetString(PyExc_ValueError, "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently "
                                              "supported. (You can probably work around this by making a copy of your array  with array.copy().) ");
            buffer_release(b);
            return NULL;
        }
        if (b->strides[i] % b->itemsize) fits = false;
        strides[i] = b->strides[i] / b->itemsize;
        if (shape[i]) span += (size_t)((shape[i] - 1) * b->strides[i]);
    }
    if (!fits) {
        PyErr_Format(PyExc_TypeError, "can't convert an object with buffer format '%s' to a Tensor. The only supported types are: float64, float32, float16, "
                                      "int64, int32, int16, int8, uint8, and bool.", b->format ? b->format : "?");
        buffer_release(b);
        return NULL;
    }
    taper_tensor *t = NULL;
    taper_status st = taper_tensor_wrap(&t, b->buf, span, d, taper_cpu(), b->ndim, shape, strides, buffer_release, b);
    if (st != TAPER_OK) {
        buffer_release(b);
        return ext_raise(st);
    }
    return ext_wrap(t);
}

PyObject *ext_tensor_from(PyObject *data, taper_dtype dtype, const taper_device *device, bool copy, bool keep) {
    taper_tensor *t = NULL;
    (void)keep;
    PyObject *source = NULL;
    if (ext_is_tensor(data)) {
        Py_INCREF(data);
        source = data;
    } else if (PyObject_CheckBuffer(data) && !PyBytes_Check(data) && !PyByteArray_Check(data)) {
        source = from_buffer(data);
    } else if (PyObject_HasAttrString(data, "__array__") && !PyFloat_Check(data) && !PyLong_Check(data)) {
        PyObject *array = PyObject_CallMethod(data, "__array__", NULL);
        source = array ? (PyObject_CheckBuffer(array) ? from_buffer(array) : from_list(array, dtype, device)) : NULL;
        Py_XDECREF(array);
    } else {
        return from_list(data, dtype, device);
    }
    if (!source) return NULL;
    taper_status st = taper_to(&t, ext_t(source), device, dtype, false, copy);
    if (st == TAPER_OK && copy) { /* torch.tensor(t): a new leaf */
        taper_tensor *leaf = NULL;
        st = taper_detach(&leaf, t);
        taper_tensor_release(t);
        t = leaf;
    }
    Py_DECREF(source);
    return st == TAPER_OK ? ext_wrap(t) : ext_raise(st);
}

static PyObject *tensor_with(PyObject *args, PyObject *kw, bool copy) {
    static char *names[] = {"data", "dtype", "device", "requires_grad", "pin_memory", NULL};
    PyObject *data, *dtype = Py_None, *device = Py_None, *pin = NULL;
    int grad = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kw, "O|OOpO:tensor", names, &data, &dtype, &device, &grad, &pin)) return NULL;
    taper_dtype d = TAPER_DTYPE_NONE;
    taper_device where = ext_default_device, *at = ext_have_default_device && !ext_is_tensor(data) ? &where : NULL;
    if (dtype != Py_None && !ext_dtype_of(dtype, &d)) return PyErr_Format(PyExc_TypeError, "tensor(): argument 'dtype' must be torch.dtype, not %s", Py_TYPE(dtype)->tp_name);
    if (device != Py_None) {
        int ok = ext_device_of(device, &where);
        if (ok < 0) return NULL;
        if (!ok) return PyErr_Format(PyExc_TypeError, "tensor(): argument 'device' must be torch.device, not %s", Py_TYPE(device)->tp_name);
        at = &where;
    }
    PyObject *o = ext_tensor_from(data, d, at, copy, false);
    if (o && grad) {
        taper_status st = taper_set_requires_grad(ext_t(o), true);
        if (st != TAPER_OK) {
            Py_DECREF(o);
            return ext_raise(st);
        }
    }
    return o;
}
static PyObject *data_tensor(PyObject *m, PyObject *args, PyObject *kw) { (void)m; return tensor_with(args, kw, true); }
static PyObject *data_as_tensor(PyObject *m, PyObject *args, PyObject *kw) { (void)m; return tensor_with(args, kw, false); }
static PyObject *data_from_numpy(PyObject *m, PyObject *o) {
    (void)m;
    if (!PyObject_CheckBuffer(o)) return PyErr_Format(PyExc_TypeError, "expected np.ndarray (got %s)", Py_TYPE(o)->tp_name);
    return from_buffer(o);
}
static PyObject *data_frombuffer(PyObject *m, PyObject *args, PyObject *kw) {
    static char *names[] = {"buffer", "dtype", "count", "offset", "requires_grad", NULL};
    PyObject *o, *dtype = NULL;
    long long count = -1, offset = 0;
    int grad = 0;
    (void)m;
    if (!PyArg_ParseTupleAndKeywords(args, kw, "O|$OLLp:frombuffer", names, &o, &dtype, &count, &offset, &grad)) return NULL;
    taper_dtype d;
    if (!dtype || !ext_dtype_of(dtype, &d)) return PyErr_Format(PyExc_TypeError, "frombuffer(): argument 'dtype' must be torch.dtype");
    Py_buffer *b = PyMem_Malloc(sizeof *b);
    if (!b) return PyErr_NoMemory();
    if (PyObject_GetBuffer(o, b, PyBUF_WRITABLE) < 0) {
        PyErr_Clear();
        if (PyObject_GetBuffer(o, b, PyBUF_SIMPLE) < 0) {
            PyMem_Free(b);
            return NULL;
        }
    }
    long long e = (long long)taper_dtype_size(d);
    if (count < 0 && offset <= b->len) count = (b->len - offset) / e;
    if (offset < 0 || count < 0 || offset > b->len || count > (b->len - offset) / e) {
        PyErr_Format(PyExc_ValueError, "requested buffer length (%lld * %lld bytes) after offset (%lld bytes) must not be greater than actual buffer length (%zd bytes)",
                     count, e, offset, b->len);
        buffer_release(b);
        return NULL;
    }
    taper_tensor *t = NULL;
    int64_t shape = count;
    taper_status st = taper_tensor_wrap(&t, (char *)b->buf + offset, (size_t)(count * e), d, taper_cpu(), 1, &shape, NULL, buffer_release, b);
    if (st != TAPER_OK) {
        buffer_release(b);
        return ext_raise(st);
    }
    if (grad && (st = taper_set_requires_grad(t, true)) != TAPER_OK) {
        taper_tensor_release(t);
        return ext_raise(st);
    }
    return ext_wrap(t);
}
PyMethodDef ext_data_functions[] = {{"tensor", (PyCFunction)(void (*)(void))data_tensor, METH_VARARGS | METH_KEYWORDS, "A tensor with a copy of the data."},
                                    {"as_tensor", (PyCFunction)(void (*)(void))data_as_tensor, METH_VARARGS | METH_KEYWORDS, "The data as a tensor, shared where possible."},
                                    {"asarray", (PyCFunction)(void (*)(void))data_as_tensor, METH_VARARGS | METH_KEYWORDS, NULL},
                                    {"from_numpy", data_from_numpy, METH_O, "A tensor over the memory of a NumPy array."},
                                    {"frombuffer", (PyCFunction)(void (*)(void))data_frombuffer, METH_VARARGS | METH_KEYWORDS, NULL},
                                    {0}};

/* ---- out: a buffer over a tensor's memory, which NumPy takes without a copy ---- */

typedef struct memory_object {
    PyObject_HEAD
    taper_tensor *t;
    Py_ssize_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
} memory_object;

static int memory_get(PyObject *self, Py_buffer *b, int flags) {
    static const char *const formats[TAPER_DTYPE_COUNT] = {"?", "B", "b", "h", "i", "q", "e", NULL, "f", "d", NULL, NULL};
    memory_object *o = (memory_object *)self;
    Py_ssize_t e = (Py_ssize_t)taper_dtype_size(taper_tensor_dtype(o->t));
    if (!(flags & PyBUF_STRIDES) && !taper_tensor_is_contiguous(o->t)) {
        PyErr_SetString(PyExc_BufferError, "the tensor is not contiguous");
        return -1;
    }
    for (int i = 0; i < taper_tensor_ndim(o->t); i++) {
        o->shape[i] = (Py_ssize_t)taper_tensor_shape(o->t)[i];
        o->strides[i] = (Py_ssize_t)taper_tensor_strides(o->t)[i] * e;
    }
    *b = (Py_buffer){.buf = taper_tensor_data(o->t), .obj = self, .len = e * (Py_ssize_t)taper_tensor_numel(o->t), .itemsize = e,
                     .ndim = taper_tensor_ndim(o->t), .format = flags & PyBUF_FORMAT ? (char *)formats[taper_tensor_dtype(o->t)] : NULL,
                     .shape = o->shape, .strides = o->strides};
    Py_INCREF(self);
    return 0;
}
static void memory_free(PyObject *self) {
    taper_tensor_release(((memory_object *)self)->t);
    PyObject_Free(self);
}
static PyBufferProcs memory_buffer = {memory_get, NULL};
PyTypeObject ext_memory_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "torch._C.Memory", .tp_basicsize = sizeof(memory_object),
                                .tp_flags = Py_TPFLAGS_DEFAULT, .tp_dealloc = memory_free, .tp_as_buffer = &memory_buffer};

PyObject *ext_numpy(PyObject *self, PyObject *args) {
    taper_tensor *t = ext_t(self);
    int force = 0;
    if (!PyArg_ParseTuple(args, "|p", &force)) return NULL;
    if (taper_requires_grad(t) && !force)
        return PyErr_Format(PyExc_RuntimeError, "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.");
    if (taper_tensor_device(t).type != TAPER_CPU)
        return PyErr_Format(PyExc_TypeError, "can't convert %s device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first.",
                            taper_tensor_device(t).type == TAPER_CUDA ? "cuda:0" : "meta");
    taper_dtype d = taper_tensor_dtype(t);
    if (d == TAPER_BF16 || d == TAPER_F8_E4M3 || d == TAPER_F8_E5M2)
        return PyErr_Format(PyExc_TypeError, "Got unsupported ScalarType %s", taper_dtype_typename(d));
    PyObject *numpy = PyImport_ImportModule("numpy");
    if (!numpy) return NULL;
    memory_object *m = PyObject_New(memory_object, &ext_memory_type);
    if (!m) return NULL;
    m->t = taper_tensor_retain(t);
    PyObject *a = PyObject_CallMethod(numpy, "asarray", "O", (PyObject *)m);
    Py_DECREF(m);
    Py_DECREF(numpy);
    return a;
}

/* The tensor's memory as an object with a buffer. */
PyObject *ext_memory(PyObject *self, PyObject *unused) {
    (void)unused;
    memory_object *m = PyObject_New(memory_object, &ext_memory_type);
    if (m) m->t = taper_tensor_retain(ext_t(self));
    return (PyObject *)m;
}
