/* Schemas: the grammar, what is refused, and that every row's schema and C parameters say the same. */
#include <stdio.h>
#include <string.h>
#include <taper/ops.h>
#include <taper/schema.h>

static int passed, failed;

static void check(bool ok, const char *name, const char *why) {
    if (ok) {
        passed++;
        printf("ok %s\n", name);
    } else {
        failed++;
        printf("not ok %s: %s\n", name, why);
    }
}

static void test_grammar(void) {
    static const taper_op_row row = {
        .name = "made_up",
        .schema = "made_up.dim( Tensor(a!) self, Tensor? x=None,int[] dim=[], int[2] k=3, int[]? n=None, Tensor?[] many=[], *, float eps=1e-05, Scalar "
                  "alpha=1, str mode='mean', bool b=True, ScalarType? dtype=None, Generator? generator=None) -> (Tensor(a!) values, Tensor indices )"};
    const taper_schema *s = taper_schema_of(&row);
    if (!s) {
        check(false, "schema_grammar", taper_error_message());
        return;
    }
    const taper_schema_arg *a = s->args;
    bool ok = !strcmp(s->name, "made_up") && !strcmp(s->overload, "dim") && s->nargs == 12 && s->nresults == 2;
    check(ok, "schema_names", "name, overload or counts");
    check(!strcmp(s->result_names[0], "values") && !strcmp(s->result_names[1], "indices"), "schema_result_names", s->result_names[0]);
    ok = a[0].written && !a[0].has_default && a[0].kind == TAPER_ARG_TENSOR && !strcmp(a[0].name, "self");
    check(ok, "schema_written", "Tensor(a!) self");
    ok = a[1].optional && a[1].has_default && a[1].fallback.kind == TAPER_ARG_NONE && !strcmp(a[1].name, "x");
    check(ok, "schema_optional", "Tensor? x=None");
    ok = a[2].list && a[2].kind == TAPER_ARG_INTS && a[2].fallback.kind == TAPER_ARG_INTS && a[2].fallback.count == 0;
    check(ok, "schema_empty_list", "int[] dim=[]");
    ok = a[3].size == 2 && a[3].fallback.count == 2 && a[3].fallback.is[0] == 3 && a[3].fallback.is[1] == 3 && !strcmp(a[3].name, "k");
    check(ok, "schema_sized_list", "int[2] k=3");
    check(a[4].optional && a[4].kind == TAPER_ARG_INTS && !a[4].optional_items, "schema_optional_list", "int[]? n=None");
    check(!a[5].optional && a[5].kind == TAPER_ARG_TENSORS && a[5].optional_items, "schema_list_of_optional", "Tensor?[] many");
    check(a[6].keyword_only && !a[5].keyword_only && a[6].fallback.f == 1e-5, "schema_float", "float eps=1e-05");
    check(a[7].scalar && a[7].fallback.kind == TAPER_ARG_INT && a[7].fallback.i == 1, "schema_scalar", "Scalar alpha=1");
    check(!strcmp(a[8].fallback.s, "mean") && !strcmp(a[8].name, "mode"), "schema_string", "str mode='mean'");
    check(a[9].kind == TAPER_ARG_BOOL && a[9].fallback.i == 1, "schema_bool", "bool b=True");
    check(a[10].kind == TAPER_ARG_DTYPE && a[11].kind == TAPER_ARG_GENERATOR, "schema_other_types", "ScalarType, Generator");
    check(taper_schema_find(s, "mode") == 8 && taper_schema_find(s, "no") == -1, "schema_find", "find");
    check(taper_schema_of(&row) == s, "schema_kept", "a second call gave another schema");
}

static void test_refused(void) {
    static const taper_op_row rows[] = {
        {.name = "a", .schema = "a(Tensor self -> Tensor"},    {.name = "b", .schema = "b(Tenser self) -> Tensor"},
        {.name = "c", .schema = "c(Tensor self) Tensor"},      {.name = "d", .schema = "d(Tensor self, int n=x) -> Tensor"},
        {.name = "e", .schema = "e(Tensor self) -> int"},      {.name = "f", .schema = "f(int[2 k) -> Tensor"},
        {.name = "g", .schema = "g(int n=1.5) -> Tensor"},     {.name = "h", .schema = "h(str s='open) -> Tensor"},
        {.name = "i", .schema = "i(Tensor self) -> Tensor x"}, {.name = "j", .schema = ""},
        {.name = "k", .schema = "k(Tensor) -> Tensor"},        {.name = "l", .schema = "l(float[] f) -> Tensor"},
    };
    for (int i = 0; i < (int)(sizeof rows / sizeof *rows); i++) {
        char name[40];
        snprintf(name, sizeof name, "schema_refuses_%s", rows[i].name);
        bool refused = !taper_schema_of(&rows[i]);
        check(refused && strstr(taper_error_message(), rows[i].schema), name, rows[i].schema);
    }
}

/* The two spellings of every row, side by side. */
#define TAPER_OP(name, schema, autocast, gradient, params) {#name, #params},
#define TAPER_OP_INPLACE(name, schema, autocast, gradient, params) {#name, #params},
static const struct {
    const char *name, *params;
} rows[] = {
#include <taper/ops.def>
};
#undef TAPER_OP
#undef TAPER_OP_INPLACE

static bool kind_agrees(const char *letters, const taper_schema_arg *a) {
    static const struct {
        const char *letters;
        int kind;
        bool optional, scalar;
    } kinds[] = {{"T", TAPER_ARG_TENSOR, false, false},      {"TL", TAPER_ARG_TENSORS, false, false}, {"I", TAPER_ARG_INT, false, false},
                 {"OI", TAPER_ARG_INT, true, false},         {"F", TAPER_ARG_FLOAT, false, false},    {"OF", TAPER_ARG_FLOAT, true, false},
                 {"B", TAPER_ARG_BOOL, false, false},        {"IL", TAPER_ARG_INTS, false, false},    {"S", TAPER_ARG_FLOAT, false, true},
                 {"OS", TAPER_ARG_FLOAT, true, true},        {"D", TAPER_ARG_DTYPE, false, false},    {"DEV", TAPER_ARG_DEVICE, false, false},
                 {"STR", TAPER_ARG_STRING, false, false},    {"G", TAPER_ARG_GENERATOR, false, false}};
    for (int i = 0; i < (int)(sizeof kinds / sizeof *kinds); i++) {
        if (strcmp(kinds[i].letters, letters)) continue;
        if (kinds[i].kind != (int)a->kind || kinds[i].scalar != a->scalar) return false;
        bool number = a->kind == TAPER_ARG_INT || a->kind == TAPER_ARG_FLOAT;
        return !number || kinds[i].optional == a->optional; /* pointers and lists say "none" by NULL */
    }
    return false;
}

static void test_rows(void) {
    int bad = 0;
    for (int i = 0; i < (int)(sizeof rows / sizeof *rows); i++) {
        char why[512] = "", letters[8], name[64], test[96];
        const taper_op_row *row = taper_op_find(rows[i].name);
        const taper_schema *s = row ? taper_schema_of(row) : NULL;
        int k = 0, used = 0;
        if (!s) snprintf(why, sizeof why, "%s", row ? taper_error_message() : "no such row");
        for (const char *p = rows[i].params + 1; s && !why[0] && sscanf(p, " %7[A-Z](%63[a-zA-Z0-9_])%n", letters, name, &used) == 2; k++) {
            if (k >= s->nargs || strcmp(s->args[k].name, name))
                snprintf(why, sizeof why, "argument %d is %s in C and %s in the schema", k, name, k < s->nargs ? s->args[k].name : "missing");
            else if (!kind_agrees(letters, &s->args[k]))
                snprintf(why, sizeof why, "argument %s is spelled %s, which is not its type in \"%s\"", name, letters, row->schema);
            p += used;
            while (*p == ',' || *p == ' ') p++;
        }
        if (s && !why[0] && k != s->nargs) snprintf(why, sizeof why, "%d C parameters for \"%s\"", k, row->schema);
        size_t n = s ? strlen(s->name) : 0;
        /* "max.dim" is row max_dim, "random_.to" random_to_ */
        if (s && n > 1 && s->name[n - 1] == '_' && s->overload[0]) n--;
        bool named = s && !strncmp(row->name, s->name, n) && (!row->name[n] || (row->name[n] == '_' && s->overload[0]) || !strcmp(row->name, s->name));
        if (s && !why[0] && !named) snprintf(why, sizeof why, "the row is called %s, its schema %s.%s", row->name, s->name, s->overload);
        if (!why[0]) continue;
        bad++;
        snprintf(test, sizeof test, "schema_row_%s", rows[i].name);
        check(false, test, why);
    }
    check(bad == 0, "schema_rows_agree", "see above");
}

int main(void) {
    test_grammar();
    test_refused();
    test_rows();
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
