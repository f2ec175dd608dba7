/* An operator of a program's own, square(x) = x x, with a kernel and a gradient: called like any other, differentiated twice. */
#include <math.h>
#include <stdio.h>
#include <taper/autograd.h>
#include <taper/ops.h>
#include <taper/scope.h>

static taper_status square_infer(taper_call *c) {
    const taper_tensor *x = c->args[0].t;
    if (taper_tensor_dtype(x) != TAPER_F32) return taper_fail(TAPER_TYPE, __FILE__, __LINE__, "square: x must be float32");
    c->nout = 1;
    return taper_tensor_new(&c->out[0], TAPER_F32, c->device, taper_tensor_ndim(x), taper_tensor_shape(x));
}

static taper_status square_cpu(taper_call *c) {
    const float *x = taper_tensor_data(c->args[0].t);
    float *y = taper_tensor_data(c->out[0]);
    for (int64_t i = 0; i < taper_tensor_numel(c->out[0]); i++) y[i] = x[i] * x[i];
    return TAPER_OK;
}
static const taper_kernel square_kernels[] = {{"cpu", TAPER_CPU, NULL, square_cpu}, {0}};

/* 2 x grad, made of operators, so that it has a gradient itself. */
static taper_status square_vjp(taper_vjp *v) {
    taper_tensor *product = tx_mul(v->scope, v->args[0].t, v->grad[0]);
    v->d[0] = tx_add(v->scope, product, product, taper_int(1));
    return TAPER_OK;
}

static const taper_op square_op = {
    .infer = square_infer, .kernels = square_kernels, .vjp = square_vjp, .saves = TAPER_SAVE_ARG(0), .contiguous = 1};
static const taper_op_row square = {"square_of_mine", "square_of_mine(Tensor x) -> Tensor", TAPER_AUTOCAST_NONE,
                                    TAPER_GRADIENT_DIFF, false, &square_op};

int main(void) {
    const float data[] = {1, -2, 3};
    float first[3] = {0}, second[3] = {0};
    taper_tensor *x = NULL, *y = NULL, *dx = NULL, *ddx = NULL;
    taper_scope s = TAPER_SCOPE;
    s.status = taper_tensor_from_data(&x, data, TAPER_F32, 1, (int64_t[]){3});
    if (s.status == TAPER_OK) s.status = taper_set_requires_grad(x, true);
    const taper_arg arg = {.kind = TAPER_ARG_TENSOR, .t = x};
    if (s.status == TAPER_OK) s.status = taper_op_call(&square, &arg, 1, &y);
    taper_tensor *sum = tx_sum(&s, y, NULL, 0, false, TAPER_DTYPE_NONE);
    if (s.status == TAPER_OK) s.status = taper_gradients(&dx, &sum, NULL, 1, &x, 1, true, true, false);
    if (s.status == TAPER_OK) s.status = taper_tensor_read(dx, first, sizeof first);
    sum = tx_sum(&s, dx, NULL, 0, false, TAPER_DTYPE_NONE);
    if (s.status == TAPER_OK) s.status = taper_gradients(&ddx, &sum, NULL, 1, &x, 1, false, false, false);
    if (s.status == TAPER_OK) s.status = taper_tensor_read(ddx, second, sizeof second);
    if (s.status != TAPER_OK) fprintf(stderr, "%s\n", taper_error_message());
    bool right = s.status == TAPER_OK;
    for (int i = 0; i < 3; i++) {
        printf("x %g: gradient %g, second %g\n", data[i], first[i], second[i]);
        right = right && fabsf(first[i] - 2 * data[i]) < 1e-6f && fabsf(second[i] - 2) < 1e-6f;
    }
    taper_scope_end(&s);
    taper_tensor_release(ddx);
    taper_tensor_release(dx);
    taper_tensor_release(y);
    taper_tensor_release(x);
    return right ? 0 : 1;
}
