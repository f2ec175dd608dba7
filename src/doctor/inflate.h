/* DEFLATE (RFC 1951), one way: packed bytes in, pieces of the text out. */
#ifndef TAPER_DOCTOR_INFLATE_H
#define TAPER_DOCTOR_INFLATE_H

#include <stdbool.h>
#include <stddef.h>

/* Takes the next piece; false stops. */
typedef bool (*doctor_piece_fn)(void *ctx, const unsigned char *data, size_t size);
/* False when the bytes are no DEFLATE stream; true when it ended or `piece` stopped it. At most `limit` bytes come out. */
bool doctor_inflate(const void *packed, size_t size, size_t limit, doctor_piece_fn piece, void *ctx);

#endif
