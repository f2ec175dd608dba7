"""python -m taper: `import torch` is taper in the script, in spawned workers and in subprocesses."""
import os
import subprocess
import sys
import tempfile
import unittest

from which import REAL, main

if REAL:
    print("ok test_alias # skip is about taper only")
    sys.exit(0)
import taper  # noqa: E402

HOME = os.path.dirname(os.path.dirname(os.path.abspath(taper.__file__)))
SCRIPT = """
import os, sys
import torch
import torch.nn as nn
from torch import nn as again
from torch.utils.data import DataLoader, TensorDataset
import torch.nn.functional as F, torch.optim as optim, torch.multiprocessing as mp, torch.backends.cudnn as cudnn
from torch.optim.lr_scheduler import StepLR
import torch.utils.tensorboard, torch.cuda.amp, torch.onnx, torch.distributed

def child(i, x):
    os.write(1, ("child %d %s %s %s\\n" % (i, x, __name__, torch.nn.Linear.__module__)).encode())  # in one piece: two children write

def fails(i):
    raise ValueError("told")

class Squares(torch.utils.data.Dataset):
    def __len__(self): return 4
    def __getitem__(self, i): return torch.tensor(i * i)

if __name__ == "__main__":
    import taper
    assert torch is taper and nn is again and nn is sys.modules["taper.nn"] and torch.nn.modules.linear.Linear is nn.Linear
    assert nn.Linear.__module__ == "torch.nn.modules.linear" and F.relu.__module__ == "torch.nn.functional", nn.Linear.__module__
    print(sys.argv, __file__, flush=True)
    mp.spawn(child, args=(torch.arange(2).tolist(),), nprocs=2)
    try:
        mp.spawn(fails, nprocs=1)
    except mp.ProcessRaisedException as e:
        print("raised", "ValueError: told" in str(e))
    for context in ("fork", "spawn"):
        print([int(x) for b in DataLoader(Squares(), 2, num_workers=1, multiprocessing_context=context) for x in b])
    import subprocess
    print(subprocess.run([sys.executable, "-c", "import torch, taper; print(torch is taper)"], capture_output=True, text=True).stdout.strip())
    try:
        import torch.nope
    except ModuleNotFoundError as e:
        print(e)
    1 / 0
"""


def run(*argv, **kwargs):
    env = dict(os.environ, PYTHONPATH=HOME)
    return subprocess.run([sys.executable, "-m", "taper", *argv], capture_output=True, text=True, env=env, timeout=120, **kwargs)


class Alias(unittest.TestCase):
    def test_script(self):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "script.py")
            with open(path, "w") as f:
                f.write(SCRIPT)
            r = run(path, "a", "--b")
            lines = r.stdout.splitlines()
            self.assertEqual(lines[0], "%r %s" % ([path, "a", "--b"], path), r.stderr)
            self.assertEqual(sorted(lines[1:3]), ["child %d [0, 1] __mp_main__ torch.nn.modules.linear" % i for i in range(2)], r.stderr)
            self.assertEqual(lines[3:], ["raised True", "[0, 1, 4, 9]", "[0, 1, 4, 9]", "True", "No module named 'torch.nope'"], r.stderr)
            self.assertEqual(r.returncode, 1)
            self.assertIn('script.py", line', r.stderr)
            self.assertNotIn("__main__.py", r.stderr)
            self.assertTrue(r.stderr.rstrip().endswith("ZeroDivisionError: division by zero"))

    def test_code_and_module(self):
        self.assertEqual(run("-c", "import torch, sys; print(torch.__name__, sys.argv)", "x").stdout, "torch ['-c', 'x']\n")
        self.assertIn("loop", run("-m", "timeit", "-n", "1", "-r", "1", "import torch").stdout)
        r = run("/nonexistent.py")
        self.assertEqual(r.returncode, 2)
        self.assertIn("can't open file '/nonexistent.py': [Errno 2] No such file or directory", r.stderr)

    def test_exit_status(self):
        self.assertEqual(run("-c", "raise SystemExit(7)").returncode, 7)

    def test_real_torch_is_not_mixed(self):
        code = "import sys, types; sys.modules['torch'] = types.ModuleType('torch'); import taper._alias as a; a.install()"
        r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ, PYTHONPATH=HOME))
        self.assertIn("real torch is already imported", r.stderr)

    def test_without_alias(self):
        code = "import taper as torch, sys; import taper.nn as nn; assert 'torch' not in sys.modules; print(nn.Linear.__module__)"
        r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ, PYTHONPATH=HOME))
        self.assertEqual(r.stdout.strip(), "taper.nn.modules.linear", r.stderr)

    def test_import_budget(self):
        """50 ms and 40 MB over a bare interpreter; the best of several runs, since the machine is shared."""
        code = "import time, resource; t = time.perf_counter(); %s; print(time.perf_counter() - t, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPATH"] = HOME

        def best(statement):
            rows = [subprocess.run([sys.executable, "-c", code % statement], capture_output=True, text=True, env=env).stdout.split()
                    for _ in range(7)]
            return min(float(r[0]) for r in rows), min(int(r[1]) for r in rows)

        seconds, kilobytes = best("import taper")
        _, bare = best("pass")
        self.assertLess(seconds, 0.050)
        self.assertLess(kilobytes - bare, 40 * 1024)


if __name__ == "__main__":
    main()
