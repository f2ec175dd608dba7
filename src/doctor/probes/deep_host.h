/* What the probe of the host is told. */
#ifndef TAPER_DOCTOR_PROBES_DEEP_HOST_H
#define TAPER_DOCTOR_PROBES_DEEP_HOST_H

#include "doctor/doctor.h"

typedef struct host_settings {
    double quota;         /* CPUs; 0: no limit */
    const char *cpu_stat; /* the cgroup's file; NULL */
    int unit;             /* 1: its times are microseconds (v2), 1000: nanoseconds (v1) */
} host_settings;
const doctor_facts *doctor_host(doctor *d, host_settings *s);

#endif
