/* Operators as data: the row in ops.def, the descriptor in the operator's file, and the call that ties them to arguments.
 *
 * A program's own operator is made of the same parts: a taper_op_row with a schema and a taper_op, called through
 * taper_op_call(); it then has autograd, autocast and the test driver like any other (examples/custom_operator.c).
 */
#ifndef TAPER_OP_H
#define TAPER_OP_H

#include <taper/random.h>
#include <taper/tensor.h>

TAPER_BEGIN

enum { TAPER_MAX_ARGS = 16, TAPER_MAX_OUTS = 6 };

/* A Python or C number. */
typedef struct taper_scalar {
    uint8_t kind; /* TAPER_ARG_INT, TAPER_ARG_FLOAT or TAPER_ARG_BOOL */
    union {
        int64_t i;
        double f;
    };
} taper_scalar;

typedef enum taper_arg_kind {
    TAPER_ARG_NONE, /* an optional argument that was not given */
    TAPER_ARG_TENSOR,
    TAPER_ARG_TENSORS,
    TAPER_ARG_INT,
    TAPER_ARG_FLOAT,
    TAPER_ARG_BOOL,
    TAPER_ARG_INTS,
    TAPER_ARG_DTYPE,
    TAPER_ARG_DEVICE,
    TAPER_ARG_STRING,
    TAPER_ARG_GENERATOR
} taper_arg_kind;

typedef struct taper_arg {
    uint8_t kind;  /* taper_arg_kind; a Scalar argument is INT, FLOAT or BOOL by its value */
    int32_t count; /* of tensors or ints */
    union {
        taper_tensor *t; /* NULL for a "Tensor?" that was not given (kind NONE) */
        taper_tensor *const *ts;
        int64_t i; /* INT and BOOL */
        double f;
        const int64_t *is;
        taper_dtype dtype;
        taper_device device;
        const char *s;
        taper_generator *g;
    };
} taper_arg;

static inline taper_scalar taper_int(int64_t i) {
    taper_scalar s;
    s.kind = TAPER_ARG_INT;
    s.i = i;
    return s;
}
static inline taper_scalar taper_float(double f) {
    taper_scalar s;
    s.kind = TAPER_ARG_FLOAT;
    s.f = f;
    return s;
}
static inline taper_scalar taper_bool(bool b) {
    taper_scalar s;
    s.kind = TAPER_ARG_BOOL;
    s.i = b;
    return s;
}
static inline double taper_scalar_double(taper_scalar s) { return s.kind == TAPER_ARG_FLOAT ? s.f : (double)s.i; }
static inline double taper_arg_double(const taper_arg *a) { return a->kind == TAPER_ARG_FLOAT ? a->f : (double)a->i; }
static inline taper_scalar taper_arg_scalar(const taper_arg *a) {
    taper_scalar s;
    s.kind = a->kind;
    s.i = a->i;
    return s;
}

/* What autocast does with the floating tensors of a call. */
typedef enum taper_autocast_class {
    TAPER_AUTOCAST_NONE,   /* runs in the dtypes it is given */
    TAPER_AUTOCAST_LOWP,   /* float32 -> the autocast dtype (matrix products, convolutions) */
    TAPER_AUTOCAST_FP32,   /* low precision -> float32 (sums, losses, exponentials) */
    TAPER_AUTOCAST_WIDEST  /* all to the widest given */
} taper_autocast_class;

typedef enum taper_gradient_class {
    TAPER_GRADIENT_DIFF,      /* has a vjp */
    TAPER_GRADIENT_COMPOSITE, /* made of other operators, whose gradients serve */
    TAPER_GRADIENT_NONDIFF    /* results never require a gradient (integers, comparisons, random fills) */
} taper_gradient_class;

typedef struct taper_op taper_op;
typedef struct taper_op_row {
    const char *name;   /* C name: taper_<name>, and <name> with .overload removed in Python */
    const char *schema; /* torch's words: "softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor" */
    uint8_t autocast;   /* taper_autocast_class */
    uint8_t gradient;   /* taper_gradient_class */
    bool inplace;       /* <name>_ exists too and writes into its first argument */
    const taper_op *op;
} taper_op_row;

/* One call in flight. infer fills out[] with tensors that have shape and dtype but no data; the engine gives them
 * memory before the kernel runs. */
typedef struct taper_call {
    const taper_op_row *row;
    int nargs, nout;
    taper_arg args[TAPER_MAX_ARGS];
    taper_tensor *out[TAPER_MAX_OUTS];
    uint8_t views;     /* bit i: out[i] is a view of the tensor in view_of[i], nothing to compute */
    uint8_t same;      /* bit i: out[i] is an argument itself */
    uint8_t nondiff;   /* bit i: out[i] never requires a gradient (indices, saved statistics) */
    uint16_t modifies; /* bit i: argument i is written (running statistics): its version is bumped */
    bool inplace;      /* out[0] is to be written over args[0] */
    taper_tensor **list; /* of rows whose result is Tensor[]: set by compose through taper__out_list */
    int list_count;
    taper_tensor *out_given; /* out=: borrowed; NULL when not given */
    void *workspace;   /* of the size .workspace asked for, on the device of the call */
    taper_device device; /* of the first tensor argument, or where a factory puts its result */
    uint64_t seed, offset; /* of random operators on a GPU: the Philox key and counter given to this call */
} taper_call;

typedef struct taper_kernel {
    const char *name;                                  /* "cpu", "cuda", "cublaslt": what logs and profiles say */
    taper_device_type device;
    bool (*supports)(const taper_call *c, const char **why); /* NULL: always; false sets *why */
    taper_status (*run)(taper_call *c);
} taper_kernel;

/* Gradient of one call. args and out are those of the call; a tensor that is not in .saves has shape and dtype but no
 * data. grad[i] may be NULL (zero). Set d[i] for each argument i with need[i] (a list argument: dlist[j]); leaving it NULL
 * means zero. Everything made through `scope` is released afterwards, so d[i] is simply an expression of scope.h calls. */
typedef struct taper_scope taper_scope;
typedef struct taper_vjp {
    const taper_op_row *row;
    taper_scope *scope;
    int nargs, nout, nlist;
    taper_arg args[TAPER_MAX_ARGS];
    taper_tensor *out[TAPER_MAX_OUTS];
    taper_tensor *grad[TAPER_MAX_OUTS];
    bool need[TAPER_MAX_ARGS];
    taper_tensor *d[TAPER_MAX_ARGS];
    const bool *need_list;  /* of the one Tensor[] argument */
    taper_tensor **dlist;
    uint64_t seed, offset;
} taper_vjp;

/* One test case: arguments in the driver's language (docs/operators.md), for instance "[2,3], dim=1". */
typedef struct taper_sample {
    const char *args;
    const char *error;      /* the call must fail with a message containing this */
    double tolerance;       /* relative, float32; 0: 1e-5 */
    bool unspecified;           /* values are arbitrary (empty) or random: only shape and dtype are compared */
    bool no_grad_check;     /* kinks or random state make finite differences meaningless here; say why beside it */
    bool strides_matter;    /* the meaning depends on strides (as_strided, view): left out of the strided mode */
    bool large;             /* many elements, for the paths of long rows: only the modes ref, cuda and perf */
} taper_sample;

#define TAPER_SAVE_ARG(i) (1u << (i))
#define TAPER_SAVE_OUT(i) (1u << (TAPER_MAX_ARGS + (i)))

struct taper_op {
    taper_status (*infer)(taper_call *c);       /* shapes, dtypes, every argument error; touches no data */
    taper_status (*compose)(taper_call *c, taper_scope *s); /* instead of infer + kernels: sets c->out from other operators */
    const taper_kernel *kernels;                /* best first, plain C last, ended by a row without run */
    taper_status (*vjp)(taper_vjp *v);
    uint32_t saves;                             /* TAPER_SAVE_ARG | TAPER_SAVE_OUT: tensors whose data vjp reads */
    uint16_t saves_when[TAPER_MAX_ARGS];        /* argument k is kept only when one of these arguments needs a gradient; 0: always */
    size_t (*workspace)(const taper_call *c);   /* bytes */
    double (*flops)(const taper_call *c);       /* multiply-adds count two; NULL: not counted */
    uint16_t contiguous;                        /* bit i: the engine makes tensor argument i contiguous for the kernel */
    bool upcast;    /* CPU kernels know f32 and f64: the engine converts f16 and bf16 arguments and results */
    bool random;    /* draws random numbers: the engine reserves `seed` and `offset` on a GPU */
    bool pointwise; /* may write its result over an argument, and takes numbers in place of tensors */
    bool mutates;   /* always writes into its first argument (fill_, copy_): the result is that argument */
    bool over_self; /* in place the result may be args[0] itself, of any strides: the kernel copies self only where they differ */
    bool relayout;  /* with mutates: only shape and strides of args[0] change, to those of the view that infer makes (transpose_) */
    const char *grad_name; /* torch's name of the gradient node where it is not CamelCase(name)Backward0 */
    const taper_sample *samples;                /* ended by a row without args */
};

/* The operators of ops.def, ended by a row without name. */
TAPER_API const taper_op_row *taper_op_rows(void);
TAPER_API const taper_op_row *taper_op_find(const char *name); /* NULL when there is none */

/* Runs a call. out: the row's number of results, each +1. `inplace` writes into args[0] and gives it back in out[0]. */
TAPER_API taper_status taper_op_call(const taper_op_row *row, const taper_arg *args, int nargs, taper_tensor **out);
/* Rows with a list of results ("Tensor[]": split, chunk, unbind, meshgrid): *list gets *count tensors, +1 each; the array is
 * ended by taper_op_list_free, which does not touch the tensors. taper_op_call gives up to TAPER_MAX_OUTS of them. */
TAPER_API taper_status taper_op_call_list(const taper_op_row *row, const taper_arg *args, int nargs, taper_tensor ***list, int *count);
TAPER_API void taper_op_list_free(taper_tensor **list);
TAPER_API taper_status taper_op_call_inplace(const taper_op_row *row, const taper_arg *args, int nargs);
/* out=: the (one) result is written to `target`, which is resized where its shape differs. */
TAPER_API taper_status taper_op_call_out(const taper_op_row *row, const taper_arg *args, int nargs, taper_tensor *target);

TAPER_END

#endif
