#!/usr/bin/env bash
# Everything that needs a GPU, in one run: `make test-gpu`. The report goes to docs/gpu-test-report.md (REPORT= names another file).
# A step's last lines are shown when it fails; the whole logs stay in $BUILD/gpu.
set -uo pipefail
cd "$(dirname "$0")/.."
unset MAKEFLAGS MAKELEVEL # of the make that called: its job server is not ours
BUILD=${BUILD:-build}
PYTHON=${PYTHON:-python3}
REPORT=${REPORT:-docs/gpu-test-report.md}
logs=$BUILD/gpu
mkdir -p "$logs"
rows="" failed=0 begin=$SECONDS

step() { # name, what it shows, command...
    local name=$1 what=$2 start=$SECONDS state=ok
    shift 2
    "$@" >"$logs/$name.log" 2>&1 || state=FAILED
    local seconds=$((SECONDS - start)) last
    last=$(grep -vE '^(ok|#)' "$logs/$name.log" | tail -n 1 | tr '|' '/' | cut -c 1-120)
    [ $state = ok ] || failed=$((failed + 1))
    [[ $last == *passed* || $last == *SUMMARY* ]] || last="$(grep -c '^ok' "$logs/$name.log") ok, $(grep -c '^not ok' "$logs/$name.log") not ok"
    rows="$rows| $name | $what | $state | $last | $seconds |"$'\n'
    printf '%-24s %-7s %4d s  %s\n' "$name" $state $seconds "$last"
    [ $state = ok ] || grep -v '^ok' "$logs/$name.log" | tail -n 25
}
programs() { # every tests/cuda/test_*: the exit status of the worst
    local bad=0 t
    for t in tests/cuda/test_*.c; do "$BUILD/tests/cuda/$(basename "$t" .c)" || bad=1; done
    return $bad
}
own_kernels() { TAPER_PROVIDERS=none "$@"; }
sanitized() { # memcheck on own kernels: an error in one of them ends with status 99
    command -v compute-sanitizer >/dev/null || { echo "ok skipped: no compute-sanitizer"; return 0; }
    TAPER_PROVIDERS=none compute-sanitizer --tool memcheck --error-exitcode 99 --target-processes all \
        "$BUILD/test-ops" -m cuda -j 4 -v
}
scripts() { # the Python side
    local bad=0 t
    for t in tests/python/cuda_*.py; do PYTHONPATH=$(cd "$BUILD" && pwd)/python "$PYTHON" "$t" || bad=1; done
    return $bad
}

nvidia-smi -L >/dev/null 2>&1 || { echo "skipped: no GPU (nvidia-smi finds none)"; exit 0; }
make -s -j"$(nproc)" BUILD="$BUILD" all "$BUILD/test-ops" python || exit 1
for t in tests/cuda/test_*.c; do make -s BUILD="$BUILD" "$BUILD/tests/cuda/$(basename "$t" .c)" || exit 1; done
built=$((SECONDS - begin))

step operators "each operator on the GPU against the CPU, providers as found" "$BUILD/test-ops" -m cuda -j 8
step operators-own "the same with the driver alone" own_kernels "$BUILD/test-ops" -m cuda -j 8
step programs "device layer, products, attention, random numbers, training parity, leaks, graphs, recovery" programs
step programs-own "the same with the driver alone" own_kernels programs
step sanitizer "own kernels under compute-sanitizer memcheck" sanitized
step python "the Python package on the GPU" scripts

{
    echo "# GPU test report"
    echo
    echo "Written by \`make test-gpu\` on $(date -u +%Y-%m-%d). Commit: ${COMMIT:-$(git rev-parse --short HEAD 2>/dev/null || echo unknown)}."
    echo
    echo "- GPU: $(nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader | sort | uniq -c | sed 's/^ *//')"
    echo "- Built by: $(${CC:-gcc} --version | head -n 1); $(nvcc --version 2>/dev/null | grep release || echo 'no nvcc')"
    echo "- Providers: $("$BUILD/taper" version -v | tail -n +2 | paste -sd';' -)"
    echo "- Build $built s, tests $((SECONDS - begin - built)) s; $failed steps failed"
    echo
    echo "| step | shows | state | result | seconds |"
    echo "|---|---|---|---|---|"
    printf '%s' "$rows"
} >"$REPORT"
echo "$failed steps failed; report in $REPORT"
[ $failed = 0 ]
