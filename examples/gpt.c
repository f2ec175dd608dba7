/* A GPT learns to write a sentence, then writes it. */
#include <stdio.h>
#include <string.h>
#include <taper/autograd.h>
#include <taper/ops.h>
#include <taper/optim.h>

static const char text[] = "the quick brown fox jumps over the lazy dog. ";
enum { BATCH = 8, CONTEXT = 32, LENGTH = sizeof text - 1 };

static taper_tensor *numbers(taper_scope *s, const int64_t *data, int64_t rows, int64_t columns) {
    taper_tensor *t = NULL;
    if (s->status == TAPER_OK) s->status = taper_tensor_from_data(&t, data, TAPER_I64, 2, (int64_t[]){rows, columns});
    return taper_scope_own(s, t);
}

static taper_status learn(const taper_nn_gpt *g, const taper_params *p, taper_optimizer *o, int step, double *loss) {
    int64_t x[BATCH * CONTEXT], y[BATCH * CONTEXT];
    for (int b = 0; b < BATCH; b++)
        for (int t = 0; t < CONTEXT; t++) {
            int at = (step * 11 + b * 5 + t) % LENGTH;
            x[b * CONTEXT + t] = text[at];
            y[b * CONTEXT + t] = text[(at + 1) % LENGTH];
        }
    taper_scope s = TAPER_SCOPE;
    taper_tensor *in = numbers(&s, x, BATCH, CONTEXT), *target = numbers(&s, y, BATCH, CONTEXT);
    taper_tensor *l = in && target ? taper_nn_gpt_loss(&s, g, in, target) : NULL;
    if (s.status == TAPER_OK) s.status = taper_tensor_item_double(l, loss);
    if (s.status == TAPER_OK) s.status = taper_params_zero_grad(p);
    if (s.status == TAPER_OK) s.status = taper_backward(&l, NULL, 1, false, false);
    if (s.status == TAPER_OK) s.status = taper_optimizer_step(o);
    return taper_scope_end(&s);
}

/* Continues line[0..known) to CONTEXT characters, the likeliest each time. */
static taper_status continue_line(const taper_nn_gpt *g, char *line, int known) {
    taper_status status = TAPER_OK;
    bool was = taper_set_grad_enabled(false);
    for (int n = known; n < CONTEXT && status == TAPER_OK; n++) {
        static float scores[CONTEXT * 128];
        int64_t ids[CONTEXT];
        int best = 0;
        for (int i = 0; i < n; i++) ids[i] = line[i];
        taper_scope s = TAPER_SCOPE;
        taper_tensor *in = numbers(&s, ids, 1, n), *out = in ? taper_nn_gpt_forward(&s, g, in) : NULL;
        if (s.status == TAPER_OK) s.status = taper_tensor_read(out, scores, sizeof(float) * 128 * (size_t)n);
        for (int c = 1; c < 128; c++)
            if (scores[(n - 1) * 128 + c] > scores[(n - 1) * 128 + best]) best = c;
        line[n] = (char)best;
        status = taper_scope_end(&s);
    }
    taper_set_grad_enabled(was);
    return status;
}

int main(void) {
    taper_params p = TAPER_PARAMS;
    taper_optimizer *o = NULL;
    taper_adamw_options options = TAPER_ADAMW_OPTIONS;
    taper_nn_gpt g = {.layers = 2, .width = 32, .heads = 2, .vocabulary = 128, .context = CONTEXT};
    char line[CONTEXT + 1] = "the quick";
    double loss = 0;
    options.lr = 1e-2;
    taper_manual_seed(1);
    taper_status status = taper_nn_gpt_init(&g, &p, taper_cpu());
    if (status == TAPER_OK) status = taper_adamw_new(&o, &p, options);
    for (int i = 0; i < 200 && status == TAPER_OK; i++) {
        status = learn(&g, &p, o, i, &loss);
        if (i % 50 == 0 && status == TAPER_OK) printf("step %3d  loss %.3f\n", i, loss);
    }
    if (status == TAPER_OK) status = continue_line(&g, line, (int)strlen(line));
    if (status == TAPER_OK) printf("it writes: %s\n", line);
    else fprintf(stderr, "%s\n", taper_error_message());
    taper_optimizer_release(o);
    taper_params_release(&p);
    return status == TAPER_OK && !strncmp(line, text, CONTEXT) ? 0 : 1;
}
