"""What it costs to begin: import over a bare interpreter, resident memory, the first tensor, the size on disk."""
import glob
import os
import shutil
import subprocess
import tempfile
import time

RESIDENT = "; print(next(x.split()[1] for x in open('/proc/self/status') if x.startswith('VmRSS')))"


def child(python, code, env):
    """(milliseconds, what it printed)"""
    begin = time.perf_counter()
    out = subprocess.run([python, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - begin) * 1e3, out.stdout.decode().strip()


def installed_kb(build):
    """The package with its extension stripped, as a wheel would carry it."""
    home = os.path.realpath(os.path.join(build, "python", "taper"))
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in glob.glob(os.path.join(home, "_C*.so")):
            copy = shutil.copy(path, folder)
            subprocess.run(["strip", "--strip-unneeded", copy], check=False)
            total += os.path.getsize(copy)
    for where, folders, names in os.walk(home, followlinks=True):
        folders[:] = [f for f in folders if f != "__pycache__"]
        total += sum(os.path.getsize(os.path.join(where, n)) for n in names if not n.startswith("_C"))
    return total / 1024


def figures(a, ours_env, peer_env):
    sides = [("Python", a.python, ours_env, "taper")] + ([("PyTorch", a.peer_python, peer_env, "torch")] if peer_env else [])
    gpu = a.device == "cuda"
    rows = {}
    for turn in range(-1, 3 if a.quick else 10):
        for side, python, env, module in sides:
            if side == "PyTorch" and turn > 1:
                continue  # seconds each, and far away
            bare, _ = child(python, "pass", env)
            whole, _ = child(python, "import %s" % module, env)
            _, resident = child(python, "import %s%s" % (module, RESIDENT), env)
            found = [("import", "ms", whole - bare), ("resident", "KB", int(resident))]
            if gpu:
                found.append(("first_tensor", "ms", child(python, "import %s as t; t.ones(1, device='cuda').item()" % module, env)[0]))
            for variant, unit, value in found if turn >= 0 else ():
                rows.setdefault((side, variant, unit), []).append(value)
    for (side, variant, unit), samples in rows.items():
        yield {"side": side, "workload": "startup", "variant": variant, "unit": unit, "samples": samples}
    yield {"side": "Python", "workload": "startup", "variant": "installed", "unit": "KB", "samples": [installed_kb(a.build)]}
