/* Operators as expressions: tx_<name>(scope, ...) gives the result itself, owned by the scope.
 *
 *     taper_scope s = TAPER_SCOPE;
 *     taper_tensor *y = tx_relu(&s, tx_linear(&s, x, w, b));
 *     if (s.status != TAPER_OK) ... taper_error_message()
 *     taper_scope_end(&s);
 *
 * After a failure every further call does nothing and gives NULL, so one check at the end is enough.
 */
#ifndef TAPER_SCOPE_H
#define TAPER_SCOPE_H

#include <taper/op.h>
#include <taper/params.h>

TAPER_BEGIN

struct taper_scope {
    taper_status status; /* of the first call that failed */
    int count, capacity;
    taper_tensor **more;
    taper_tensor *some[24];
};
#define TAPER_SCOPE {TAPER_OK, 0, 0, NULL, {NULL}}

/* Gives a reference to the scope; NULL when there is no memory for it (the tensor is then released). */
TAPER_API taper_tensor *taper_scope_own(taper_scope *s, taper_tensor *t);
/* +1 on t (NULL allowed): how a result leaves the scope. */
TAPER_API taper_tensor *taper_scope_keep(taper_scope *s, taper_tensor *t);
/* Releases everything the scope owns; it can be used again. Gives the status of the first failure. */
TAPER_API taper_status taper_scope_end(taper_scope *s);

/* Rows with one result only; several results: call taper_<name> and own each. */
#define TAPER_OP(name, schema, autocast, gradient, params)                                                             \
    TAPER_API taper_tensor *tx_##name(taper_scope *scope_, TAPER_PROTOTYPE params);
#define TAPER_OP_INPLACE(name, schema, autocast, gradient, params) TAPER_OP(name, schema, autocast, gradient, params)
#include <taper/ops.def>
#undef TAPER_OP
#undef TAPER_OP_INPLACE

TAPER_END

#endif
