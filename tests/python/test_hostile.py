"""Wrong types, huge sizes, None, aliases of itself to every function: an exception or a result, never a crash or a SystemError."""
import os
import random
import signal
import subprocess
import sys
import tempfile

CALLS = int(os.environ.get("HOSTILE_CALLS", "60"))  # per function and number of arguments
SECONDS = 120  # for one batch of functions
BATCH = 40
# They end the process, wait for somebody, reach outside, or are of the interpreter; the rest of torch's names are all called.
LEFT_OUT = {"_exit", "hub", "save", "load", "compile", "set_num_threads", "set_num_interop_threads", "manual_seed_all", "from_file", "share_memory_",
            "set_default_device", "get_file_path", "register_fork", "add_tensor_method"}


def functions(torch):
    """(label, callable) of everything exported, by name."""
    import importlib

    places = [("torch", torch), ("Tensor", torch.Tensor), ("torch._C.ops", torch._C.ops), ("torch._C", torch._C)]
    places += [(n, importlib.import_module(n.replace("torch", torch.__name__, 1))) for n in
               ("torch.nn.functional", "torch.linalg", "torch.special", "torch.nn.init", "torch.nn.utils", "torch.nn.utils.rnn", "torch.autograd",
                "torch.derived", "torch.composites")]
    found = []
    for place, owner in places:
        for name in sorted(dir(owner)):
            if name in LEFT_OUT or name.startswith("__") and (place != "Tensor" or name in ("__class__", "__init_subclass__", "__subclasshook__", "__new__")):
                continue
            try:
                f = getattr(owner, name)
            except Exception:
                continue
            if callable(f) and not isinstance(f, type(os)):
                found.append(("%s.%s" % (place, name), f))
    attributes = [n for n in sorted(dir(torch.Tensor)) if not n.startswith("__") and not callable(getattr(torch.Tensor, n, None))]
    found += [("Tensor.%s = " % n, lambda t=None, v=None, *more, n=n: setattr(t, n, v)) for n in attributes]
    found += [("del Tensor.%s" % n, lambda t=None, *more, n=n: delattr(t, n)) for n in attributes]
    return found


def values(torch):
    """Fresh arguments; what one call changed another must not see."""
    a = torch.arange(6.0).reshape(2, 3)
    row = torch.ones(1)
    leaf = torch.ones(3, requires_grad=True)
    deep = []
    deep.append(deep)
    return [a, a.t(), a[0], row.expand(4), row.expand(2, 3), torch.empty(0), torch.empty(0, 3), torch.tensor(3), torch.tensor(2.5), torch.ones(2, 3, dtype=torch.bool),
            torch.tensor([5, -7, 1 << 62]), torch.zeros(2, 3, dtype=torch.int64), torch.ones(3, dtype=torch.uint8), torch.full((2, 3), float("nan")), leaf, leaf * 2, torch.ones((1,) * 16),
            torch.empty(2, 3, device="meta"), torch.ones(3, 3, dtype=torch.bfloat16), torch.ones(1, 3, 4, 4), torch.ones(2, dtype=torch.float16), None, True, 0, 1, -1, 2, 1 << 40, 1 << 62, -(1 << 63), 10**30, 0.5,
            float("nan"), float("inf"), "", "x", "sum", "cuda:99", "\udc80", b"x", (), [], (2, 3), (1 << 40, 1 << 40), (-1, -1), [1 << 62], (0, 1 << 62), [None], [a, None], [a, a], [a, "x"], [[]], [1.5], (1,) * 70, deep,
            {}, {"a": 1}, object(), slice(None), ..., torch.float32, torch.int64, torch.Tensor, torch.device("cpu"), torch.Size([2]), lambda *k: None, range(3), iter(())]


def child(first):
    """Calls the functions from number `first` on; the last line written says where a crash came from."""
    import resource

    import taper as torch

    import warnings

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    torch.set_num_threads(2)
    all_functions = functions(torch)
    keywords = ("out", "dim", "dtype", "device", "other", "input", "size", "generator", "axis", "keepdim")
    real = os.dup(1)  # whatever functions print goes nowhere
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    say = os.fdopen(real, "w", buffering=1)
    for number in range(first, min(first + BATCH, len(all_functions))):
        label, f = all_functions[number]
        r = random.Random(label + os.environ.get("HOSTILE_SEED", ""))
        for count in range(5):
            tries = 1 if count == 0 else CALLS
            for t in range(tries):
                pool = values(torch)
                if count == 1 and t < len(pool):
                    picks = [t]
                else:
                    picks = [r.randrange(len(pool)) for _ in range(count)]
                    if count > 1 and r.random() < 0.5:
                        picks[0] = r.randrange(21)  # mostly a tensor first
                    if count > 1 and r.random() < 0.3:
                        picks[1] = picks[0]  # and itself again
                kw = {r.choice(keywords): pool[r.randrange(len(pool))]} if count and r.random() < 0.2 else {}
                say.write("call %d %s %s %s\n" % (number, label, picks, sorted(kw)))
                try:
                    f(*[pool[p] for p in picks], **kw)
                except SystemError as error:
                    say.write("system %s %s: %s\n" % (label, picks, str(error)[:200].replace("\n", " ")))
                except Exception:
                    pass
                except BaseException as error:  # SystemExit and the like have no place here
                    say.write("system %s %s: %s\n" % (label, picks, type(error).__name__))
                restore(torch)
    say.write("end %d\n" % len(all_functions))


def restore(torch):
    try:
        torch.set_default_dtype(torch.float32)
        torch._C.set_default_device(None)
    except Exception:
        pass
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(False)
    for leave in ("set_inference_mode", "set_anomaly_mode"):
        if hasattr(torch._C, leave):
            try:
                getattr(torch._C, leave)(False)
            except Exception:
                pass


def main():
    failed, first, total = [], 0, 1
    with tempfile.TemporaryDirectory() as folder:
        while first < total:
            p = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--child", str(first)], stdout=subprocess.PIPE, cwd=folder,
                                 text=True, errors="replace")
            try:
                lines = p.communicate(timeout=SECONDS)[0].split("\n")
            except subprocess.TimeoutExpired:
                p.send_signal(signal.SIGKILL)
                lines = p.communicate()[0].split("\n")
            failed += [l[7:] for l in lines if l.startswith("system ")]
            ends = [l for l in lines if l.startswith("end ")]
            calls = [l for l in lines if l.startswith("call ")]
            if ends:
                total = int(ends[-1].split()[1])
                first += BATCH
                continue
            if not calls:
                failed.append("the child ended with %s before the first call" % p.returncode)
                break
            words = calls[-1].split(" ", 3)
            failed.append("%s %s: the process ended with %s" % (words[2], words[3], "no end in sight" if p.returncode == -9 else p.returncode))
            first = int(words[1]) + 1
            total = max(total, first + 1)
    for name in sorted(set(failed)):
        print("not ok hostile %s" % name)
    if not failed:
        print("ok hostile: %d functions" % total)
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--child":
        child(int(sys.argv[2]))
    else:
        sys.exit(main())
