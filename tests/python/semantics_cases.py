"""Small programs whose outcome is PyTorch's: what they return as text, or the exception. tests/golden/semantics.txt holds the lines
that PyTorch 2.6 gives (`python tests/python/semantics_cases.py torch`); test_semantics.py compares.
"""
import contextlib
import copy
import io
import math
import sys
import warnings
from importlib import import_module

if __name__ == "__main__" and "torch" in sys.argv:
    import torch
else:
    from which import torch

nn, F = torch.nn, torch.nn.functional


def part(name):
    return import_module(torch.__name__ + "." + name)


def anomaly_names_the_forward_line():
    x = torch.tensor([-1.0], requires_grad=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        try:
            with torch.autograd.set_detect_anomaly(True):
                y = torch.sqrt(x)
                y.sum().backward()
        except RuntimeError as e:
            told.append(e)
            words = str(e).split('\n')[0]
    line = 'y = torch.sqrt(x)'
    return (words[:58], any((line in str(getattr(w, 'message', w)) for w in told)))


def hook_tensor():
    x = torch.ones(2, requires_grad=True)
    seen = []
    h = x.register_hook(lambda g: (seen.append(g.tolist()), g * 2)[1])
    y = x * 3
    h2 = y.register_hook(lambda g: g * 10)
    y.sum().backward()
    h.remove()
    return (seen, x.grad.tolist())


def hook_gradfn():
    x = torch.ones(2, requires_grad=True)
    y = (x * 3).sum()
    seen = []
    y.grad_fn.register_hook(lambda gi, go: seen.append((len(gi), len(go))))
    y.grad_fn.register_prehook(lambda go: seen.append(len(go)))
    y.backward()
    return (seen, y.grad_fn.name(), [n[0].name() if n[0] else None for n in y.grad_fn.next_functions])


def hook_post_acc():
    x = torch.ones(2, requires_grad=True)
    seen = []
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.tolist()))
    (x * 2).sum().backward()
    return seen


def hook_module():
    m = nn.Linear(2, 2)
    s = []
    m.register_forward_pre_hook(lambda m, i: s.append('pre'))
    m.register_forward_hook(lambda m, i, o: s.append('fwd'))
    m.register_full_backward_pre_hook(lambda m, g: s.append('bpre'))
    m.register_full_backward_hook(lambda m, gi, go: s.append('bwd%d%d' % (len(gi), len(go))))
    x = torch.ones(1, 2, requires_grad=True)
    m(x).sum().backward()
    return s


def hook_module_kwargs():
    m = nn.Linear(2, 2)
    s = []
    m.register_forward_pre_hook(lambda m, a, k: s.append((len(a), sorted(k))), with_kwargs=True)
    m.register_forward_hook(lambda m, a, k, o: s.append((len(a), sorted(k))), with_kwargs=True)
    m(input=torch.ones(1, 2))
    return s


def checkpoint():
    cp = part('utils.checkpoint')
    x = torch.ones(3, requires_grad=True)
    n = [0]

    def f(a):
        n[0] += 1
        return (a.sin() * F.dropout(a, 0.5)).exp()
    torch.manual_seed(1)
    cp.checkpoint(f, x, use_reentrant=False).sum().backward()
    g = x.grad.clone()
    torch.manual_seed(1)
    x.grad = None
    f(x).sum().backward()
    x2 = torch.ones(3, requires_grad=True)
    cp.checkpoint(f, x2, use_reentrant=True).sum().backward()
    seq = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    cp.checkpoint_sequential(seq, 2, x, use_reentrant=False).sum().backward()
    return (n, torch.equal(g, g), bool((x.grad != 0).any()))


def inference():
    with torch.inference_mode():
        a = torch.ones(2)
        b = a * 2
    out = [a.is_inference(), torch.is_inference_mode_enabled()]
    for f in (lambda: a.requires_grad_(), lambda: a.add_(1), lambda: torch.ones(2, requires_grad=True).mul(a).sum().backward(), lambda: a._version):
        try:
            f()
            out.append('ok')
        except RuntimeError as e:
            out.append(str(e))
    return out


def version_err():
    x = torch.ones(2, 3, requires_grad=True)
    y = x.exp()
    y.add_(1)
    y.sum().backward()


def version_err2():
    x = torch.ones(2, 3, requires_grad=True)
    w = torch.ones(2, 3, requires_grad=True)
    a = x * 1
    y = a * w
    a[0] = 5
    y.sum().backward()


def leaf_inplace():
    x = torch.ones(2, requires_grad=True)
    x.add_(1)


def leaf_view_inplace():
    x = torch.ones(2, requires_grad=True)
    x[0] = 1


def leaf_view_inplace2():
    x = torch.ones(2, requires_grad=True)
    x.view(2).add_(1)


def twice():
    x = torch.ones(2, requires_grad=True)
    y = x.exp().sum()
    y.backward()
    y.backward()


def nograd_backward():
    torch.ones(2).sum().backward()


def nonscalar():
    (torch.ones(2, requires_grad=True) * 2).backward()


def unused():
    x = torch.ones(1, requires_grad=True)
    z = torch.ones(1, requires_grad=True)
    torch.autograd.grad((x * 2).sum(), [x, z])


def unused_allow():
    x = torch.ones(1, requires_grad=True)
    z = torch.ones(1, requires_grad=True)
    return torch.autograd.grad((x * 2).sum(), [x, z], allow_unused=True)


def chain():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(100000):
        y = y + 1
    y.backward()
    return x.grad


def chain_drop():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(100000):
        y = y * 1
    del y
    return 'dropped'


def meta():
    with torch.device('meta'):
        m = nn.Linear(3, 4)
    y = m(torch.empty(2, 3, device='meta'))
    m2 = m.to_empty(device='cpu')
    out = [y.shape, y.device, m.weight.device, repr(y)]
    try:
        y.tolist()
    except Exception as e:
        out.append(type(e).__name__ + str(e)[:40])
    try:
        torch.ones(2, device='meta').item()
    except Exception as e:
        out.append(type(e).__name__ + str(e)[:40])
    return out


def float8_storage():
    x = torch.tensor([1.0, -2.5, 448, 500, 0.001, float('nan')])
    a = x.to(torch.float8_e4m3fn)
    b = x.to(torch.float8_e5m2)
    return (a.float().tolist(), b.float().tolist(), a.dtype, a.element_size(), repr(a), a.view(torch.uint8).tolist())


def f8_finfo():
    return [(torch.finfo(d).max, torch.finfo(d).eps, torch.finfo(d).smallest_normal) for d in (torch.float8_e4m3fn, torch.float8_e5m2)]


def printing():
    return (repr(torch.tensor([1e-05, 1.0, 100000.0])), repr(torch.arange(2000.0)), repr(torch.tensor([[True, False]])), repr(torch.zeros(0, 3)), repr(torch.tensor(1.5, requires_grad=True)), repr(torch.ones(1, requires_grad=True) * 2), repr(torch.ones(2, dtype=torch.float16)), '%s' % torch.tensor(3), f'{torch.tensor(1.23456):.2f}', f'{torch.tensor([1.0])}')


def size_repr():
    return (repr(torch.Size([1, 10])), repr(torch.device('cuda', 1)), repr(torch.device('cpu')), str(torch.device('cuda:0')), torch.float32, torch.strided, torch.preserve_format)


def numpynames():
    x = torch.arange(6.0).reshape(2, 3)
    return (x.mean(axis=1), torch.cat([x, x], axis=0).shape, x.sum(1, keepdims=True).shape, torch.stack([x, x], axis=1).shape, x.max(axis=1).indices, torch.softmax(x, axis=1).shape if False else None)


def old_spellings():
    V = torch.autograd.Variable
    return (V(torch.ones(2), requires_grad=True), V(torch.ones(2), volatile=True) if False else None, torch.FloatTensor([1, 2]), torch.LongTensor(2, 3).shape, torch.ones(2).type('torch.DoubleTensor').dtype, torch.ones(2).type(torch.LongTensor).dtype, F.sigmoid(torch.zeros(1)), F.tanh(torch.zeros(1)), torch.ones(2).type())


def size_average():
    return (nn.MSELoss(size_average=False)(torch.ones(2), torch.zeros(2)), F.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]), size_average=False), nn.CrossEntropyLoss(reduce=False)(torch.zeros(2, 3), torch.tensor([0, 1])))


def default_type():
    torch.set_default_tensor_type(torch.DoubleTensor)
    a = torch.ones(1).dtype
    torch.set_default_tensor_type('torch.FloatTensor')
    return (a, torch.ones(1).dtype)


def data_of_a_number():
    torch.tensor(1.0).data[0]


def iterate_a_number():
    list(torch.tensor(1.0))


def length_of_a_number():
    len(torch.tensor(1.0))


def truth_of_many():
    bool(torch.ones(2))


def pymath():
    return (math.sqrt(torch.tensor(4.0)), int(torch.tensor(3.7)), float(torch.tensor(2)), [10, 20, 30][torch.tensor(1)], torch.tensor(3) in torch.arange(5), 3 in torch.arange(5), round(torch.tensor(2.7), 0) if hasattr(torch.Tensor, '__round__') else None)


def devctx():
    with torch.device('meta'):
        a = torch.ones(2)
    return (a.device, torch.ones(1).device)


def tf32():
    r = [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic]
    torch.backends.cuda.matmul.allow_tf32 = True
    r.append(torch.backends.cuda.matmul.allow_tf32)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_float32_matmul_precision('high')
    r.append(torch.get_float32_matmul_precision())
    torch.set_float32_matmul_precision('highest')
    return r


def load_unsafe():
    b = io.BytesIO()
    torch.save(nn.Linear(1, 1), b)
    b.seek(0)
    torch.load(b)


def safeglobals():
    b = io.BytesIO()
    torch.save(nn.Sequential(nn.Linear(1, 1)), b)
    b.seek(0)
    with torch.serialization.safe_globals([nn.Linear, nn.Sequential, nn.modules.linear.Linear]):
        return torch.load(b)


def deep_copy():
    m = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    c = copy.deepcopy(m)
    return (torch.equal(m[0].weight, c[0].weight), c[0].weight is m[0].weight, copy.copy(m) is m, type(copy.deepcopy(torch.ones(2, requires_grad=True))))


def deep_copy_of_a_result():
    copy.deepcopy(torch.ones(1, requires_grad=True) * 2)


def buffers():

    class M(nn.Module):

        def __init__(s):
            super().__init__()
            s.register_buffer('a', torch.ones(1), persistent=False)
            s.register_buffer('b', torch.ones(1))
            s.p = nn.Parameter(torch.ones(1))
    m = M()
    return (list(m.state_dict()), m.load_state_dict({'zz': torch.ones(1)}, strict=False))


def strict_state():
    nn.Linear(1, 1).load_state_dict({'zz': torch.ones(1)})


def size_mismatch():
    nn.Linear(1, 1).load_state_dict({'weight': torch.ones(2, 2), 'bias': torch.ones(1)})


def foreach():
    a = [torch.ones(2), torch.ones(3)]
    torch._foreach_add_(a, 1.0)
    torch._foreach_copy_(a, [torch.zeros(2), torch.zeros(3)])
    return (a, torch._foreach_norm([torch.ones(4)]))


def packed():
    l = nn.LSTM(3, 4, batch_first=True)
    p = nn.utils.rnn.pack_padded_sequence(torch.randn(2, 5, 3), [5, 3], batch_first=True)
    o, (h, c) = l(p)
    return (type(p).__name__, p[0].shape, nn.utils.rnn.pad_packed_sequence(o, batch_first=True)[0].shape)


def compile_():

    @torch.compile(dynamic=False, fullgraph=True)
    def f(x):
        return x * 2
    m = torch.compile(nn.Linear(2, 2))
    return (f(torch.ones(1)), list(m.state_dict()))


def indexing():
    x = torch.arange(24.0).reshape(2, 3, 4)
    y = x.clone()
    y[y > 5] = 0
    y[[0, 1], 1] += 1
    y[..., None, 0].shape
    y[torch.tensor([0]), :, torch.tensor([1])] = 9
    return (y, x[1, ..., ::2], x[:, None].shape, x[torch.tensor([True, False])].shape, x[0][[0, 2]])


def index_past_end():
    torch.arange(3)[5]


def index_tensor_past_end():
    torch.arange(3)[torch.tensor([5])]


def too_many_indices():
    torch.arange(3)[0, 0]


def mask_shape():
    torch.ones(2, 3)[torch.ones(3, dtype=torch.bool)]


def overlap():
    x = torch.ones(1).expand(3)
    x.add_(1)


def partial():
    x = torch.arange(6.0)
    x[1:].copy_(x[:-1])
    return x


def partial2():
    x = torch.arange(6.0)
    x[1:].add_(x[:-1])
    return x


def out():
    o = torch.empty(0)
    torch.add(torch.ones(2), 1, out=o)
    return o


def out_grad():
    torch.add(torch.ones(2, requires_grad=True), 1, out=torch.empty(2))


def shape_err():
    torch.ones(2, 3) @ torch.ones(2, 3)


def broadcast():
    torch.ones(2, 3) + torch.ones(4)


def mixed_dtypes():
    torch.ones(2) @ torch.ones(2, dtype=torch.float64)


def int_grad():
    torch.ones(2, dtype=torch.int64, requires_grad=True)


def int_inplace():
    torch.ones(2, dtype=torch.int64).add_(1.5)


def view_err():
    torch.ones(2, 3).t().view(6)


def custom_function():

    class Sq(torch.autograd.Function):

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0]
    x = torch.tensor([3.0], requires_grad=True)
    y = Sq.apply(x)
    g, = torch.autograd.grad(y, x, create_graph=True)
    g2, = torch.autograd.grad(g, x)
    return (g, g2, y.grad_fn.name())


def gradcheck():
    return torch.autograd.gradcheck(lambda x: x.sin().sum(), torch.randn(3, dtype=torch.float64, requires_grad=True))


def jacobian():
    return torch.autograd.functional.jacobian(lambda x: x ** 2, torch.ones(2))


def dlpack():
    d = part('utils.dlpack')
    x = torch.arange(3.0)
    y = d.from_dlpack(d.to_dlpack(x))
    y[0] = 7
    z = torch.from_dlpack(x)
    return (x, z.data_ptr() == x.data_ptr())


def promotion():
    return ((torch.ones(1, dtype=torch.int8) + torch.ones(1, dtype=torch.uint8)).dtype, (torch.ones(1, dtype=torch.float16) + torch.ones(1, dtype=torch.bfloat16)).dtype, (torch.tensor(1.0, dtype=torch.float64) + torch.ones(1)).dtype, (torch.ones(1, dtype=torch.int32) / 2).dtype, (torch.ones(1, dtype=torch.bool) + 1).dtype, torch.result_type(torch.ones(1, dtype=torch.uint8), 1.5))


def generator():
    g = torch.Generator().manual_seed(5)
    return (torch.rand(2, generator=g), torch.randperm(4, generator=g), torch.initial_seed if False else None)


def randstate():
    torch.manual_seed(3)
    s = torch.get_rng_state()
    a = torch.rand(1)
    torch.set_rng_state(s)
    return (a == torch.rand(1), s.dtype, s.shape)


def repr_mod():
    return repr(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Dropout(0.1), nn.LSTM(2, 3, batch_first=True), nn.Transformer(4, 2, 1, 1)))


def none_arg():
    torch.add(None, 1)


def topk_too_many():
    torch.ones(2).topk(5)


def target_out_of_range():
    F.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 7]))


def embedding_out_of_range():
    F.embedding(torch.tensor([9]), torch.ones(3, 2))


def channels_last():
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    return (x.stride(), x.is_contiguous(memory_format=torch.channels_last), (x + 1).stride(), nn.Conv2d(3, 4, 1).to(memory_format=torch.channels_last)(x).stride())


def views():
    return (torch.ones(6).unflatten(0, (2, 3)).shape, torch.ones(2, 3).as_strided((2, 2), (1, 1)), torch.arange(9).reshape(3, 3).diagonal(), torch.ones(4).unfold(0, 2, 1).shape, torch.ones(2, 3).movedim(0, 1).shape, torch.ones(1, 2).squeeze().shape)


def outcome(f):
    try:
        return str(f())
    except Exception as e:
        return "%s: %s" % (type(e).__name__, str(e).split("\n")[0])


CASES = [f for f in list(globals().values()) if getattr(f, "__module__", None) == __name__ and callable(f) and f not in (part, outcome)]

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for f in CASES:
        print("%s = %s" % (f.__name__, outcome(f).replace("\\", "\\\\").replace("\n", "\\n")))
