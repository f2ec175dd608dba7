/* taper compat: does this GPU with this driver run that build, and by which rule. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/compat.h>
#include <unistd.h>

#include "cli/cli.h"

enum { COMPAT_USAGE = 64 }; /* below it are the answers: 0 runs, 2 does not, 3 cannot be told */

static bool compat_is_chinese(const char *lang) {
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (int i = 0; !lang && i < 3; i++)
        if (getenv(names[i]) && *getenv(names[i])) lang = getenv(names[i]);
    return lang && !strncmp(lang, "zh", 2);
}

static void compat_write(void *ctx, const char *text, size_t bytes) {
    (void)ctx;
    fwrite(text, 1, bytes, stdout);
}

static bool compat_format(taper_compat_format *out, const char *name) {
    static const char *const names[] = {"text", "json", "tsv", "md"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, names[i])) {
            *out = (taper_compat_format)i;
            return true;
        }
    return false;
}

int cli_compat(int argc, char **argv) {
    taper_compat_options o = {.colour = isatty(1) && !getenv("NO_COLOR")};
    const char *lang = NULL, *format = NULL;
    const struct {
        const char *name, **value;
    } with_value[] = {{"--gpu", &o.gpu},         {"--driver", &o.driver}, {"--torch", &o.torch_version}, {"--cuda", &o.cuda}, {"--image", &o.image},
                      {"--toolkit", &o.toolkit}, {"--wheel", &o.wheel},   {"--root", &o.root},           {"--lang", &lang},   {"--format", &format}};
    int code = 3;
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i];
        bool known = false;
        for (size_t k = 0; k < sizeof with_value / sizeof *with_value; k++)
            if (!strcmp(option, with_value[k].name)) {
                if (!(*with_value[k].value = cli_value(argc, argv, &i))) return COMPAT_USAGE;
                known = true;
            }
        if (known) continue;
        if (!strcmp(option, "--here")) o.here = true;
        else if (!strcmp(option, "--aarch64")) o.aarch64 = true;
        else if (!strcmp(option, "--matrix")) o.matrix = true;
        else if (!strcmp(option, "--json")) o.format = TAPER_COMPAT_JSON;
        else if (!strcmp(option, "--verbose") || !strcmp(option, "-v")) o.verbose = true;
        else return cli_usage("compat", "unknown option", option), COMPAT_USAGE;
    }
    if (format && !compat_format(&o.format, format)) return cli_usage("compat", "--format is text, json, tsv or md, not", format), COMPAT_USAGE;
    if (argc == 1) return cli_usage("compat", "which GPU, driver and build? For example: --gpu A100 --driver 525.60.13 --torch 2.7.0 --cuda 12.6", NULL), COMPAT_USAGE;
    o.chinese = compat_is_chinese(lang);
    taper_status status = taper_compat(&o, &code, compat_write, NULL);
    if (status == TAPER_OK) return code;
    cli_failed("compat");
    return status == TAPER_VALUE ? COMPAT_USAGE : 3;
}
