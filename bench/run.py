#!/usr/bin/env python3
"""taper and PyTorch side by side: taper from C, taper from Python, and PyTorch where it can be imported.

    python3 bench/run.py [WORKLOAD...] [--device cpu|cuda] [--quick] [--record]

For each workload the sides take turns, several rounds; a figure is the median over all rounds, the best sample stands beside it.
PyTorch counts with the best of its settings (eager, torch.compile, fused optimisers). The ratio is above 1 where taper is
better. `make bench` builds and calls this; --record appends the table to bench/RESULTS.md.
"""
import argparse
import datetime
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time

import startup

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORKLOADS = {"cpu": ["startup", "overhead", "mlp", "gpt2", "resnet18", "pointwise", "adamw", "gemm"],
             "cuda": ["startup", "overhead", "mlp", "pointwise", "adamw", "gemm", "gpt2"]}
IN_C = {"overhead", "mlp", "gpt2", "pointwise", "adamw", "gemm"}
SMALLER_IS_BETTER = {"ms", "us", "s", "KB"}
# What a figure must reach: (side, workload, variant) -> number, or ("x", ratio to PyTorch).
TARGETS = {
    "cpu": {("C", "overhead", "add_tensors"): 0.15, ("C", "overhead", "add_grad"): 0.25, ("Python", "overhead", "add_tensors"): 0.3,
            ("Python", "overhead", "add"): 0.3, ("Python", "overhead", "add_grad"): 0.5, ("Python", "overhead", "grad_chain_fwd_bwd"): 0.9,
            ("Python", "startup", "import"): 50, ("Python", "startup", "resident"): 40960, ("Python", "startup", "installed"): 12288,
            ("*", "mlp", "step"): ("x", 3), ("*", "gpt2", "step"): ("x", 2), ("*", "resnet18", "step"): ("x", 1.1), ("*", "pointwise", "softmax"): 25,
            ("*", "pointwise", "layer_norm"): 25, ("*", "pointwise", "bias_gelu"): 25,
            **{("*", "gemm", "fp32/%d" % n): 450 for n in (256, 512, 1000, 1024, 2048, 4096)}},
    "cuda": {("Python", "startup", "first_tensor"): 400, ("C", "overhead", "add_tensors"): 1.5, ("Python", "overhead", "add_tensors"): 2.5,
             ("Python", "overhead", "add"): 2.5, ("C", "mlp", "step"): 150, ("Python", "mlp", "step"): 250, ("*", "mlp", "graph"): 60,
             ("*", "gpt2", "step"): 450e3}}


class Side:
    """A process of bench/peer.py that answers one workload at a time. It is stopped while the others are measured: threads that
    spin for the next piece of work would take a core from them."""

    def __init__(self, name, command, env, arguments):
        self.name, self.version = name, ""
        self.log = open(os.path.join("/tmp", "taper-bench-%s-%d.log" % (name, os.getpid())), "w+")
        self.process = subprocess.Popen(command + [os.path.join(HERE, "bench", "peer.py")] + arguments, env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log, universal_newlines=True, start_new_session=True)

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)  # its own group: compilers it started stop too
        except OSError:
            pass

    def visit(self, workload):
        self.signal(signal.SIGCONT)
        try:
            self.process.stdin.write(workload + "\n")
            self.process.stdin.flush()
        except OSError:
            pass
        while True:
            text = self.process.stdout.readline()
            if not text:
                return
            line = json.loads(text) if text.startswith("{") else {}
            if "done" in line:
                self.version = line["version"]
                self.signal(signal.SIGSTOP)
                return
            if line:
                yield line

    def end(self):
        self.signal(signal.SIGCONT)
        self.process.stdin.close()
        if self.process.wait():
            self.log.seek(0)
            print("%s: exit %d\n%s" % (self.name, self.process.returncode, self.log.read()[-2000:]), file=sys.stderr)
        self.log.close()
        os.unlink(self.log.name)


def from_c(tool, workload, rest):
    out = subprocess.run([tool, "bench", workload] + rest, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    if out.returncode:
        print("%s bench %s: exit %d: %s" % (tool, workload, out.returncode, out.stderr.strip()[-500:]), file=sys.stderr)
    for text in out.stdout.splitlines():
        if text.startswith("{"):
            line = json.loads(text)
            if "value" in line:
                line["samples"] = [line["value"]]
            if workload == "gpt2":
                line["variant"] = "step"
            yield line


class Table:
    def __init__(self):
        self.samples, self.units, self.rows = {}, {}, []

    def add(self, side, line):
        if "error" in line:
            print("%s, %s %s: %s" % (side, line["workload"], line.get("variant", ""), line["error"]), file=sys.stderr)
            return
        row = (line["workload"], line["variant"])
        if row not in self.rows:
            self.rows.append(row)
        self.units[row] = line["unit"]
        self.samples.setdefault((side, row), {}).setdefault(line.get("setting", ""), []).extend(line["samples"])

    def figure(self, side, row):
        """(median, best sample, setting) of the setting with the best median."""
        low = self.units[row] in SMALLER_IS_BETTER
        found = [(statistics.median(v), (min if low else max)(v), s) for s, v in self.samples.get((side, row), {}).items() if v]
        return (min if low else max)(found) if found else None

    def lines(self, device):
        for row in self.rows:
            peer, unit = self.figure("PyTorch", row), self.units[row]
            for side in ("C", "Python"):
                ours = self.figure(side, row)
                if not ours:
                    continue
                fair = peer and not (side == "C" and row[0] == "overhead")  # an interpreter's loop against a C loop says nothing
                low = unit in SMALLER_IS_BETTER
                ratio = (peer[0] / ours[0] if low else ours[0] / peer[0]) if fair else None
                goal = TARGETS[device].get((side,) + row, TARGETS[device].get(("*",) + row))
                text, met = "", ""
                if isinstance(goal, tuple):
                    text, met = ">= %gx" % goal[1], "" if ratio is None else "yes" if ratio >= goal[1] else "no"
                elif goal:
                    text, met = "%s %g" % ("<=" if low else ">=", goal), "yes" if (ours[0] <= goal if low else ours[0] >= goal) else "no"
                yield "| %s | %s %s | %s | %s | %.4g (%.4g) | %s | %s | %s | %s |" % (
                    "%.2f" % ratio if ratio is not None else "", row[0], row[1], side, unit, ours[0], ours[1],
                    "%.4g (%.4g)" % peer[:2] if fair else "", peer[2] if fair else "", text, met)


def processor():
    try:
        with open("/proc/cpuinfo") as f:
            facts = dict(x.split(":", 1) for x in f if ":" in x)
        facts = {k.strip(): v.strip() for k, v in facts.items()}
        return "%s, family %s model %s" % (facts.get("model name", platform.machine()), facts.get("cpu family", "?"), facts.get("model", "?"))
    except OSError:
        return platform.machine()


def has_torch(python):
    code = "import torch, sys; sys.exit('taper' in torch.__version__)"
    try:
        return subprocess.run([python, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def measure(a, table, sides, workload):
    rest = ["--device", a.device] + (["--quick"] if a.quick else [])
    for turn in range(a.rounds):
        order = list(sides) if turn % 2 else list(reversed(sides))  # nobody always comes first
        if workload in IN_C and (turn == 0 or not (a.device == "cuda" and workload == "gpt2")):
            for line in from_c(a.taper, workload, rest):
                table.add("C", line)
        for side in order:
            for line in side.visit(workload):
                table.add(side.name, line)
    for side in sides:
        list(side.visit("drop"))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("workload", nargs="*")
    p.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    p.add_argument("--quick", action="store_true", help="one round, short")
    p.add_argument("--rounds", type=int)
    p.add_argument("--record", action="store_true", help="append the table to bench/RESULTS.md")
    p.add_argument("--build", default=os.path.join(HERE, "build"))
    p.add_argument("--python", default=sys.executable, help="the interpreter taper's extension was built for")
    p.add_argument("--no-peer", action="store_true")
    p.add_argument("--peer-python", default=os.environ.get("TORCH_PYTHON", "python3"))
    a = p.parse_args()
    a.taper, a.rounds = os.path.join(a.build, "taper"), a.rounds or (1 if a.quick else 3)
    begin = time.time()
    chosen = a.workload or WORKLOADS[a.device]
    ours_env = dict(os.environ, PYTHONPATH=os.path.abspath(os.path.join(a.build, "python")))
    peer_env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    peer = not a.no_peer and has_torch(a.peer_python)
    arguments = ["--device", a.device, "--seconds", "0.15" if a.quick else "0.4"]
    table, sides = Table(), []
    if set(chosen) - {"startup"}:
        sides = [Side("Python", [a.python, "-m", "taper"], ours_env, arguments + ["--settings", "own"])]
        if peer:
            sides.append(Side("PyTorch", [a.peer_python], peer_env, arguments))
    for workload in chosen:
        print("%4.0f s  %s" % (time.time() - begin, workload), file=sys.stderr, flush=True)
        if workload == "startup":
            for line in startup.figures(a, ours_env, peer_env if peer else None):
                table.add(line.pop("side"), line)
        else:
            measure(a, table, sides, workload)
    versions = ["%s %s" % (s.name, s.version) for s in sides]
    for side in sides:
        side.end()
    head = ["", "## %s" % datetime.date.today().isoformat(), "",
            "`bench/run.py %s`: %s, %d CPUs; %s; load %.1f; %d rounds, %.0f s. Median (best sample)." % (
                " ".join(sys.argv[1:]), processor(), len(os.sched_getaffinity(0)), "; ".join(versions) or "startup only",
                os.getloadavg()[2], a.rounds, time.time() - begin), "",
            "| ratio | workload | from | unit | taper | PyTorch | its best setting | target | met |", "|---|---|---|---|---|---|---|---|---|"]
    text = "\n".join(head + list(table.lines(a.device))) + "\n"
    print(text)
    if a.record:
        with open(os.path.join(HERE, "bench", "RESULTS.md"), "a") as f:
            f.write(text)
    return 0 if table.rows else 1


if __name__ == "__main__":
    sys.exit(main())
