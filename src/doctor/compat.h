/* Does this GPU with this driver run that build, and by which rule? Pure functions over the tables of data/compat/: nothing here
 * reads the machine or prints.
 */
#ifndef TAPER_DOCTOR_COMPAT_H
#define TAPER_DOCTOR_COMPAT_H

#include "doctor/doctor.h"
#include "doctor/tables.h"

/* In order of what one would rather have. */
typedef enum compat_verdict {
    COMPAT_STRICT,  /* the driver is as new as the toolkit */
    COMPAT_MINOR,   /* minor-version compatibility: the same CUDA major, an older driver */
    COMPAT_PTX,     /* no machine code for the GPU: the driver compiles PTX */
    COMPAT_FORWARD, /* only with the package cuda-compat-X-Y */
    COMPAT_UNKNOWN,
    COMPAT_FAILS
} compat_verdict;

/* Every sentence of the answers, English and Chinese side by side; {1} to {4} are the arguments. */
typedef enum compat_say {
#define COMPAT_SAY(id, en, zh) COMPAT_SAY_##id,
#include "doctor/compat_says.def"
#undef COMPAT_SAY
    COMPAT_SAYS
} compat_say;

typedef enum compat_mark { COMPAT_GOOD, COMPAT_BAD, COMPAT_UNSURE, COMPAT_NOTE } compat_mark;
enum { COMPAT_ARGUMENTS = 4, COMPAT_REASONS = 32, COMPAT_POOL = 6144 };
/* One step of the answer: the rule's sentence, and the row of a table that it rests on (table NULL: on the question alone). */
typedef struct compat_reason {
    const char *topic; /* "code", "driver", "gpu", "build", "image"; a feature's name */
    compat_mark mark;
    compat_say say;
    const char *arguments[COMPAT_ARGUMENTS]; /* NULL where the sentence has none */
    const doctor_table *table;
    int row;
} compat_reason;

/* Any may be NULL. gpu: a name or a compute capability; torch: "2.7.0"; cuda: "12.6" or "cu126"; image: with or without
 * "pytorch/pytorch:". architectures, ptx: "8.0;9.0", what a file holds instead of what the table says of the build. */
typedef struct compat_question {
    const char *gpu, *driver, *torch_version, *cuda, *image, *toolkit, *architectures, *ptx;
    bool aarch64;
} compat_question;

typedef struct compat_gpu {
    char name[96];             /* as asked, cleaned */
    const char *cc;            /* NULL: not known */
    const char *class, *host;  /* of the table; "" when unknown or when the models differ */
    int rows[16], count;       /* of gpus; count 0 for a compute capability alone */
    int cc_row;                /* of cc; -1 */
    const char *floor, *floor_all; /* the driver that the first of the models, and that all of them, need; NULL unknown */
    bool floor_weak;
    int floor_row;
    const doctor_table *floor_table;
} compat_gpu;

/* Code that wants to run: an official build or what a toolkit compiles. */
typedef struct compat_code {
    const char *torch_version, *cuda;      /* torch_version NULL: a toolkit's own programs, "" some file; cuda NULL: unknown */
    const char *architectures, *ptx;       /* "" none; NULL not known */
    const char *strict, *minor;            /* drivers; "" unknown */
    const doctor_table *table;             /* torch_builds or toolkits; NULL */
    int row;
    bool own; /* the architectures are a file's own, not the table's */
} compat_code;

typedef struct compat_answer {
    compat_verdict verdict;
    compat_gpu gpu;
    compat_code code;           /* row -1: none was named or found */
    char driver[32], driver_cuda[16]; /* "" when not given; the highest CUDA version such a driver reports */
    char torch_version[16], cuda[16]; /* as understood; "" */
    compat_reason reasons[COMPAT_REASONS], features[COMPAT_REASONS];
    int reason_count, feature_count;
    const char *driver_least, *driver_full; /* needed by this GPU and code; NULL unknown */
    int best, newest;           /* rows of torch_builds: the best of the same torch version, the newest that runs; -1 */
    compat_verdict best_verdict, newest_verdict;
    char pool[COMPAT_POOL];
    size_t pooled;
} compat_answer;

/* Fills *answer, which the caller owns (no memory is taken). False without tables. */
bool compat_answer_question(const compat_question *question, compat_answer *answer);
/* 0 runs, 2 does not, 3 cannot be told. */
int compat_exit_code(const compat_answer *answer);
const char *compat_sentence(compat_say say, bool chinese);
const char *compat_verdict_name(compat_verdict verdict); /* "minor", for programs */
compat_say compat_verdict_say(compat_verdict verdict);

/* ---- compat_names.c: what users write ---- */
/* False with an unknown name; several models of one compute capability count as known. answer (may be NULL) takes the reason. */
bool compat_find_gpu(compat_gpu *gpu, const char *name, compat_answer *answer);
typedef struct compat_image {
    char torch_version[16], cuda[16], kind[16]; /* kind "runtime" or "devel" */
    int cudnn;
    bool official, exact; /* of pytorch/pytorch; the whole pattern X.Y.Z-cudaA.B-cudnnC-KIND */
} compat_image;
/* Takes what can be recognised; false when nothing can. */
bool compat_read_image(compat_image *out, const char *image);
/* "cu126", "12.6", "12.6.3" give "12.6"; false otherwise. */
bool compat_read_cuda(char out[16], const char *text);
/* "2.7.1+cu126" gives "2.7" (its minor version), and the variant when there is one ("" else); false when it is no version. */
bool compat_read_torch(char minor[16], char variant[16], const char *text);

/* ---- compat_rules.c ---- */
/* The verdict on a GPU, driver (NULL: not known) and code; reasons go to `answer` unless it is NULL. */
compat_verdict compat_judge(const compat_gpu *gpu, const char *driver, const compat_code *code, compat_answer *answer);
void compat_code_of_build(compat_code *code, int row, const compat_gpu *gpu);
void compat_driver_cuda(char out[16], const char *driver);
/* ---- compat_features.c ---- */
void compat_features(compat_answer *answer);
/* Adds to reasons (feature false) or features; arguments up to four strings, copied. */
void compat_add(compat_answer *answer, bool feature, const char *topic, compat_mark mark, compat_say say, const doctor_table *table, int row,
                const char *a, const char *b, const char *c, const char *d);

/* ---- compat_report.c, compat_matrix.c ---- */
void compat_report_text(doctor_buffer *b, const compat_answer *answer, bool chinese, bool verbose, bool colour);
void compat_report_json(doctor_buffer *b, const compat_answer *answer);
/* format: "text", "tsv", "json", "md". gpu and driver (NULL) narrow the last column to them. */
bool compat_matrix(doctor_buffer *b, const char *format, const char *gpu, const char *driver, bool chinese);

/* ---- compat_wheel.c: what a .whl file says of itself ---- */
typedef struct compat_wheel {
    char torch_version[16], cuda[16];     /* from the name, else from METADATA; "" */
    char architectures[128], ptx[128];    /* of the kernels found in its libraries; "" when none was seen */
    bool aarch64, cpu, is_torch;
    bool scanned, partial; /* libraries were looked through; not all of their bytes */
    char why[160];                        /* what could not be read; "" */
} compat_wheel;
/* False when nothing can be read of the file or its name. */
bool compat_read_wheel(compat_wheel *out, const char *path);
/* The same of a file in memory; what the name said (is_torch) stands in *wheel. */
bool compat_wheel_bytes(compat_wheel *wheel, const void *data, size_t size);
/* The architectures of the GPU code in `data`, as bits: index 10 * major + minor; ptx likewise. */
typedef struct compat_kernels {
    bool code[256], ptx[256];
    int found;
} compat_kernels;
void compat_scan_kernels(compat_kernels *out, const void *data, size_t size);

#endif
