/* taper verify: the checklist of a machine that trains, and two such reports side by side. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/verify.h>
#include <unistd.h>

#include "cli/cli.h"

enum { VERIFY_USAGE = 64 }; /* below it are the answers: 0 healthy, 1 slow, 2 broken, 3 could not tell */

static bool verify_is_chinese(const char *lang) {
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (int i = 0; !lang && i < 3; i++)
        if (getenv(names[i]) && *getenv(names[i])) lang = getenv(names[i]);
    return lang && !strncmp(lang, "zh", 2);
}

static void verify_write(void *ctx, const char *text, size_t bytes) {
    (void)ctx;
    fwrite(text, 1, bytes, stdout);
}

static bool verify_whole(int *out, const char *text) {
    char *end;
    long n = strtol(text, &end, 10);
    if (*end || end == text || n < 0 || n > 1000000) return false;
    *out = (int)n;
    return true;
}

int cli_verify(int argc, char **argv) {
    taper_verify_options o = TAPER_VERIFY_OPTIONS;
    const char *lang = NULL, *gpus = NULL, *limit = NULL, *runs = NULL;
    const struct {
        const char *name, **value;
    } with_value[] = {{"--check", &o.check}, {"--dir", &o.folder}, {"--html", &o.html}, {"--lang", &lang}, {"--gpus", &gpus}, {"--limit", &limit}, {"--runs", &runs}, {"--compare", &o.compare[0]}};
    int code = 3;
    o.colour = isatty(1) && !getenv("NO_COLOR");
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i];
        bool known = false;
        for (size_t k = 0; k < sizeof with_value / sizeof *with_value; k++)
            if (!strcmp(option, with_value[k].name)) {
                if (!(*with_value[k].value = cli_value(argc, argv, &i))) return VERIFY_USAGE;
                known = true;
            }
        if (!strcmp(option, "--compare")) {
            if (i + 1 >= argc) return cli_usage("verify", "--compare wants two reports that --json wrote", NULL), VERIFY_USAGE;
            o.compare[1] = argv[++i];
        }
        if (known) continue;
        if (!strcmp(option, "--json")) o.format = TAPER_DOCTOR_JSON;
        else if (!strcmp(option, "--list")) o.format = TAPER_DOCTOR_LIST;
        else if (!strcmp(option, "--cpu")) o.cpu_only = true;
        else if (!strcmp(option, "--quick")) o.quick = true;
        else return cli_usage("verify", "unknown option", option), VERIFY_USAGE;
    }
    if (gpus && !verify_whole(&o.gpus, gpus)) return cli_usage("verify", "--gpus wants a number, not", gpus), VERIFY_USAGE;
    if (runs && (!verify_whole(&o.runs, runs) || o.runs < 1 || o.runs > 9)) return cli_usage("verify", "--runs wants a number from 1 to 9, not", runs), VERIFY_USAGE;
    if (limit && !verify_whole(&o.limit_seconds, limit)) return cli_usage("verify", "--limit wants seconds, not", limit), VERIFY_USAGE;
    o.chinese = verify_is_chinese(lang);
    taper_status status = taper_verify(&o, &code, verify_write, NULL);
    if (status == TAPER_OK) return code;
    cli_failed("verify");
    return status == TAPER_VALUE ? VERIFY_USAGE : 3;
}
