"""taper and real PyTorch in one process: the same code on both, values compared. Skips (exit 0) where PyTorch is not importable."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
try:
    import torch
except ImportError:
    print("ok %s # skip no PyTorch to compare with" % os.path.basename(sys.argv[0]))
    sys.exit(0)
if torch.backends.mkl.is_available():  # its Bernoulli and exponential numbers are MKL's then
    os.environ.setdefault("TAPER_CPU_RANDOM", "mkl")
if os.environ.get("TAPER_TEST_PRELOAD"):
    __import__(os.environ["TAPER_TEST_PRELOAD"])
import taper

import which  # noqa: E402  (unittest with ok lines)

LIBRARIES = (taper, torch)
main = which.main


class T:
    """An input of a case: made alike in both libraries. kind: "randn", "rand" or a list of numbers."""

    def __init__(self, *shape, data=None, kind="randn", grad=True, dtype=None):
        self.shape, self.data, self.kind, self.grad, self.dtype = shape, data, kind, grad, dtype

    def make(self, lib, seed):
        if self.data is not None:
            t = lib.tensor(self.data, dtype=None if self.dtype is None else getattr(lib, self.dtype))
        else:
            # Numbers come from PyTorch in both cases: this compares what follows, not the generator.
            g = torch.Generator()
            g.manual_seed(seed)
            t = lib.tensor(getattr(torch, self.kind)(self.shape, generator=g).tolist())
        if self.grad and t.is_floating_point():
            t.requires_grad_()
        return t


def flat(lib, out):
    """All tensors in nested outputs."""
    if isinstance(out, lib.Tensor):
        return [out]
    if isinstance(out, (tuple, list)):
        return [t for o in out for t in flat(lib, o)]
    if isinstance(out, dict):
        return [t for o in out.values() for t in flat(lib, o)]
    return []


def numbers(t):
    return None if t is None else (tuple(t.shape), str(t.dtype), t.detach().double().reshape(-1).tolist())


def close(a, b, rtol=1e-4, atol=1e-5):
    if (a is None) != (b is None):
        return "one is None: %s, %s" % (a, b)
    if a is None:
        return None
    if a[:2] != b[:2]:
        return "%s %s against %s %s" % (a[0], a[1], b[0], b[1])
    worst = 0.0
    for x, y in zip(a[2], b[2]):
        if x != y and not (x != x and y != y):
            d = abs(x - y)
            if not d <= atol + rtol * abs(y):
                worst = max(worst, d) if d == d else float("inf")
    return "values differ by %g" % worst if worst else None
