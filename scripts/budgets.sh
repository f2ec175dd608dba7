#!/bin/sh
# The promises that grow by themselves if nobody looks: size on disk, and the time and memory of `import taper`.
set -e
BUILD=${BUILD:-build}
mkdir -p "$BUILD/installed"
make -s install PREFIX="$(cd "$BUILD" && pwd)/installed" >/dev/null
size=$(du -sk "$BUILD/installed" | cut -f1)
echo "installed library, tool and headers: $size KB (budget 12288)"
[ "$size" -le 12288 ]
extension=$(ls "$BUILD"/python/taper/_C*.so 2>/dev/null | head -n 1)
if [ -n "$extension" ]; then # the Python package holds the library too and needs nothing else
    cp "$extension" "$BUILD/installed/_C.so" && strip --strip-unneeded "$BUILD/installed/_C.so"
    size=$(($(du -skL python/taper --exclude=__pycache__ | cut -f1) + $(du -k "$BUILD/installed/_C.so" | cut -f1)))
    rm "$BUILD/installed/_C.so"
    echo "installed Python package: $size KB (budget 12288)"
    [ "$size" -le 12288 ]
fi
# Thread-local memory comes out of the little that the loader keeps for libraries opened late: too much, and import fails.
tls=$(readelf -lW "$BUILD/libtaper.so" | awk '$1 == "TLS" { print $6 }')
echo "thread-local: $((tls)) bytes (budget 768)"
[ $((tls)) -le 768 ]
if [ -n "$extension" ]; then
    PYTHONPATH=$BUILD/python ${PYTHON:-python3} - <<'P'
import subprocess, sys, time, os
def best(code):
    t = []
    for _ in range(9):
        s = time.perf_counter(); subprocess.run([sys.executable, "-c", code], check=True); t.append(time.perf_counter() - s)
    return min(t)
ms = (best("import taper") - best("pass")) * 1e3
kb = int(subprocess.run([sys.executable, "-c", "import taper, resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"], capture_output=True, check=True).stdout)
print("import: %.1f ms (budget 50), resident %d KB (budget 40960)" % (ms, kb))
sys.exit(ms > 50 or kb > 40960)
P
fi
