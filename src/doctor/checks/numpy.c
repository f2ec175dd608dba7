/* NumPy 2 with a PyTorch that was built for NumPy 1. */
#include "doctor/python.h"

#include <stdlib.h>
#include <string.h>

static void numpy_run(doctor *d) {
    const doctor_python *p = doctor_torch_env(d);
    const doctor_package *numpy = doctor_python_package(p, "numpy");
    if (!numpy) return;
    if (atoi(numpy->version) < 2 || doctor_release_order(p->torch_version, "2.3", 2) >= 0) {
        doctor_fine(d, "numpy %s, torch %s", numpy->version, p->torch_version);
        return;
    }
    doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "numpy-2", "https://github.com/TorchIO-project/torchio/issues/1183");
    doctor_evidence(d, f, "numpy %s in %s; torch %s", numpy->version, numpy->folder, p->torch_version);
    doctor_cause(d, f, "PyTorch %s was built for NumPy 1: Tensor.numpy() and torch.from_numpy() fail under NumPy %s.", "PyTorch %s 是为 NumPy 1 编译的: 在 NumPy %s 下 Tensor.numpy() 和 torch.from_numpy() 会失败。",
                 p->torch_version, numpy->version);
    doctor_cure(d, f, "%s \"numpy<2\"", NULL, doctor_pip(d, p));
}

DOCTOR_CHECK(numpy, .code = 706, .layer = DOCTOR_PYTHON, .reads = "site-packages/*.dist-info", .asks = "do NumPy and PyTorch go together?", .finds = {"numpy-2"}, .run = numpy_run);
