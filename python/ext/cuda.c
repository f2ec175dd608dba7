/* GPUs in Python: devices, memory, streams, events, graphs. */
#include <taper/cuda.h>

#include "ext.h"

static PyObject *cuda_device_count(PyObject *m, PyObject *u) { (void)m, (void)u; return PyLong_FromLong(taper_cuda_device_count(NULL)); }
static PyObject *cuda_why_not(PyObject *m, PyObject *u) {
    const char *why = NULL;
    (void)m, (void)u;
    taper_cuda_device_count(&why);
    return PyUnicode_FromString(why ? why : "");
}
static PyObject *cuda_current_device(PyObject *m, PyObject *u) {
    int i = 0;
    (void)m, (void)u;
    EXT_TRY(taper_cuda_current_device(&i));
    return PyLong_FromLong(i);
}
static int one_int(PyObject *args, int fallback) {
    int i = fallback;
    return PyArg_ParseTuple(args, "|i", &i) ? i : -99;
}
static PyObject *cuda_set_device(PyObject *m, PyObject *args) {
    int i = one_int(args, 0);
    (void)m;
    if (i == -99) return NULL;
    EXT_TRY(taper_cuda_set_device(i));
    Py_RETURN_NONE;
}
static PyObject *cuda_synchronize(PyObject *m, PyObject *args) {
    int i = one_int(args, -1);
    taper_status st;
    (void)m;
    if (i == -99) return NULL;
    Py_BEGIN_ALLOW_THREADS st = taper_cuda_synchronize(i);
    Py_END_ALLOW_THREADS if (st != TAPER_OK) return ext_raise(st);
    Py_RETURN_NONE;
}
static PyObject *cuda_get_properties(PyObject *m, PyObject *args) {
    int i = one_int(args, 0);
    taper_cuda_properties p = {.size = sizeof p};
    char uuid[40] = "";
    (void)m;
    if (i == -99) return NULL;
    EXT_TRY(taper_cuda_get_properties(&p, i));
    for (int k = 0; k < 16; k++) sprintf(uuid + strlen(uuid), k == 4 || k == 6 || k == 8 || k == 10 ? "-%02x" : "%02x", p.uuid[k]);
    return Py_BuildValue("{s:s,s:i,s:i,s:i,s:i,s:i,s:n,s:n,s:n,s:n,s:n,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:s}", "name", p.name, "major", p.major, "minor", p.minor,
                         "multiprocessors", p.multiprocessors, "max_threads_per_multiprocessor", p.max_threads_per_multiprocessor, "warp_size", p.warp_size,
                         "total_memory", (Py_ssize_t)p.total_memory, "l2_bytes", (Py_ssize_t)p.l2_bytes, "shared_per_block", (Py_ssize_t)p.shared_per_block,
                         "shared_per_block_optin", (Py_ssize_t)p.shared_per_block_optin, "shared_per_multiprocessor", (Py_ssize_t)p.shared_per_multiprocessor,
                         "registers_per_multiprocessor", p.registers_per_multiprocessor, "clock_khz", p.clock_khz, "memory_clock_khz", p.memory_clock_khz,
                         "memory_bus_bits", p.memory_bus_bits, "pci_bus", p.pci_bus, "pci_device", p.pci_device, "pci_domain", p.pci_domain, "uuid", uuid);
}
static PyObject *cuda_mem_info(PyObject *m, PyObject *args) {
    size_t a, b;
    int i = one_int(args, -1);
    (void)m;
    if (i == -99) return NULL;
    EXT_TRY(taper_cuda_mem_info(&a, &b, i));
    return Py_BuildValue("(nn)", (Py_ssize_t)a, (Py_ssize_t)b);
}
static PyObject *cuda_memory_stats(PyObject *m, PyObject *args) {
    int i = one_int(args, 0);
    taper_memory_stats s = {0};
    (void)m;
    if (i == -99) return NULL;
    EXT_TRY(taper_memory_get_stats(&s, taper_cuda(i)));
    return Py_BuildValue("{s:n,s:n,s:n,s:n,s:L,s:L,s:L}", "allocated", (Py_ssize_t)s.allocated, "peak_allocated", (Py_ssize_t)s.peak_allocated, "reserved",
                         (Py_ssize_t)s.reserved, "peak_reserved", (Py_ssize_t)s.peak_reserved, "live_blocks", (long long)s.live_blocks, "total_allocations",
                         (long long)s.total_allocations, "out_of_memory_count", (long long)s.out_of_memory_count);
}
static PyObject *cuda_reset_peak(PyObject *m, PyObject *args) {
    int i = one_int(args, 0);
    (void)m;
    if (i == -99) return NULL;
    EXT_TRY(taper_memory_reset_peak(taper_cuda(i)));
    Py_RETURN_NONE;
}
static PyObject *cuda_empty_cache(PyObject *m, PyObject *u) {
    (void)m, (void)u;
    for (int i = 0; i < taper_cuda_device_count(NULL); i++) EXT_TRY(taper_memory_release_cached(taper_cuda(i)));
    Py_RETURN_NONE;
}
static PyObject *cuda_manual_seed(PyObject *m, PyObject *o) {
    unsigned long long s = PyLong_AsUnsignedLongLongMask(o);
    (void)m;
    if (PyErr_Occurred()) return NULL;
    taper_cuda_manual_seed(s);
    Py_RETURN_NONE;
}
/* Switches of torch.backends that the engine knows; others are only kept in Python. */
static PyObject *cuda_set_backend_flag(PyObject *m, PyObject *args) {
    const char *name;
    PyObject *value;
    (void)m;
    if (!PyArg_ParseTuple(args, "sO:set_backend_flag", &name, &value)) return NULL;
    int on = PyObject_IsTrue(value);
    if (on < 0) return NULL;
    if (!strcmp(name, "cuda.matmul.allow_tf32")) taper_cuda_set_matmul_tf32(on);
    Py_RETURN_NONE;
}
static PyObject *cuda_memory_table(PyObject *m, PyObject *args) {
    int rows = 10, i = -1;
    char text[8192] = "";
    (void)m;
    if (!PyArg_ParseTuple(args, "|ii", &rows, &i)) return NULL;
    EXT_TRY(taper_cuda_memory_table(text, sizeof text, rows, i));
    return PyUnicode_FromString(text);
}
static PyObject *cuda_set_memory_limit(PyObject *m, PyObject *args) {
    Py_ssize_t bytes;
    int i = -1;
    (void)m;
    if (!PyArg_ParseTuple(args, "n|i", &bytes, &i)) return NULL;
    EXT_TRY(taper_cuda_memory_set_limit((size_t)bytes, i));
    Py_RETURN_NONE;
}
static PyObject *cuda_is_capturing(PyObject *m, PyObject *u) {
    (void)m, (void)u;
    return PyBool_FromLong(taper_cuda_device_count(NULL) && taper_cuda_is_capturing(-1));
}

/* ---- streams, events, graphs: one owned C handle each ---- */

typedef struct handle {
    PyObject_HEAD
    void *p;
} handle;
#define P(o, type) ((type *)((handle *)(o))->p)

static PyTypeObject stream_type, event_type, graph_type;
static PyObject *handle_of(PyTypeObject *type, void *p) {
    handle *h = (handle *)type->tp_alloc(type, 0);
    if (h) h->p = p;
    return (PyObject *)h;
}
static PyObject *stream_new(PyTypeObject *type, PyObject *args, PyObject *kw) {
    static char *names[] = {"index", "priority", NULL};
    int i = -1, priority = 0;
    taper_cuda_stream *s = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kw, "|ii", names, &i, &priority)) return NULL;
    EXT_TRY(taper_cuda_stream_new(&s, i, priority));
    return handle_of(type, s);
}
static PyObject *stream_wrap(PyObject *u, PyObject *args) {
    int i;
    unsigned long long p;
    taper_cuda_stream *s = NULL;
    (void)u;
    if (!PyArg_ParseTuple(args, "iK", &i, &p)) return NULL;
    EXT_TRY(taper_cuda_stream_wrap(&s, i, (void *)(uintptr_t)p));
    return handle_of(&stream_type, s);
}
static void stream_free(PyObject *o) {
    taper_cuda_stream_release(P(o, taper_cuda_stream));
    Py_TYPE(o)->tp_free(o);
}
static PyObject *stream_get(PyObject *o, void *what) {
    taper_cuda_stream *s = P(o, taper_cuda_stream);
    if (!what) return PyLong_FromLong(taper_cuda_stream_device(s));
    if (what == (void *)1) return PyLong_FromLong(taper_cuda_stream_priority(s));
    return PyLong_FromVoidPtr(taper_cuda_stream_handle(s));
}
static PyObject *stream_synchronize(PyObject *o, PyObject *u) {
    taper_status st;
    (void)u;
    Py_BEGIN_ALLOW_THREADS st = taper_cuda_stream_synchronize(P(o, taper_cuda_stream));
    Py_END_ALLOW_THREADS if (st != TAPER_OK) return ext_raise(st);
    Py_RETURN_NONE;
}
static PyObject *stream_query(PyObject *o, PyObject *u) {
    bool done;
    (void)u;
    EXT_TRY(taper_cuda_stream_query(&done, P(o, taper_cuda_stream)));
    return PyBool_FromLong(done);
}
static PyObject *stream_wait(PyObject *o, PyObject *other) {
    if (Py_TYPE(other) == &stream_type)
        EXT_TRY(taper_cuda_stream_wait_stream(P(o, taper_cuda_stream), P(other, taper_cuda_stream)));
    else if (Py_TYPE(other) == &event_type)
        EXT_TRY(taper_cuda_stream_wait_event(P(o, taper_cuda_stream), P(other, taper_cuda_event)));
    else
        return PyErr_Format(PyExc_TypeError, "expected a stream or an event");
    Py_RETURN_NONE;
}
static PyMethodDef stream_methods[] = {{"wrap", stream_wrap, METH_VARARGS | METH_STATIC, NULL}, {"synchronize", stream_synchronize, METH_NOARGS, NULL},
                                       {"query", stream_query, METH_NOARGS, NULL}, {"wait_stream", stream_wait, METH_O, NULL}, {"wait_event", stream_wait, METH_O, NULL}, {0}};
static PyGetSetDef stream_getset[] = {{"device", stream_get, NULL, NULL, NULL}, {"priority", stream_get, NULL, NULL, (void *)1}, {"handle", stream_get, NULL, NULL, (void *)2}, {0}};
static PyTypeObject stream_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "torch._C.CudaStream", .tp_basicsize = sizeof(handle), .tp_flags = Py_TPFLAGS_DEFAULT,
                                   .tp_new = stream_new, .tp_dealloc = stream_free, .tp_methods = stream_methods, .tp_getset = stream_getset};

static PyObject *event_new(PyTypeObject *type, PyObject *args, PyObject *kw) {
    static char *names[] = {"timing", "blocking", NULL};
    int timing = 0, blocking = 0;
    taper_cuda_event *e = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kw, "|pp", names, &timing, &blocking)) return NULL;
    EXT_TRY(taper_cuda_event_new(&e, timing, blocking));
    return handle_of(type, e);
}
static void event_free(PyObject *o) {
    taper_cuda_event_release(P(o, taper_cuda_event));
    Py_TYPE(o)->tp_free(o);
}
static PyObject *event_record(PyObject *o, PyObject *args) {
    PyObject *s = Py_None;
    if (!PyArg_ParseTuple(args, "|O", &s)) return NULL;
    EXT_TRY(taper_cuda_event_record(P(o, taper_cuda_event), Py_TYPE(s) == &stream_type ? P(s, taper_cuda_stream) : NULL));
    Py_RETURN_NONE;
}
static PyObject *event_query(PyObject *o, PyObject *u) {
    bool done;
    (void)u;
    EXT_TRY(taper_cuda_event_query(&done, P(o, taper_cuda_event)));
    return PyBool_FromLong(done);
}
static PyObject *event_synchronize(PyObject *o, PyObject *u) {
    taper_status st;
    (void)u;
    Py_BEGIN_ALLOW_THREADS st = taper_cuda_event_synchronize(P(o, taper_cuda_event));
    Py_END_ALLOW_THREADS if (st != TAPER_OK) return ext_raise(st);
    Py_RETURN_NONE;
}
static PyObject *event_elapsed(PyObject *o, PyObject *end) {
    float ms;
    if (Py_TYPE(end) != &event_type) return PyErr_Format(PyExc_TypeError, "elapsed(): expected an event");
    EXT_TRY(taper_cuda_event_elapsed(&ms, P(o, taper_cuda_event), P(end, taper_cuda_event)));
    return PyFloat_FromDouble(ms);
}
static PyObject *event_handle(PyObject *o, void *u) { (void)u; return PyLong_FromVoidPtr(taper_cuda_event_handle(P(o, taper_cuda_event))); }
static PyMethodDef event_methods[] = {{"record", event_record, METH_VARARGS, NULL}, {"query", event_query, METH_NOARGS, NULL},
                                      {"synchronize", event_synchronize, METH_NOARGS, NULL}, {"elapsed", event_elapsed, METH_O, NULL}, {0}};
static PyGetSetDef event_getset[] = {{"handle", event_handle, NULL, NULL, NULL}, {0}};
static PyTypeObject event_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "torch._C.CudaEvent", .tp_basicsize = sizeof(handle), .tp_flags = Py_TPFLAGS_DEFAULT,
                                  .tp_new = event_new, .tp_dealloc = event_free, .tp_methods = event_methods, .tp_getset = event_getset};

static PyObject *graph_new(PyTypeObject *type, PyObject *args, PyObject *kw) {
    PyObject *share = Py_None;
    taper_cuda_graph *g = NULL;
    (void)kw;
    if (!PyArg_ParseTuple(args, "|O", &share)) return NULL;
    EXT_TRY(taper_cuda_graph_new(&g, Py_TYPE(share) == &graph_type ? P(share, taper_cuda_graph) : NULL));
    return handle_of(type, g);
}
static void graph_free(PyObject *o) {
    taper_cuda_graph_release(P(o, taper_cuda_graph));
    Py_TYPE(o)->tp_free(o);
}
static PyObject *graph_begin(PyObject *o, PyObject *s) {
    EXT_TRY(taper_cuda_graph_begin_capture(P(o, taper_cuda_graph), Py_TYPE(s) == &stream_type ? P(s, taper_cuda_stream) : NULL));
    Py_RETURN_NONE;
}
static PyObject *graph_end(PyObject *o, PyObject *u) {
    (void)u;
    EXT_TRY(taper_cuda_graph_end_capture(P(o, taper_cuda_graph)));
    Py_RETURN_NONE;
}
static PyObject *graph_replay(PyObject *o, PyObject *u) {
    (void)u;
    EXT_TRY(taper_cuda_graph_replay(P(o, taper_cuda_graph), NULL));
    Py_RETURN_NONE;
}
static PyMethodDef graph_methods[] = {{"begin_capture", graph_begin, METH_O, NULL}, {"end_capture", graph_end, METH_NOARGS, NULL}, {"replay", graph_replay, METH_NOARGS, NULL}, {0}};
static PyTypeObject graph_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "torch._C.CudaGraph", .tp_basicsize = sizeof(handle), .tp_flags = Py_TPFLAGS_DEFAULT,
                                  .tp_new = graph_new, .tp_dealloc = graph_free, .tp_methods = graph_methods};

static PyObject *cuda_stream_get(PyObject *args, bool current) {
    int i = one_int(args, -1);
    taper_cuda_stream *s = NULL;
    if (i == -99) return NULL;
    EXT_TRY(current ? taper_cuda_stream_current(&s, i) : taper_cuda_stream_default(&s, i));
    return handle_of(&stream_type, s);
}
static PyObject *cuda_current_stream(PyObject *m, PyObject *args) { (void)m; return cuda_stream_get(args, true); }
static PyObject *cuda_default_stream(PyObject *m, PyObject *args) { (void)m; return cuda_stream_get(args, false); }
static PyObject *cuda_set_stream(PyObject *m, PyObject *s) {
    (void)m;
    if (Py_TYPE(s) != &stream_type) return PyErr_Format(PyExc_TypeError, "cuda_set_stream(): expected a CudaStream");
    EXT_TRY(taper_cuda_stream_set_current(P(s, taper_cuda_stream)));
    Py_RETURN_NONE;
}

static PyObject *cuda_pin(PyObject *m, PyObject *o) {
    taper_tensor *t = NULL;
    taper_status st;
    (void)m;
    if (!ext_is_tensor(o)) return PyErr_Format(PyExc_TypeError, "pin_memory(): expected a tensor, got %s", Py_TYPE(o)->tp_name);
    Py_BEGIN_ALLOW_THREADS st = taper_tensor_pin(&t, ext_t(o));
    Py_END_ALLOW_THREADS if (st != TAPER_OK) return ext_raise(st);
    return ext_wrap(t);
}
static PyObject *cuda_times(PyObject *m, PyObject *args) {
    static char text[1 << 14];
    int rows = 30;
    (void)m;
    if (!PyArg_ParseTuple(args, "|i", &rows)) return NULL;
    EXT_TRY(taper_cuda_times(text, sizeof text, rows));
    return PyUnicode_FromString(text);
}
static PyObject *cuda_is_pinned(PyObject *m, PyObject *o) {
    (void)m;
    if (!ext_is_tensor(o)) return PyErr_Format(PyExc_TypeError, "is_pinned(): expected a tensor, got %s", Py_TYPE(o)->tp_name);
    return PyBool_FromLong(taper_tensor_is_pinned(ext_t(o)));
}

PyMethodDef ext_cuda_functions[] = {{"pin_memory", cuda_pin, METH_O, NULL}, {"is_pinned", cuda_is_pinned, METH_O, NULL}, {"cuda_times", cuda_times, METH_VARARGS, NULL},
    {"cuda_device_count", cuda_device_count, METH_NOARGS, NULL}, {"cuda_why_not", cuda_why_not, METH_NOARGS, NULL},
    {"cuda_current_device", cuda_current_device, METH_NOARGS, NULL}, {"cuda_set_device", cuda_set_device, METH_VARARGS, NULL},
    {"cuda_synchronize", cuda_synchronize, METH_VARARGS, NULL}, {"cuda_get_properties", cuda_get_properties, METH_VARARGS, NULL},
    {"cuda_mem_info", cuda_mem_info, METH_VARARGS, NULL}, {"cuda_memory_stats", cuda_memory_stats, METH_VARARGS, NULL},
    {"cuda_reset_peak", cuda_reset_peak, METH_VARARGS, NULL}, {"cuda_empty_cache", cuda_empty_cache, METH_NOARGS, NULL},
    {"cuda_manual_seed", cuda_manual_seed, METH_O, NULL},  {"set_backend_flag", cuda_set_backend_flag, METH_VARARGS, NULL}, {"cuda_memory_table", cuda_memory_table, METH_VARARGS, NULL},
    {"cuda_set_memory_limit", cuda_set_memory_limit, METH_VARARGS, NULL}, {"cuda_is_capturing", cuda_is_capturing, METH_NOARGS, NULL},
    {"cuda_current_stream", cuda_current_stream, METH_VARARGS, NULL}, {"cuda_default_stream", cuda_default_stream, METH_VARARGS, NULL},
    {"cuda_set_stream", cuda_set_stream, METH_O, NULL}, {"cuda_default_generator", ext_cuda_default_generator, METH_O, NULL}, {0}};

int ext_cuda_init(PyObject *m) {
    static struct {
        const char *name;
        PyTypeObject *type;
    } types[] = {{"CudaStream", &stream_type}, {"CudaEvent", &event_type}, {"CudaGraph", &graph_type}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (PyType_Ready(types[i].type) < 0) return -1;
        Py_INCREF(types[i].type);
        if (PyModule_AddObject(m, types[i].name, (PyObject *)types[i].type) < 0) return -1;
    }
    return ext_add_functions(m, ext_cuda_functions);
}
