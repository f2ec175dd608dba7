/* Reductions to one number: sums, products, extremes, counts and norms. */
#include "ops/reduce.cuh"

template <class R> EL_FN R red_abs(R x) { return x < 0 ? -x : x; }
EL_FN float red_power(float x, double p) { return powf(x, (float)p); }
EL_FN double red_power(double x, double p) { return pow(x, p); }
EL_FN float red_root(float x) { return sqrtf(x); }
EL_FN double red_root(double x) { return sqrt(x); }

template <class A> EL_FN A red_finish(const taper_reduce_args &k, A a) {
    if (k.finish == TAPER_RED_SCALED) return (A)(a * (A)k.scale);
    if (k.finish == TAPER_RED_ROOT) return red_root(a);
    return k.finish == TAPER_RED_POWER ? red_power(a, k.scale) : a;
}
template <> EL_FN int64_t red_finish<int64_t>(const taper_reduce_args &, int64_t a) { return a; }

/* first: the empty result; map: from the element x; combine: of a and b. */
#define RED_FOLD(name, state, is_wide, first, map, combine)                                                            \
    template <class R_> struct name {                                                                                  \
        typedef R_ R;                                                                                                  \
        typedef state S;                                                                                               \
        static const bool wide = is_wide;                                                                              \
        RED_IN S none(const taper_reduce_args &) { return first; }                                                     \
        RED_IN void join(S &a, const S &b) { a = combine; }                                                            \
        RED_IN void step(const taper_reduce_args &k, S &a, R x, int64_t) {                                             \
            const S b = map;                                                                                           \
            (void)k;                                                                                                   \
            a = combine;                                                                                               \
        }                                                                                                              \
        RED_IN void store(const taper_reduce_args &k, int64_t o, S a) { el_store<S>(k.out, o, k.dtype_out, red_finish<S>(k, a)); } \
    };
#define RED_HIGHEST (a > b || a != a ? a : b)
#define RED_LOWEST (a < b || a != a ? a : b)
RED_FOLD(red_sum, R_, true, 0, x, a + b)
RED_FOLD(red_nansum, R_, false, 0, (x != x ? 0 : x), a + b)
RED_FOLD(red_prod, R_, false, 1, x, a *b)
RED_FOLD(red_max, R_, true, red_limits<R_>::low(), x, RED_HIGHEST)
RED_FOLD(red_min, R_, true, red_limits<R_>::high(), x, RED_LOWEST)
RED_FOLD(red_any, int, true, 0, x != 0, a | b)
RED_FOLD(red_all, int, true, 1, x != 0, a &b)
RED_FOLD(red_count, int64_t, true, 0, x != 0, a + b)
RED_FOLD(red_sum_abs, R_, true, 0, red_abs(x), a + b)
RED_FOLD(red_sum_square, R_, true, 0, x *x, a + b)
RED_FOLD(red_sum_power, R_, false, 0, red_power(red_abs(x), k.p), a + b)
RED_FOLD(red_max_abs, R_, true, 0, red_abs(x), RED_HIGHEST)
RED_FOLD(red_min_abs, R_, false, red_limits<R_>::high(), red_abs(x), RED_LOWEST)
template <> EL_FN int red_finish<int>(const taper_reduce_args &, int a) { return a; }

#define RED_FLOATS(row) RED_KERNEL(f32_##row, red_##row<float>) RED_KERNEL(f64_##row, red_##row<double>)
#define RED_ALL(row) RED_FLOATS(row) RED_KERNEL(i64_##row, red_##row<int64_t>)
RED_ALL(sum)
RED_ALL(prod)
RED_ALL(max)
RED_ALL(min)
RED_ALL(any)
RED_ALL(all)
RED_ALL(count)
RED_FLOATS(nansum)
RED_FLOATS(sum_abs)
RED_FLOATS(sum_square)
RED_FLOATS(sum_power)
RED_FLOATS(max_abs)
RED_FLOATS(min_abs)
