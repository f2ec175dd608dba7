"""karpathy/nanoGPT and karpathy/makemore, unmodified, must print the losses that PyTorch printed (tests/golden).

TAPER_NANOGPT and TAPER_MAKEMORE name their checkouts; without them ../shared/nanoGPT and ../shared/makemore are tried. The text for
nanoGPT is data/shakespeare_char/input.txt of the checkout, or TAPER_SHAKESPEARE, or ../shared/data/tinyshakespeare.txt. nanoGPT needs
numpy. What is missing makes a test say `skipped`. Programs run in a copy, under the interpreter that runs this file.
"""
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "python"))
from which import REAL, main  # noqa: E402  (also imports the package that is tested)

SHARED = os.path.join(os.path.dirname(ROOT), "shared")
RELATIVE = 1e-3
NANO = ["config/train_shakespeare_char.py", "--device=cpu", "--eval_iters=20", "--log_interval=1", "--block_size=64", "--batch_size=12",
        "--n_layer=4", "--n_head=4", "--n_embd=128", "--lr_decay_iters=2000"]


def golden(name):
    """{command: [line...]} of a table of runs."""
    runs = {}
    with open(os.path.join(ROOT, "tests", "golden", name), encoding="ascii") as f:
        for line in f.read().splitlines()[1:]:
            if line.startswith("# "):
                lines = runs.setdefault(line[2:].rpartition(": ")[2], [])
            else:
                lines.append(line)
    return runs


def tool():
    """The command line tool of the build that is tested, or None."""
    import taper

    path = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(taper.__file__)))), "taper")
    path = os.environ.get("TAPER_CLI", path)
    return path if os.path.isfile(path) and os.access(path, os.X_OK) else None


class Programs(unittest.TestCase):
    variable = neighbour = None

    @classmethod
    def setUpClass(cls):
        source = os.environ.get(cls.variable) or os.path.join(SHARED, cls.neighbour)
        cls.why = None if os.path.isdir(source) else "no checkout: %s does not name one and %s is not there" % (cls.variable, source)
        cls.home = None
        if cls.why is None:
            cls.home = tempfile.mkdtemp(prefix="taper-gpt-")
            cls.work = os.path.join(cls.home, "checkout")
            shutil.copytree(source, cls.work, ignore=shutil.ignore_patterns(".git", "out*"))
            cls.prepare()

    @classmethod
    def prepare(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        if cls.home:
            shutil.rmtree(cls.home)

    def setUp(self):
        if self.why:
            self.skipTest("skipped: " + self.why)

    @classmethod
    def run_program(cls, *args, rules="mkl", by_tool=False):
        env = dict(os.environ, TAPER_CPU_RANDOM=rules, TAPER_PYTHON=sys.executable)
        env["PYTHONPATH"] = os.pathsep.join(p for p in (env.get("PYTHONPATH"), cls.home) if p)
        command = [tool(), "run"] if by_tool else [sys.executable] if REAL else [sys.executable, "-m", "taper"]
        done = subprocess.run(command + list(args), cwd=cls.work, env=env, capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise AssertionError("%s: exit status %d: %s" % (" ".join(args), done.returncode, done.stderr[-600:]))
        return done.stdout

    def compare(self, output, want):
        """Each wanted line must be there, in order; words alike, numbers within RELATIVE."""
        number = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
        have = [re.sub(r"(, time| \| step time).*", "", line) for line in output.splitlines()]
        words = [number.sub("N", line) for line in want]
        have = [line for line in have if number.sub("N", line) in set(words)]
        self.assertEqual([number.sub("N", line) for line in have], words)
        self.assertGreater(len(want), 3)
        for got, line in zip(have, want):
            for a, b in zip(number.findall(got), number.findall(line)):
                self.assertLessEqual(abs(float(a) - float(b)), RELATIVE * abs(float(b)), "got %r, PyTorch printed %r" % (got, line))


class NanoGPT(Programs):
    variable, neighbour = "TAPER_NANOGPT", "nanoGPT"

    @classmethod
    def prepare(cls):
        if importlib.util.find_spec("numpy") is None:
            cls.why = "%s has no numpy" % sys.executable
            return
        text = os.path.join(cls.work, "data", "shakespeare_char", "input.txt")
        source = os.environ.get("TAPER_SHAKESPEARE") or os.path.join(SHARED, "data", "tinyshakespeare.txt")
        if not os.path.exists(text):
            if not os.path.exists(source):
                cls.why = "no text: neither %s nor %s" % (text, source)
                return
            shutil.copy(source, text)
        for name in ("requests", "tiktoken"):  # imported, and not used when the text is there
            if importlib.util.find_spec(name) is None:
                with open(os.path.join(cls.home, name + ".py"), "w"):
                    pass
        cls.prepared = cls.run_program("data/shakespeare_char/prepare.py")
        cls.runs = golden("nanogpt_char.txt")

    def train(self, key, *more):
        return self.run_program("train.py", *NANO, *(more or ()), *key.split())

    def test_prepare(self):
        self.assertIn("train has 1,003,854 tokens\nval has 111,540 tokens", self.prepared)

    def test_losses(self):
        key = next(k for k in self.runs if "--dropout=0.0" in k)
        self.compare(self.train(key), self.runs[key])

    def test_losses_compiled(self):
        key = next(k for k in self.runs if "--dropout=0.0" in k)
        self.compare(self.train(key.replace("--compile=False", "--compile=True")), self.runs[key])

    def test_losses_plain_random_numbers(self):
        """The table without dropout uses no number that the two rules make differently."""
        key = next(k for k in self.runs if "--dropout=0.0" in k)
        self.compare(self.run_program("train.py", *NANO, *key.split(), rules="plain"), self.runs[key])

    def test_dropout_resume_sample(self):
        first, second = [k for k in self.runs if "--dropout=0.2" in k]
        self.compare(self.train(first, "--out_dir=out-dropout"), self.runs[first])
        self.compare(self.train(second, "--out_dir=out-dropout"), self.runs[second])
        last = next(k for k in self.runs if "--num_samples" in k)
        text = self.run_program("sample.py", "--out_dir=out-dropout", *last.split())
        self.assertIn(json.loads(self.runs[last][0].partition(" ")[2]), text)


class Makemore(Programs):
    variable, neighbour = "TAPER_MAKEMORE", "makemore"

    @classmethod
    def prepare(cls):
        cls.runs = golden("makemore.txt")

    def check(self, kind, steps=51, by_tool=False):
        key = "--type %s --max-steps %d" % (kind, steps)
        folder = os.path.join(self.home, "%s-%d-%d" % (kind, steps, by_tool))
        output = self.run_program("makemore.py", *key.split(), "--work-dir", folder, by_tool=by_tool)
        self.compare(output, self.runs[key])
        events = [name for name in os.listdir(folder) if name.startswith("events.out.tfevents.")]
        self.assertEqual(len(events), 1)
        with open(os.path.join(folder, events[0]), "rb") as f:
            return folder, f.read()

    def test_by_tool(self):
        if tool() is None:
            self.skipTest("skipped: no tool beside the package, and TAPER_CLI does not name one")
        self.check("bigram", by_tool=True)

    def test_evaluation(self):
        folder, events = self.check("mlp", 501)
        self.assertIn(b"Loss/test", events)
        self.assertGreater(os.path.getsize(os.path.join(folder, "model.pt")), 4 * 69147)


for _kind in ("bigram", "mlp", "rnn", "gru", "bow", "transformer"):
    setattr(Makemore, "test_losses_" + _kind, lambda self, kind=_kind: self.check(kind))
del Programs

if __name__ == "__main__":
    main()
