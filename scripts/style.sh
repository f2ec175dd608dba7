#!/bin/sh
# House rules that a reader would otherwise have to repeat: sizes and names of files, no output or exit from the library, no
# TAPER_TRY where something is owned. Prints what breaks them; long files are only listed.
cd "$(dirname "$0")/.."
status=0
refuse() { # text, what was found
    [ -z "$2" ] || { echo "style: $1:"; echo "$2"; status=1; }
}
files=$(find src include tests python scripts examples lab bench -type f \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.py' -o -name '*.def' -o -name '*.sh' \) -not -path '*/__pycache__/*')
long=$(echo "$files" | xargs wc -l | awk '$2 != "total" && $1 > 600 { print $1, $2 }' | sort -rn)
[ -z "$long" ] || { echo "longer than 600 lines:"; echo "$long"; }
refuse "longer than 1000 lines" "$(echo "$long" | awk '$1 > 1000')"
refuse "names that say nothing" "$(echo "$files" | grep -E '(^|/)(utils?|common|misc|helpers?)\.(c|h|cu|cuh)$')"
# Comments and strings are taken out first; src/cli is a program, the library is everything else. probe.c ends its child processes.
calls=$(find src -name '*.[ch]' -not -path 'src/cli/*' -not -path 'src/doctor/probe.c' | while read -r f; do
    sed -e 's/"\([^"\\]\|\\.\)*"/""/g' -e 's|//.*||' -e 's|/\*.*\*/||g' "$f" | grep -nE '(^|[^A-Za-z0-9_.>])(printf|puts|exit|abort|_exit)\(' | sed "s|^|$f:|"
done)
refuse "output, exit or abort in the library" "$calls"
# A function with a label `out:` frees something there: TAPER_TRY after its first TAPER_TRY_GOTO would step over that.
owned=$(find src python -name '*.c' | xargs awk '
    FNR == 1 || /^}/ { if (FNR > 1 && label && bad != "") print bad; bad = ""; label = 0; owns = 0 }
    /^out:/ { label = 1 }
    /TAPER_TRY_GOTO\(/ { owns = 1 }
    /[^A-Z_]TAPER_TRY\(/ { if (owns) bad = bad FILENAME ":" FNR ": " $0 "\n" }' | sed '/^$/d')
refuse "TAPER_TRY in a function with a label out:" "$owned"
# The texts of doctor and verify stand in Chinese beside the English.
refuse "characters outside ASCII" "$(find src include \( -name '*.[ch]' -o -name '*.def' -o -name '*.cu' \) -not -path 'src/doctor/*' -not -path 'src/verify/*' | xargs grep -nP '[^\x00-\x7F]' | head)"
exit $status
