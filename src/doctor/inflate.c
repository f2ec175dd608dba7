/* DEFLATE, RFC 1951: blocks of literals and copies from the last 32 KiB, coded with canonical Huffman codes. */
#include "doctor/inflate.h"

#include <stdint.h>
#include <string.h>

#include "base/base.h"

enum { INFLATE_WINDOW = 1 << 15, INFLATE_ROOM = INFLATE_WINDOW * 4, INFLATE_BITS = 15, INFLATE_FAST = 9 };

typedef struct inflate_code {
    uint16_t count[INFLATE_BITS + 1], symbol[288]; /* symbols in order of their codes */
    uint16_t fast[1 << INFLATE_FAST];              /* length << 9 | symbol for codes of up to 9 bits; 0: longer */
} inflate_code;

typedef struct inflate_state {
    const unsigned char *in;
    size_t size, at;
    uint64_t bits;
    int held;
    bool broken, stopped;
    unsigned char *out; /* INFLATE_ROOM bytes: the window, then what is new */
    size_t filled, given, left;
    doctor_piece_fn piece;
    void *ctx;
    inflate_code literal, distance;
} inflate_state;

static void inflate_need(inflate_state *s, int n) {
    while (s->held < n) {
        if (s->at < s->size) s->bits |= (uint64_t)s->in[s->at] << s->held;
        else if (s->at > s->size + 8) s->broken = true;
        s->at++;
        s->held += 8;
    }
}

static unsigned inflate_take(inflate_state *s, int n) {
    inflate_need(s, n);
    unsigned value = (unsigned)(s->bits & ((1u << n) - 1));
    s->bits >>= n;
    s->held -= n;
    return value;
}

/* Codes from lengths; false when they are more than fit. */
static bool inflate_build(inflate_code *c, const unsigned char *length, int n) {
    uint16_t place[INFLATE_BITS + 2] = {0};
    int left = 1;
    memset(c, 0, sizeof *c);
    for (int i = 0; i < n; i++) c->count[length[i]]++;
    c->count[0] = 0;
    for (int i = 1; i <= INFLATE_BITS; i++) {
        left = left * 2 - c->count[i];
        if (left < 0) return false;
        place[i + 1] = (uint16_t)(place[i] + c->count[i]);
    }
    for (int i = 0; i < n; i++)
        if (length[i]) c->symbol[place[length[i]]++] = (uint16_t)i;
    unsigned code = 0, index = 0;
    for (int bits = 1; bits <= INFLATE_FAST; bits++, code <<= 1)
        for (int i = 0; i < c->count[bits]; i++, code++, index++) {
            unsigned turned = 0;
            for (int k = 0; k < bits; k++) turned |= (code >> k & 1) << (bits - 1 - k);
            for (; turned < 1u << INFLATE_FAST; turned += 1u << bits) c->fast[turned] = (uint16_t)(bits << 9 | c->symbol[index]);
        }
    return true;
}

static int inflate_symbol(inflate_state *s, const inflate_code *c) {
    inflate_need(s, INFLATE_BITS);
    unsigned quick = c->fast[s->bits & ((1u << INFLATE_FAST) - 1)];
    if (quick) {
        s->bits >>= quick >> 9;
        s->held -= (int)(quick >> 9);
        return (int)(quick & 511);
    }
    int code = 0, first = 0, index = 0;
    for (int n = 1; n <= INFLATE_BITS; n++) {
        code |= (int)(s->bits >> (n - 1) & 1);
        if (code - c->count[n] < first) {
            s->bits >>= n;
            s->held -= n;
            return c->symbol[index + code - first];
        }
        index += c->count[n];
        first = (first + c->count[n]) << 1;
        code <<= 1;
    }
    s->broken = true;
    return -1;
}

static void inflate_give(inflate_state *s) {
    size_t n = s->filled - s->given;
    if (n > s->left) n = s->left;
    if (n && !s->piece(s->ctx, s->out + s->given, n)) s->stopped = true;
    s->left -= n;
    if (!s->left) s->stopped = true;
    s->given = s->filled;
    if (s->filled > INFLATE_WINDOW) {
        memmove(s->out, s->out + s->filled - INFLATE_WINDOW, INFLATE_WINDOW);
        s->filled = s->given = INFLATE_WINDOW;
    }
}

static void inflate_room(inflate_state *s, size_t n) {
    if (s->filled + n > INFLATE_ROOM) inflate_give(s);
}

static bool inflate_codes(inflate_state *s, bool fixed) {
    static const unsigned char order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    unsigned char length[320] = {0};
    if (fixed) {
        for (int i = 0; i < 288; i++) length[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
        inflate_build(&s->literal, length, 288);
        memset(length, 5, 30);
        return inflate_build(&s->distance, length, 30);
    }
    int literals = (int)inflate_take(s, 5) + 257, distances = (int)inflate_take(s, 5) + 1, lengths = (int)inflate_take(s, 4) + 4;
    if (literals > 286 || distances > 30) return false;
    for (int i = 0; i < lengths; i++) length[order[i]] = (unsigned char)inflate_take(s, 3);
    if (!inflate_build(&s->literal, length, 19)) return false;
    memset(length, 0, sizeof length);
    for (int i = 0; i < literals + distances;) {
        int symbol = inflate_symbol(s, &s->literal), repeat = 1, value = symbol;
        if (s->broken) return false;
        if (symbol == 16) {
            if (!i) return false;
            value = length[i - 1];
            repeat = 3 + (int)inflate_take(s, 2);
        } else if (symbol > 16) {
            value = 0;
            repeat = symbol == 17 ? 3 + (int)inflate_take(s, 3) : 11 + (int)inflate_take(s, 7);
        }
        if (i + repeat > literals + distances) return false;
        while (repeat--) length[i++] = (unsigned char)value;
    }
    return inflate_build(&s->literal, length, literals) && inflate_build(&s->distance, length + literals, distances);
}

static bool inflate_block(inflate_state *s) {
    static const uint16_t base[29] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const unsigned char extra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    static const uint16_t far[30] = {1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    while (!s->broken && !s->stopped) {
        int symbol = inflate_symbol(s, &s->literal);
        if (symbol == 256) return true;
        inflate_room(s, 258);
        if (symbol < 256) {
            if (symbol < 0) return false;
            s->out[s->filled++] = (unsigned char)symbol;
            continue;
        }
        if ((symbol -= 257) >= 29) return false;
        size_t length = base[symbol] + inflate_take(s, extra[symbol]);
        int d = inflate_symbol(s, &s->distance);
        if (d < 0 || d >= 30) return false;
        size_t back = far[d] + inflate_take(s, d < 4 ? 0 : d / 2 - 1);
        if (back > s->filled) return false;
        for (size_t i = 0; i < length; i++, s->filled++) s->out[s->filled] = s->out[s->filled - back];
    }
    return s->stopped;
}

static bool inflate_stored(inflate_state *s) {
    inflate_take(s, s->held & 7);
    unsigned n = inflate_take(s, 16), other = inflate_take(s, 16);
    if (n != (other ^ 0xffff)) return false;
    while (n && !s->broken && !s->stopped) {
        inflate_room(s, 1);
        s->out[s->filled++] = (unsigned char)inflate_take(s, 8);
        n--;
    }
    return true;
}

bool doctor_inflate(const void *packed, size_t size, size_t limit, doctor_piece_fn piece, void *ctx) {
    inflate_state *s = taper__alloc_zero(sizeof *s + INFLATE_ROOM);
    bool good = s != NULL && limit > 0, last = false;
    if (!good) {
        taper__free(s);
        return false;
    }
    s->in = packed, s->size = size, s->left = limit, s->piece = piece, s->ctx = ctx;
    s->out = (unsigned char *)(s + 1);
    while (good && !last && !s->stopped) {
        last = inflate_take(s, 1);
        unsigned kind = inflate_take(s, 2);
        good = kind == 0 ? inflate_stored(s) : kind < 3 ? inflate_codes(s, kind == 1) && inflate_block(s) : false;
        /* What was looked at beyond the end must not have been used. */
        good &= !s->broken && (s->at <= s->size || (s->at - s->size) * 8 <= (size_t)s->held);
    }
    if (!s->stopped) inflate_give(s);
    taper__free(s);
    return good;
}
