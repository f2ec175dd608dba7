/* DLPack capsules: "dltensor" and "dltensor_versioned" when offered, "used_..." once somebody has taken the tensor out. */
#include <taper/cuda.h>
#include <taper/dlpack.h>

#include "ext.h"

static void capsule_free(PyObject *capsule) {
    if (PyCapsule_IsValid(capsule, "dltensor")) {
        taper_dl_managed *m = PyCapsule_GetPointer(capsule, "dltensor");
        if (m && m->deleter) m->deleter(m);
    } else if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
        taper_dl_managed_versioned *m = PyCapsule_GetPointer(capsule, "dltensor_versioned");
        if (m && m->deleter) m->deleter(m);
    }
}

/* The consumer's stream waits for what is queued on ours: 1 is the driver's legacy stream, 2 that of the thread, -1: no wait. */
static int wait_for_us(const taper_tensor *t, PyObject *stream) {
    taper_cuda_stream *ours = NULL, *theirs = NULL;
    taper_device d = taper_tensor_device(t);
    if (d.type != TAPER_CUDA) return 0;
    long long handle = stream == Py_None ? 1 : PyLong_AsLongLong(stream);
    if (handle == -1) return PyErr_Occurred() ? -1 : 0;
    taper_status st = taper_cuda_stream_current(&ours, d.index);
    if (st == TAPER_OK) st = taper_cuda_stream_wrap(&theirs, d.index, (void *)(intptr_t)handle);
    if (st == TAPER_OK) st = taper_cuda_stream_wait_stream(theirs, ours);
    taper_cuda_stream_release(theirs);
    taper_cuda_stream_release(ours);
    if (st != TAPER_OK) ext_raise(st);
    return st == TAPER_OK ? 0 : -1;
}

/* to_dlpack(tensor, stream, versioned) */
static PyObject *to_dlpack(PyObject *m, PyObject *args) {
    PyObject *o, *stream, *capsule;
    int versioned;
    (void)m;
    if (!PyArg_ParseTuple(args, "O!Op", &ext_tensor_type, &o, &stream, &versioned)) return NULL;
    taper_tensor *t = ext_t(o);
    if (taper_requires_grad(t)) return PyErr_Format(PyExc_RuntimeError, "Can't export tensors that require gradient, use tensor.detach()");
    if (wait_for_us(t, stream) < 0) return NULL;
    if (versioned) {
        taper_dl_managed_versioned *managed = NULL;
        EXT_TRY(taper_tensor_to_dlpack_versioned(&managed, t, 0));
        capsule = PyCapsule_New(managed, "dltensor_versioned", capsule_free);
        if (!capsule) managed->deleter(managed);
    } else {
        taper_dl_managed *managed = NULL;
        EXT_TRY(taper_tensor_to_dlpack(&managed, t));
        capsule = PyCapsule_New(managed, "dltensor", capsule_free);
        if (!capsule) managed->deleter(managed);
    }
    return capsule;
}

static PyObject *from_dlpack(PyObject *m, PyObject *capsule) {
    taper_tensor *t = NULL;
    (void)m;
    if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
        EXT_TRY(taper_tensor_from_dlpack_versioned(&t, PyCapsule_GetPointer(capsule, "dltensor_versioned")));
        PyCapsule_SetName(capsule, "used_dltensor_versioned");
    } else if (PyCapsule_IsValid(capsule, "dltensor")) {
        EXT_TRY(taper_tensor_from_dlpack(&t, PyCapsule_GetPointer(capsule, "dltensor")));
        PyCapsule_SetName(capsule, "used_dltensor");
    } else {
        return PyErr_Format(PyExc_RuntimeError, "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, so you might "
                                                "have already constructed a tensor from it once.");
    }
    return ext_wrap(t);
}

PyMethodDef ext_dlpack_functions[] = {{"to_dlpack", to_dlpack, METH_VARARGS, NULL}, {"from_dlpack", from_dlpack, METH_O, NULL}, {0}};
