/* taper run: hands a Python script to python3 -m taper, with the package of this tree or installation importable. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

/* The package stands beside the tool in a build folder; an installed one is Python's to find. */
static void run_python_path(void) {
    char exe[4096], package[4160], path[16384];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0) return;
    exe[n] = 0;
    char *slash = strrchr(exe, '/');
    if (!slash) return;
    *slash = 0;
    snprintf(package, sizeof package, "%s/python/taper", exe);
    if (access(package, R_OK)) return;
    const char *old = getenv("PYTHONPATH");
    snprintf(path, sizeof path, "%s/python%s%s", exe, old && *old ? ":" : "", old ? old : "");
    setenv("PYTHONPATH", path, 1);
}

int cli_run(int argc, char **argv) {
    if (argc < 2) return cli_usage("run", "needs a script", NULL);
    run_python_path();
    const char *python = getenv("TAPER_PYTHON") ? getenv("TAPER_PYTHON") : "python3";
    char **args = calloc((size_t)argc + 3, sizeof *args);
    if (!args) return 1;
    args[0] = (char *)python;
    args[1] = "-m";
    args[2] = "taper";
    for (int i = 1; i < argc; i++) args[2 + i] = argv[i];
    execvp(python, args);
    fprintf(stderr, "taper run: cannot start %s: %s; TAPER_PYTHON names another interpreter\n", python, strerror(errno));
    free(args);
    return 1;
}
