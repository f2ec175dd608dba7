/* The doctor's frame: the machine as checks see it, probes in child processes, findings, reports.
 *
 * A check is a file in checks/ that defines one descriptor with DOCTOR_CHECK, and a row in checks.def. It never prints and never fails: what it cannot
 * read becomes a finding "unknown" that says why. All strings given out by these functions live as long as the doctor.
 */
#ifndef TAPER_DOCTOR_DOCTOR_H
#define TAPER_DOCTOR_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <taper/doctor.h>

#include "base/base.h"

typedef struct doctor doctor;

/* ---- machine.c: files, folders, nodes and variables of the machine, or of a recorded one ----
 * A recorded machine is a folder (--root): its files stand for the machine's, and what files cannot show stands below its
 * folder .doctor: open/PATH (the errno of opening or writing PATH, "EPERM"), space/PATH ("total free files_free" in bytes), env
 * ("NAME=value" lines), probe/NAME (the probe's lines), elf/PATH (what elf.h reads), ldcache ("NAME PATH" lines). --record writes one while the checks read. */

/* The file's bytes, 0-ended; NULL with *error = the errno. size (may be NULL) is without the end. At most 16 MiB. */
const char *doctor_read(doctor *d, const char *path, size_t *size, int *error);
/* The first line without its end; NULL when the file is not there or empty. path is a format. */
const char *doctor_line(doctor *d, const char *path, ...) TAPER_PRINTF(2, 3);
/* A whole number at the start of the file; false when there is none. "max" reads as INT64_MAX. path is a format. */
bool doctor_number(doctor *d, int64_t *out, const char *path, ...) TAPER_PRINTF(3, 4);
bool doctor_exists(doctor *d, const char *path, ...) TAPER_PRINTF(2, 3);
/* Target of a link as it is written; NULL. */
const char *doctor_link(doctor *d, const char *path);
/* The path after all links were followed, without the root; NULL. */
const char *doctor_real(doctor *d, const char *path);
/* Names in a folder, sorted, without . and ..; the count, or -errno. *names is NULL-ended. */
int doctor_names(doctor *d, const char *path, const char *const **names);
/* errno of open(path, flags), 0 when it opens. Nothing is read. */
int doctor_open(doctor *d, const char *path, int flags);
/* 0 when this user may write there, else errno (EACCES, EROFS, ENOENT). Nothing is written. */
int doctor_writable(doctor *d, const char *path);
/* Size in bytes, mode, owner; errno. */
typedef struct doctor_stat {
    int64_t size;
    unsigned mode, uid, gid, major, minor;
} doctor_stat;
int doctor_status(doctor *d, const char *path, doctor_stat *out);
typedef struct doctor_space {
    int64_t total, free, files_free; /* bytes, bytes, inodes (-1: not counted) */
} doctor_space;
int doctor_room(doctor *d, const char *path, doctor_space *out); /* statvfs; errno */
const char *doctor_env(doctor *d, const char *name);             /* NULL when not set */
/* A regular file that is too large to be read whole, or bytes in memory (data). What is read is not recorded. */
typedef struct doctor_file {
    int fd; /* -1 for memory */
    int64_t size;
    const unsigned char *data;
} doctor_file;
int doctor_file_open(doctor *d, doctor_file *out, const char *path); /* errno */
bool doctor_pread(const doctor_file *f, void *out, size_t size, uint64_t at); /* all of it, or false */
void doctor_file_close(doctor_file *f);
/* A variable that process `pid` started with; NULL. *error (may be NULL): errno of reading its environment. Only it is recorded. */
const char *doctor_process_env(doctor *d, int pid, const char *name, int *error);
/* The value after "key:" or "key " at the start of a line of a text such as /proc/meminfo; NULL. */
const char *doctor_field(doctor *d, const char *text, const char *key);
bool doctor_is_recorded(const doctor *d); /* not this machine: measure nothing */
/* A formatted string of the doctor's. */
const char *doctor_text(doctor *d, const char *format, ...) TAPER_PRINTF(2, 3);
const char *doctor_errno(int error); /* "EPERM" */

/* The cgroup file of this process: v2 `two` or v1 `one` below `controller`, looked for from the process's own group upwards.
 * NULL when there is none. */
const char *doctor_cgroup(doctor *d, const char *two, const char *controller, const char *one);
const char *doctor_cgroup_of(doctor *d, int pid, const char *two, const char *controller, const char *one); /* of another process */
/* CPUs that the quota grants (the least on the way up), 0 without a limit. */
double doctor_cpu_quota(doctor *d);
/* Numbers of a list such as "0-3,8": how many, and whether `number` is among them. */
int doctor_list_count(const char *list);
bool doctor_list_has(const char *list, int number);
/* "docker", "podman", "kubernetes", "lxc", "container" (of an unknown kind); NULL outside. */
const char *doctor_container(doctor *d);

/* ---- probe.c: what may hang, crash or poison the process runs in a child ---- */
typedef struct doctor_facts doctor_facts;
typedef struct doctor_out doctor_out; /* where a probe writes "key value" lines */
void doctor_say(doctor_out *o, const char *key, const char *format, ...) TAPER_PRINTF(3, 4);
typedef void (*doctor_probe_fn)(doctor_out *o, void *ctx);
/* Runs fn in a child once and remembers its facts under `name`; what came before a crash or the time limit is kept. */
const doctor_facts *doctor_probe(doctor *d, const char *name, doctor_probe_fn fn, void *ctx, int limit_ms);
const char *doctor_fact(const doctor_facts *f, const char *key, ...) TAPER_PRINTF(2, 3); /* NULL when not said */
/* A fact as a number (decimal or 0x); `otherwise` when not said. */
int64_t doctor_fact_int(const doctor_facts *f, int64_t otherwise, const char *key, ...) TAPER_PRINTF(3, 4);
double doctor_fact_real(const doctor_facts *f, double otherwise, const char *key, ...) TAPER_PRINTF(3, 4);
/* How the child ended: NULL for well, else "timed out after 5.0 s", "killed by signal 11". */
const char *doctor_facts_end(const doctor_facts *f);
/* The shared probes. nvml: what NVML says of driver and GPUs. cuda: what the driver API says. probes/ lists their keys. */
const doctor_facts *doctor_nvml(doctor *d);
const doctor_facts *doctor_cuda(doctor *d);

/* ---- finding.c ---- */
typedef enum doctor_verdict { DOCTOR_OK, DOCTOR_UNKNOWN, DOCTOR_SLOW, DOCTOR_BROKEN } doctor_verdict;
typedef struct doctor_check doctor_check;
typedef struct doctor_finding {
    const doctor_check *check;
    const char *id; /* one of the check's `finds`; the check's name where nothing is wrong */
    doctor_verdict verdict;
    const char *evidence, *cause, *cure, *link; /* cause and cure in the report's language; NULL */
    const char *cause_en, *cure_en;             /* for --json */
} doctor_finding;
/* Adds to the running check. `id` must stand in its `finds`. `link` explains further; NULL. */
doctor_finding *doctor_find(doctor *d, doctor_verdict verdict, const char *id, const char *link);
/* The value read, errno or code, as it is: the same in every language. */
void doctor_evidence(doctor *d, doctor_finding *f, const char *format, ...) TAPER_PRINTF(3, 4);
/* One sentence, English and Chinese formats over the same arguments (%1$s where the order differs). */
void doctor_cause(doctor *d, doctor_finding *f, const char *en, const char *zh, ...);
/* What mends it: a command where there is one. zh NULL: the command alone, the same in both. */
void doctor_cure(doctor *d, doctor_finding *f, const char *en, const char *zh, ...);
/* Nothing wrong, with the value that shows it. */
void doctor_fine(doctor *d, const char *format, ...) TAPER_PRINTF(2, 3);
/* Could not be told, and why (evidence). */
void doctor_unknown(doctor *d, const char *format, ...) TAPER_PRINTF(2, 3);
/* A check that adds nothing did not apply to this machine. */

/* ---- registry.c ---- */
typedef enum doctor_layer {
    DOCTOR_PCI, DOCTOR_KERNEL, DOCTOR_NODES, DOCTOR_LIBRARIES, DOCTOR_DRIVER, DOCTOR_CONTAINER, DOCTOR_PYTHON, DOCTOR_GPU,
    DOCTOR_LINKS, DOCTOR_HOST, DOCTOR_NETWORK, DOCTOR_STORAGE, DOCTOR_ENVIRONMENT, DOCTOR_PROCESS, DOCTOR_MEASURED, DOCTOR_LAYERS
} doctor_layer;
const char *doctor_layer_name(doctor_layer layer);
enum { DOCTOR_FINDS = 12 };
struct doctor_check {
    const char *name;   /* "shm": what --check takes */
    int code;           /* of the check in --json, never given to another: (layer + 1) * 100 + number */
    doctor_layer layer;
    const char *reads;  /* for --list: files, calls */
    const char *asks;   /* the question it answers, one line */
    const char *finds[DOCTOR_FINDS]; /* ids of what it may find wrong */
    const char *(*more)(int i);      /* the i-th further id, for a check with many; NULL at the end */
    bool deep;          /* measures: only with --deep */
    bool live;          /* looks at a process: only with --pid */
    bool log;           /* reads a log: only with --log */
    void (*run)(doctor *d);
};
/* Defines the check of a file; checks.def has its row: DOCTOR_CHECK(shm, .code = 501, ...). */
#define DOCTOR_CHECK(check_name, ...) const doctor_check doctor_check_##check_name = {.name = #check_name, __VA_ARGS__}
#define DOCTOR_ROW(check_name) extern const doctor_check doctor_check_##check_name;
#include "doctor/checks.def"
#undef DOCTOR_ROW
/* All checks by layer and code; NULL-ended. */
const doctor_check *const *doctor_checks(void);

typedef taper_doctor_options doctor_options;
/* NULL without memory. */
doctor *doctor_new(const doctor_options *options);
void doctor_run(doctor *d);
const doctor_options *doctor_settings(const doctor *d);
int doctor_count(const doctor *d); /* findings, in the order of the checks */
const doctor_finding *doctor_get(const doctor *d, int i);
/* 0 healthy, 1 slow, 2 broken, 3 could not tell. */
int doctor_exit_code(const doctor *d);
void doctor_free(doctor *d);

/* ---- report_text.c, report_json.c: the report as one string of the doctor's ---- */
const char *doctor_report_text(doctor *d);
const char *doctor_report_json(doctor *d);
const char *doctor_list_text(doctor *d);

/* ---- for the files of the frame ---- */
typedef struct doctor_buffer {
    char *data;
    size_t size, capacity;
} doctor_buffer; /* grows; freed with taper__free(data). A failed growth leaves what is there */
void doctor_print(doctor_buffer *b, const char *format, ...) TAPER_PRINTF(2, 3);
void doctor_json_text(doctor_buffer *b, const char *text); /* quoted; NULL is null; bytes that are not UTF-8 become U+FFFD */
void *doctor_keep(doctor *d, size_t bytes);                /* zeroed memory that lives as long as the doctor; NULL */

#endif
