/* taper._C: the public C API as Python objects. */
#ifndef TAPER_EXT_H
#define TAPER_EXT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <taper/autograd.h>
#include <taper/index.h>
#include <taper/ops.h>
#include <taper/schema.h>
#include <taper/scope.h>
#include <taper/threads.h>

/* A Python tensor owns one reference; the C tensor knows its Python object (borrowed), so that identity survives a trip. */
typedef struct ext_tensor {
    PyObject_HEAD
    taper_tensor *t;
    PyObject *dict, *weak;
} ext_tensor;
extern PyTypeObject ext_tensor_type, ext_dtype_type, ext_device_type, ext_generator_type, ext_node_type, ext_function_type;
extern PyTypeObject *ext_size_type;

static inline bool ext_is_tensor(PyObject *o) { return Py_TYPE(o) == &ext_tensor_type || PyType_IsSubtype(Py_TYPE(o), &ext_tensor_type); }
static inline taper_tensor *ext_t(PyObject *o) { return ((ext_tensor *)o)->t; }

/* Takes over the reference; NULL with an exception on failure. */
PyObject *ext_wrap(taper_tensor *t);
PyObject *ext_wrap_as(PyTypeObject *type, taper_tensor *t);
/* Borrowed C tensor as a Python object; None for NULL. */
PyObject *ext_borrow(taper_tensor *t);
/* Raises the exception of a failed call; returns NULL. */
PyObject *ext_raise(taper_status st);
#define EXT_TRY(call)                                                                                                  \
    do {                                                                                                               \
        taper_status ext_st_ = (call);                                                                                 \
        if (ext_st_ != TAPER_OK) return ext_raise(ext_st_);                                                            \
    } while (0)

/* types.c */
int ext_types_init(PyObject *m);
PyObject *ext_dtype(taper_dtype d);           /* new reference */
bool ext_dtype_of(PyObject *o, taper_dtype *out); /* dtype objects and float, int, bool */
PyObject *ext_device(taper_device d, bool has_index);
int ext_device_of(PyObject *o, taper_device *out); /* 1 yes, 0 not a device, -1 error; device, str, int */
PyObject *ext_size(const int64_t *shape, int n);
PyObject *ext_cuda_default_generator(PyObject *m, PyObject *index);
const char *ext_format_of(PyObject *o); /* "channels_last"; NULL: not a memory format */
extern PyObject *ext_out_of_memory;
extern bool ext_have_default_device;
extern taper_device ext_default_device;
typedef struct ext_generator_object {
    PyObject_HEAD
    taper_generator *g;
} ext_generator_object;
typedef struct ext_dtype_object {
    PyObject_HEAD
    taper_dtype d;
} ext_dtype_object;

/* call.c */
int ext_ops_init(PyObject *m);
PyObject *ext_call_row(const taper_op_row *row, taper_arg *args, int n);
/* A number (Python, NumPy) as an argument: 1 yes, 0 no, -1 error. */
int ext_number(PyObject *o, taper_arg *out);
int ext_int64(PyObject *o, int64_t *out); /* 1 yes, 0 no, -1 error */

/* data.c */
PyObject *ext_tensor_from(PyObject *data, taper_dtype dtype, const taper_device *device, bool copy, bool keep);
PyObject *ext_tolist(taper_tensor *t);
PyObject *ext_item(taper_tensor *t);
extern PyMethodDef ext_data_functions[];
PyObject *ext_numpy(PyObject *self, PyObject *unused);
PyObject *ext_memory(PyObject *self, PyObject *unused);
extern PyTypeObject ext_memory_type;

/* subscript.c */
PyObject *ext_getitem(PyObject *self, PyObject *key);
int ext_setitem(PyObject *self, PyObject *key, PyObject *value);

/* grad.c */
extern PyMethodDef ext_grad_functions[];
extern PyMethodDef ext_grad_methods[];
int ext_grad_init(PyObject *m);
PyObject *ext_node(taper_node *n);

/* modes.c, cuda.c, profile.c, dlpack.c */
extern PyMethodDef ext_mode_functions[], ext_cuda_functions[], ext_profile_functions[], ext_dlpack_functions[];
int ext_cuda_init(PyObject *m);
PyObject *ext_tensor_repr(PyObject *self);

/* tensor.c */
int ext_tensor_init(PyObject *m);
int ext_add_functions(PyObject *m, PyMethodDef *defs);

#endif
