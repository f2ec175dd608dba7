/* Parts of the demo. */
#ifndef TAPER_CLI_DEMO_H
#define TAPER_CLI_DEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct demo_text {
    uint8_t *bytes;
    size_t size;
    int files;
} demo_text;
bool demo_text_read(demo_text *text, const char *path);

#endif
