/* taper._C: puts the parts together. */
#include "ext.h"

int ext_add_functions(PyObject *m, PyMethodDef *defs) {
    PyObject *name = PyModule_GetNameObject(m);
    for (PyMethodDef *d = defs; name && d->ml_name; d++) {
        PyObject *f = PyCFunction_NewEx(d, NULL, name);
        if (!f || PyModule_AddObject(m, d->ml_name, f) < 0) {
            Py_DECREF(name);
            return -1;
        }
    }
    Py_XDECREF(name);
    return name ? 0 : -1;
}

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "taper._C", .m_doc = "The taper library.", .m_size = -1};

PyMODINIT_FUNC PyInit__C(void) {
    PyObject *m = PyModule_Create(&module);
    if (!m) return NULL;
    if (PyType_Ready(&ext_memory_type) < 0 || ext_types_init(m) < 0 || ext_tensor_init(m) < 0 || ext_ops_init(m) < 0 || ext_grad_init(m) < 0 ||
        ext_add_functions(m, ext_mode_functions) < 0 || ext_add_functions(m, ext_profile_functions) < 0 || ext_add_functions(m, ext_dlpack_functions) < 0 || ext_cuda_init(m) < 0) {
        Py_DECREF(m);
        return NULL;
    }
    return m;
}
