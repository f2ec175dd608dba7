/* Reductions to one number: sums, products, extremes, counts and norms. */
/* Blocks per multiprocessor: room for the registers of loads on their way. */
#define RED_BLOCKS 3
#include "ops/reduce.cuh"

template <class R> EL_FN R red_abs(R x) { return x < 0 ? -x : x; }
static __device__ __noinline__ float red_power(float x, double p) { return powf(x, (float)p); }
static __device__ __noinline__ double red_power(double x, double p) { return pow(x, p); }
EL_FN float red_root(float x) { return sqrtf(x); }
EL_FN double red_root(double x) { return sqrt(x); }

template <class A> EL_FN A red_finish(const taper_reduce_args &k, A a) {
    if (k.finish == TAPER_RED_SCALED) return (A)(a * (A)k.scale);
    if (k.finish == TAPER_RED_ROOT) return red_root(a);
    return k.finish == TAPER_RED_POWER ? red_power(a, k.scale) : red_flip(k, a);
}
EL_FN int64_t red_finish(const taper_reduce_args &k, int64_t a) { return red_flip(k, a); }
EL_FN int red_finish(const taper_reduce_args &k, int a) { return a ^ (k.finish == TAPER_RED_FLIPPED); } /* all are when none is not */

/* first: the empty result; map: from the element x; combine: of a and b. */
#define RED_FOLD(row, state, first, map, combine)                                                                     \
    template <class R_> struct red_##row {                                                                             \
        typedef R_ R;                                                                                                  \
        typedef state S;                                                                                               \
        static const int wide = TAPER_RED_##row##_wide;                                                                      \
        RED_IN S none(const taper_reduce_args &k) { return (void)k, first; }                                              \
        RED_IN void join(S &a, const S &b) { a = combine; }                                                            \
        RED_IN void step(const taper_reduce_args &k, S &a, R x, int64_t) {                                             \
            const S b = map;                                                                                           \
            (void)k;                                                                                                   \
            a = combine;                                                                                               \
        }                                                                                                              \
        RED_IN void store(const taper_reduce_args &k, int64_t o, S a) { red_store<S>(k.out, o, k.dtype_out, red_finish(k, a)); } \
    };
#define RED_HIGHEST (a > b || a != a ? a : b)
RED_FOLD(sum, R_, 0, x, a + b)
RED_FOLD(nansum, R_, 0, (x != x ? 0 : x), a + b)
RED_FOLD(prod, R_, 1, x, a *b)
RED_FOLD(max, R_, red_limits<R_>::low(), red_flip(k, x), RED_HIGHEST)
RED_FOLD(any, int, 0, (x != 0) ^ (k.finish == TAPER_RED_FLIPPED), a | b)
RED_FOLD(count, int64_t, 0, x != 0, a + b)
RED_FOLD(sum_abs, R_, 0, red_abs(x), a + b)
RED_FOLD(sum_square, R_, 0, x *x, a + b)
RED_FOLD(sum_power, R_, 0, red_power(red_abs(x), k.p), a + b)
RED_FOLD(max_abs, R_, (k.finish == TAPER_RED_FLIPPED ? red_limits<R_>::low() : 0), red_flip(k, red_abs(x)), RED_HIGHEST)

#define RED_FLOATS(row) RED_KERNEL(f32_##row, red_##row<float>) RED_KERNEL(f64_##row, red_##row<double>)
#define RED_ALL(row) RED_FLOATS(row) RED_KERNEL(i64_##row, red_##row<int64_t>)
RED_ALL(sum)
RED_ALL(prod)
RED_ALL(max)
RED_ALL(any)
RED_ALL(count)
RED_FLOATS(nansum)
RED_FLOATS(sum_abs)
RED_FLOATS(sum_square)
RED_FLOATS(sum_power)
RED_FLOATS(max_abs)
