/* Copying patches and convolving single planes, for one element type: included by conv_loops.simd.c with T and X. */

#define CONV_JOIN_(a, b) a##_##b
#define CONV_JOIN(a, b) CONV_JOIN_(a, b)
#define NAME(f) CONV_JOIN(f, X)

static void NAME(take_row)(T *restrict d, const T *restrict row, int64_t iw, int64_t step, int64_t width, int64_t n) {
    int64_t lo, hi;
    conv_inside(iw, step, width, n, &lo, &hi);
    for (int64_t t = 0; t < lo; t++) d[t] = 0;
    if (step == 1)
        for (int64_t t = lo; t < hi; t++) d[t] = row[iw + t];
    else
        for (int64_t t = lo; t < hi; t++) d[t] = row[iw + t * step];
    for (int64_t t = hi; t < n; t++) d[t] = 0;
}

static void NAME(add_row)(T *restrict row, const T *restrict d, int64_t iw, int64_t step, int64_t width, int64_t n) {
    int64_t lo, hi;
    conv_inside(iw, step, width, n, &lo, &hi);
    if (step == 1)
        for (int64_t t = lo; t < hi; t++) row[iw + t] += d[t];
    else
        for (int64_t t = lo; t < hi; t++) row[iw + t * step] += d[t];
}

static void NAME(take)(const taper_columns *t, const void *x_, void *col_) {
    const taper_conv *g = t->g;
    const T *x = x_;
    T *d = col_;
    conv_place start = conv_place_of(g, t->q0);
    for (int64_t k = t->k0; k < t->k1; k++) {
        int64_t c = k / (g->kh * g->kw), r = k / g->kw % g->kh, s = k % g->kw;
        conv_place p = start;
        for (int64_t left = t->q1 - t->q0; left > 0;) {
            int64_t n = g->ow - p.j < left ? g->ow - p.j : left;
            int64_t ih = p.i * g->stride[0] - g->padding[0] + r * g->dilation[0];
            int64_t iw = p.j * g->stride[1] - g->padding[1] + s * g->dilation[1];
            if (ih < 0 || ih >= g->h)
                memset(d, 0, (size_t)n * sizeof(T));
            else
                NAME(take_row)(d, x + p.n * t->image + (c * g->h + ih) * g->w, iw, g->stride[1], g->w, n);
            d += n;
            left -= n;
            conv_place_next(g, &p);
        }
    }
}

static void NAME(add)(const taper_columns *t, void *x_, const void *col_) {
    const taper_conv *g = t->g;
    T *x = x_;
    const T *d = col_;
    conv_place start = conv_place_of(g, t->q0);
    for (int64_t k = t->k0; k < t->k1; k++) {
        int64_t c = k / (g->kh * g->kw), r = k / g->kw % g->kh, s = k % g->kw;
        conv_place p = start;
        for (int64_t left = t->q1 - t->q0; left > 0;) {
            int64_t n = g->ow - p.j < left ? g->ow - p.j : left;
            int64_t ih = p.i * g->stride[0] - g->padding[0] + r * g->dilation[0];
            int64_t iw = p.j * g->stride[1] - g->padding[1] + s * g->dilation[1];
            if (ih >= 0 && ih < g->h) NAME(add_row)(x + p.n * t->image + (c * g->h + ih) * g->w, d, iw, g->stride[1], g->w, n);
            d += n;
            left -= n;
            conv_place_next(g, &p);
        }
    }
}

/* y += window applied to x; y holds the bias. */
static void NAME(plane_forward)(const taper_conv *g, const void *x_, const void *w_, void *y_) {
    const T *x = x_, *w = w_;
    int64_t step = g->stride[1];
    for (int64_t i = 0; i < g->oh; i++)
        for (int64_t r = 0; r < g->kh; r++) {
            int64_t ih = i * g->stride[0] - g->padding[0] + r * g->dilation[0];
            if (ih < 0 || ih >= g->h) continue;
            for (int64_t s = 0; s < g->kw; s++) {
                int64_t lo, hi, iw = s * g->dilation[1] - g->padding[1];
                conv_inside(iw, step, g->w, g->ow, &lo, &hi);
                const T *restrict row = x + ih * g->w + iw;
                T *restrict y = (T *)y_ + i * g->ow;
                T weight = w[r * g->kw + s];
                if (step == 1)
                    for (int64_t t = lo; t < hi; t++) y[t] += weight * row[t];
                else
                    for (int64_t t = lo; t < hi; t++) y[t] += weight * row[t * step];
            }
        }
}

static void NAME(plane_input)(const taper_conv *g, const void *w_, const void *dy_, void *dx_) {
    const T *w = w_;
    int64_t step = g->stride[1];
    for (int64_t i = 0; i < g->oh; i++)
        for (int64_t r = 0; r < g->kh; r++) {
            int64_t ih = i * g->stride[0] - g->padding[0] + r * g->dilation[0];
            if (ih < 0 || ih >= g->h) continue;
            for (int64_t s = 0; s < g->kw; s++) {
                int64_t lo, hi, iw = s * g->dilation[1] - g->padding[1];
                conv_inside(iw, step, g->w, g->ow, &lo, &hi);
                T *restrict row = (T *)dx_ + ih * g->w + iw;
                const T *restrict dy = (const T *)dy_ + i * g->ow;
                T weight = w[r * g->kw + s];
                if (step == 1)
                    for (int64_t t = lo; t < hi; t++) row[t] += weight * dy[t];
                else
                    for (int64_t t = lo; t < hi; t++) row[t * step] += weight * dy[t];
            }
        }
}

/* dw += the sums of this plane. Eight running sums, so that the loop can be vectorised with one fixed order. */
static void NAME(plane_weight)(const taper_conv *g, const void *x_, const void *dy_, void *dw_) {
    T *dw = dw_;
    int64_t step = g->stride[1];
    for (int64_t r = 0; r < g->kh; r++)
        for (int64_t s = 0; s < g->kw; s++) {
            int64_t lo, hi, iw = s * g->dilation[1] - g->padding[1];
            conv_inside(iw, step, g->w, g->ow, &lo, &hi);
            T sum[8] = {0}, total = 0;
            for (int64_t i = 0; i < g->oh; i++) {
                int64_t ih = i * g->stride[0] - g->padding[0] + r * g->dilation[0], t = lo;
                if (ih < 0 || ih >= g->h) continue;
                const T *row = (const T *)x_ + ih * g->w + iw, *dy = (const T *)dy_ + i * g->ow;
                for (; step == 1 && t + 8 <= hi; t += 8)
                    for (int u = 0; u < 8; u++) sum[u] += row[t + u] * dy[t + u];
                for (; t < hi; t++) total += row[t * step] * dy[t];
            }
            for (int u = 0; u < 8; u++) total += sum[u];
            dw[r * g->kw + s] += total;
        }
}

#undef NAME
#undef CONV_JOIN
#undef CONV_JOIN_
#undef T
#undef X
