/* Pickle opcodes (protocols 2 to 5) to nodes. A stack machine without recursion: what one opcode may cost is bounded,
 * and the tree's limit bounds the whole by the size of the input. The parser itself knows containers and numbers only;
 * names (GLOBAL) and calls (REDUCE) go through the short list in pickle_build.c. */
#include "io/io.h"

static taper_status read_need(taper_pickle *p, uint64_t n) {
    if (n <= p->size - p->at) return TAPER_OK;
    return PICKLE_FAIL(p, TAPER_FORMAT, "the data ends inside opcode 0x%02x, which needs %llu bytes", p->data[p->start],
                       (unsigned long long)n);
}
/* A little-endian number of `bytes` bytes. */
static taper_status read_number(taper_pickle *p, int bytes, uint64_t *out) {
    TAPER_TRY(read_need(p, (uint64_t)bytes));
    *out = io_little(p->data + p->at, bytes);
    p->at += (size_t)bytes;
    return TAPER_OK;
}

static taper_status read_push(taper_pickle *p, taper_item *n) {
    if (!n) return TAPER_MEMORY;
    if (p->depth == p->stack_room) {
        size_t room = p->stack_room ? 2 * p->stack_room : 256;
        taper_item **stack = taper__realloc(p->stack, room * sizeof *stack);
        if (!stack) return PICKLE_FAIL(p, TAPER_MEMORY, "no memory for a stack of %zu", room);
        p->stack = stack;
        p->stack_room = room;
    }
    p->stack[p->depth++] = n;
    return TAPER_OK;
}
/* The n topmost values, none of them a mark; popped. They stay readable until the next push. */
static taper_status read_pop(taper_pickle *p, size_t n, taper_item ***out) {
    if (p->depth < n) return PICKLE_FAIL(p, TAPER_FORMAT, "opcode 0x%02x finds an empty stack", p->data[p->start]);
    *out = p->stack + p->depth - n;
    for (size_t i = 0; i < n; i++)
        if ((*out)[i]->kind == TREE_MARK)
            return PICKLE_FAIL(p, TAPER_FORMAT, "opcode 0x%02x finds a mark", p->data[p->start]);
    p->depth -= n;
    return TAPER_OK;
}
/* Everything above the topmost mark, which goes too. */
static taper_status read_pop_mark(taper_pickle *p, size_t *n, taper_item ***out) {
    size_t at = p->depth;
    while (at > 0 && p->stack[at - 1]->kind != TREE_MARK) at--;
    if (at == 0) return PICKLE_FAIL(p, TAPER_FORMAT, "opcode 0x%02x finds no mark", p->data[p->start]);
    *n = p->depth - at;
    *out = p->stack + at;
    p->depth = at - 1;
    return TAPER_OK;
}
static taper_status read_top(taper_pickle *p, taper_item **out) {
    if (p->depth == 0 || p->stack[p->depth - 1]->kind == TREE_MARK)
        return PICKLE_FAIL(p, TAPER_FORMAT, "opcode 0x%02x finds nothing to work on", p->data[p->start]);
    *out = p->stack[p->depth - 1];
    return TAPER_OK;
}

static taper_status read_memo_put(taper_pickle *p, uint64_t index) {
    taper_item *top;
    TAPER_TRY(read_top(p, &top));
    if (index > p->size) /* every entry was put by an opcode of the same data */
        return PICKLE_FAIL(p, TAPER_FORMAT, "memo index %llu in %zu bytes", (unsigned long long)index, p->size);
    if (index >= p->memo_room) {
        size_t room = 2 * (size_t)index + 64;
        taper_item **memo = taper__realloc(p->memo, room * sizeof *memo);
        if (!memo) return PICKLE_FAIL(p, TAPER_MEMORY, "no memory for a memo of %zu", room);
        memset(memo + p->memo_room, 0, (room - p->memo_room) * sizeof *memo);
        p->memo = memo;
        p->memo_room = room;
    }
    if (!p->memo[index]) p->memo_count++;
    p->memo[index] = top;
    return TAPER_OK;
}
static taper_status read_memo_get(taper_pickle *p, uint64_t index) {
    if (index >= p->memo_room || !p->memo[index])
        return PICKLE_FAIL(p, TAPER_FORMAT, "Memo value not found at index %llu", (unsigned long long)index);
    return read_push(p, p->memo[index]);
}

static taper_status read_text(taper_pickle *p, int length_bytes, taper_item_kind kind) {
    uint64_t n;
    TAPER_TRY(read_number(p, length_bytes, &n));
    TAPER_TRY(read_need(p, n));
    const char *text = (const char *)p->data + p->at;
    p->at += n;
    return read_push(p, taper_tree_text(p->tree, kind, text, n));
}

/* Two's complement of any length; what fits 64 bits becomes a plain integer. */
static taper_status read_long(taper_pickle *p, int length_bytes) {
    uint64_t n, v = 0;
    TAPER_TRY(read_number(p, length_bytes, &n));
    if (length_bytes == 4 && n > INT32_MAX) return PICKLE_FAIL(p, TAPER_FORMAT, "integer of negative length%s", "");
    TAPER_TRY(read_need(p, n));
    const unsigned char *b = p->data + p->at;
    p->at += n;
    if (n > 8) return read_push(p, taper_tree_text(p->tree, TAPER_ITEM_BIG_INT, (const char *)b, n));
    if (n > 0) v = io_little(b, (int)n);
    if (n > 0 && n < 8 && b[n - 1] & 0x80) v |= ~UINT64_C(0) << (8 * n);
    return read_push(p, taper_tree_integer(p->tree, TAPER_ITEM_INT, (int64_t)v));
}

static taper_status read_float(taper_pickle *p) {
    uint64_t big, v = 0;
    double d;
    TAPER_TRY(read_number(p, 8, &big));
    for (int i = 0; i < 8; i++) v = v << 8 | (big >> (8 * i) & 255);
    memcpy(&d, &v, 8);
    return read_push(p, taper_tree_float(p->tree, d));
}

static taper_status read_sequence(taper_pickle *p, taper_item_kind kind, taper_item **items, size_t n) {
    taper_item *s = taper_tree_item(p->tree, kind);
    if (!s) return TAPER_MEMORY;
    for (size_t i = 0; i < n; i++) TAPER_TRY(taper_item_append(p->tree, s, items[i]));
    return read_push(p, s);
}
static taper_status read_marked_sequence(taper_pickle *p, taper_item_kind kind) {
    taper_item **items;
    size_t n;
    TAPER_TRY(read_pop_mark(p, &n, &items));
    return read_sequence(p, kind, items, n);
}
static taper_status read_short_tuple(taper_pickle *p, size_t n) {
    taper_item **items;
    TAPER_TRY(read_pop(p, n, &items));
    return read_sequence(p, TAPER_ITEM_TUPLE, items, n);
}

static taper_status read_extend(taper_pickle *p, taper_item **items, size_t n, taper_item_kind kind) {
    taper_item *target;
    TAPER_TRY(read_top(p, &target));
    if (target->kind != kind)
        return PICKLE_FAIL(p, TAPER_FORMAT, "cannot append to a %s",
                           taper_item_kind_name((taper_item_kind)target->kind));
    for (size_t i = 0; i < n; i++) TAPER_TRY(taper_item_append(p->tree, target, items[i]));
    return TAPER_OK;
}
static taper_status read_put(taper_pickle *p, taper_item **items, size_t n) {
    taper_item *target;
    TAPER_TRY(read_top(p, &target));
    if (!taper__item_is_dict(target) || n % 2)
        return PICKLE_FAIL(p, TAPER_FORMAT, "cannot set %zu keys and values in a %s", n,
                           taper_item_kind_name((taper_item_kind)target->kind));
    for (size_t i = 0; i < n; i += 2) {
        uint8_t k = items[i]->kind;
        if (k == TAPER_ITEM_LIST || k == TAPER_ITEM_SET || k == TAPER_ITEM_BYTE_ARRAY || taper__item_is_dict(items[i]))
            return PICKLE_FAIL(p, TAPER_FORMAT, "unhashable type: '%s'", taper_item_kind_name((taper_item_kind)k));
        TAPER_TRY(taper_item_put(p->tree, target, items[i], items[i + 1]));
    }
    return TAPER_OK;
}
static taper_status read_dict(taper_pickle *p) {
    taper_item **items, *dict = taper_tree_item(p->tree, TAPER_ITEM_DICT);
    size_t n;
    TAPER_TRY(read_pop_mark(p, &n, &items));
    TAPER_TRY(read_push(p, dict)); /* takes the mark's place, below the items */
    return read_put(p, items, n);
}

static taper_status read_global(taper_pickle *p) {
    const unsigned char *text[2];
    size_t bytes[2];
    for (int i = 0; i < 2; i++) {
        text[i] = p->data + p->at;
        const unsigned char *end = memchr(text[i], '\n', p->size - p->at);
        if (!end) return PICKLE_FAIL(p, TAPER_FORMAT, "a name without end%s", "");
        bytes[i] = (size_t)(end - text[i]);
        p->at += bytes[i] + 1;
    }
    taper_item *n = NULL;
    TAPER_TRY(taper__pickle_global(p, &n, (const char *)text[0], bytes[0], (const char *)text[1], bytes[1]));
    return read_push(p, n);
}
static taper_status read_stack_global(taper_pickle *p) {
    taper_item **pair, *n = NULL;
    TAPER_TRY(read_pop(p, 2, &pair));
    if (pair[0]->kind != TAPER_ITEM_STRING || pair[1]->kind != TAPER_ITEM_STRING)
        return PICKLE_FAIL(p, TAPER_FORMAT, "the name of a global is not a string%s", "");
    TAPER_TRY(taper__pickle_global(p, &n, pair[0]->text, pair[0]->bytes, pair[1]->text, pair[1]->bytes));
    return read_push(p, n);
}

static taper_status read_call(taper_pickle *p) {
    taper_item **pair, *n = NULL;
    TAPER_TRY(read_pop(p, 2, &pair));
    TAPER_TRY(taper__pickle_reduce(p, &n, pair[0], pair[1]));
    return read_push(p, n);
}
static taper_status read_build(taper_pickle *p) {
    taper_item **state, *target;
    TAPER_TRY(read_pop(p, 1, &state));
    TAPER_TRY(read_top(p, &target));
    if (target->kind != TAPER_ITEM_ORDERED_DICT && target->kind != TAPER_ITEM_TENSOR &&
        target->kind != TAPER_ITEM_PARAMETER)
        return PICKLE_FAIL(p, TAPER_TYPE, "Can only build Tensor, Parameter, OrderedDict, but got %s",
                           taper_item_kind_name((taper_item_kind)target->kind));
    if (state[0]->kind != TAPER_ITEM_DICT)
        return PICKLE_FAIL(p, TAPER_FORMAT, "the attributes of a %s are a %s, not a dict",
                           taper_item_kind_name((taper_item_kind)target->kind),
                           taper_item_kind_name((taper_item_kind)state[0]->kind));
    taper_item_set_state(target, state[0]);
    return TAPER_OK;
}
static taper_status read_persistent(taper_pickle *p) {
    taper_item **id, *n = NULL;
    TAPER_TRY(read_pop(p, 1, &id));
    TAPER_TRY(taper__pickle_persistent(p, &n, id[0]));
    return read_push(p, n);
}

static taper_status read_opcode(taper_pickle *p, unsigned char op) {
    taper_tree *t = p->tree;
    taper_item **items = NULL, *top;
    uint64_t v;
    size_t n;
    switch (op) {
    case 0x80: /* PROTO */
        TAPER_TRY(read_number(p, 1, &v));
        return v >= 2 && v <= 5 ? TAPER_OK : PICKLE_FAIL(p, TAPER_FORMAT, "protocol %d, need 2 to 5", (int)v);
    case 0x95:
        return read_number(p, 8, &v); /* FRAME: its length is of no use here */
    case 'N':
        return read_push(p, taper_tree_item(t, TAPER_ITEM_NONE));
    case 0x88:
        return read_push(p, taper_tree_integer(t, TAPER_ITEM_BOOL, 1));
    case 0x89:
        return read_push(p, taper_tree_integer(t, TAPER_ITEM_BOOL, 0));
    case 'J':
        TAPER_TRY(read_number(p, 4, &v));
        return read_push(p, taper_tree_integer(t, TAPER_ITEM_INT, (int32_t)v));
    case 'K':
        TAPER_TRY(read_number(p, 1, &v));
        return read_push(p, taper_tree_integer(t, TAPER_ITEM_INT, (int64_t)v));
    case 'M':
        TAPER_TRY(read_number(p, 2, &v));
        return read_push(p, taper_tree_integer(t, TAPER_ITEM_INT, (int64_t)v));
    case 0x8a:
        return read_long(p, 1);
    case 0x8b:
        return read_long(p, 4);
    case 'G':
        return read_float(p);
    case 0x8c:
    case 'U':
        return read_text(p, 1, TAPER_ITEM_STRING);
    case 'X':
    case 'T':
        return read_text(p, 4, TAPER_ITEM_STRING);
    case 0x8d:
        return read_text(p, 8, TAPER_ITEM_STRING);
    case 'C':
        return read_text(p, 1, TAPER_ITEM_BYTES);
    case 'B':
        return read_text(p, 4, TAPER_ITEM_BYTES);
    case 0x8e:
        return read_text(p, 8, TAPER_ITEM_BYTES);
    case 0x96:
        return read_text(p, 8, TAPER_ITEM_BYTE_ARRAY);
    case ']':
        return read_push(p, taper_tree_item(t, TAPER_ITEM_LIST));
    case ')':
        return read_push(p, taper_tree_item(t, TAPER_ITEM_TUPLE));
    case '}':
        return read_push(p, taper_tree_item(t, TAPER_ITEM_DICT));
    case 0x8f:
        return read_push(p, taper_tree_item(t, TAPER_ITEM_SET));
    case '(':
        return read_push(p, taper_tree_item(t, (taper_item_kind)TREE_MARK));
    case 'l':
        return read_marked_sequence(p, TAPER_ITEM_LIST);
    case 't':
        return read_marked_sequence(p, TAPER_ITEM_TUPLE);
    case 0x91:
        return read_marked_sequence(p, TAPER_ITEM_FROZEN_SET);
    case 0x85:
        return read_short_tuple(p, 1);
    case 0x86:
        return read_short_tuple(p, 2);
    case 0x87:
        return read_short_tuple(p, 3);
    case 'd':
        return read_dict(p);
    case 'a':
        TAPER_TRY(read_pop(p, 1, &items));
        return read_extend(p, items, 1, TAPER_ITEM_LIST);
    case 'e':
        TAPER_TRY(read_pop_mark(p, &n, &items));
        return read_extend(p, items, n, TAPER_ITEM_LIST);
    case 0x90:
        TAPER_TRY(read_pop_mark(p, &n, &items));
        return read_extend(p, items, n, TAPER_ITEM_SET);
    case 's':
        TAPER_TRY(read_pop(p, 2, &items));
        return read_put(p, items, 2);
    case 'u':
        TAPER_TRY(read_pop_mark(p, &n, &items));
        return read_put(p, items, n);
    case '0':
        return read_pop(p, 1, &items);
    case '1':
        return read_pop_mark(p, &n, &items);
    case '2':
        TAPER_TRY(read_top(p, &top));
        return read_push(p, top);
    case 'q':
        TAPER_TRY(read_number(p, 1, &v));
        return read_memo_put(p, v);
    case 'r':
        TAPER_TRY(read_number(p, 4, &v));
        return read_memo_put(p, v);
    case 0x94:
        return read_memo_put(p, p->memo_count);
    case 'h':
        TAPER_TRY(read_number(p, 1, &v));
        return read_memo_get(p, v);
    case 'j':
        TAPER_TRY(read_number(p, 4, &v));
        return read_memo_get(p, v);
    case 'c':
        return read_global(p);
    case 0x93:
        return read_stack_global(p);
    case 'R':
    case 0x81:
        return read_call(p); /* NEWOBJ of an allowed class is a call of it */
    case 'b':
        return read_build(p);
    case 'Q':
        return read_persistent(p);
    default:
        return PICKLE_FAIL(p, TAPER_FORMAT, "Unsupported operand %d", op);
    }
}

taper_status taper__pickle_read(taper_pickle *p, taper_item **out) {
    taper_status st = TAPER_OK;
    size_t first = p->at;
    for (;;) {
        p->start = p->at;
        if (p->at >= p->size) {
            st = PICKLE_FAIL(p, TAPER_FORMAT, "the data ends without a STOP%s", "");
            goto out;
        }
        unsigned char op = p->data[p->at++];
        if (p->start == first && op != 0x80) {
            st = PICKLE_FAIL(p, TAPER_FORMAT, "no pickle of protocol 2 or later begins with 0x%02x", op);
            goto out;
        }
        if (op == '.') break;
        TAPER_TRY_GOTO(read_opcode(p, op));
    }
    if (p->depth != 1 || p->stack[0]->kind == TREE_MARK) {
        st = PICKLE_FAIL(p, TAPER_FORMAT, "STOP with %zu values on the stack, need 1", p->depth);
        goto out;
    }
    *out = p->stack[0];
out:
    taper__free(p->stack);
    taper__free(p->memo);
    p->stack = p->memo = NULL;
    p->depth = p->stack_room = p->memo_room = p->memo_count = 0;
    return st;
}
