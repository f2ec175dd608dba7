/* The description that the GPU's convolution kernels work from (conv_args.h). */
#include "ops/conv_cuda.h"

static bool conv_all_wide(int count, const int64_t *strides) {
    for (int i = 0; i < count; i++)
        if (strides[i] % 8) return false;
    return true;
}

void taper__conv_describe(taper_conv_args *p, taper_conv_product product, const taper_conv *g, const taper_conv_layout *l) {
    bool input = product == TAPER_CONV_INPUT, weight = product == TAPER_CONV_WEIGHT;
    int64_t channels = g->c / g->groups, outputs = g->o / g->groups, window = g->kh * g->kw;
    const int64_t *from = input ? l->y : l->x, *places = input ? l->x : l->y; /* strides of b; of what is indexed by places */
    *p = (taper_conv_args){.groups = g->groups, .tap_size = {g->kh, g->kw}, .tap_step = {l->w[2], l->w[3]}};
    int64_t all_places = g->n * (input ? g->h * g->w : g->oh * g->ow);
    p->taps = input ? outputs : channels;
    p->rows = input ? channels : outputs;
    p->cols = weight ? p->taps * window : all_places;
    p->depth = weight ? all_places : p->taps * window;
    p->part = p->depth;
    p->tap_channel = input ? l->w[0] : l->w[1];
    p->place_image = places[0];
    p->b_image = from[0], p->b_channel = from[1];
    int64_t weight_group = outputs * l->w[0], places_group = p->rows * places[1];
    int64_t weight_row = input ? l->w[1] : l->w[0];
    p->a_row = weight ? places[1] : weight_row;
    p->a_group = weight ? places_group : weight_group;
    p->out_row = weight ? weight_row : places[1];
    p->out_group = weight ? weight_group : places_group;
    p->b_group = p->taps * from[1];
    for (int d = 0; d < 2; d++) {
        p->place_size[d] = input ? (d ? g->w : g->h) : (d ? g->ow : g->oh);
        p->place_step[d] = places[2 + d];
        p->b_step[d] = from[2 + d];
        p->place_mul[d] = input ? 1 : (int)g->stride[d];
        p->place_add[d] = (int)(input ? g->padding[d] : -g->padding[d]);
        p->tap_mul[d] = (int)(input ? -g->dilation[d] : g->dilation[d]);
        p->limit[d] = (int)(input ? (d ? g->ow : g->oh) : (d ? g->w : g->h));
        p->divide[d] = input ? (int)g->stride[d] : 1;
    }
    p->last = from[1] == 1 && p->taps > 1;
    p->cols_tap = weight;
    p->divided = p->divide[0] > 1 || p->divide[1] > 1;
}

/* Eight neighbours along depth as one load: they must be neighbours in memory, and every eighth one aligned. */
void taper__conv_widen(taper_conv_args *p, taper_conv_product product) {
    bool aligned_a = (uintptr_t)p->a % 16 == 0 && p->a_row % 8 == 0 && p->a_group % 8 == 0;
    bool aligned_b = (uintptr_t)p->b % 16 == 0 && p->b_group % 8 == 0;
    if (product == TAPER_CONV_WEIGHT) {
        bool dense = p->place_step[1] == 1 && p->place_step[0] == p->place_size[1];
        p->a_wide = aligned_a && dense && p->place_size[0] * p->place_size[1] % 8 == 0 && p->place_image % 8 == 0;
        p->b_wide = false;
        return;
    }
    const int64_t b[3] = {p->b_image, p->b_step[0], p->b_step[1]};
    p->b_wide = aligned_b && p->last && p->b_channel == 1 && p->taps % 8 == 0 && conv_all_wide(3, b);
    if (p->last)
        p->a_wide = aligned_a && p->tap_channel == 1 && p->taps % 8 == 0 && conv_all_wide(2, p->tap_step);
    else
        p->a_wide = aligned_a && p->tap_step[1] == 1 && p->tap_step[0] == p->tap_size[1] && p->tap_channel == p->tap_size[0] * p->tap_size[1] &&
                    p->depth % 8 == 0;
}

/* Few tiles and a long depth: parts of the depth, each by blocks of its own. */
int64_t taper__conv_parts(taper_conv_args *p, int64_t blocks_wanted, int64_t bytes_each, int64_t bytes_most) {
    int64_t blocks = (p->cols + TAPER_CONV_COLS - 1) / TAPER_CONV_COLS * ((p->rows + TAPER_CONV_ROWS - 1) / TAPER_CONV_ROWS) * p->groups;
    int64_t steps = (p->depth + TAPER_CONV_DEPTH - 1) / TAPER_CONV_DEPTH, parts = 1;
    if (blocks < blocks_wanted / 2) parts = blocks_wanted / (blocks ? blocks : 1);
    if (parts > steps / 4) parts = steps / 4;
    int64_t each = p->groups * p->rows * p->cols * bytes_each, room = bytes_most / (each ? each : 1);
    if (parts > room) parts = room;
    if (parts * p->groups > 65535) parts = 65535 / p->groups;
    if (parts < 1) parts = 1;
    int64_t per = (steps + parts - 1) / parts;
    p->part = (per ? per : 1) * TAPER_CONV_DEPTH;
    return steps ? (steps + per - 1) / per : 1;
}
