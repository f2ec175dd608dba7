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

/* What is wrong with CUDA_VISIBLE_DEVICES: 0 nothing (or not set, or everything hidden on purpose); *entry is the first bad one, *at its place. */
typedef enum doctor_visible { VISIBLE_FINE, VISIBLE_INDEX, VISIBLE_UUID, VISIBLE_TWICE } doctor_visible;
doctor_visible doctor_visible_problem(doctor *d, const char **entry, int *at);
/* The entries of a comma list, each without blanks; at most `room`. */
int doctor_split(doctor *d, const char *list, const char **out, int room);
/* MIG is on everywhere and offers nothing: "instances" or "nodes" are missing; NULL. */
const char *doctor_mig_lacks(doctor *d);
/* Another check says why the driver API finds no GPU. */
bool doctor_no_device_named(doctor *d);
/* A GPU forbids this process by its compute mode, and its check says who has it. */
bool doctor_compute_mode_named(doctor *d);
bool doctor_gpu_full(doctor *d, int i); /* no room for another job */
/* Version of the Fabric Manager's package on this host where it is not the driver's; NULL. */
const char *doctor_fabric_mismatch(doctor *d);
/* Why a GPU on the bus was not started by the driver, as far as it can be told. */
typedef enum doctor_stopped { STOPPED_NONE, STOPPED_OLD_DRIVER, STOPPED_DROPPED, STOPPED_NEEDS_OPEN, STOPPED_NEEDS_CLOSED, STOPPED_NO_BAR, STOPPED_UNKNOWN } doctor_stopped;
/* The first such GPU: its address, and its row of the table gpus (-1). */
doctor_stopped doctor_gpu_stopped(doctor *d, const char **address, int *row);

/* Whether this id was found for another GPU already: then the numbers join that finding, one cause is one finding. */
bool doctor_again(doctor *d, const char *id, const char *numbers);

/* The probe "daemons": processes of NVIDIA's services that /proc shows here. Keys: persistenced, fabricmanager, mps_control, mps_server (a pid each). */
const doctor_facts *doctor_daemons(doctor *d);
/* The probe "holders": processes that have a GPU's node open, of those whose files this user may see. Keys: count, holder.K ("PID NODE"). */
const doctor_facts *doctor_holders(doctor *d);

#endif
