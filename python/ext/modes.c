/* Switches of the thread and the process, text of tensors, bytes of storages. */
#include "ext.h"

static taper_print_options print_options = TAPER_PRINT_OPTIONS;

static PyObject *mode_is_grad(PyObject *m, PyObject *u) { (void)m, (void)u; return PyBool_FromLong(taper_grad_enabled()); }
static PyObject *mode_set_grad(PyObject *m, PyObject *v) {
    int on = PyObject_IsTrue(v);
    (void)m;
    return on < 0 ? NULL : PyBool_FromLong(taper_set_grad_enabled(on));
}
static PyObject *mode_is_inference(PyObject *m, PyObject *u) { (void)m, (void)u; return PyBool_FromLong(taper_inference_mode()); }
static PyObject *mode_set_inference(PyObject *m, PyObject *v) {
    int on = PyObject_IsTrue(v);
    (void)m;
    return on < 0 ? NULL : PyBool_FromLong(taper_set_inference_mode(on));
}
static PyObject *mode_is_anomaly(PyObject *m, PyObject *u) { (void)m, (void)u; return PyBool_FromLong(taper_anomaly_mode() != 0); }
static PyObject *mode_set_anomaly(PyObject *m, PyObject *args) {
    int on, nan = 1;
    (void)m;
    if (!PyArg_ParseTuple(args, "p|p", &on, &nan)) return NULL;
    taper_set_anomaly_mode(on ? nan ? 2 : 1 : 0);
    Py_RETURN_NONE;
}

static bool device_type_of(PyObject *o, taper_device_type *t) {
    taper_device d = taper_cpu();
    if (o && Py_TYPE(o) != &ext_device_type && !PyUnicode_Check(o)) {
        PyErr_Format(PyExc_TypeError, "expected a device type such as 'cuda', got %s", Py_TYPE(o)->tp_name);
        return false;
    }
    if (o && ext_device_of(o, &d) < 0) return false;
    *t = o ? (taper_device_type)d.type : TAPER_CUDA;
    return true;
}
static bool autocast_cache = true;
static uint8_t autocast_dtypes[TAPER_DEVICE_TYPE_COUNT] = {TAPER_BF16, TAPER_F16, TAPER_F16};
static PyObject *mode_is_autocast(PyObject *m, PyObject *args) {
    PyObject *o = NULL;
    taper_device_type t;
    (void)m;
    if (!PyArg_ParseTuple(args, "|O", &o) || !device_type_of(o, &t)) return NULL;
    return PyBool_FromLong(taper_autocast_enabled(t, NULL));
}
static PyObject *mode_set_autocast(PyObject *m, PyObject *args) {
    PyObject *o;
    int on;
    taper_device_type t;
    (void)m;
    if (!PyArg_ParseTuple(args, "Op", &o, &on) || !device_type_of(o, &t)) return NULL;
    taper_set_autocast(t, on, (taper_dtype)autocast_dtypes[t], autocast_cache);
    Py_RETURN_NONE;
}
static PyObject *mode_get_autocast_dtype(PyObject *m, PyObject *o) {
    taper_device_type t;
    (void)m;
    if (!device_type_of(o, &t)) return NULL;
    return ext_dtype((taper_dtype)autocast_dtypes[t]);
}
static PyObject *mode_set_autocast_dtype(PyObject *m, PyObject *args) {
    PyObject *o, *d;
    taper_device_type t;
    taper_dtype dtype;
    (void)m;
    if (!PyArg_ParseTuple(args, "OO", &o, &d) || !device_type_of(o, &t)) return NULL;
    if (!ext_dtype_of(d, &dtype)) return PyErr_Format(PyExc_TypeError, "set_autocast_dtype(): expected a torch.dtype");
    autocast_dtypes[t] = (uint8_t)dtype;
    taper_set_autocast(t, taper_autocast_enabled(t, NULL), dtype, autocast_cache);
    Py_RETURN_NONE;
}
static PyObject *mode_is_cache(PyObject *m, PyObject *u) { (void)m, (void)u; return PyBool_FromLong(autocast_cache); }
static PyObject *mode_set_cache(PyObject *m, PyObject *v) {
    int on = PyObject_IsTrue(v);
    (void)m;
    if (on < 0) return NULL;
    autocast_cache = on;
    Py_RETURN_NONE;
}
static PyObject *mode_clear_cache(PyObject *m, PyObject *u) { (void)m, (void)u; taper_autocast_clear_cache(); Py_RETURN_NONE; }

static PyObject *mode_get_dtype(PyObject *m, PyObject *u) { (void)m, (void)u; return ext_dtype(taper_default_dtype()); }
static PyObject *mode_set_dtype(PyObject *m, PyObject *o) {
    taper_dtype d;
    (void)m;
    if (!ext_dtype_of(o, &d)) return PyErr_Format(PyExc_TypeError, "invalid dtype object: only floating-point types are supported as the default type");
    EXT_TRY(taper_set_default_dtype(d));
    Py_RETURN_NONE;
}
static PyObject *mode_get_device(PyObject *m, PyObject *u) {
    (void)m, (void)u;
    return ext_device(ext_have_default_device ? ext_default_device : taper_cpu(), ext_have_default_device && ext_default_device.type == TAPER_CUDA);
}
static PyObject *mode_set_device(PyObject *m, PyObject *o) {
    (void)m;
    ext_have_default_device = o != Py_None;
    if (o != Py_None) {
        int ok = ext_device_of(o, &ext_default_device);
        if (ok <= 0) {
            ext_have_default_device = false;
            return ok < 0 ? NULL : PyErr_Format(PyExc_TypeError, "set_default_device(): expected a device");
        }
    }
    Py_RETURN_NONE;
}
static PyObject *mode_get_threads(PyObject *m, PyObject *u) { (void)m, (void)u; return PyLong_FromLong(taper_num_threads()); }
static PyObject *mode_set_threads(PyObject *m, PyObject *o) {
    long n = PyLong_AsLong(o);
    (void)m;
    if (n == -1 && PyErr_Occurred()) return NULL;
    if (n < 1 || n > 1 << 16) return PyErr_Format(PyExc_RuntimeError, "set_num_threads expects a positive integer, got %ld", n);
    EXT_TRY(taper_set_num_threads((int)n));
    Py_RETURN_NONE;
}

/* ---- text ---- */

static PyObject *mode_printoptions(PyObject *m, PyObject *args, PyObject *kw) {
    static char *names[] = {"precision", "threshold", "edgeitems", "linewidth", "sci_mode", "profile", NULL};
    PyObject *sci = Py_None, *v[4] = {Py_None, Py_None, Py_None, Py_None}, *profile = Py_None;
    (void)m;
    if (!PyArg_ParseTupleAndKeywords(args, kw, "|OOOOOO", names, &v[0], &v[1], &v[2], &v[3], &sci, &profile)) return NULL;
    int *fields[4] = {&print_options.precision, &print_options.threshold, &print_options.edgeitems, &print_options.linewidth};
    for (int i = 0; i < 4; i++) {
        if (v[i] == Py_None) continue;
        double x = PyFloat_AsDouble(v[i]);
        if (x == -1 && PyErr_Occurred()) return NULL;
        *fields[i] = x > 2000000000 ? 2000000000 : (int)x;
    }
    int sci_mode = sci == Py_None ? -1 : PyObject_IsTrue(sci);
    if (sci_mode < 0 && sci != Py_None) return NULL;
    print_options.sci_mode = sci_mode;
    Py_RETURN_NONE;
}

PyObject *ext_tensor_repr(PyObject *self) {
    taper_tensor *t = ext_t(self);
    taper_node *n = taper_grad_fn(t);
    char suffix[128] = "";
    if (n)
        snprintf(suffix, sizeof suffix, "grad_fn=<%.100s>", taper_node_name(n));
    else if (taper_requires_grad(t))
        snprintf(suffix, sizeof suffix, "requires_grad=True");
    int64_t need = taper_tensor_print(t, NULL, 0, &print_options, suffix);
    if (need < 0) return ext_raise(TAPER_RUNTIME);
    char *text = PyMem_Malloc((size_t)need + 1);
    if (!text) return PyErr_NoMemory();
    taper_tensor_print(t, text, (size_t)need + 1, &print_options, suffix);
    PyObject *r = PyUnicode_FromString(text);
    PyMem_Free(text);
    return r;
}

/* ---- storages ---- */

static PyObject *storage_key(PyObject *m, PyObject *o) {
    (void)m;
    if (!ext_is_tensor(o)) return PyErr_Format(PyExc_TypeError, "storage_key(): expected a tensor");
    return PyLong_FromVoidPtr((void *)taper_tensor_storage(ext_t(o)));
}
static PyObject *storage_nbytes(PyObject *m, PyObject *o) {
    (void)m;
    if (!ext_is_tensor(o)) return PyErr_Format(PyExc_TypeError, "storage_nbytes(): expected a tensor");
    return PyLong_FromSize_t(taper_tensor_storage_bytes(ext_t(o)));
}
/* The whole storage as bytes one can read; the view keeps the tensor. */
static PyObject *storage_bytes(PyObject *m, PyObject *o) {
    taper_tensor *flat = NULL, *host = NULL;
    taper_device cpu = taper_cpu();
    (void)m;
    if (!ext_is_tensor(o)) return PyErr_Format(PyExc_TypeError, "storage_bytes(): expected a tensor");
    EXT_TRY(taper_tensor_storage_view(&flat, ext_t(o)));
    taper_status st = taper_to(&host, flat, &cpu, TAPER_DTYPE_NONE, false, false);
    taper_tensor_release(flat);
    if (st != TAPER_OK) return ext_raise(st);
    PyObject *t = ext_wrap(host), *r = NULL;
    if (t) {
        PyObject *v = PyObject_CallMethod(t, "_memory", NULL);
        r = v ? PyMemoryView_FromObject(v) : NULL;
        Py_XDECREF(v);
        Py_DECREF(t);
    }
    return r;
}

PyMethodDef ext_mode_functions[] = {
    {"is_grad_enabled", mode_is_grad, METH_NOARGS, NULL}, {"set_grad_enabled", mode_set_grad, METH_O, NULL},
    {"is_inference_mode_enabled", mode_is_inference, METH_NOARGS, NULL}, {"set_inference_mode", mode_set_inference, METH_O, NULL},
    {"is_anomaly_enabled", mode_is_anomaly, METH_NOARGS, NULL}, {"set_anomaly_enabled", mode_set_anomaly, METH_VARARGS, NULL},
    {"is_autocast_enabled", mode_is_autocast, METH_VARARGS, NULL}, {"set_autocast_enabled", mode_set_autocast, METH_VARARGS, NULL},
    {"get_autocast_dtype", mode_get_autocast_dtype, METH_O, NULL}, {"set_autocast_dtype", mode_set_autocast_dtype, METH_VARARGS, NULL},
    {"is_autocast_cache_enabled", mode_is_cache, METH_NOARGS, NULL}, {"set_autocast_cache_enabled", mode_set_cache, METH_O, NULL},
    {"clear_autocast_cache", mode_clear_cache, METH_NOARGS, NULL}, {"get_default_dtype", mode_get_dtype, METH_NOARGS, NULL},
    {"set_default_dtype", mode_set_dtype, METH_O, NULL}, {"get_default_device", mode_get_device, METH_NOARGS, NULL},
    {"set_default_device", mode_set_device, METH_O, NULL}, {"get_num_threads", mode_get_threads, METH_NOARGS, NULL},
    {"set_num_threads", mode_set_threads, METH_O, NULL}, {"set_printoptions", (PyCFunction)(void (*)(void))mode_printoptions, METH_VARARGS | METH_KEYWORDS, NULL},
    {"storage_key", storage_key, METH_O, NULL}, {"storage_nbytes", storage_nbytes, METH_O, NULL}, {"storage_bytes", storage_bytes, METH_O, NULL}, {0}};
