/* How a list of tensors is cut into launches and chunks. */
#ifndef TAPER_OPS_OPTIM_GEOMETRY_H
#define TAPER_OPS_OPTIM_GEOMETRY_H

#include <stdbool.h>

#include "ops/optim_args.h"

/* Adds a tensor with the arrays and dtypes that *e names to the table: fills first, wide and plain. False: the table is full, or
 * the chunks of one launch are; e is not added. *chunks counts those of the launch. */
bool taper__optim_add(taper_optim_table *t, const taper_optim_entry *e, int64_t *chunks);
/* The tensor that chunk `at` of a launch belongs to: what the kernels compute. */
int taper__optim_find(const taper_optim_table *t, unsigned at);
int64_t taper__optim_chunks(int64_t numel);

#endif
