/* What the kernels of batch and group normalisation are given: x (outer, channels, inner), or (outer, inner, channels) where
 * `last`. Sums belong to a channel; group normalisation calls (sample, group) or (sample, channel) a channel. */
#ifndef TAPER_OPS_CHANNEL_ARGS_H
#define TAPER_OPS_CHANNEL_ARGS_H

#include <stdint.h>

enum { TAPER_CHANNEL_LANES = 16, TAPER_CHANNEL_TILE = 64 }; /* last: channels of a block, four for each lane */

typedef struct taper_channel_args {
    const void *x, *g;            /* g NULL: forward */
    void *y;
    void *partial;                /* double [part][2][channels] */
    void *coef;                   /* [3][coefs] in the type of the sums: y = coef0 g + coef1 x + coef2 */
    const void *w, *b;            /* of dtype_w and dtype_b, or NULL */
    void *mean, *rstd, *running_mean, *running_var, *dw, *db;
    int64_t outer, channels, inner, part, parts, coefs;
    int64_t samples, per, groups; /* group: channels of a group */
    double eps, momentum;
    int mean_per;                 /* channels that share an entry of mean */
    int last, wide;               /* wide: four neighbours of one channel, or four channels, as one load */
    int training, dtype, dtype_w, dtype_b, dtype_stats, dtype_running_mean, dtype_running_var, dtype_dw;
} taper_channel_args;

#endif
