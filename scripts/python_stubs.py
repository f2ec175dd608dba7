#!/usr/bin/env python3
"""Writes what Python's help and editors know of the operators, from include/taper/ops_*.def: the comments of the rows
(python/taper/_op_docs.py) and their types (python/taper/__init__.pyi). With --check: says what is not current, status 1."""
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
TYPES = {"Tensor": "Tensor", "int": "_int", "bool": "_bool", "float": "_float", "str": "str", "Scalar": "_Number", "ScalarType": "dtype",
         "Device": "_Device", "Generator": "Generator", "MemoryFormat": "memory_format"}
KEYWORDS = {"from", "lambda", "in", "is", "as", "not"}
ROW = re.compile(r'/\*(?P<comment>.*?)\*/|TAPER_OP(?P<inplace>_INPLACE)?\(\s*(?P<name>\w+),\s*(?P<schema>(?:"[^"]*"\s*)+),', re.S)


def rows():
    """(family, row name, schema, has an in-place form, comment). A row without a comment belongs to the one above."""
    with open(os.path.join(ROOT, "include", "taper", "ops.def")) as f:
        families = re.findall(r"#include <taper/(ops_\w+\.def)>", f.read())
    for family in families:
        with open(os.path.join(ROOT, "include", "taper", family)) as f:
            text = f.read()
        comment = ""
        for m in ROW.finditer(text):
            if m.group("comment") is not None:
                said = " ".join(line.strip().lstrip("*").strip() for line in m.group("comment").strip().splitlines())
                comment = "" if said.startswith("----") else said
            else:
                yield family, m.group("name"), "".join(re.findall(r'"([^"]*)"', m.group("schema"))), bool(m.group("inplace")), comment


def parts(schema):
    """(name, overload, [(type, name, default, keyword only)], results) of torch's notation."""
    name, args, results = re.match(r"([\w.]+)\((.*)\) -> (.*)$", schema).groups()
    out, keyword = [], False
    for a in re.split(r", (?![^\[(]*[\])])", args):
        if a == "*":
            keyword = True
        elif a:
            kind, word = a.rsplit(" ", 1)
            word, _, default = word.partition("=")
            out.append((kind, word, default or None, keyword))
    return name.split(".")[0], out, results


def type_of(kind, loose):
    optional = kind.endswith("?")
    kind = re.sub(r"\(\w!?\)", "", kind.rstrip("?"))
    m = re.match(r"(\w+)(\??)\[(\d*)\]$", kind)
    if m:
        item = TYPES[m.group(1)]
        text = "Sequence[%s]" % ("Optional[%s]" % item if m.group(2) else item)
        if m.group(1) == "int" and m.group(3):
            text = "Union[_int, %s]" % text
    else:
        text = TYPES[kind]
        if kind == "Tensor" and loose:
            text = "Union[Tensor, _Number]"
    return "Optional[%s]" % text if optional else text


def result_of(results):
    if results == "()":
        return "None"
    if results == "bool":
        return "_bool"
    if results.endswith("[]"):
        return "Tuple[Tensor, ...]"
    if results.startswith("("):
        return "Tuple[%s]" % ", ".join("Tensor" for _ in results.split(","))
    return "Tensor"


def signature(args, family, method, spread):
    """Parameters as Python writes them; spread: the last sizes as separate arguments."""
    text, keyword = [], False
    positional = [a for a in args if not a[3]]
    for k, (kind, word, default, only) in enumerate(args):
        if word in KEYWORDS:
            word += "_"
        if k == 0 and word == "self" and not method:
            word = "input"
        if k == 0 and method:
            text.append("self")
            continue
        if only and not keyword:
            if not spread:
                text.append("*")
            keyword = True
        if spread and not only and k == len(positional) - 1:
            text.append("*%s: _int" % word)
            continue
        kind = type_of(kind, family == "ops_pointwise.def" and k > 0)
        if only and default is None and kind.startswith("Optional"):
            default = "None"
        text.append("%s: %s%s" % (word, kind, "" if default is None else " = ..."))
    if family in ("ops_create.def", "ops_random.def") and args and not args[0][0].startswith("Tensor"):
        text += ([] if keyword or spread else ["*"]) + ["requires_grad: _bool = ..."]
    return ", ".join(text)


HEAD = '''# Types of the operators as functions and methods, made by scripts/python_stubs.py from include/taper/ops_*.def: do not edit.
import builtins
from typing import Any, Optional, Sequence, Tuple, Union, overload

_int = builtins.int
_float = builtins.float
_bool = builtins.bool
_Number = Union[_int, _float, _bool]
_Device = Union["device", str, _int]

class dtype: ...
class layout: ...
class memory_format: ...
class Generator:
    def manual_seed(self, seed: _int) -> "Generator": ...
    def __getattr__(self, name: str) -> Any: ...
class device:
    type: str
    index: Optional[_int]
    def __init__(self, type: _Device, index: Optional[_int] = ...) -> None: ...
    def __enter__(self) -> "device": ...
    def __exit__(self, *exc: Any) -> None: ...
class Size(Tuple[_int, ...]):
    def numel(self) -> _int: ...

'''
DTYPES = ("bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 float8_e4m3fn float8_e5m2 half float double short int long").split()


def stub():
    functions, methods = {}, {}
    for family, _, schema, inplace, _ in rows():
        name, args, results = parts(schema)
        result = result_of(results)
        positional = [a for a in args if not a[3]]
        sizes = bool(positional) and re.match(r"int\[\]$", positional[-1][0]) is not None and positional[-1][2] is None and len(positional) <= 2
        method = bool(args) and args[0][0].startswith("Tensor") and "[" not in args[0][0] and not args[0][0].endswith("?") and not args[0][3]
        for into, target in ((False, functions), (True, methods)):
            if into and not method:
                continue
            for spread in ([False, True] if sizes and (into or len(positional) == 1) else [False]):
                text = signature(args, family, into, spread)
                target.setdefault(name, []).append("(%s) -> %s: ..." % (text, result))
                if inplace and not spread:
                    target.setdefault(name + "_", []).append("(%s) -> Tensor: ..." % text)
    out = [HEAD]

    def put(names, indent):
        for name in sorted(names):
            forms = list(dict.fromkeys(names[name]))
            for form in forms:
                if len(forms) > 1:
                    out.append("%s@overload\n" % indent)
                out.append("%sdef %s%s\n" % (indent, name, form))

    out.append("class Tensor:\n    shape: Size\n    dtype: dtype\n    device: device\n    grad: Optional[\"Tensor\"]\n    requires_grad: _bool\n"
               "    data: \"Tensor\"\n")
    for word in "add sub mul truediv floordiv mod pow matmul and or xor radd rsub rmul rtruediv rpow rmatmul lt le gt ge iadd isub imul itruediv".split():
        out.append("    def __%s__(self, other: Any) -> \"Tensor\": ...\n" % word)
    out.append("    def __getitem__(self, key: Any) -> \"Tensor\": ...\n    def __setitem__(self, key: Any, value: Any) -> None: ...\n"
               "    def __len__(self) -> _int: ...\n    def __neg__(self) -> \"Tensor\": ...\n    def __getattr__(self, name: str) -> Any: ...\n")
    put(methods, "    ")
    out.append("\ndef tensor(data: Any, dtype: Optional[dtype] = ..., device: Optional[_Device] = ..., requires_grad: _bool = ...) -> Tensor: ...\n")
    put({k: v for k, v in functions.items() if k not in DTYPES}, "")
    out.append("\n" + "".join("%s: dtype\n" % d for d in DTYPES))
    out.append("def __getattr__(name: str) -> Any: ...\n")
    return "".join(out)


def docs():
    lines = ['"""What the rows of include/taper/ops_*.def say of themselves, made by scripts/python_stubs.py: do not edit."""\n', "DOCS = {\n"]
    for _, name, _, _, comment in rows():
        if comment:
            lines.append("    %r: %r,\n" % (name, comment))
    return "".join(lines + ["}\n"])


def main():
    bad = 0
    for path, text in (("python/taper/_op_docs.py", docs()), ("python/taper/__init__.pyi", stub())):
        full = os.path.join(ROOT, path)
        old = None
        if os.path.exists(full):
            with open(full) as f:
                old = f.read()
        if "--check" in sys.argv:
            if old != text:
                bad = 1
                print("%s is not what include/taper/ops_*.def says now: run scripts/python_stubs.py" % path)
        elif old != text:
            with open(full, "w") as f:
                f.write(text)
    return bad


if __name__ == "__main__":
    sys.exit(main())
