/* taper ops: the operators, and what runs them. */
#include <stdio.h>
#include <string.h>

#include <taper/op.h>

#include "cli/cli.h"

/* The kernels of a device, best first: "cublaslt, mma, plain". False when there are none. */
static bool ops_kernels(const taper_op *op, taper_device_type device, char *text, size_t size) {
    size_t n = 0;
    text[0] = 0;
    for (const taper_kernel *k = op->kernels; k && k->run; k++)
        if (k->device == device && n < size) n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "", k->name);
    return n > 0;
}

int cli_ops(int argc, char **argv) {
    static const char *const gradients[] = {[TAPER_GRADIENT_DIFF] = "gradient", [TAPER_GRADIENT_NONDIFF] = "no gradient", [TAPER_GRADIENT_COMPOSITE] = "gradient of its parts"};
    int rows = 0, cpu = 0, cuda = 0, parts = 0, differentiable = 0, in_place = 0;
    const char *part = argc > 1 ? argv[1] : "";
    if (argc > 2) return cli_usage("ops", "takes at most a part of a name", argv[2]);
    for (const taper_op_row *r = taper_op_rows(); r->name; r++) {
        char on_cpu[128], on_cuda[128];
        if (!strstr(r->name, part)) continue;
        bool has_cpu = ops_kernels(r->op, TAPER_CPU, on_cpu, sizeof on_cpu), has_cuda = ops_kernels(r->op, TAPER_CUDA, on_cuda, sizeof on_cuda);
        bool made = r->op->compose != NULL, anywhere = made || !r->op->kernels; /* a view needs no kernel */
        rows++;
        parts += made;
        cpu += has_cpu || anywhere;
        cuda += has_cuda || anywhere;
        differentiable += r->gradient != TAPER_GRADIENT_NONDIFF;
        in_place += r->inplace || r->op->mutates;
        printf("%s\n    ", r->schema);
        if (made) printf("of other operators");
        else if (!r->op->kernels) printf("a view: nothing runs");
        else printf("cpu: %s; cuda: %s", has_cpu ? on_cpu : "none", has_cuda ? on_cuda : "none");
        printf("; %s%s\n", gradients[r->gradient], r->inplace ? "; in place too" : "");
    }
    if (!rows) return cli_usage("ops", "no operator has this in its name", part);
    printf("%d operators: %d on the CPU, %d on CUDA, %d made of others, %d with gradients, %d in place\n", rows, cpu, cuda, parts, differentiable, in_place);
    return 0;
}
