#!/usr/bin/env python3
"""taper bench, and PyTorch where it can be imported, side by side.

    python3 bench/run.py [WORKLOAD...] [--device cpu|cuda] [--quick] [--taper build/taper] [--peer SCRIPT]

The peer script prints one JSON line for each figure, as `taper bench` does; figures of the same workload and variant are
compared. The ratio is above 1 where taper is better.
"""
import argparse
import datetime
import json
import os
import platform
import subprocess
import sys

WORKLOADS = ["startup", "overhead", "mlp", "gpt2", "adamw", "pointwise", "gemm"]
SMALLER_IS_BETTER = {"ms", "us", "s"}


def lines(command):
    try:
        out = subprocess.run(command, stdout=subprocess.PIPE, universal_newlines=True).stdout
    except OSError as e:
        print("cannot run %s: %s" % (command[0], e), file=sys.stderr)
        return []
    return [json.loads(x) for x in out.splitlines() if x.startswith("{")]


def processor():
    try:
        with open("/proc/cpuinfo") as f:
            return next(x.split(":", 1)[1].strip() for x in f if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    p = argparse.ArgumentParser()
    p.add_argument("workload", nargs="*")
    p.add_argument("--device", default="cpu")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--taper", default=os.path.join(here, "build", "taper"))
    p.add_argument("--peer", default=os.environ.get("TAPER_BENCH_PEER"))
    p.add_argument("--peer-python", default=os.environ.get("TAPER_BENCH_PYTHON", sys.executable))
    a = p.parse_args()
    rest = (a.workload or WORKLOADS) + ["--device", a.device] + (["--quick"] if a.quick else [])
    ours = lines([a.taper, "bench"] + rest)
    theirs = lines([a.peer_python, a.peer] + rest) if a.peer else []
    peer = {(x["workload"], x["variant"], x["figure"]): x for x in theirs if "value" in x}
    print("%s; %s, %d CPUs" % (datetime.date.today().isoformat(), processor(), len(os.sched_getaffinity(0))))
    print("| workload | variant | unit | taper | PyTorch | ratio |\n|---|---|---|---|---|---|")
    for x in ours:
        y = peer.get((x["workload"], x["variant"], x["figure"]))
        there, ratio = "", ""
        if y and y["unit"] == x["unit"]:
            better = y["value"] / x["value"] if x["unit"] in SMALLER_IS_BETTER else x["value"] / y["value"]
            there, ratio = "%.4g" % y["value"], "%.2f" % better
        print("| %s | %s | %s | %.4g | %s | %s |" % (x["workload"], x["variant"], x["unit"], x["value"], there, ratio))
    for x in theirs:
        if "error" in x:
            print("PyTorch, %s: %s" % (x["workload"], x["error"]), file=sys.stderr)
    return 0 if ours else 1


if __name__ == "__main__":
    sys.exit(main())
