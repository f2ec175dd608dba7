"""Training that is killed at any moment and resumed from its last checkpoint ends with the same bits as training in one go, under
`python -m taper` and `taper run`; and a checkpoint that is killed while it is written is the old one or the new one."""
import os
import random
import signal
import subprocess
import sys
import tempfile
import unittest

from which import REAL, main, torch

HERE = os.path.dirname(os.path.abspath(__file__))

# A checkpoint after every step holds everything that the next step depends on: parameters, moments, schedule, scaler-free loss history,
# the generator, and the order of the rest of the epoch.
TRAIN = '''
import hashlib, os, struct, sys
import torch
from torch import nn

steps, path = int(sys.argv[1]), sys.argv[2]
torch.manual_seed(5)
model = nn.Sequential(nn.Embedding(17, 12), nn.Flatten(), nn.Linear(48, 32), nn.BatchNorm1d(32), nn.GELU(), nn.Dropout(0.2),
                      nn.Linear(32, 17))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
data = torch.randint(17, (64, 5))
step, losses, order = 0, [], []
if os.path.exists(path):
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    torch.set_rng_state(state["generator"])
    step, losses, order = state["step"], state["losses"], state["order"]
print("start", step, flush=True)
while step < steps:
    if not order:
        order = torch.randperm(64).tolist()
    rows, order = data[order[:16]], order[16:]
    loss = nn.functional.cross_entropy(model(rows[:, :4]), rows[:, 4])
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    step += 1
    losses.append(loss.item())
    print("step", step, flush=True)
    torch.save(dict(model=model.state_dict(), optimizer=optimizer.state_dict(), schedule=schedule.state_dict(), step=step,
                    losses=losses, order=order, generator=torch.get_rng_state()), path)
for name, t in model.state_dict().items():
    values = t.double().flatten().tolist()
    print(name, hashlib.sha256(struct.pack("<%dd" % len(values), *values)).hexdigest())
print("losses", hashlib.sha256(struct.pack("<%dd" % len(losses), *losses)).hexdigest())
'''

# Saves one state after the other for ever; state i is i everywhere.
SAVE = '''
import sys, time
sys.path.insert(0, %r)
from which import torch
def save(i, path):
    torch.save({"step": i, "big": torch.full((1 << 18,), float(i)), "small": [torch.full((3,), float(i)) for _ in range(20)]}, path)
for _ in range(2):
    begin = time.time()
    save(0, sys.argv[1] + ".first")
    took = time.time() - begin
i = int(sys.argv[2])
print(took, flush=True)
while True:
    i += 1
    save(i, sys.argv[1])
'''


def tool():
    """The command line tool of the build that is tested, or None."""
    path = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(torch.__file__)))), "taper")
    path = os.environ.get("TAPER_CLI", path)
    return path if not REAL and os.path.isfile(path) and os.access(path, os.X_OK) else None


def python():
    return [sys.executable] if REAL else [sys.executable, "-m", "taper"]


class Resume(unittest.TestCase):
    STEPS = 40

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.script = os.path.join(self.folder, "train.py")
        with open(self.script, "w") as f:
            f.write(TRAIN)

    def start(self, command, name):
        env = dict(os.environ, TAPER_PYTHON=sys.executable)
        return subprocess.Popen(command + [self.script, str(self.STEPS), os.path.join(self.folder, name)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=env)

    def finish(self, p):
        out, error = p.communicate(timeout=300)
        self.assertEqual(p.returncode, 0, error[-600:])
        return [line for line in out.splitlines() if not line.startswith("st")]

    def killed(self, command, name, kills):
        """Kills the program after a random line each time, then lets it end."""
        luck, begun = random.Random(9), []
        for _ in range(kills):
            p = self.start(command, name)
            lines = luck.randrange(2, 9)
            for _ in range(lines):
                line = p.stdout.readline()
                if line.startswith("start"):
                    begun.append(int(line.split()[1]))
            p.send_signal(signal.SIGKILL)
            p.communicate()
            self.assertEqual(p.returncode, -signal.SIGKILL)
        self.assertGreater(begun[-1], 0)
        return self.finish(self.start(command, name))

    def both(self, command):
        straight = self.finish(self.start(command, "straight.pt"))
        self.assertEqual(len(straight), 11)
        self.assertEqual(self.killed(command, "killed.pt", 5), straight)
        return straight

    def test_killed_and_resumed_ends_with_the_same_bits(self):
        self.both(python())

    def test_by_tool(self):
        if tool() is None:
            self.skipTest("no tool beside the package, and TAPER_CLI does not name one")
        self.assertEqual(self.both([tool(), "run"]), self.finish(self.start(python(), "other.pt")))

    def test_tool_as_module(self):
        """Arguments, exit status, standard input and the name of the script are the same by both ways."""
        if tool() is None:
            self.skipTest("no tool beside the package, and TAPER_CLI does not name one")
        path = os.path.join(self.folder, "what.py")
        with open(path, "w") as f:
            f.write("import sys, torch\nprint(sys.argv, __name__, __file__, sys.stdin.read(), torch.ones(2).sum().item(), sys.path[0])\n"
                    "sys.exit(int(sys.argv[1]))\n")
        env = dict(os.environ, TAPER_PYTHON=sys.executable)
        for code in "0", "3":
            runs = [subprocess.run(c + [path, code, "--help", "-x", ""], input="hello", capture_output=True, text=True, env=env)
                    for c in (python(), [tool(), "run"])]
            self.assertEqual([r.returncode for r in runs], [int(code)] * 2)
            self.assertEqual(runs[0].stdout, runs[1].stdout)
            self.assertIn("'--help', '-x', '']", runs[0].stdout)
        runs = [subprocess.run(c + [os.path.join(self.folder, "none.py")], capture_output=True, text=True, env=env)
                for c in (python(), [tool(), "run"])]
        self.assertEqual([r.returncode for r in runs], [2, 2])


@unittest.skipIf(REAL, "PyTorch writes over the old file")
class KilledSave(unittest.TestCase):
    def test_file_is_old_or_new(self):
        luck, last, moments = random.Random(3), 0, set()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.pt")
            for i in range(100):
                p = subprocess.Popen([sys.executable, "-c", SAVE % HERE, path, str(last)], stdout=subprocess.PIPE)
                took = float(p.stdout.readline())
                try:
                    p.wait(luck.random() * min(3 * took, 0.1))
                except subprocess.TimeoutExpired:
                    pass
                p.send_signal(signal.SIGKILL)
                p.wait()
                p.stdout.close()
                if not os.path.exists(path):
                    self.assertEqual(last, 0)
                    continue
                state = torch.load(path)
                step = state["step"]
                self.assertGreaterEqual(step, last)
                self.assertTrue(bool((state["big"] == step).all()), "kill %d" % i)
                self.assertTrue(all(bool((t == step).all()) for t in state["small"]) and len(state["small"]) == 20)
                moments.add(step - last)
                last = step
            self.assertGreater(last, 20)  # saves went through between the kills
            self.assertGreater(len(moments), 2)  # at different moments
            left = os.path.join(folder, ".x.pt.1-0.tmp")  # as after a kill between the two names, or without O_TMPFILE
            open(left, "w").close()
            other = os.path.join(folder, ".x.pt.notes.tmp")
            open(other, "w").close()
            torch.save({"step": 0}, path)
            self.assertEqual(sorted(os.listdir(folder)), [".x.pt.notes.tmp", "x.pt", "x.pt.first"])


if __name__ == "__main__":
    main()
