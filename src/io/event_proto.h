/* The few protobuf pieces that event files are made of, and the picture format inside them. */
#ifndef TAPER_IO_EVENT_PROTO_H
#define TAPER_IO_EVENT_PROTO_H

#include "io/io.h"

/* Append one field to a message. */
taper_status taper__proto_varint(taper_bytes *b, int field, uint64_t v);
taper_status taper__proto_double(taper_bytes *b, int field, double v);
taper_status taper__proto_float(taper_bytes *b, int field, float v);
taper_status taper__proto_bytes(taper_bytes *b, int field, const void *data, size_t n);
/* A HistogramProto of all elements. */
taper_status taper__proto_histogram(taper_bytes *b, const taper_tensor *values);
/* A PNG whose data is stored, not compressed. */
taper_status taper__png(taper_bytes *b, const uint8_t *pixels, int height, int width, int channels);

#endif
