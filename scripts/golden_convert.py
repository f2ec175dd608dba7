"""Writes tests/golden/convert.txt: what torch makes of odd values when it converts between element types.

One line per pair: from, to, source bytes and result bytes in hex. Needs torch; run from the root of the tree.
"""
import sys

import torch

NAMES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64",
         "float8_e4m3fn", "float8_e5m2"]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.9, 127.9, 128.0, -129.0, 255.9, 256.0, 300.7, -1.5, -200.3, 1e5, -1e5,
          65504.0, 65519.9, 65520.0, 65536.0, 1e10, -1e10, 2147483520.0, 2147483648.0, -2147483648.0, 9.2e18, -9.3e18, 3e38,
          -3e38, 1e300, 1e-8, 6e-8, 3e-5, 1e-3, 0.0019, 448.0, 464.0, 465.0, 480.0, 57344.0, 61440.0, 61441.0, float("nan"),
          float("inf"), float("-inf"), 0.1, 3.14159265358979, 1e-40, 1 + 2**-8, 1 + 2**-9 + 2**-30, 16777217.0]
INTS = [0, 1, -1, 2, 127, 128, 255, 256, -128, -129, 32767, 32768, -32769, 65519, 65520, 70000, 2**24 + 1, 2**31 - 1, 2**31,
        -2**31 - 1, 2**53 + 1, 2**62 + 12345, -2**63, 2**63 - 1, 33554431, 16842753]


def hexed(t):
    return bytes(t.contiguous().view(torch.uint8).tolist() if t.dtype != torch.bool else t.tolist()).hex()


with open(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/convert.txt", "w") as f:
    for a in NAMES:
        da = getattr(torch, a)
        src = torch.tensor(FLOATS, dtype=torch.float64) if da.is_floating_point else torch.tensor(INTS)
        src = src.to(da)
        for b in NAMES:
            f.write(f"{a} {b} {hexed(src)} {hexed(src.to(getattr(torch, b)))}\n")
