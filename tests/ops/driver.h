/* The operator test driver: every sample of every row, in every mode. A case has a name, "softmax[1] f32 cpu strided".
 * sample.c reads the text of a sample, inputs.c makes arguments of it, compare.c judges, check_*.c are the modes. */
#ifndef TESTS_OPS_DRIVER_H
#define TESTS_OPS_DRIVER_H

#include <taper/autograd.h>
#include <taper/ops.h>
#include <taper/schema.h>
#include <taper/threads.h>

#include "engine/engine.h"

enum { MAX_TENSORS = 48, MAX_LIST = 24 };

typedef enum fill_kind { FILL_NORMAL, FILL_POSITIVE, FILL_UNIT, FILL_PROB, FILL_BELOW, FILL_BOOL, FILL_SORTED, FILL_SPD, FILL_GIVEN } fill_kind;

/* One tensor of a sample. values are drawn once and rounded to the dtype of each run. */
typedef struct tensor_spec {
    int ndim;
    int64_t shape[TAPER_MAX_DIMS], numel;
    taper_dtype dtype; /* NONE: that of the run */
    fill_kind fill;
    int64_t below;
    bool nograd, absent; /* absent: a None inside Tensor?[] */
    double *values;
} tensor_spec;

typedef struct arg_spec {
    taper_arg value;        /* numbers, strings ...; kind TENSOR or TENSORS: see first, count */
    int first, count;       /* of test_case.tensors */
    int64_t ints[32];
    char text[96];
    bool seeded;            /* generator=7: a new generator from that seed */
} arg_spec;

typedef struct test_case {
    const taper_op_row *row;
    const taper_schema *schema;
    const taper_sample *sample;
    int index, nargs, ntensors;
    arg_spec args[TAPER_MAX_ARGS];
    tensor_spec tensors[MAX_TENSORS];
    bool runs_in_dtypes; /* some tensor takes the dtype of the run */
} test_case;

/* False with a sentence in why. */
bool case_read(test_case *c, const taper_op_row *row, int index, char *why, size_t size);
void case_free(test_case *c);

typedef enum layout { LAYOUT_PLAIN, LAYOUT_TRANSPOSED, LAYOUT_SLICED, LAYOUT_EXPANDED, LAYOUT_MIXED, LAYOUT_COUNT } layout;

typedef struct setup {
    taper_dtype dtype;  /* of the tensors without one of their own */
    taper_dtype rounded; /* values are rounded to this first: NONE: dtype */
    taper_device device;
    layout layout;
    bool repeat;        /* values as LAYOUT_EXPANDED would repeat them, whatever the layout */
    bool grad;          /* tensors that may collect a gradient do */
    bool meta;
} setup;

/* Arguments ready for a call. leaf[i] is what collects the gradient, given[i] what is passed: a copy of the leaf for an
 * argument that the operator writes. */
typedef struct inputs {
    const test_case *c;
    setup s;
    taper_arg args[TAPER_MAX_ARGS];
    taper_tensor *leaf[MAX_TENSORS], *given[MAX_TENSORS], *memory[MAX_TENSORS]; /* memory: the whole array behind a window */
    void *before[MAX_TENSORS]; /* bytes of memory[i] */
    taper_generator *generator;
} inputs;

bool spec_wants_grad(const test_case *c, const tensor_spec *t, taper_dtype run);
bool spec_is_written(const test_case *c, int tensor); /* by the operator itself: fill_, copy_ */
taper_dtype spec_dtype(const tensor_spec *t, taper_dtype run);
taper_status inputs_make(inputs *in, const test_case *c, const setup *s);
/* Index of a tensor whose memory changed though the call should not have written there, -1 when none. `modifies`: bits of
 * arguments that may be written; inside their window only. */
int inputs_touched(const inputs *in, uint32_t modifies);
void inputs_free(inputs *in);
void inputs_seed(const inputs *in); /* random operators draw the same numbers at every call */
/* Values of random operators follow the order of elements in memory, as torch's do: other layouts, other numbers. */
bool case_is_random(const test_case *c);

/* Results of one call and what became of the gradients. */
typedef struct results {
    int count;
    taper_tensor *t[TAPER_MAX_OUTS];
} results;
taper_status run_op(const taper_op_row *row, const inputs *in, results *r);
void results_free(results *r);
/* Gradients of sum(weights * results) at the leaves, each in d[i] (NULL: none). */
taper_status run_grad(const inputs *in, const results *r, taper_dtype rounded, bool create_graph, taper_tensor **weights, taper_tensor **d);
/* Same, forward and backward, all cleaned up but d. */
taper_status run_all_grad(const taper_op_row *row, const inputs *in, taper_dtype rounded, taper_tensor **d);
void tensors_free(taper_tensor **t, int n);
taper_tensor *random_like(const taper_tensor *t, taper_dtype rounded, uint64_t seed);

double *values_of(const taper_tensor *t); /* numel doubles, malloc'd; NULL on failure */
double tolerance(const test_case *c, taper_dtype dtype, bool gradient);
/* Empty when alike, else what differs. exact: bit by bit. */
const char *compare_tensors(const taper_tensor *got, const taper_tensor *want, double tolerance, bool exact);
const char *compare_metas(const taper_tensor *got, const taper_tensor *want);

/* random.c */
uint64_t random_next(uint64_t *state);
double random_uniform(uint64_t *state);
double random_normal(uint64_t *state);

/* What a mode says. begin: is this case wanted? Then exactly one of pass, fail, skip. */
bool begin(const test_case *c, const char *dtype, const char *device, const char *mode);
void pass(void);
void fail(const char *format, ...) TAPER_PRINTF(1, 2);
void skip(const char *why);
const char *dtype_short(taper_dtype d);

void check_ref(const test_case *c);      /* check_ref.c */
void check_error(const test_case *c);
void check_grad(const test_case *c);     /* check_grad.c */
void check_gradgrad(const test_case *c);
void check_strided(const test_case *c);  /* check_layout.c */
void check_inplace(const test_case *c);  /* check_target.c */
void check_out(const test_case *c);
void check_meta(const test_case *c);     /* check_device.c */
void check_cuda(const test_case *c);
void check_autocast(const test_case *c);
void check_oom(const test_case *c);      /* check_oom.c */
void check_perf(const test_case *c);

/* plant.c: the row with a fault of the given kind, NULL when there is no such fault. */
const taper_op_row *plant_row(int fault, const char **what, const char **modes);

#endif
