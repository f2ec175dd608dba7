/* Does this GPU with this driver run that build of PyTorch, and by which rule? Answered from tables of published facts that are
 * compiled in (data/compat/): no GPU, no driver and no PyTorch is needed to ask.
 */
#ifndef TAPER_COMPAT_H
#define TAPER_COMPAT_H

#include <taper/doctor.h>

TAPER_BEGIN

typedef enum taper_compat_format { TAPER_COMPAT_TEXT, TAPER_COMPAT_JSON, TAPER_COMPAT_TSV, TAPER_COMPAT_MARKDOWN } taper_compat_format;

/* What is NULL is not known. One of image, torch_version, toolkit, wheel says what is to run. */
typedef struct taper_compat_options {
    const char *gpu;           /* "A100", "NVIDIA GeForce RTX 3090" or a compute capability such as "8.0" */
    const char *driver;        /* "525.60.13" */
    const char *torch_version; /* "2.7.0", "2.7.1+cu126" */
    const char *cuda;          /* "12.6", "cu126": the variant of the build */
    const char *image;         /* "pytorch/pytorch:2.7.0-cuda11.8-cudnn9-devel" */
    const char *toolkit;       /* "12.1", "12.4.1" */
    const char *wheel;         /* path of a .whl file */
    const char *root;          /* with here: a recorded machine instead of this one */
    bool here;                 /* gpu and driver that are NULL are read from this machine */
    bool aarch64;              /* the build for Arm */
    bool matrix;               /* all builds instead of one; gpu and driver narrow it down */
    bool chinese, verbose, colour;
    taper_compat_format format; /* TSV and MARKDOWN: the matrix alone */
} taper_compat_options;

/* Writes the answer. *exit_code: 0 runs, 2 does not, 3 cannot be told. VALUE for options that do not go together, MEMORY. */
TAPER_API taper_status taper_compat(const taper_compat_options *options, int *exit_code, taper_text_fn write, void *ctx);

TAPER_END

#endif
