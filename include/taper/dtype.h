/* Element types. Values are small integers for tables; files store names. */
#ifndef TAPER_DTYPE_H
#define TAPER_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <taper/export.h>
#include <taper/status.h>

TAPER_BEGIN

/* X(NAME, torch name, bytes, kind, torch tensor type, DLPack code, NumPy typestr). Kinds order promotion:
 * BOOL < INT < FLOAT. */
#define TAPER_DTYPE_MAP(X)                                                                                             \
    X(BOOL, "bool", 1, BOOL, "Bool", 6, "|b1")                                                                         \
    X(U8, "uint8", 1, INT, "Byte", 1, "|u1")                                                                           \
    X(I8, "int8", 1, INT, "Char", 0, "|i1")                                                                            \
    X(I16, "int16", 2, INT, "Short", 0, "<i2")                                                                         \
    X(I32, "int32", 4, INT, "Int", 0, "<i4")                                                                           \
    X(I64, "int64", 8, INT, "Long", 0, "<i8")                                                                          \
    X(F16, "float16", 2, FLOAT, "Half", 2, "<f2")                                                                      \
    X(BF16, "bfloat16", 2, FLOAT, "BFloat16", 4, "")                                                                   \
    X(F32, "float32", 4, FLOAT, "Float", 2, "<f4")                                                                     \
    X(F64, "float64", 8, FLOAT, "Double", 2, "<f8")                                                                    \
    X(F8_E4M3, "float8_e4m3fn", 1, FLOAT, "Float8_e4m3fn", 10, "")                                                     \
    X(F8_E5M2, "float8_e5m2", 1, FLOAT, "Float8_e5m2", 12, "")

typedef enum taper_dtype {
#define TAPER_DTYPE_ENUM(name, ...) TAPER_##name,
    TAPER_DTYPE_MAP(TAPER_DTYPE_ENUM)
#undef TAPER_DTYPE_ENUM
    TAPER_DTYPE_COUNT,
    TAPER_DTYPE_NONE = 255 /* "not given" in arguments */
} taper_dtype;

typedef enum taper_kind { TAPER_KIND_BOOL, TAPER_KIND_INT, TAPER_KIND_FLOAT } taper_kind;

TAPER_API size_t taper_dtype_size(taper_dtype dtype);          /* bytes of one element */
TAPER_API const char *taper_dtype_name(taper_dtype dtype);     /* "float32" */
TAPER_API taper_kind taper_dtype_kind(taper_dtype dtype);
TAPER_API bool taper_dtype_is_float(taper_dtype dtype);
TAPER_API const char *taper_dtype_typename(taper_dtype dtype); /* "Float", as in torch.FloatTensor */
TAPER_API taper_dtype taper_dtype_from_name(const char *name); /* TAPER_DTYPE_NONE when unknown; takes aliases (float, long) */

/* The dtype of a op b for two tensors with dimensions: torch.promote_types. */
TAPER_API taper_dtype taper_dtype_promote(taper_dtype a, taper_dtype b);

/* Dtype that new floating tensors get (torch.get_default_dtype). Per process. TYPE unless floating. */
TAPER_API taper_dtype taper_default_dtype(void);
TAPER_API taper_status taper_set_default_dtype(taper_dtype dtype);

TAPER_END

#endif
