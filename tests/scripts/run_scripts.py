"""Unmodified PyTorch scripts under `python -m taper`: tutorial snippets, pytorch/examples.

    run_scripts.py [word...]     only cases whose name contains a word
    TAPER_SNIPPETS=folder        snippets with their preludes (default: ../shared/seed_snippets beside the repository)
    TAPER_EXAMPLES=folder        a checkout of pytorch/examples, or its bare repository (default: ../examples)
    TAPER_TORCH=python           an interpreter with real PyTorch: what both print is compared

What is not there is skipped, with a line that says so. PYTHONPATH must find taper.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import data_files

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SNIPPETS = os.environ.get("TAPER_SNIPPETS") or os.path.join(ROOT, "..", "shared", "seed_snippets")
EXAMPLES = os.environ.get("TAPER_EXAMPLES") or os.path.join(ROOT, "..", "examples")
TORCH = os.environ.get("TAPER_TORCH")
NO_DRIVER = "RuntimeError: Found no NVIDIA driver on your system"
failed = []


def say(ok, name, why=""):
    print("ok " + name if ok else "not ok %s: %s" % (name, why.replace("\n", " | ")), flush=True)
    if not ok:
        failed.append(name)


def skip(name, why):
    print("ok %s # skipped: %s" % (name, why), flush=True)


def run(command, folder, timeout=300, extra_path=None):
    environment = dict(os.environ)
    if extra_path:
        environment["PYTHONPATH"] = extra_path
    p = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
    return p.returncode, p.stdout, p.stderr


def taper(folder, *arguments, timeout=300):
    return run([sys.executable, "-m", "taper", *arguments], folder, timeout)


def torch_says(folder, *arguments):
    """What real PyTorch prints, None without one. It borrows the stand-in for torchvision, which has no compiled parts."""
    import taper as package

    own = os.path.join(folder, "..", "torchvision_only")
    os.makedirs(own, exist_ok=True)
    link = os.path.join(own, "torchvision")
    if not os.path.exists(link):
        os.symlink(os.path.join(os.path.dirname(os.path.abspath(package.__file__)), "_shadow", "torchvision"), link)
    return run([TORCH, *arguments], folder, extra_path=own)


# ---- snippets: name, what it prints without a GPU, does it go on to the end without one ----

SNIPPET_LINES = (
    ("s0_01_cuda_check", ["CUDA Available: False", "Device Count: 0"], False),
    ("s0_02_cuda_matmul", [], False),
    ("s0_03_tf32_flags", ["TF32 Enabled for Matmul: False", "TF32 Enabled for Convolution: True"], True),
    ("s0_05_dataloader", [], True),
    ("s1_01_amp_tensorboard", ["CUDA Available: False", "GPU Count: 0"], False),
    ("s2_01_simplenet", ["\u8f93\u51fa\u7ef4\u5ea6: torch.Size([1, 10])"], True),
    ("s2_02_cuda_verify", ["CUDA\u53ef\u7528: False", "GPU\u6570\u91cf: 0"], False),
    ("s3_01_fp16_autocast_linear", [], False),
    ("s3_02_gradscaler_step", [], False),
)


def snippets(folder, gpu):
    for name, lines, whole in SNIPPET_LINES:
        case = "snippet " + name
        if not wanted(case):
            continue
        if not os.path.isdir(SNIPPETS):
            skip(case, "no folder of snippets, set TAPER_SNIPPETS")
            continue
        script = os.path.join(folder, name + ".py")
        with open(script, "w", encoding="utf8") as f:
            for part in (name + "_prelude.py", name + ".py"):
                if os.path.exists(os.path.join(SNIPPETS, part)):
                    with open(os.path.join(SNIPPETS, part), encoding="utf8") as source:
                        f.write(source.read() + "\n")
        status, out, error = taper(folder, script)
        if gpu:
            say(status == 0, case, error)
            continue
        said = out.splitlines()
        if said != lines:
            say(False, case, "it printed %r" % said)
        elif whole:
            say(status == 0, case, error)
        else:
            say(status == 1 and NO_DRIVER in error, case, "without a GPU it must end with %r, got %d and %r" % (NO_DRIVER, status, error[-200:]))
        if TORCH and not (name == "s1_01_amp_tensorboard"):  # PyTorch's needs one more package
            real = torch_says(folder, script)
            say((real[0], real[1].splitlines()) == (status, said), case + " as torch", "torch: %d %r" % (real[0], real[1]))


# ---- pytorch/examples ----

def checkout(name, folder):
    """The folder of one example, None when there is none. Data files that a partial clone lacks are left out."""
    target = os.path.join(folder, name)
    if os.path.isdir(os.path.join(EXAMPLES, name)):
        shutil.copytree(os.path.join(EXAMPLES, name), target)
        return target
    if not os.path.exists(os.path.join(EXAMPLES, "HEAD")):
        return None
    git = ["git", "--git-dir", EXAMPLES]
    listing = subprocess.run(git + ["ls-tree", "-r", "--name-only", "HEAD", name], stdout=subprocess.PIPE, text=True).stdout.split()
    for path in listing:
        os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
        shown = subprocess.run(git + ["show", "HEAD:" + path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if shown.returncode == 0:
            with open(os.path.join(folder, path), "wb") as f:
                f.write(shown.stdout)
    return target if listing else None


def losses(text):
    return [float(n) for n in re.findall(r"[Ll]oss:? +([-+.0-9e]+)", text)]


def near(ours, theirs, tolerance):
    return len(ours) == len(theirs) > 0 and all(abs(a - b) <= tolerance * max(1.0, abs(b)) for a, b in zip(ours, theirs))


def language_model(model, *more):
    # A small step, no dropout: both programs then follow the same numbers (PyTorch with MKL draws dropout from another generator).
    arguments = ["main.py", "--data", "data/small", "--model", model, "--epochs", "1", "--log-interval", "5", "--lr", "1", "--dropout", "0",
                 "--emsize", "64", "--nhid", "64", *more]
    return ("word_language_model " + model + "".join(m[1:] for m in more if m in ("--tied", "--use-optimizer")), "word_language_model", arguments,
            lambda out: "End of training" in out and losses(out)[-1] < losses(out)[0], 0.02)


EXAMPLE_RUNS = (
    ("mnist", "mnist", ["main.py", "--epochs", "1", "--log-interval", "5", "--save-model"], lambda out: "320/320" in out and losses(out)[-1] < 0.1, None),
    ("mnist_rnn", "mnist_rnn", ["main.py", "--epochs", "1", "--log-interval", "5"], lambda out: losses(out)[-1] < 3, None),
    ("mnist_hogwild", "mnist_hogwild", ["main.py", "--epochs", "1", "--num-processes", "2"], lambda out: "Test set: Average loss" in out, None),
    ("vae", "vae", ["main.py", "--epochs", "1"], lambda out: losses(out)[-1] < losses(out)[0], 0.01),
    ("dcgan", "dcgan", "main.py --dataset fake --dry-run --niter 1 --batchSize 4 --ngf 8 --ndf 8".split(), lambda out: "Loss_D" in out, None),
    ("regression", "regression", ["main.py"], lambda out: "Learned function" in out, None),
    language_model("RNN_TANH"), language_model("LSTM"), language_model("GRU"), language_model("Transformer"),
    language_model("LSTM", "--tied", "--use-optimizer", "--lr", "0.002"),
)


def examples(folder):
    here = {}
    for case, name, arguments, good, tolerance in EXAMPLE_RUNS:
        if not wanted("example " + case):
            continue
        if name not in here:
            here[name] = checkout(name, folder)
            if here[name] and name == "word_language_model":
                data_files.sentences(os.path.join(here[name], "data", "small"))
        place = here[name]
        if place is None:
            skip("example " + case, "no pytorch/examples, set TAPER_EXAMPLES")
            continue
        status, out, error = taper(place, *arguments)
        say(status == 0 and good(out), "example " + case, "%d %s" % (status, (error or out)[-400:]))
        if status == 0 and case == "mnist":
            loads = "import torch; s = torch.load('mnist_cnn.pt', weights_only=True); print(sorted(s), s['fc2.weight'].shape)"
            status, out, error = taper(place, "-c", loads)
            say(status == 0 and "torch.Size([10, 128])" in out, "example mnist's file", error)
        if status == 0 and case == "word_language_model LSTM":
            generated = taper(place, "generate.py", "--data", "data/small", "--words", "30", "--checkpoint", "model.pt")
            say(generated[0] == 0 and os.path.getsize(os.path.join(place, "generated.txt")) > 60, "example word_language_model generate", generated[2])
        if TORCH and tolerance:
            real = torch_says(place, *arguments)
            say(near(losses(out), losses(real[1]), tolerance), "example %s as torch" % case, "%s against %s %s" % (losses(out), losses(real[1]), real[2][-200:]))


# ---- our own programs, which print the same under any torch ----

NUMBER = re.compile(r"(?<![\w(=,.])-?\d+\.\d{4}\b")


def same_line(ours, theirs):
    a, b = [[float(n) for n in NUMBER.findall(line)] for line in (ours, theirs)]
    return NUMBER.sub("#", ours) == NUMBER.sub("#", theirs) and all(abs(x - y) <= 2e-3 * max(1.0, abs(y)) for x, y in zip(a, b))


def programs(folder):
    home = os.path.join(HERE, "programs")
    for name in sorted(os.listdir(home)):
        case = "program " + name
        if not name.endswith(".py") or not wanted(case):
            continue
        script = os.path.join(home, name)
        status, out, error = taper(folder, script)
        wrong = [line for line in out.splitlines() if re.search(r"\| \w*Error ", line)]
        say(status == 0 and not wrong and len(out) > 100, case, error or "; ".join(wrong))
        if TORCH:
            real = torch_says(folder, script)[1].splitlines()
            differ = [pair for pair in zip(out.splitlines(), real) if not same_line(*pair)]
            say(len(real) == len(out.splitlines()) and not differ, case + " as torch", "%d lines differ, first %r" % (len(differ), differ[:1]))


def wanted(case):
    words = sys.argv[1:]
    return not words or any(w in case for w in words)


def main():
    with tempfile.TemporaryDirectory() as folder:
        import taper as torch

        os.makedirs(os.path.join(folder, "snippets"))
        snippets(os.path.join(folder, "snippets"), torch.cuda.is_available())
        programs(os.path.join(folder, "snippets"))
        data_files.mnist(os.path.join(folder, "data"))
        examples(folder)
    if not failed:
        print("all scripts ran as they should")
    return min(len(failed), 100)


if __name__ == "__main__":
    sys.exit(main())
