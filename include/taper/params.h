/* The spelling of C parameters in ops.def: T(self), I(dim) and so on, turned into prototypes or into taper_arg values.
 *
 *   T   Tensor or Tensor? (NULL)    taper_tensor *x            TL  Tensor[]   taper_tensor *const *x, int x_count
 *   I   int                         int64_t x                  OI  int?       const int64_t *x (NULL: none)
 *   F   float                       double x                   OF  float?     const double *x
 *   B   bool                        bool x                     IL  int[]      const int64_t *x, int x_count (x NULL: none)
 *   S   Scalar                      taper_scalar x             OS  Scalar?    const taper_scalar *x
 *   D   ScalarType? (NONE)          taper_dtype x              DEV Device?    const taper_device *x
 *   STR str                         const char *x              G   Generator? taper_generator *x
 */
#ifndef TAPER_PARAMS_H
#define TAPER_PARAMS_H

#define TAPER_P_T(x) taper_tensor *x
#define TAPER_P_TL(x) taper_tensor *const *x, int x##_count
#define TAPER_P_I(x) int64_t x
#define TAPER_P_OI(x) const int64_t *x
#define TAPER_P_F(x) double x
#define TAPER_P_OF(x) const double *x
#define TAPER_P_B(x) bool x
#define TAPER_P_IL(x) const int64_t *x, int x##_count
#define TAPER_P_S(x) taper_scalar x
#define TAPER_P_OS(x) const taper_scalar *x
#define TAPER_P_D(x) taper_dtype x
#define TAPER_P_DEV(x) const taper_device *x
#define TAPER_P_STR(x) const char *x
#define TAPER_P_G(x) taper_generator *x

/* Values in the order of the parameters. */
#define TAPER_V_T(x) taper__arg_tensor(x)
#define TAPER_V_TL(x) taper__arg_tensors(x, x##_count)
#define TAPER_V_I(x) taper__arg_int(x)
#define TAPER_V_OI(x) taper__arg_optional_int(x)
#define TAPER_V_F(x) taper__arg_float(x)
#define TAPER_V_OF(x) taper__arg_optional_float(x)
#define TAPER_V_B(x) taper__arg_bool(x)
#define TAPER_V_IL(x) taper__arg_ints(x, x##_count)
#define TAPER_V_S(x) taper__arg_scalar(x)
#define TAPER_V_OS(x) taper__arg_optional_scalar(x)
#define TAPER_V_D(x) taper__arg_dtype(x)
#define TAPER_V_DEV(x) taper__arg_device(x)
#define TAPER_V_STR(x) taper__arg_string(x)
#define TAPER_V_G(x) taper__arg_generator(x)

/* Names passed on: the arguments of a call to another function with the same parameters. */
#define TAPER_N_T(x) x
#define TAPER_N_TL(x) x, x##_count
#define TAPER_N_I(x) x
#define TAPER_N_OI(x) x
#define TAPER_N_F(x) x
#define TAPER_N_OF(x) x
#define TAPER_N_B(x) x
#define TAPER_N_IL(x) x, x##_count
#define TAPER_N_S(x) x
#define TAPER_N_OS(x) x
#define TAPER_N_D(x) x
#define TAPER_N_DEV(x) x
#define TAPER_N_STR(x) x
#define TAPER_N_G(x) x

#define TAPER_M1(p, a) p##a
#define TAPER_M2(p, a, ...) p##a, TAPER_M1(p, __VA_ARGS__)
#define TAPER_M3(p, a, ...) p##a, TAPER_M2(p, __VA_ARGS__)
#define TAPER_M4(p, a, ...) p##a, TAPER_M3(p, __VA_ARGS__)
#define TAPER_M5(p, a, ...) p##a, TAPER_M4(p, __VA_ARGS__)
#define TAPER_M6(p, a, ...) p##a, TAPER_M5(p, __VA_ARGS__)
#define TAPER_M7(p, a, ...) p##a, TAPER_M6(p, __VA_ARGS__)
#define TAPER_M8(p, a, ...) p##a, TAPER_M7(p, __VA_ARGS__)
#define TAPER_M9(p, a, ...) p##a, TAPER_M8(p, __VA_ARGS__)
#define TAPER_M10(p, a, ...) p##a, TAPER_M9(p, __VA_ARGS__)
#define TAPER_M11(p, a, ...) p##a, TAPER_M10(p, __VA_ARGS__)
#define TAPER_M12(p, a, ...) p##a, TAPER_M11(p, __VA_ARGS__)
#define TAPER_M13(p, a, ...) p##a, TAPER_M12(p, __VA_ARGS__)
#define TAPER_M14(p, a, ...) p##a, TAPER_M13(p, __VA_ARGS__)
#define TAPER_M15(p, a, ...) p##a, TAPER_M14(p, __VA_ARGS__)
#define TAPER_M16(p, a, ...) p##a, TAPER_M15(p, __VA_ARGS__)
#define TAPER_MN(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, name, ...) name
#define TAPER_MAP(p, ...)                                                                                              \
    TAPER_MN(__VA_ARGS__, TAPER_M16, TAPER_M15, TAPER_M14, TAPER_M13, TAPER_M12, TAPER_M11, TAPER_M10, TAPER_M9,       \
             TAPER_M8, TAPER_M7, TAPER_M6, TAPER_M5, TAPER_M4, TAPER_M3, TAPER_M2, TAPER_M1, 0)(p, __VA_ARGS__)

#define TAPER_PROTOTYPE(...) TAPER_MAP(TAPER_P_, __VA_ARGS__)
#define TAPER_VALUES(...) TAPER_MAP(TAPER_V_, __VA_ARGS__)
#define TAPER_NAMES(...) TAPER_MAP(TAPER_N_, __VA_ARGS__)

#endif
