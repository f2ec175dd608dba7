/* The schema of an operator row taken apart: what a frontend needs to bind arguments by position and by name.
 *
 * Grammar, torch's: "max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)". Types: Tensor, int,
 * float, bool, Scalar, ScalarType, Device, str, Generator, MemoryFormat (a str: "channels_last"); `?` after one makes it
 * optional, `[]` or `[2]` a list, `(a!)` says that the tensor is written. `*` makes the arguments after it keyword-only.
 */
#ifndef TAPER_SCHEMA_H
#define TAPER_SCHEMA_H

#include <taper/op.h>

TAPER_BEGIN

typedef struct taper_schema_arg {
    const char *name;
    taper_arg_kind kind; /* FLOAT for a Scalar */
    bool optional;       /* None is allowed */
    bool keyword_only;
    bool scalar;         /* takes any number; the value keeps its own kind */
    bool list;           /* TENSORS or INTS */
    bool optional_items; /* Tensor?[]: items may be None */
    bool written;        /* "(a!)" */
    bool has_default;
    int32_t size;        /* int[2]: 2, and one number stands for two equal ones; 0: any length, numbers in a list only */
    taper_arg fallback;  /* the default; kind NONE for None */
} taper_schema_arg;

typedef struct taper_schema {
    const char *name;     /* "max" */
    const char *overload; /* "dim"; "" when there is none */
    int nargs, nresults;
    const taper_schema_arg *args;
    const char *const *result_names; /* nresults; NULL each where the schema gives no name */
    bool result_list;                /* one result "Tensor[]": as many tensors as the call makes */
    bool result_bool;                /* one result "bool": a 0-dim bool tensor in C, a bool in Python */
} taper_schema;

/* The schema of a row, parsed at the first call and kept for the life of the process. NULL: VALUE for a schema that does not
 * follow the grammar (the message quotes it from where it fails), MEMORY. Any thread. */
TAPER_API const taper_schema *taper_schema_of(const taper_op_row *row);
/* Number of the argument called `name`, -1 when there is none. */
TAPER_API int taper_schema_find(const taper_schema *schema, const char *name);

TAPER_END

#endif
