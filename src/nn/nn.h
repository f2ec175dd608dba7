/* What the layers share. */
#ifndef TAPER_NN_NN_H
#define TAPER_NN_NN_H

#include <math.h>
#include <taper/nn.h>

#include "base/base.h"

/* Weight (drawn uniformly with the variance 1 / (3 fan_in), as kaiming_uniform_ with a = sqrt(5)) and, unless bias is NULL,
 * bias. The two bounds are the same number but for rounding, which is torch's. */
static inline taper_status nn_weight_and_bias(taper_tensor **weight, taper_tensor **bias, taper_params *p, const char *name,
                                              taper_device device, int64_t fan_in, int ndim, const int64_t *shape) {
    double gain = sqrt(2 / (1 + sqrt(5.0) * sqrt(5.0))), root = fan_in ? sqrt((double)fan_in) : 1;
    TAPER_TRY(taper_param_uniform(weight, p, name, "weight", device, sqrt(3.0) * (gain / root), ndim, shape));
    if (!bias) return TAPER_OK;
    return taper_param_uniform(bias, p, name, "bias", device, fan_in ? 1 / root : 0, 1, shape);
}

#endif
