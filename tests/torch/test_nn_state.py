"""State dicts of the C layers and real torch: the same first values for a seed, and what taper_params_save writes is loaded by
load_state_dict(strict=True), element for element.

Skips without torch. The library: TAPER_LIB, else build/libtaper.so. The C API is called through ctypes.
"""
import ctypes as C
import os
import sys
import tempfile

try:
    import torch
except ImportError:
    print("ok nn_state # skipped, no torch")
    sys.exit(0)
try:
    import safetensors.torch as st
except ImportError:
    st = None

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
lib = C.CDLL(os.environ.get("TAPER_LIB", os.path.join(ROOT, "build", "libtaper.so")))
I, V = C.c_int64, C.c_void_p


class Device(C.Structure):
    _fields_ = [("type", C.c_uint8), ("index", C.c_int8)]


class Params(C.Structure):
    _fields_ = [("count", C.c_int), ("capacity", C.c_int), ("tensors", V), ("names", C.POINTER(C.c_char_p)), ("buffers", V)]


CPU = Device(0, 0)
PARAMS = C.POINTER(Params)
for name, args in [("conv1d", [I, I, I, V]), ("conv2d", [I, I, I, V]), ("linear", [I, I, C.c_bool]), ("batch_norm", [I, V]), ("group_norm", [I, I]),
                   ("layer_norm", [I]), ("rms_norm", [I]), ("embedding", [I, I, C.c_double])]:
    getattr(lib, "taper_nn_%s_init" % name).argtypes = [V, PARAMS, C.c_char_p] + args + [Device]
lib.taper_params_save.argtypes = lib.taper_params_load.argtypes = [PARAMS, C.c_char_p]
lib.taper_error_message.restype = C.c_char_p
lib.taper_manual_seed.argtypes = [C.c_uint64]

LAYERS = [
    ("embedding", (11, 8, 1.0), lambda: torch.nn.Embedding(11, 8)),
    ("conv2d", (6, 10, 3, None), lambda: torch.nn.Conv2d(6, 10, 3)),
    ("batch_norm", (10, None), lambda: torch.nn.BatchNorm2d(10)),
    ("conv1d", (5, 7, 4, None), lambda: torch.nn.Conv1d(5, 7, 4)),
    ("linear", (37, 12, True), lambda: torch.nn.Linear(37, 12)),
    ("linear", (300, 70, False), lambda: torch.nn.Linear(300, 70, bias=False)),
    ("group_norm", (2, 8), lambda: torch.nn.GroupNorm(2, 8)),
    ("layer_norm", (9,), lambda: torch.nn.LayerNorm(9)),
    ("rms_norm", (9,), lambda: torch.nn.RMSNorm(9)),
    ("batch_norm", (3, None), lambda: torch.nn.BatchNorm1d(3)),
]


def call(status):
    assert status == 0, lib.taper_error_message().decode()


def c_layers(seed):
    params, memory = Params(), []
    lib.taper_manual_seed(seed)
    for i, (kind, args, _) in enumerate(LAYERS):
        memory.append(C.create_string_buffer(256))
        call(getattr(lib, "taper_nn_%s_init" % kind)(memory[-1], C.byref(params), str(i).encode(), *args, CPU))
    return params, memory


def torch_layers(seed):
    torch.manual_seed(seed)
    return torch.nn.Sequential(*[make() for _, _, make in LAYERS])


failed = False


def check(name, right, why=""):
    global failed
    failed = failed or not right
    print("%s nn_state_%s%s" % ("ok" if right else "not ok", name, "" if right else ": %s" % why))


def same(a, b):
    return list(a) == list(b) and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


with tempfile.TemporaryDirectory() as folder:
    params, memory = c_layers(5)
    want = torch_layers(5)
    for end, read in (("pt", lambda p: torch.load(p, weights_only=True)), ("safetensors", st and st.load_file)):
        if not read:
            print("ok nn_state_%s # skipped, no safetensors" % end)
            continue
        path = os.path.join(folder, "c." + end)
        call(lib.taper_params_save(C.byref(params), path.encode()))
        state = read(path)
        got = torch_layers(6)
        got.load_state_dict(state, strict=True)
        check("first_values_%s" % end, same(got.state_dict(), want.state_dict()), "values differ")
        check("no_gradients_%s" % end, not any(t.requires_grad for t in state.values()))
        other = torch_layers(7)  # and back
        path = os.path.join(folder, "torch." + end)
        torch.save(other.state_dict(), path) if end == "pt" else st.save_file(other.state_dict(), path)
        call(lib.taper_params_load(C.byref(params), path.encode()))
        path = os.path.join(folder, "again." + end)
        call(lib.taper_params_save(C.byref(params), path.encode()))
        check("back_%s" % end, same(dict(sorted(read(path).items())), dict(sorted(other.state_dict().items()))), "values differ")
        params, memory = c_layers(5)

    # A file with names too many is refused by both with the same words.
    more = torch.nn.Sequential(*[make() for _, _, make in LAYERS], torch.nn.Linear(2, 2))
    path = os.path.join(folder, "more.pt")
    torch.save(more.state_dict(), path)
    status = lib.taper_params_load(C.byref(params), path.encode())
    try:
        torch_layers(1).load_state_dict(torch.load(path, weights_only=True))
        words = ""
    except RuntimeError as error:
        words = str(error).split("\n", 1)[1].strip().rstrip(".")
    check("unexpected_names", status != 0 and words and words in lib.taper_error_message().decode(), words)
sys.exit(failed)
