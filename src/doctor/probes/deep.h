/* What the measuring probes share: the driver API as a table, each GPU's context, three small kernels, NVML's readings under load. All of it
 * runs in the probe's child. */
#ifndef TAPER_DOCTOR_PROBES_DEEP_H
#define TAPER_DOCTOR_PROBES_DEEP_H

#include "doctor/doctor.h"

typedef uint64_t deep_memory; /* CUdeviceptr */
struct deep_utilization {
    unsigned gpu, memory;
};

typedef struct deep_cuda {
    int (*init)(unsigned);
    int (*driver_version)(int *);
    int (*count)(int *);
    int (*device)(int *, int);
    int (*name)(char *, int, int);
    int (*bus)(char *, int, int);
    int (*attribute)(int *, int, int);
    int (*retain)(void **, int);
    int (*enter)(void *);
    int (*info)(size_t *, size_t *);
    int (*alloc)(deep_memory *, size_t);
    int (*free)(deep_memory);
    int (*host_alloc)(void **, size_t, unsigned);
    int (*host_free)(void *);
    int (*to_gpu)(deep_memory, const void *, size_t);
    int (*to_host)(void *, deep_memory, size_t);
    int (*to_gpu_async)(deep_memory, const void *, size_t, void *);
    int (*to_host_async)(void *, deep_memory, size_t, void *);
    int (*within)(deep_memory, deep_memory, size_t, void *);
    int (*set)(deep_memory, unsigned, size_t, void *); /* 32-bit words */
    int (*stream)(void **, unsigned);
    int (*stream_wait)(void *);
    int (*stream_query)(void *);
    int (*event)(void **, unsigned);
    int (*event_record)(void *, void *);
    int (*event_wait)(void *);
    int (*event_ms)(float *, void *, void *);
    int (*module)(void **, const void *);
    int (*function)(void **, void *, const char *);
    int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **);
    int (*wait)(void);
    int (*can_access)(int *, int, int);
    int (*peer_enable)(void *, unsigned);
    int (*peer_copy)(deep_memory, void *, deep_memory, void *, size_t, void *);
} deep_cuda;

/* NVML; each may be NULL. */
typedef struct deep_nvml {
    int (*init)(void);
    int (*by_bus)(const char *, void **);
    int (*link_gen)(void *, unsigned *);
    int (*link_width)(void *, unsigned *);
    int (*link_gen_max)(void *, unsigned *);
    int (*link_width_max)(void *, unsigned *);
    int (*clock)(void *, int, unsigned *);
    int (*clock_max)(void *, int, unsigned *);
    int (*power)(void *, unsigned *);
    int (*power_limit)(void *, unsigned *);
    int (*power_default)(void *, unsigned *);
    int (*reasons)(void *, unsigned long long *);
    int (*reasons_old)(void *, unsigned long long *);
    int (*temperature)(void *, int, unsigned *);
    int (*utilization)(void *, struct deep_utilization *);
    int (*peer_status)(void *, void *, int, int *);
    int (*link_state)(void *, unsigned, unsigned *);
    int (*link_remote)(void *, unsigned, int *);
} deep_nvml;

enum { DEEP_GPUS = 16 };
typedef struct deep_gpu {
    int index, device, cc, sms, wrong; /* cc: 90 for 9.0 */
    char name[128], bus[32];
    void *context, *stream, *begin, *end, *nvml;
    void *nothing, *fill, *check; /* kernels; NULL until deep_kernels */
    size_t free;
    double bandwidth;   /* GB/s by the memory's clock and width; 0 */
} deep_gpu;

typedef struct deep {
    doctor_out *out;
    deep_cuda cuda;
    deep_nvml nvml;
    bool has_nvml;
    int driver, count;
    double jit_ms;
    deep_gpu gpus[DEEP_GPUS];
} deep;

/* Opens driver and NVML and says open/init/count; false after saying what failed. Static storage: one in a child. */
deep *deep_open(doctor_out *o);
/* Context, stream and events of GPU i, made current; says gpu.I.{name,cc,bus,bandwidth}, or gpu.I.error. NULL on failure. */
deep_gpu *deep_enter(deep *p, int i);
/* Compiles the kernels from PTX into the current context; the CUresult. */
int deep_kernels(deep *p, deep_gpu *g);
/* data[i] = (hash(i) & mask) | bits for `words` words, on the stream. */
int deep_fill(deep *p, deep_gpu *g, deep_memory data, size_t words, unsigned mask, unsigned bits);
/* How many of the words are not hash(i); -1 on an error. Waits. */
int64_t deep_wrong(deep *p, deep_gpu *g, deep_memory data, size_t words);
uint32_t deep_hash(uint32_t i); /* what the kernels compute */
/* gpu.I.FIELD value */
void deep_say(deep *p, const deep_gpu *g, const char *field, const char *format, ...) TAPER_PRINTF(4, 5);
/* Says gpu.I.error "CALL CODE" when code is not 0, and gives it back. */
int deep_failed(deep *p, const deep_gpu *g, const char *call, int code);

double deep_now(void); /* seconds */
/* Waits for the stream and reads NVML meanwhile; the code. What was read is added up in `load`. */
typedef struct deep_load {
    int samples, throttled, power_capped;
    unsigned gen, width, clock_min, clock_max, temperature, power;
    double clock_sum;
    unsigned long long reasons; /* all that were seen */
} deep_load;
int deep_wait(deep *p, deep_gpu *g, deep_load *load);

/* ---- for the checks, not the child ---- */
typedef struct doctor_part {
    double bandwidth, fp32, tf32, fp16, bf16, fp8, nvlink; /* GB/s, dense TFLOP/s, GB/s in both directions; 0: unknown or none */
    bool known, datacenter;
} doctor_part;
/* The row of data/compat/gpus.tsv with this name. */
doctor_part doctor_part_of(const char *name);
/* GB/s of a PCIe link in one direction. */
double doctor_pcie_rate(int64_t gen, int64_t width);
/* Percent of time that others used GPU i (by bus address) before anything was measured; 0 when not known. */
int doctor_busy(doctor *d, const char *bus);
/* The same, and what others do with it now: asked before a rate is called slow, since a job may have begun meanwhile. */
int doctor_busy_since(doctor *d, const char *bus);
/* A slice (MIG) or a virtual GPU: the whole part's figures do not apply to it. */
bool doctor_is_slice(doctor *d, const char *name);
/* Whether the measuring probe of GPUs has a GPU to run on. */
bool doctor_measures(doctor *d);
/* Whether an earlier check found `id` in this run, with `text` (or NULL) in its evidence: one cause is one finding. */
bool doctor_said(doctor *d, const char *id, const char *text);
/* Reports what kept a measuring probe from its work: adds a finding "unknown"; true when it said something. */
bool doctor_unmeasured(doctor *d, const doctor_facts *f, const char *what);

#endif
