"""Files both ways between taper and real torch and safetensors: what one writes the other reads, element for element.

Skips without torch. The library: TAPER_LIB, else build/libtaper.so. The C API is called through ctypes.
"""
import collections
import ctypes as C
import os
import sys
import tempfile

try:
    import torch
except ImportError:
    print("ok io_torch # skipped, no torch")
    sys.exit(0)
try:
    import safetensors.torch as st
except ImportError:
    st = None

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
lib = C.CDLL(os.environ.get("TAPER_LIB", os.path.join(ROOT, "build", "libtaper.so")))
P, I, Z = C.c_void_p, C.c_int64, C.c_size_t
for name, result, args in [
        ("taper_error_message", C.c_char_p, []), ("taper_tree_root", P, [P]), ("taper_tree_release", None, [P]), ("taper_item_get_kind", C.c_int, [P]),
        ("taper_item_integer", I, [P]), ("taper_item_number", C.c_double, [P]), ("taper_item_text", P, [P, C.POINTER(Z)]), ("taper_item_tensor", P, [P]),
        ("taper_item_count", I, [P]), ("taper_item_at", P, [P, I]), ("taper_item_key", P, [P, I]), ("taper_item_state", P, [P]),
        ("taper_tensor_ndim", C.c_int, [P]), ("taper_tensor_shape", C.POINTER(I), [P]), ("taper_tensor_strides", C.POINTER(I), [P]), ("taper_tensor_numel", I, [P]),
        ("taper_tensor_dtype", C.c_int, [P]), ("taper_dtype_name", C.c_char_p, [C.c_int]), ("taper_dtype_from_name", C.c_int, [C.c_char_p]),
        ("taper_tensor_read", C.c_int, [P, P, Z]), ("taper_tensor_data", P, [P]), ("taper_tensor_offset", I, [P]), ("taper_tensor_release", None, [P]),
        ("taper_tensor_from_data", C.c_int, [C.POINTER(P), P, C.c_int, C.c_int, C.POINTER(I)]),
        ("taper_load", C.c_int, [C.POINTER(P), C.c_char_p, P]), ("taper_load_memory", C.c_int, [C.POINTER(P), C.c_char_p, Z, P]),
        ("taper_save_pt", C.c_int, [C.c_char_p, P]), ("taper_tree_new", C.c_int, [C.POINTER(P)]), ("taper_tree_set_root", None, [P, P]), ("taper_tree_item", P, [P, C.c_int]),
        ("taper_tree_integer", P, [P, C.c_int, I]), ("taper_tree_float", P, [P, C.c_double]), ("taper_tree_text", P, [P, C.c_int, C.c_char_p, Z]),
        ("taper_tree_tensor", P, [P, C.c_int, P]), ("taper_item_append", C.c_int, [P, P, P]), ("taper_item_put", C.c_int, [P, P, P, P]), ("taper_item_set_state", None, [P, P]),
        ("taper_save_safetensors", C.c_int, [C.c_char_p, C.POINTER(C.c_char_p), C.POINTER(P), I, C.POINTER(C.c_char_p), C.POINTER(C.c_char_p), I])]:
    f = getattr(lib, name)
    f.restype, f.argtypes = result, args

NONE, BOOL, INT, BIG, FLOAT, STR, BYTES, BYTEARRAY, LIST, TUPLE, SIZE, SET, FROZEN, DICT, ORDERED, COUNTER, TENSOR, PARAMETER, DTYPE, DEVICE = range(20)
bad = 0


def check(ok, name, why=""):
    global bad
    print(f"ok {name}" if ok else f"not ok {name}: {why or lib.taper_error_message().decode()}")
    bad += not ok


def raw(t):
    t = t.detach().contiguous().reshape(-1)
    return bytes((t if t.dtype == torch.bool else t.view(torch.uint8)).tolist())


def to_torch(t):
    dtype = getattr(torch, lib.taper_dtype_name(lib.taper_tensor_dtype(t)).decode())
    n = lib.taper_tensor_numel(t)
    shape = lib.taper_tensor_shape(t)[:lib.taper_tensor_ndim(t)]
    buffer = bytearray(max(1, n * dtype.itemsize))
    assert lib.taper_tensor_read(t, (C.c_char * len(buffer)).from_buffer(buffer), n * dtype.itemsize) == 0
    return torch.frombuffer(buffer, dtype=torch.uint8)[:n * dtype.itemsize].view(dtype).reshape(shape) if n else torch.empty(shape, dtype=dtype)


def text(node):
    n = Z()
    p = lib.taper_item_text(node, C.byref(n))
    return C.string_at(p, n.value)


def to_python(node):
    kind = lib.taper_item_get_kind(node)
    items = lambda: [to_python(lib.taper_item_at(node, i)) for i in range(lib.taper_item_count(node))]
    pairs = lambda: [(to_python(lib.taper_item_key(node, i)), to_python(lib.taper_item_at(node, i))) for i in range(lib.taper_item_count(node))]
    if kind == NONE:
        return None
    if kind in (BOOL, INT):
        return (bool if kind == BOOL else int)(lib.taper_item_integer(node))
    if kind == BIG:
        return int.from_bytes(text(node), "little", signed=True)
    if kind == FLOAT:
        return lib.taper_item_number(node)
    if kind in (STR, BYTES, BYTEARRAY, DEVICE):
        return {STR: lambda b: b.decode(), BYTES: bytes, BYTEARRAY: bytearray, DEVICE: lambda b: torch.device(b.decode())}[kind](text(node))
    if kind == DTYPE:
        return getattr(torch, lib.taper_dtype_name(lib.taper_item_integer(node)).decode())
    if kind in (TENSOR, PARAMETER):
        t = to_torch(lib.taper_item_tensor(node))
        return torch.nn.Parameter(t, t.is_floating_point()) if kind == PARAMETER else t
    if kind in (LIST, TUPLE, SIZE, SET, FROZEN):
        return {LIST: list, TUPLE: tuple, SIZE: torch.Size, SET: set, FROZEN: frozenset}[kind](items())
    out = {DICT: dict, ORDERED: collections.OrderedDict, COUNTER: collections.Counter}[kind](dict(pairs()))
    if lib.taper_item_state(node) and kind == ORDERED:
        vars(out).update(to_python(lib.taper_item_state(node)))
    return out


def new_tensor(t):
    out, data = P(), raw(t)
    shape = (I * max(1, t.dim()))(*t.shape)
    assert lib.taper_tensor_from_data(C.byref(out), data, lib.taper_dtype_from_name(str(t.dtype)[6:].encode()), t.dim(), shape) == 0, lib.taper_error_message()
    return out


def to_node(tree, v):
    if v is None:
        return lib.taper_tree_item(tree, NONE)
    if isinstance(v, bool):
        return lib.taper_tree_integer(tree, BOOL, v)
    if isinstance(v, int):
        return lib.taper_tree_integer(tree, INT, v) if -2**63 <= v < 2**63 else (lambda b: lib.taper_tree_text(tree, BIG, b, len(b)))(v.to_bytes(v.bit_length() // 8 + 1, "little", signed=True))
    if isinstance(v, float):
        return lib.taper_tree_float(tree, v)
    if isinstance(v, str):
        return lib.taper_tree_text(tree, STR, v.encode(), len(v.encode()))
    if isinstance(v, (bytes, bytearray)):
        return lib.taper_tree_text(tree, BYTES if isinstance(v, bytes) else BYTEARRAY, bytes(v), len(v))
    if isinstance(v, torch.device):
        return lib.taper_tree_text(tree, DEVICE, str(v).encode(), len(str(v)))
    if isinstance(v, torch.dtype):
        return lib.taper_tree_integer(tree, DTYPE, lib.taper_dtype_from_name(str(v).encode()))
    if isinstance(v, torch.Tensor):
        t = new_tensor(v)
        node = lib.taper_tree_tensor(tree, PARAMETER if isinstance(v, torch.nn.Parameter) else TENSOR, t)
        lib.taper_tensor_release(t)
        return node
    if isinstance(v, dict):
        node = lib.taper_tree_item(tree, COUNTER if isinstance(v, collections.Counter) else ORDERED if isinstance(v, collections.OrderedDict) else DICT)
        for k, x in v.items():
            assert lib.taper_item_put(tree, node, to_node(tree, k), to_node(tree, x)) == 0
        if getattr(v, "_metadata", None):
            lib.taper_item_set_state(node, to_node(tree, {"_metadata": v._metadata}))
        return node
    kind = SIZE if isinstance(v, torch.Size) else {list: LIST, tuple: TUPLE, set: SET, frozenset: FROZEN}[type(v)]
    node = lib.taper_tree_item(tree, kind)
    for x in v:
        assert lib.taper_item_append(tree, node, to_node(tree, x)) == 0
    return node


def equal(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and raw(a) == raw(b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[k], b[k]) for k in a) and equal(getattr(a, "_metadata", 0), getattr(b, "_metadata", 0))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


torch.manual_seed(0)
TYPES = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64,
         torch.float8_e4m3fn, torch.float8_e5m2]
TENSORS = {str(d)[6:]: (torch.randn(3, 5) * 9).to(d) for d in TYPES}
model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(16, 2))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
model(torch.randn(2, 3, 4, 4)).sum().backward()
optimizer.step()
schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5, 5])
base = torch.arange(24.0).reshape(4, 6)
CASES = {
    "tensors": TENSORS,
    "numbers": [0, -1, 255, 256, 65536, -2**31, 2**31, 2**63 - 1, -2**63, 2**64, -2**200, 1.5, -0.0, 1e300, float("inf"), True, False, None],
    "text": {"": "", "k\u00e4se": "\U0001f56f", "b": b"\x00\xff\x80a", "ba": bytearray(b"xyz"), "long": "x" * 70000},
    "containers": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [[]], {}, {1: {2: [3]}}, {1, 2}, torch.Size([2, 3]), collections.Counter("aab")],
    "kinds": [torch.float16, torch.int64, torch.device("cpu"), torch.device("cuda:1")],
    "model": model.state_dict(),
    "checkpoint": {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": schedule.state_dict(), "epoch": 3, "args": {"lr": 1e-3}},
    "parameter": torch.nn.Parameter(torch.randn(3)),
    "many": {f"t{i}": torch.full((2,), float(i)) for i in range(700)},
    "scalar": torch.tensor(3.5),
    "empty": [torch.empty(0), torch.empty(2, 0, 3, dtype=torch.int64)],
}
READ_ONLY = {"views": [base, base.t(), base[1:, ::2], base[2, 3], base.expand(2, 4, 6)], "requires_grad": torch.ones(2, requires_grad=True),
             "attributes": (lambda t: (setattr(t, "note", 1), t)[1])(torch.ones(2))}

with tempfile.TemporaryDirectory() as folder:
    for name, value in {**CASES, **READ_ONLY}.items():
        for form in (True, False):
            path = os.path.join(folder, "from_torch.pt")
            torch.save(value, path, _use_new_zipfile_serialization=form)
            tree = P()
            ok = lib.taper_load(C.byref(tree), path.encode(), None) == 0
            label = f"torch_to_taper_{name}_{'zip' if form else 'legacy'}"
            if ok:
                check(equal(value if name in CASES else torch.load(path, weights_only=True), to_python(lib.taper_tree_root(tree))), label, "content differs")
                lib.taper_tree_release(tree)
            else:
                check(False, label)
    for name, value in CASES.items():
        path = os.path.join(folder, "from_taper.pt")
        tree = P()
        assert lib.taper_tree_new(C.byref(tree)) == 0
        lib.taper_tree_set_root(tree, to_node(tree, value))
        ok = lib.taper_save_pt(path.encode(), tree) == 0
        lib.taper_tree_release(tree)
        if not ok:
            check(False, f"taper_to_torch_{name}")
            continue
        for mmap in (False, True):
            try:
                check(equal(value, torch.load(path, weights_only=True, mmap=mmap)), f"taper_to_torch_{name}{'_mmap' * mmap}", "content differs")
            except Exception as e:  # torch refusing the file is the failure we look for
                check(False, f"taper_to_torch_{name}{'_mmap' * mmap}", str(e)[:300])

    class Evil:
        def __reduce__(self):
            return (os.system, ("echo executed",))
    for form in (True, False):
        path = os.path.join(folder, "evil.pt")
        torch.save({"a": Evil()}, path, _use_new_zipfile_serialization=form)
        tree = P()
        st_code = lib.taper_load(C.byref(tree), path.encode(), None)
        check(st_code != 0 and b"Unsupported global: GLOBAL posix.system was not an allowed global by default" in lib.taper_error_message(), f"refuses_code_{form}")
    if st:
        path = os.path.join(folder, "x.safetensors")
        st.save_file(TENSORS, path, {"format": "pt", "k": "\u00e4"})
        tree = P()
        check(lib.taper_load(C.byref(tree), path.encode(), None) == 0, "safetensors_to_taper_load")
        got = to_python(lib.taper_tree_root(tree))
        check(set(got) == set(TENSORS) and all(equal(TENSORS[k], got[k]) for k in got), "safetensors_to_taper", "content differs")
        lib.taper_tree_release(tree)
        names = list(TENSORS) + ["empty"]
        handles = [new_tensor(TENSORS[k]) for k in TENSORS] + [new_tensor(torch.empty(0, 3))]
        code = lib.taper_save_safetensors(path.encode(), (C.c_char_p * len(names))(*[n.encode() for n in names]), (P * len(names))(*handles), len(names),
                                          (C.c_char_p * 1)(b"who"), (C.c_char_p * 1)("t\u00e4per \"1\"".encode()), 1)
        check(code == 0, "taper_to_safetensors_save")
        got = st.load_file(path)
        check(all(equal(TENSORS[k], got[k]) for k in TENSORS) and got["empty"].shape == (0, 3), "taper_to_safetensors", "content differs")
        from safetensors import safe_open
        with safe_open(path, "pt") as f:
            check(f.metadata() == {"who": "t\u00e4per \"1\""}, "taper_to_safetensors_metadata", str(f.metadata()))
        for h in handles:
            lib.taper_tensor_release(h)
sys.exit(bad != 0)
