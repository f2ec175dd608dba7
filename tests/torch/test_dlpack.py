"""DLPack with real PyTorch as consumer and producer: one memory, strides, dtypes, who frees when, what is refused."""
import gc
import unittest

from both import main, numbers, taper, torch

DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()


class Exchange(unittest.TestCase):
    def test_both_ways_every_dtype(self):
        for name in DTYPES:
            for a, b in ((taper, torch), (torch, taper)):
                x = a.tensor([[0, 1, 2], [3, 4, 5]]).to(getattr(a, name))
                y = b.from_dlpack(x.t()[1:])
                self.assertEqual((tuple(y.shape), tuple(y.stride()), str(y.dtype)), ((2, 2), (1, 3), "torch." + name))
                self.assertEqual(numbers(y), numbers(x.t()[1:]), name)
                y.zero_()
                self.assertEqual(float(x[1, 2]), 0.0, name)  # the same memory

    def test_producer_outlives_its_name(self):
        for a, b in ((taper, torch), (torch, taper)):
            x = a.arange(1000.0)
            y = b.from_dlpack(x)
            del x
            gc.collect()
            self.assertEqual(float(y.sum()), 499500.0)

    def test_capsule_is_taken_once(self):
        for a, b in ((taper, torch), (torch, taper)):
            from importlib import import_module

            capsule = import_module(a.__name__ + ".utils.dlpack").to_dlpack(a.ones(3))
            y = b.from_dlpack(capsule)
            self.assertEqual(float(y.sum()), 3.0)
            with self.assertRaisesRegex(RuntimeError, "DLTensor capsule"):
                b.from_dlpack(capsule)

    def test_refusals(self):
        for lib in (taper, torch):
            with self.assertRaisesRegex(RuntimeError, "Can't export tensors that require gradient"):
                lib.ones(1, requires_grad=True).__dlpack__()
        with self.assertRaisesRegex(RuntimeError, "from_dlpack: unsupported element type"):
            taper.from_dlpack(torch.ones(1, dtype=torch.complex64))
        with self.assertRaises(RuntimeError):
            torch.from_dlpack(taper.ones(1, device="meta"))

    def test_versions(self):
        x = taper.ones(2)
        self.assertIn("dltensor_versioned", repr(x.__dlpack__(max_version=(1, 0))))
        self.assertNotIn("versioned", repr(x.__dlpack__()))
        self.assertEqual(x.__dlpack_device__(), (1, 0))
        with self.assertRaisesRegex(BufferError, "asked for"):
            x.__dlpack__(dl_device=(2, 0))

    def test_modules_share_weights(self):
        m = torch.nn.Linear(3, 2)
        x = [[1.0, 2, 3]]
        w, b = (taper.from_dlpack(p.detach()) for p in (m.weight, m.bias))
        ours, theirs = taper.nn.functional.linear(taper.tensor(x), w, b), m(torch.tensor(x))
        for p, q in zip(numbers(ours)[2], numbers(theirs)[2]):
            self.assertAlmostEqual(p, q, places=5)


if __name__ == "__main__":
    main()
