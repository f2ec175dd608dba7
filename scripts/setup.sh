#!/bin/sh
# What a build needs: a C compiler and make; with --python also the headers of Python. As root on a system with apt what is
# missing is installed, else the one command is printed and the status is 1.
missing=
python=${PYTHON:-python3}
command -v "${CC:-gcc}" >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
command -v make >/dev/null 2>&1 || missing="$missing make"
if [ "${1-}" = --python ]; then
    header='import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))'
    if ! command -v "$python" >/dev/null 2>&1; then
        missing="$missing python3 python3-dev python3-venv"
    elif ! "$python" -c "$header" 2>/dev/null; then
        missing="$missing python3-dev python3-venv"
    fi
fi
[ -z "$missing" ] && exit 0
command="apt-get update && apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    sh -c "$command"
else
    echo "taper needs:$missing. Install with: sudo sh -c '$command'" >&2
    exit 1
fi
