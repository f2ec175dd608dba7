#!/bin/sh
# Prints an assembly file that holds each file given, and the table $TABLE (taper__cuda_images) of {name, begin, end} that
# finds them; ends with a row of zeros. A fatbin's name is the source's stem: src/ops/softmax.cu is "softmax".
table=${TABLE:-taper__cuda_images}
echo '    .section .note.GNU-stack,"",@progbits'
echo '    .section .rodata'
i=0
for f in "$@"; do
    echo "    .balign 64"
    echo ".Limage$i:"
    echo "    .incbin \"$f\""
    echo ".Lend$i:"
    name=$(basename "$f" .fatbin)
    echo ".Lname$i: .asciz \"$name\""
    i=$((i + 1))
done
echo '    .section .data.rel.ro,"aw"'
echo '    .balign 8'
echo "    .globl $table"
echo "    .hidden $table"
echo "$table:"
n=0
while [ $n -lt $i ]; do
    echo "    .quad .Lname$n, .Limage$n, .Lend$n"
    n=$((n + 1))
done
echo '    .quad 0, 0, 0'
