"""Files both ways with real PyTorch: tensors, training state, whole modules, the old format."""
import io
import unittest
import warnings

from both import LIBRARIES, main, numbers, taper, torch

warnings.simplefilter("ignore")


def across(obj, writer, reader, **kwargs):
    f = io.BytesIO()
    writer.save(obj, f)
    f.seek(0)
    return reader.load(f, **kwargs)


class Files(unittest.TestCase):
    def test_tensors(self):
        for w, r in (LIBRARIES, LIBRARIES[::-1]):
            w.manual_seed(0)
            x = w.randn(4, 5)
            obj = {"view": x[1:, ::2], "base": x, "bf16": x.bfloat16(), "f16": x.half(), "i8": w.tensor([1, -1], dtype=w.int8), "u8": w.tensor([255], dtype=w.uint8),
                   "i64": w.tensor([1 << 40]), "bool": w.tensor([True, False]), "empty": w.empty(0, 3), "zero": w.tensor(2.5), "p": w.nn.Parameter(w.ones(2)),
                   "dtype": w.float16, "size": w.Size([1, 2]), "list": [1, 2.5, None, "x", b"y", 1 << 80], "device": w.device("cpu")}
            got = across(obj, w, r)
            for k, v in obj.items():
                if isinstance(v, w.Tensor):
                    self.assertIsInstance(got[k], r.Tensor)
                    self.assertEqual(numbers(got[k]), numbers(v), k)
                    self.assertEqual(tuple(got[k].stride()), tuple(v.stride()), k)
                    self.assertEqual(got[k].requires_grad, v.requires_grad, k)
                else:
                    self.assertEqual(str(got[k]), str(v), k)
            self.assertIs(type(got["size"]), r.Size)
            got["base"][1, 0] = 9
            self.assertEqual(got["view"][0, 0].item(), 9)

    def test_training_state(self):
        for w, r in (LIBRARIES, LIBRARIES[::-1]):
            def make(lib):
                lib.manual_seed(1)
                # No bias before the normalisation, and more than two rows: Adam makes whole steps of gradients that are rounding alone.
                m = lib.nn.Sequential(lib.nn.Linear(3, 4, bias=False), lib.nn.BatchNorm1d(4), lib.nn.Linear(4, 2))
                return m, lib.optim.AdamW(m.parameters(), lr=0.1)

            def step(lib, m, o):
                o.zero_grad()
                m(lib.arange(24.0).remainder(7).reshape(8, 3)).pow(2).sum().backward()
                o.step()

            m, o = make(w)
            for _ in range(3):
                step(w, m, o)
            n, q = make(r)
            saved = across({"m": m.state_dict(), "o": o.state_dict()}, w, r)
            n.load_state_dict(saved["m"])
            q.load_state_dict(saved["o"])
            step(w, m, o)
            step(r, n, q)
            for a, b in zip(m.state_dict().values(), n.state_dict().values()):
                for x, y in zip(numbers(a)[2], numbers(b)[2]):
                    self.assertAlmostEqual(x, y, places=4)

    def test_whole_modules(self):
        for w, r in (LIBRARIES, LIBRARIES[::-1]):
            w.manual_seed(0)
            m = w.nn.Sequential(w.nn.Linear(3, 4), w.nn.ReLU(), w.nn.TransformerEncoderLayer(4, 2), w.nn.LSTM(4, 5)).eval()
            n = across(m, w, r, weights_only=False)
            self.assertEqual(repr(n), repr(m))
            self.assertIsInstance(n, r.nn.Module)
            x = [[0.5, -1, 2], [1, 2, 3]]
            a, b = m(w.tensor(x))[0], n(r.tensor(x))[0]
            for p, q in zip(numbers(a)[2], numbers(b)[2]):
                self.assertAlmostEqual(p, q, places=5)

    def test_old_format(self):
        f = io.BytesIO()
        x = torch.arange(12.0).reshape(3, 4)
        torch.save({"x": x, "row": x[1]}, f, _use_new_zipfile_serialization=False)
        for weights_only in (True, False):
            f.seek(0)
            got = taper.load(f, weights_only=weights_only)
            self.assertEqual(numbers(got["x"]), numbers(x))
            self.assertEqual(numbers(got["row"]), numbers(x[1]))

    def test_random_state(self):
        for w, r in (LIBRARIES, LIBRARIES[::-1]):
            w.manual_seed(5)
            w.rand(3)
            r.set_rng_state(across(w.get_rng_state(), w, r))
            self.assertEqual(numbers(w.rand(4)), numbers(r.rand(4)))


if __name__ == "__main__":
    main()
