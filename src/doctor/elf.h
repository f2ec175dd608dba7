/* What a shared library says of itself, read from its bytes and never loaded. Safe on any bytes.
 *
 * On a recorded machine .doctor/elf/PATH stands for the file, in lines: soname NAME, needed NAME, rpath TEXT, runpath TEXT, wants FILE VERSION,
 * offers VERSION, undefined NAME, sass 90, ptx 90, has NAME.
 */
#ifndef TAPER_DOCTOR_ELF_H
#define TAPER_DOCTOR_ELF_H

#include "doctor/doctor.h"

enum { DOCTOR_ELF_ARCHS = 256 };
typedef enum doctor_elf_part {
    DOCTOR_ELF_HEAD = 0,      /* all but the following */
    DOCTOR_ELF_UNDEFINED = 1, /* symbols of PyTorch's libraries and of nvJitLink that it takes from elsewhere */
    DOCTOR_ELF_KERNELS = 2    /* GPU code */
} doctor_elf_part;

typedef struct doctor_elf {
    struct doctor_elf *next;
    const char *path;  /* all links followed */
    const char *error; /* why it could not be read; NULL */
    const char *soname, *rpath, *runpath; /* NULL */
    const char *const *needed, *const *wants, *const *offers, *const *undefined, *const *has; /* NULL-ended; never NULL */
    bool sass[DOCTOR_ELF_ARCHS], ptx[DOCTOR_ELF_ARCHS]; /* at 10 * major + minor */
    int fatbins; /* that were looked through */
    int parts;   /* read so far */
} doctor_elf;

/* Kept by the doctor; parts that were not read before are added. NULL when there is no such file. */
const doctor_elf *doctor_elf_read(doctor *d, const char *path, int parts);
/* The same of an open file (or of memory), not kept. */
void doctor_elf_parse(doctor *d, doctor_elf *out, const doctor_file *file, int parts);
/* Clears from `symbols` (NULL-ended, changed) those that the library defines; the count left. -1, and nothing cleared, where it cannot be
 * told. */
int doctor_elf_drop_defined(doctor *d, const char *library, const char **symbols);
int doctor_elf_drop_in(const doctor_file *file, const char **symbols);

/* Where the loader finds `name` for chain[0], which chain[1] loaded and so on (NULL-ended; paths). */
typedef struct doctor_resolved {
    const char *path; /* NULL: nowhere */
    const char *how;  /* "LD_LIBRARY_PATH", "RPATH", "RUNPATH", "ld.so.cache", "default" */
} doctor_resolved;
doctor_resolved doctor_resolve(doctor *d, const char *name, const char *const *chain);
/* Path of `name` in /etc/ld.so.cache; NULL. */
const char *doctor_ld_cache(doctor *d, const char *name);
const char *doctor_ld_cache_in(doctor *d, const char *data, size_t size, const char *name);
bool doctor_elf_listed(const char *const *list, const char *text); /* whether it is among them */

#endif
