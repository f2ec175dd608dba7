"""torch.save and torch.load: what comes back, what is refused and in which words, what a killed save leaves."""
import argparse
import collections
import io
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import unittest
import warnings
import zipfile

from which import REAL, main, torch

warnings.simplefilter("ignore")


def trip(obj, **kwargs):
    f = io.BytesIO()
    torch.save(obj, f)
    f.seek(0)
    return torch.load(f, **kwargs)


class Runs:
    """Unpickled, it would leave a mark."""

    def __reduce__(self):
        return os.mkdir, (MARK,)


MARK = os.path.join(tempfile.gettempdir(), "taper-code-ran-%d" % os.getpid())


class Contents(unittest.TestCase):
    def test_kinds(self):
        x = torch.randn(4, 5)
        obj = {"view": x[1:, ::2], "base": x, "p": torch.nn.Parameter(torch.ones(2)), "dtype": torch.float16, "device": torch.device("cuda:0"),
               "size": torch.Size([1]), "empty": torch.empty(0, 3), "list": [1, 2.5, None, "x", b"by", True, 1 << 80],
               "od": collections.OrderedDict(a=1), "set": {1, 2}, "bf16": torch.ones(3).bfloat16(), "i8": torch.tensor([1, -1], dtype=torch.int8),
               "bool": torch.tensor([True]), "zero": torch.tensor(3), "tuple": (1, (2,))}
        got = trip(obj)
        for k, v in obj.items():
            self.assertIs(type(got[k]), type(v), k)
            if isinstance(v, torch.Tensor):
                self.assertEqual((got[k].dtype, got[k].shape, got[k].stride()), (v.dtype, v.shape, v.stride()), k)
                self.assertTrue(torch.equal(got[k], v), k)
            else:
                self.assertEqual(got[k], v, k)
        got["base"][1, 0] = 77
        self.assertEqual(got["view"][0, 0].item(), 77)
        self.assertTrue(got["p"].requires_grad)

    def test_training_state_resumes(self):
        def make():
            torch.manual_seed(0)
            m = torch.nn.Linear(3, 2)
            return m, torch.optim.AdamW(m.parameters(), lr=0.1)

        def step(m, o):
            o.zero_grad()
            m(torch.ones(1, 3)).sum().backward()
            o.step()

        m, o = make()
        step(m, o)
        saved = trip({"m": m.state_dict(), "o": o.state_dict(), "n": 1})
        step(m, o)
        n, q = make()
        n.load_state_dict(saved["m"])
        q.load_state_dict(saved["o"])
        step(n, q)
        self.assertTrue(torch.equal(m.weight, n.weight))

    def test_path_mmap_and_layout(self):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "a.pt")
            x = torch.randn(100)
            torch.save({"x": x}, path)
            for kwargs in ({}, {"mmap": True}, {"map_location": "cpu"}, {"map_location": {"cuda:0": "cpu"}},
                           {"map_location": lambda storage, loc: storage}, {"weights_only": False}):
                got = torch.load(path, **kwargs)["x"]
                self.assertTrue(torch.equal(got, x), kwargs)
                got.add_(1)
            self.assertTrue(torch.equal(torch.load(path)["x"], x))
            names = zipfile.ZipFile(path).namelist()
            self.assertIn("a/data.pkl", names)
            self.assertIn("a/data/0", names)
            self.assertEqual(os.listdir(d), ["a.pt"])

    def test_whole_module(self):
        m = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.LSTM(3, 2))
        n = trip(m, weights_only=False)
        self.assertEqual(repr(n), repr(m))
        self.assertTrue(torch.equal(n[0].weight, m[0].weight))
        with self.assertRaisesRegex(pickle.UnpicklingError, "GLOBAL torch.nn.modules.container.Sequential was not an allowed global"):
            trip(m)
        names = [torch.nn.Sequential, torch.nn.Linear, torch.nn.modules.activation.ReLU, torch.nn.modules.rnn.LSTM]
        with torch.serialization.safe_globals(names):
            self.assertEqual(repr(trip(m)), repr(m))


class Refusals(unittest.TestCase):
    def test_classes(self):
        with self.assertRaises(pickle.UnpicklingError) as caught:
            trip(argparse.Namespace(a=1))
        text = str(caught.exception)
        self.assertIn("Weights only load failed. This file can still be loaded, to do so you have two options", text)
        self.assertIn("Unsupported global: GLOBAL argparse.Namespace was not an allowed global by default. Please use "
                      "`torch.serialization.add_safe_globals([Namespace])`", text)
        self.assertEqual(trip(argparse.Namespace(a=1), weights_only=False).a, 1)
        with torch.serialization.safe_globals([argparse.Namespace]):
            self.assertEqual(trip(argparse.Namespace(a=torch.ones(1))).a.item(), 1)

    def test_code_does_not_run(self):
        f = io.BytesIO()
        torch.save([Runs()], f)
        f.seek(0)
        with self.assertRaises(pickle.UnpicklingError):
            torch.load(f)
        self.assertFalse(os.path.exists(MARK))

    @unittest.skipIf(torch.cuda.is_available(), "there is a GPU")
    def test_device(self):
        f = io.BytesIO()
        torch.save(torch.ones(2), f)
        data = f.getvalue()
        # The location is the one place where "cpu" stands in the pickle: five bytes with its length.
        old, new = b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
        z = zipfile.ZipFile(io.BytesIO(data))
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as w:
            for n in z.namelist():
                w.writestr(n, z.read(n).replace(old, new))
        with self.assertRaisesRegex(RuntimeError, "Attempting to deserialize object on a CUDA device but torch.cuda.is_available\\(\\) is False"):
            torch.load(io.BytesIO(out.getvalue()))
        self.assertEqual(torch.load(io.BytesIO(out.getvalue()), map_location="cpu").tolist(), [1, 1])

    def test_broken_files(self):
        for data in (b"garbage", b"", b"PK\x03\x04" + b"x" * 50):
            for weights_only in (True, False):
                with self.assertRaises(Exception):
                    torch.load(io.BytesIO(data), weights_only=weights_only)
        with self.assertRaises(FileNotFoundError):
            torch.load("/nonexistent/x.pt")
        with self.assertRaisesRegex(RuntimeError, "Parent directory /nonexistent does not exist."):
            torch.save(1, "/nonexistent/x.pt")
        with self.assertRaisesRegex(AttributeError, "You can only torch.load from a file that is seekable"):
            torch.load(5)

    @unittest.skipIf(REAL, "PyTorch writes over the old file")
    def test_killed_save_leaves_the_old_file(self):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "x.pt")
            code = ("import sys; sys.path.insert(0, %r); from which import torch; t = torch.full((1 << 22,), float(sys.argv[1]));\n"
                    "print('go', flush=True)\nwhile True: torch.save({'t': t}, %r)" % (os.path.dirname(os.path.abspath(__file__)), path))
            torch.save({"t": torch.full((1 << 22,), 0.0)}, path)
            for i in range(1, 6):
                p = subprocess.Popen([sys.executable, "-c", code, str(i)], stdout=subprocess.PIPE)
                p.stdout.readline()
                try:
                    p.wait(0.02 * i)
                except subprocess.TimeoutExpired:
                    pass
                p.send_signal(signal.SIGKILL)
                p.wait()
                p.stdout.close()
                t = torch.load(path)["t"]
                self.assertEqual(t.shape[0], 1 << 22)
                self.assertTrue(bool((t == t[0]).all()))


if __name__ == "__main__":
    main()
