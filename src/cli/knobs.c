/* taper knobs: the environment variables the library reads, with their present values. */
#include <stdio.h>

#include "base/base.h"
#include "cli/cli.h"

int cli_knobs(int argc, char **argv) {
    if (argc > 1) return cli_usage("knobs", "takes no argument", argv[1]);
    for (const taper_knob *k = taper__knob_list(); k; k = k->next)
        printf("%-28s %-12s %s\n", k->name, taper__knob_text(k), k->help);
    return 0;
}
