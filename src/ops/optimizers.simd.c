/* Optimiser loops of one instruction set. The flags do not change inside a loop: the compiler makes a loop for each. */
#include "ops/optimizers.h"

#include "ops/row_vec.h"

/* The gradient as the step sees it: unscaled (and stored so), clipped, turned round for maximize. */
#define OPTIM_GRADIENT(T)                                                                                              \
    T x = p[i], d = g[i];                                                                                              \
    if (k->unscaled) g[i] = d = d * unscale;                                                                           \
    d *= factor;                                                                                                       \
    if (k->maximize) d = -d

#define OPTIM_LOOPS(T, X, SQRT)                                                                                        \
    static void sgd_##X(void *const *arrays, int64_t n, const taper_optim_numbers *numbers) {                          \
        const taper_optim_numbers copy = *numbers, *k = &copy;                                                         \
        T *restrict p = arrays[0], *restrict g = arrays[1], *restrict buffer = arrays[2];                              \
        T lr = (T)k->lr, decay = (T)k->weight_decay, momentum = (T)k->momentum, keep = (T)(1 - k->dampening);          \
        T unscale = (T)k->unscale, factor = (T)k->factor;                                                              \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            OPTIM_GRADIENT(T);                                                                                         \
            d += decay * x;                                                                                            \
            if (k->with_momentum) {                                                                                    \
                T b = k->first ? d : momentum * buffer[i] + keep * d;                                                  \
                buffer[i] = b;                                                                                         \
                d = k->nesterov ? d + momentum * b : b;                                                                \
            }                                                                                                          \
            p[i] = x - lr * d;                                                                                         \
        }                                                                                                              \
    }                                                                                                                  \
    static void adam_##X(void *const *arrays, int64_t n, const taper_optim_numbers *numbers) {                         \
        const taper_optim_numbers copy = *numbers, *k = &copy;                                                         \
        T *restrict p = arrays[0], *restrict g = arrays[1], *restrict m = arrays[2], *restrict v = arrays[3];          \
        T *restrict top = arrays[4];                                                                                   \
        T decay = (T)k->weight_decay, shrink = (T)(1 - k->lr * k->weight_decay), eps = (T)k->eps;                      \
        T keep1 = (T)(1 - k->beta1), beta2 = (T)k->beta2, keep2 = (T)(1 - k->beta2), size = (T)k->step_size;           \
        T unscale = (T)k->unscale, factor = (T)k->factor, root2 = (T)k->root2;                                         \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            OPTIM_GRADIENT(T);                                                                                         \
            if (k->decoupled) x *= shrink;                                                                             \
            else d += decay * x;                                                                                       \
            T a = m[i] + (d - m[i]) * keep1, s = v[i] * beta2 + d * d * keep2;                                         \
            m[i] = a;                                                                                                  \
            v[i] = s;                                                                                                  \
            if (k->amsgrad) top[i] = s = top[i] > s ? top[i] : s;                                                      \
            p[i] = x - size * a / (SQRT(s) / root2 + eps);                                                             \
        }                                                                                                              \
    }                                                                                                                  \
    static void rmsprop_##X(void *const *arrays, int64_t n, const taper_optim_numbers *numbers) {                      \
        const taper_optim_numbers copy = *numbers, *k = &copy;                                                         \
        T *restrict p = arrays[0], *restrict g = arrays[1], *restrict v = arrays[2], *restrict buffer = arrays[3];     \
        T *restrict mean = arrays[4];                                                                                  \
        T lr = (T)k->lr, decay = (T)k->weight_decay, alpha = (T)k->beta2, keep = (T)(1 - k->beta2), eps = (T)k->eps;   \
        T momentum = (T)k->momentum, unscale = (T)k->unscale, factor = (T)k->factor;                                   \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            OPTIM_GRADIENT(T);                                                                                         \
            d += decay * x;                                                                                            \
            T s = v[i] * alpha + d * d * keep;                                                                         \
            v[i] = s;                                                                                                  \
            if (k->centered) {                                                                                         \
                T a = mean[i] + (d - mean[i]) * keep;                                                                  \
                mean[i] = a;                                                                                           \
                s -= a * a;                                                                                            \
            }                                                                                                          \
            d /= SQRT(s) + eps;                                                                                        \
            if (k->with_momentum) buffer[i] = d = buffer[i] * momentum + d;                                            \
            p[i] = x - lr * d;                                                                                         \
        }                                                                                                              \
    }
OPTIM_LOOPS(float, f32, sqrtf)
OPTIM_LOOPS(double, f64, sqrt)

static float optim_square_sum(const float *x, int64_t n) { return row_dot(x, x, n); }

const taper_optim_loops TAPER_SIMD(taper__optim_loops) = {
    {sgd_f32, sgd_f64}, {adam_f32, adam_f64}, {rmsprop_f32, rmsprop_f64}, optim_square_sum,
};
