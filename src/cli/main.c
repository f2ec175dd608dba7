/* The taper tool: picks the command. */
#include <stdio.h>
#include <string.h>

#include <taper/cuda.h>

#include "cli/cli.h"

static const cli_command commands[] = {
    {"demo", "[--minutes M] [--data FILE|FOLDER] [--device D] [--out FILE]", "trains a small GPT on text and shows what it learned", cli_demo},
    {"run", "SCRIPT.py [ARGUMENTS]", "runs a PyTorch script on taper", cli_run},
    {"inspect", "FILE", "lists what a .safetensors or .pt file holds", cli_inspect},
    {"convert", "IN OUT", "writes IN as OUT, .pt or .safetensors by its name", cli_convert},
    {"bench", "WORKLOAD... [--device D] [--quick] [--with LIBRARIES --with LIBRARIES]", "measures: overhead gemm pointwise mlp gpt2 adamw startup", cli_bench},
    {"doctor", "[--deep] [--pid PID] [--log FILE] [--data FOLDER] [--check NAME,...] [--json] [--verbose] [--list] [--lang zh]", "says why this machine does not train, or trains slowly", cli_doctor},
    {"compat", "[--gpu GPU] [--driver V] [--image TAG | --torch V --cuda V | --toolkit V | --wheel FILE] [--here] [--matrix] [--json] [--lang zh]", "says whether a GPU and driver run a build of PyTorch, and by which rule", cli_compat},
    {"verify", "[--gpus N] [--check NAME,...] [--html FILE] [--json] [--cpu] [--quick] [--runs N] [--dir FOLDER] [--limit SECONDS] [--list] [--lang zh] | --compare A.json B.json", "runs a checklist on CPU and GPUs: right results, speeds, what is slow", cli_verify},
    {"ops", "[PART]", "lists the operators (with PART in their name) and the kernels that run them", cli_ops},
    {"knobs", "", "lists the environment variables that are read", cli_knobs},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void main_help(FILE *to) {
    fprintf(to, "usage: taper COMMAND [ARGUMENTS]\n\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(to, "  taper %s %s\n      %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    fprintf(to, "  taper version [-v]\n      prints the version; -v: and which CUDA libraries are found\n");
}

int cli_failed(const char *command) {
    fprintf(stderr, "taper %s: %s\n", command, taper_error_message());
    return 1;
}

int cli_usage(const char *command, const char *why, const char *what) {
    fprintf(stderr, "taper %s: %s%s%s\n", command, why, what ? " " : "", what ? what : "");
    for (int i = 0; i < COMMANDS; i++)
        if (!strcmp(commands[i].name, command)) fprintf(stderr, "usage: taper %s %s\n", command, commands[i].arguments);
    return 2;
}

const char *cli_value(int argc, char **argv, int *i) {
    if (*i + 1 < argc) return argv[++*i];
    fprintf(stderr, "taper %s: %s needs a value\n", argv[0], argv[*i]);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        main_help(stderr);
        return 2;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        main_help(stdout);
        return 0;
    }
    if (!strcmp(argv[1], "version") || !strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        char found[4096];
        printf("taper %s\n", TAPER_VERSION);
        if (argc > 2 && (!strcmp(argv[2], "-v") || !strcmp(argv[2], "--verbose"))) {
            taper_cuda_describe_providers(found, sizeof found);
            printf("%s", found);
        }
        return 0;
    }
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name)) continue;
        if (argc > 2 && strcmp(argv[1], "run") && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h"))) {
            printf("usage: taper %s %s\n%s\n", argv[1], commands[i].arguments, commands[i].help);
            return 0;
        }
        return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "taper: no command %s; taper --help lists them\n", argv[1]);
    return 2;
}
