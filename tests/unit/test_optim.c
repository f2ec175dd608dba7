/* Optimisers, groups, schedules and state in files of the C API on the CPU, against numbers of PyTorch. */
#include "optim_problem.h"

#include <unistd.h>

static bool near(const taper_params *p, const float *want) {
    float x[10];
    values(p, x);
    for (int i = 0; i < 10; i++)
        if (!(fabsf(x[i] - want[i]) <= 2e-6f * (1 + fabsf(want[i])))) {
            printf("# element %d is %.9g, want %.9g\n", i, (double)x[i], (double)want[i]);
            return false;
        }
    return true;
}
static void numbers(void) {
    for (int k = 0; k < KINDS; k++) {
        taper_params p = TAPER_PARAMS;
        taper_optimizer *o = NULL;
        taper_status st = problem(&p);
        if (st == TAPER_OK) st = make(&o, &p, (kind)k);
        if (st == TAPER_OK) st = steps(&p, o, 0, OPTIM_STEPS);
        CHECK(cases[k].name, st == TAPER_OK && near(&p, cases[k].want));
        taper_optimizer_release(o);
        taper_params_release(&p);
    }
}

static void clipping(void) {
    taper_adamw_options a = TAPER_ADAMW_OPTIONS;
    taper_sgd_options s = TAPER_SGD_OPTIONS;
    a.lr = s.lr = 0.05;
    a.weight_decay = 0.1;
    s.momentum = 0.9;
    a.clip_norm = s.clip_norm = OPTIM_CLIP;
    for (int k = 0; k < 2; k++) {
        taper_params p = TAPER_PARAMS;
        taper_optimizer *o = NULL;
        int longer = 0, shorter = 0;
        taper_status st = problem(&p);
        if (st == TAPER_OK) st = k ? taper_sgd_new(&o, &p, s) : taper_adamw_new(&o, &p, a);
        bool norms = st == TAPER_OK && !taper_optimizer_grad_norm(o);
        for (int t = 0; t < OPTIM_STEPS && st == TAPER_OK; t++) {
            double norm = 0, sum = 0;
            st = gradients(&p, t, 1);
            for (int i = 0; i < 10 && st == TAPER_OK; i++) {
                double g = i < 6 ? ((float *)taper_tensor_data(taper_grad(p.tensors[0])))[i] : ((float *)taper_tensor_data(taper_grad(p.tensors[1])))[i - 6];
                sum += g * g;
            }
            if (st == TAPER_OK) st = taper_optimizer_step(o);
            if (st == TAPER_OK) st = taper_tensor_item_double(taper_optimizer_grad_norm(o), &norm);
            norms = norms && fabs(norm - sqrt(sum)) < 1e-5;
            if (norm > OPTIM_CLIP) longer++;
            else shorter++;
        }
        CHECK(k ? "clip_sgd" : "clip_adamw", st == TAPER_OK && longer && shorter && near(&p, k ? want_sgd_clip : want_adamw_clip));
        CHECK(k ? "clip_norm_sgd" : "clip_norm_adamw", norms);
        taper_optimizer_release(o);
        taper_params_release(&p);
    }
}

/* One pass with a factor has the bits of clipping first. */
static void clip_in_pass(void) {
    taper_params p = TAPER_PARAMS, q = TAPER_PARAMS;
    taper_optimizer *o = NULL, *other = NULL;
    taper_adamw_options a = TAPER_ADAMW_OPTIONS;
    float x[10], y[10];
    taper_status st = problem(&p);
    if (st == TAPER_OK) st = problem(&q);
    if (st == TAPER_OK) st = taper_adamw_new(&other, &q, a);
    a.clip_norm = OPTIM_CLIP;
    if (st == TAPER_OK) st = taper_adamw_new(&o, &p, a);
    for (int t = 0; t < OPTIM_STEPS && st == TAPER_OK; t++) {
        st = gradients(&p, t, 1);
        if (st == TAPER_OK) st = gradients(&q, t, 1);
        if (st == TAPER_OK) st = taper_optimizer_step(o);
        if (st == TAPER_OK) st = taper_params_clip_grad(&q, OPTIM_CLIP, NULL);
        if (st == TAPER_OK) st = taper_optimizer_step(other);
    }
    values(&p, x);
    values(&q, y);
    CHECK("clip_in_pass_same_bits", st == TAPER_OK && !memcmp(x, y, sizeof x));
    taper_optimizer_release(o);
    taper_optimizer_release(other);
    taper_params_release(&p);
    taper_params_release(&q);
}

/* Entries without a gradient stay, whatever they hold; one that gets its first gradient late joins in. */
static void without_gradient(void) {
    taper_params p = TAPER_PARAMS;
    taper_optimizer *o = NULL;
    taper_tensor *count = NULL;
    float before[10], after[10];
    int64_t number = 41;
    taper_status st = problem(&p);
    if (st == TAPER_OK) st = taper_set_requires_grad(p.tensors[1], false);
    if (st == TAPER_OK) st = taper_adamw_new(&o, &p, (taper_adamw_options)TAPER_ADAMW_OPTIONS);
    values(&p, before);
    if (st == TAPER_OK) st = gradients(&p, 0, 1);
    if (st == TAPER_OK) st = taper_set_grad(p.tensors[1], NULL);
    if (st == TAPER_OK) st = taper_optimizer_step(o);
    values(&p, after);
    CHECK("skips_without_gradient", st == TAPER_OK && before[0] != after[0] && !memcmp(before + 6, after + 6, 16));
    if (st == TAPER_OK) st = steps(&p, o, 1, 2);
    values(&p, after);
    CHECK("late_gradient", st == TAPER_OK && memcmp(before + 6, after + 6, 16));
    taper_optimizer_release(o);
    o = NULL;
    /* A buffer of integers, as batch norm counts in, in the place of b. */
    if (st == TAPER_OK) st = taper_tensor_from_data(&count, &number, TAPER_I64, 0, NULL);
    if (st == TAPER_OK) taper_tensor_release(p.tensors[1]), p.tensors[1] = taper_tensor_retain(count);
    if (st == TAPER_OK) st = taper_set_grad(p.tensors[0], NULL);
    if (st == TAPER_OK) st = taper_adamw_new(&o, &p, (taper_adamw_options)TAPER_ADAMW_OPTIONS);
    if (st == TAPER_OK) st = taper_optimizer_step(o);
    CHECK("no_gradients_at_all", st == TAPER_OK);
    taper_tensor_release(count);
    taper_optimizer_release(o);
    taper_params_release(&p);
}

static void groups(void) {
    taper_params p = TAPER_PARAMS;
    taper_optimizer *o = NULL;
    int g = -1;
    taper_status st = problem(&p);
    if (st == TAPER_OK) st = make(&o, &p, ADAMW);
    if (st == TAPER_OK) st = taper_optimizer_group(o, taper_chooses_names, (void *)"b*", 0.01, 0.25, &g);
    CHECK("group", st == TAPER_OK && g == 1 && taper_optimizer_groups(o) == 2 && taper_optimizer_lr(o, 0) == 0.05 && taper_optimizer_lr(o, 1) == 0.01 &&
                       taper_optimizer_weight_decay(o, 0) == 0.1 && taper_optimizer_weight_decay(o, 1) == 0.25 && taper_optimizer_momentum(o, 1) == 0.9);
    CHECK("group_of_none", taper_optimizer_group(o, taper_chooses_names, (void *)"b", 0.01, 0, &g) == TAPER_VALUE && taper_optimizer_groups(o) == 2);
    CHECK("group_number", taper_optimizer_set_group_lr(o, 2, 1) == TAPER_INDEX && isnan(taper_optimizer_lr(o, 2)) && isnan(taper_optimizer_lr(o, -1)));
    CHECK("group_lr", taper_optimizer_set_group_lr(o, 1, 0.5) == TAPER_OK && taper_optimizer_lr(o, 1) == 0.5 && taper_optimizer_lr(o, 0) == 0.05);
    taper_optimizer_set_lr(o, 0.125);
    CHECK("set_lr", taper_optimizer_lr(o, 0) == 0.125 && taper_optimizer_lr(o, 1) == 0.125);
    static const struct {
        const char *pattern, *name;
        bool fits;
    } names[] = {{"a", "a", true}, {"a", "ab", false}, {"a*", "ab", true}, {"*", "", true}, {"", "a", false}, {"*.bias", "blocks.3.fc.bias", true}, {"*.bias", "blocks.3.fc.weight", false},
                 {"blocks.*.bias", "blocks.3.bias", true}, {"*ab*ab", "abab", true}, {"*ab*ab", "aab", false}, {"*a*b*c", "xaybzc", true}, {"*a*b*c", "xaybzcd", false}};
    bool good = true;
    for (int i = 0; i < TAPER_COUNT(names); i++) good = good && taper_chooses_names((void *)names[i].pattern, names[i].name, NULL) == names[i].fits;
    CHECK("name_patterns", good);
    taper_optimizer_release(o);
    taper_params_release(&p);
}

static void refusals(void) {
    taper_params p = TAPER_PARAMS;
    taper_optimizer *o = NULL;
    taper_adam_options a[] = {{-1, 0.9, 0.999, 1e-8, 0, 0, false, false}, {1, 1, 0.999, 1e-8, 0, 0, false, false}, {1, 0.9, -0.1, 1e-8, 0, 0, false, false},
                              {1, 0.9, 0.999, -1, 0, 0, false, false}, {1, 0.9, 0.999, 1e-8, -1, 0, false, false}, {1, 0.9, 0.999, 1e-8, 0, (double)NAN, false, false}};
    bool good = problem(&p) == TAPER_OK;
    for (int i = 0; i < TAPER_COUNT(a); i++) good = good && taper_adam_new(&o, &p, a[i]) == TAPER_VALUE && !o;
    taper_sgd_options s = TAPER_SGD_OPTIONS;
    s.nesterov = true;
    good = good && taper_sgd_new(&o, &p, s) == TAPER_VALUE && !o;
    s.momentum = 0.9, s.dampening = 0.1;
    good = good && taper_sgd_new(&o, &p, s) == TAPER_VALUE && !o;
    taper_rmsprop_options r = TAPER_RMSPROP_OPTIONS;
    r.alpha = -1;
    good = good && taper_rmsprop_new(&o, &p, r) == TAPER_VALUE && !o;
    CHECK("bad_options", good);
    taper_params_release(&p);
}

/* ---- state in files ---- */
static char path[64];

static void resume(void) {
    static const kind kinds[] = {ADAM, ADAM_ALL, ADAMW_GROUPS, SGD, SGD_ALL, RMSPROP, RMSPROP_ALL};
    for (int i = 0; i < TAPER_COUNT(kinds); i++) {
        kind k = kinds[i];
        taper_params p = TAPER_PARAMS, q = TAPER_PARAMS;
        taper_optimizer *o = NULL, *other = NULL;
        taper_schedule cosine = taper_cosine_annealing_lr(OPTIM_STEPS, 0);
        float want[10], got[10], x[10];
        char name[64];
        taper_status st = problem(&p);
        if (st == TAPER_OK) st = make(&o, &p, k);
        for (int t = 0; t < 5 && st == TAPER_OK; t++) {
            st = taper_schedule_apply(&cosine, o, t);
            if (st == TAPER_OK) st = steps(&p, o, t, t + 1);
        }
        if (st == TAPER_OK) st = taper_optimizer_save(o, path);
        if (st == TAPER_OK) values(&p, x), st = problem(&q);
        if (st == TAPER_OK && k == ADAM_ALL) st = taper_set_requires_grad(q.tensors[1], false); /* state comes with the file */
        if (st == TAPER_OK) st = make(&other, &q, k);
        if (st == TAPER_OK && k != ADAM_ALL) st = steps(&q, other, 3, 5); /* whatever it has is replaced */
        if (st == TAPER_OK) st = taper_optimizer_load(other, path);
        bool rate = st == TAPER_OK && taper_optimizer_lr(other, 0) == taper_optimizer_lr(o, 0);
        if (st == TAPER_OK) st = taper_tensor_write(q.tensors[0], x, 24);
        if (st == TAPER_OK) st = taper_tensor_write(q.tensors[1], x + 6, 16);
        for (int t = 5; t < 9 && st == TAPER_OK; t++) {
            st = taper_schedule_apply(&cosine, o, t);
            if (st == TAPER_OK) st = taper_schedule_apply(&cosine, other, t);
            if (st == TAPER_OK) st = steps(&p, o, t, t + 1);
            if (st == TAPER_OK) st = steps(&q, other, t, t + 1);
        }
        values(&p, want);
        values(&q, got);
        snprintf(name, sizeof name, "resume_%s", cases[k].name);
        CHECK(name, st == TAPER_OK && rate && !memcmp(want, got, sizeof want));
        taper_optimizer_release(o);
        taper_optimizer_release(other);
        taper_params_release(&p);
        taper_params_release(&q);
    }
}

static void resume_refused(void) {
    taper_params p = TAPER_PARAMS;
    taper_optimizer *adam = NULL, *all = NULL, *grouped = NULL, *rms = NULL;
    float x[10], y[10];
    taper_status st = problem(&p);
    if (st == TAPER_OK) st = make(&adam, &p, ADAMW);
    if (st == TAPER_OK) st = make(&all, &p, ADAMW_ALL);
    if (st == TAPER_OK) st = make(&grouped, &p, ADAMW_GROUPS);
    if (st == TAPER_OK) st = make(&rms, &p, RMSPROP);
    if (st == TAPER_OK) st = taper_optimizer_save(adam, path);
    CHECK("load_other_class", st == TAPER_OK && taper_optimizer_load(rms, path) == TAPER_VALUE);
    CHECK("load_other_groups", taper_optimizer_load(grouped, path) == TAPER_VALUE && taper_optimizer_lr(grouped, 1) == 0.01);
    CHECK("load_without_amsgrad", taper_optimizer_load(all, path) == TAPER_KEY);
    taper_params other = TAPER_PARAMS; /* a, but no b */
    taper_optimizer *part = NULL;
    if (st == TAPER_OK) st = taper_params_add(&other, "a", p.tensors[0]);
    if (st == TAPER_OK) st = make(&part, &other, ADAMW);
    CHECK("load_other_parameters", st == TAPER_OK && taper_optimizer_load(part, path) == TAPER_VALUE);
    taper_optimizer_release(part);
    taper_params_release(&other);
    CHECK("load_missing_file", taper_optimizer_load(adam, "/nonexistent/state") == TAPER_OS);
    CHECK("load_parameters", taper_params_save(&p, path) == TAPER_OK && taper_optimizer_load(adam, path) == TAPER_KEY);
    values(&p, x);
    st = steps(&p, adam, 0, 1);
    values(&p, y);
    CHECK("after_refusals", st == TAPER_OK && memcmp(x, y, sizeof x));
    taper_optimizer_release(adam);
    taper_optimizer_release(all);
    taper_optimizer_release(grouped);
    taper_optimizer_release(rms);
    taper_params_release(&p);
}

/* ---- schedules ---- */
static double powers(void *ctx, int group, int64_t step) { return group ? 1 / (1 + (double)step) : pow(*(double *)ctx, (double)step); }

static bool same_rates(const taper_optimizer *o, const double *want) {
    double got[3] = {taper_optimizer_lr(o, 0), taper_optimizer_lr(o, 1), taper_optimizer_momentum(o, 0)};
    for (int i = 0; i < 3; i++)
        if (!(fabs(got[i] - want[i]) <= 1e-15 + 1e-13 * fabs(want[i]))) {
            printf("# number %d is %.17g, want %.17g\n", i, got[i], want[i]);
            return false;
        }
    return true;
}

static void schedules(void) {
    double base = 0.95;
    taper_one_cycle_options two = TAPER_ONE_CYCLE_OPTIONS, three = TAPER_ONE_CYCLE_OPTIONS;
    two.total_steps = three.total_steps = 50;
    three.max_lr = 0.7, three.pct_start = 0.25, three.linear = three.three_phase = true, three.div_factor = 10, three.final_div_factor = 100;
    three.base_momentum = 0.8, three.max_momentum = 0.92;
    taper_schedule warm_up = taper_linear_lr(0.01, 1, 10), after = taper_cosine_annealing_lr(40, 0);
    struct {
        const char *name;
        taper_schedule s;
        const double (*want)[3];
    } list[] = {{"schedule_step", taper_step_lr(7, 0.3), want_step},
                {"schedule_cosine", taper_cosine_annealing_lr(20, 0.003), want_cosine},
                {"schedule_lambda", taper_lambda_lr(powers, &base), want_lambda},
                {"schedule_linear", taper_linear_lr(0.1, 0.9, 12), want_linear},
                {"schedule_warm_up_cosine", after, want_warm_up_cosine},
                {"schedule_one_cycle", taper_one_cycle_lr(two), want_one_cycle},
                {"schedule_one_cycle_three_phases", taper_one_cycle_lr(three), want_one_cycle_three_phases}};
    for (int i = 0; i < TAPER_COUNT(list); i++) {
        taper_params p = TAPER_PARAMS;
        taper_optimizer *o = NULL;
        taper_adamw_options options = TAPER_ADAMW_OPTIONS;
        options.lr = 0.4;
        taper_status st = problem(&p);
        if (st == TAPER_OK) st = taper_adamw_new(&o, &p, options);
        if (st == TAPER_OK) st = taper_optimizer_group(o, taper_chooses_vectors, NULL, 0.01, 0.01, NULL);
        bool good = st == TAPER_OK;
        for (int t = 0; t < 50 && good; t++) {
            bool first = !strcmp(list[i].name, "schedule_warm_up_cosine") && t < 10;
            st = taper_schedule_apply(first ? &warm_up : &list[i].s, o, first ? t : list[i].s.steps == 40 ? t - 10 : t);
            good = st == TAPER_OK && same_rates(o, list[i].want[t]);
            if (!good) printf("# at step %d\n", t);
        }
        for (int t = 49; t >= 0 && good && list[i].s.steps != 40; t -= 7) /* any order: nothing is remembered */
            good = taper_schedule_apply(&list[i].s, o, t) == TAPER_OK && same_rates(o, list[i].want[t]);
        CHECK(list[i].name, good);
        taper_optimizer_release(o);
        taper_params_release(&p);
    }
}

static void schedules_refused(void) {
    taper_params p = TAPER_PARAMS;
    taper_optimizer *o = NULL;
    taper_one_cycle_options c = TAPER_ONE_CYCLE_OPTIONS;
    taper_status st = problem(&p);
    if (st == TAPER_OK) st = make(&o, &p, SGD);
    c.total_steps = 10;
    taper_schedule none = taper_step_lr(0, 0.1), lambda = taper_lambda_lr(NULL, NULL), start = taper_linear_lr(0, 1, 5), end = taper_linear_lr(1, 2, 5);
    taper_schedule momentum = taper_one_cycle_lr(c), cosine = taper_cosine_annealing_lr(10, 0);
    c.cycle_momentum = false;
    taper_schedule fine = taper_one_cycle_lr(c);
    c.pct_start = 2;
    taper_schedule part = taper_one_cycle_lr(c);
    CHECK("schedule_refusals", st == TAPER_OK && taper_schedule_apply(&none, o, 0) == TAPER_VALUE && taper_schedule_apply(&lambda, o, 0) == TAPER_VALUE &&
                                   taper_schedule_apply(&start, o, 0) == TAPER_VALUE && taper_schedule_apply(&end, o, 0) == TAPER_VALUE &&
                                   taper_schedule_apply(&momentum, o, 0) == TAPER_VALUE && taper_schedule_apply(&cosine, o, -1) == TAPER_VALUE &&
                                   taper_schedule_apply(&fine, o, 9) == TAPER_OK && taper_schedule_apply(&fine, o, 10) == TAPER_VALUE && taper_schedule_apply(&part, o, 0) == TAPER_VALUE);
    taper_optimizer_release(o);
    taper_params_release(&p);
}

/* ---- allocations that fail ---- */
static taper_status everything(void) {
    taper_params p = TAPER_PARAMS;
    taper_optimizer *o = NULL;
    taper_grad_scaler *g = NULL;
    taper_status st = problem(&p);
    for (int k = 0; k < KINDS && st == TAPER_OK; k += 3) {
        st = make(&o, &p, (kind)k);
        if (st == TAPER_OK) st = taper_grad_scaler_new(&g, taper_cpu(), (taper_grad_scaler_options)TAPER_GRAD_SCALER_OPTIONS);
        if (st == TAPER_OK) st = gradients(&p, 1, 1);
        if (st == TAPER_OK && k == ADAMW) st = taper_grad_scaler_unscale(g, o);
        if (st == TAPER_OK) st = taper_grad_scaler_step(g, o);
        if (st == TAPER_OK) st = taper_grad_scaler_update(g);
        if (st == TAPER_OK) st = taper_optimizer_save(o, path);
        if (st == TAPER_OK) st = taper_optimizer_load(o, path);
        taper_grad_scaler_release(g);
        taper_optimizer_release(o);
        o = NULL;
        g = NULL;
    }
    taper_adamw_options options = TAPER_ADAMW_OPTIONS;
    options.clip_norm = 1;
    if (st == TAPER_OK) st = taper_adamw_new(&o, &p, options);
    if (st == TAPER_OK) st = taper_optimizer_group(o, taper_chooses_vectors, NULL, 0.1, 0, NULL);
    if (st == TAPER_OK) st = taper_optimizer_keep_copies(o, TAPER_BF16);
    if (st == TAPER_OK) st = steps(&p, o, 0, 2);
    taper_optimizer_release(o);
    taper_params_release(&p);
    return st;
}

static void allocations(void) {
    int64_t n = 1, failures = 0;
    bool good = true;
    for (int i = 0; i < 2; i++) good = good && everything() == TAPER_OK;
    for (bool unused = false; good && !unused; n++) {
        int64_t live = taper__alloc_live();
        taper__alloc_fail_at(n);
        taper_status st = everything();
        for (int64_t i = 0; i < n && !unused; i++) unused = taper__alloc_would_fail();
        taper__alloc_fail_at(0);
        failures += st != TAPER_OK;
        good = taper__alloc_live() == live && (st == TAPER_OK || (st == TAPER_MEMORY && *taper_error_message())) && taper_grad_enabled();
        if (!good) printf("# allocation %lld: %s, %lld blocks left: %s\n", (long long)n, taper_status_name(st), (long long)(taper__alloc_live() - live), taper_error_message());
    }
    printf("# %lld allocations, %lld failures\n", (long long)n, (long long)failures);
    CHECK("allocation_failures", good && failures > 100 && everything() == TAPER_OK);
}

int main(void) {
    snprintf(path, sizeof path, "/tmp/taper-optim-%ld", (long)getpid());
    numbers();
    clipping();
    clip_in_pass();
    without_gradient();
    groups();
    refusals();
    resume();
    resume_refused();
    schedules();
    schedules_refused();
    allocations();
    unlink(path);
    return failed;
}
