"""torch.profiler: what it records of operators, ranges and steps, and the table and trace it writes."""
import json
import os
import tempfile
import threading
import unittest

from which import REAL, main, torch

from importlib import import_module

P = import_module(torch.__name__ + ".profiler")
CPU = [P.ProfilerActivity.CPU]


def counts(prof):
    return {a.key: a.count for a in prof.key_averages()}


class Profiler(unittest.TestCase):
    def test_operators(self):
        x = torch.randn(8, 8, requires_grad=True)
        with P.profile(activities=CPU, record_shapes=True) as prof:
            with P.record_function("block"):
                y = x.tanh()
                y = torch.mm(y, y)
            y.mul_(3)
            y.sum().backward()
        found = counts(prof)
        self.assertEqual((found["aten::tanh"], found["block"], found["aten::mul_"]), (1, 1, 1))
        self.assertEqual(found["aten::mm"], 3)  # forward, and two in the backward
        block = next(a for a in prof.key_averages() if a.key == "block")
        inside = sum(a.cpu_time_total for a in prof.events() if a.name == "aten::tanh")
        self.assertGreater(block.cpu_time_total, inside)
        self.assertLessEqual(block.self_cpu_time_total, block.cpu_time_total - inside + 1e-6)
        table = prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=4)
        self.assertIn("Self CPU time total", table)
        self.assertEqual(table.count("\n"), 4 + 5)  # three rules, titles, total
        shaped = prof.key_averages(group_by_input_shape=True).table(sort_by="cpu_time_total")
        self.assertIn("[[8, 8], [8, 8]]", shaped)
        self.assertIn("aten::mm", str(prof.key_averages()))

    def test_order_and_outside(self):
        x = torch.ones(3)
        x + 1
        with P.profile(activities=CPU) as prof:
            x.exp()
        x.sin()
        self.assertEqual(counts(prof), {"aten::exp": 1})
        with P.profile(activities=CPU) as prof:
            pass
        self.assertEqual(counts(prof), {})

    def test_threads(self):
        x = torch.ones(3)

        def work():
            for _ in range(20):
                x.exp()

        with P.profile(activities=CPU) as prof:
            threads = [threading.Thread(target=work) for _ in range(4)]
            [t.start() for t in threads]
            [t.join() for t in threads]
        if not REAL:  # PyTorch records the starting thread only
            self.assertEqual(counts(prof)["aten::exp"], 80)
            self.assertEqual(len({e.thread for e in prof.events()}), 4)

    def test_schedule_and_trace(self):
        x = torch.ones(4)
        with tempfile.TemporaryDirectory() as folder:
            seen = []

            def ready(prof):
                seen.append(counts(prof))
                P.tensorboard_trace_handler(folder)(prof)

            with P.profile(activities=CPU, schedule=P.schedule(wait=1, warmup=1, active=2, repeat=2), on_trace_ready=ready) as prof:
                for _ in range(9):
                    x.exp()
                    prof.step()
            self.assertEqual([s["aten::exp"] for s in seen], [2, 2])
            self.assertEqual([s["ProfilerStep*"] for s in seen], [2, 2])
            files = os.listdir(folder)
            self.assertEqual(len(files), 2)
            for name in files:
                with open(os.path.join(folder, name)) as f:
                    events = [e for e in json.load(f)["traceEvents"] if e.get("ph") == "X" and e.get("cat") == "cpu_op"]
                self.assertEqual([e["name"] for e in events], ["aten::exp"] * 2)
                self.assertTrue(all(e["dur"] >= 0 and e["ts"] > 0 for e in events))

    @unittest.skipIf(REAL, "PyTorch's own words")
    def test_one_at_a_time(self):
        with P.profile(activities=CPU):
            with self.assertRaisesRegex(RuntimeError, "one profile at a time"):
                P.profile(activities=CPU).start()
        with P.profile(activities=CPU) as prof:
            torch.ones(1)
        self.assertEqual(counts(prof), {"aten::ones": 1})

    def test_old_door(self):
        with torch.autograd.profiler.profile() as prof:
            torch.ones(2).exp()
        self.assertEqual(counts(prof)["aten::exp"], 1)
        self.assertIn("aten::exp", prof.key_averages().table(sort_by="cpu_time_total"))


if __name__ == "__main__":
    main()
