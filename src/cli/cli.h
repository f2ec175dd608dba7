/* The commands of the taper tool. Exit codes: 0 done, 1 failed, 2 wrong usage. */
#ifndef TAPER_CLI_CLI_H
#define TAPER_CLI_CLI_H

#include <stdbool.h>
#include <taper/device.h>

typedef struct cli_command {
    const char *name, *arguments, *help;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
} cli_command;

int cli_demo(int argc, char **argv);
int cli_run(int argc, char **argv);
int cli_inspect(int argc, char **argv);
int cli_convert(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_compat(int argc, char **argv);
int cli_verify(int argc, char **argv);
int cli_ops(int argc, char **argv);
int cli_knobs(int argc, char **argv);

/* bench gpt2 on a GPU: the step of GPT-2 124M in bfloat16, 32 x 1024 tokens. */
taper_status bench_gpt2_cuda(taper_device device, bool quick);
/* bench gemm on a GPU: float32, bfloat16 and float16. */
taper_status bench_gemm_cuda(taper_device device, bool quick);

/* Prints "taper COMMAND: message of the library" and gives 1. */
int cli_failed(const char *command);
int cli_usage(const char *command, const char *why, const char *what);
/* The value of option argv[*i], moving on; NULL with a message when there is none. */
const char *cli_value(int argc, char **argv, int *i);

#endif
