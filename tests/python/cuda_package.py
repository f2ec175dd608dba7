"""The Python package on a GPU. `make test-gpu` runs it; without a GPU it says so and passes."""
import glob
import io
import os
import subprocess
import sys
import tempfile
import unittest
import warnings

from which import REAL, main, torch

nn = torch.nn
HERE = os.path.dirname(os.path.abspath(__file__))
SNIPPETS = os.environ.get("SEED_SNIPPETS", os.path.join(HERE, "..", "..", "..", "shared", "seed_snippets"))


def relative(a, b):
    a, b = a.double().cpu(), b.double().cpu()
    return float((a - b).norm() / b.norm())


class Basics(unittest.TestCase):
    def test_device(self):
        self.assertGreaterEqual(torch.cuda.device_count(), 1)
        self.assertEqual(torch.cuda.get_device_name(), torch.cuda.get_device_name(torch.cuda.current_device()))
        p = torch.cuda.get_device_properties(0)
        self.assertGreater(p.total_memory, 1 << 30)
        self.assertEqual((p.major, p.minor), torch.cuda.get_device_capability(0))
        free, total = torch.cuda.mem_get_info()
        self.assertLessEqual(free, total)
        x = torch.zeros(1 << 20, device="cuda")
        self.assertEqual(str(x.device), "cuda:0")
        self.assertTrue(x.is_cuda)
        self.assertGreaterEqual(torch.cuda.memory_allocated(), 4 << 20)
        self.assertIn("device='cuda:0'", repr(x[:2]))
        with self.assertRaises(RuntimeError):
            x[:2] + torch.ones(2)
        with self.assertRaises(TypeError):
            x.numpy()

    def test_products(self):
        torch.manual_seed(1)
        a, b = torch.randn(300, 200), torch.randn(200, 500)
        want = a.double() @ b.double()
        for dtype, most in ((torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 1e-2), (torch.float16, 2e-3)):
            self.assertLess(relative(a.to("cuda", dtype) @ b.to("cuda", dtype), want), most, dtype)

    def test_random(self):
        torch.manual_seed(5)
        a = torch.randn(100001, device="cuda")
        state = torch.cuda.get_rng_state()
        b = torch.rand(1000, device="cuda")
        torch.cuda.set_rng_state(state)
        self.assertTrue(torch.equal(b, torch.rand(1000, device="cuda")))
        torch.manual_seed(5)
        self.assertTrue(torch.equal(a, torch.randn(100001, device="cuda")))
        self.assertLess(abs(a.mean().item()), 0.02)
        self.assertLess(abs(a.std().item() - 1), 0.02)
        self.assertEqual(sorted(torch.randperm(1000, device="cuda").tolist()), list(range(1000)))

    def test_generators(self):
        g = torch.Generator(device="cuda")
        self.assertEqual(str(g.device), "cuda:0")
        self.assertEqual(g.manual_seed(9).initial_seed(), 9)
        before = torch.cuda.get_rng_state()
        draws = (lambda: torch.rand(1000, device="cuda", generator=g), lambda: torch.randperm(1000, device="cuda", generator=g),
                 lambda: torch.empty(1000, device="cuda").exponential_(generator=g),
                 lambda: torch.multinomial(torch.ones(1000, device="cuda"), 20, generator=g))
        state = g.get_state()
        self.assertEqual(state.numel(), 16)
        first = [f() for f in draws]
        second = [f() for f in draws]
        self.assertTrue(torch.equal(before, torch.cuda.get_rng_state()))
        g.set_state(state)
        for f, a, b in zip(draws, first, second):
            self.assertTrue(torch.equal(f(), a))
            self.assertFalse(torch.equal(a, b))
        with self.assertRaisesRegex(RuntimeError, "Expected a 'cuda' device type for generator but found 'cpu'"):
            torch.rand(3, device="cuda", generator=torch.Generator())
        with self.assertRaisesRegex(RuntimeError, "Expected a 'cpu' device type for generator but found 'cuda'"):
            torch.rand(3, generator=g)
        torch.cuda.manual_seed(12)
        self.assertEqual(torch.cuda.initial_seed(), 12)
        self.assertEqual(torch.cuda.default_generators[0].initial_seed(), 12)
        a = torch.rand(9, device="cuda")
        self.assertTrue(torch.equal(a, torch.rand(9, device="cuda", generator=g.manual_seed(12))))

    def test_graph_of_dropout(self):
        x, layer = torch.ones(4096, device="cuda"), nn.Dropout(0.25)
        torch.cuda.manual_seed(6)
        want = [layer(x) for _ in range(3)]
        s = torch.cuda.Stream()
        g = torch.cuda.CUDAGraph()
        with torch.cuda.graph(g, stream=s):
            y = layer(x)
        torch.cuda.manual_seed(6)
        for w in want:
            g.replay()
            torch.cuda.synchronize()
            self.assertTrue(REAL or torch.equal(y, w))
        self.assertFalse(torch.equal(want[0], want[1]))

    def test_streams_and_events(self):
        x = torch.randn(1000, 1000, device="cuda")
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        s = torch.cuda.Stream()
        s.wait_stream(torch.cuda.current_stream())
        start.record()
        with torch.cuda.stream(s):
            self.assertEqual(torch.cuda.current_stream(), s)
            y = x @ x
        torch.cuda.current_stream().wait_stream(s)
        end.record()
        end.synchronize()
        self.assertGreater(start.elapsed_time(end), 0)
        self.assertLess(relative(y, x.double() @ x.double()), 1e-5)


class Training(unittest.TestCase):
    def model(self):
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.LayerNorm(64), nn.Linear(64, 5))

    def losses(self, device, optimizer, steps=40):
        m = self.model().to(device)
        o = optimizer(m.parameters())
        torch.manual_seed(4)
        x, y = torch.randn(32, 20).to(device), torch.randint(5, (32,)).to(device)
        out = []
        for _ in range(steps):
            o.zero_grad()
            loss = nn.functional.cross_entropy(m(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(m.parameters(), 1.0)
            o.step()
            out.append(loss.item())
        return out

    def test_parity(self):
        for make in (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), lambda p: torch.optim.Adam(p, lr=1e-2), lambda p: torch.optim.AdamW(p, lr=1e-2),
                     lambda p: torch.optim.RMSprop(p, lr=1e-3)):
            cpu, gpu = self.losses("cpu", make), self.losses("cuda", make)
            for a, b in zip(cpu, gpu):
                self.assertAlmostEqual(a, b, delta=2e-3 * max(1, a))
            self.assertLess(gpu[-1], gpu[0] * 0.7)
            self.assertEqual(gpu, self.losses("cuda", make))

    def test_amp(self):
        for dtype in (torch.float16, torch.bfloat16):
            m = self.model().cuda()
            o = torch.optim.AdamW(m.parameters(), lr=1e-2)
            scaler = torch.amp.GradScaler("cuda", enabled=dtype == torch.float16)
            x, y = torch.randn(32, 20, device="cuda"), torch.randint(5, (32,), device="cuda")
            first = last = None
            for _ in range(40):
                o.zero_grad()
                with torch.autocast("cuda", dtype=dtype):
                    out = m(x)
                    self.assertEqual(out.dtype, dtype)
                    loss = nn.functional.cross_entropy(out, y)
                scaler.scale(loss).backward()
                scaler.unscale_(o)
                nn.utils.clip_grad_norm_(m.parameters(), 1.0)
                scaler.step(o)
                scaler.update()
                first, last = first or loss.item(), loss.item()
            self.assertLess(last, 0.7 * first)

    def test_conv_net(self):
        torch.manual_seed(6)
        m = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, stride=2), nn.GroupNorm(4, 16), nn.GELU(),
                          nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.0), nn.Linear(16, 4))
        x, y = torch.randn(8, 3, 16, 16), torch.randint(4, (8,))
        grads = []
        state = {k: v.clone() for k, v in m.state_dict().items()}
        for device in ("cpu", "cuda"):
            m.load_state_dict(state)
            m.to(device).zero_grad()
            nn.functional.cross_entropy(m(x.to(device)), y.to(device)).backward()
            grads.append([p.grad.cpu().clone() for p in m.parameters()])
        for a, b in zip(*grads):
            self.assertLess(float((a - b).abs().max()), 1e-4 + 1e-3 * float(a.abs().max()))

    def test_graph(self):
        torch.manual_seed(8)
        w = torch.randn(64, 64, device="cuda")
        x = torch.zeros(16, 64, device="cuda")
        for _ in range(3):
            torch.relu(x @ w)
        torch.cuda.synchronize()
        g = torch.cuda.CUDAGraph()
        with torch.cuda.graph(g):
            y = torch.relu(x @ w)
        for _ in range(3):
            fresh = torch.randn(16, 64, device="cuda")
            x.copy_(fresh)
            g.replay()
            self.assertLess(relative(y, torch.relu(fresh.double() @ w.double())), 1e-5)

    def test_files(self):
        m = self.model().cuda()
        f = io.BytesIO()
        torch.save(m.state_dict(), f)
        f.seek(0)
        on_cpu = torch.load(f, map_location="cpu")
        f.seek(0)
        on_gpu = torch.load(f)
        for k, v in m.state_dict().items():
            self.assertEqual(str(on_cpu[k].device), "cpu")
            self.assertTrue(torch.equal(on_cpu[k], v.cpu()) and torch.equal(on_gpu[k], v))

    def test_loader(self):
        data = torch.utils.data.TensorDataset(torch.arange(100.0).view(50, 2), torch.arange(50))
        total = 0
        for x, y in torch.utils.data.DataLoader(data, batch_size=16, num_workers=2, pin_memory=True):
            self.assertTrue(x.is_pinned())
            total += int(y.to("cuda", non_blocking=True).sum())
        self.assertEqual(total, sum(range(50)))


class Recovery(unittest.TestCase):
    def test_out_of_memory(self):
        with self.assertRaises(torch.cuda.OutOfMemoryError) as caught:
            torch.empty(1 << 44, device="cuda")
        self.assertIn("GiB", str(caught.exception))
        self.assertEqual(torch.ones(3, device="cuda").sum().item(), 3)

    @unittest.skipIf(REAL, "ends PyTorch's context")
    def test_bad_index(self):
        e = nn.Embedding(10, 4).cuda()
        with self.assertRaises((IndexError, RuntimeError)):
            e(torch.tensor([1, 99], device="cuda"))
            torch.cuda.synchronize()
        self.assertEqual(e(torch.tensor([1, 9], device="cuda")).shape, (2, 4))
        torch.cuda.synchronize()


class Snippets(unittest.TestCase):
    @unittest.skipUnless(os.path.isdir(SNIPPETS), "no folder of snippets")
    def test_snippets(self):
        for path in sorted(glob.glob(os.path.join(SNIPPETS, "s?_??_*.py"))):
            name = os.path.basename(path)[:-3]
            if name.endswith("_prelude") or name[:5] in ("s0_04", "s1_02"):
                continue
            with tempfile.TemporaryDirectory() as d:
                whole = ""
                if os.path.exists(path[:-3] + "_prelude.py"):
                    whole = open(path[:-3] + "_prelude.py").read() + "\n"
                run = os.path.join(d, "run.py")
                with open(run, "w") as f:
                    f.write(whole + open(path).read())
                p = subprocess.run([sys.executable, "-m", "taper", run], cwd=d, capture_output=True, text=True, timeout=120)
                self.assertEqual(p.returncode, 0, "%s: %s" % (name, p.stderr[-600:]))


if __name__ == "__main__":
    if not torch.cuda.is_available():
        print("ok cuda_package_skipped # no GPU")
        sys.exit(0)
    warnings.simplefilter("ignore")
    main()
