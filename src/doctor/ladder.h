/* The ladder from the bus to a running context: the first rung that fails names the fault, and the checks above it stay silent. */
#ifndef TAPER_DOCTOR_LADDER_H
#define TAPER_DOCTOR_LADDER_H

#include "doctor/doctor.h"

typedef enum doctor_rung {
    RUNG_NO_GPU,    /* none on the bus, no driver, no node: a machine without a GPU, which is a normal state */
    RUNG_PCI,       /* a GPU is there but another driver, or none of the bus, answers */
    RUNG_KERNEL,    /* no kernel module */
    RUNG_NODES,     /* /dev/nvidia* missing or refused */
    RUNG_LIBRARIES, /* libnvidia-ml or libcuda not found or not the driver's */
    RUNG_NVML, RUNG_CUDA, RUNG_CONTEXT,
    RUNG_RUNS
} doctor_rung;
doctor_rung doctor_ladder(doctor *d);

/* Addresses of NVIDIA's GPUs on the PCI bus; the count. */
int doctor_pci_gpus(doctor *d, const char *const **addresses);
/* Version of the loaded kernel module ("580.159.04"); NULL. *open: of the open kernel modules. */
const char *doctor_module(doctor *d, bool *open);
bool doctor_is_wsl(doctor *d); /* the driver is Windows' own; no bus, module or nodes to look at */

/* The probe "loader": what dlopen finds in this environment. Keys for each of libcuda.so.1 and libnvidia-ml.so.1: NAME.path (all links
 * followed), NAME.error (the loader's words). */
const doctor_facts *doctor_loader(doctor *d);

#endif
