/* How a list of tensors is cut into launches and chunks. */
#include "ops/optim_geometry.h"

#include <taper/dtype.h>

int64_t taper__optim_chunks(int64_t numel) { return (numel + TAPER_OPTIM_STRETCH - 1) / TAPER_OPTIM_STRETCH; }

bool taper__optim_add(taper_optim_table *t, const taper_optim_entry *e, int64_t *chunks) {
    int64_t more = taper__optim_chunks(e->numel);
    if (t->count == TAPER_OPTIM_ITEMS || (t->count && *chunks + more > INT32_MAX)) return false;
    taper_optim_entry *to = &t->item[t->count++];
    *to = *e;
    to->first = (unsigned)*chunks;
    to->wide = to->plain = 1;
    for (int k = 0; k < TAPER_OPTIM_LISTS; k++) {
        if (!e->data[k]) continue;
        if ((uintptr_t)e->data[k] % 16) to->wide = 0;
        if (k == TAPER_OPTIM_COPY ? e->dtype[k] != TAPER_F16 && e->dtype[k] != TAPER_BF16 : e->dtype[k] != TAPER_F32) to->plain = 0;
    }
    *chunks += more;
    return true;
}

int taper__optim_find(const taper_optim_table *t, unsigned at) {
    int low = 0, high = t->count - 1;
    while (low < high) { /* the last that begins at or before it: one without elements is passed over */
        int mid = (low + high + 1) / 2;
        if (t->item[mid].first <= at) low = mid;
        else high = mid - 1;
    }
    return low;
}
