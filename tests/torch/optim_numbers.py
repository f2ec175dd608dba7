"""Prints tests/unit/optim_numbers.h: what torch.optim makes of fixed gradients, and 50 steps of its schedules.

    python tests/torch/optim_numbers.py > tests/unit/optim_numbers.h
"""
import math

import torch

STEPS = 12
CLIP = 3.2  # some steps are longer, some are not

CASES = [
    ("adam", torch.optim.Adam, dict(lr=0.05)),
    ("adam_amsgrad_decay", torch.optim.Adam, dict(lr=0.05, betas=(0.8, 0.95), weight_decay=0.1, amsgrad=True)),
    ("adam_maximize", torch.optim.Adam, dict(lr=0.05, maximize=True)),
    ("adamw", torch.optim.AdamW, dict(lr=0.05, weight_decay=0.1)),
    ("adamw_amsgrad_maximize", torch.optim.AdamW, dict(lr=0.05, weight_decay=0.1, amsgrad=True, maximize=True)),
    ("sgd", torch.optim.SGD, dict(lr=0.05)),
    ("sgd_momentum_dampening_decay", torch.optim.SGD, dict(lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.1)),
    ("sgd_nesterov_maximize", torch.optim.SGD, dict(lr=0.05, momentum=0.9, nesterov=True, maximize=True)),
    ("rmsprop", torch.optim.RMSprop, dict(lr=0.02)),
    ("rmsprop_momentum", torch.optim.RMSprop, dict(lr=0.02, momentum=0.7, maximize=True)),
    ("rmsprop_centered", torch.optim.RMSprop, dict(lr=0.02, alpha=0.9, centered=True, eps=1e-3)),
    ("rmsprop_all", torch.optim.RMSprop, dict(lr=0.02, alpha=0.9, centered=True, eps=1e-3, momentum=0.7, weight_decay=0.1)),
    ("adamw_clip", torch.optim.AdamW, dict(lr=0.05, weight_decay=0.1)),
    ("sgd_clip", torch.optim.SGD, dict(lr=0.05, momentum=0.9)),
    ("adamw_groups", torch.optim.AdamW, dict(lr=0.05, weight_decay=0.1)),
]


def gradient(t, first, n):
    return [math.sin(0.7 * (first + i) + 0.9 * t) * (1 + 0.1 * (first + i)) for i in range(n)]


def run(name, cls, options):
    a = torch.tensor([0.1 * (i - 2) for i in range(6)], dtype=torch.float32).reshape(2, 3).requires_grad_()
    b = torch.tensor([0.1 * (i + 1) for i in range(4)], dtype=torch.float32).requires_grad_()
    groups = [a, b]
    if name.endswith("groups"):
        groups = [dict(params=[a]), dict(params=[b], lr=0.01, weight_decay=0.0)]
    o = cls(groups, foreach=False, fused=False, **options) if cls is not torch.optim.RMSprop else cls(groups, foreach=False, **options)
    for t in range(STEPS):
        a.grad = torch.tensor(gradient(t, 0, 6), dtype=torch.float32).reshape(2, 3)
        b.grad = torch.tensor(gradient(t, 6, 4), dtype=torch.float32)
        if name.endswith("clip"):
            torch.nn.utils.clip_grad_norm_([a, b], CLIP)
        o.step()
    return a.detach().reshape(-1).tolist() + b.detach().tolist()


def schedule(make):
    a, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    o = torch.optim.AdamW([dict(params=[a]), dict(params=[b], lr=0.01)], lr=0.4, betas=(0.9, 0.99))
    s = make(o)
    rows = []
    for _ in range(50):
        rows.append((o.param_groups[0]["lr"], o.param_groups[1]["lr"], o.param_groups[0]["betas"][0]))
        o.step()
        if len(rows) < 50:
            s.step()
    return rows


L = torch.optim.lr_scheduler
SCHEDULES = [
    ("step", lambda o: L.StepLR(o, 7, 0.3)),
    ("cosine", lambda o: L.CosineAnnealingLR(o, 20, 0.003)),
    ("lambda", lambda o: L.LambdaLR(o, [lambda e: 0.95**e, lambda e: 1 / (1 + e)])),
    ("linear", lambda o: L.LinearLR(o, 0.1, 0.9, 12)),
    ("warm_up_cosine", lambda o: L.SequentialLR(o, [L.LinearLR(o, 0.01, 1.0, 10), L.CosineAnnealingLR(o, 40)], [10])),
    ("one_cycle", lambda o: L.OneCycleLR(o, max_lr=[0.4, 0.01], total_steps=50)),
    ("one_cycle_three_phases", lambda o: L.OneCycleLR(o, max_lr=0.7, total_steps=50, pct_start=0.25, anneal_strategy="linear", div_factor=10.0,
                                                      final_div_factor=100.0, three_phase=True, base_momentum=0.8, max_momentum=0.92)),
]

print("/* Made by tests/torch/optim_numbers.py with PyTorch %s. */" % torch.__version__.split("+")[0])
print("enum { OPTIM_STEPS = %d };" % STEPS)
print("#define OPTIM_CLIP %g" % CLIP)
print("/* (2, 3) and (4) after the steps. */")
for name, cls, options in CASES:
    print("static const float want_%s[10] = {%s};" % (name, ", ".join("%.9gf" % v if "." in "%.9g" % v or "e" in "%.9g" % v else "%.9g.0f" % v for v in run(name, cls, options))))
print("/* lr of two groups and beta1 at each step. */")
for name, make in SCHEDULES:
    print("static const double want_%s[50][3] = {" % name)
    for row in schedule(make):
        print("    {%s}," % ", ".join("%.17g" % v for v in row))
    print("};")
