/* Rows with a deliberate fault each: the driver is right only if it finds every one of them (test-ops --plant). */
#include <stdlib.h>

#include "driver.h"

static const taper_op *plant_inner;

static taper_status plant_run_inner(taper_call *c) { return plant_inner->kernels[0].run(c); }

static taper_status plant_wrong_sign(taper_vjp *v) {
    taper_status st = plant_inner->vjp(v);
    if (st == TAPER_OK && v->d[0]) v->d[0] = tx_neg(v->scope, v->d[0]);
    return st == TAPER_OK ? v->scope->status : st;
}

static taper_status plant_detached(taper_vjp *v) {
    taper_status st = plant_inner->vjp(v);
    for (int k = 0; st == TAPER_OK && k < v->nargs; k++) {
        taper_tensor *t = NULL;
        if (!v->d[k]) continue;
        st = taper_detach(&t, v->d[k]);
        v->d[k] = taper_scope_own(v->scope, t);
    }
    return st;
}

static taper_status plant_wrong_value(taper_call *c) {
    taper_status st = plant_run_inner(c);
    taper_tensor *t = c->out[0];
    if (st == TAPER_OK && t->numel && t->dtype == TAPER_F32) ((float *)taper__data(t))[t->numel - 1] *= 1.0005f;
    return st;
}

static taper_status plant_ignores_strides(taper_call *c) {
    const taper_tensor *a = c->args[0].t;
    for (int64_t i = 0; i < c->out[0]->numel; i++) {
        uint64_t cell;
        double v = taper__load_double((char *)taper__data(a) + i * (int64_t)taper_dtype_size((taper_dtype)a->dtype), (taper_dtype)a->dtype);
        taper__store_double(&cell, (taper_dtype)c->out[0]->dtype, -v);
        memcpy((char *)taper__data(c->out[0]) + i * (int64_t)taper_dtype_size((taper_dtype)c->out[0]->dtype), &cell, taper_dtype_size((taper_dtype)c->out[0]->dtype));
    }
    return TAPER_OK;
}

/* Leaks its scratch when a later step fails. */
static taper_status plant_leaks(taper_call *c) {
    void *scratch = taper__alloc(64), *more = scratch ? taper__alloc(64) : NULL;
    if (!more) return TAPER_FAIL(TAPER_MEMORY, "planted: no memory");
    taper__free(scratch);
    taper__free(more);
    return plant_run_inner(c);
}

static taper_status plant_threads_matter(taper_call *c) {
    taper_status st = plant_run_inner(c);
    if (st == TAPER_OK && c->out[0]->numel && c->out[0]->dtype == TAPER_F32 && taper_num_threads() == 1) {
        uint32_t *bits = taper__data(c->out[0]);
        bits[0] ^= 1;
    }
    return st;
}

static taper_status plant_writes_argument(taper_call *c) {
    taper_status st = plant_run_inner(c);
    taper_tensor *a = c->args[0].t;
    if (st == TAPER_OK && a->numel && a->dtype == TAPER_F32) *(float *)taper__data(a) += 1;
    return st;
}

static taper_status plant_infer_dtype(taper_call *c) {
    taper_status st = plant_inner->infer(c);
    if (st == TAPER_OK && c->device.type == TAPER_META) c->out[0]->dtype = TAPER_F64;
    return st;
}

const taper_op_row *plant_row(int fault, const char **what, const char **modes) {
    static taper_op_row row;
    static taper_op op;
    static taper_kernel kernels[3];
    static const taper_sample none[1], wrong_words[] = {{"[2,3], [2,4]", .error = "something that nobody says"}, {0}},
                              no_error[] = {{"[2,3], [2,3]", .error = "must match"}, {0}};
    static const struct {
        const char *row, *what, *modes;
        taper_status (*run)(taper_call *c);
        taper_status (*vjp)(taper_vjp *v);
        taper_status (*infer)(taper_call *c);
        const taper_sample *samples;
        bool no_vjp;
    } faults[] = {
        {"mul", "a gradient of the wrong sign", "grad", .vjp = plant_wrong_sign},
        {"mul", "a gradient without history", "gradgrad", .vjp = plant_detached},
        {"exp", "one value off by 1/2000", "ref", .run = plant_wrong_value},
        {"neg", "a kernel that ignores strides", "strided", .run = plant_ignores_strides},
        {"neg", "a kernel that writes its argument", "strided", .run = plant_writes_argument},
        {"tanh", "a leak when memory runs out", "oom", .run = plant_leaks},
        {"exp", "bits that depend on the number of threads", "ref", .run = plant_threads_matter},
        {"tanh", "another dtype on meta", "meta", .infer = plant_infer_dtype},
        {"add", "a message without its words", "error", .samples = wrong_words},
        {"add", "an error that does not happen", "error", .samples = no_error},
        {"neg", "no samples", "row", .samples = none},
        {"neg", "no vjp", "row", .no_vjp = true},
    };
    if (fault >= TAPER_COUNT(faults)) return NULL;
    row = *taper_op_find(faults[fault].row);
    plant_inner = row.op;
    op = *row.op;
    row.op = &op;
    *what = faults[fault].what;
    *modes = faults[fault].modes;
    if (faults[fault].run) {
        memset(kernels, 0, sizeof kernels);
        kernels[0] = (taper_kernel){"planted", TAPER_CPU, NULL, faults[fault].run};
        kernels[1] = op.kernels[0];
        op.kernels = kernels;
    }
    if (faults[fault].vjp) op.vjp = faults[fault].vjp;
    if (faults[fault].no_vjp) op.vjp = NULL;
    if (faults[fault].infer) op.infer = faults[fault].infer;
    if (faults[fault].samples) op.samples = faults[fault].samples;
    return &row;
}
