/* Python environments and what is installed in them, found on disk: no Python runs. */
#ifndef TAPER_DOCTOR_PYTHON_H
#define TAPER_DOCTOR_PYTHON_H

#include "doctor/elf.h"

typedef struct doctor_package {
    const char *name;    /* as the index writes it: lower case, "-" for "_" and "." */
    const char *version; /* "2.6.0+cu124" */
    const char *folder;  /* the site-packages it is in */
    const char *info;    /* its .dist-info folder */
} doctor_package;

enum { DOCTOR_PYTHON_PATHS = 16 };
typedef struct doctor_python {
    const char *prefix;  /* "/opt/conda" */
    const char *how;     /* "VIRTUAL_ENV", "PATH", "CONDA_PREFIX", or "" for one that was come across */
    const char *program; /* the interpreter, all links followed; NULL */
    const char *version; /* "3.11" */
    const char *base;    /* of a virtual environment: the prefix it was made from; else prefix */
    bool active, venv;
    const char *paths[DOCTOR_PYTHON_PATHS]; /* folders of packages, first come first served */
    int path_count;
    const doctor_package *packages;
    int package_count;
    const char *torch; /* the package's folder; NULL: no torch */
    const char *torch_version, *cuda, *hip; /* "2.6.0+cu124", "12.4"; NULL where version.py says None */
} doctor_python;

/* Environments, the active one first; those that are not active only where they have torch. */
int doctor_pythons(doctor *d, const doctor_python **list);
/* The environment whose torch is judged: the active one, else the only one with torch; NULL. */
const doctor_python *doctor_torch_env(doctor *d);
/* The same, and only with a torch for CUDA. */
const doctor_python *doctor_cuda_torch(doctor *d);
const doctor_package *doctor_python_package(const doctor_python *p, const char *name); /* NULL */
/* A file of torch/lib that is there; NULL. */
const char *doctor_torch_library(doctor *d, const doctor_python *p, const char *name);
/* Shared libraries in packages that are built against torch, the first ones of the environment that is judged, by package. */
enum { DOCTOR_EXTENSIONS = 32 };
typedef struct doctor_extension {
    const doctor_package *package;
    const char *path;
} doctor_extension;
int doctor_extensions(doctor *d, const doctor_python *p, const doctor_extension **list);
/* "2.6.0+cu124" against 2.3: below, above or 0, by `numbers` numbers. */
int doctor_release_order(const char *a, const char *b, int numbers);
/* GPUs that NVML counts; 0 where NVML does not answer. */
int doctor_gpu_count(doctor *d);
/* The driver's version ("570.86.15"); NULL. */
const char *doctor_driver_version(doctor *d);
/* Row of torch_builds to advise in place of `torch` for compute capability cc (90; 0: any) and this driver (NULL: any): of the same release
 * where there is one, else the nearest stable one; -1. */
int doctor_wheel_row(const char *torch, int cc, const char *driver);
/* "pip install", or of an environment that is not active "PREFIX/bin/python -m pip install". */
const char *doctor_pip(doctor *d, const doctor_python *p);
/* "pip install --force-reinstall torch==2.6.0 --index-url https://download.pytorch.org/whl/cu124" for a row. */
const char *doctor_wheel_command(doctor *d, const doctor_python *p, int row);
/* "torch 2.6.0+cu124 in /opt/conda" */
const char *doctor_torch_name(doctor *d, const doctor_python *p);
/* Whether this machine code and PTX serve compute capability cc: 2 machine code, 1 PTX, 0 nothing. */
int doctor_code_serves(const bool sass[DOCTOR_ELF_ARCHS], const bool ptx[DOCTOR_ELF_ARCHS], int cc);
/* "8.0 9.0" of the marks; "none". */
const char *doctor_arch_text(doctor *d, const bool marks[DOCTOR_ELF_ARCHS]);

#endif
