"""torch.Generator of the CPU: states, copies, pickles, errors. Its numbers are held against PyTorch's in tests/unit; GPUs in
cuda_package.py."""
import copy
import io
import pickle
import unittest

from which import REAL, main, torch


class Generators(unittest.TestCase):
    def test_life(self):
        g = torch.Generator()
        self.assertEqual(str(g.device), "cpu")
        self.assertEqual(g.initial_seed(), 67280421310721)
        self.assertIs(g.manual_seed(-1), g)
        self.assertEqual(g.initial_seed(), 2 ** 64 - 1)
        self.assertEqual(torch.Generator(device="cpu").device, torch.Generator(torch.device("cpu")).device)

    def test_state(self):
        g = torch.Generator().manual_seed(3)
        torch.randn(5, generator=g)
        state = g.get_state()
        self.assertEqual((state.dtype, state.numel()), (torch.uint8, 5056))
        a = torch.rand(7, generator=g)
        self.assertIs(g.set_state(state), g)
        self.assertTrue(torch.equal(a, torch.rand(7, generator=g)))

    def test_copies_go_on(self):
        g = torch.Generator().manual_seed(4)
        torch.rand(3, generator=g)
        f = io.BytesIO()
        torch.save({"g": g}, f)
        f.seek(0)
        others = [g.clone_state(), copy.deepcopy(g), torch.load(f, weights_only=False)["g"]]
        if __import__("sys").modules.get("torch") is torch:  # its class is then found under torch's name
            others.append(pickle.loads(pickle.dumps(g)))
        want = torch.rand(9, generator=g)
        for other in others:
            self.assertEqual(other.initial_seed(), 4)
            self.assertTrue(torch.equal(torch.rand(9, generator=other), want))

    def test_refusals(self):
        with self.assertRaisesRegex(RuntimeError, "CPU Generator does not use offset"):
            torch.Generator().get_offset()
        with self.assertRaisesRegex(RuntimeError, "Device type META is not supported for torch.Generator"):
            torch.Generator(device="meta")
        with self.assertRaisesRegex(RuntimeError, "device type at start of device string: foo"):
            torch.Generator("foo")
        with self.assertRaises(TypeError):
            torch.Generator(3.5)
        if not torch.cuda.is_available() and not REAL:
            with self.assertRaisesRegex(RuntimeError, "NVIDIA"):
                torch.Generator(device="cuda")

    def test_without_a_gpu(self):
        torch.cuda.manual_seed(3)
        torch.cuda.manual_seed_all(3)
        self.assertEqual(len(torch.cuda.default_generators), torch.cuda.device_count())
        self.assertEqual(len(torch.cuda.get_rng_state_all()), torch.cuda.device_count())


if __name__ == "__main__":
    main()
