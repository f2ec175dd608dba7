/* The description of a convolution that GPU kernels work from, carried out in plain C as they do, against sums over the windows. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops/conv_cuda.h"

static int failed;
static void check(const char *name, bool good, const char *why) {
    if (good) {
        printf("ok conv_geometry_%s\n", name);
    } else {
        failed = 1;
        printf("not ok conv_geometry_%s: %s\n", name, why);
    }
}

typedef struct at {
    int64_t own, b, h, w;
} at;
static at place(const taper_conv_args *g, int64_t k) {
    int64_t j = k % g->place_size[1], i = k / g->place_size[1] % g->place_size[0], n = k / g->place_size[1] / g->place_size[0];
    return (at){n * g->place_image + i * g->place_step[0] + j * g->place_step[1], n * g->b_image, i * g->place_mul[0] + g->place_add[0],
                j * g->place_mul[1] + g->place_add[1]};
}
static at tap(const taper_conv_args *g, int64_t k) {
    int64_t window = g->tap_size[0] * g->tap_size[1], c = g->last ? k % g->taps : k / window, v = g->last ? k / g->taps : k % window;
    int64_t r = v / g->tap_size[1], s = v % g->tap_size[1];
    return (at){c * g->tap_channel + r * g->tap_step[0] + s * g->tap_step[1], c * g->b_channel, r * g->tap_mul[0], s * g->tap_mul[1]};
}

/* out[row, col] = sum over depth, as the header of conv_args.h says it. */
static void carry_out(const taper_conv_args *g, taper_conv_product product, const double *a, const double *b, double *out) {
    bool weight = product == TAPER_CONV_WEIGHT;
    for (int64_t group = 0; group < g->groups; group++)
        for (int64_t row = 0; row < g->rows; row++)
            for (int64_t col = 0; col < g->cols; col++) {
                at x = weight ? tap(g, col) : place(g, col);
                double sum = 0;
                for (int64_t k = 0; k < g->depth; k++) {
                    at y = weight ? place(g, k) : tap(g, k);
                    int64_t h = x.h + y.h, w = x.w + y.w;
                    if (h < 0 || w < 0 || h % g->divide[0] || w % g->divide[1]) continue;
                    h /= g->divide[0], w /= g->divide[1];
                    if (h >= g->limit[0] || w >= g->limit[1]) continue;
                    sum += a[group * g->a_group + row * g->a_row + y.own] * b[group * g->b_group + x.b + y.b + h * g->b_step[0] + w * g->b_step[1]];
                }
                out[group * g->out_group + row * g->out_row + x.own] = sum;
            }
}

static void strides(int64_t *s, const int64_t *size, bool last) {
    if (last)
        s[1] = 1, s[3] = size[1], s[2] = size[3] * s[3], s[0] = size[2] * s[2];
    else
        s[3] = 1, s[2] = size[3], s[1] = size[2] * s[2], s[0] = size[1] * s[1];
}

static double x[4096], w[4096], y[4096], got[4096], want[4096];

/* Every product by its definition, over the strides of l. */
static void define(const taper_conv *g, const taper_conv_layout *l, taper_conv_product product, double *out) {
    memset(out, 0, sizeof got);
    int64_t cg = g->c / g->groups, og = g->o / g->groups;
    for (int64_t n = 0; n < g->n; n++)
        for (int64_t o = 0; o < g->o; o++)
            for (int64_t i = 0; i < g->oh; i++)
                for (int64_t j = 0; j < g->ow; j++)
                    for (int64_t c = 0; c < cg; c++)
                        for (int64_t r = 0; r < g->kh; r++)
                            for (int64_t s = 0; s < g->kw; s++) {
                                int64_t h = i * g->stride[0] - g->padding[0] + r * g->dilation[0], v = j * g->stride[1] - g->padding[1] + s * g->dilation[1];
                                if (h < 0 || h >= g->h || v < 0 || v >= g->w) continue;
                                int64_t px = n * l->x[0] + (o / og * cg + c) * l->x[1] + h * l->x[2] + v * l->x[3];
                                int64_t pw = o * l->w[0] + c * l->w[1] + r * l->w[2] + s * l->w[3];
                                int64_t py = n * l->y[0] + o * l->y[1] + i * l->y[2] + j * l->y[3];
                                if (product == TAPER_CONV_FORWARD) out[py] += x[px] * w[pw];
                                if (product == TAPER_CONV_INPUT) out[px] += y[py] * w[pw];
                                if (product == TAPER_CONV_WEIGHT) out[pw] += y[py] * x[px];
                            }
}

static void products(void) {
    static const taper_conv cases[] = {
        {.n = 2, .c = 3, .h = 5, .w = 4, .o = 4, .kh = 3, .kw = 3, .stride = {1, 1}, .padding = {0, 0}, .dilation = {1, 1}, .groups = 1},
        {.n = 2, .c = 4, .h = 7, .w = 6, .o = 6, .kh = 3, .kw = 2, .stride = {2, 3}, .padding = {1, 0}, .dilation = {1, 2}, .groups = 2},
        {.n = 1, .c = 6, .h = 4, .w = 5, .o = 3, .kh = 2, .kw = 3, .stride = {3, 1}, .padding = {2, 1}, .dilation = {2, 1}, .groups = 3},
    };
    static const char *const names[] = {"forward", "input", "weight"};
    for (int product = 0; product < 3; product++) {
        bool good = true;
        for (int k = 0; k < 3; k++)
            for (int layout = 0; layout < 8; layout++) {
                taper_conv g = cases[k];
                g.oh = (g.h + 2 * g.padding[0] - g.dilation[0] * (g.kh - 1) - 1) / g.stride[0] + 1;
                g.ow = (g.w + 2 * g.padding[1] - g.dilation[1] * (g.kw - 1) - 1) / g.stride[1] + 1;
                taper_conv_layout l;
                taper_conv_args p;
                strides(l.x, (int64_t[]){g.n, g.c, g.h, g.w}, layout & 1);
                strides(l.w, (int64_t[]){g.o, g.c / g.groups, g.kh, g.kw}, layout & 2);
                strides(l.y, (int64_t[]){g.n, g.o, g.oh, g.ow}, layout & 4);
                memset(got, 0, sizeof got);
                taper__conv_describe(&p, (taper_conv_product)product, &g, &l);
                carry_out(&p, (taper_conv_product)product, product == TAPER_CONV_WEIGHT ? y : w, product == TAPER_CONV_INPUT ? y : x, got);
                define(&g, &l, (taper_conv_product)product, want);
                for (int i = 0; i < 4096; i++) good = good && fabs(got[i] - want[i]) < 1e-9;
            }
        check(names[product], good, "differs from the sum over windows");
    }
}

/* Parts cover the depth once, and wide loads are only promised where eight neighbours lie together. */
static void parts_and_widths(void) {
    bool covers = true, few = true;
    for (int64_t depth = 1; depth < 5000; depth += 37)
        for (int64_t cols = 1; cols < 600; cols += 100) {
            taper_conv_args p = {.rows = 64, .cols = cols, .depth = depth, .groups = 1};
            int64_t parts = taper__conv_parts(&p, 264, 4, 1 << 20);
            covers = covers && p.part % TAPER_CONV_DEPTH == 0 && parts * p.part >= depth && (parts - 1) * p.part < depth;
            few = few && parts * p.rows * cols * 4 <= (1 << 20);
        }
    check("parts", covers, "parts of the depth leave something out or are empty");
    check("parts_memory", few, "more memory than allowed");
    taper_conv g = {.n = 2, .c = 16, .h = 8, .w = 8, .o = 8, .oh = 8, .ow = 8, .kh = 3, .kw = 3, .stride = {1, 1}, .padding = {1, 1}, .dilation = {1, 1}, .groups = 1};
    static uint16_t room[64];
    const uint16_t *aligned = (const uint16_t *)(((uintptr_t)room + 15) / 16 * 16);
    for (int wide = 0; wide < 3; wide++) {
        taper_conv_layout l;
        taper_conv_args p;
        strides(l.x, (int64_t[]){g.n, g.c, g.h, g.w}, true);
        strides(l.w, (int64_t[]){g.o, g.c, g.kh, g.kw}, true);
        strides(l.y, (int64_t[]){g.n, g.o, g.oh, g.ow}, true);
        if (wide == 2) l.x[3] = 12, l.x[2] = 96, l.x[0] = 768; /* rows of twelve channels in memory */
        taper__conv_describe(&p, TAPER_CONV_FORWARD, &g, &l);
        p.a = aligned, p.b = aligned + (wide == 1);
        taper__conv_widen(&p, TAPER_CONV_FORWARD);
        check(wide == 0 ? "wide" : wide == 1 ? "wide_unaligned" : "wide_odd_rows", p.b_wide == (wide == 0) && p.a_wide, "wrong choice of loads");
    }
}

int main(void) {
    uint64_t seed = 1;
    for (int i = 0; i < 4096; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        x[i] = (double)(int64_t)(seed >> 40) / 1e7;
        w[i] = (double)(int64_t)(seed >> 42 & 0xfffff) / 1e6 - 0.5;
        y[i] = (double)(int64_t)(seed >> 24 & 0xfffff) / 1e6 - 0.3;
    }
    products();
    parts_and_widths();
    return failed;
}
