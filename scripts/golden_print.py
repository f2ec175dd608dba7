"""Writes tests/golden/print.json: tensors and the text torch prints for them.

A list of objects, one per line: t dtype, s shape, v element bytes in hex, p the tensor as an expression of the C test ("" or
"t" transposed, "s" every second of the last dimension, "e:N" expanded to N rows), o print options, x suffix, m 1 on
meta, d default dtype, w the text. Large tensors are made by rule: r [a, b] means element i is (i * a % b) scaled by f.
"""
import json
import random
import sys

import torch

random.seed(7)
torch.manual_seed(7)
out = []
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
INTS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


def hexed(t):
    t = t.contiguous().reshape(-1)
    if t.dtype == torch.bool:
        t = t.to(torch.uint8)
    return bytes(t.view(torch.uint8).tolist()).hex()


def add(t, p="", suffix="", default=None, rule=None, **options):
    row = {"t": str(t.dtype)[6:], "s": list(t.shape)}
    if t.device.type == "meta":
        row["m"] = 1
    elif rule:
        row["r"] = rule
    else:
        row["v"] = hexed(t)
    shown = t
    if p == "t":
        shown = t.transpose(0, -1)
    elif p == "s":
        shown = t[..., ::2]
    elif p:
        shown = t.expand(int(p[2:]), *t.shape)
    if suffix == "requires_grad=True":
        shown = shown.detach().requires_grad_()
    elif suffix:
        shown = {"AddBackward0": lambda x: x + 0, "MulBackward0": lambda x: x * 1, "NativeLayerNormBackward0": lambda x:
                 torch.native_layer_norm(x, x.shape[-1:], None, None, 0.)[0]}[suffix](shown.detach().requires_grad_())
        row["v"] = hexed(shown.detach()) if p == "" else row["v"]
        suffix = f"grad_fn=<{suffix}>"
    if default:
        torch.set_default_dtype(default)
        row["d"] = str(default)[6:]
    torch.set_printoptions(profile="default", sci_mode=None)
    if options:
        torch.set_printoptions(**options)
        row["o"] = options
    if p:
        row["p"] = p
    if suffix:
        row["x"] = suffix
    row["w"] = repr(shown)
    torch.set_default_dtype(torch.float32)
    out.append(row)


def ruled(n, a, b, f, dtype, *shape):
    i = torch.arange(n, dtype=torch.int64)
    return ((i * a % b).double() * f).to(dtype).reshape(shape), [a, b, f]


nan, inf = float("nan"), float("inf")
HAND = [3.5, 3.0, 1e10, 0.0, -0.0, nan, -inf, 1e-5, 123456.789, -1.0, [1e10, 1.0], [1e-10, 1.0], [nan, 1.0, inf], [nan, -inf], [nan],
        [1.5, inf, -inf], [1e8, 1.0], [100000001.0, 1e8], [99999999.0, 123456.0], [1e9, 2e9], [1000.0, 1.0], [1001.0, 1.0], [0.5, 500.0], [0.5, 501.0],
        [1e-4, 2e-4], [9.9e-5, 1e-4], [1e4, 1.5e-4], [-0.0], [0.0, 0.0], [0.0, 1e-3], [-1.5, 2.25, 1000.0], [0.99999, 1.0], [0.00005, 0.03],
        [1e38, 1.0], [1e-38, 1e-39], [5.0, nan, 1234.0], [-5.0, nan], [[1.0, 2.0], [3.0, 4.5]], [[[1.0]]], [[nan, inf], [-inf, 0.0]],
        [2.5, 1e300], [0.1, 0.2, 0.3], [65504.0, 1.0], [1 / 3] * 9, [1 / 3] * 8, [1 / 3] * 10, [-1 / 3] * 9]
for v in HAND:
    for d in FLOATS[:2]:
        add(torch.tensor(v, dtype=d))
    add(torch.tensor(v, dtype=torch.float64).to(random.choice(FLOATS[2:])))
for v in (0.0, 448.0, 0.0019531, 1.75, -3.5):
    add(torch.tensor([v, 1.0]).to(torch.float8_e4m3fn))
    add(torch.tensor(v).to(torch.float8_e5m2))
add(torch.tensor([nan, 1.0, 2.0]).to(torch.float8_e4m3fn))
for v in (0, 7, -7, [1, -100], [[1, 2], [3, 40]], [], [[[5]]], list(range(40)), [0] * 30, [-128, 127]):
    for d in INTS[1:]:
        add(torch.tensor(v, dtype=d))
add(torch.tensor([2**63 - 1, -2**63]))
add(torch.tensor([0, 255], dtype=torch.uint8))
for v in (True, False, [True, False], [True, True], [[False, True, False]], [True] * 25, []):
    add(torch.tensor(v, dtype=torch.bool))
for s in ((0,), (0, 3), (3, 0), (2, 3, 0), (0, 0)):
    for d in (torch.float32, torch.float64, torch.int64, torch.bool, torch.float16):
        add(torch.empty(s, dtype=d))
    add(torch.empty(s), suffix="requires_grad=True")
    add(torch.empty(s), default=torch.float64)
for s in ((), (3,), (2, 3), (2, 0)):
    for d in (torch.float32, torch.int64, torch.bfloat16):
        add(torch.empty(s, dtype=d, device="meta"))
# suffixes and the line they land on: lengths around the limit
for n in range(1, 14):
    for d in (torch.float32, torch.float64, torch.bfloat16):
        add(torch.rand(n, dtype=d), suffix=random.choice(["requires_grad=True", "AddBackward0", "NativeLayerNormBackward0"]))
    add(torch.arange(n, dtype=torch.float64), suffix="MulBackward0")
    add(torch.rand(2, n), suffix=random.choice(["requires_grad=True", "AddBackward0"]))
    add(torch.randint(0, 10**random.randint(1, 6), (n,), dtype=torch.int32))
# options
for o in (dict(precision=2), dict(precision=0), dict(precision=8), dict(sci_mode=True), dict(sci_mode=False), dict(linewidth=40), dict(linewidth=12),
          dict(linewidth=120), dict(threshold=5), dict(threshold=5, edgeitems=1), dict(threshold=0, edgeitems=2), dict(edgeitems=0, threshold=3), dict(profile="short"),
          dict(precision=10, linewidth=200)):
    named = dict(precision=2, threshold=1000, edgeitems=2) if "profile" in o else o
    for t in (torch.randn(3, 7), torch.randn(2, 3).double(), torch.empty(0), torch.tensor([1e6, 1e-6, 1.0]), torch.arange(30.0), torch.tensor(2.5), torch.arange(12).reshape(3, 4), torch.randn(2, 2, 5), torch.tensor([1e9, nan, 3.0])):
        add(t, **named)
for d in (torch.float32, torch.float64, torch.float16, torch.int32, torch.int64):
    add(torch.tensor([1, 2], dtype=d), default=torch.float64)
# strided
for d in (torch.float32, torch.int64, torch.bool):
    add((torch.randn(3, 4, 5) * 3).to(d), p="t")
    add((torch.randn(2, 6) * 3).to(d), p="s")
    add((torch.randn(4) * 3).to(d), p="e:3")
# summarised
for n, a, b, f, d, *s in ((1001, 7, 5000, 1.0, torch.int64, 1001), (1000, 7, 5000, 1.0, torch.int64, 1000), (2000, 3, 2000, 0.25, torch.float32, 2000), (1200, 11, 1201, 0.001, torch.float32, 30, 40),
                          (3000, 17, 3001, 0.01, torch.float64, 10, 5, 60), (1280, 5, 97, 1.0, torch.float32, 2, 2, 2, 2, 80), (1440, 5, 1000, -0.1, torch.float16, 8, 2, 3, 30),
                          (5000, 3, 2, 1.0, torch.bool, 50, 100), (1100, 1, 7, 1.0, torch.uint8, 1100, 1), (1100, 1, 7, 1.0, torch.int8, 1, 1100), (1302, 1, 1302, 1.0, torch.int32, 7, 6, 31), (2048, 9, 2048, 1e-3, torch.bfloat16, 2, 1024)):
    t, r = ruled(n, a, b, f, d, *s)
    add(t, rule=r)
    add(t, rule=r, p="s")
    add(t, rule=r, edgeitems=1)
    if n == 1001:
        add(t, rule=r, threshold=n)
    if len(s) > 1:
        add(t, rule=r, p="t")
    if d == torch.float32:
        add(t, rule=r, suffix="requires_grad=True")
# random
for _ in range(220):
    d = random.choice(FLOATS + [torch.int64, torch.int32, torch.float32])
    s = [random.randint(1, 4) for _ in range(random.randint(0, 4))]
    scale = 10 ** random.uniform(-6, 9)
    t = torch.randn(s, dtype=torch.float64) * scale
    kind = random.random()
    if kind < 0.3:
        t = t.round()
    elif kind < 0.5:
        t = t * 10 ** (torch.randn(s, dtype=torch.float64))
    if random.random() < 0.15:
        t = torch.where(torch.rand(s) < 0.3, torch.tensor(random.choice([nan, inf, -inf, 0.0]), dtype=torch.float64), t)
    add(t.nan_to_num(0, 1e9, -1e9).to(d) if not d.is_floating_point else t.to(d))
with open(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/print.json", "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in out) + "\n]\n")
print(len(out), "cases")
