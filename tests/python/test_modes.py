"""Switches, versions, old spellings: what scripts check before they train."""
import unittest
import warnings

from which import REAL, main, torch


class Modes(unittest.TestCase):
    def test_no_grad_forms(self):
        @torch.no_grad()
        def with_call():
            return torch.is_grad_enabled()

        @torch.no_grad
        def bare():
            return torch.is_grad_enabled()

        @torch.inference_mode()
        def inference():
            return torch.is_inference_mode_enabled(), torch.is_grad_enabled()

        @torch.set_grad_enabled(False)
        def set_off():
            return torch.is_grad_enabled()

        self.assertEqual((with_call(), bare(), inference(), set_off()), (False, False, (True, False), False))
        self.assertTrue(torch.is_grad_enabled())
        with torch.no_grad():
            with torch.enable_grad():
                self.assertTrue(torch.is_grad_enabled())
            self.assertFalse(torch.is_grad_enabled())
        torch.set_grad_enabled(False)
        self.assertFalse(torch.is_grad_enabled())
        torch.set_grad_enabled(True)

    def test_generators(self):
        @torch.no_grad()
        def steps():
            x = yield torch.is_grad_enabled()
            yield x, torch.is_grad_enabled()

        it = steps()
        self.assertFalse(next(it))
        self.assertTrue(torch.is_grad_enabled())
        self.assertEqual(it.send(4), (4, False))

    def test_error_inside(self):
        try:
            with torch.no_grad():
                raise ValueError
        except ValueError:
            pass
        self.assertTrue(torch.is_grad_enabled())


class Names(unittest.TestCase):
    def test_version(self):
        v = torch.__version__
        self.assertTrue(v >= "2.0" and v > "1.13.1" and v < "3" and v >= (2, 0))
        self.assertFalse(v == "1.0")
        self.assertEqual(int(v.split(".")[0]), 2)

    def test_constants(self):
        self.assertEqual(torch.inf, float("inf"))
        self.assertAlmostEqual(torch.pi, 3.141592653589793)
        self.assertIs(torch.float, torch.float32)
        self.assertIs(torch.long, torch.int64)

    def test_presence(self):
        import inspect

        self.assertTrue(hasattr(torch, "compile"))
        self.assertTrue(hasattr(torch.nn.functional, "scaled_dot_product_attention"))
        self.assertTrue(hasattr(torch.backends, "mps"))
        self.assertIn("fused", inspect.signature(torch.optim.AdamW).parameters)
        self.assertFalse(hasattr(torch, "no_such_name"))

    def test_flags(self):
        b = torch.backends
        for owner, name in ((b.cuda.matmul, "allow_tf32"), (b.cudnn, "allow_tf32"), (b.cudnn, "benchmark"), (b.cudnn, "deterministic")):
            before = getattr(owner, name)
            setattr(owner, name, not before)
            self.assertEqual(getattr(owner, name), not before)
            setattr(owner, name, before)
        self.assertTrue(b.cudnn.allow_tf32)
        self.assertFalse(b.mps.is_available())

    def test_limits(self):
        self.assertEqual(torch.finfo(torch.float32).max, 3.4028234663852886e38)
        self.assertEqual(torch.finfo(torch.bfloat16).eps, 0.0078125)
        self.assertEqual(torch.iinfo(torch.int8).min, -128)

    def test_old_types(self):
        self.assertEqual(tuple(torch.FloatTensor(2, 3).shape), (2, 3))
        self.assertEqual(torch.LongTensor([1, 2]).dtype, torch.int64)
        self.assertIsInstance(torch.zeros(1), torch.FloatTensor)
        self.assertNotIsInstance(torch.zeros(1), torch.LongTensor)
        self.assertEqual(torch.ByteTensor([1]).dtype, torch.uint8)
        v = torch.autograd.Variable(torch.ones(1), requires_grad=True)
        self.assertTrue(v.requires_grad)
        self.assertIsInstance(v, torch.autograd.Variable)

    @unittest.skipIf(torch.cuda.is_available(), "there is a GPU")
    def test_no_gpu(self):
        self.assertEqual(torch.cuda.device_count(), 0)
        with self.assertRaises((RuntimeError, AssertionError)):
            torch.cuda.get_device_name(0)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            scaler = torch.cuda.amp.GradScaler()
            with torch.cuda.amp.autocast():
                pass
        kinds = [w.category for w in seen]
        self.assertIn(FutureWarning, kinds)
        self.assertFalse(scaler.is_enabled())

    def test_scaler(self):
        s = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
        p = torch.nn.Parameter(torch.ones(2))
        o = torch.optim.SGD([p], 0.1)
        for i in range(6):
            o.zero_grad()
            s.scale((p * (float("inf") if i == 4 else 2)).sum()).backward()
            s.unscale_(o)
            if i != 4:
                self.assertEqual(p.grad.tolist(), [2, 2])
            s.step(o)
            s.update()
        self.assertEqual(s.state_dict(), {"scale": 8.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2,
                                          "_growth_tracker": 1})
        self.assertAlmostEqual(p[0].item(), 0.0, places=5)
        with self.assertRaisesRegex(RuntimeError, r"unscale_\(\) has already been called on this optimizer since the last update\(\)."):
            s.scale(p.sum()).backward()
            s.unscale_(o)
            s.unscale_(o)

    def test_checkpoint(self):
        from torch_checkpoint import run

        run(self, torch)


if __name__ == "__main__":
    main()
