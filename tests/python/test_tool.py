"""The command-line tool beside the package: bench with two sets of libraries, verify with its reports. Without the tool it says so and passes."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

TOOL = os.path.join(os.path.dirname(os.environ.get("PYTHONPATH", "").split(":")[0]), "taper")
failed = False


def check(name, condition, why=""):
    global failed
    failed |= not condition
    print(f"ok tool_{name}" if condition else f"not ok tool_{name}: {why}")


def run(*arguments, **variables):
    done = subprocess.run([TOOL, *arguments], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8", **variables})
    return done.returncode, done.stdout, done.stderr


def bench_with(folder):
    sets = [os.path.join(folder, name) for name in ("one", "two")]
    for i, path in enumerate(sets):
        below = os.path.join(path, "nvidia", "cublas", "lib") if i else path
        os.makedirs(below)
        open(os.path.join(below, "libcublasLt.so.12"), "w").close()
    code, out, err = run("bench", "overhead", "--quick", "--with", sets[0], "--with", sets[1])
    rows = [line.split() for line in out.splitlines() if line.startswith("overhead ")]
    check("bench_with", code == 0 and rows and all(float(r[3]) > 0 and float(r[4]) > 0 and abs(float(r[4]) / float(r[3]) / float(r[5]) - 1) < 0.01 for r in rows), out + err)
    check("bench_with_names_sets", f"A  {sets[0]}" in out and f"B  {sets[1]}" in out, out)
    code, out, err = run("bench", "overhead", "--with", os.path.join(folder, "nothing"))
    check("bench_with_nothing_there", code == 1 and "nothing" in err and not out, out + err)
    code, out, err = run("bench", "--with", sets[0])
    check("bench_with_no_workload", code == 2, out + err)


def verify(folder):
    path = os.path.join(folder, "a.json")
    code, out, err = run("verify", "--cpu", "--quick", "--json", "--dir", folder, "--check", "matmul,speed,checkpoint")
    report = json.loads(out)
    check("verify_json", code in (0, 1) and [c["id"] for c in report["checks"]] == ["cpu.matmul", "cpu.speed", "cpu.checkpoint"], out + err)
    with open(path, "w") as f:
        f.write(out)
    for c in report["checks"]:
        for figure in c["figures"]:
            if figure["better"] == "higher":
                for key in ("value", "low", "high"):
                    figure[key] *= 0.7
    slow = os.path.join(folder, "b.json")
    with open(slow, "w") as f:
        json.dump(report, f)
    code, out, err = run("verify", "--compare", path, slow, "--json")
    marked = [row for row in json.loads(out)["figures"] if row["significant"]]
    check("verify_compare", code == 1 and marked and all(row["worse"] and abs(row["ratio"] - 0.7) < 0.001 for row in marked), out + err)
    check("verify_usage", run("verify", "--nonsense")[0] == 64 and run("verify", "--check", "nonsense")[0] == 64 and run("verify", "--compare", path)[0] == 64)
    check("verify_foreign", run("verify", "--compare", path, os.devnull)[0] == 3)
    check("verify_chinese", "通过" in run("verify", "--cpu", "--quick", "--check", "matmul", "--lang", "zh")[1])


def broken_driver(folder):
    """A libcuda that hangs or crashes while it is loaded is one line of the report; the CPU's checks go on."""
    for name, does in (("timed out after 4.0 s", "for (;;) sleep(1000);"), ("killed by signal 6", "abort();")):
        place = os.path.join(folder, does[:3])
        os.mkdir(place)
        source = "#include <stdlib.h>\n#include <unistd.h>\n__attribute__((constructor)) static void begin(void) { " + does + " }\n"
        cc = subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", os.path.join(place, "libcuda.so.1")], input=source, text=True)
        if cc.returncode:
            return
        code, out, err = run("verify", "--quick", "--limit", "4", "--check", "devices,matmul", TAPER_LIBRARY_PATH=place)
        check("verify_driver_" + name.split()[0], code == 2 and "FAIL    machine devices" in out and name in out and "PASS    cpu     matmul" in out, out + err)


if not os.access(TOOL, os.X_OK):
    print("ok tool_skipped # the tool is not built:", TOOL)
    sys.exit(0)
with tempfile.TemporaryDirectory() as place:
    bench_with(place)
    verify(place)
    if shutil.which("cc"):
        broken_driver(place)
sys.exit(failed)
