/* What several checks ask of the GPUs, from the shared probes. GPU i is NVML's i-th, in the order of the bus; CUDA numbers differently. */
#ifndef TAPER_DOCTOR_GPUS_H
#define TAPER_DOCTOR_GPUS_H

#include "doctor/ladder.h"

enum { DOCTOR_GPUS_MAX = 64 };
/* How many GPUs NVML tells of; 0 where the ladder ends below it. */
int doctor_gpus(doctor *d);
bool doctor_gpu_works(doctor *d, int i); /* NVML has a handle to it */
const char *doctor_gpu_name(doctor *d, int i); /* "GPU 0 (NVIDIA H200)" */
/* As the kernel writes it: "0000:3b:00.0"; NULL. */
const char *doctor_gpu_bus(doctor *d, int i);
/* "datacenter", "workstation", "consumer", "jetson"; "" when the tables do not know it. */
const char *doctor_gpu_class(doctor *d, int i);
/* Whether this process may use it: the driver API lists it by UUID. True where that cannot be told. */
bool doctor_gpu_visible(doctor *d, int i);
/* A fact of a GPU as a number; `otherwise` when not said. */
int64_t doctor_gpu_int(doctor *d, int i, const char *key, int64_t otherwise);
bool doctor_is_vm(doctor *d);
/* "a" and "b" to "a, b"; `list` may be "". */
const char *doctor_listed(doctor *d, const char *list, const char *item);

/* The probe "daemons": processes of NVIDIA's services that /proc shows here. Keys: persistenced, fabricmanager, mps_control, mps_server (a pid each). */
const doctor_facts *doctor_daemons(doctor *d);
/* The probe "holders": processes that have a GPU's node open, of those whose files this user may see. Keys: count, holder.K ("PID NODE"). */
const doctor_facts *doctor_holders(doctor *d);

#endif
