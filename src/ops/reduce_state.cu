/* Reductions that carry more than one number: places of extremes, variance with mean, logsumexp. */
/* Blocks per multiprocessor: room for the registers of eight states. */
#define RED_BLOCKS 2
#include "ops/reduce.cuh"

EL_FN float red_exp(float x) { return expf(x); }
EL_FN double red_exp(double x) { return exp(x); }
EL_FN float red_log(float x) { return logf(x); }
EL_FN double red_log(double x) { return log(x); }
EL_FN float red_root(float x) { return sqrtf(x); }
EL_FN double red_root(double x) { return sqrt(x); }

/* The first of equals; NaN beats every number. */
template <class R> struct red_best {
    R value;
    int64_t place;
};
template <class R> EL_FN bool red_better(R x, int64_t i, const red_best<R> &s) {
    if (x != x) return s.value == s.value || i < s.place;
    return x > s.value || (x == s.value && i < s.place);
}
template <class R_> struct red_argmax {
    typedef R_ R;
    typedef red_best<R> S;
    static const int wide = TAPER_RED_WIDE_F32;
    RED_IN S none(const taper_reduce_args &) { return {red_limits<R>::low(), INT64_MAX}; }
    RED_IN void step(const taper_reduce_args &k, S &s, R x, int64_t i) {
        x = red_flip(k, x);
        const bool take = x > s.value || (x != x && s.value == s.value); /* a lane sees rising places */
        s.value = take ? x : s.value;
        s.place = take ? i : s.place;
    }
    RED_IN void join(S &a, const S &b) {
        if (red_better<R>(b.value, b.place, a)) a = b;
    }
    RED_IN void store(const taper_reduce_args &k, int64_t o, S s) {
        ((int64_t *)k.other)[o] = s.place == INT64_MAX ? 0 : s.place; /* none was better than the worst value there is */
        if (k.out) el_store<R>(k.out, o, k.dtype_out, red_flip(k, s.value));
    }
};

/* Sums of d = x - shift and of d * d, where the shift is one of the elements: then cancellation costs no more than a few
 * digits however far the mean is from 0. States join as mean and sum of squares (Chan, Golub, LeVeque 1979). */
template <class R> struct red_moments {
    R shift, first, second, count;
};
template <class R> EL_FN R red_mean(const red_moments<R> &s) { return s.shift + s.first / s.count; }
template <class R> EL_FN R red_square(const red_moments<R> &s) { return s.count > 0 ? s.second - s.first * (s.first / s.count) : 0; }
template <class R_> struct red_var {
    typedef R_ R;
    typedef red_moments<R> S;
    static const int wide = TAPER_RED_WIDE_F32;
    RED_IN S none(const taper_reduce_args &) { return {0, 0, 0, 0}; }
    RED_IN void step(const taper_reduce_args &, S &s, R x, int64_t) {
        s.shift = s.count == 0 ? x : s.shift;
        const R d = x - s.shift;
        s.first += d;
        s.second += d * d;
        s.count += 1;
    }
    RED_IN void join(S &a, const S &b) {
        if (b.count == 0) return;
        if (a.count == 0) {
            a = b;
            return;
        }
        const R ma = red_mean(a), d = red_mean(b) - ma, n = a.count + b.count, part = b.count / n;
        a = {ma + d * part, 0, red_square(a) + red_square(b) + d * d * a.count * part, n};
    }
    RED_IN void store(const taper_reduce_args &k, int64_t o, S s) {
        R v = red_square(s);
        v = (v < 0 ? 0 : v) / (R)k.p;
        el_store<R>(k.out, o, k.dtype_out, k.finish == TAPER_RED_ROOT ? red_root(v) : v);
        if (k.other) el_store<R>(k.other, o, k.dtype_other, red_mean(s));
    }
};

/* high + log(sum), sum of e^(x - high): one pass (Milakov, Gimelshein 2018, arXiv:1805.02867). */
template <class R> struct red_scaled {
    R high, sum;
};
template <class R_> struct red_lse {
    typedef R_ R;
    typedef red_scaled<R> S;
    static const int wide = TAPER_RED_WIDE_F32;
    RED_IN S none(const taper_reduce_args &) { return {red_limits<R>::low(), 0}; }
    RED_IN void step(const taper_reduce_args &, S &s, R x, int64_t) { join(s, {x, 1}); }
    RED_IN void join(S &a, const S &b) {
        const R d = b.high - a.high, e = b.high == a.high ? (R)1 : red_exp(d > 0 ? -d : d); /* equal infinities have no difference */
        if (d > 0) a = {b.high, a.sum * e + b.sum};
        else a.sum += b.sum * e;
    }
    RED_IN void store(const taper_reduce_args &k, int64_t o, S s) { el_store<R>(k.out, o, k.dtype_out, s.high + red_log(s.sum)); }
};

#define RED_FLOATS(row) RED_KERNEL(f32_##row, red_##row<float>) RED_KERNEL(f64_##row, red_##row<double>)
RED_FLOATS(argmax)
RED_FLOATS(var)
RED_FLOATS(lse)
RED_KERNEL(i64_argmax, red_argmax<int64_t>)
