/* Loops of convolution, compiled once per instruction set. */
#include "ops/conv.h"

/* An output position: image, row, column. */
typedef struct conv_place {
    int64_t n, i, j;
} conv_place;

static inline conv_place conv_place_of(const taper_conv *g, int64_t q) {
    return (conv_place){q / (g->oh * g->ow), q / g->ow % g->oh, q % g->ow};
}

/* To the beginning of the next row. */
static inline void conv_place_next(const taper_conv *g, conv_place *p) {
    p->j = 0;
    if (++p->i < g->oh) return;
    p->i = 0;
    p->n++;
}

/* [lo, hi): the t in [0, n) whose pixel iw + t * step lies in [0, width). */
static inline void conv_inside(int64_t iw, int64_t step, int64_t width, int64_t n, int64_t *lo, int64_t *hi) {
    int64_t a = iw >= 0 ? 0 : (-iw + step - 1) / step, b = iw >= width ? 0 : (width - iw + step - 1) / step;
    if (b > n) b = n;
    *lo = a < n ? a : n;
    *hi = b > *lo ? b : *lo;
}

#define T float
#define X f32
#include "ops/conv_loops.h"
#define T double
#define X f64
#include "ops/conv_loops.h"

const taper_conv_loops TAPER_SIMD(taper__conv_loops) = {
    .take = {take_f32, take_f64},
    .add = {add_f32, add_f64},
    .plane_forward = {plane_forward_f32, plane_forward_f64},
    .plane_input = {plane_input_f32, plane_input_f64},
    .plane_weight = {plane_weight_f32, plane_weight_f64},
};
