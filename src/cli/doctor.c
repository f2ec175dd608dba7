/* taper doctor: why this machine does not train, or trains slowly. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/doctor.h>
#include <unistd.h>

#include "cli/cli.h"

enum { DOCTOR_USAGE = 64 }; /* below it are the doctor's own codes */

/* zh for Chinese by --lang or by the locale. */
static bool doctor_is_chinese(const char *lang) {
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (int i = 0; !lang && i < 3; i++)
        if (getenv(names[i]) && *getenv(names[i])) lang = getenv(names[i]);
    return lang && !strncmp(lang, "zh", 2);
}

static void doctor_write(void *ctx, const char *text, size_t bytes) {
    (void)ctx;
    fwrite(text, 1, bytes, stdout);
}

int cli_doctor(int argc, char **argv) {
    taper_doctor_options options = {.colour = isatty(1) && !getenv("NO_COLOR")};
    const char *lang = NULL;
    int code = 3;
    for (int i = 1; i < argc; i++) {
        static const char *const with_value[] = {"--check", "--lang", "--pid", "--root", "--record", "--data", "--log"};
        const char *value = NULL, *option = argv[i];
        for (int k = 0; k < (int)(sizeof with_value / sizeof *with_value); k++)
            if (!strcmp(option, with_value[k]) && !(value = cli_value(argc, argv, &i))) return DOCTOR_USAGE;
        if (!strcmp(option, "--json")) options.format = TAPER_DOCTOR_JSON;
        else if (!strcmp(option, "--list")) options.format = TAPER_DOCTOR_LIST;
        else if (!strcmp(option, "--verbose") || !strcmp(option, "-v")) options.verbose = true;
        else if (!strcmp(option, "--deep")) options.deep = true;
        else if (!strcmp(option, "--check")) options.check = value;
        else if (!strcmp(option, "--lang")) lang = value;
        else if (!strcmp(option, "--root")) options.root = value;
        else if (!strcmp(option, "--record")) options.record = value;
        else if (!strcmp(option, "--data")) options.data = value;
        else if (!strcmp(option, "--log")) options.log = value;
        else if (!strcmp(option, "--pid")) {
            char *end;
            long pid = strtol(value, &end, 10);
            if (*end || pid <= 0 || pid > 1 << 22) return cli_usage("doctor", "--pid wants the number of a process, not", value), DOCTOR_USAGE;
            options.pid = (int)pid;
        } else {
            return cli_usage("doctor", "unknown option", option), DOCTOR_USAGE;
        }
    }
    options.verbose |= options.check != NULL;
    options.chinese = doctor_is_chinese(lang);
    taper_status status = taper_doctor(&options, &code, doctor_write, NULL);
    if (status == TAPER_OK) return code;
    cli_failed("doctor");
    return status == TAPER_VALUE ? DOCTOR_USAGE : 3;
}
