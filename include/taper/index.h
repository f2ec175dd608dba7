/* Python's x[...] in C: basic indexing gives views, tensors among the items gather or scatter. */
#ifndef TAPER_INDEX_H
#define TAPER_INDEX_H

#include <taper/op.h>

TAPER_BEGIN

typedef enum taper_index_kind {
    TAPER_INDEX_NEWAXIS,  /* None */
    TAPER_INDEX_INT,      /* .start */
    TAPER_INDEX_SLICE,    /* .start .stop .step, each used when its has_ flag is set */
    TAPER_INDEX_ELLIPSIS, /* ... */
    TAPER_INDEX_TENSOR,   /* .t: integers, or bool and uint8 masks */
    TAPER_INDEX_BOOL      /* True or False itself: .start is 1 or 0 */
} taper_index_kind;

typedef struct taper_index_item {
    taper_index_kind kind;
    bool has_start, has_stop, has_step;
    int64_t start, stop, step;
    taper_tensor *t; /* borrowed */
} taper_index_item;

/* out: self[items...], a view when no item is a tensor or bool. INDEX in torch's words for positions out of range. */
TAPER_API taper_status taper_index_get(taper_tensor **out, taper_tensor *self, const taper_index_item *items, int nitems);
/* self[items...] = value, broadcast and converted. */
TAPER_API taper_status taper_index_set(taper_tensor *self, const taper_index_item *items, int nitems, taper_tensor *value);

TAPER_END

#endif
