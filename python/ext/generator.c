/* torch.Generator, of the CPU and of GPUs. */
#include "ext.h"

static PyObject *generator_new(PyTypeObject *type, PyObject *args, PyObject *kw) {
    static char *names[] = {"device", NULL};
    PyObject *what = NULL;
    taper_device device = taper_cpu();
    if (!PyArg_ParseTupleAndKeywords(args, kw, "|O", names, &what)) return NULL;
    if (what && what != Py_None) {
        int is = ext_device_of(what, &device);
        if (is < 0) return NULL;
        if (!is) return PyErr_Format(PyExc_TypeError, "Generator(): argument 'device' must be torch.device, not %s", Py_TYPE(what)->tp_name);
    }
    if (device.type == TAPER_CUDA && device.index < 0) {
        int index = 0;
        EXT_TRY(taper_cuda_current_device(&index));
        device.index = (int8_t)index;
    }
    ext_generator_object *o = (ext_generator_object *)type->tp_alloc(type, 0);
    if (!o) return NULL;
    taper_status st = taper_generator_new_on(&o->g, TAPER_DEFAULT_SEED, device);
    if (st != TAPER_OK) {
        Py_DECREF(o);
        return ext_raise(st);
    }
    return (PyObject *)o;
}
static void generator_free(PyObject *self) {
    taper_generator_release(((ext_generator_object *)self)->g);
    Py_TYPE(self)->tp_free(self);
}
#define G(self) (((ext_generator_object *)(self))->g)
static PyObject *generator_manual_seed(PyObject *self, PyObject *seed) {
    PyObject *n = PyNumber_Index(seed);
    if (!n) return NULL;
    unsigned long long s = PyLong_AsUnsignedLongLongMask(n);
    Py_DECREF(n);
    if (PyErr_Occurred()) return NULL;
    taper_generator_seed(G(self), s);
    Py_INCREF(self);
    return self;
}
static PyObject *generator_initial_seed(PyObject *self, PyObject *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(taper_generator_initial_seed(G(self)));
}
static PyObject *generator_seed(PyObject *self, PyObject *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(taper_generator_seed_fresh(G(self)));
}
static PyObject *generator_get_state(PyObject *self, PyObject *unused) {
    (void)unused;
    taper_tensor *t = NULL;
    int64_t n = (int64_t)taper_generator_state_bytes(G(self));
    EXT_TRY(taper_tensor_new(&t, TAPER_U8, taper_cpu(), 1, &n));
    taper_status st = taper_generator_get_state(G(self), taper_tensor_data(t), (size_t)n);
    if (st != TAPER_OK) {
        taper_tensor_release(t);
        return ext_raise(st);
    }
    return ext_wrap(t);
}
static PyObject *generator_set_state(PyObject *self, PyObject *state) {
    if (!ext_is_tensor(state) || taper_tensor_dtype(ext_t(state)) != TAPER_U8 || taper_tensor_device(ext_t(state)).type != TAPER_CPU ||
        !taper_tensor_is_contiguous(ext_t(state)))
        return PyErr_Format(PyExc_TypeError, "expected a torch.ByteTensor on the CPU");
    EXT_TRY(taper_generator_set_state(G(self), taper_tensor_data(ext_t(state)), (size_t)taper_tensor_numel(ext_t(state))));
    Py_INCREF(self);
    return self;
}
static PyObject *generator_device(PyObject *self, void *unused) {
    (void)unused;
    taper_device d = taper_generator_device(G(self));
    return ext_device(d, d.type == TAPER_CUDA);
}
static PyObject *generator_get_offset(PyObject *self, PyObject *unused) {
    (void)unused;
    uint64_t offset;
    EXT_TRY(taper_generator_get_offset(G(self), &offset));
    return PyLong_FromUnsignedLongLong(offset);
}
static PyObject *generator_set_offset(PyObject *self, PyObject *offset) {
    unsigned long long n = PyLong_AsUnsignedLongLong(offset);
    if (n == (unsigned long long)-1 && PyErr_Occurred()) return NULL;
    EXT_TRY(taper_generator_set_offset(G(self), n));
    Py_INCREF(self);
    return self;
}
/* Another generator that goes on from the same state. */
static PyObject *generator_clone(PyObject *self, PyObject *unused) {
    (void)unused;
    ext_generator_object *o = (ext_generator_object *)ext_generator_type.tp_alloc(&ext_generator_type, 0);
    PyObject *state = o ? generator_get_state(self, NULL) : NULL, *done = NULL;
    if (state) {
        taper_status st = taper_generator_new_on(&o->g, TAPER_DEFAULT_SEED, taper_generator_device(G(self)));
        done = st == TAPER_OK ? generator_set_state((PyObject *)o, state) : ext_raise(st);
    }
    Py_XDECREF(state);
    Py_XDECREF(done);
    if (!done) Py_CLEAR(o);
    return (PyObject *)o;
}
/* torch's form: the device; then the seed, the offset of a GPU or None, and the state. */
static PyObject *generator_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    taper_device d = taper_generator_device(G(self));
    PyObject *seed = generator_initial_seed(self, NULL), *state = generator_get_state(self, NULL), *device = ext_device(d, d.type == TAPER_CUDA);
    PyObject *offset = d.type == TAPER_CUDA ? generator_get_offset(self, NULL) : Py_None, *all = NULL;
    if (offset == Py_None) Py_INCREF(offset);
    if (seed && state && device && offset) all = Py_BuildValue("(O(O)(OOO))", Py_TYPE(self), device, seed, offset, state);
    Py_XDECREF(seed);
    Py_XDECREF(offset);
    Py_XDECREF(state);
    Py_XDECREF(device);
    return all;
}
static PyObject *generator_setstate(PyObject *self, PyObject *all) {
    PyObject *seed, *offset, *state;
    if (!PyArg_ParseTuple(all, "OOO", &seed, &offset, &state)) return NULL;
    PyObject *done = generator_set_state(self, state);
    if (!done) return NULL;
    Py_DECREF(done);
    Py_RETURN_NONE;
}
static PyMethodDef generator_methods[] = {{"manual_seed", generator_manual_seed, METH_O, NULL},
                                          {"initial_seed", generator_initial_seed, METH_NOARGS, NULL},
                                          {"seed", generator_seed, METH_NOARGS, NULL},
                                          {"get_state", generator_get_state, METH_NOARGS, NULL},
                                          {"set_state", generator_set_state, METH_O, NULL},
                                          {"get_offset", generator_get_offset, METH_NOARGS, NULL},
                                          {"set_offset", generator_set_offset, METH_O, NULL},
                                          {"clone_state", generator_clone, METH_NOARGS, NULL},
                                          {"__reduce__", generator_reduce, METH_NOARGS, NULL},
                                          {"__setstate__", generator_setstate, METH_O, NULL},
                                          {0}};
static PyGetSetDef generator_getset[] = {{"device", generator_device, NULL, NULL, NULL}, {0}};
PyTypeObject ext_generator_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "torch._C.Generator",
                                   .tp_basicsize = sizeof(ext_generator_object),
                                   .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                                   .tp_new = generator_new,
                                   .tp_dealloc = generator_free,
                                   .tp_methods = generator_methods,
                                   .tp_getset = generator_getset};

/* The generator that is used on a GPU when none is given. */
PyObject *ext_cuda_default_generator(PyObject *m, PyObject *index) {
    (void)m;
    long i = PyLong_AsLong(index);
    if (i == -1 && PyErr_Occurred()) return NULL;
    ext_generator_object *o = (ext_generator_object *)ext_generator_type.tp_alloc(&ext_generator_type, 0);
    if (!o) return NULL;
    taper_status st = taper_generator_cuda_default(&o->g, (int)i);
    if (st != TAPER_OK) {
        Py_DECREF(o);
        return ext_raise(st);
    }
    return (PyObject *)o;
}
