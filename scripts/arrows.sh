#!/bin/sh
# Includes point one way: base <- device <- tensor <- ops <- engine <- autograd <- the rest. Exits 1 and prints the line that does not.
status=0
check() { # layer, layers it may include
    layer=$1
    shift
    allowed=$(echo "$layer $*" | tr ' ' '|')
    bad=$(grep -rnE '^#include "' "src/$layer" --include='*.[ch]' --include='*.cu' --include='*.cuh' 2>/dev/null | grep -vE "#include \"($allowed)/" || true)
    [ -z "$bad" ] || { echo "$bad"; status=1; }
}
check base
check device base
check tensor base device
check ops base device tensor
check engine base device tensor ops
check autograd base device tensor ops engine
for upper in amp nn optim data io dist; do check $upper base device tensor ops engine autograd; done
check doctor base device tensor io
# Above the doctor, whose tables and probes it uses; of the engine it sees the public headers only.
check verify base doctor
check cli base device tensor ops engine autograd nn optim data io
exit $status
