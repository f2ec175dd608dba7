#!/bin/sh
# What a build needs: a C compiler and make. As root on a system with apt they are installed, else the command is printed.
missing=
command -v "${CC:-gcc}" >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
command -v make >/dev/null 2>&1 || missing="$missing make"
[ -z "$missing" ] && exit 0
command="apt-get update && apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    sh -c "$command"
else
    echo "taper needs:$missing. Install them with: sudo sh -c '$command'" >&2
    exit 1
fi
