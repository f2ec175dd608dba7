/* Scopes: tensors that live until the end of an expression. */
#include "engine/engine.h"

taper_tensor *taper_scope_own(taper_scope *s, taper_tensor *t) {
    if (!t) return NULL;
    int room = TAPER_COUNT(s->some);
    if (s->count >= room) {
        if (s->count - room == s->capacity) {
            int capacity = s->capacity ? 2 * s->capacity : 32;
            taper_tensor **more = taper__realloc(s->more, sizeof *more * (size_t)capacity);
            if (!more) {
                taper_tensor_release(t);
                s->status = TAPER_FAIL(TAPER_MEMORY, "scope: no memory to hold %d tensors", capacity);
                return NULL;
            }
            s->more = more;
            s->capacity = capacity;
        }
        s->more[s->count++ - room] = t;
        return t;
    }
    s->some[s->count++] = t;
    return t;
}

taper_tensor *taper_scope_keep(taper_scope *s, taper_tensor *t) {
    (void)s;
    return taper_tensor_retain(t);
}

taper_status taper_scope_end(taper_scope *s) {
    int room = TAPER_COUNT(s->some);
    for (int i = s->count - 1; i >= 0; i--) taper_tensor_release(i < room ? s->some[i] : s->more[i - room]);
    taper__free(s->more);
    s->more = NULL;
    s->count = s->capacity = 0;
    return s->status;
}
