/* The operators: taper_<name>(out, ...) for every row of ops.def, and taper_<name>_(...) in place where the row allows it.
 *
 * Results: *out (an array where the schema has several results) gets +1 each. Errors leave it untouched. The comment
 * above each row in ops.def is the reference, also printed in docs/operators.md.
 */
#ifndef TAPER_OPS_H
#define TAPER_OPS_H

#include <taper/op.h>
#include <taper/params.h>

TAPER_BEGIN

#define TAPER_OP(name, schema, autocast, gradient, params)                                                             \
    TAPER_API taper_status taper_##name(taper_tensor **out, TAPER_PROTOTYPE params);
#define TAPER_OP_INPLACE(name, schema, autocast, gradient, params)                                                     \
    TAPER_OP(name, schema, autocast, gradient, params)                                                                 \
    TAPER_API taper_status taper_##name##_(TAPER_PROTOTYPE params);
#include <taper/ops.def>
#undef TAPER_OP
#undef TAPER_OP_INPLACE

TAPER_END

#endif
