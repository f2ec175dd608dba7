/* How an adder makes its layer. */
#ifndef TAPER_NN_SEQUENTIAL_H
#define TAPER_NN_SEQUENTIAL_H

#include <taper/sequential.h>

/* Zeroed memory for the layer's struct; NULL when an adder has failed, this one included. */
void *taper__sequential_begin(taper_nn_sequential *net, size_t bytes);
/* Adds it, or frees it when status or an earlier one is a failure. release NULL: frees the struct. */
taper_status taper__sequential_end(taper_nn_sequential *net, taper_status status, taper_nn_layer layer);

#endif
