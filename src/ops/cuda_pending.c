/* GPU sides not written yet. */
#include "ops/pointwise_loops.h"
#include "ops/reduce.h"
taper_status taper__pointwise_cuda(taper_call *c, int n, taper_pointwise_class k, const char *name) { (void)n; (void)k; (void)name; return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: no GPU kernel yet", c->row->name); }
taper_status taper__reduce_cuda(taper_call *c, taper_reduce_kind kind, const taper_arg *dims) { (void)kind; (void)dims; return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: no GPU kernel yet", c->row->name); }
taper_status taper__copy_cuda(taper_tensor *dst, const taper_tensor *src) { (void)dst; (void)src; return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "copy: no GPU kernel yet"); }
taper_status taper__fill_cuda(taper_tensor *dst, taper_scalar value) { (void)dst; (void)value; return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "fill: no GPU kernel yet"); }
