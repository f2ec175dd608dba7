"""nn.Module: registration, state dictionaries, hooks, copies, printing, error texts."""
import copy
import io
import pickle
import unittest
import warnings

from which import main, torch

nn = torch.nn


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.fc = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("scale", torch.ones(1), persistent=False)
        self.register_buffer("none", None)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(3)])
        self.extra = nn.ParameterDict({"a": torch.zeros(2)})

    def forward(self, x):
        x = self.norm(self.fc(x)) * self.scale
        for b in self.blocks:
            x = b(x)
        return x + self.extra["a"]


NET = """Net(
  (fc): Linear(in_features=3, out_features=2, bias=True)
  (norm): BatchNorm1d(2, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
  (blocks): ModuleList(
    (0-2): 3 x Sequential(
      (0): Linear(in_features=2, out_features=2, bias=True)
      (1): ReLU()
    )
  )
  (extra): ParameterDict(  (a): Parameter containing: [torch.FloatTensor of size 2])
)"""
KEYS = ["fc.weight", "fc.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked",
        "blocks.0.0.weight", "blocks.0.0.bias", "blocks.1.0.weight", "blocks.1.0.bias", "blocks.2.0.weight", "blocks.2.0.bias", "extra.a"]


class Registration(unittest.TestCase):
    def test_text(self):
        self.assertEqual(repr(Net()), NET)

    def test_names(self):
        n = Net()
        self.assertEqual(list(n.state_dict()), KEYS)
        self.assertEqual([k for k, _ in n.named_buffers()], ["scale", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked"])
        self.assertEqual(len(list(n.modules())), 14)
        self.assertEqual([k for k, _ in n.named_children()], ["fc", "norm", "blocks", "extra"])
        self.assertIs(n.get_submodule("blocks.1.0"), n.blocks[1][0])
        self.assertEqual(n.state_dict()._metadata["norm"], {"version": 2})

    def test_assignment(self):
        n = Net()
        n.fc.weight = nn.Parameter(torch.zeros(2, 3))
        self.assertEqual(list(n.fc._parameters), ["weight", "bias"])
        n.fc.bias = None
        self.assertIsNone(n.fc.bias)
        n.scale = torch.zeros(1)
        self.assertIn("scale", n._buffers)
        n.plain = torch.zeros(1)
        self.assertNotIn("plain", n._buffers)
        n.other = 3
        n.other = nn.ReLU()
        self.assertIn("other", n._modules)
        self.assertNotIn("other", n.__dict__)
        del n.other
        self.assertFalse(hasattr(n, "other"))

    def test_refusals(self):
        n = Net()
        for statement, error, text in (
                ("n.fc = 5", TypeError, "cannot assign 'int' as child module 'fc' (torch.nn.Module or None expected)"),
                ("n.fc.weight = torch.ones(1)", TypeError, "cannot assign 'torch.FloatTensor' as parameter 'weight' (torch.nn.Parameter or None expected)"),
                ("n.register_buffer('fc', None)", KeyError, "attribute 'fc' already exists"),
                ("n.register_parameter('a.b', None)", KeyError, 'parameter name can\'t contain "."'),
                ("n.nope", AttributeError, "'Net' object has no attribute 'nope'"),
                ("nn.Module()(1)", NotImplementedError, 'Module [Module] is missing the required "forward" function'),
                ("n.train(3)", ValueError, "training mode is expected to be boolean"),
                ("n.to(torch.int64)", TypeError, "nn.Module.to only accepts floating point or complex dtypes, but got desired dtype=torch.int64"),
                ("n.blocks[7]", IndexError, "index 7 is out of range")):
            with self.assertRaises(error) as caught:
                exec(statement)
            self.assertIn(text.replace('"', "").replace("\\", ""), str(caught.exception).replace('"', "").replace("\\", ""))

        class Early(nn.Module):
            def __init__(self):
                self.fc = nn.Linear(1, 1)

        with self.assertRaisesRegex(AttributeError, r"cannot assign module before Module.__init__\(\) call"):
            Early()

    def test_containers(self):
        s = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
        s.append(nn.Linear(2, 3))
        self.assertEqual(len(s[1:]), 2)
        del s[1]
        self.assertEqual(list(s._modules), ["0", "1"])
        d = nn.ModuleDict({"a": nn.ReLU()})
        d["b"] = nn.Tanh()
        self.assertEqual(list(d.keys()), ["a", "b"])
        p = nn.ParameterList([torch.zeros(1), nn.Parameter(torch.ones(1))])
        self.assertEqual([n for n, _ in p.named_parameters()], ["0", "1"])

    def test_tied_weights_count_once(self):
        n = nn.Module()
        n.a, n.b = nn.Embedding(4, 2), nn.Linear(2, 4, bias=False)
        n.a.weight = n.b.weight
        self.assertEqual(len(list(n.parameters())), 1)
        self.assertEqual(len(n.state_dict()), 2)


class State(unittest.TestCase):
    def test_messages(self):
        with self.assertRaises(RuntimeError) as caught:
            nn.Linear(2, 2).load_state_dict({"weight": torch.ones(3, 3), "zz": torch.ones(1)})
        self.assertEqual(str(caught.exception),
                         'Error(s) in loading state_dict for Linear:\n\tMissing key(s) in state_dict: "bias". \n\tUnexpected key(s) in '
                         'state_dict: "zz". \n\tsize mismatch for weight: copying a param with shape torch.Size([3, 3]) from checkpoint, the '
                         "shape in current model is torch.Size([2, 2]).")

    def test_strict(self):
        m = nn.Linear(2, 2)
        result = m.load_state_dict({"weight": torch.ones(2, 2), "x": torch.ones(1)}, strict=False)
        self.assertEqual((result.missing_keys, result.unexpected_keys), (["bias"], ["x"]))
        self.assertEqual(str(m.load_state_dict(m.state_dict())), "<All keys matched successfully>")
        self.assertTrue(torch.equal(m.weight, torch.ones(2, 2)))

    def test_copies_into_the_same_parameters(self):
        m = nn.Linear(2, 2)
        w = m.weight
        m.load_state_dict({"weight": torch.ones(2, 2, dtype=torch.float64), "bias": torch.ones(2)})
        self.assertIs(m.weight, w)
        self.assertEqual(w.dtype, torch.float32)
        m.load_state_dict({"weight": torch.zeros(2, 2, dtype=torch.float64), "bias": torch.ones(2)}, assign=True)
        self.assertEqual(m.weight.dtype, torch.float64)

    def test_hooks(self):
        m, seen = nn.Linear(1, 1), []
        m.register_state_dict_pre_hook(lambda *a: seen.append("pre"))
        m._register_state_dict_hook(lambda module, d, prefix, meta: d.update(more=torch.ones(1)))
        self.assertIn("more", m.state_dict())
        m.register_load_state_dict_post_hook(lambda module, keys: keys.unexpected_keys.clear())
        m.load_state_dict(m.state_dict())
        self.assertEqual(seen, ["pre", "pre"])

    def test_file(self):
        n = Net()
        f = io.BytesIO()
        torch.save(n.state_dict(), f)
        f.seek(0)
        m = Net()
        m.load_state_dict(torch.load(f))
        for a, b in zip(n.parameters(), m.parameters()):
            self.assertTrue(torch.equal(a, b))


class Calls(unittest.TestCase):
    def test_hooks(self):
        m, log = nn.Linear(2, 2), []
        m.register_forward_pre_hook(lambda m, args: log.append("pre") or (args[0] * 0,))
        h = m.register_forward_hook(lambda m, args, out: log.append("post") or out + 1)
        y = m(torch.ones(1, 2))
        self.assertTrue(torch.allclose(y, m.bias + 1))
        h.remove()
        self.assertTrue(torch.allclose(m(torch.ones(1, 2)), m.bias))
        self.assertEqual(log, ["pre", "post", "pre"])

    def test_keyword_hooks(self):
        class Two(nn.Module):
            def forward(self, x, *, k=1):
                return x * k

        m = Two()
        m.register_forward_pre_hook(lambda m, a, k: (a, {"k": 5}), with_kwargs=True)
        self.assertEqual(float(m(torch.ones(1), k=2)), 5)

    def test_backward_hooks(self):
        m, log = nn.Linear(2, 2), []
        m.register_full_backward_pre_hook(lambda m, go: log.append(("pre", len(go))))
        m.register_full_backward_hook(lambda m, gi, go: log.append(("full", tuple(gi[0].shape), tuple(go[0].shape))))
        x = torch.ones(3, 2, requires_grad=True)
        m(x).sum().backward()
        self.assertEqual(log, [("pre", 1), ("full", (3, 2), (3, 2))])
        n = nn.Linear(2, 2)
        n.register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,))
        x = torch.ones(3, 2, requires_grad=True)
        n(x).sum().backward()
        self.assertTrue(torch.allclose(x.grad, 2 * n.weight.sum(0).expand(3, 2)))

    def test_global_hooks(self):
        seen = []
        h = nn.modules.module.register_module_forward_hook(lambda m, a, o: seen.append(type(m).__name__))
        nn.Sequential(nn.ReLU())(torch.ones(1))
        h.remove()
        self.assertEqual(seen, ["ReLU", "Sequential"])

    def test_train_eval_apply(self):
        n = Net()
        self.assertFalse(n.eval().norm.training)
        self.assertTrue(n.train().norm.training)
        count = []
        n.apply(lambda m: count.append(m))
        self.assertIs(count[-1], n)
        n.requires_grad_(False)
        self.assertFalse(any(p.requires_grad for p in n.parameters()))

    def test_to(self):
        n = Net().double()
        self.assertEqual(n.fc.weight.dtype, torch.float64)
        self.assertEqual(n.norm.num_batches_tracked.dtype, torch.int64)
        w = n.fc.weight
        n.to(torch.float32)
        self.assertIs(n.fc.weight, w)
        self.assertEqual(n.half().fc.weight.dtype, torch.float16)
        self.assertEqual(n.to("cpu", torch.bfloat16).fc.weight.dtype, torch.bfloat16)

    def test_meta(self):
        with torch.device("meta"):
            m = nn.Linear(2, 2)
        self.assertEqual(m.weight.device.type, "meta")
        with self.assertRaisesRegex(NotImplementedError, "Cannot copy out of meta tensor; no data!"):
            m.to("cpu")
        self.assertEqual(m.to_empty(device="cpu").weight.device.type, "cpu")

    def test_zero_grad(self):
        m = nn.Linear(2, 2)
        m(torch.ones(1, 2)).sum().backward()
        m.zero_grad(set_to_none=False)
        self.assertEqual(float(m.weight.grad.abs().sum()), 0)
        m.zero_grad()
        self.assertIsNone(m.weight.grad)


class Copies(unittest.TestCase):
    def test_deepcopy(self):
        n = Net()
        m = copy.deepcopy(n)
        self.assertIsNot(m.fc.weight, n.fc.weight)
        self.assertIsInstance(m.fc.weight, nn.Parameter)
        self.assertTrue(torch.equal(m.fc.weight, n.fc.weight))
        with torch.no_grad():
            m.fc.weight.zero_()
        self.assertNotEqual(float(n.fc.weight.detach().abs().sum()), 0)

    def test_pickle(self):
        n = Net()
        m = pickle.loads(pickle.dumps(n))
        self.assertTrue(torch.equal(m.fc.weight, n.fc.weight))
        self.assertTrue(m.fc.weight.requires_grad)

    def test_parameter(self):
        p = nn.Parameter(torch.ones(2))
        self.assertIsInstance(p, torch.Tensor)
        self.assertTrue(p.requires_grad and p.is_leaf)
        self.assertFalse(isinstance(torch.ones(2), nn.Parameter))
        self.assertNotIsInstance(p * 2, nn.Parameter)
        self.assertEqual(repr(p), "Parameter containing:\ntensor([1., 1.], requires_grad=True)")
        t = torch.zeros(2)
        q = nn.Parameter(t)
        t[0] = 5
        self.assertEqual(q[0].item(), 5)

    def test_compile(self):
        m = torch.compile(Net())
        self.assertEqual(list(m.state_dict())[0], "_orig_mod.fc.weight")
        m.eval()
        self.assertFalse(m._orig_mod.norm.training)
        m.train()
        m(torch.ones(4, 3)).sum().backward()
        self.assertIsNotNone(m.fc.weight.grad)

        @torch.compile(dynamic=False, fullgraph=True)
        def f(x):
            return x + 1

        self.assertEqual(float(f(torch.ones(1))), 2)
        self.assertEqual(f.__name__, "f")

    def test_weight_norm(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            m = nn.utils.weight_norm(nn.Linear(3, 2))
        self.assertEqual([n for n, _ in m.named_parameters()], ["bias", "weight_g", "weight_v"])
        p = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
        self.assertEqual(sorted(n for n, _ in p.named_parameters()),
                         ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"])
        p(torch.ones(1, 3)).sum().backward()
        self.assertIsNotNone(p.parametrizations.weight.original0.grad)


class Utilities(unittest.TestCase):
    def test_clip(self):
        p = nn.Parameter(torch.zeros(4))
        p.grad = torch.full((4,), 3.0)
        self.assertAlmostEqual(float(nn.utils.clip_grad_norm_([p], 1.0)), 6.0, places=5)
        self.assertAlmostEqual(float(p.grad.norm()), 1.0, places=4)
        p.grad = torch.tensor([1.0, -5.0, 0.5, 2.0])
        nn.utils.clip_grad_value_(p, 1.0)
        self.assertEqual(p.grad.tolist(), [1.0, -1.0, 0.5, 1.0])
        p.grad = torch.full((4,), float("nan"))
        with self.assertRaisesRegex(RuntimeError, "The total norm of order 2.0 for gradients from `parameters` is non-finite"):
            nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)

    def test_vector(self):
        m = nn.Linear(2, 2)
        v = nn.utils.parameters_to_vector(m.parameters())
        nn.utils.vector_to_parameters(v * 0 + 2, m.parameters())
        self.assertEqual(m.bias.tolist(), [2, 2])

    def test_packing(self):
        r = nn.utils.rnn
        x = torch.arange(12.0).reshape(3, 4, 1)
        p = r.pack_padded_sequence(x, [2, 4, 1], batch_first=True, enforce_sorted=False)
        self.assertEqual(p.batch_sizes.tolist(), [3, 2, 1, 1])
        self.assertEqual(p.data.reshape(-1).tolist(), [4, 0, 8, 5, 1, 6, 7])
        y, lengths = r.pad_packed_sequence(p, batch_first=True, padding_value=-1)
        self.assertEqual(lengths.tolist(), [2, 4, 1])
        self.assertEqual(y.reshape(3, 4).tolist(), [[0, 1, -1, -1], [4, 5, 6, 7], [8, -1, -1, -1]])
        self.assertEqual(p[0].shape, (7, 1))
        with self.assertRaisesRegex(RuntimeError, "must be sorted in decreasing order"):
            r.pack_padded_sequence(x, [2, 4, 1], batch_first=True)
        self.assertEqual(r.pad_sequence([torch.ones(1), torch.ones(3)], batch_first=True).tolist(), [[1, 0, 0], [1, 1, 1]])
        lstm = nn.LSTM(1, 2, bidirectional=True, batch_first=True)
        out, (h, c) = lstm(p)
        whole, _ = lstm(x[1:2])
        again, _ = r.pad_packed_sequence(out, batch_first=True)
        self.assertTrue(torch.allclose(again[1], whole[0], atol=1e-6))
        alone, (h1, _) = lstm(x[0:1, :2])
        self.assertTrue(torch.allclose(h[:, 0], h1[:, 0], atol=1e-6))


if __name__ == "__main__":
    main()
