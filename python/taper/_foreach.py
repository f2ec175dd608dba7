"""torch._foreach_*: one operator over lists of tensors, tensor by tensor."""
from . import _C

_ops = _C.ops
UNARY = frozenset("abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg reciprocal round rsqrt "
                  "sigmoid sign sin sinh sqrt tan tanh trunc zero".split())
BINARY = {"add": "add", "sub": "sub", "mul": "mul", "div": "div", "pow": "pow", "maximum": "maximum", "minimum": "minimum",
          "clamp_min": "maximum", "clamp_max": "minimum", "copy": "copy"}
TERNARY = frozenset("addcmul addcdiv lerp".split())


def _column(value, n):
    """One item per tensor: a list is that already, anything else repeats."""
    if isinstance(value, (list, tuple)):
        if len(value) != n:
            raise RuntimeError("Tensor lists must have the same number of tensors, got %d and %d" % (n, len(value)))
        return value
    return (value,) * n


def _limit(function, a, b):
    return function(a, b if isinstance(b, _C.Tensor) else _ops.full((), b, dtype=a.dtype))


def make(name):
    """The function torch._foreach_<name>, None when there is none; a name that ends in _ writes into its first list."""
    inplace, word = name.endswith("_"), name.rstrip("_")
    if word == "norm" and not inplace:
        return lambda tensors, ord=2, dtype=None: tuple(_ops.linalg_vector_norm(t, ord, dtype=dtype) for t in tensors)
    if word not in UNARY and word not in BINARY and word not in TERNARY or word == "copy" and not inplace:
        return None
    operator = BINARY.get(word, word)
    limits = operator in ("maximum", "minimum")
    into = getattr(_ops, operator + "_", None) if inplace else None
    plain = getattr(_ops, operator, None)

    def each(tensors, *lists, **keywords):
        tensors = list(tensors)
        columns = [_column(c, len(tensors)) for c in lists]
        spread = {k: _column(v, len(tensors)) for k, v in keywords.items()}
        if word in ("addcmul", "addcdiv") and len(columns) == 3:
            spread["value"] = columns.pop()
        results = []
        for i, t in enumerate(tensors):
            row, named = [c[i] for c in columns], {k: v[i] for k, v in spread.items()}
            if limits:
                r = _limit(plain, t, *row)
            elif into is not None:
                r = into(t, *row, **named)
            else:
                r = plain(t, *row, **named)
            if inplace and into is None or inplace and limits:
                t.copy_(r)
            results.append(r)
        return None if inplace else tuple(results)

    each.__name__ = each.__qualname__ = "_foreach_" + name
    return each
