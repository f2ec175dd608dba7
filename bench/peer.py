#!/usr/bin/env python3
"""One side of a comparison: PyTorch, or taper under `python -m taper`. bench/run.py starts one process of each and asks in turn.

    echo mlp | python3 bench/peer.py [--device cpu|cuda] [--seconds S] [--settings best|own]

Reads workloads from stdin, one a line; `drop` forgets the last one. Each figure is one JSON line: workload, variant, unit and the
samples of this visit; a line {"done": WORKLOAD} ends the visit. With --settings best, a variant is measured in each setting
PyTorch has for it (torch.compile, fused optimisers); the reader keeps the best.
"""
import argparse
import gc
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch
import torch.nn as nn
import torch.nn.functional as F

import models

GEMM = {"cpu": (256, 512, 1000, 1024, 2048, 4096), "cuda": (1000, 1024, 2048, 4096, 8192)}
CHAIN = 2000


class Figure:
    """A step to time. value(seconds) turns the time of one step into the figure."""

    def __init__(self, variant, unit, step, value, setting="eager", warm=3):
        self.variant, self.unit, self.step, self.value, self.setting = variant, unit, step, value, setting
        self.warm, self.inner, self.threads = warm, 0, 0


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


THREADS = torch.get_num_threads()


def samples(f, device, seconds):
    clock = time.perf_counter
    if device == "cpu":
        torch.set_num_threads(f.threads or THREADS)
    if not f.inner:
        for _ in range(f.warm):
            f.step()
        wait(device)
        begin = clock()
        f.step()
        wait(device)
        f.inner = max(1, min(500, int(0.004 / max(clock() - begin, 1e-7))))
    out, end = [], clock() + seconds
    f.step()
    wait(device)
    while len(out) < 2 or (clock() < end and len(out) < 40):
        begin = clock()
        for _ in range(f.inner):
            f.step()
        wait(device)
        out.append(f.value((clock() - begin) / f.inner))
    return out


def micro(seconds):
    return seconds * 1e6


def per_link(seconds):
    return seconds / CHAIN * 1e6


def overhead(device, best):
    """Host cost of one tiny operator, in a loop long enough to hide the rest."""
    x, w = torch.ones(1, device=device), torch.ones(1, device=device, requires_grad=True)

    def add():
        for _ in range(CHAIN):
            x + 1.0

    def add_tensors():
        for _ in range(CHAIN):
            x + x

    def add_():
        for _ in range(CHAIN):
            x.add_(1.0)

    def chain():
        y = x
        for _ in range(CHAIN):
            y = y + 1.0

    def add_grad():
        for _ in range(CHAIN):
            w + 1.0

    def grad_chain():
        y = w
        for _ in range(CHAIN):
            y = y * 1.0
        y.backward()

    steps = (("add", add), ("add_tensors", add_tensors), ("add_", add_), ("chain", chain), ("add_grad", add_grad),
             ("grad_chain_fwd_bwd", grad_chain))
    return [Figure(name, "us", step, per_link) for name, step in steps]


def training(net, loss_of, variant, unit, value, optimizer, settings, device, warm):
    """One whole training step in each setting."""
    out = []
    for setting, compiled, fused in settings:
        torch.manual_seed(0)
        model = net()
        optim = optimizer(model.parameters(), **({"fused": True} if fused else {}))
        run = torch.compile(model) if compiled else model

        def step(run=run, optim=optim):
            optim.zero_grad(set_to_none=True)
            loss_of(run).backward()
            optim.step()

        out.append(Figure(variant, unit, step, value, setting, warm))
    return out


BEST = [("eager", False, False), ("eager, fused optimiser", False, True), ("compile", True, False), ("compile, fused optimiser", True, True)]
OWN = [("eager", False, False)]


def mlp(device, best):
    x, y = torch.randn(64, 784, device=device), torch.randint(10, (64,), device=device)
    loss = lambda m: F.cross_entropy(m(x), y)
    sgd = lambda p, **k: torch.optim.SGD(p, lr=1e-2, **k)
    out = training(lambda: models.mlp().to(device), loss, "step", "us", micro, sgd, BEST if best else OWN, device, 20)
    if device == "cpu" and best:  # waking a second thread can cost more than this little work
        alone = training(models.mlp, loss, "step", "us", micro, sgd, [("eager, fused optimiser, 1 thread", False, True)], device, 20)
        alone[0].threads = 1
        out += alone
    if device == "cuda":
        model = models.mlp().to(device)
        optim = sgd(model.parameters())

        def step():
            optim.zero_grad(set_to_none=True)
            loss(model).backward()
            optim.step()

        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        optim.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            loss(model).backward()
            optim.step()
        out.append(Figure("graph", "us", graph.replay, micro, "captured graph"))
    return out


def gpt2(device, best):
    gpu = device == "cuda"
    layers, width, heads, vocabulary, batch, context = (12, 768, 12, 50304, 32, 1024) if gpu else (4, 128, 4, 256, 8, 128)
    x, y = (torch.randint(vocabulary, (batch, context), device=device) for _ in range(2))
    if gpu:
        torch.backends.cuda.matmul.allow_tf32 = True

    def loss(model):
        if not gpu:
            return model(x, y)
        with torch.autocast("cuda", torch.bfloat16):
            return model(x, y)

    settings = [s for s in BEST if s[2]] if gpu and best else BEST if best else OWN
    adamw = lambda p, **k: torch.optim.AdamW(p, lr=3e-4, **k)
    net = lambda: models.GPT(layers, width, heads, vocabulary, context).to(device)
    return training(net, loss, "step", "tokens/s", lambda t: batch * context / t, adamw, settings, device, 3)


def resnet18(device, best):
    batch = 8
    x, y = torch.randn(batch, 3, 224, 224, device=device), torch.randint(1000, (batch,), device=device)
    sgd = lambda p, **k: torch.optim.SGD(p, lr=0.1, momentum=0.9, **k)
    settings = [s for s in BEST if not s[2]] if best else OWN
    out = training(lambda: models.ResNet18().to(device), lambda m: F.cross_entropy(m(x), y), "step", "img/s", lambda t: batch / t, sgd,
                   settings, device, 1)
    if best:
        last, z = torch.channels_last, x.to(memory_format=torch.channels_last)
        out += training(lambda: models.ResNet18().to(device).to(memory_format=last), lambda m: F.cross_entropy(m(z), y), "step", "img/s",
                        lambda t: batch / t, sgd, [("eager, channels last", False, False)], device, 1)
    return out


def pointwise(device, best):
    """Memory-bound work over 2^24 float32 (GPU: 2^28 bfloat16) elements; bytes count one read and one write."""
    n, dtype = (2**28, torch.bfloat16) if device == "cuda" else (2**24, torch.float32)
    x = torch.randn(n // 4096, 4096, device=device).to(dtype)
    w, bias = torch.ones(4096, device=device).to(dtype), torch.zeros(4096, device=device).to(dtype)
    steps = (("copy", lambda: x.clone()), ("softmax", lambda: F.softmax(x, -1)), ("layer_norm", lambda: F.layer_norm(x, (4096,), w, bias)),
             ("bias_gelu", lambda: F.gelu(x + bias, approximate="tanh")), ("chain5", lambda: torch.tanh(x * 2 + 1) * x + bias))
    value = lambda t: 2 * n * x.element_size() / t / 1e9
    out = []
    for name, step in steps:
        out.append(Figure(name, "GB/s", step, value, warm=1))
        if best:
            out.append(Figure(name, "GB/s", torch.compile(step), value, "compile", warm=2))
    return out


def adamw(device, best):
    count = 500 if device == "cuda" else 100
    ps = [torch.randn(1024, 1024, device=device, requires_grad=True) for _ in range(count)]
    for p in ps:
        p.grad = torch.randn_like(p)
    settings = (("eager", {}), ("fused", {"fused": True}), ("foreach", {"foreach": True})) if best else (("eager", {}),)
    value = lambda t: count * 2**20 * 4 * 7 / t / 1e9
    return [Figure("step", "GB/s", torch.optim.AdamW(ps, lr=1e-4, **k).step, value, s, warm=1) for s, k in settings]


def gemm(device, best):
    out = []
    for n in GEMM[device]:
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
            if device == "cuda" or name == "fp32":
                a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
                scale = 1e12 if device == "cuda" else 1e9
                out.append(Figure("%s/%d" % (name, n), "TFLOP/s" if device == "cuda" else "GFLOP/s", lambda a=a, b=b: a @ b,
                                  lambda t, n=n: 2 * n**3 / t / scale, warm=2))
    return out


WORKLOADS = {"overhead": overhead, "mlp": mlp, "gpt2": gpt2, "resnet18": resnet18, "pointwise": pointwise, "adamw": adamw, "gemm": gemm}


def say(**line):
    print(json.dumps(line), flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--device", default="cpu")
    p.add_argument("--seconds", type=float, default=0.4, help="time for each figure and visit")
    p.add_argument("--settings", choices=("best", "own"), default="best")
    a = p.parse_args()
    name, figures = None, []
    while True:
        word = sys.stdin.readline().strip()
        if not word:
            return
        if word != name:
            figures = []
            gc.collect()
            if hasattr(torch, "_dynamo") and hasattr(torch._dynamo, "reset"):
                torch._dynamo.reset()
            name = None
        try:
            if word != "drop":
                if name is None:
                    figures = WORKLOADS[word](a.device, a.settings == "best")
                    name = word
                for f in list(figures):
                    try:
                        say(workload=word, variant=f.variant, unit=f.unit, setting=f.setting, samples=samples(f, a.device, a.seconds))
                    except Exception as e:
                        figures.remove(f)
                        say(workload=word, variant=f.variant, error=("%s: %s" % (type(e).__name__, e))[:300])
        except Exception as e:
            say(workload=word, error=("%s: %s" % (type(e).__name__, e))[:300])
        say(done=word, version=torch.__version__)


if __name__ == "__main__":
    main()
