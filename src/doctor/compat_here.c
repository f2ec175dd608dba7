/* taper_compat: the options, this machine's GPU and driver, a wheel's own facts, then the answer as text. */
#include "doctor/compat.h"
#include "doctor/python.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/compat.h>

/* "NVRM version: NVIDIA UNIX x86_64 Kernel Module  525.60.13  ..." */
static const char *here_driver(doctor *d) {
    const char *text = doctor_read(d, "/proc/driver/nvidia/version", NULL, NULL), *line = text ? strstr(text, "NVRM version:") : NULL;
    for (const char *s = line; s && *s && *s != '\n'; s++) {
        size_t n = strspn(s, "0123456789.");
        if (n >= 5 && isspace((unsigned char)s[-1]) && memchr(s, '.', n)) return doctor_text(d, "%.*s", (int)n, s);
        if (n) s += n - 1;
    }
    return NULL;
}

/* Without NVML: the PCI device number of the first NVIDIA GPU that the table knows. */
static const char *here_pci(doctor *d) {
    const doctor_table *t = doctor_table_open("gpus");
    const char *const *names;
    int n = doctor_names(d, "/sys/bus/pci/devices", &names);
    for (int i = 0; i < n; i++) {
        const char *vendor = doctor_line(d, "/sys/bus/pci/devices/%s/vendor", names[i]);
        if (!vendor || strcmp(vendor, "0x10de")) continue;
        const char *device = doctor_line(d, "/sys/bus/pci/devices/%s/device", names[i]);
        char number[8] = "";
        for (int k = 0; device && strlen(device) == 6 && k < 4; k++) number[k] = (char)toupper((unsigned char)device[2 + k]);
        for (int row = 0; t && *number && row < t->rows; row++)
            if (doctor_cell_has(t, row, "pci_dev_id", number)) return doctor_cell(t, row, "gpu");
    }
    return NULL;
}

static void here_read(doctor *d, compat_question *q) {
    const doctor_facts *nvml = q->gpu && q->driver ? NULL : doctor_nvml(d);
    if (!q->driver) q->driver = nvml ? doctor_fact(nvml, "driver") : NULL;
    if (!q->driver) q->driver = here_driver(d);
    if (q->gpu) return;
    const char *name = nvml ? doctor_fact(nvml, "gpu.0.name") : NULL, *cc = nvml ? doctor_fact(nvml, "gpu.0.cc") : NULL;
    compat_gpu gpu;
    if (name && compat_find_gpu(&gpu, name, NULL)) q->gpu = name;
    else if (cc) q->gpu = cc;
    else if (name) q->gpu = name;
    else q->gpu = here_pci(d);
}

/* Where nothing to run was named: the PyTorch of this machine's environment. */
static void here_torch(doctor *d, compat_question *q) {
    const doctor_python *p = q->torch_version || q->image || q->toolkit ? NULL : doctor_cuda_torch(d);
    if (!p) return;
    q->torch_version = p->torch_version;
    if (!strchr(p->torch_version, '+')) q->cuda = p->cuda;
}

static void here_wheel(doctor *d, compat_question *q, const compat_wheel *w) {
    if (w->is_torch && *w->torch_version) {
        q->torch_version = doctor_text(d, "%s", w->torch_version);
        if (w->cpu) q->cuda = "cpu";
    }
    if (!q->cuda && *w->cuda) q->cuda = doctor_text(d, "%s", w->cuda);
    if (!w->is_torch) q->torch_version = NULL;
    if (!w->partial && (*w->architectures || *w->ptx)) {
        q->architectures = doctor_text(d, "%s", w->architectures);
        q->ptx = doctor_text(d, "%s", w->ptx);
    }
    q->aarch64 |= w->aarch64;
}

static taper_status here_answer(doctor *d, const taper_compat_options *o, doctor_buffer *b, int *exit_code) {
    compat_question q = {o->gpu, o->driver, o->torch_version, o->cuda, o->image, o->toolkit, NULL, NULL, o->aarch64};
    compat_answer *a = doctor_keep(d, sizeof *a);
    compat_wheel *wheel = doctor_keep(d, sizeof *wheel);
    if (!a || !wheel) return TAPER_FAIL(TAPER_MEMORY, "no memory");
    if (o->here) here_read(d, &q);
    if (o->here && !o->wheel) here_torch(d, &q);
    if (o->wheel) {
        if (!compat_read_wheel(wheel, o->wheel)) return TAPER_FAIL(TAPER_VALUE, "%s", wheel->why);
        here_wheel(d, &q, wheel);
    }
    if (!compat_answer_question(&q, a)) return TAPER_FAIL(TAPER_MEMORY, "the tables could not be read");
    if (o->here && !q.gpu) compat_add(a, false, "gpu", COMPAT_UNSURE, COMPAT_SAY_here_nothing, NULL, -1, NULL, NULL, NULL, NULL);
    if (o->wheel && !wheel->is_torch) compat_add(a, false, "build", COMPAT_NOTE, COMPAT_SAY_wheel_other, NULL, -1, o->wheel, NULL, NULL, NULL);
    if (o->wheel && *wheel->why) compat_add(a, false, "build", COMPAT_NOTE, COMPAT_SAY_wheel_unreadable, NULL, -1, wheel->why, NULL, NULL, NULL);
    if (o->format == TAPER_COMPAT_JSON) compat_report_json(b, a);
    else compat_report_text(b, a, o->chinese, o->verbose, o->colour);
    *exit_code = compat_exit_code(a);
    return TAPER_OK;
}

taper_status taper_compat(const taper_compat_options *o, int *exit_code, taper_text_fn write, void *ctx) {
    static const char *const formats[] = {"text", "json", "tsv", "md"};
    int named = (o->image != NULL) + (o->torch_version != NULL) + (o->toolkit != NULL) + (o->wheel != NULL);
    doctor_options settings = {.root = o->root};
    doctor_buffer b = {NULL, 0, 0};
    taper_status st = TAPER_OK;
    if ((unsigned)o->format > TAPER_COMPAT_MARKDOWN) return TAPER_FAIL(TAPER_VALUE, "there is no format %d", (int)o->format);
    if (named > 1) return TAPER_FAIL(TAPER_VALUE, "image, torch, toolkit and wheel exclude each other");
    if (o->cuda && !o->torch_version && !o->wheel) return TAPER_FAIL(TAPER_VALUE, "cuda says which build of torch: name torch too, or use toolkit");
    if (!o->matrix && o->format > TAPER_COMPAT_JSON) return TAPER_FAIL(TAPER_VALUE, "%s is a format of the matrix", formats[o->format]);
    doctor *d = doctor_new(&settings);
    if (!d) return TAPER_FAIL(TAPER_MEMORY, "no memory");
    if (o->matrix) {
        compat_question q = {.gpu = o->gpu, .driver = o->driver};
        compat_gpu gpu;
        if (o->here) here_read(d, &q);
        if (q.gpu && !compat_find_gpu(&gpu, q.gpu, NULL)) st = TAPER_FAIL(TAPER_VALUE, "the tables do not know the GPU %.80s, or it may be several", q.gpu);
        else if (!compat_matrix(&b, formats[o->format], q.gpu, q.driver, o->chinese)) st = TAPER_FAIL(TAPER_VALUE, "the driver is no version, or the tables could not be read");
        else *exit_code = 0;
    } else {
        st = here_answer(d, o, &b, exit_code);
    }
    if (st == TAPER_OK && b.data) write(ctx, b.data, b.size);
    taper__free(b.data);
    doctor_free(d);
    return st;
}
