/* Learning rates as functions of a step's number, in closed form: a run resumes at any step. */
#include "optim/optim.h"

#include <math.h>

static const double schedule_pi = 3.14159265358979323846;

taper_schedule taper_step_lr(int64_t step_size, double gamma) { return (taper_schedule){.kind = TAPER_SCHEDULE_STEP, .steps = step_size, .a = gamma}; }
taper_schedule taper_cosine_annealing_lr(int64_t t_max, double eta_min) {
    return (taper_schedule){.kind = TAPER_SCHEDULE_COSINE, .steps = t_max, .a = eta_min};
}
taper_schedule taper_lambda_lr(double (*factor)(void *ctx, int group, int64_t step), void *ctx) {
    return (taper_schedule){.kind = TAPER_SCHEDULE_LAMBDA, .factor = factor, .ctx = ctx};
}
taper_schedule taper_linear_lr(double start_factor, double end_factor, int64_t total_steps) {
    return (taper_schedule){.kind = TAPER_SCHEDULE_LINEAR, .steps = total_steps, .a = start_factor, .b = end_factor};
}
taper_schedule taper_one_cycle_lr(taper_one_cycle_options options) { return (taper_schedule){.kind = TAPER_SCHEDULE_ONE_CYCLE, .one_cycle = options}; }

/* From `from` to `to` as part goes from 0 to 1. */
static double schedule_anneal(double from, double to, double part, bool linear) {
    return linear ? (to - from) * part + from : to + (from - to) / 2 * (1 + cos(schedule_pi * part));
}

/* Where in its phase a step is: *part of the way; up: phase 0; three phases come down to the first rate before they end. */
static int one_cycle_phase(const taper_one_cycle_options *o, int64_t step, double *part) {
    double n = (double)o->total_steps, up = o->pct_start * n - 1, ends[3] = {up, o->three_phase ? 2 * o->pct_start * n - 2 : n - 1, n - 1}, begin = 0;
    int phases = o->three_phase ? 3 : 2;
    for (int k = 0; k < phases; k++) {
        if ((double)step <= ends[k] || k == phases - 1) {
            *part = ends[k] > begin ? ((double)step - begin) / (ends[k] - begin) : 1;
            return k;
        }
        begin = ends[k];
    }
    return 0;
}

static void one_cycle_apply(const taper_one_cycle_options *o, taper_optim_group *g, int64_t step) {
    double part = 0, most = o->max_lr > 0 ? o->max_lr : g->base_lr, first = most / o->div_factor, last = first / o->final_div_factor;
    int phase = one_cycle_phase(o, step, &part);
    double rates[4] = {first, most, o->three_phase ? first : last, last};
    double momenta[4] = {o->max_momentum, o->base_momentum, o->max_momentum, o->max_momentum};
    g->lr = schedule_anneal(rates[phase], rates[phase + 1], part, o->linear);
    if (o->cycle_momentum) g->momentum = schedule_anneal(momenta[phase], momenta[phase + 1], part, o->linear);
}

static taper_status one_cycle_check(const taper_one_cycle_options *o, const taper_optimizer *optimizer, int64_t step) {
    if (o->total_steps <= 0) return TAPER_FAIL(TAPER_VALUE, "Expected positive integer total_steps, but got %lld", (long long)o->total_steps);
    if (!(o->pct_start >= 0 && o->pct_start <= 1)) return TAPER_FAIL(TAPER_VALUE, "Expected float between 0 and 1 pct_start, but got %g", o->pct_start);
    if (!(o->div_factor > 0 && o->final_div_factor > 0)) return TAPER_FAIL(TAPER_VALUE, "OneCycleLR: div_factor and final_div_factor must be positive, got %g and %g", o->div_factor, o->final_div_factor);
    if (step >= o->total_steps)
        return TAPER_FAIL(TAPER_VALUE, "Tried to step %lld times. The specified number of total steps is %lld", (long long)step + 1, (long long)o->total_steps);
    if (o->cycle_momentum && !optimizer->with_momentum)
        return TAPER_FAIL(TAPER_VALUE, "optimizer must support momentum or beta1 with `cycle_momentum` option enabled; this one was made without momentum");
    return TAPER_OK;
}

static taper_status schedule_check(const taper_schedule *s, const taper_optimizer *o, int64_t step) {
    if (step < 0) return TAPER_FAIL(TAPER_VALUE, "schedule: step %lld, need 0 or more", (long long)step);
    if (s->kind == TAPER_SCHEDULE_ONE_CYCLE) return one_cycle_check(&s->one_cycle, o, step);
    if (s->kind == TAPER_SCHEDULE_LAMBDA) return s->factor ? TAPER_OK : TAPER_FAIL(TAPER_VALUE, "LambdaLR: no function");
    if (s->steps <= 0) return TAPER_FAIL(TAPER_VALUE, "schedule: %lld steps, need more than 0", (long long)s->steps);
    if (s->kind == TAPER_SCHEDULE_LINEAR && !(s->a > 0 && s->a <= 1)) return TAPER_FAIL(TAPER_VALUE, "Starting multiplicative factor expected to be greater than 0 and less or equal to 1.");
    if (s->kind == TAPER_SCHEDULE_LINEAR && !(s->b >= 0 && s->b <= 1)) return TAPER_FAIL(TAPER_VALUE, "Ending multiplicative factor expected to be between 0 and 1.");
    return TAPER_OK;
}

taper_status taper_schedule_apply(const taper_schedule *s, taper_optimizer *o, int64_t step) {
    TAPER_TRY(schedule_check(s, o, step));
    double n = (double)s->steps, t = (double)step;
    for (int i = 0; i < o->ngroups; i++) {
        taper_optim_group *g = &o->groups[i];
        switch (s->kind) {
        case TAPER_SCHEDULE_STEP: g->lr = g->base_lr * pow(s->a, (double)(step / s->steps)); break;
        case TAPER_SCHEDULE_COSINE: g->lr = s->a + (g->base_lr - s->a) * (1 + cos(schedule_pi * t / n)) / 2; break;
        case TAPER_SCHEDULE_LAMBDA: g->lr = g->base_lr * s->factor(s->ctx, i, step); break;
        case TAPER_SCHEDULE_LINEAR: g->lr = g->base_lr * (s->a + (s->b - s->a) * (t < n ? t : n) / n); break;
        case TAPER_SCHEDULE_ONE_CYCLE: one_cycle_apply(&s->one_cycle, g, step); break;
        }
    }
    return TAPER_OK;
}
