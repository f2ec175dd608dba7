"""Optimisers and schedules against PyTorch's: parameters after 30 steps, state dictionaries, rates over 200 steps (exactly)."""
import unittest
import warnings

from both import LIBRARIES, T, close, main, numbers

warnings.simplefilter("ignore")
CASES = [
    ("SGD", {}), ("SGD", dict(momentum=0.9, weight_decay=0.1)), ("SGD", dict(lr=0.01, momentum=0.9, nesterov=True)),
    ("SGD", dict(lr=0.01, momentum=0.9, dampening=0.3, maximize=True)), ("Adam", {}), ("Adam", dict(amsgrad=True, weight_decay=0.1)),
    ("AdamW", dict(lr=0.01)), ("AdamW", dict(amsgrad=True, maximize=True)), ("RMSprop", {}), ("RMSprop", dict(centered=True, momentum=0.9, weight_decay=0.1)),
    ("Adagrad", dict(lr_decay=0.1, weight_decay=0.1)), ("Adadelta", dict(weight_decay=0.1)), ("Adamax", dict(weight_decay=0.1)),
    ("NAdam", dict(weight_decay=0.1)), ("NAdam", dict(weight_decay=0.1, decoupled_weight_decay=True)), ("RAdam", dict(weight_decay=0.1)), ("Rprop", {}),
    ("ASGD", dict(t0=5)), ("LBFGS", dict(double=True)), ("LBFGS", dict(line_search_fn="strong_wolfe", double=True)),
]
SCHEDULES = {
    "Lambda": lambda l, o: l.LambdaLR(o, lambda e: 0.95**e), "Multiplicative": lambda l, o: l.MultiplicativeLR(o, [lambda e: 0.95, lambda e: 0.9]),
    "Step": lambda l, o: l.StepLR(o, 30), "MultiStep": lambda l, o: l.MultiStepLR(o, [10, 20, 20, 90]), "Constant": lambda l, o: l.ConstantLR(o),
    "Linear": lambda l, o: l.LinearLR(o, 0.1, 0.7, 50), "Exponential": lambda l, o: l.ExponentialLR(o, 0.99),
    "Cosine": lambda l, o: l.CosineAnnealingLR(o, 30, 0.01), "WarmRestarts": lambda l, o: l.CosineAnnealingWarmRestarts(o, 10, 2, 0.01),
    "OneCycle": lambda l, o: l.OneCycleLR(o, [1.0, 0.3], total_steps=201),
    "OneCycleThree": lambda l, o: l.OneCycleLR(o, 1.0, epochs=21, steps_per_epoch=10, three_phase=True, anneal_strategy="linear"),
    "Cyclic": lambda l, o: l.CyclicLR(o, 0.01, 0.2, 13, 7), "Cyclic2": lambda l, o: l.CyclicLR(o, 0.01, 0.2, 13, mode="triangular2"),
    "CyclicExp": lambda l, o: l.CyclicLR(o, 0.01, 0.2, 13, mode="exp_range", gamma=0.99), "Polynomial": lambda l, o: l.PolynomialLR(o, 100, 2.0),
    "Sequential": lambda l, o: l.SequentialLR(o, [l.LinearLR(o, 0.1, total_iters=20), l.CosineAnnealingLR(o, 50)], [20]),
    "Chained": lambda l, o: l.ChainedScheduler([l.ConstantLR(o, 0.1, 20), l.ExponentialLR(o, 0.9)]),
    "Plateau": lambda l, o: l.ReduceLROnPlateau(o, patience=5, cooldown=2),
    "PlateauMax": lambda l, o: l.ReduceLROnPlateau(o, "max", 0.5, 3, threshold_mode="abs", min_lr=[0.01, 0.02]),
}


def train(lib, name, kwargs):
    kwargs = dict(kwargs)
    double = kwargs.pop("double", False)
    lib.manual_seed(0)
    model = lib.nn.Sequential(lib.nn.Linear(4, 8), lib.nn.Tanh(), lib.nn.Linear(8, 3))
    x, y = T(16, 4, grad=False).make(lib, 1), T(16, 3, grad=False).make(lib, 2)
    if double:
        model, x, y = model.double(), x.double(), y.double()
    optimizer = getattr(lib.optim, name)(model.parameters(), **kwargs)
    for _ in range(5 if name == "LBFGS" else 30):
        def closure():
            optimizer.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            return loss

        loss = optimizer.step(closure)
    return model, optimizer, float(loss)


class Optimizers(unittest.TestCase):
    pass


def _add(index, name, kwargs):
    def test(self):
        (m, o, loss), (tm, to, tloss) = (train(lib, name, kwargs) for lib in LIBRARIES)
        self.assertAlmostEqual(loss, tloss, places=5)
        for i, (p, q) in enumerate(zip(m.parameters(), tm.parameters())):
            self.assertIsNone(close(numbers(p), numbers(q)), "parameter %d" % i)
        self.assertEqual(repr(o), repr(to))
        a, b = o.state_dict(), to.state_dict()
        self.assertEqual(a["param_groups"], b["param_groups"])
        self.assertEqual(list(a["state"]), list(b["state"]))
        if name == "LBFGS":
            return
        for k in a["state"]:
            self.assertEqual(set(a["state"][k]), set(b["state"][k]))
            for n, v in a["state"][k].items():
                self.assertIsNone(close(numbers(v), numbers(b["state"][k][n])), "state %s of %s" % (n, k))
        o.load_state_dict(a)

    test.__name__ = "test_%s_%d" % (name, index)
    setattr(Optimizers, test.__name__, test)


for _i, (_name, _kwargs) in enumerate(CASES):
    _add(_i, _name, _kwargs)


def rates(lib, make, plateau):
    ps = [lib.nn.Parameter(lib.zeros(2)), lib.nn.Parameter(lib.zeros(2))]
    o = lib.optim.SGD([dict(params=ps[:1], lr=0.5), dict(params=ps[1:], lr=0.1)], momentum=0.9)
    s = make(lib.optim.lr_scheduler, o)
    out = []
    for i in range(200):
        o.step()
        out.append([(g["lr"], g["momentum"]) for g in o.param_groups] + list(s.get_last_lr()))
        s.step(i * 7919 % 13) if plateau else s.step()
    return out, s


class Schedules(unittest.TestCase):
    pass


def _add_schedule(name, make):
    def test(self):
        (a, s), (b, t) = (rates(lib, make, name.startswith("Plateau")) for lib in LIBRARIES)
        for i, (x, y) in enumerate(zip(a, b)):
            self.assertEqual(x, y, "step %d" % i)
        self.assertEqual(set(s.state_dict()), set(t.state_dict()))

    setattr(Schedules, "test_" + name, test)


for _name, _make in SCHEDULES.items():
    _add_schedule(_name, _make)

if __name__ == "__main__":
    main()
